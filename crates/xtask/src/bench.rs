//! `cargo xtask bench`: what the product does per second, per message and in memory, each against a reference that is
//! measured in the same run, round by round, because the speed of a shared machine changes between minutes.
//!
//! Everything listens on loopback, on free ports, in temporary directories; every child ends with this process. The
//! judge is never the product itself: `wrk` reads every answer, `smtp-sink` counts what arrived.

mod accept;
mod drain;
mod ground;
mod http;
mod load;
mod machine;
mod mail;
mod memory;
mod postfix;
mod process;
mod product;
mod report;
mod sink;
mod stamps;
mod through;
mod tools;
mod wrk;

pub mod reference;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};

use self::{ground::Ground, report::Report};

/// What to measure, and how long.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// The store that the product runs on.
    #[arg(long, value_enum, default_value_t = Store::Sqlite)]
    store: Store,
    /// The parts to run; all of them when absent.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// Rounds per part; below three the medians say little.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Also write everything that was measured to this file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// How long each load lasts.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// How many mails `drain` queues.
    #[arg(long, default_value_t = 200_000)]
    backlog: u64,
    /// How many mails `memory` queues.
    #[arg(long, default_value_t = 1_000_000)]
    queued: u64,
    /// How many mails Postfix relays in a round.
    #[arg(long, default_value_t = 5_000)]
    relayed: u64,
    /// Where the temporary directories are made: on a disk, where everybody may pass (Postfix has a user of its own).
    #[arg(long, default_value = "/var/tmp")]
    dir: PathBuf,
    /// A built product to measure, instead of building this repository's.
    #[arg(long)]
    product: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Store {
    Sqlite,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Durable accepts per second, against a bare HTTP server.
    Accept,
    /// A backlog delivered over SMTP, against `smtp-source`.
    Drain,
    /// HTTP in to SMTP out: rate, latency, CPU and memory.
    Through,
    /// The same against Postfix relaying.
    Postfix,
    /// Resident memory, idle and with a long queue, and the accept rate with a long queue.
    Memory,
}

/// Measures, prints the table, and writes the file.
pub fn run(options: &Options) -> Result<ExitCode> {
    if cfg!(debug_assertions) {
        return tools::run_optimised();
    }
    if options.rounds == 0 || options.seconds == 0 {
        bail!("nothing is measured in no rounds or no time");
    }
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    let report = runtime.block_on(async {
        tokio::select! {
            report = measure(options) => report,
            stopped = stopped() => stopped,
        }
    })?;
    report.print(options.rounds);
    if let Some(path) = &options.json {
        std::fs::write(path, report.json()).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn measure(options: &Options) -> Result<Report> {
    let wanted = |part: Part| options.only.is_empty() || options.only.contains(&part);
    let ground = Ground::prepare(options)?;
    let mut report = Report::new(machine::describe(&ground));
    if wanted(Part::Accept) {
        accept::measure(&ground, &mut report).await.context("accept")?;
    }
    if wanted(Part::Drain) {
        drain::measure(&ground, &mut report).await.context("drain")?;
    }
    if wanted(Part::Through) || wanted(Part::Postfix) {
        through::measure(&ground, &mut report, wanted(Part::Through), wanted(Part::Postfix))
            .await
            .context("through")?;
    }
    if wanted(Part::Memory) {
        memory::measure(&ground, &mut report).await.context("memory")?;
    }
    Ok(report)
}

/// Ends when somebody asks this process to stop. Leaving by an error stops every child, Postfix too.
async fn stopped<T>() -> Result<T> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
    bail!("interrupted")
}
