//! Forgetting history: whole days of it, never one with something open in it or before it; and idempotency keys, tallies of caps,
//! access tokens of providers and tokens of accounts and inboxes whose time is over; and what inboxes have of messages that are gone. Several nodes may do so at once.

use hongyan_core::{store::StoreResult, time::Timestamp};

use crate::{
    days::{Day, day_of, first_id, table_name},
    engine::Engine,
    memory::BUCKETS,
    pool::Lent,
    retry::again,
    schema::KEPT_BY_DAY,
    session::{Param, Query, Session},
    sql::{account, cold, history, inbox, page, plan, quota, read, token},
    trouble::{Outcome, Trouble},
};

/// For how many days there are tables before anything is stored in them.
const DAYS_AHEAD: Day = 3;

/// How long the tables of a day may be waited for before they are dropped: whoever wants to read or write any day meanwhile
/// waits behind. A day that somebody reads for long (a dump) is dropped in a later round.
const PATIENCE: &str = "SET LOCAL lock_timeout = '100ms'";

/// Forgets what was accepted before `before`.
pub(crate) async fn prune(engine: &Engine, before: Timestamp, limit: usize, now: Timestamp) -> StoreResult<bool> {
    prune_told(engine, before, limit, now).await.map_err(|trouble| trouble.told())
}

async fn prune_told(engine: &Engine, before: Timestamp, limit: usize, now: Timestamp) -> Outcome<bool> {
    let today = day_of(now);
    engine.days.make_all(&engine.pool, today..=today + DAYS_AHEAD).await?;
    let keys_left = again(|| forget(engine, read::KEYS_OVER, read::KEYS_FORGET, limit, now)).await?;
    let tallies_left = again(|| forget(engine, quota::TALLIES_OVER, quota::TALLIES_FORGET, limit, now)).await?;
    let account_tokens_left =
        again(|| forget(engine, account::TOKENS_OVER, account::TOKENS_FORGET, limit, now)).await?;
    let tokens_left = again(|| forget(engine, token::TOKENS_OVER, token::TOKENS_FORGET, limit, now)).await?;
    let inbox_tokens_left = again(|| forget(engine, inbox::TOKENS_OVER, inbox::TOKENS_FORGET, limit, now)).await?;
    let days_left = day_forget(engine, before, now).await?;
    let items_left = again(|| inboxes_forget(engine, limit)).await?;
    let left = [keys_left, tallies_left, account_tokens_left, tokens_left, inbox_tokens_left, days_left, items_left];
    Ok(left.contains(&true))
}

/// Forgets rows whose time is over, at most `limit`; answers whether more are left. One statement says how many there are in a
/// bucket, the other forgets them.
async fn forget(
    engine: &Engine,
    over: &'static str,
    forget: &'static str,
    limit: usize,
    now: Timestamp,
) -> Outcome<bool> {
    let (now, most) = (now.ms(), i64::try_from(limit).unwrap_or(i64::MAX));
    let buckets: Vec<i16> = (0..BUCKETS).map(i16::from).collect();
    let queries = buckets.iter().map(|bucket| Query { sql: over, params: vec![bucket as _, &now as _, &most as _] });
    let db = engine.pool.lend().await?;
    let found = db.query_all(&queries.collect::<Vec<_>>()).await?;
    let mut left = most;
    for (bucket, rows) in buckets.iter().zip(found) {
        let over: i64 = rows.first().map(|row| row.try_get(0)).transpose()?.unwrap_or(0);
        if over > 0 && left > 0 {
            db.execute(forget, &[bucket, &now, &left.min(over)]).await?;
        }
        left -= over;
    }
    Ok(left < 0)
}

/// The days for which there are tables, in order.
async fn days(db: &Session) -> Outcome<Vec<Day>> {
    let mut days = Vec::new();
    for row in db.query(plan::DAYS, &[]).await? {
        let name: String = row.try_get(0)?;
        days.extend(name.rsplit_once('_').and_then(|(_, day)| day.parse::<Day>().ok()));
    }
    days.sort_unstable();
    Ok(days)
}

