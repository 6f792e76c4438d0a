//! `hongyan nodes`: who works on the store, as a running node tells it. No store is opened for it.

use std::{
    io::{self, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use crate::{config::Config, fetch::fetch};

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
    let body = fetch(address, "/v1/nodes", Some(&config.admin_token), None).await.with_context(|| {
        format!("no node answers at {address} (--server names another; this asks a running node and opens no store)")
    })?;
    let nodes = nodes(&body).with_context(|| format!("the node at {address} does not say"))?;
    let mut out = io::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(&nodes)?)?;
    } else {
        let rows: Vec<_> = nodes.iter().map(row).collect();
        write!(out, "{}", table(&rows))?;
    }
    Ok(out.flush()?)
}

/// The address that `server` names: `HOST:PORT`, with or without `http://` before it.
async fn resolve(server: &str) -> anyhow::Result<SocketAddr> {
    let host = server.strip_prefix("http://").unwrap_or(server).trim_end_matches('/');
    let mut found =
        tokio::net::lookup_host(host).await.with_context(|| format!("--server {server:?} is not HOST:PORT"))?;
    found.next().with_context(|| format!("--server {server:?} has no address"))
}

/// Where a node that listens on `listen` is reached from its own machine.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
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

/// Columns as wide as what is in them.
fn table(rows: &[[String; 9]]) -> String {
    let head = HEAD.map(str::to_owned);
    let width = |column: usize| rows.iter().chain([&head]).map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 9] = std::array::from_fn(width);
    let mut page = String::new();
    for row in [&head].into_iter().chain(rows) {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        page += cells.collect::<Vec<_>>().join("  ").trim_end();
        page.push('\n');
    }
    page
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
        assert_eq!(table(&rows), expected);
    }

    #[test]
    fn a_refusal_is_said_in_its_own_words() {
        let refused = json!({ "title": "Unauthorized", "detail": "send the token" }).to_string();
        assert_eq!(nodes(&refused).expect_err("refused").to_string(), "send the token");
        assert!(nodes("<html>").is_err() && nodes("{}").is_err());
    }

    #[tokio::test]
    async fn a_node_is_found_where_it_can_be_reached() {
        let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
        assert_eq!(reachable(address("0.0.0.0:8080")), address("127.0.0.1:8080"));
        assert_eq!(reachable(address("[::]:8080")), address("[::1]:8080"));
        assert_eq!(reachable(address("10.1.2.3:8080")), address("10.1.2.3:8080"));
        assert_eq!(resolve("http://127.0.0.1:81/").await.expect("an address"), address("127.0.0.1:81"));
        assert!(resolve("nonsense").await.is_err());
    }
}
