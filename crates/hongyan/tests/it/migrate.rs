//! An embedded store moves to PostgreSQL, as operators go through it: what was there is there, what waited is sent once, what
//! was in flight is judged by its channel. Whoever judges stands outside: the sink and the judge count what is sent.

use std::{
    collections::HashMap,
    process::{Command, Output, Stdio},
    time::Duration,
};

use hongyan_core::{
    store::Upkeep,
    time::{Clock, SystemClock},
};
use hongyan_store_suite::postgres::{self, shared};
use serde_json::{Value, json};

use crate::support::{
    PATIENCE,
    client::{self, SEND_MAIL, mail},
    judge::{Judge, Temper},
    server::{ADMIN, CAPTURE, Home, Server, binary, plan, smtp},
    sink::{Manners, Sink},
    wait_for,
};

mod people;

const QUICK: &str = "cmsi.wait = \"0s\"";

/// A place with an embedded store that is to move, and where it moves to.
struct Removal {
    home: Home,
    url: String,
}

impl Removal {
    fn new() -> Self {
        Self { home: Home::new(), url: shared().fresh_schema() }
    }

    /// The command that moves the store.
    fn migrate(&self, more: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.args(["migrate", "--config", "hongyan.toml", "--to", &self.url]).args(more);
        command.current_dir(self.home.dir.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Moves it; answers how many rows of each kind there are, which must be the same on both sides.
    fn done(&self, more: &[&str]) -> HashMap<String, u64> {
        let output = self.migrate(more).output().expect("it runs");
        let (data, talk) = told(&output);
        assert_eq!(output.status.code(), Some(0), "{talk}");
        assert!(talk.contains("rows/s") && talk.contains("never start a node on it again"), "{talk}");
        let count = |line: &str| {
            let words: Vec<&str> = line.split(' ').collect();
            let [kind, before, after] = words[..] else { panic!("{line}") };
            assert_eq!(before, after, "{data}");
            (kind.to_owned(), after.parse().expect("a number"))
        };
        data.lines().map(count).collect()
    }

    /// What a move that must be refused said.
    fn refused(&self, more: &[&str]) -> String {
        let output = self.migrate(more).output().expect("it runs");
        let (data, talk) = told(&output);
        assert_eq!((output.status.code(), data.as_str()), (Some(1), ""), "{talk}");
        talk
    }

    /// The command that runs a node on the new store, with the key file of the old one.
    fn serve(&self, plan: &str) -> Command {
        let config = format!(
            "listen = \"127.0.0.1:0\"\nstore = \"{}\"\nsecret_file = \"{}/master.key\"\nadmin_token = \"{ADMIN}\"\n",
            self.url,
            self.home.dir.path().display()
        );
        let (config, plan) = (self.home.write("new.toml", &config), self.home.write("plan.toml", plan));
        let mut command = Command::new(binary());
        command.arg("serve").arg("--config").arg(config).arg("--plan").arg(plan);
        command
    }

    fn start(&self, plan: &str) -> Server {
        Server::spawn(self.serve(plan))
    }

    fn sql(&self, query: &str) -> String {
        postgres::sql(&self.url, query).unwrap_or_default()
    }
}

fn told(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

fn paused(plan: &str) -> String {
    plan.replace("[[channel]]", "[[channel]]\npaused = true")
}

fn send_with_key(server: &Server, key: &str) -> Value {
    let body = mail(json!({ "receiver": format!("{key}@b.com") })).to_string();
    client::request(server.address, "POST", SEND_MAIL, &[("Idempotency-Key", key)], body.as_bytes()).json()
}

/// A mail to many, of which the later pages follow in the background.
fn send_to_many(server: &Server, name: &str, many: usize) -> Value {
    let receivers: Vec<_> = (0..many).map(|n| format!("{name}{n}@b.com")).collect();
    let reply = server.send_mail(json!({ "receiver": receivers }));
    assert_eq!(reply["result"], true, "{reply}");
    reply
}

fn wait_until_expanded(server: &Server, reply: &Value) {
    wait_for("the whole audience", PATIENCE, || (server.message(reply)["state"] == "expanded").then_some(()));
}

/// How often each recipient got something.
fn received(sink: &Sink) -> HashMap<String, usize> {
    let mut received = HashMap::new();
    for recipient in sink.taken().into_iter().flat_map(|taken| taken.recipients) {
        *received.entry(recipient).or_default() += 1;
    }
    received
}

/// Leaves history of most kinds behind: replies whose messages can be looked up.
fn history(home: &Home, sink: &Sink, judge: &Judge) -> Vec<Value> {
    let captured = {
        let server = home.start(&plan(QUICK, CAPTURE));
        let reply = server.send_mail(json!({ "receiver": "captured@b.com" }));
        server.wait_until(&reply, "accepted");
        assert!(server.terminate().success());
        reply
    };
    let unsure = {
        let plan = plan(QUICK, &judge.provider(4, Duration::ZERO));
        let server = home.start(&plan);
        let reply = send_with_key(&server, "unsure");
        wait_for("the call", PATIENCE, || judge.arrived().contains_key("unsure@b.com").then_some(()));
        server.kill();
        let server = home.start(&plan);
        server.wait_until(&reply, "unknown");
        assert!(server.terminate().success());
        reply
    };
    let server = home.start(&plan("cmsi.wait = \"2s\"", &smtp(sink.address)));
    let file = json!({ "filename": "a.txt", "content": "aGVsbG8=" });
    let delivered = server.send_mail(json!({ "receiver": "ok@b.com", "attachments": [file] }));
    server.wait_until(&delivered, "accepted");
    let failed = server.send_mail(json!({ "receiver": "refused@b.com" }));
    server.wait_until(&failed, "failed");
    let skipped = server.send_mail(json!({ "receiver__username": "admin,nomail" }));
    let later = server.send_mail(json!({ "receiver": "later@b.com" }));
    wait_for("a try", PATIENCE, || {
        (server.message(&later)["deliveries"][0]["attempts"].as_array()?.len() == 1).then_some(())
    });
    let keyed = send_with_key(&server, "keyed");
    server.wait_until(&keyed, "accepted");
    assert!(server.terminate().success());
    vec![captured, unsure, delivered, failed, skipped, later, keyed]
}

#[test]
fn what_was_there_is_there_and_what_waited_is_sent_once() {
    let sink = Sink::start(Manners {
        refuse: vec![("refused", "550 5.1.1 nobody"), ("later", "451 4.2.1 busy")],
        ..Manners::default()
    });
    let judge = Judge::start(Temper { delay: Some(("unsure", 2 * PATIENCE)), ..Temper::default() });
    let removal = Removal::new();
    let mut replies = history(&removal.home, &sink, &judge);
    let running = plan(QUICK, &smtp(sink.address));
    let held = paused(&running);
    let server = removal.home.start(&held);
    let waiting: Vec<_> = (0..4).map(|n| send_with_key(&server, &format!("waits{n}"))).collect();
    let many = send_to_many(&server, "many", 2_500);
    wait_until_expanded(&server, &many);
    assert!(waiting.iter().all(|reply| reply["result"] == true));
    replies.extend(waiting.iter().cloned());
    replies.push(many);
    let before: Vec<_> = replies.iter().map(|reply| server.message(reply)).collect();
    assert_eq!(before[1]["tally"], json!({ "unknown": 1 }), "{}", before[1]);
    let captures = server.get("/v1/captures").json();
    assert!(server.terminate().success());

    let counts = removal.done(&[]);
    let of = |kind: &str| counts.get(kind).copied().unwrap_or(0);
    assert_eq!([of("messages"), of("keys"), of("captures"), of("attachments")], [12, 6, 1, 1], "{counts:?}");
    assert_eq!([of("deliveries_ready"), of("deliveries_unknown"), of("expansions")], [2_505, 1, 0], "{counts:?}");

    let node = removal.start(&held);
    for (reply, before) in replies.iter().zip(&before) {
        assert_eq!(node.message(reply), *before);
    }
    assert_eq!(node.get("/v1/captures").json(), captures);
    assert_eq!(send_with_key(&node, "keyed"), replies[6], "a repeat is answered as it was");
    for (n, reply) in waiting.iter().enumerate() {
        assert_eq!(send_with_key(&node, &format!("waits{n}")), *reply);
    }
    wait_for("the depth", PATIENCE, || (node.metric("hongyan_queue_depth") == 2_505.0).then_some(()));
    let fresh = send_with_key(&node, "fresh");
    assert!(node.terminate().success());
    let node = removal.start(&running);
    for reply in waiting.iter().chain([&fresh, &replies[11]]) {
        node.wait_until(reply, "accepted");
    }
    assert!(node.terminate().success());
    let received = received(&sink);
    assert_eq!(received.values().max(), Some(&1), "nothing came twice: {received:?}");
    let came = |name: &str| received.keys().filter(|recipient| recipient.starts_with(name)).count();
    assert_eq!([came("waits"), came("many"), came("fresh"), came("ok"), came("refused")], [4, 2_500, 1, 1, 0]);
    assert_eq!(judge.arrived()["unsure@b.com"].len(), 1, "what is unknown is never sent again");
}

/// The node dies with mails on their way and an audience that is not yet whole.
#[test]
fn what_was_in_flight_when_the_node_died_is_sent_again_where_that_is_promised() {
    let sink = Sink::start(Manners { delay: 2 * PATIENCE, ..Manners::default() });
    let (removal, plan) = (Removal::new(), plan(QUICK, &smtp(sink.address)));
    let server = removal.home.start(&plan);
    let flying: Vec<_> = (0..3).map(|n| send_with_key(&server, &format!("flies{n}"))).collect();
    wait_for("mails in flight", PATIENCE, || (sink.count() == 3).then_some(()));
    let many = send_to_many(&server, "many", 9_000);
    server.kill();
    sink.behave(Manners::default());

    let counts = removal.done(&[]);
    assert_eq!(counts["expansions"], 1, "{counts:?}");
    assert!(counts["deliveries_leased"] >= 3, "{counts:?}");
    assert_eq!(
        removal.sql(
            "select distinct n.number, n.parcels > 2 from delivery d join node n on n.number = d.node \
                            and n.epoch = d.epoch where n.ended is not null"
        ),
        "0|t"
    );
    let node = removal.start(&plan);
    wait_until_expanded(&node, &many);
    for (n, reply) in flying.iter().enumerate() {
        let message = node.wait_until(reply, "accepted");
        assert_eq!(message["deliveries"][0]["maybe_duplicate"], true, "{message}");
        assert_eq!(send_with_key(&node, &format!("flies{n}"))["request_id"], reply["request_id"]);
    }
    let whole = node.wait_until(&many, "accepted");
    assert_eq!(whole["tally"], json!({ "accepted": 9_000 }));
    let marked = whole["deliveries"].as_array().expect("deliveries").iter().filter(|d| d["maybe_duplicate"] == true);
    let marked: Vec<_> = marked.filter_map(|delivery| delivery["address"].as_str()).collect();
    let received = received(&sink);
    assert_eq!(received.len(), 9_003);
    for (recipient, times) in &received {
        let may_be_twice = recipient.starts_with("flies") || marked.contains(&recipient.as_str());
        assert!(*times == 1 || *times == 2 && may_be_twice, "{recipient} got {times}");
    }
}

/// The same on a channel that must not repeat.
#[test]
fn what_was_being_sent_when_the_node_died_is_unknown() {
    let judge = Judge::start(Temper { delay: Some(("slow", 2 * PATIENCE)), ..Temper::default() });
    let (removal, plan) = (Removal::new(), plan(QUICK, &judge.provider(8, Duration::ZERO)));
    let server = removal.home.start(&plan);
    let replies: Vec<_> = (0..3).map(|n| send_with_key(&server, &format!("slow{n}"))).collect();
    wait_for("the calls", PATIENCE, || (judge.arrived().len() == 3).then_some(()));
    server.kill();
    assert_eq!(removal.done(&[])["deliveries_sending"], 3);
    let node = removal.start(&plan);
    for reply in &replies {
        node.wait_until(reply, "unknown");
    }
    let fresh = send_with_key(&node, "fresh");
    node.wait_until(&fresh, "accepted");
    assert!(judge.arrived().values().all(|times| times.len() == 1), "{:?}", judge.arrived());
}

#[test]
fn no_node_may_run_and_nothing_may_be_there() {
    let removal = Removal::new();
    let server = removal.home.start(&plan("", CAPTURE));
    assert!(removal.refused(&[]).contains("in use by another process"));
    assert!(server.terminate().success());

    let other = Removal { home: Home::new(), url: removal.url.clone() };
    let node = other.start(&plan("", CAPTURE));
    assert!(removal.refused(&[]).contains("stop them"), "a node works there");
    assert!(node.terminate().success());
    for more in [&[][..], &["--start-over"]] {
        let said = removal.refused(more);
        assert!(said.contains("not empty") && said.contains("declarations"), "{said}");
    }

    let wrong = |config: &str, to: &str| {
        let mut command = Command::new(binary());
        command.args(["migrate", "--config", config, "--to", to]).current_dir(removal.home.dir.path());
        let output = command.output().expect("it runs");
        let (data, talk) = told(&output);
        assert!(data.is_empty() && !talk.contains("canary"), "{talk}");
        (output.status.code(), talk)
    };
    let (code, said) = wrong("hongyan.toml", "sqlite:other.db");
    assert!(code == Some(2) && said.contains("--to"), "{said}");
    removal.home.write("moved.toml", &format!("store = \"{}\"\n", removal.url));
    let (code, said) = wrong("moved.toml", &removal.url);
    assert!(code == Some(2) && said.contains("embedded store"), "{said}");
    let (code, said) = wrong("hongyan.toml", "postgres://u:canary@127.0.0.1:1/nowhere");
    assert!(code == Some(1) && said.contains("cannot be reached"), "{said}");
    removal.home.write("absent.toml", "store = \"sqlite:absent.db\"\n");
    let (code, said) = wrong("absent.toml", &removal.url);
    assert!(code == Some(1) && said.contains("there is no store"), "{said}");
}

#[test]
fn a_move_that_was_cut_short_is_begun_anew() {
    let (removal, plan) = (Removal::new(), paused(&plan(QUICK, CAPTURE)));
    let server = removal.home.start(&plan);
    for name in ["a", "b", "c"] {
        let reply = send_to_many(&server, name, 10_000);
        wait_until_expanded(&server, &reply);
    }
    assert!(server.terminate().success());
    let mut moving = removal.migrate(&[]).spawn().expect("it runs");
    wait_for("the middle of the move", PATIENCE, || {
        let begun =
            removal.sql("select count(*) from note where key = 'migration' and exists (select 1 from delivery)");
        (begun == "1").then_some(())
    });
    moving.kill().expect("it runs still");
    assert!(!moving.wait().expect("it ends").success(), "in the middle");

    let refused = removal.serve(&plan).stdin(Stdio::null()).output().expect("it runs");
    let (_, said) = told(&refused);
    assert!(refused.status.code() == Some(1) && said.contains("hongyan migrate"), "{said}");
    assert!(removal.refused(&[]).contains("--start-over"));
    assert_eq!(removal.done(&["--start-over"])["deliveries_ready"], 30_000);
    let node = removal.start(&plan);
    wait_for("the depth", PATIENCE, || (node.metric("hongyan_queue_depth") == 30_000.0).then_some(()));
}

/// The directory, inboxes, broadcasts and what waits for its time: the new store answers what the old one did, and goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_and_what_waits_for_them_move_too() {
    let removal = Removal::new();
    let file = removal.home.path("hongyan.db");
    removal.home.write("hongyan.toml", &format!("store = \"sqlite:{}\"\n", file.display()));
    let old = hongyan_store_sqlite::open(&file, hongyan_store_sqlite::Options::default()).await.expect("opens");
    let filled = people::fill(&*old, SystemClock.now()).await;
    let before = people::seen(&*old, &filled).await;
    old.close().await;
    drop(old);

    let counts = tokio::task::block_in_place(|| removal.done(&[]));
    for (kind, count) in people::COUNTS {
        assert_eq!(counts.get(kind), Some(&count), "{kind}: {counts:?}");
    }
    let options = hongyan_store_postgres::Options { connections: 4, ..Default::default() };
    let new = hongyan_store_postgres::open(&removal.url, options).await.expect("opens");
    assert_eq!(people::seen(&*new, &filled).await, before);
    people::goes_on(&*new, &filled).await;
    new.close().await;
}
