//! `hongyan demo`: a node that captures what it would send, the documents' samples sent to it over real HTTP, and a table of
//! what became of them. Loopback only, for its secrets are known to everybody.

use std::{
    io::{self, Write},
    net::SocketAddr,
    path::PathBuf,
};

use anyhow::{Context, ensure};
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    config::Config,
    fetch::{Call, fetch},
    node::Node,
    plan::Plan,
    vault::sha256_hex,
};

mod imsg;
mod push;

const PLAN: &str = include_str!("plan.toml");
const ADMIN_TOKEN: &str = "demo-admin-token";

/// A sample of the documents.
struct Sample {
    name: &'static str,
    path: &'static str,
    /// As printed in the document, without trailing commas and with `bk_username` for `bk_token`, which only a BlueKing login
    /// service could verify.
    body: &'static str,
}

const SAMPLES: [Sample; 3] = [
    Sample { name: "CMSI send_msg (mail)", path: "/api/c/compapi/cmsi/send_msg/", body: include_str!("send_msg.json") },
    Sample {
        name: "CMSI send_weixin",
        path: "/api/c/compapi/cmsi/send_weixin/",
        body: include_str!("send_weixin.json"),
    },
    Sample { name: "CMSI send_mail", path: "/api/c/compapi/cmsi/send_mail/", body: include_str!("send_mail.json") },
];

/// One line of the table.
struct Line {
    sample: &'static str,
    channel: String,
    recipient: String,
    address: String,
    state: String,
    said: String,
}

impl Line {
    /// The state of a delivery that the provider took.
    const ACCEPTED: &str = "accepted";
    /// The state of a call that sends nothing and was answered.
    const ANSWERED: &str = "answered";
    /// The state of a call that was not.
    const REFUSED: &str = "refused";

    /// The line of a sample of which there is no message.
    fn refused(sample: &'static str, said: String) -> Self {
        let none = || "-".to_owned();
        Self { sample, channel: none(), recipient: none(), address: none(), state: Self::REFUSED.to_owned(), said }
    }

    fn is_good(&self) -> bool {
        self.state == Self::ACCEPTED || self.state == Self::ANSWERED
    }
}

