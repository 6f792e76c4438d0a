//! `hongyan nodes`: who works on the store, as a running node tells it. No store is opened for it.

use std::io::{self, Write};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use crate::{
    config::Config,
    fetch::{Call, fetch, reachable, resolve},
    table::table,
};

/// The head of the table.
const HEAD: [&str; 9] = ["NODE", "EPOCH", "HOST", "VERSION", "STARTED", "HEARD", "STATE", "BUCKETS", "CLOCK"];

/// Asks the node at `server` (absent: where the configuration has one listen) and prints what it says, as JSON or as a table.
///
/// # Errors
/// When no node answers or it refuses, in words for the operator.
pub async fn run(config: &Config, server: Option<&str>, json: bool) -> anyhow::Result<()> {
    ensure!(
        !config.admin_token.is_empty(),
        "the administrator's token is missing: give it as HONGYAN_ADMIN_TOKEN, or as admin_token in the configuration"
    );
    let address = match server {
        Some(server) => resolve(server).await?,
        None => reachable(config.listen_address()?),
    };
    let (_, body) = fetch(address, Call::get("/v1/nodes").by(&config.admin_token)).await.with_context(|| {
        format!("no node answers at {address} (--server names another; this asks a running node and opens no store)")
    })?;
    let nodes = nodes(&body).with_context(|| format!("the node at {address} does not say"))?;
    let mut out = io::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(&nodes)?)?;
    } else {
        let rows: Vec<_> = nodes.iter().map(row).collect();
        write!(out, "{}", table(HEAD, &rows))?;
    }
    Ok(out.flush()?)
}

/// The list in a reply, or the reply's words where it is a refusal.
fn nodes(body: &str) -> anyhow::Result<Vec<Value>> {
    let reply: Value = serde_json::from_str(body).context("its reply is not JSON")?;
    match (&reply["nodes"], &reply["detail"]) {
        (Value::Array(nodes), _) => Ok(nodes.clone()),
        (_, Value::String(detail)) => bail!("{detail}"),
        _ => bail!("its reply is of another kind: is it a Hongyan node of this version?"),
    }
}

fn row(node: &Value) -> [String; 9] {
    let text = |key: &str| match &node[key] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    [
        format!("{}{}", text("number"), if node["this"] == true { "*" } else { "" }),
        text("epoch"),
        text("host"),
        text("version"),
        // Without the fraction: nobody reads the milliseconds of a start.
        text("started").split('.').next().unwrap_or_default().replace('T', " "),
        format!("{:.1} s ago", node["silent_seconds"].as_f64().unwrap_or_default()),
        match (&node["alive"], &node["stopping"]) {
            (Value::Bool(true), Value::Bool(true)) => "stopping",
            (Value::Bool(true), _) => "alive",
            _ => "dead",
        }
        .to_owned(),
        node["buckets"].as_array().map_or(0, Vec::len).to_string(),
        format!("{:+} ms", node["clock_ahead_ms"].as_i64().unwrap_or_default()),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_is_aligned() {
        let reply = json!({ "nodes": [
            { "number": 1, "epoch": 12, "host": "a:4711", "version": "0.1.0", "started": "2026-05-01T08:00:00.123Z",
              "heard": "2026-05-01T09:00:00.000Z", "silent_seconds": 1.25, "alive": true, "this": true, "buckets": [0, 1],
              "clock_ahead_ms": 3 },
            { "number": 2, "epoch": 9, "host": "machine-b:1", "version": "0.1.0", "started": "2026-05-01T08:00:00.123Z",
              "heard": "2026-05-01T09:00:00.000Z", "silent_seconds": 3600.0, "alive": false, "this": false, "buckets": [],
              "clock_ahead_ms": -20 },
        ] });
        let rows: Vec<_> = nodes(&reply.to_string()).expect("a list").iter().map(row).collect();
        let expected = "\
NODE  EPOCH  HOST         VERSION  STARTED              HEARD         STATE  BUCKETS  CLOCK
1*    12     a:4711       0.1.0    2026-05-01 08:00:00  1.2 s ago     alive  2        +3 ms
2     9      machine-b:1  0.1.0    2026-05-01 08:00:00  3600.0 s ago  dead   0        -20 ms
";
        assert_eq!(table(HEAD, &rows), expected);
    }

    #[test]
    fn a_refusal_is_said_in_its_own_words() {
        let refused = json!({ "title": "Unauthorized", "detail": "send the token" }).to_string();
        assert_eq!(nodes(&refused).expect_err("refused").to_string(), "send the token");
        assert!(nodes("<html>").is_err() && nodes("{}").is_err());
    }
}