/// Forgets the oldest day that may go, if it lies before `before`: nothing that is open belongs to it or to a day before it, and
/// no message of it waits for its time. Of one that does nothing lies in later days, so that it keeps only its own. Answers
/// whether more are left.
async fn day_forget(engine: &Engine, before: Timestamp, now: Timestamp) -> Outcome<bool> {
    let db = engine.pool.lend().await?;
    let mut days = days(&db).await?;
    days.retain(|day| *day < day_of(before));
    let mut from = 0;
    for (no, day) in days.iter().copied().enumerate() {
        let until = first_id(day + 1);
        if is_open(&db, until, now).await? {
            return Ok(false);
        }
        if waits(&db, day).await? {
            from = until;
            continue;
        }
        if !day_forget_now(&db, day, now).await? {
            return Ok(false);
        }
        engine.committed(1);
        engine.days.forget(day);
        let pages: [Param<'_>; 2] = [&from, &until];
        again(|| each_bucket(&db, page::PAGES_FORGET, &pages)).await?;
        return Ok(no + 1 < days.len());
    }
    Ok(false)
}

/// Drops a day; answers whether that could be done.
async fn day_forget_now(db: &Lent, day: Day, now: Timestamp) -> Outcome<bool> {
    db.enter();
    db.begin().await?;
    let dropped = match day_drop(db, day, now).await {
        Ok(true) => db.commit().await.map(|()| true),
        Ok(false) => {
            db.rollback().await;
            Ok(false)
        }
        Err(trouble) => {
            db.rollback().await;
            // Somebody is at it: another time.
            if trouble.is_collision() { Ok(false) } else { Err(trouble) }
        }
    };
    db.settled();
    dropped
}

/// Drops the tables of a day, unless something has become open there meanwhile; nobody else can be at them once they are
/// dropped here.
async fn day_drop(db: &Session, day: Day, now: Timestamp) -> Outcome<bool> {
    db.batch(PATIENCE).await?;
    db.query(cold::SCHEMA_LOCK, &[]).await?;
    let names: Vec<String> = KEPT_BY_DAY.iter().map(|(table, _)| table_name(table, day)).collect();
    db.batch(&format!("DROP TABLE IF EXISTS {}", names.join(", "))).await?;
    // What an earlier program has dropped without this is forgotten with it.
    each_bucket(db, history::SENT_FORGET, &[&i32::try_from(day).unwrap_or(i32::MAX)]).await?;
    Ok(!waits(db, day).await? && !is_open(db, first_id(day + 1), now).await?)
}

/// Whether something is still to come at `now` of a message with an id before `until`, but for those that wait for their time.
async fn is_open(db: &Session, until: i64, now: Timestamp) -> Outcome<bool> {
    let row = db.query_opt(plan::OPEN_BEFORE, &[&until, &now.ms()]).await?;
    Ok(row.ok_or_else(|| Trouble::Damaged("no answer".to_owned()))?.try_get(0)?)
}

/// Whether a message of a day is not yet expanded.
async fn waits(db: &Session, day: Day) -> Outcome<bool> {
    let row = db.query_opt(plan::UNEXPANDED_OF, &[&first_id(day), &first_id(day + 1)]).await?;
    Ok(row.ok_or_else(|| Trouble::Damaged("no answer".to_owned()))?.try_get(0)?)
}

/// Forgets what inboxes have of messages that are gone, at most `limit` rows; answers whether more are left.
async fn inboxes_forget(engine: &Engine, limit: usize) -> Outcome<bool> {
    let db = engine.pool.lend().await?;
    let mut left = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut gone = 0;
    for day in days(&db).await? {
        // From the end of the day before on there is nothing until this one begins.
        let (from, until) = (gone, first_id(day));
        gone = first_id(day + 1);
        if from >= until {
            continue;
        }
        db.execute(inbox::BROADCASTS_FORGET, &[&from, &until]).await?;
        for bucket in (0..BUCKETS).map(i16::from) {
            left -= inbox_forget(&db, bucket, from, until, left).await?;
            if left <= 0 {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Forgets about `most` rows of a bucket that have messages from one id on and before another, those of a message together; answers
/// how many there were.
async fn inbox_forget(db: &Session, bucket: i16, from: i64, until: i64, most: i64) -> Outcome<i64> {
    let Some(row) = db.query_opt(inbox::GONE, &[&bucket, &from, &until, &most]).await? else { return Ok(0) };
    if let Some(last) = row.try_get::<_, Option<i64>>(1)? {
        db.execute(inbox::GONE_FORGET, &[&bucket, &from, &last]).await?;
    }
    Ok(row.try_get(0)?)
}

/// Runs a statement for each bucket.
async fn each_bucket(db: &Session, sql: &'static str, more: &[Param<'_>]) -> Outcome<()> {
    let buckets: Vec<i16> = (0..BUCKETS).map(i16::from).collect();
    let queries = buckets.iter().map(|bucket| {
        let mut params: Vec<Param<'_>> = vec![bucket];
        params.extend(more);
        Query { sql, params }
    });
    db.query_all(&queries.collect::<Vec<_>>()).await?;
    Ok(())
}
