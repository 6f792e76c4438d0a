//! What is kept beside messages: answers to keys, captures, what is declared, people, notes; and how much waits.

use hongyan_core::{
    id::{Id, bucket_of_key},
    limits,
    setup::{AppNo, ChannelNo, User},
    store::{Capture, Declaration, Depth},
    time::Timestamp,
};
use tokio_postgres::Row as SqlRow;

use super::directory::user_read;
use crate::{
    engine::Engine,
    lanes,
    memory::BUCKETS,
    row::{CAPTURES_BUCKET, id_read, number, signed},
    sql::{cold, plan, read},
    trouble::{Outcome, Trouble},
};

/// The answer that was kept for an idempotency key.
pub(crate) async fn answer(engine: &Engine, app: AppNo, key: &str) -> Outcome<Option<String>> {
    let bucket = i16::from(bucket_of_key(app, key));
    let row = engine.pool.lend().await?.query_opt(read::ANSWER, &[&bucket, &signed(app.0), &key]).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?.flatten())
}

/// How much of each channel waits, by counters; since when, by a fresh look at where something does.
pub(crate) async fn depths(engine: &Engine) -> Outcome<Vec<Depth>> {
    let counted = engine.pool.lend().await?.query(cold::DEPTHS, &[]).await?;
    if counted.is_empty() {
        return Ok(Vec::new());
    }
    let now = engine.latest();
    lanes::read(&engine.pool, &engine.memory, 0..BUCKETS, now).await?;
    let known = engine.memory.lock();
    let mut depths = Vec::with_capacity(counted.len());
    for row in counted {
        let channel = ChannelNo(number(row.try_get(0)?)?);
        let lanes = known.lanes_of(channel).map(|(_, due)| due);
        let oldest = lanes.chain(known.suspects_of(channel).map(|(_, due)| due)).min();
        depths.push(Depth {
            channel,
            ready: u64::try_from(row.try_get::<_, i64>(1)?).unwrap_or(0),
            oldest_due: oldest.filter(|due| *due <= now),
        });
    }
    Ok(depths)
}

/// The version of what is declared.
pub(crate) async fn setup_version(engine: &Engine) -> Outcome<i64> {
    let row = engine.pool.lend().await?.query_opt(plan::SETUP_VERSION, &[]).await?;
    Ok(row.ok_or_else(no_setup)?.try_get(0)?)
}

fn no_setup() -> Trouble {
    Trouble::Damaged("the table of the set-up is empty".to_owned())
}

/// Everything declared, with its version, as of one moment.
pub(crate) async fn declarations(engine: &Engine) -> Outcome<(i64, Vec<Declaration>)> {
    let rows = engine.pool.lend().await?.query(plan::DECLARATIONS, &[]).await?;
    let version = rows.first().ok_or_else(no_setup)?.try_get(0)?;
    let mut declared = Vec::with_capacity(rows.len());
    for row in rows {
        // Where nothing is declared the version comes alone.
        let Some(kind) = row.try_get(1)? else { continue };
        declared.push(Declaration { kind, code: row.try_get(2)?, no: number(row.try_get(3)?)?, doc: row.try_get(4)? });
    }
    Ok((version, declared))
}

/// The people with these codes.
pub(crate) async fn users(engine: &Engine, codes: Vec<String>) -> Outcome<Vec<User>> {
    let rows = engine.pool.lend().await?.query(plan::PEOPLE, &[&codes]).await?;
    rows.iter().map(user_read).collect()
}

/// A note.
pub(crate) async fn note(engine: &Engine, key: &str) -> Outcome<Option<String>> {
    let row = engine.pool.lend().await?.query_opt(plan::NOTE, &[&key]).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

/// Captures, the newest first, as many as `limit` and the bytes of one page allow; at least one where there is any.
pub(crate) async fn captures(engine: &Engine, before: Option<Id>, limit: usize) -> Outcome<Vec<Capture>> {
    let (before, most) = (before.map_or(i64::MAX, Id::get), i64::try_from(limit).unwrap_or(i64::MAX));
    let bytes = limits::CAPTURES_PAGE_BYTES_MAX as i64;
    let rows = engine.pool.lend().await?.query(read::CAPTURES, &[&CAPTURES_BUCKET, &before, &most, &bytes]).await?;
    rows.iter().map(capture_read).collect()
}

fn capture_read(row: &SqlRow) -> Outcome<Capture> {
    Ok(Capture {
        id: id_read(row, 0)?,
        message: id_read(row, 1)?,
        provider: row.try_get(2)?,
        at: Timestamp::from_ms(row.try_get(3)?),
        sender: row.try_get(4)?,
        recipients: serde_json::from_str(row.try_get(5)?)
            .map_err(|error| Trouble::Damaged(format!("the recipients of a capture: {error}")))?,
        body: row.try_get(6)?,
    })
}
