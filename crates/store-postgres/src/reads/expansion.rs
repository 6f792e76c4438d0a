//! Messages whose audience is not yet expanded.

use hongyan_core::{id::Id, message::MessageState, store::Expansion};

use super::{
    by_bucket,
    message::{MESSAGE_COLUMNS, message_row},
};
use crate::{audience::rest_decode, engine::Engine, row::id_read, session::Query, sql::read, trouble::Outcome};

/// Messages of these buckets that are being expanded. Which they are is read first, for their lists are large.
pub(crate) async fn expansions(
    engine: &Engine,
    buckets: Vec<u8>,
    after: Option<Id>,
    limit: usize,
) -> Outcome<Vec<Expansion>> {
    let (after, most) = (after.map_or(0, Id::get), i64::try_from(limit).unwrap_or(i64::MAX));
    let buckets: Vec<i16> = buckets.into_iter().map(i16::from).collect();
    let queries =
        buckets.iter().map(|bucket| Query { sql: read::EXPANDING, params: vec![bucket as _, &after as _, &most as _] });
    let db = engine.pool.lend().await?;
    let found = db.query_all(&queries.collect::<Vec<_>>()).await?;
    let mut ids = found.iter().flatten().map(|row| id_read(row, 0)).collect::<Outcome<Vec<_>>>()?;
    ids.sort_unstable();
    ids.truncate(limit);
    let asked = by_bucket(ids);
    let queries =
        asked.iter().map(|(bucket, ids)| Query { sql: read::EXPANSIONS, params: vec![bucket as _, ids as _] });
    let mut expansions = Vec::new();
    for row in db.query_all(&queries.collect::<Vec<_>>()).await?.iter().flatten() {
        let (message, channel) = message_row(row, MessageState::Expanding)?;
        let cursor = usize::try_from(row.try_get::<_, i32>(MESSAGE_COLUMNS)?).unwrap_or(0);
        let rest = rest_decode(row.try_get(MESSAGE_COLUMNS + 1)?)?;
        expansions.push(Expansion { message, channel, cursor, rest });
    }
    expansions.sort_unstable_by_key(|expansion| expansion.message.id);
    Ok(expansions)
}
