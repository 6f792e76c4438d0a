//! Three nodes on one PostgreSQL database: set up together, killed, frozen, stopped. Judged by what the clients were told and what
//! a server outside the nodes was told of, on a channel that must never repeat, and by what an account with
//! a strict limit was allowed meanwhile.

use std::{
    net::SocketAddr,
    process::{Command, Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use hongyan_core::{
    id::Id,
    quota::{Admission, Admitted, Day, Fit, HOUR, Sums},
    store::{Limits, Upkeep},
    time::{Clock, SystemClock, Timestamp},
};
use hongyan_store_postgres::PostgresStore;
use hongyan_store_suite::postgres;
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::json;

use crate::support::{
    PATIENCE,
    client::{self, SEND_MAIL, mail},
    fleet::{Fleet, known, this, wait_for_shares},
    judge::{Judge, Temper},
    load::Load,
    server::{ADMIN, CAPTURE, Home, Server, binary, plan, signal},
    wait_for,
};

/// How long others may take to take over what a dead node held.
const TAKE_OVER: Duration = Duration::from_secs(20);
/// How long the lease of a node lasts.
const LEASE: Duration = Duration::from_secs(15);
/// Calls that each node has in flight at most.
const CALLS: u32 = 16;

fn addresses(nodes: &[Server]) -> Vec<SocketAddr> {
    nodes.iter().map(|node| node.address).collect()
}

/// What an account may use in an hour, so much that it lasts until nodes are dead and frozen and not until the end.
const WINDOW: u32 = 1_500;
const ACCOUNT: &str = "account/strict";

/// Two more nodes, in this process, that ask for the same account again and again, several at once, until they are stopped.
struct Askers {
    stop: Arc<AtomicBool>,
    work: JoinHandle<()>,
}

impl Askers {
    fn start(url: String) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&stop);
        let work = thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().expect("a runtime");
            runtime.block_on(Self::ask(&url, &until));
        });
        Self { stop, work }
    }

    /// Never over the limit, whatever becomes of the other nodes; all of it used in the end; and nothing admitted is lost.
    async fn ask(url: &str, stop: &AtomicBool) {
        let begin = SystemClock.now();
        // A day of their own, so that no midnight comes in between.
        let midnight = Timestamp::from_ms(begin.ms() - 1);
        let day = Day { begin: midnight, end: midnight + 24 * HOUR };
        let mut stores = Vec::new();
        for _ in 0..2 {
            let store = hongyan_store_postgres::open(url, Default::default()).await.expect("opens");
            // They only ask: no bucket is theirs, and nobody waits for them to take anything over.
            store.stopping().await.expect("said");
            stores.push(store);
        }
        let (mut admitted, mut asked) = (0, 0);
        let mut pause = tokio::time::interval(Duration::from_millis(50));
        while !stop.load(Ordering::SeqCst) {
            pause.tick().await;
            let answers = join_all((0..4).map(|n| admit(&stores[n % 2], asked + n as i64, day))).await;
            asked += 4;
            admitted += answers.into_iter().filter(|is_admitted| *is_admitted).count();
            assert!(admitted <= WINDOW as usize, "{admitted} admitted");
        }
        assert!(asked > i64::from(WINDOW), "they asked for {asked} only");
        assert_eq!(admitted, WINDOW as usize, "of {asked}");
        for store in stores {
            let used = store.window_used(ACCOUNT.to_owned(), day, SystemClock.now()).await;
            assert_eq!(used, Ok(Sums { hour: u64::from(WINDOW), day: u64::from(WINDOW) }));
            store.close().await;
        }
    }

    fn stop(self) {
        self.stop.store(true, Ordering::SeqCst);
        self.work.join().expect("never over the limit");
    }
}

