//! `GET /v1/nodes`: the nodes of the store, the dead of the last day among them, in the order of their numbers.

use axum::{Json, extract::State};
use hongyan_core::{store::NodeRecord, time::Timestamp};
use serde::Serialize;

use crate::{Api, problem::Problem, wire};

#[derive(Debug, Serialize)]
pub(crate) struct NodesView {
    nodes: Vec<NodeView>,
}

#[derive(Debug, Serialize)]
struct NodeView {
    /// Its number, which is part of the ids that it makes.
    number: u8,
    /// Which of the number's lives this is.
    epoch: i64,
    /// The machine and process.
    host: String,
    version: String,
    #[serde(serialize_with = "wire::moment")]
    started: Timestamp,
    #[serde(serialize_with = "wire::moment")]
    heard: Timestamp,
    /// How long ago it was heard of.
    silent_seconds: f64,
    alive: bool,
    /// Whether it is about to leave.
    stopping: bool,
    /// Whether it is the node that answers.
    this: bool,
    /// The buckets that it prefers.
    buckets: Vec<u8>,
    /// How far its own clock runs ahead of the store's.
    clock_ahead_ms: i64,
}

pub(crate) async fn list(State(api): State<Api>) -> Result<Json<NodesView>, Problem> {
    let mut nodes = api.store.nodes().await?;
    nodes.sort_by_key(|node| (node.number, node.epoch));
    let now = api.store.clock().now();
    Ok(Json(NodesView { nodes: nodes.into_iter().map(|node| view(node, now)).collect() }))
}

fn view(node: NodeRecord, now: Timestamp) -> NodeView {
    let NodeRecord { number, epoch, host, version, started, heard, alive, stopping, this, buckets, clock_ahead_ms } =
        node;
    let silent_seconds = now.since(heard).as_millis() as f64 / 1_000.0;
    NodeView {
        number,
        epoch,
        host,
        version,
        started,
        heard,
        silent_seconds,
        alive,
        stopping,
        this,
        buckets,
        clock_ahead_ms,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_node_as_people_read_it() {
        let heard = Timestamp::from_ms(1_800_000_000_000);
        let node = NodeRecord {
            number: 3,
            epoch: 7,
            host: "a:1".to_owned(),
            version: "1.2.3".to_owned(),
            started: heard,
            heard,
            alive: true,
            stopping: false,
            this: false,
            buckets: vec![1, 5],
            clock_ahead_ms: -4,
        };
        let json = |now| serde_json::to_value(view(node.clone(), now)).expect("it can be written");
        let shown = json(heard + Duration::from_millis(1_500));
        assert_eq!(shown["silent_seconds"], 1.5);
        assert_eq!((&shown["buckets"], &shown["clock_ahead_ms"]), (&serde_json::json!([1, 5]), &(-4).into()));
        assert_eq!(shown["started"], "2027-01-15T08:00:00.000Z");
        assert_eq!(json(heard - Duration::from_secs(1))["silent_seconds"], 0.0, "clocks are never quite the same");
    }
}
