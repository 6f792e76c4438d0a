//! The database goes away, comes back, or is another one from now on: nodes carry on by themselves. And what is said of a database
//! that cannot be used at all.

use std::{
    net::SocketAddr,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use hongyan_store_suite::postgres::{self, Options};
use serde_json::json;

use crate::support::{
    PATIENCE,
    fleet::{Fleet, known, wait_for_shares, wait_until_ready},
    judge::{Judge, Temper},
    load::Load,
    server::{CAPTURE, Server, binary, plan},
    wait_for,
};

/// Calls that each node has in flight at most.
const CALLS: u32 = 16;
/// How long nodes may take to carry on after the database is there again.
const CARRY_ON: Duration = Duration::from_secs(30);

fn addresses(nodes: &[Server]) -> Vec<SocketAddr> {
    nodes.iter().map(|node| node.address).collect()
}

#[test]
fn a_standby_takes_over_and_the_nodes_carry_on() {
    let primary = postgres::Server::start(Options::default());
    let standby = primary.standby();
    primary.require_standby();
    let url = format!(
        "postgres://postgres@127.0.0.1:{},127.0.0.1:{}/postgres?target_session_attrs=read-write",
        primary.port(),
        standby.port()
    );
    let judge = Judge::start(Temper::default());
    let plan = plan("cmsi.wait = \"0s\"", &judge.provider(CALLS, Duration::from_millis(5)));
    let fleet = Fleet::new(url, plan);
    let nodes = fleet.start(3);
    wait_for_shares(&nodes[0], 3);
    let load = Load::start(6, &addresses(&nodes), 200);
    wait_for("some mails", PATIENCE, || (load.told.count() >= 600).then_some(()));

    primary.kill();
    let began = Instant::now();
    standby.promote();
    let before = load.told.count();
    let took = wait_until_ready(&nodes.iter().collect::<Vec<_>>(), CARRY_ON);
    wait_for("mails on the new primary", CARRY_ON.saturating_sub(took), || {
        (load.told.count() >= before + 100).then_some(())
    });
    assert!(began.elapsed() < CARRY_ON, "{:?}", began.elapsed());
    wait_for("more mails", PATIENCE, || (load.told.count() >= before + 600).then_some(()));

    let told = load.stop();
    let unknown = fleet.reckon(&told, &judge, "a standby took over");
    let in_flight = 3 * usize::try_from(CALLS).expect("few");
    assert!(unknown <= in_flight, "{unknown} unknown, {in_flight} were in flight at most");
    assert_eq!(fleet.sql("select count(*) from node where parcels is not null"), "0", "nobody was declared dead");
}

#[test]
fn a_database_that_is_away_for_half_a_minute_costs_nothing_but_the_time() {
    const AWAY: Duration = Duration::from_secs(30);
    let database = postgres::Server::start(Options::default());
    let judge = Judge::start(Temper::default());
    let plan = plan("cmsi.wait = \"0s\"", &judge.provider(CALLS, Duration::from_millis(5)));
    let fleet = Fleet::new(database.url(), plan);
    let nodes = fleet.start(3);
    let registered = wait_for_shares(&nodes[0], 3);
    let load = Load::start(6, &addresses(&nodes), 200);
    wait_for("some mails", PATIENCE, || (load.told.count() >= 600).then_some(()));

    database.stop_fast();
    let began = Instant::now();
    wait_for("every node to say that it is not ready", Duration::from_secs(10), || {
        nodes.iter().all(|node| node.get("/readyz").status == 503).then_some(())
    });
    let settled = Instant::now();
    wait_for("half a minute", 2 * AWAY, || {
        assert!(nodes.iter().all(|node| node.get("/readyz").status == 503 && node.get("/healthz").status == 200));
        (began.elapsed() > AWAY).then_some(())
    });
    let refused = load.told.refused_since(settled);
    let slowest = refused.iter().max().copied().unwrap_or_default();
    assert!(refused.len() > 100 && slowest < Duration::from_secs(3), "{} refused, {slowest:?} at most", refused.len());

    database.start_again();
    let before = load.told.count();
    let took = wait_until_ready(&nodes.iter().collect::<Vec<_>>(), CARRY_ON);
    wait_for("mails again", CARRY_ON.saturating_sub(took), || (load.told.count() >= before + 600).then_some(()));
    let told = load.stop();
    let unknown = fleet.reckon(&told, &judge, "the database was away");
    let in_flight = 3 * usize::try_from(CALLS).expect("few");
    assert!(unknown <= in_flight, "{unknown} unknown, {in_flight} were in flight at most");
    let still = known(&nodes[0]).into_iter().map(|node| (node.number, node.epoch)).collect::<Vec<_>>();
    assert!(registered.iter().all(|node| still.contains(&(node.number, node.epoch))), "{still:?}");
    assert_eq!(fleet.sql("select count(*) from node where parcels is not null"), "0", "nobody was declared dead");
}

#[test]
fn a_database_that_cannot_be_used_is_said_so() {
    let fleet = Fleet::new(postgres::shared().fresh_schema(), plan("", CAPTURE));
    let run = |what: &str, store: &str, rest: &[&str]| {
        let config = fleet.home.write("some.toml", "secret_file = \"some.key\"\nlisten = \"127.0.0.1:0\"");
        let mut command = Command::new(binary());
        command.arg(what).arg("--config").arg(config).args(rest).env("HONGYAN_STORE", store);
        let output = command.current_dir(fleet.home.dir.path()).stdin(Stdio::null()).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!said.contains("canary"), "no word of the password: {said}");
        (output.status.code(), said)
    };
    let nowhere = "postgres://someone:canary@127.0.0.1:1/hongyan?connect_timeout=2";
    for what in ["check", "serve"] {
        let (code, said) = run(what, nowhere, &[]);
        assert!(code == Some(1) && said.contains("refused"), "{what}: {code:?} {said}");
        let (code, said) = run(what, "postgres://someone:canary@127.0.0.1:port/hongyan", &[]);
        assert!(code == Some(2) && said.contains("connection string"), "{what}: {code:?} {said}");
        let (code, said) = run(what, "postgrse://someone:canary@127.0.0.1/hongyan", &[]);
        assert!(code == Some(2) && said.contains("postgres://"), "{what}: {code:?} {said}");
    }
    assert!(!fleet.home.path("some.key").exists(), "no key is made for a store that is not there");

    let node = Server::spawn(fleet.serve("node"));
    assert_eq!(node.send_mail(json!({ "receiver": "a@b.com" }))["result"], true);
    let config = fleet.home.path("node.toml").display().to_string();
    let check = Command::new(binary()).args(["check", "--config", &config]).output().expect("it runs");
    assert_eq!(check.status.code(), Some(0), "{}", String::from_utf8_lossy(&check.stderr));

    let careless = postgres::Server::start(Options {
        settings: vec![("synchronous_commit".to_owned(), "off".to_owned())],
        ..Options::default()
    });
    for what in ["check", "serve"] {
        let (code, said) = run(what, &careless.url(), &[]);
        assert!(code == Some(1) && said.contains("synchronous_commit"), "{what}: {code:?} {said}");
    }
    let careless = Fleet::new(careless.url(), plan("", CAPTURE));
    let mut serve = careless.serve("careless");
    serve.arg("--unsafe");
    let node = Server::spawn(serve);
    assert!(node.log().join("\n").contains("synchronous_commit"), "loudly: {:#?}", node.log());
}
