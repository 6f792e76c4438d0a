//! Resident memory, fresh and with a long queue, and what a long queue does to the accept rate. The channel is not
//! paused; its SMTP server refuses connections.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::{
    ground::Ground,
    load::{self, Pace},
    process::free_port,
    product::{Home, IN_FLIGHT, Plan, Product, Via},
    report::{Goal, Report, Row},
};
use crate::note;

const CONNECTIONS: usize = 64;
const IDLE: Duration = Duration::from_secs(5);
const AFTER_LOAD: Duration = Duration::from_secs(10);

/// Measures all rounds. In each the long queue comes first, so that the two accept rates are taken within seconds.
pub async fn measure(ground: &Ground, report: &mut Report) -> Result<()> {
    let queued = ground.options.queued;
    let mut idle = Row::new("memory idle".to_owned(), "MB", Goal::Below(40.0));
    let mut full = Row::new(format!("memory with {queued} queued"), "MB", Goal::Below(150.0));
    let mut rates = Row::new(format!("accept with {queued} queued / empty"), "mails/s", Goal::RatioAtLeast(0.8));
    for round in 1..=ground.options.rounds {
        let plan = Plan { paused: false, via: Via::Smtp { port: free_port()? } };
        let long = with_long_queue(ground, plan, queued).await.context("with a long queue")?;
        let short = fresh(ground, plan).await.context("empty")?;
        note(&format!(
            "memory round {round}: {:.1} MB idle, {:.1} MB with {queued}; accept {:.0}/s, empty {:.0}/s",
            short.0, long.0, long.1, short.1
        ));
        idle.single(short.0);
        full.single(long.0);
        rates.pair(long.1, short.1);
    }
    report.rows.extend([idle, full, rates]);
    Ok(())
}

/// Memory ten seconds after the load, and the accept rate then.
async fn with_long_queue(ground: &Ground, plan: Plan, queued: u64) -> Result<(f64, f64)> {
    let home = Home::new(ground)?;
    let product = home.start(ground, plan).await?;
    let sent = load::run(&[product.port], CONNECTIONS, Pace::Count(queued), Instant::now()).await?;
    note(&format!("  {queued} mails queued at {:.0}/s", sent.rate()));
    tokio::time::sleep(AFTER_LOAD).await;
    let resident = product.process().resident_mb()?;
    // What is just being tried is not counted as waiting.
    product.holds(queued.saturating_sub(u64::from(IN_FLIGHT) * 4), queued).await?;
    Ok((resident, accept_rate(ground, &product).await?))
}

/// Memory of a fresh start after five seconds, and the accept rate then.
async fn fresh(ground: &Ground, plan: Plan) -> Result<(f64, f64)> {
    let home = Home::new(ground)?;
    let product = home.start(ground, plan).await?;
    tokio::time::sleep(IDLE).await;
    let resident = product.process().resident_mb()?;
    Ok((resident, accept_rate(ground, &product).await?))
}

async fn accept_rate(ground: &Ground, product: &Product) -> Result<f64> {
    let duration = Duration::from_secs(ground.options.seconds);
    Ok(load::run(&[product.port], CONNECTIONS, Pace::For(duration), Instant::now()).await?.rate())
}
