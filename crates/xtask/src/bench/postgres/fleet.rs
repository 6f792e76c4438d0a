//! Several nodes on one database: started, loaded, counted and stopped together.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use futures_util::future::try_join_all;
use tempfile::TempDir;

use super::database::Database;
use crate::bench::{
    ground::Ground,
    load::{self, Pace},
    process::until,
    product::{Home, Plan, Product},
};

/// How many connections queue what is delivered later.
const QUEUEING: usize = 64;
/// How long a backlog may take to be delivered, beyond a second per thousand.
const PATIENCE: Duration = Duration::from_secs(60);

/// The nodes' files, and those of them that run.
pub struct Fleet {
    homes: Vec<Home>,
    nodes: Vec<Product>,
    /// Where the key is that they share.
    _key: TempDir,
}

impl Fleet {
    /// Starts nodes: the first one makes the tables and the key, then the others follow together.
    pub async fn start(ground: &Ground, database: &Database, count: u16, plan: Plan) -> Result<Self> {
        let key = ground.fresh("key")?;
        let file = key.path().join("master.key");
        let homes = (0..count).map(|_| Home::on(ground, &database.url(), &file)).collect::<Result<Vec<_>>>()?;
        let mut nodes = Vec::new();
        if let Some((first, others)) = homes.split_first() {
            nodes.push(first.start(ground, plan).await?);
            nodes.extend(try_join_all(others.iter().map(|home| home.start(ground, plan))).await?);
        }
        Ok(Self { homes, nodes, _key: key })
    }

    /// Stops all nodes in good order.
    pub async fn stop(&mut self) -> Result<()> {
        try_join_all(self.nodes.drain(..).map(Product::stop)).await.map(drop)
    }

    /// Kills all nodes.
    pub async fn kill(&mut self) -> Result<()> {
        try_join_all(self.nodes.drain(..).map(Product::kill)).await.map(drop)
    }

    /// Starts all nodes at the same moment, after [`Fleet::stop`].
    pub async fn start_again(&mut self, ground: &Ground, plan: Plan) -> Result<()> {
        self.nodes = try_join_all(self.homes.iter().map(|home| home.start(ground, plan))).await?;
        Ok(())
    }

    /// Where the nodes listen.
    pub fn ports(&self) -> Vec<u16> {
        self.nodes.iter().map(|node| node.port).collect()
    }

    /// Processor time so far, of the nodes that run.
    pub fn cpu(&self) -> Result<Duration> {
        self.nodes.iter().map(|node| node.process().cpu()).sum()
    }

    /// Queues so many mails of 1 KiB over all nodes; answers how many a second.
    pub async fn queue(&self, count: u64) -> Result<f64> {
        self.queue_by(QUEUEING, count).await
    }

    /// The same over so many connections.
    pub async fn queue_by(&self, connections: usize, count: u64) -> Result<f64> {
        Ok(load::run(&self.ports(), connections, Pace::Count(count), Instant::now()).await?.rate())
    }

    /// Waits until nothing is left to deliver. The counters tell cheaply when it is time to look.
    pub async fn until_delivered(&self, database: &Database, count: u64) -> Result<()> {
        let db = database.connect().await?;
        let limit = PATIENCE + Duration::from_secs(count / 1000);
        let waiting = async || {
            let ready = db.number("SELECT coalesce(sum(ready), 0)::bigint FROM depth").await?;
            tokio::time::sleep(Duration::from_millis(45)).await;
            Ok((ready <= 0).then_some(()))
        };
        until("nothing waits any more", limit, waiting).await?;
        let open = async || {
            let open = db.number("SELECT count(*) FROM delivery").await?;
            tokio::time::sleep(Duration::from_millis(20)).await;
            Ok((open == 0).then_some(()))
        };
        until("everything is delivered", limit, open).await
    }
}

/// Checks that so many mails are stored, each with one delivery, and all wait.
pub async fn expect_queued(database: &Database, least: u64, most: u64) -> Result<u64> {
    let db = database.connect().await?;
    let messages = db.number("SELECT count(*) FROM message").await?;
    let waiting = db
        .number("SELECT count(*) FROM message m JOIN delivery d ON d.bucket = m.bucket AND d.message = m.id AND d.state = 0")
        .await?;
    let rows = db.number("SELECT count(*) FROM delivery").await?;
    let stored = u64::try_from(messages)?;
    if waiting != messages || rows != messages || !(least..=most).contains(&stored) {
        bail!("accepted between {least} and {most}: {messages} messages, {waiting} of them wait, {rows} deliveries");
    }
    Ok(stored)
}

/// Checks that so many mails were delivered: each has its row among what is done, accepted by the provider in one try.
pub async fn expect_delivered(database: &Database, count: u64) -> Result<()> {
    let db = database.connect().await?;
    let done = db
        .number("SELECT count(*) FROM message m JOIN done d ON d.bucket = m.bucket AND d.message = m.id AND d.state = 3 AND d.tries = 1")
        .await?;
    let rows = db.number("SELECT (SELECT count(*) FROM done) + (SELECT count(*) FROM delivery)").await?;
    if u64::try_from(done)? != count || rows != done {
        bail!("of {count} mails {done} were delivered by one try, in {rows} rows");
    }
    Ok(())
}
