//! The days for which there are tables: history is kept a table a day, and a day's tables must be there before anything of
//! that day is stored.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use hongyan_core::{id::Id, time::Timestamp};

use crate::{
    pool::Pool,
    retry::again,
    schema::{KEPT_BY_DAY, anyones, anyones_failed, anyones_to, businesses, doubts, own, own_failed, own_to},
    session::Session,
    sql::cold,
    trouble::Outcome,
};

/// Which of these tables there are.
const THERE: &str =
    "SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema() AND tablename = ANY ($1)";

/// Indexes that an earlier program did not know, each by its table, a word of its condition that no other there has, and what they
/// are made of.
const LATE_INDEXES: [(&str, &str, &[&str]); 3] = [
    ("done", "reason", &[doubts!()]),
    ("done", "app", &[own!(), anyones!(), own_to!(), anyones_to!(), own_failed!(), anyones_failed!()]),
    ("message", "business", &[businesses!()]),
];

/// A day of table $2 that an earlier program made, without an index whose condition has the word $1, and that is so small that it is
/// given it in a moment.
const WITHOUT_INDEX: &str = "SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid \
    WHERE i.inhparent = $2::text::regclass AND pg_relation_size(c.oid) < 64 * 1024 * 1024 \
      AND NOT EXISTS (SELECT 1 FROM pg_index x WHERE x.indrelid = c.oid \
                      AND position($1 IN pg_get_expr(x.indpred, x.indrelid)) > 0) \
    ORDER BY c.relname DESC LIMIT 1";
/// How long a table may be waited for meanwhile: whoever wants to write there waits behind.
const PATIENCE: &str = "SET LOCAL lock_timeout = '100ms'";

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

/// The first moment of a day.
pub(crate) const fn begin_of(day: Day) -> Timestamp {
    Timestamp::from_ms(day * DAY_MS)
}

/// The lowest id of a day.
pub(crate) const fn first_id(day: Day) -> i64 {
    lowest_id(begin_of(day))
}

/// The lowest id of a moment.
pub(crate) const fn lowest_id(moment: Timestamp) -> i64 {
    let ms = moment.ms() - EPOCH_MS;
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
        self.make_all(pool, [day]).await
    }

    /// The same for several days, in one transaction.
    pub(crate) async fn make_all(&self, pool: &Arc<Pool>, days: impl IntoIterator<Item = Day>) -> Outcome<()> {
        let days: Vec<Day> = days.into_iter().filter(|day| !self.known(*day)).collect();
        if days.is_empty() {
            return Ok(());
        }
        again(|| make_once(pool, &days)).await?;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(days);
        Ok(())
    }

    /// A day's tables are gone.
    pub(crate) fn forget(&self, day: Day) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&day);
    }
}

/// Gives the days that an earlier program made the indexes that they lack, where that is done in a moment; the others do without.
pub(crate) async fn index_days(pool: &Arc<Pool>) -> Outcome<()> {
    let db = pool.lend().await?;
    for (table, word, indexes) in LATE_INDEXES {
        while !db.query(WITHOUT_INDEX, &[&word, &table]).await?.is_empty() {
            db.enter();
            db.begin().await?;
            db.batch(PATIENCE).await?;
            // Of two nodes at this the second finds it done.
            db.query(cold::SCHEMA_LOCK, &[]).await?;
            if let Some(row) = db.query_opt(WITHOUT_INDEX, &[&word, &table]).await? {
                let name: &str = row.try_get(0)?;
                for index in indexes {
                    db.batch(&format!("CREATE INDEX ON {name} {index}")).await?;
                }
            }
            db.commit().await?;
            db.settled();
        }
    }
    Ok(())
}

async fn make_once(pool: &Arc<Pool>, days: &[Day]) -> Outcome<()> {
    let db = pool.lend().await?;
    db.enter();
    db.begin().await?;
    make_missing(&db, days).await?;
    db.commit().await?;
    db.settled();
    Ok(())
}

async fn make_missing(db: &Session, days: &[Day]) -> Outcome<()> {
    // Two nodes that make the same tables at once: the second finds them there.
    db.query(cold::SCHEMA_LOCK, &[]).await?;
    let tables = days.iter().flat_map(|day| KEPT_BY_DAY.map(|(table, _)| (table, *day, table_name(table, *day))));
    let tables: Vec<(&str, Day, String)> = tables.collect();
    let names: Vec<&str> = tables.iter().map(|(_, _, name)| name.as_str()).collect();
    let there = db.query(THERE, &[&names]).await?;
    let there = there.iter().map(|row| Ok(row.try_get(0)?)).collect::<Outcome<BTreeSet<String>>>()?;
    let mut making = String::new();
    for (table, day, name) in tables.iter().filter(|(_, _, name)| !there.contains(name)) {
        let (from, to) = (first_id(*day), first_id(day + 1));
        // A table that is made apart and then attached locks nobody out of the others; PARTITION OF would.
        making += &format!(
            "CREATE TABLE {name} (LIKE {table} INCLUDING ALL); \
             ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ({from}) TO ({to});"
        );
    }
    if making.is_empty() { Ok(()) } else { db.batch(&making).await }
}