/// Runs the demonstration; answers whether everything was delivered. Without `once` it then serves until SIGTERM or SIGINT.
///
/// # Errors
/// When the node cannot be started or does not answer.
pub async fn run(listen: SocketAddr, data: PathBuf, once: bool) -> anyhow::Result<bool> {
    ensure!(
        listen.ip().is_loopback(),
        "the demo listens on loopback only, and {listen} is not: its secrets are in the README"
    );
    let config = Config {
        listen: listen.to_string(),
        store: format!("sqlite:{}", data.join("hongyan.db").display()),
        secret_file: data.join("master.key"),
        admin_token: ADMIN_TOKEN.to_owned(),
        ..Config::default()
    };
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let plan = Plan::parse(PLAN).context("in the demo's plan")?;
    let node = Node::start(&config, Some((plan, sha256_hex(PLAN.as_bytes()))), false).await?;
    let address = node.address();
    let mut lines = Vec::new();
    for sample in &SAMPLES {
        lines.extend(send(address, sample).await.with_context(|| format!("while sending the sample {}", sample.name))?);
    }
    lines.extend(imsg::run(address).await.context("while making the calls of the token API")?);
    lines.extend(push::run(address).await.context("while sending the push platform's samples")?);
    let delivered = lines.iter().all(Line::is_good);
    show(&lines, address, once)?;
    if !once {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
    node.stop().await;
    Ok(delivered)
}

/// Sends a sample and looks up what became of it.
async fn send(address: SocketAddr, sample: &Sample) -> anyhow::Result<Vec<Line>> {
    let reply: Value = serde_json::from_str(&fetch(address, Call::post(sample.path, sample.body)).await?.1)?;
    let request_id = reply["request_id"].as_str().context("the reply has no request_id")?;
    let lines = deliveries(address, sample.name, request_id).await?;
    if !lines.is_empty() {
        return Ok(lines);
    }
    Ok(vec![Line::refused(sample.name, text(&reply["message"]))])
}

/// What became of a message's deliveries; nothing where there is no such message.
async fn deliveries(address: SocketAddr, sample: &'static str, message: &str) -> anyhow::Result<Vec<Line>> {
    let (_, message) = fetch(address, Call::get(format!("/v1/messages/{message}")).by(ADMIN_TOKEN)).await?;
    Ok(delivery_lines(sample, &serde_json::from_str(&message)?))
}

/// A line for each delivery of a message as `/v1` shows it.
fn delivery_lines(sample: &'static str, message: &Value) -> Vec<Line> {
    let line = |delivery: &Value| {
        let last = delivery["attempts"].as_array().and_then(|attempts| attempts.last()).cloned().unwrap_or_default();
        Line {
            sample,
            channel: text(&delivery["channel"]),
            recipient: text(&delivery["recipient"]),
            address: text(&delivery["address"]),
            state: text(&delivery["state"]),
            said: format!("{}: {}", text(&last["provider"]), text(&last["reply"])),
        }
    };
    message["deliveries"].as_array().into_iter().flatten().map(line).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or("-").to_owned()
}

fn show(lines: &[Line], address: SocketAddr, once: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let row = |[a, b, c, d, e, f]: [&str; 6]| format!("{a:<22} {b:<7} {c:<17} {d:<22} {e:<10} {f}");
    writeln!(out, "\n{}", row(["SAMPLE", "CHANNEL", "RECIPIENT", "ADDRESS", "STATE", "PROVIDER SAID"]))?;
    for line in lines {
        let Line { sample, channel, recipient, address, state, said } = line;
        writeln!(out, "{}", row([sample, channel, recipient, address, state, said]))?;
    }
    let deliveries = lines.iter().filter(|line| line.state != Line::ANSWERED).count();
    let delivered = lines.iter().filter(|line| line.state == Line::ACCEPTED).count();
    writeln!(out, "\n{delivered} of {deliveries} delivered.")?;
    if !once {
        writeln!(out, "\nThe demo keeps serving on http://{address}; Ctrl-C ends it. Where to look:")?;
        writeln!(
            out,
            "  what would have been sent   curl -H 'Authorization: Bearer {ADMIN_TOKEN}' http://{address}/v1/captures"
        )?;
        writeln!(
            out,
            "  a message's life line       curl -H 'Authorization: Bearer {ADMIN_TOKEN}' http://{address}/v1/messages/REQUEST_ID"
        )?;
        writeln!(out, "  counters                    curl http://{address}/metrics")?;
        writeln!(out, "  send one yourself           curl http://{address}/api/c/compapi/cmsi/send_mail/ -d '{{")?;
        writeln!(out, "      \"bk_app_code\": \"esb_test\", \"bk_app_secret\": \"xxx\", \"bk_username\": \"admin\",")?;
        writeln!(
            out,
            "      \"receiver\": \"you@example.com\", \"title\": \"Hello\", \"content\": \"<b>Hello</b>\"}}'"
        )?;
        writeln!(out, "  push to people and groups   curl http://{address}/api/openApi/message/push/channel -d '{{")?;
        writeln!(
            out,
            "      \"appId\": \"102343444\", \"receiverType\": \"specified\", \"receiverData\": {{\"dept\": [\"DEPT001\"]}},"
        )?;
        writeln!(
            out,
            "      \"channelData\": {{\"1002\": {{\"title\": \"Hello\", \"content\": \"<b>Hello</b>\"}}}}}}'"
        )?;
        writeln!(
            out,
            "  look into an inbox          curl -u 102343444:demo-push-secret 'http://{address}/v1/inbox?user=USER001'"
        )?;
        writeln!(out, "  log in to the token API     curl http://{address}/api/login -d '{{")?;
        writeln!(out, "      \"username\": \"admin\", \"password\": \"123\"}}'")?;
    }
    out.flush()
}
