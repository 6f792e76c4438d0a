//! HTTP in to SMTP out: what is delivered per second under load, how long a mail is on its way, what it costs; and the
//! same load relayed by Postfix.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::{
    ground::Ground,
    load::{self, Pace},
    mail, postfix,
    process::{Process, until},
    product::{Home, Plan, Via},
    report::{Goal, Report, Row},
    sink::Sink,
    stamps::{Latency, StampSink},
    wrk,
};
use crate::note;

const CONNECTIONS: usize = 64;

/// The share of the full rate at which the moderate latencies are taken.
const MODERATE: f64 = 0.5;

/// One round under full load.
struct Full {
    /// Delivered per second, from the first request until the queue was empty.
    delivered: f64,
    /// Accepted per second while the load lasted.
    accepted: f64,
    /// Microseconds of processor time per mail.
    cpu: f64,
    /// The most resident memory that was seen, in MB.
    resident: f64,
}

/// Measures all rounds; `alone` asks for our own numbers, `relay` for the comparison with Postfix.
pub async fn measure(ground: &Ground, report: &mut Report, alone: bool, relay: bool) -> Result<()> {
    let row = |name: &str, unit, goal| Row::new(name.to_owned(), unit, goal);
    let mut against = row("through / Postfix relaying", "mails/s", Goal::RatioAtLeast(10.0));
    let mut delivered = row("through, delivered", "mails/s", Goal::None);
    let mut accepted = row("through, accepted meanwhile", "mails/s", Goal::None);
    let mut cpu = row("through, CPU of hongyan", "µs/mail", Goal::None);
    let mut resident = row("through, memory under load", "MB", Goal::None);
    let names = ["half load, p50", "half load, p99", "full load, p50", "full load, p99"];
    let mut delays = names.map(|name| Row::new(format!("through, request to sink at {name}"), "ms", Goal::None));
    for round in 1..=ground.options.rounds {
        let full = full_load(ground).await?;
        note(&format!("through round {round}: {:.0}/s delivered, {:.0}/s accepted", full.delivered, full.accepted));
        if relay {
            let theirs = postfix::relay(ground).await.context("Postfix")?;
            note(&format!("  Postfix {theirs:.0}/s"));
            against.pair(full.delivered, theirs);
        }
        delivered.single(full.delivered);
        accepted.single(full.accepted);
        cpu.single(full.cpu);
        resident.single(full.resident);
        if alone {
            let (half, full) = latencies(ground, full.delivered * MODERATE).await.context("latency")?;
            let values = [half.p50, half.p99, full.p50, full.p99];
            delays.iter_mut().zip(values).for_each(|(row, value)| row.single(value));
        }
    }
    if relay {
        report.rows.push(against);
    }
    if alone {
        report.rows.extend([delivered, accepted, cpu, resident]);
        report.rows.extend(delays);
    }
    Ok(())
}

async fn full_load(ground: &Ground) -> Result<Full> {
    let mut sink = Sink::start(ground).await?;
    let home = Home::new(ground)?;
    let product = home.start(ground, Plan { paused: false, via: Via::Smtp { port: sink.port } }).await?;
    let body = mail::kilobyte("load");
    let (before, start) = (product.process().cpu()?, Instant::now());
    let ports = [product.port];
    let load = wrk::run(ground, &ports, CONNECTIONS, ground.options.seconds, &body);
    let (counted, mut resident) = with_peak(product.process(), load).await?;
    let (seen, later) = with_peak(product.process(), sink.reach(counted.good)).await?;
    resident = resident.max(later);
    let total = sink.settle(counted.good + CONNECTIONS as u64).await?;
    let time = product.process().cpu()? - before;
    Ok(Full {
        delivered: seen.rate_since(start),
        accepted: counted.rate(),
        cpu: time.as_secs_f64() * 1e6 / total as f64,
        resident,
    })
}

/// Runs something and watches the memory of a process meanwhile.
async fn with_peak<T>(process: &Process, work: impl Future<Output = Result<T>>) -> Result<(T, f64)> {
    let mut peak = process.resident_mb()?;
    let mut ticks = tokio::time::interval(Duration::from_millis(200));
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return Ok((done?, peak)),
            _ = ticks.tick() => peak = peak.max(process.resident_mb()?),
        }
    }
}

/// From the moment a request is sent until its mail has arrived whole: at a steady moderate rate, and at full load.
async fn latencies(ground: &Ground, rate: f64) -> Result<(Latency, Latency)> {
    let origin = Instant::now();
    let sink = StampSink::start(origin).await?;
    let home = Home::new(ground)?;
    let product = home.start(ground, Plan { paused: false, via: Via::Smtp { port: sink.port } }).await?;
    let duration = Duration::from_secs(ground.options.seconds);
    let mut found = Vec::new();
    for pace in [Pace::Steady(rate, duration), Pace::For(duration)] {
        let sent = load::run(&[product.port], CONNECTIONS, pace, origin).await?;
        let all = async || Ok((sink.count() >= sent.accepted).then_some(()));
        until("all mails have arrived", Duration::from_secs(120), all).await?;
        let latency = sink.take()?;
        note(&format!("  {:.0}/s: p50 {:.1} ms, p99 {:.1} ms", sent.rate(), latency.p50, latency.p99));
        found.push(latency);
    }
    Ok((found[0], found[1]))
}
