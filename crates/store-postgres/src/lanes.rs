//! Finding out where something waits: the lanes of a bucket are read in one statement that hops from lane to lane over the
//! index and never walks what waits in them.

use std::sync::Arc;

use hongyan_core::{
    setup::{AppNo, ChannelNo},
    time::Timestamp,
};
use tokio_postgres::Row as SqlRow;

use crate::{
    memory::{Lane, Memory, Reading, Waiting},
    pool::Pool,
    row::{number, priority_read},
    session::Query,
    sql::hot,
    trouble::Outcome,
};

/// Reads the lanes of these buckets into memory; answers the channels of which something is due.
pub(crate) async fn read(
    pool: &Arc<Pool>,
    memory: &Memory,
    buckets: impl IntoIterator<Item = u8>,
    now: Timestamp,
) -> Outcome<Vec<ChannelNo>> {
    let buckets: Vec<(u8, i16)> = buckets.into_iter().map(|bucket| (bucket, i16::from(bucket))).collect();
    if buckets.is_empty() {
        return Ok(Vec::new());
    }
    let readings: Vec<Reading> = {
        let mut known = memory.lock();
        buckets.iter().map(|(bucket, _)| known.begin_reading(*bucket)).collect()
    };
    let mut queries = Vec::with_capacity(2 * buckets.len());
    for (_, stored) in &buckets {
        queries.push(Query { sql: hot::LANES, params: vec![stored] });
        queries.push(Query { sql: hot::SUSPECT_LANES, params: vec![stored] });
    }
    let answers = pool.lend().await?.query_all(&queries).await?;
    let mut due = Vec::new();
    let mut known = memory.lock();
    for (((bucket, _), reading), found) in buckets.iter().zip(readings).zip(answers.chunks_exact(2)) {
        let lanes = found[0].iter().map(|row| lane_read(*bucket, row)).collect::<Outcome<_>>()?;
        let suspects = found[1].iter().map(suspect_read).collect::<Outcome<_>>()?;
        due.extend(known.found(reading, &Waiting { lanes, suspects }, now));
    }
    Ok(due)
}

fn lane_read(bucket: u8, row: &SqlRow) -> Outcome<(Lane, Timestamp)> {
    let lane = Lane {
        channel: ChannelNo(number(row.try_get(0)?)?),
        priority: priority_read(row.try_get(1)?)?,
        app: AppNo(number(row.try_get(2)?)?),
        bucket,
    };
    Ok((lane, Timestamp::from_ms(row.try_get(3)?)))
}

fn suspect_read(row: &SqlRow) -> Outcome<(ChannelNo, Timestamp)> {
    Ok((ChannelNo(number(row.try_get(0)?)?), Timestamp::from_ms(row.try_get(1)?)))
}
