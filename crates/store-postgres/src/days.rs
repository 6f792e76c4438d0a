//! The days for which there are tables: history is kept a table a day, and a day's tables must be there before anything of
//! that day is stored.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use hongyan_core::{id::Id, time::Timestamp};

use crate::{pool::Pool, schema::KEPT_BY_DAY, sql::cold, trouble::Outcome};

const DAY_MS: i64 = 86_400_000;
/// The bits of an id below its milliseconds.
const BELOW_MS: u32 = 22;
/// 2020-01-01, from which the milliseconds in ids count.
const EPOCH_MS: i64 = 1_577_836_800_000;

/// A day since 1970-01-01 UTC.
pub(crate) type Day = i64;

/// The days whose tables this node knows to be there.
#[derive(Debug, Default)]
pub(crate) struct Days(Mutex<BTreeSet<Day>>);

/// The day of a moment.
pub(crate) const fn day_of(moment: Timestamp) -> Day {
    moment.ms().div_euclid(DAY_MS)
}

/// The lowest id of a day.
pub(crate) const fn first_id(day: Day) -> i64 {
    let ms = day * DAY_MS - EPOCH_MS;
    if ms <= 0 { 0 } else { ms << BELOW_MS }
}

/// The name of a table for one day.
pub(crate) fn table_name(table: &str, day: Day) -> String {
    format!("{table}_{day}")
}

impl Days {
    fn known(&self, day: Day) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&day)
    }

    /// Makes sure that there are tables for what has these ids.
    pub(crate) async fn make_room(&self, pool: &Arc<Pool>, ids: impl IntoIterator<Item = Id>) -> Outcome<()> {
        let days: BTreeSet<Day> = ids.into_iter().map(|id| day_of(id.time())).collect();
        for day in days {
            self.make(pool, day).await?;
        }
        Ok(())
    }

    /// Makes the tables of a day, where they are not there yet.
    pub(crate) async fn make(&self, pool: &Arc<Pool>, day: Day) -> Outcome<()> {
        if self.known(day) {
            return Ok(());
        }
        let db = pool.lend().await?;
        db.enter();
        db.begin().await?;
        // Two nodes that make the same tables at once: the second finds them there.
        db.query(cold::SCHEMA_LOCK, &[]).await?;
        for (table, _) in KEPT_BY_DAY {
            let name = table_name(table, day);
            let (from, to) = (first_id(day), first_id(day + 1));
            db.batch(&format!(
                "CREATE TABLE IF NOT EXISTS {name} PARTITION OF {table} FOR VALUES FROM ({from}) TO ({to})"
            ))
            .await?;
        }
        db.commit().await?;
        db.settled();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(day);
        Ok(())
    }

    /// A day's tables are gone.
    pub(crate) fn forget(&self, day: Day) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&day);
    }
}
