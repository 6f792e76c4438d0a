//! The samples of the push platform's document: two messages of their own words, one from a template, each to people over SMS, the
//! in-app inbox and mail. They are answered on acceptance, so what became of them is looked up until it is known.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, bail};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{ADMIN_TOKEN, Line, Sample, delivery_lines, text};
use crate::fetch::{Call, fetch};

/// As printed in the document; in the third, the full-width comma is mended.
const SAMPLES: [Sample; 3] = [
    Sample { name: "push channel", path: "/api/openApi/message/push/channel", body: include_str!("push_channel.json") },
    Sample {
        name: "push channel, custom",
        path: "/api/openApi/message/push/channel",
        body: include_str!("push_custom.json"),
    },
    Sample {
        name: "push template",
        path: "/api/openApi/message/push/template",
        body: include_str!("push_template.json"),
    },
];

/// The app of the samples, as the demo's plan has it, and one of those to whom it writes.
const APP: (&str, &str) = ("102343444", "demo-push-secret");
const READER: &str = "USER001";

/// How long the outcomes of a sample may take, and how often they are looked up.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(50);

/// Sends the samples and says where each message went.
pub(super) async fn run(address: SocketAddr) -> anyhow::Result<Vec<Line>> {
    let mut lines = Vec::new();
    for sample in &SAMPLES {
        let reply: Value = serde_json::from_str(&fetch(address, Call::post(sample.path, sample.body)).await?.1)
            .context("the answer is not JSON")?;
        match reply["msgId"].as_str() {
            Some(id) => {
                let message = settled(address, id).await.with_context(|| format!("the sample {}", sample.name))?;
                lines.extend(delivery_lines(sample.name, &message));
            }
            None => lines.push(Line::refused(sample.name, format!("{} {}", reply["code"], text(&reply["msg"])))),
        }
    }
    lines.push(inbox(address).await.context("while looking into an inbox")?);
    Ok(lines)
}

/// What the first of the samples' people finds in the inbox, as their app shows it to them.
async fn inbox(address: SocketAddr) -> anyhow::Result<Line> {
    let (code, secret) = APP;
    let call = Call::get(format!("/v1/inbox?user={READER}")).by_app(code, secret);
    let reply: Value = serde_json::from_str(&fetch(address, call).await?.1).context("the answer is not JSON")?;
    let Some(items) = reply["items"].as_array() else {
        return Ok(Line::refused("push inbox", text(&reply["detail"])));
    };
    Ok(Line {
        sample: "push inbox",
        channel: "1002".to_owned(),
        recipient: READER.to_owned(),
        address: "-".to_owned(),
        state: Line::ANSWERED.to_owned(),
        said: items.iter().map(|item| text(&item["title"])).collect::<Vec<_>>().join("; "),
    })
}

/// A message once everybody is found and none of its deliveries is on its way any more.
async fn settled(address: SocketAddr, id: &str) -> anyhow::Result<Value> {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        let (_, body) = fetch(address, Call::get(format!("/v1/messages/{id}")).by(ADMIN_TOKEN)).await?;
        let message: Value = serde_json::from_str(&body).context("the message is not JSON")?;
        let is_open = |state: &str| matches!(state, "ready" | "leased" | "sending");
        let mut states =
            message["deliveries"].as_array().into_iter().flatten().map(|delivery| text(&delivery["state"]));
        if message["state"] == "expanded" && !states.any(|state| is_open(&state)) {
            return Ok(message);
        }
        sleep(LOOK).await;
    }
    bail!("nothing became of message {id} within {} s", PATIENCE.as_secs())
}
