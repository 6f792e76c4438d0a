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
mod postgres;
mod process;
mod product;
mod push;
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
    /// The parts to run; all that the store has when absent.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// On PostgreSQL: with how many nodes, each as a measurement of its own.
    #[arg(long, value_delimiter = ',', default_value = "1,2,3", value_parser = clap::value_parser!(u16).range(1..=32))]
    nodes: Vec<u16>,
    /// Rounds per part; below three the medians say little.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Also write everything that was measured to this file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// How long each load lasts.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// How many mails `drain` queues; absent: 200,000, on PostgreSQL 100,000.
    #[arg(long)]
    backlog: Option<u64>,
    /// On PostgreSQL: also print which statements cost most, part by part.
    #[arg(long)]
    statements: bool,
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
    Postgres,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Durable accepts per second, against a bare HTTP server; on PostgreSQL against raw inserts.
    Accept,
    /// Durable accepts of the push platform per second, on one channel and on three, against a bare HTTP server.
    Push,
    /// A backlog delivered over SMTP, against `smtp-source`; on PostgreSQL by a provider that only counts, against raw SQL.
    Drain,
    /// HTTP in to SMTP out: rate, latency, CPU and memory.
    Through,
    /// The same against Postfix relaying.
    Postfix,
    /// Resident memory, idle and with a long queue, and the accept rate with a long queue.
    Memory,
    /// On PostgreSQL: bytes of its log per message.
    Wal,
}

impl Store {
    const fn has(self, part: Part) -> bool {
        match self {
            Self::Sqlite => !matches!(part, Part::Wal),
            Self::Postgres => matches!(part, Part::Accept | Part::Drain | Part::Wal),
        }
    }
}

impl Options {
    fn wants(&self, part: Part) -> bool {
        self.store.has(part) && (self.only.is_empty() || self.only.contains(&part))
    }
}

/// Measures, prints the table, and writes the file.
pub fn run(options: &Options) -> Result<ExitCode> {
    if cfg!(debug_assertions) {
        return tools::run_optimised();
    }
    if options.rounds == 0 || options.seconds == 0 {
        bail!("nothing is measured in no rounds or no time");
    }
    if let Some(part) = options.only.iter().find(|part| !options.store.has(**part)) {
        bail!("{part:?} is not measured on {:?}", options.store);
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
    let ground = Ground::prepare(options)?;
    let mut report = Report::new(machine::describe(&ground));
    match options.store {
        Store::Sqlite => on_sqlite(&ground, &mut report).await?,
        Store::Postgres => postgres::measure(&ground, &mut report).await?,
    }
    Ok(report)
}

async fn on_sqlite(ground: &Ground, report: &mut Report) -> Result<()> {
    let wanted = |part| ground.options.wants(part);
    if wanted(Part::Accept) {
        accept::measure(ground, report).await.context("accept")?;
    }
    if wanted(Part::Push) {
        push::measure(ground, report).await.context("push")?;
    }
    if wanted(Part::Drain) {
        drain::measure(ground, report).await.context("drain")?;
    }
    if wanted(Part::Through) || wanted(Part::Postfix) {
        through::measure(ground, report, wanted(Part::Through), wanted(Part::Postfix)).await.context("through")?;
    }
    if wanted(Part::Memory) {
        memory::measure(ground, report).await.context("memory")?;
    }
    Ok(())
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
