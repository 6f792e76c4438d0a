//! How many bytes PostgreSQL logs for a message, step by step: right after a checkpoint, when a page that is touched for the first
//! time is logged whole, and in the steady state.

use anyhow::{Context, Result, bail};

use super::{
    database::Database,
    fleet::{Fleet, expect_delivered, expect_queued},
    nodes_named,
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

/// How many messages each step has.
const COUNT: u64 = 20_000;
/// As many calls as let everything be born leased that few connections bring.
const CALLS: u32 = 512;
const FEW: usize = 16;
/// What a step is measured after.
const WHEN: [&str; 2] = ["after a checkpoint", "steady"];

/// Measures all rounds.
pub async fn measure(ground: &Ground, report: &mut Report) -> Result<()> {
    let nodes = ground.options.nodes.first().copied().unwrap_or(1);
    let mut rows: Vec<Row> = Vec::new();
    for round in 1..=ground.options.rounds {
        let database = Database::start().await?;
        report.say_of_machine(database.described().await?);
        let mut steps = waiting(ground, &database, nodes, "at_least_once").await.context("at_least_once")?;
        let database = Database::start().await?;
        steps.extend(waiting(ground, &database, nodes, "at_most_once").await.context("at_most_once")?);
        let database = Database::start().await?;
        steps.extend(born_leased(ground, &database, nodes).await.context("born leased")?);
        for (n, (what, bytes)) in steps.into_iter().enumerate() {
            note(&format!("  log round {round}, {what}: {bytes:.0} bytes a message"));
            if rows.len() == n {
                let name = format!("log of PostgreSQL, {}: {what}", nodes_named(nodes));
                rows.push(Row::new(name, "bytes/mail", Goal::None));
            }
            rows[n].single(bytes);
        }
    }
    report.rows.extend(rows);
    Ok(())
}

/// A step and its bytes for each message.
type Step = (String, f64);

/// Messages that wait and are delivered later.
async fn waiting(ground: &Ground, database: &Database, nodes: u16, repeat: &'static str) -> Result<Vec<Step>> {
    let via = Via::Counter { repeat, calls: CALLS };
    let (held, open) = (Plan { paused: true, via }, Plan { paused: false, via });
    let mut fleet = Fleet::start(ground, database, nodes, held).await?;
    let mut steps = Vec::new();
    for (n, when) in (1..).zip(WHEN) {
        if n == 1 {
            database.checkpoint().await?;
        }
        let before = database.log_end().await?;
        fleet.queue(COUNT).await.context("queueing")?;
        let bytes = before.until(database.log_end().await?) / COUNT as f64;
        steps.push((format!("accepted and queued, {when}"), bytes));
        fleet.stop().await?;
        expect_queued_beside(database, n).await?;
        if n == 1 {
            database.checkpoint().await?;
        }
        spent::forget(database).await?;
        let before = database.log_end().await?;
        fleet.start_again(ground, open).await?;
        fleet.until_delivered(database, COUNT).await?;
        let bytes = before.until(database.log_end().await?) / COUNT as f64;
        steps.extend(parts(database, repeat, when, bytes).await?);
        expect_delivered(database, COUNT * n).await?;
        fleet.stop().await?;
        if n == 1 {
            fleet.start_again(ground, held).await?;
        }
    }
    if repeat == "at_most_once" {
        steps.retain(|(what, _)| !what.starts_with("accepted"));
    }
    Ok(steps)
}

/// What was delivered before is still there.
async fn expect_queued_beside(database: &Database, n: u64) -> Result<()> {
    if n == 1 {
        return expect_queued(database, COUNT, COUNT).await.map(drop);
    }
    let db = database.connect().await?;
    let (messages, waiting) =
        (db.number("SELECT count(*) FROM message").await?, db.number("SELECT count(*) FROM delivery").await?);
    if (u64::try_from(messages)?, u64::try_from(waiting)?) != (COUNT * n, COUNT) {
        bail!("{messages} messages, {waiting} deliveries wait");
    }
    Ok(())
}

/// A delivery's log, whole and by what its statements wrote; what they did not write themselves is commits and sweeping.
async fn parts(database: &Database, repeat: &str, when: &str, bytes: f64) -> Result<Vec<Step>> {
    let db = database.connect().await?;
    let mut steps = vec![(format!("delivered {repeat}, {when}"), bytes)];
    for (what, kind) in [("its claim", Kind::Claim), ("its intent", Kind::Intent), ("its settlement", Kind::Settle)] {
        let spent = spent::of(&db, kind).await?;
        if spent.calls > 0 {
            steps.push((format!("delivered {repeat}, {when}: {what}"), spent.log / COUNT as f64));
        }
    }
    Ok(steps)
}

/// Messages that are handed over as they are accepted.
async fn born_leased(ground: &Ground, database: &Database, nodes: u16) -> Result<Vec<Step>> {
    let via = Via::Counter { repeat: "at_least_once", calls: CALLS };
    let fleet = Fleet::start(ground, database, nodes, Plan { paused: false, via }).await?;
    let mut steps = Vec::new();
    for (n, when) in (1..).zip(WHEN) {
        if n == 1 {
            database.checkpoint().await?;
        }
        spent::forget(database).await?;
        let before = database.log_end().await?;
        fleet.queue_by(FEW, COUNT).await?;
        fleet.until_delivered(database, COUNT).await?;
        let bytes = before.until(database.log_end().await?) / COUNT as f64;
        expect_delivered(database, COUNT * n).await?;
        let claims = spent::of(&database.connect().await?, Kind::Claim).await?;
        let share = 100.0 * (1.0 - claims.rows as f64 / COUNT as f64);
        note(&format!("  {share:.1} % were born leased"));
        if share < 95.0 {
            bail!("only {share:.1} % were born leased");
        }
        steps.push((format!("accepted born leased and delivered, {when}"), bytes));
    }
    Ok(steps)
}
