//! The calls of the token API's document in its order: log in, send, change the limits, look at what was sent.

use std::net::SocketAddr;

use anyhow::{Context, ensure};
use serde_json::Value;

use super::{Line, deliveries, text};
use crate::fetch::{Call, fetch, path_segment};

/// What stands for the token in the document's examples.
const TOKEN: &str = "###";

/// As printed in the document, with something sensible for its other `#`.
const LOGIN: &str = include_str!("imsg/login.json");
const SENDS: [(&str, &str); 5] = [
    ("iMSG mail", include_str!("imsg/mail.json")),
    ("iMSG mail to several", include_str!("imsg/mails.json")),
    ("iMSG mail with a file", include_str!("imsg/attachment.json")),
    ("iMSG sms", include_str!("imsg/sms.json")),
    ("iMSG sms to several", include_str!("imsg/smses.json")),
];
/// The document has no example of it; the limits leave room for the demo to run again and again.
const MODIFY: &str = include_str!("imsg/modify.json");
const USERNAME: &str = "天存-system-1001";

/// Makes the calls and says what became of each.
pub(super) async fn run(address: SocketAddr) -> anyhow::Result<Vec<Line>> {
    let login = ask(address, Call::post("/api/login", LOGIN)).await?;
    let mut lines = vec![line("iMSG login", USERNAME, &login, "a token")];
    let Some(token) = login["token"].as_str() else { return Ok(lines) };
    let with_token = |body: &str| body.replace(TOKEN, token);
    for (name, body) in SENDS {
        let reply = ask(address, Call::post("/api/send", with_token(body))).await?;
        match reply["msgId"].as_str() {
            Some(message) => lines.extend(deliveries(address, name, message).await?),
            None => lines.push(line(name, "-", &reply, "no msgId")),
        }
    }
    let path = format!("/api/modify/{}", path_segment(USERNAME));
    let modify = ask(address, Call::post(path, with_token(MODIFY))).await?;
    lines.push(line("iMSG modify", USERNAME, &modify, "500 an hour, 2000 a day"));
    let query = ask(address, Call::get(format!("/api/query?token={token}"))).await?;
    lines.push(line("iMSG query", USERNAME, &query, &format!("{} rows", query["total"])));
    Ok(lines)
}

async fn ask(address: SocketAddr, call: Call) -> anyhow::Result<Value> {
    let (status, reply) = fetch(address, call).await?;
    ensure!(status.is_success(), "the answer is {status}");
    serde_json::from_str(&reply).context("the answer is not JSON")
}

/// The line of a call that sends nothing; `gives` is what it is for.
fn line(sample: &'static str, recipient: &str, reply: &Value, gives: &str) -> Line {
    let is_done = reply["errorCode"] == 0;
    let code = format!("{} {}", reply["errorCode"], text(&reply["errorMessage"]));
    Line {
        sample,
        channel: "-".to_owned(),
        recipient: recipient.to_owned(),
        address: "-".to_owned(),
        state: if is_done { Line::ANSWERED } else { Line::REFUSED }.to_owned(),
        said: if is_done { format!("{code}: {gives}") } else { code },
    }
}
