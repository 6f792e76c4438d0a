//! A backlog delivered by a provider that only counts, against raw claim and complete of the same rows.

use std::time::Duration;

use anyhow::{Context, Result};

use super::{
    database::Database,
    fleet::{Fleet, expect_delivered, expect_queued},
    nodes_named, raw,
    spent::{self, Kind},
};
use crate::{
    bench::{
        ground::Ground,
        product::{Plan, Via},
        report::{Goal, Report, Row},
    },
    note,
};

/// How many mails are queued, unless it is said.
const BACKLOG: u64 = 100_000;
/// How many calls the provider takes at a time.
const CALLS: u32 = 64;
/// How many connections of a node claim; one channel has one at a time.
const CLAIMERS: usize = 1;
/// How many connections of a node settle.
const COMPLETERS: usize = 2;
/// Both promises about repeating: without a note of each call before it is made, and with.
const PROMISES: [&str; 2] = ["at_least_once", "at_most_once"];

/// Measures all rounds.
pub async fn measure(ground: &Ground, report: &mut Report) -> Result<()> {
    let count = ground.options.backlog.unwrap_or(BACKLOG);
    for nodes in &ground.options.nodes {
        for repeat in PROMISES {
            let mut rows = Rows::new(*nodes, count, repeat);
            for round in 1..=ground.options.rounds {
                let (ours, theirs) = run(ground, report, *nodes, count, repeat).await?;
                note(&format!(
                    "drain {repeat} by {}, round {round}: {:.0}/s, {:.0} a claim, {:.0} a settlement, raw {:.0}/s",
                    nodes_named(*nodes),
                    ours.rate,
                    ours.claim,
                    ours.settle,
                    theirs.rate
                ));
                rows.push(&ours, &theirs, count);
            }
            report.rows.extend(rows.0);
        }
    }
    Ok(())
}

/// The lines of one size.
struct Rows([Row; 6]);

impl Rows {
    fn new(nodes: u16, count: u64, repeat: &str) -> Self {
        let name = |what: &str| format!("drain of {count} {repeat}, {}{what}", nodes_named(nodes));
        Self([
            Row::new(name(""), "mails/s", Goal::RatioAtLeast(0.5)),
            Row::new(name(", CPU of hongyan / client"), "µs/mail", Goal::None),
            Row::new(name(", CPU of PostgreSQL"), "µs/mail", Goal::None),
            Row::new(name(", log of PostgreSQL"), "bytes/mail", Goal::None),
            Row::new(name(", share a claim"), "mails", Goal::None),
            Row::new(name(", share a settlement"), "mails", Goal::None),
        ])
    }

    fn push(&mut self, ours: &Ours, theirs: &raw::Drained, count: u64) {
        let Self([rates, hongyan, postgres, log, claim, settle]) = self;
        let per_mail = |time: Duration| time.as_secs_f64() * 1e6 / count as f64;
        rates.pair(ours.rate, theirs.rate);
        hongyan.pair(per_mail(ours.cpu), per_mail(theirs.client));
        postgres.pair(per_mail(ours.postgres), per_mail(theirs.postgres));
        log.single(ours.log / count as f64);
        claim.single(ours.claim);
        settle.single(ours.settle);
    }
}

/// A round of ours.
struct Ours {
    rate: f64,
    cpu: Duration,
    postgres: Duration,
    log: f64,
    claim: f64,
    settle: f64,
}

async fn run(
    ground: &Ground,
    report: &mut Report,
    nodes: u16,
    count: u64,
    repeat: &'static str,
) -> Result<(Ours, raw::Drained)> {
    let database = Database::start().await?;
    report.say_of_machine(database.described().await?);
    let ours = ours(ground, &database, nodes, count, repeat).await.context("ours")?;
    let size = |rows: f64| rows.round().max(1.0) as usize;
    let nodes = usize::from(nodes);
    let sizes = raw::Sizes {
        claimers: CLAIMERS * nodes,
        completers: COMPLETERS * nodes,
        claim: size(ours.claim),
        complete: size(ours.settle),
    };
    let theirs = raw::drain(&database, sizes, count).await.context("raw claim and complete")?;
    Ok((ours, theirs))
}

/// Queues the backlog on a paused channel, and resumes it by starting all nodes with another plan.
async fn ours(ground: &Ground, database: &Database, nodes: u16, count: u64, repeat: &'static str) -> Result<Ours> {
    let via = Via::Counter { repeat, calls: CALLS };
    let mut fleet = Fleet::start(ground, database, nodes, Plan { paused: true, via }).await?;
    let queued = fleet.queue(count).await.context("queueing")?;
    fleet.stop().await?;
    expect_queued(database, count, count).await?;
    note(&format!("  {count} mails queued at {queued:.0}/s"));
    raw::keep_backlog(database).await?;
    database.checkpoint().await?;
    spent::forget(database).await?;
    let (log, postgres) = (database.log_end().await?, database.cpu()?);
    fleet.start_again(ground, Plan { paused: false, via }).await?;
    fleet.until_delivered(database, count).await?;
    let (cpu, postgres) = (fleet.cpu()?, database.cpu()? - postgres);
    let log = log.until(database.log_end().await?);
    let db = database.connect().await?;
    let commits = spent::of(&db, Kind::Commit).await?;
    let claims = spent::of(&db, Kind::Claim).await?;
    let intents = spent::of(&db, Kind::Intent).await?;
    fleet.stop().await?;
    if ground.options.statements {
        spent::tell(database, &format!("drain {repeat}"), count).await?;
    }
    expect_delivered(database, count).await?;
    let done = spent::commits(&db, "done").await?;
    // What is no settlement is a claim. Where calls are noted before, the statements must do, of which a claim may have several.
    let claimed = u64::try_from(commits.calls)?.saturating_sub(done.commits);
    let claimed = if intents.calls == 0 && claimed > 0 { claimed } else { u64::try_from(claims.calls)? };
    let claim = count as f64 / claimed.max(1) as f64;
    Ok(Ours { rate: done.rate(), cpu, postgres, log, claim, settle: done.batch() })
}
