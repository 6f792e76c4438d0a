//! Drawing under caps. The arithmetic is `core`'s; the tallies of a call are locked while it is done, in the order of their
//! buckets and keys: two round trips under the locks, however many keys are drawn from.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use async_trait::async_trait;
use hongyan_core::{
    cap::{Cap, Draw, Drawn, Tally},
    id::bucket_of_name,
    store::StoreResult,
    time::Timestamp,
};

use super::name;
use crate::{
    engine::{Engine, Operation, Transaction},
    session::Query,
    sql::quota,
    trouble::{Outcome, Trouble},
};

/// Until when a tally is kept is told in steps of so many milliseconds, so that hardly any draw moves its row in the index of that.
const KEPT_STEP_MS: i64 = 600_000;
/// How often draws are begun again because a tally was forgotten between its look-up and its lock.
const TRIES: u32 = 5;

/// Makes draws, each by itself.
pub(crate) async fn draw(engine: &Engine, caps: Vec<Cap>, draws: Vec<Draw>, now: Timestamp) -> StoreResult<Vec<Drawn>> {
    if draws.is_empty() {
        return Ok(Vec::new());
    }
    let draws: Vec<Draw> = draws.into_iter().map(|draw| Draw { key: name(draw.key), ..draw }).collect();
    let asked = CapsDraw { caps: &caps, draws: &draws, now };
    for _ in 0..TRIES {
        if let Some(drawn) = engine.run(&asked).await? {
            return Ok(drawn);
        }
    }
    Err(Trouble::Busy("tallies are forgotten as fast as they are begun").told())
}

/// The operation. Answers nothing where a tally is gone that was just there.
struct CapsDraw<'a> {
    caps: &'a [Cap],
    draws: &'a [Draw],
    now: Timestamp,
}

/// What is written of the tallies of a bucket, as columns.
#[derive(Default)]
struct Written<'a> {
    key: Vec<&'a str>,
    body: Vec<Vec<u8>>,
    until: Vec<i64>,
}

#[async_trait]
impl Operation for CapsDraw<'_> {
    type Answer = Option<Vec<Drawn>>;

    async fn run(&self, tx: &mut Transaction<'_>) -> Outcome<Option<Vec<Drawn>>> {
        let keys = self.keys();
        let mut tallies = lock(tx, &keys).await?;
        let mut moved: BTreeSet<&str> = BTreeSet::new();
        let mut drawn = Vec::with_capacity(self.draws.len());
        for draw in self.draws {
            let Some(tally) = tallies.get_mut(draw.key.as_str()) else { return Ok(None) };
            let answer = tally.apply(self.caps, draw, self.now);
            if answer == Drawn::Yes {
                moved.insert(&draw.key);
            }
            drawn.push(answer);
        }
        self.write(tx, &tallies, &moved).await?;
        Ok(Some(drawn))
    }
}

impl<'a> CapsDraw<'a> {
    /// The keys by their buckets, each once.
    fn keys(&self) -> BTreeMap<i16, Vec<&'a str>> {
        let mut keys: BTreeMap<i16, Vec<&str>> = BTreeMap::new();
        for key in self.draws.iter().map(|draw| draw.key.as_str()).collect::<BTreeSet<_>>() {
            keys.entry(i16::from(bucket_of_name(key))).or_default().push(key);
        }
        keys
    }

    /// Keeps the tallies that have moved.
    async fn write(
        &self,
        tx: &Transaction<'_>,
        tallies: &HashMap<String, Tally>,
        moved: &BTreeSet<&'a str>,
    ) -> Outcome<()> {
        let mut buckets: BTreeMap<i16, Written<'_>> = BTreeMap::new();
        for key in moved {
            let Some(tally) = tallies.get(*key) else { continue };
            let written = buckets.entry(i16::from(bucket_of_name(key))).or_default();
            written.key.push(key);
            written.body.push(tally.to_bytes());
            written.until.push((tally.over(self.caps).ms() / KEPT_STEP_MS + 1) * KEPT_STEP_MS);
        }
        let queries = buckets.iter().map(|(bucket, written)| Query {
            sql: quota::TALLIES_WRITE,
            params: vec![bucket as _, &written.key as _, &written.body as _, &written.until as _],
        });
        tx.db.query_all(&queries.collect::<Vec<_>>()).await?;
        Ok(())
    }
}

/// Begins the tallies that are not known, and locks all.
async fn lock(tx: &Transaction<'_>, keys: &BTreeMap<i16, Vec<&str>>) -> Outcome<HashMap<String, Tally>> {
    let both = |(bucket, keys)| {
        [quota::TALLIES_BEGIN, quota::TALLIES_LOCK].map(|sql| Query { sql, params: vec![bucket as _, keys as _] })
    };
    let found = tx.db.query_all(&keys.iter().flat_map(both).collect::<Vec<_>>()).await?;
    let read = |row: &tokio_postgres::Row| {
        let key: String = row.try_get(0)?;
        let tally = Tally::from_bytes(row.try_get(1)?);
        let tally = tally.ok_or_else(|| Trouble::Damaged(format!("the tally of {key:?}")))?;
        Ok((key, tally))
    };
    found.iter().flatten().map(read).collect()
}
