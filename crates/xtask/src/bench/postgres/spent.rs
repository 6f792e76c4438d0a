//! What the server says that was spent: by statement, and by commit.

use anyhow::Result;

use super::database::{Connection, Database};
use crate::note;

/// How many statements are shown.
const SHOWN: i64 = 10;

/// What a kind of statement came to since [`forget`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Spent {
    /// How often it ran.
    pub calls: i64,
    /// How many rows it answered or touched.
    pub rows: i64,
    /// How many bytes of log it wrote.
    pub log: f64,
}

/// A kind of the product's statements, known by a phrase that only they have.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Leases what waits.
    Claim,
    /// Notes before a call that it is begun.
    Intent,
    /// Moves what is over to the other table.
    Settle,
    /// Ends a transaction.
    Commit,
}

impl Kind {
    const fn condition(self) -> &'static str {
        match self {
            Self::Claim => "query LIKE '%SKIP LOCKED%'",
            Self::Intent => "query LIKE '%UPDATE delivery%' AND query NOT LIKE '%SKIP LOCKED%'",
            Self::Settle => "query LIKE '%DELETE FROM delivery%'",
            Self::Commit => "query = 'COMMIT'",
        }
    }
}

/// How rows were committed.
#[derive(Clone, Copy, Debug)]
pub struct Commits {
    /// How many rows there are.
    pub rows: u64,
    /// How many commits made them.
    pub commits: u64,
    /// How many of the rows came after the first commit.
    pub later: u64,
    /// How long after the first commit the last one was, in seconds.
    pub seconds: f64,
}

impl Commits {
    /// Rows a commit.
    pub fn batch(&self) -> f64 {
        self.rows as f64 / self.commits.max(1) as f64
    }

    /// Rows a second, from the first commit to the last.
    pub fn rate(&self) -> f64 {
        self.later as f64 / self.seconds.max(f64::MIN_POSITIVE)
    }
}

/// Begins anew.
pub async fn forget(database: &Database) -> Result<()> {
    Ok(database.connect().await?.batch_execute("SELECT pg_stat_statements_reset()").await?)
}

/// What the statements of a kind came to.
pub async fn of(db: &Connection, kind: Kind) -> Result<Spent> {
    let query = format!(
        "SELECT coalesce(sum(calls), 0)::bigint, coalesce(sum(rows), 0)::bigint, coalesce(sum(wal_bytes), 0)::float8 \
         FROM pg_stat_statements WHERE query NOT LIKE '%pg_stat_statements%' AND {}",
        kind.condition()
    );
    let row = db.query_one(&query, &[]).await?;
    Ok(Spent { calls: row.try_get(0)?, rows: row.try_get(1)?, log: row.try_get(2)? })
}

/// How the rows of a table were committed, by the transaction that wrote each.
pub async fn commits(db: &Connection, table: &str) -> Result<Commits> {
    let query = format!(
        "WITH by AS (SELECT xmin::text AS tx, count(*) AS rows, pg_xact_commit_timestamp(xmin) AS at FROM {table} GROUP BY xmin) \
         SELECT coalesce(sum(rows), 0)::bigint, count(*), \
             coalesce(sum(rows) FILTER (WHERE at > (SELECT min(at) FROM by)), 0)::bigint, \
             coalesce(extract(epoch FROM max(at) - min(at)), 0)::float8 FROM by"
    );
    let row = db.query_one(&query, &[]).await?;
    let number = |at: usize| -> Result<u64> { Ok(u64::try_from(row.try_get::<_, i64>(at)?)?) };
    Ok(Commits { rows: number(0)?, commits: number(1)?, later: number(2)?, seconds: row.try_get(3)? })
}

/// Says which statements cost most, per `rows` rows of whatever was done.
pub async fn tell(database: &Database, what: &str, rows: u64) -> Result<()> {
    let query = "SELECT regexp_replace(left(query, 110), '\\s+', ' ', 'g'), calls, rows, total_exec_time, total_plan_time, \
            wal_bytes::float8, shared_blks_hit, shared_blks_read \
        FROM pg_stat_statements WHERE query NOT LIKE '%pg_stat_statements%' ORDER BY total_exec_time DESC LIMIT $1";
    note(&format!("  {what}: µs and log bytes per mail, ms per call, rows per call, pages per row"));
    for row in database.connect().await?.query(query, &[&SHOWN]).await? {
        let (text, calls, touched): (String, i64, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let (time, log): (f64, f64) = (row.try_get(3)?, row.try_get(5)?);
        let pages = row.try_get::<_, i64>(6)? + row.try_get::<_, i64>(7)?;
        let per_mail = |value: f64| value / rows.max(1) as f64;
        note(&format!(
            "  {:8.1} µs {:7.0} B {calls:8} calls {:8.2} ms {:8.1} rows {:8.1} pages  {text}",
            per_mail(time * 1000.0),
            per_mail(log),
            time / calls.max(1) as f64,
            touched as f64 / calls.max(1) as f64,
            pages as f64 / touched.max(1) as f64,
        ));
    }
    Ok(())
}
