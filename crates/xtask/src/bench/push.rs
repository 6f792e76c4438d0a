//! Durable accepts per second on the push platform: `push/channel` to two users who are named, whom the node has to find in its
//! directory, on one paused channel and on three; against the bare HTTP server of the accept benchmark under the same load.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::{
    accept::{per_mail, reference},
    ground::Ground,
    mail,
    process::free_port,
    product::{Home, push_plan},
    report::{Goal, Report, Row},
    wrk,
};
use crate::note;

/// Where a message is posted.
const PATH: &str = "/api/openApi/message/push/channel";
const CONNECTIONS: usize = 64;
/// The channels of the plan; a message goes by the first, or by all.
const CHANNELS: [&str; 3] = ["1003", "1004", "1005"];
/// The people of the plan; a message goes to all of them.
const PEOPLE: [&str; 2] = ["USER001", "USER002"];

/// Measures all rounds.
pub async fn measure(ground: &Ground, report: &mut Report) -> Result<()> {
    for channels in [1, CHANNELS.len()] {
        let name = |what: &str| format!("push/channel, 2 users, channels: {channels}{what}");
        let mut rates = Row::new(name(""), "requests/s", Goal::None);
        let mut p50 = Row::new(name(", p50"), "ms", Goal::None);
        let mut p99 = Row::new(name(", p99"), "ms", Goal::None);
        let mut cpu = Row::new(name(", CPU"), "µs/request", Goal::None);
        let body = body(&CHANNELS[..channels]);
        for round in 1..=ground.options.rounds {
            let (ours, time) = ours(ground, &body, channels).await.context("ours")?;
            let (theirs, their_time) = reference(ground, CONNECTIONS, PATH, &body).await.context("the reference")?;
            note(&format!("push by {channels} round {round}: {:.0}/s, reference {:.0}/s", ours.rate(), theirs.rate()));
            rates.pair(ours.rate(), theirs.rate());
            p50.pair(ours.p50, theirs.p50);
            p99.pair(ours.p99, theirs.p99);
            cpu.pair(per_mail(time, ours.good), per_mail(their_time, theirs.good));
        }
        report.rows.extend([rates, p50, p99, cpu]);
    }
    Ok(())
}

/// One round of ours. What was answered with success must be in the store, a delivery for each person on each channel, also after
/// the process was killed.
async fn ours(ground: &Ground, body: &str, channels: usize) -> Result<(wrk::Counted, Duration)> {
    let home = Home::new(ground)?;
    let plan = push_plan(free_port()?, &CHANNELS, &PEOPLE);
    let product = home.start_with(ground, &plan).await?;
    let before = product.process().cpu()?;
    let counted = wrk::run_at(ground, &[product.port], CONNECTIONS, ground.options.seconds, PATH, body).await?;
    let time = product.process().cpu()? - before;
    let each = (channels * PEOPLE.len()) as u64;
    let (least, most) = (counted.good * each, (counted.good + CONNECTIONS as u64) * each);
    product.holds(least, most).await?;
    product.kill().await?;
    let again = home.start_with(ground, &plan).await?;
    again.holds(least, most).await.context("after a kill")?;
    Ok((counted, time))
}

fn body(channels: &[&str]) -> String {
    let text = "<p>尊敬的同事：本周六 9:00 至 12:00 机房检修，请提前保存工作。</p>";
    let says = |channel: &&str| ((*channel).to_owned(), json!({ "title": "检修通知", "content": text }));
    let says: Map<String, Value> = channels.iter().map(says).collect();
    let body = json!({
        "appId": mail::APP,
        "receiverType": "specified",
        "receiverData": { "user": PEOPLE },
        "channelData": says,
        "businessId": "ORDER-20260105-0001",
        "msgType": "notice",
        "priority": "2",
        "senderName": "信息科",
    });
    body.to_string()
}
