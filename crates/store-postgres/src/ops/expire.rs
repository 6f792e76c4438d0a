//! Expiring what waits although its time is over, as it does on a channel that nobody claims from. The search walks the open
//! deliveries of the preferred buckets in the order of their ids, in bounded steps, and goes on where the last one stopped, so
//! that a long queue is not walked at once. It changes nothing; what it found is looked at again, locked.

use std::collections::BTreeMap;

use async_trait::async_trait;
use hongyan_core::{
    delivery::{Event, step},
    store::StoreResult,
    time::Timestamp,
};

use crate::{
    engine::{Engine, Operation, Transaction},
    finish::{any_policy, finish},
    row::row_read,
    session::Query,
    sql::page,
    trouble::{Outcome, Trouble},
};

/// How many open deliveries one call looks at.
const WALK_ROWS_MAX: usize = 20_000;

/// Expires deliveries in these buckets.
pub(crate) async fn expire(engine: &Engine, buckets: Vec<u8>, limit: usize, now: Timestamp) -> StoreResult<usize> {
    let mut walk = Walk::resume(engine, buckets, limit);
    walk.go(engine, now).await.map_err(|trouble| trouble.told())?;
    let Walk { places, over, .. } = walk;
    let expired = if over.is_empty() { 0 } else { engine.run(&Expire { over, now }).await? };
    engine.memory.lock().expired_to.extend(places);
    Ok(expired)
}

/// A search.
struct Walk {
    /// The last id that was looked at in each bucket.
    places: BTreeMap<u8, i64>,
    /// The buckets that have not been walked to their ends.
    unfinished: Vec<u8>,
    rows_left: usize,
    limit_left: usize,
    /// What is over, by bucket.
    over: BTreeMap<i16, Vec<i64>>,
}

impl Walk {
    fn resume(engine: &Engine, buckets: Vec<u8>, limit: usize) -> Self {
        let known = engine.memory.lock();
        let place = |bucket: &u8| (*bucket, known.expired_to.get(bucket).copied().unwrap_or(0));
        Self {
            places: buckets.iter().map(place).collect(),
            unfinished: buckets,
            rows_left: WALK_ROWS_MAX,
            limit_left: limit,
            over: BTreeMap::new(),
        }
    }

    /// A round through all buckets, then through those in which there is more, with what the others have left of the rows.
    async fn go(&mut self, engine: &Engine, now: Timestamp) -> Outcome<()> {
        while self.limit_left > 0 && !self.unfinished.is_empty() && self.rows_left >= self.unfinished.len() {
            let step = self.rows_left / self.unfinished.len();
            let limit = i64::try_from(step).unwrap_or(i64::MAX);
            let at: Vec<(i16, i64)> = self.unfinished.iter().map(|no| (i16::from(*no), self.place(*no))).collect();
            let now = now.ms();
            let queries = at.iter().map(|(bucket, after)| Query {
                sql: page::OVER,
                params: vec![bucket as _, after as _, &limit as _, &now as _],
            });
            let answers = engine.pool.lend().await?.query_all(&queries.collect::<Vec<_>>()).await?;
            for (bucket, rows) in std::mem::take(&mut self.unfinished).into_iter().zip(answers) {
                let row = rows.first().ok_or_else(|| Trouble::Damaged("no answer".to_owned()))?;
                let seen = usize::try_from(row.try_get::<_, i64>(0)?).unwrap_or(usize::MAX);
                let over: Option<Vec<i64>> = row.try_get(2)?;
                self.saw(bucket, seen, row.try_get(1)?, over.unwrap_or_default(), seen < step);
            }
        }
        Ok(())
    }

    fn place(&self, bucket: u8) -> i64 {
        self.places.get(&bucket).copied().unwrap_or(0)
    }

    fn saw(&mut self, bucket: u8, seen: usize, last: Option<i64>, mut over: Vec<i64>, is_end: bool) {
        self.rows_left = self.rows_left.saturating_sub(seen);
        if over.len() > self.limit_left {
            over.truncate(self.limit_left);
            // The next call goes on behind the last that this one takes.
            if let Some(last) = over.last() {
                self.places.insert(bucket, *last);
            }
        } else if is_end {
            self.places.insert(bucket, 0);
        } else {
            self.places.extend(last.map(|last| (bucket, last)));
            self.unfinished.push(bucket);
        }
        self.limit_left -= over.len();
        if !over.is_empty() {
            self.over.entry(i16::from(bucket)).or_default().extend(over);
        }
    }
}

/// Expires what was found. What somebody else is at is left to them, or to the next search.
struct Expire {
    over: BTreeMap<i16, Vec<i64>>,
    now: Timestamp,
}

#[async_trait]
impl Operation for Expire {
    type Answer = usize;

    async fn run(&self, tx: &mut Transaction<'_>) -> Outcome<usize> {
        let queries = self
            .over
            .iter()
            .map(|(bucket, ids)| Query { sql: page::LOCK_WAITING, params: vec![bucket as _, ids as _] });
        let found = tx.db.query_all(&queries.collect::<Vec<_>>()).await?;
        let (policy, mut ended) = (any_policy(), Vec::new());
        for row in found.iter().flatten() {
            let row = match row_read(row) {
                Ok(row) => row,
                // A value that is none of ours holds up no other.
                Err(Trouble::Damaged(what)) => {
                    tracing::warn!(what, "a delivery that cannot be read was left as it is");
                    continue;
                }
                Err(trouble) => return Err(trouble),
            };
            ended.extend(step(&row.track, &Event::Expire, &policy, self.now).map(|track| (row, track)));
        }
        finish(tx, &ended, self.now).await?;
        Ok(ended.len())
    }
}
