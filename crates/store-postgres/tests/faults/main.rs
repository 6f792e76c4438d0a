//! Connections that break, servers that go away, transactions that get in each other's way: what is answered is true, and the
//! same store goes on.

mod proxy;

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use hongyan_core::{
    directory::{DirectoryChange, UserEntry},
    id::Id,
    message::Idempotency,
    setup::{AppNo, ChannelNo, User},
    store::{Batch, Declarations, Deliveries, Messages, PlanChange, StoreError, StoreResult, Submitted, Upkeep},
};
use hongyan_store_postgres::{Options, PostgresStore, open};
use hongyan_store_suite::{
    postgres::{self, Server, shared, sql},
    sample,
};
use tokio_postgres::{Client, NoTls};

use self::proxy::{Cut, Proxy};

/// Long enough for anything that is going to happen, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// How soon a store must say that its database is away.
const SOON: Duration = Duration::from_secs(1);

/// A node that is not heard of by itself while a test lasts.
async fn node(url: &str) -> Arc<PostgresStore> {
    let hour = Duration::from_secs(3_600);
    let options = Options { heartbeat: hour, lease: 3 * hour, trust: hour, ..Options::default() };
    open(url, options).await.expect("opens")
}

/// A node that reaches the database by a way that breaks.
async fn node_behind(url: &str) -> (Arc<PostgresStore>, Proxy) {
    let proxy = Proxy::to(shared().port()).await;
    let node = node(&url.replace(&format!(":{}/", shared().port()), &format!(":{}/", proxy.port))).await;
    (node, proxy)
}

async fn client(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("connects");
    tokio::spawn(connection);
    client
}

fn mail(node: &PostgresStore, text: &str) -> Batch {
    sample(&node.ids(), node.clock().now(), text).expect("ids")
}

async fn submit(node: &PostgresStore, batch: Batch) -> StoreResult<Submitted> {
    node.submit(batch, node.clock().now()).await
}

fn is_stored(url: &str, id: Id) -> bool {
    let count = format!("select count(*) from message where id = {}", id.get());
    sql(url, &count).expect("is asked") == "1"
}

/// Whether an operation was answered with trouble, and whether that was certain.
fn certainty<T: std::fmt::Debug>(answer: StoreResult<T>) -> bool {
    match answer {
        Err(StoreError::Unavailable { certain, .. }) => certain,
        other => panic!("no trouble: {other:?}"),
    }
}

