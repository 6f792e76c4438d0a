//! Deliveries whose outcome nobody knows.

use hongyan_core::{id::Id, outcome, setup::ChannelNo, store::Doubt, time::Timestamp};
use tokio_postgres::Row as SqlRow;

use crate::{
    days::lowest_id,
    engine::Engine,
    row::{attempts_decode, id_read, signed},
    session::Query,
    sql::read,
    trouble::Outcome,
};

/// Those of a channel in these buckets that were accepted at `since` or later, behind `after`, the oldest first.
pub(crate) async fn doubts(
    engine: &Engine,
    buckets: Vec<u8>,
    channel: ChannelNo,
    since: Timestamp,
    after: Option<Id>,
    limit: usize,
) -> Outcome<Vec<Doubt>> {
    let behind = after.map_or(0, Id::get).max(lowest_id(since) - 1);
    let (channel, most) = (signed(channel.0), i64::try_from(limit).unwrap_or(i64::MAX));
    let buckets: Vec<i16> = buckets.into_iter().map(i16::from).collect();
    let queries = buckets
        .iter()
        .map(|bucket| Query { sql: read::DOUBTS, params: vec![bucket as _, &channel as _, &behind as _, &most as _] });
    let found = engine.pool.lend().await?.query_all(&queries.collect::<Vec<_>>()).await?;
    let mut doubts = found.iter().flatten().map(doubt_read).collect::<Outcome<Vec<_>>>()?;
    doubts.sort_unstable_by_key(|doubt| doubt.delivery);
    doubts.truncate(limit);
    Ok(doubts)
}

fn doubt_read(row: &SqlRow) -> Outcome<Doubt> {
    let tries = attempts_decode(row.try_get(2)?)?;
    let last = tries.last();
    // After any other outcome it was tried once more, and the node died before it could say by whom.
    let provider = last.filter(|last| last.outcome == outcome::Outcome::Unknown.as_str()).map(|last| last.provider);
    let at = last.map_or(Timestamp::from_ms(row.try_get(3)?), |last| last.started);
    Ok(Doubt { delivery: id_read(row, 0)?, address: row.try_get(1)?, provider, at })
}
