//! Several nodes on one PostgreSQL database, with one plan and one key file.

use std::{
    collections::{BTreeSet, HashMap},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use hongyan_store_suite::postgres;
use serde_json::Value;

use super::{
    PATIENCE,
    judge::Judge,
    load::Told,
    server::{ADMIN, Home, Server, binary},
    wait_for,
};

/// What nodes have in common.
pub struct Fleet {
    pub home: Home,
    url: String,
    pub plan: String,
}

/// A node as the look-up of nodes shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    pub number: u64,
    pub epoch: i64,
    pub alive: bool,
    pub this: bool,
    pub buckets: Vec<u64>,
}

impl Fleet {
    /// Nodes on the database that `url` names.
    pub fn new(url: String, plan: String) -> Self {
        Self { home: Home::new(), url, plan }
    }

    /// The command that runs the node `name`.
    pub fn serve(&self, name: &str) -> Command {
        self.serve_with_key(name, "master.key")
    }

    /// The same with another key file.
    pub fn serve_with_key(&self, name: &str, key: &str) -> Command {
        let config = self.home.write(&format!("{name}.toml"), &self.config(key));
        let plan = self.home.write(&format!("{name}.plan"), &self.plan);
        let mut command = Command::new(binary());
        command.arg("serve").arg("--config").arg(config).arg("--plan").arg(plan);
        command
    }

    fn config(&self, key: &str) -> String {
        let dir = self.home.dir.path().display();
        let Self { url, home, .. } = self;
        let proxies = home.proxies();
        format!(
            "listen = \"127.0.0.1:0\"\nstore = \"{url}\"\nsecret_file = \"{dir}/{key}\"\nadmin_token = \"{ADMIN}\"\n{proxies}"
        )
    }

    /// Starts so many nodes at the same moment and waits until all listen.
    pub fn start(&self, nodes: usize) -> Vec<Server> {
        thread::scope(|scope| {
            let commands = (0..nodes).map(|n| self.serve(&format!("node{n}")));
            let starting: Vec<_> = commands.map(|command| scope.spawn(|| Server::spawn(command))).collect();
            starting.into_iter().map(|node| node.join().expect("it starts")).collect()
        })
    }

    /// Asks the database.
    pub fn sql(&self, query: &str) -> String {
        postgres::sql(&self.url, query).unwrap_or_else(|error| panic!("{query}: {error}"))
    }

    /// How many deliveries this registration of a node holds.
    pub fn held_by(&self, node: &Known) -> usize {
        let held = format!(
            "select count(*) from delivery where state in (1, 2) and node = {} and epoch = {}",
            node.number, node.epoch
        );
        self.sql(&held).parse().expect("a number")
    }

    /// Waits until nothing is open any more, and holds what the clients were told and what the judge saw against each other:
    /// nothing came twice, and everything accepted came or is on record as `unknown`. Answers how many are `unknown`.
    pub fn reckon(&self, told: &Told, judge: &Judge, what: &str) -> usize {
        wait_for(&format!("an empty queue: {what}"), PATIENCE, || {
            (self.sql("select count(*) from delivery") == "0").then_some(())
        });
        let arrived = judge.arrived();
        for (recipient, deliveries) in &arrived {
            assert_eq!(deliveries.len(), 1, "{recipient} got more than one: {deliveries:?} ({what})");
        }
        let done = self.sql("select recipient, state from done");
        let done: HashMap<&str, &str> = done.lines().filter_map(|line| line.split_once('|')).collect();
        let (accepted, unknown) = ("3", "9");
        let is_unknown = |recipient: &str| done.get(recipient) == Some(&unknown);
        for recipient in told.accepted().keys() {
            let is_kept = arrived.contains_key(recipient) || is_unknown(recipient);
            assert!(is_kept, "{recipient} was accepted and never came: {:?} ({what})", done.get(recipient.as_str()));
        }
        for (recipient, state) in &done {
            assert!([accepted, unknown].contains(state), "{recipient} ended in state {state} ({what})");
            let is_true = *state == unknown || arrived.contains_key(*recipient);
            assert!(is_true, "{recipient} is on record as delivered and never came ({what})");
        }
        assert!(arrived.keys().all(|recipient| done.contains_key(recipient.as_str())), "all are on record ({what})");
        let rows: usize = self.sql("select count(*) from done").parse().expect("a number");
        assert_eq!(rows, done.len(), "each once on record ({what})");
        done.values().filter(|state| **state == unknown).count()
    }
}

/// The nodes of the store, as `server` knows them.
pub fn known(server: &Server) -> Vec<Known> {
    let reply = server.get("/v1/nodes");
    assert_eq!(reply.status, 200, "{reply:?}");
    let reply = reply.json();
    let node = |node: &Value| Known {
        number: node["number"].as_u64().expect("a number"),
        epoch: node["epoch"].as_i64().expect("a number"),
        alive: node["alive"].as_bool().expect("a truth"),
        this: node["this"].as_bool().expect("a truth"),
        buckets: node["buckets"].as_array().expect("a list").iter().filter_map(Value::as_u64).collect(),
    };
    reply["nodes"].as_array().expect("a list").iter().map(node).collect()
}

/// Which of the nodes `server` is.
pub fn this(server: &Server) -> Known {
    known(server).into_iter().find(|node| node.this).expect("a node knows itself")
}

/// Waits until the nodes agree on who prefers which bucket: each bucket has one.
pub fn wait_for_shares(server: &Server, nodes: usize) -> Vec<Known> {
    wait_for("each bucket to have its node", PATIENCE, || {
        let alive: Vec<Known> = known(server).into_iter().filter(|node| node.alive).collect();
        let all: BTreeSet<u64> = alive.iter().flat_map(|node| node.buckets.iter().copied()).collect();
        let preferred: usize = alive.iter().map(|node| node.buckets.len()).sum();
        (alive.len() == nodes && all.len() == 64 && preferred == 64).then_some(alive)
    })
}

/// Waits until every one of these nodes says that it is ready, and says how long that took.
pub fn wait_until_ready(nodes: &[&Server], patience: Duration) -> Duration {
    let began = Instant::now();
    for node in nodes {
        wait_for("the node to be ready", patience.saturating_sub(began.elapsed()), || {
            node.try_get("/readyz").is_ok_and(|reply| reply.status == 200).then_some(())
        });
    }
    began.elapsed()
}