async fn admit(store: &PostgresStore, n: i64, day: Day) -> bool {
    let asked = Admission {
        account: ACCOUNT.to_owned(),
        id: Id::from_i64(n + 1).expect("positive"),
        amount: 1,
        hour_max: WINDOW,
        day_max: 10 * WINDOW,
        day,
        fit: Fit::Whole,
    };
    let answer = store.window_admit(asked, SystemClock.now()).await.expect("answers");
    matches!(answer, Admitted::Yes(_))
}

fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().expect("it runs")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn one_node_killed_and_one_frozen_lose_nothing_and_repeat_nothing() {
    const MAILS: usize = 20_000;
    let seed: u64 = rand::random();
    let what = &format!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let judge = Judge::start(Temper::default());
    let plan = plan("cmsi.wait = \"0s\"", &judge.provider(CALLS, Duration::from_millis(5)));
    let url = postgres::shared().fresh_schema();
    let fleet = Fleet::new(url.clone(), plan);
    let mut nodes = fleet.start(3);
    wait_for_shares(&nodes[0], 3);
    let askers = Askers::start(url);
    let load = Load::start(32, &addresses(&nodes), 800);

    let frozen = nodes.remove(random.random_range(0..3));
    let victim = nodes.remove(random.random_range(0..2));
    let (frozen_as, victim_as) = (this(&frozen), this(&victim));
    let mut moment = 0;
    for event in ["freeze", "kill"] {
        moment += random.random_range(1_000..4_000);
        wait_for(&format!("mail {moment}: {what}"), PATIENCE, || (load.told.count() >= moment).then_some(()));
        if event == "freeze" { signal(frozen.pid(), "STOP") } else { signal(victim.pid(), "KILL") }
    }
    let killed = Instant::now();
    for lost in [&frozen_as, &victim_as] {
        wait_for(&format!("the others to take over: {what}"), TAKE_OVER.saturating_sub(killed.elapsed()), || {
            (fleet.held_by(lost) == 0).then_some(())
        });
    }
    drop(victim);
    // Frozen for longer than its lease, and taken over from, it goes on where it was.
    wait_for("the lease to be long over", PATIENCE, || {
        (killed.elapsed() > LEASE + Duration::from_secs(3)).then_some(())
    });
    signal(frozen.pid(), "CONT");
    wait_for("all mails", 3 * PATIENCE, || (load.told.count() >= MAILS).then_some(()));
    let again = wait_for("the frozen node to work again", PATIENCE, || {
        let again = this(&frozen);
        (again.alive && frozen.get("/readyz").status == 200).then_some(again)
    });
    assert_ne!(again, frozen_as, "it is another registration now");
    assert!(load.told.unanswered() > 0, "the clients met what happened");

    askers.stop();
    let told = load.stop();
    let unknown = fleet.reckon(&told, &judge, what);
    let in_flight = 2 * usize::try_from(CALLS).expect("few");
    assert!(unknown <= in_flight, "{unknown} unknown, {in_flight} were in flight at most ({what})");
    for lost in [&frozen_as, &victim_as] {
        assert_eq!(fleet.held_by(lost), 0, "{what}");
    }
}