/// Looks again and again until something holds.
async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_is_not_answered_is_unknown() {
    let url = shared().fresh_schema();
    let (node, proxy) = node_behind(&url).await;
    submit(&node, mail(&node, "first")).await.expect("stores");
    for (cut, is_there) in [(Cut::BeforeCommit, false), (Cut::AfterCommit, true)] {
        // Sent whole, in one write.
        let batch = mail(&node, "the mark in a mail");
        let id = batch.message.id;
        proxy.cut("the mark in a mail", cut);
        assert!(!certainty(submit(&node, batch).await), "{cut:?}");
        assert!(proxy.has_cut());
        assert_eq!(is_stored(&url, id), is_there, "{cut:?}");
        // With a key, in several; who repeats it is told what became of it.
        let mut batch = mail(&node, "x");
        batch.idempotency = Some(Idempotency { key: format!("the mark in a key {cut:?}"), fingerprint: [7; 32] });
        proxy.cut("the mark in a key", cut);
        assert!(!certainty(submit(&node, batch.clone()).await), "{cut:?}");
        assert_eq!(is_stored(&url, batch.message.id), is_there, "{cut:?}");
        let mut again = mail(&node, "x");
        again.idempotency = batch.idempotency;
        let expected = if is_there { Submitted::Seen(batch.message.id) } else { Submitted::Stored };
        assert_eq!(submit(&node, again).await, Ok(expected), "{cut:?}");
        // An operation of its own.
        let key = format!("the mark in a note {cut:?}");
        proxy.cut(&key, cut);
        assert!(!certainty(node.note_once(&key, "value").await), "{cut:?}");
        assert_eq!(node.note_read(&key).await, Ok(is_there.then(|| "value".to_owned())), "{cut:?}");
    }
    submit(&node, mail(&node, "last")).await.expect("the same store goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_broke_before_its_commit_certainly_did_not_happen() {
    let url = shared().fresh_schema();
    let (node, proxy) = node_behind(&url).await;
    proxy.cut("the mark", Cut::AtTheMark);
    assert!(certainty(node.note_once("the mark", "value").await));
    assert!(proxy.has_cut());
    assert_eq!(node.note_read("the mark").await, Ok(None));
    let mut batch = mail(&node, "x");
    batch.idempotency = Some(Idempotency { key: "the mark".to_owned(), fingerprint: [7; 32] });
    let id = batch.message.id;
    proxy.cut("the mark", Cut::AtTheMark);
    assert!(certainty(submit(&node, batch).await));
    assert!(!is_stored(&url, id));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_certain_is_wrong_while_connections_are_killed() {
    let server = Server::start(postgres::Options::default());
    let node = node(&server.url()).await;
    let killer = client(&server.url()).await;
    let killing = tokio::spawn(async move {
        let one = "select pg_terminate_backend(pid) from pg_stat_activity \
                   where application_name = 'hongyan' and state <> 'idle' order by random() limit 1";
        loop {
            killer.query(one, &[]).await.expect("kills");
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    });
    let submitting = (0..8).map(|_| {
        let node = Arc::clone(&node);
        tokio::spawn(async move {
            let mut answers = Vec::new();
            for _ in 0..100 {
                let batch = mail(&node, "x");
                let id = batch.message.id;
                answers.push((id, submit(&node, batch).await));
            }
            answers
        })
    });
    let mut answers = Vec::new();
    for submitted in submitting.collect::<Vec<_>>() {
        answers.extend(submitted.await.expect("ends"));
    }
    killing.abort();
    let unknown =
        answers.iter().filter(|(_, answer)| answer.as_ref().is_err_and(|error| !error.certainly_not_done())).count();
    let stored = answers.iter().filter(|(_, answer)| answer.is_ok()).count();
    assert!(stored > 0 && stored < answers.len(), "{stored} of {}, {unknown} unknown", answers.len());
    let there = server.sql("select id from message");
    let there: std::collections::BTreeSet<i64> = there.lines().map(|id| id.parse().expect("an id")).collect();
    for (id, answer) in answers {
        match answer {
            Ok(told) => assert!(told == Submitted::Stored && there.contains(&id.get()), "{id} is lost"),
            Err(error) if error.certainly_not_done() => assert!(!there.contains(&id.get()), "{id} is there: {error}"),
            Err(_) => {}
        }
    }
    // For a moment the last refusal to connect is everybody's answer.
    let killed = Instant::now();
    while let Err(error) = submit(&node, mail(&node, "last")).await {
        assert!(killed.elapsed() < Duration::from_secs(5), "the same store goes on: {error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn plan_of(person: &str) -> PlanChange {
    let user = User {
        code: person.to_owned(),
        name: "changed".to_owned(),
        email: String::new(),
        phone: String::new(),
        wecom: String::new(),
        openid: String::new(),
        enabled: true,
    };
    let entry = UserEntry { user, ..UserEntry::default() };
    let directory = DirectoryChange { users: vec![entry], ..DirectoryChange::default() };
    PlanChange { hash: person.to_owned(), directory, ..PlanChange::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_chosen_to_end_a_deadlock_tries_again() {
    let url = shared().fresh_schema();
    let node = node(&url).await;
    sql(&url, "insert into person values ('p1', '', '', '', '', '', true)").expect("kept");
    // The other one never finds the deadlock, so the store is chosen.
    let other = client(&format!("{url}%20-cdeadlock_timeout%3D1h")).await;
    other.batch_execute("begin; select 1 from person where code = 'p1' for update").await.expect("locks the person");
    let applying = Arc::clone(&node);
    let applying = tokio::spawn(async move { applying.plan_apply(plan_of("p1")).await });
    let waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like '%person%'";
    until("the store to wait for the person", || async { sql(&url, waiting).expect("is asked") != "0" }).await;
    other.batch_execute("select 1 from setup for update; commit").await.expect("gets what the store had to let go");
    assert_eq!(applying.await.expect("ends"), Ok(true));
    assert_eq!(sql(&url, "select name from person").as_deref(), Ok("changed"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serialisation_failures_are_tried_again() {
    let url = shared().fresh_schema();
    let node = node(&format!("{url}%20-cdefault_transaction_isolation%3Dserializable")).await;
    let mut running = Vec::new();
    for n in 0..24 {
        let node = Arc::clone(&node);
        running.push(tokio::spawn(async move {
            submit(&node, mail(&node, "x")).await.expect("stores");
            node.note_once("who was first", &n.to_string()).await.expect("keeps")
        }));
    }
    let mut firsts = std::collections::BTreeSet::new();
    for ran in running {
        firsts.insert(ran.await.expect("ends"));
    }
    assert_eq!(firsts.len(), 1, "{firsts:?}");
    assert_eq!(sql(&url, "select count(*) from message").as_deref(), Ok("24"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_no_standby_has_is_unknown() {
    let server = Server::start(postgres::Options::default());
    let node = node(&server.url()).await;
    submit(&node, mail(&node, "first")).await.expect("stores");
    for (n, end) in ["pg_cancel_backend", "pg_terminate_backend"].into_iter().enumerate() {
        server.sql("alter system set synchronous_standby_names = 'ANY 1 (nobody)'");
        server.sql("select pg_reload_conf()");
        until("the setting", || async { !server.sql("show synchronous_standby_names").is_empty() }).await;
        let waiting = "from pg_stat_activity where wait_event = 'SyncRep' and application_name = 'hongyan'";
        let batch = mail(&node, "x");
        let (id, key) = (batch.message.id, format!("note {n}"));
        let (one, other, note) = (Arc::clone(&node), Arc::clone(&node), key.clone());
        let submitting = tokio::spawn(async move { submit(&one, batch).await });
        let noting = tokio::spawn(async move { other.note_once(&note, "value").await });
        until("two commits to wait", || async { server.sql(&format!("select count(*) {waiting}")) == "2" }).await;
        server.sql(&format!("select {end}(pid) {waiting}"));
        assert!(!certainty(submitting.await.expect("ends")), "{end}");
        assert!(!certainty(noting.await.expect("ends")), "{end}");
        assert!(is_stored(&server.url(), id), "{end}: it is here, only nowhere else");
        server.sql("alter system reset synchronous_standby_names");
        server.sql("select pg_reload_conf()");
        until("the setting", || async { server.sql("show synchronous_standby_names").is_empty() }).await;
        assert_eq!(node.note_once(&key, "another").await.as_deref(), Ok("value"), "{end}");
        submit(&node, mail(&node, "x")).await.expect("the same store goes on");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_away_is_said_to_be_and_found_again() {
    let server = Server::start(postgres::Options::default());
    let node = node(&server.url()).await;
    let channel = ChannelNo(1);
    let before = mail(&node, "before");
    let id = before.message.id;
    submit(&node, before).await.expect("stores");
    server.stop_fast();
    for _ in 0..3 {
        let now = node.clock().now();
        let begun = Instant::now();
        assert!(certainty(submit(&node, mail(&node, "meanwhile")).await));
        assert!(certainty(node.claim(channel, 1, now).await));
        assert!(certainty(node.message_read(id).await));
        assert!(certainty(node.note_once("key", "value").await));
        assert!(certainty(node.users_find(vec!["admin".to_owned()]).await));
        assert!(certainty(node.answer_keep(AppNo(1), "key".to_owned(), "answer".to_owned()).await));
        assert!(certainty(node.depths().await));
        assert!(begun.elapsed() < 7 * SOON, "{:?}", begun.elapsed());
    }
    server.start_again();
    until("the store to go on", || async { submit(&node, mail(&node, "after")).await.is_ok() }).await;
    assert_eq!(node.message_read(id).await.expect("reads").expect("is there").message.id, id);
    assert_eq!(server.sql("select count(*) from message"), "2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_to_a_server_that_was_are_not_handed_out_again_and_again() {
    let server = Server::start(postgres::Options::default());
    let node = node(&server.url()).await;
    let many = || futures_util::future::join_all((0..12).map(|_| node.users_find(vec!["admin".to_owned()])));
    for restart in [Server::stop_fast, Server::stop_immediate, Server::kill] {
        // Many connections at once, idle afterwards.
        assert!(many().await.iter().all(Result::is_ok));
        restart(&server);
        server.start_again();
        // Whoever looked meanwhile found nothing, and for a moment others are spared the same.
        until("the first to find the server", || async { node.depths().await.is_ok() }).await;
        let failures = many().await.into_iter().filter_map(Result::err).collect::<Vec<_>>();
        assert!(failures.is_empty(), "{failures:?}");
    }
}
