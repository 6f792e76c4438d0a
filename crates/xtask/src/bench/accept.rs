//! Durable accepts per second: `send_mail` on a paused channel, against a bare HTTP server under the same load.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::process::Command;

use super::{
    ground::Ground,
    mail,
    process::{Process, free_port, until_listening},
    product::{Home, Plan, Via},
    report::{Goal, Report, Row},
    wrk,
};
use crate::note;

const CONNECTIONS: [usize; 2] = [64, 512];

/// Measures all rounds.
pub async fn measure(ground: &Ground, report: &mut Report) -> Result<()> {
    for connections in CONNECTIONS {
        let mut rates = Row::new(format!("accept, {connections} connections"), "mails/s", Goal::RatioAtLeast(0.5));
        let mut p50 = Row::new(format!("accept, {connections} connections, p50"), "ms", Goal::None);
        let mut p99 = Row::new(format!("accept, {connections} connections, p99"), "ms", Goal::None);
        let mut cpu = Row::new(format!("accept, {connections} connections, CPU"), "µs/mail", Goal::None);
        for round in 1..=ground.options.rounds {
            let (ours, time) = ours(ground, connections).await.context("ours")?;
            let (theirs, their_time) =
                reference(ground, connections, mail::PATH, &mail::small()).await.context("the reference")?;
            note(&format!(
                "accept {connections} round {round}: {:.0}/s, reference {:.0}/s",
                ours.rate(),
                theirs.rate()
            ));
            rates.pair(ours.rate(), theirs.rate());
            p50.pair(ours.p50, theirs.p50);
            p99.pair(ours.p99, theirs.p99);
            cpu.pair(per_mail(time, ours.good), per_mail(their_time, theirs.good));
        }
        report.rows.extend([rates, p50, p99, cpu]);
    }
    Ok(())
}

/// One round of ours. What was answered with success must be in the store, also after the process was killed.
async fn ours(ground: &Ground, connections: usize) -> Result<(wrk::Counted, Duration)> {
    let home = Home::new(ground)?;
    let plan = Plan { paused: true, via: Via::Smtp { port: free_port()? } };
    let product = home.start(ground, plan).await?;
    let before = product.process().cpu()?;
    let counted = wrk::run(ground, &[product.port], connections, ground.options.seconds, &mail::small()).await?;
    let time = product.process().cpu()? - before;
    let most = counted.good + connections as u64; // what was on its way when wrk stopped may be stored, or not
    product.holds(counted.good, most).await?;
    product.kill().await?;
    let again = home.start(ground, plan).await?;
    again.holds(counted.good, most).await.context("after a kill")?;
    Ok((counted, time))
}

/// One round of the bare server, and its processor time.
pub async fn reference(
    ground: &Ground,
    connections: usize,
    path: &str,
    body: &str,
) -> Result<(wrk::Counted, Duration)> {
    let port = free_port()?;
    let mut command = Command::new(std::env::current_exe().context("cannot find this program")?);
    command.args(["bench-reference", "--listen", &format!("127.0.0.1:{port}")]);
    command.args(["--workers", &ground.workers.to_string()]);
    let server = Process::start("the reference", &mut command)?;
    until_listening(port, Duration::from_secs(10)).await?;
    let before = server.cpu()?;
    let counted = wrk::run_at(ground, &[port], connections, ground.options.seconds, path, body).await?;
    Ok((counted, server.cpu()? - before))
}

/// Microseconds for each.
pub fn per_mail(time: Duration, mails: u64) -> f64 {
    time.as_secs_f64() * 1e6 / mails.max(1) as f64
}
