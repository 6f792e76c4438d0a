//! A backlog delivered over SMTP, against `smtp-source` into an identical sink. The sinks' own counts decide.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::{
    ground::Ground,
    load::{self, Pace},
    process::free_port,
    product::{Home, Plan, Via},
    report::{Goal, Report, Row},
    sink::{self, Sink},
};
use crate::note;

/// How many mails are queued, unless it is said.
const BACKLOG: u64 = 200_000;

/// Measures all rounds.
pub async fn measure(ground: &Ground, report: &mut Report) -> Result<()> {
    let count = ground.options.backlog.unwrap_or(BACKLOG);
    let mut rates = Row::new(format!("drain of {count} mails of 1 KiB"), "mails/s", Goal::RatioAtLeast(0.8));
    let mut cpu = Row::new("drain, CPU of hongyan".to_owned(), "µs/mail", Goal::None);
    for round in 1..=ground.options.rounds {
        let (ours, time) = ours(ground, count).await.context("ours")?;
        let theirs = reference(ground, count).await.context("the reference")?;
        note(&format!("drain round {round}: {ours:.0}/s, smtp-source {theirs:.0}/s"));
        rates.pair(ours, theirs);
        cpu.single(time.as_secs_f64() * 1e6 / count as f64);
    }
    report.rows.extend([rates, cpu]);
    Ok(())
}

/// Queues the backlog on a paused channel, and resumes it by a start with another plan.
async fn ours(ground: &Ground, count: u64) -> Result<(f64, Duration)> {
    let home = Home::new(ground)?;
    let held = home.start(ground, Plan { paused: true, via: Via::Smtp { port: free_port()? } }).await?;
    let queued = load::run(&[held.port], 64, Pace::Count(count), Instant::now()).await.context("queueing")?;
    held.holds(count, count).await?;
    held.stop().await?;
    note(&format!("  {count} mails queued at {:.0}/s", queued.rate()));
    let mut sink = Sink::start(ground).await?;
    let plan = Plan { paused: false, via: Via::Smtp { port: sink.port } };
    let (resumed, seen) = tokio::try_join!(home.start(ground, plan), sink.reach(count))?;
    let time = resumed.process().cpu()?;
    sink.settle(count).await?;
    Ok((seen.rate(), time))
}

async fn reference(ground: &Ground, count: u64) -> Result<f64> {
    let mut sink = Sink::start(ground).await?;
    let port = sink.port;
    let ((), seen) = tokio::try_join!(sink::source(ground, port, count), sink.reach(count))?;
    sink.settle(count).await?;
    Ok(seen.rate())
}