/// Every first node finds the others at the same work.
#[test]
fn three_first_nodes_set_up_once_and_a_stranger_is_refused() {
    let fleet = Fleet::new(postgres::shared().fresh_schema(), plan("", CAPTURE));
    let nodes = fleet.start(3);
    assert!(nodes.iter().all(|node| node.get("/readyz").status == 200));
    let applied = |node: &&Server| node.log().join("\n").contains("the plan is applied");
    assert_eq!(nodes.iter().filter(applied).count(), 1, "one of them set the store up");
    assert_eq!(fleet.sql("select count(distinct (number, epoch)), count(distinct number) from node"), "3|3");
    for node in &nodes {
        assert_eq!(node.send_mail(json!({ "receiver": "a@b.com" }))["result"], true);
    }
    let shares = wait_for_shares(&nodes[1], 3);
    assert!(shares.iter().all(|node| node.buckets.len() > 5), "{shares:?}");

    fleet.home.write("other.key", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n");
    let refused = run(&mut fleet.serve_with_key("stranger", "other.key"));
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert!(said(&refused).contains("other.key is not the one that this store was set up with"), "{}", said(&refused));
    let refused = run(&mut fleet.serve_with_key("stranger", "missing.key"));
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert!(said(&refused).contains("missing.key is missing"), "{}", said(&refused));
    assert!(!fleet.home.path("missing.key").exists(), "none is made in its place");
}

/// Nodes on machines of their own, each with a place for a key file of its own: one wins, the others say what to do.
#[test]
fn first_nodes_with_keys_of_their_own_say_what_to_do() {
    let fleet = Fleet::new(postgres::shared().fresh_schema(), plan("", CAPTURE));
    let keys = ["a.key", "b.key", "c.key"];
    let mut nodes: Vec<_> = keys
        .iter()
        .map(|key| {
            fleet.serve_with_key(key, key).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it runs")
        })
        .collect();
    let refused = wait_for("two of them to give up", PATIENCE, || {
        let ended = nodes.iter_mut().map(|node| node.try_wait().expect("waited for"));
        let ended: Vec<_> = ended.enumerate().filter(|(_, status)| status.is_some()).map(|(n, _)| n).collect();
        (ended.len() >= 2).then_some(ended)
    });
    for n in &refused {
        assert!(!fleet.home.path(keys[*n]).exists(), "{} is deleted again", keys[*n]);
    }
    for (n, mut node) in nodes.into_iter().enumerate() {
        if !refused.contains(&n) {
            node.kill().expect("it runs");
        }
        let output = node.wait_with_output().expect("it ends");
        if refused.contains(&n) {
            let said = said(&output);
            // Who comes a moment later finds the store set up and never makes a key.
            let words = ["copy that node's key file to", "is missing, and the store was set up with one"];
            assert!(output.status.code() == Some(1) && words.iter().any(|words| said.contains(words)), "{said}");
        }
    }
}

/// The node that took the request is busy; another one sends, is refused, and the caller is told so.
#[test]
fn who_waits_is_told_what_another_node_settled() {
    let temper = Temper { refuse: Some("nobody"), delay: Some(("slow", Duration::from_secs(8))) };
    let judge = Judge::start(temper);
    let plan = plan("cmsi.wait = \"30s\"", &judge.provider(1, Duration::ZERO));
    let fleet = Fleet::new(postgres::shared().fresh_schema(), plan);
    let nodes = fleet.start(2);
    wait_for_shares(&nodes[0], 2);
    let (busy, free) = (&nodes[0], &nodes[1]);
    thread::scope(|scope| {
        let began = Instant::now();
        // One in its only call, one leased ahead: no slot is left.
        let slow: Vec<_> = (1..=2)
            .map(|n| {
                let sending = scope.spawn(move || busy.send_mail(json!({ "receiver": format!("slow{n}@b.com") })));
                wait_for("it to be leased", PATIENCE, || {
                    let held = fleet.sql("select count(*) from delivery where state in (1, 2)");
                    (held == n.to_string()).then_some(())
                });
                sending
            })
            .collect();
        let body = mail(json!({ "receiver": "nobody@b.com" })).to_string();
        let headers = [("Idempotency-Key", "one")];
        let send = || client::request(busy.address, "POST", SEND_MAIL, &headers, body.as_bytes()).json();
        let reply = send();
        assert!(began.elapsed() < Duration::from_secs(8), "before its own node had a hand free");
        assert_eq!(reply["result"], false, "{reply}");
        assert!(reply.to_string().contains("nobody@b.com"), "{reply}");
        let failed = |node: &Server| node.metric("hongyan_failed_total");
        assert_eq!((failed(busy), failed(free)), (0.0, 1.0), "the other one sent it");
        assert_eq!(send(), reply, "the same answer again");
        for sending in slow {
            assert_eq!(sending.join().expect("answered")["result"], true);
        }
    });
}

/// A rolling restart: the node says that it is not ready before it refuses anybody, and hands over everything it holds.
#[test]
fn a_node_that_is_stopped_hands_over_and_the_others_go_on() {
    let judge = Judge::start(Temper::default());
    let plan = plan("cmsi.wait = \"0s\"", &judge.provider(CALLS, Duration::from_millis(20)));
    let fleet = Fleet::new(postgres::shared().fresh_schema(), plan);
    let mut nodes = fleet.start(3);
    wait_for_shares(&nodes[0], 3);
    let load = Load::start(6, &addresses(&nodes), 300);
    let mut leaving = nodes.remove(1);
    let left_as = this(&leaving);
    wait_for("some mails", PATIENCE, || (load.told.count() >= 600).then_some(()));

    let began = Instant::now();
    signal(leaving.pid(), "TERM");
    let mut unready = false;
    let status = wait_for("the node to stop", PATIENCE, || {
        match leaving.try_get("/readyz") {
            Ok(reply) => unready |= reply.status == 503,
            Err(_) => assert!(unready, "it refused requests before it said that it is not ready"),
        }
        leaving.ended()
    });
    assert!(status.success() && unready, "{status}: {:#?}", leaving.log());
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    assert_eq!(fleet.held_by(&left_as), 0, "nothing is left leased to it");
    let still = known(&nodes[0]).into_iter().find(|node| node.number == left_as.number);
    assert!(still.is_none_or(|node| !node.alive), "it has left");

    let before = load.told.count();
    wait_for("the others to go on", PATIENCE, || (load.told.count() >= before + 300).then_some(()));
    let told = load.stop();
    assert_eq!(fleet.reckon(&told, &judge, "a stop"), 0, "nothing is in doubt after an orderly stop");
}

#[test]
fn nodes_are_listed_as_a_table_and_as_json() {
    let fleet = Fleet::new(postgres::shared().fresh_schema(), plan("", CAPTURE));
    let nodes = fleet.start(2);
    wait_for_shares(&nodes[0], 2);
    let server = nodes[0].address.to_string();
    let list = |arguments: &[&str], token: &str| {
        let mut command = Command::new(binary());
        command.arg("nodes").args(arguments).env("HONGYAN_ADMIN_TOKEN", token).current_dir(fleet.home.dir.path());
        run(&mut command)
    };
    let listed = list(&["--server", &server], ADMIN);
    let table = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert_eq!(listed.status.code(), Some(0), "{}", said(&listed));
    assert_eq!(table.lines().filter(|line| line.contains(" alive ")).count(), 2, "{table}");
    assert!(table.starts_with("NODE ") && table.contains(env!("CARGO_PKG_VERSION")), "{table}");
    let listed = list(&["--json", "--server", &server], ADMIN);
    let json: Vec<serde_json::Value> = serde_json::from_slice(&listed.stdout).expect("JSON");
    assert_eq!(json.iter().filter(|node| node["this"] == true).count(), 1, "{json:?}");

    for (token, words) in [("", "HONGYAN_ADMIN_TOKEN"), ("wrong-token", "administrator's token")] {
        let refused = list(&["--server", &server], token);
        assert!(refused.status.code() == Some(1) && said(&refused).contains(words), "{}", said(&refused));
    }
    let address = nodes[1].address.to_string();
    assert!(nodes.into_iter().all(|node| node.terminate().success()));
    let refused = list(&["--server", &address], ADMIN);
    assert!(refused.status.code() == Some(1) && said(&refused).contains("no node answers"), "{}", said(&refused));
    assert!(refused.stdout.is_empty());
}

#[test]
fn the_only_node_of_an_embedded_store_lists_itself() {
    let home = Home::new();
    let node = home.start(&plan("", CAPTURE));
    let known = known(&node);
    assert!(known.len() == 1 && known[0].this && known[0].alive, "{known:?}");
    assert_eq!(client::request(node.address, "GET", "/v1/nodes", &[], b"").status, 401);
}
