//! The server of a round, how it is set, and what it says about itself.

use std::{ops::Deref, time::Duration};

use anyhow::{Context, Result, anyhow};
use hongyan_store_suite::postgres::{Options, Server};
use tokio::task::{AbortHandle, block_in_place};
use tokio_postgres::NoTls;

use crate::bench::process::family_cpu;

/// How it is set, beside what every server of the fixture has: as a deployment would be, with room enough that no checkpoint
/// falls into a measurement by chance.
const SETTINGS: [(&str, &str); 15] = [
    ("fsync", "on"),
    ("synchronous_commit", "on"),
    ("full_page_writes", "on"),
    ("wal_compression", "off"),
    ("shared_buffers", "1GB"),
    ("max_wal_size", "4GB"),
    // Log files are used again instead of being made anew: whoever is measured first would pay for that.
    ("min_wal_size", "2GB"),
    ("wal_keep_size", "0"),
    ("checkpoint_timeout", "15min"),
    ("autovacuum_naptime", "5s"),
    ("jit", "off"),
    // When what was committed, and which statement wrote how much: by the server's own account, of product and reference alike.
    ("track_commit_timestamp", "on"),
    ("shared_preload_libraries", "pg_stat_statements"),
    ("pg_stat_statements.max", "1000"),
    ("max_connections", "200"),
];

/// How much log is written, to be used again, before anything is measured.
const LOG_MADE_MB: i32 = 1024;

/// What a connection of the reference is set to: as the product's are.
const LIKE_THE_PRODUCT: &str =
    "SET jit = off; SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET timezone = 'UTC'";

/// A running server.
pub struct Database {
    server: Server,
}

/// A connection.
pub struct Connection {
    client: tokio_postgres::Client,
    driver: AbortHandle,
}

/// A place in the server's log, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct LogPlace(i64);

impl LogPlace {
    /// How many bytes lie between this place and a later one.
    pub fn until(self, later: Self) -> f64 {
        (later.0 - self.0) as f64
    }
}

impl Database {
    /// An empty database on a server of its own.
    pub async fn start() -> Result<Self> {
        let settings = SETTINGS.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let server = block_in_place(|| Server::start(Options { settings, port: None, place: Some("/var/tmp".into()) }));
        let database = Self { server };
        let db = database.connect().await?;
        db.batch_execute("CREATE EXTENSION pg_stat_statements").await.context("pg_stat_statements is not installed")?;
        let make = "SELECT pg_logical_emit_message(false, 'bench', repeat('x', 1 << 20)) FROM generate_series(1, $1)";
        db.query(&format!("SELECT count(*) FROM ({make}) made"), &[&LOG_MADE_MB]).await?;
        database.checkpoint().await?;
        Ok(database)
    }

    /// Its connection string.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// A connection, set as the product sets its own.
    pub async fn connect(&self) -> Result<Connection> {
        let (client, connection) = tokio_postgres::connect(&self.url(), NoTls).await.context("cannot connect")?;
        let driver = tokio::spawn(async move { drop(connection.await) }).abort_handle();
        client.batch_execute(LIKE_THE_PRODUCT).await?;
        Ok(Connection { client, driver })
    }

    /// Writes everything to the tables: what follows meets the log empty, and every page for the first time.
    pub async fn checkpoint(&self) -> Result<()> {
        Ok(self.connect().await?.batch_execute("CHECKPOINT").await?)
    }

    /// Ends it as a crash does, and starts it again.
    pub fn crash(&self) {
        block_in_place(|| {
            self.server.stop_immediate();
            self.server.start_again();
        });
    }

    /// Processor time so far, of all its processes.
    pub fn cpu(&self) -> Result<Duration> {
        family_cpu(self.server.pid().context("PostgreSQL is down")?)
    }

    /// Where its log ends.
    pub async fn log_end(&self) -> Result<LogPlace> {
        let row = self.connect().await?.query_one("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint", &[]).await?;
        Ok(LogPlace(row.get(0)))
    }

    /// What it is and how it is set, in one line.
    pub async fn described(&self) -> Result<String> {
        let db = self.connect().await?;
        let version: String = db.query_one("SHOW server_version", &[]).await?.get(0);
        let mut said = Vec::new();
        for (name, _) in SETTINGS.into_iter().chain([("data_checksums", "")]) {
            let value: String = db.query_one(&format!("SHOW {name}"), &[]).await?.get(0);
            said.push(format!("{name} {value}"));
        }
        Ok(format!("PostgreSQL {version} on the same machine: {}", said.join(", ")))
    }
}

impl Connection {
    /// The one number that a query answers.
    pub async fn number(&self, query: &str) -> Result<i64> {
        let row = self.query_one(query, &[]).await.with_context(|| query.to_owned())?;
        row.try_get(0).map_err(|error| anyhow!("{query}: {error}"))
    }
}

impl Deref for Connection {
    type Target = tokio_postgres::Client;

    fn deref(&self) -> &tokio_postgres::Client {
        &self.client
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
