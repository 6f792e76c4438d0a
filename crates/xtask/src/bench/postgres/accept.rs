//! Accepting on a paused channel, against raw inserts of the same rows in batches of the same size.

use std::time::Duration;

use anyhow::{Context, Result};

use super::{
    database::Database,
    fleet::{Fleet, expect_queued},
    nodes_named, raw, spent,
};
use crate::{
    bench::{
        ground::Ground,
        mail,
        product::{Plan, Via},
        report::{Goal, Report, Row},
        wrk,
    },
    note,
};

const CONNECTIONS: [usize; 2] = [64, 512];
/// On how many connections a node commits what it accepts.
const WORKERS: usize = 2;
/// What nobody is sent by.
const VIA: Via = Via::Counter { repeat: "at_least_once", calls: 16 };

/// Measures all rounds.
pub async fn measure(ground: &Ground, report: &mut Report) -> Result<()> {
    for nodes in &ground.options.nodes {
        for connections in CONNECTIONS {
            let mut rows = Rows::new(*nodes, connections);
            for round in 1..=ground.options.rounds {
                let (ours, theirs) = run(ground, report, *nodes, connections).await?;
                note(&format!(
                    "accept by {}, {connections} connections, round {round}: {:.0}/s, {:.0} a commit, raw {:.0}/s",
                    nodes_named(*nodes),
                    ours.counted.rate(),
                    ours.batch,
                    theirs.rate()
                ));
                rows.push(&ours, &theirs);
            }
            report.rows.extend(rows.0);
        }
    }
    Ok(())
}

/// The lines of one size.
struct Rows([Row; 7]);

impl Rows {
    fn new(nodes: u16, connections: usize) -> Self {
        let name = |what: &str| format!("accept, {}, {connections} connections{what}", nodes_named(nodes));
        Self([
            Row::new(name(""), "mails/s", Goal::RatioAtLeast(0.5)),
            Row::new(name(", p50"), "ms", Goal::None),
            Row::new(name(", p99"), "ms", Goal::None),
            Row::new(name(", CPU of hongyan / client"), "µs/mail", Goal::None),
            Row::new(name(", CPU of PostgreSQL"), "µs/mail", Goal::None),
            Row::new(name(", log of PostgreSQL"), "bytes/mail", Goal::None),
            Row::new(name(", share a commit"), "mails", Goal::None),
        ])
    }

    fn push(&mut self, ours: &Ours, theirs: &raw::Inserted) {
        let Self([rates, p50, p99, hongyan, postgres, log, batch]) = self;
        rates.pair(ours.counted.rate(), theirs.rate());
        p50.single(ours.counted.p50);
        p99.single(ours.counted.p99);
        hongyan.pair(per_mail(ours.cpu, ours.stored), per_mail(theirs.client, theirs.messages));
        postgres.pair(per_mail(ours.postgres, ours.stored), per_mail(theirs.postgres, theirs.messages));
        log.single(ours.log / ours.stored as f64);
        batch.single(ours.batch);
    }
}

/// A round of ours.
struct Ours {
    counted: wrk::Counted,
    /// What the database holds afterwards.
    stored: u64,
    cpu: Duration,
    postgres: Duration,
    log: f64,
    batch: f64,
}

async fn run(ground: &Ground, report: &mut Report, nodes: u16, connections: usize) -> Result<(Ours, raw::Inserted)> {
    let database = Database::start().await?;
    report.say_of_machine(database.described().await?);
    let ours = ours(ground, &database, nodes, connections).await.context("ours")?;
    let (workers, batch) = (WORKERS * usize::from(nodes), ours.batch.round().max(1.0) as usize);
    let duration = Duration::from_secs(ground.options.seconds);
    let theirs = raw::insert(&database, workers, batch, duration).await.context("raw inserts")?;
    Ok((ours, theirs))
}

/// What was answered with success must be in the database, also after nodes and database were killed.
async fn ours(ground: &Ground, database: &Database, nodes: u16, connections: usize) -> Result<Ours> {
    let mut fleet = Fleet::start(ground, database, nodes, Plan { paused: true, via: VIA }).await?;
    database.checkpoint().await?;
    spent::forget(database).await?;
    let (log, cpu, postgres) = (database.log_end().await?, fleet.cpu()?, database.cpu()?);
    let body = mail::kilobyte("[alarm] load is high on 10.0.0.12");
    let counted = wrk::run(ground, &fleet.ports(), connections, ground.options.seconds, &body).await?;
    let (cpu, postgres) = (fleet.cpu()? - cpu, database.cpu()? - postgres);
    let log = log.until(database.log_end().await?);
    fleet.kill().await?;
    if ground.options.statements {
        spent::tell(database, "accept", counted.good).await?;
    }
    database.crash();
    // What was on its way when wrk stopped may be stored, or not.
    let stored = expect_queued(database, counted.good, counted.good + connections as u64).await?;
    let batch = spent::commits(&database.connect().await?, "message").await?.batch();
    Ok(Ours { counted, stored, cpu, postgres, log, batch })
}

fn per_mail(time: Duration, mails: u64) -> f64 {
    time.as_secs_f64() * 1e6 / mails.max(1) as f64
}
