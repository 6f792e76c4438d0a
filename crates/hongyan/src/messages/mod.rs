//! `hongyan messages`: those that wait for their time, listed, cancelled or sent now, through a running node or, where none runs, in
//! the store itself.

use std::{
    io::{self, Write},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context, ensure};
use clap::{Args, Subcommand};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

use crate::{
    account::desk::Desk,
    config::Config,
    fetch::{Call, path_segment},
    table::table,
};

const PATH: &str = "/v1/messages";
/// Messages of one look-up.
const PAGE: usize = 1_000;
/// How long cancelling or sending all of an app may take: each message is a change of its own.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// `hongyan messages …`
#[derive(Debug, Args)]
pub struct MessagesArgs {
    /// Configuration file; without it, hongyan.toml where that exists. HONGYAN_ADMIN_TOKEN gives the token.
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// The node to ask; without it, the one that listens where the configuration says, or the store itself where none does.
    #[arg(long, value_name = "HOST:PORT", global = true)]
    server: Option<String>,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: MessagesCommand,
}

#[derive(Debug, Subcommand)]
enum MessagesCommand {
    /// List the messages that wait for their time, the first to come first.
    Scheduled {
        #[command(flatten)]
        meant: Meant,
    },
    /// Cancel what waits of one message, or of every message that waits for its time and is meant. Prints how many.
    Cancel {
        #[command(flatten)]
        which: Which,
    },
    /// Send one message now, or every message that waits for its time and is meant. Prints how many.
    SendNow {
        #[command(flatten)]
        which: Which,
    },
}

/// One message, or all that are meant.
#[derive(Debug, Args)]
struct Which {
    /// Its id.
    #[arg(conflicts_with_all = ["app", "template", "channel"], required_unless_present_any = ["app", "template", "channel"])]
    id: Option<String>,
    #[command(flatten)]
    meant: Meant,
}

/// Which messages; what is not given narrows nothing.
#[derive(Debug, Args)]
struct Meant {
    /// Those of the app with this code.
    #[arg(long, value_name = "CODE")]
    app: Option<String>,
    /// Those made from the template with this code.
    #[arg(long, value_name = "CODE")]
    template: Option<String>,
    /// Those with the channel of this code among theirs.
    #[arg(long, value_name = "CODE")]
    channel: Option<String>,
}

impl Meant {
    fn given(self) -> impl Iterator<Item = (&'static str, String)> {
        let all = [("app", self.app), ("template", self.template), ("channel", self.channel)];
        all.into_iter().filter_map(|(key, value)| Some((key, value?)))
    }

    fn query(self) -> String {
        self.given().map(|(key, value)| format!("&{key}={}", utf8_percent_encode(&value, NON_ALPHANUMERIC))).collect()
    }

    fn body(self) -> String {
        let fields: Map<String, Value> = self.given().map(|(key, value)| (key.to_owned(), value.into())).collect();
        Value::Object(fields).to_string()
    }
}

impl Which {
    /// The request that does `deed` with them.
    fn call(self, deed: &str) -> Call {
        match self.id {
            Some(id) => Call::post(format!("{PATH}/{}/{deed}", path_segment(&id)), "{}"),
            None => Call::post(format!("{PATH}/{deed}"), self.meant.body()).of_kind("application/json", PATIENCE),
        }
    }
}

/// Carries the command out.
///
/// # Errors
/// When it cannot be, in words for the operator.
pub async fn run(config: &Config, arguments: MessagesArgs) -> anyhow::Result<()> {
    let MessagesArgs { server, json, command, .. } = arguments;
    let desk = Desk::open(config, server.as_deref()).await?;
    let done = carry_out(command, &desk, json).await;
    desk.close().await;
    done
}

async fn carry_out(command: MessagesCommand, desk: &Desk, json: bool) -> anyhow::Result<()> {
    let reply = match command {
        MessagesCommand::Scheduled { meant } => {
            let messages = all(desk, &meant.query()).await?;
            return if json { print(&format!("{:#}\n", Value::Array(messages))) } else { print(&listed(&messages)) };
        }
        MessagesCommand::Cancel { which } => desk.call(which.call("cancel")).await?,
        MessagesCommand::SendNow { which } => desk.call(which.call("send-now")).await?,
    };
    if json { print(&format!("{reply:#}\n")) } else { print(&said(&reply)?) }
}

/// Every message that waits, page by page.
async fn all(desk: &Desk, query: &str) -> anyhow::Result<Vec<Value>> {
    let mut messages = Vec::new();
    let mut after = String::new();
    loop {
        let page = desk.call(Call::get(format!("{PATH}/scheduled?limit={PAGE}{query}{after}"))).await?;
        messages.extend(page["messages"].as_array().cloned().context("the node does not say which messages wait")?);
        match page["next"].as_str() {
            Some(next) => after = format!("&after={}", path_segment(next)),
            None => return Ok(messages),
        }
    }
}

/// What was done, a key and its number a line.
fn said(reply: &Value) -> anyhow::Result<String> {
    let fields = reply.as_object().context("the node does not say what it did")?;
    ensure!(!fields.is_empty(), "the node does not say what it did");
    Ok(fields.iter().map(|(key, value)| format!("{key} {}\n", text(value))).collect())
}

fn listed(messages: &[Value]) -> String {
    let row = |message: &Value| {
        let channels = message["channels"].as_array().into_iter().flatten().map(text).collect::<Vec<_>>().join(",");
        [
            text(&message["id"]),
            text(&message["due"]),
            text(&message["app"]),
            channels,
            text(&message["template"]["code"]),
            text(&message["businessId"]),
        ]
    };
    let rows: Vec<_> = messages.iter().map(row).collect();
    table(["ID", "DUE", "APP", "CHANNELS", "TEMPLATE", "BUSINESS"], &rows)
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn print(page: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(page.as_bytes())?;
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        arguments: MessagesArgs,
    }

    #[test]
    fn one_message_or_those_that_are_meant() {
        for (line, is_right) in [
            (&["cancel", "17"][..], true),
            (&["cancel", "--app", "a", "--channel", "1001"], true),
            (&["send-now", "--template", "T"], true),
            (&["scheduled"], true),
            (&["cancel"], false),
            (&["send-now"], false),
            (&["cancel", "17", "--app", "a"], false),
        ] {
            let read = Line::try_parse_from(["messages"].iter().chain(line));
            assert_eq!(read.is_ok(), is_right, "{line:?}");
        }
        let meant = || Meant { app: Some("a&b".into()), template: None, channel: Some("1001".into()) };
        assert_eq!(meant().query(), "&app=a%26b&channel=1001");
        assert_eq!(meant().body(), r#"{"app":"a&b","channel":"1001"}"#);
    }

    #[test]
    fn what_waits_is_a_table_and_what_was_done_a_few_lines() {
        let messages = [json!({
            "id": "7", "due": "2027-01-15T08:00:00.000Z", "app": "a", "channels": ["1001", "1003"],
            "template": { "code": "MSG1001", "version": 2 }, "businessId": "b-1",
        })];
        let expected = "\
ID  DUE                       APP  CHANNELS   TEMPLATE  BUSINESS
7   2027-01-15T08:00:00.000Z  a    1001,1003  MSG1001   b-1
";
        assert_eq!(listed(&messages), expected);
        assert_eq!(said(&json!({ "matched": 3, "cancelled": 2 })).expect("counts"), "matched 3\ncancelled 2\n");
        assert!(said(&json!({})).is_err() && said(&Value::Null).is_err());
    }
}
