//! Several nodes on one database: who is who, who is dead, and who takes over.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use hongyan_core::{
    content::{Agent, Content, Notice},
    delivery::{Event, Policy, Repeat, State},
    id::Id,
    outcome::{Outcome, Receipts},
    retry::RetrySchedule,
    setup::ChannelNo,
    store::{Change, Deliveries, Lease, Messages, NodeRecord, Policies, Recovered, Submitted, Upkeep},
    time::Timestamp,
};
use hongyan_store_postgres::{Options, PostgresStore, open};
use hongyan_store_suite::{
    finish,
    postgres::{Options as ServerOptions, Server, shared, sql},
    sample,
};
use tokio::time::{Instant, sleep};

const MAIL: ChannelNo = ChannelNo(1);
const SMS: ChannelNo = ChannelNo(2);

const HEARTBEAT: Duration = Duration::from_millis(250);
const LEASE: Duration = Duration::from_secs(2);
/// Long enough for anything that is going to happen, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Lives as nodes do, only faster.
fn quick() -> Options {
    Options { connections: 4, heartbeat: HEARTBEAT, lease: LEASE, trust: LEASE, ..Options::default() }
}

/// Is not heard of by itself while a test lasts, and declares others dead at once.
fn slow() -> Options {
    let hour = Duration::from_secs(3_600);
    Options { connections: 4, heartbeat: hour, lease: 3 * hour, trust: Duration::ZERO, ..Options::default() }
}

async fn node(url: &str, options: Options) -> Arc<PostgresStore> {
    open(url, options).await.expect("opens")
}

fn now(node: &PostgresStore) -> Timestamp {
    node.clock().now()
}

fn policies() -> Policies {
    Arc::new(|channel| {
        let repeat = if channel == MAIL { Repeat::AtLeastOnce } else { Repeat::AtMostOnce };
        Arc::new(Policy { repeat, retry: RetrySchedule::mail() })
    })
}

async fn submit(node: &PostgresStore, channel: ChannelNo) -> Id {
    let mut batch = sample(&node.ids(), now(node), "x").expect("ids");
    (batch.channel, batch.page[0].way.channel) = (channel, channel);
    let id = batch.message.id;
    assert_eq!(node.submit(batch, now(node)).await, Ok(Submitted::Stored));
    id
}

async fn claim(node: &PostgresStore, channel: ChannelNo) -> Lease {
    let mut leases = node.claim(channel, 1, now(node)).await.expect("claims");
    leases.pop().expect("something waits")
}

async fn recover(node: &PostgresStore) -> Recovered {
    node.recover(policies(), now(node)).await.expect("recovers")
}

fn ready(ready: usize) -> Recovered {
    Recovered { ready, ..Recovered::default() }
}

async fn this(node: &PostgresStore) -> NodeRecord {
    node.nodes().await.expect("lists").into_iter().find(|node| node.this).expect("lists itself")
}

async fn delivery(node: &PostgresStore, message: Id) -> hongyan_core::store::DeliveryRecord {
    let mut record = node.message_read(message).await.expect("reads").expect("is there");
    record.deliveries.remove(0)
}

/// Looks again and again until `look` finds something.
async fn wait_for<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain for {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_have_numbers_of_their_own_and_share_the_buckets() {
    let url = shared().fresh_schema();
    let opened = futures_util::future::join_all((0..3).map(|_| node(&url, slow()))).await;
    let listed = opened[0].nodes().await.expect("lists");
    assert_eq!(
        listed.iter().map(|node| (node.number, node.alive)).collect::<Vec<_>>(),
        [(0, true), (1, true), (2, true)]
    );
    let mut owned: Vec<u8> = listed.iter().flat_map(|node| node.buckets.clone()).collect();
    owned.sort_unstable();
    assert_eq!(owned, (0..64).collect::<Vec<_>>());
    assert_eq!(listed.iter().filter(|node| node.this).count(), 1);
    assert!(listed[0].host.ends_with(&format!(":{}", std::process::id())) && listed[0].heard >= listed[0].started);

    let left = this(&opened[1]).await;
    opened[1].close().await;
    let listed = opened[0].nodes().await.expect("lists");
    let gone = listed.iter().find(|node| node.number == left.number).expect("is listed for a day");
    assert!(!gone.alive && gone.buckets.is_empty());
    assert_eq!(listed.iter().map(|node| node.buckets.len()).sum::<usize>(), 64);
    assert!(opened[1].ping(now(&opened[1])).await.is_err() && opened[0].ping(now(&opened[0])).await.is_ok());
}

/// Whatever a database is set to for everybody, nodes work as they are meant to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_start_at_once_where_transactions_are_serializable() {
    let server = Server::start(ServerOptions::default());
    server.sql(
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = serializable', \
         current_database()); END $$",
    );
    let url = server.fresh_schema();
    let opened = futures_util::future::join_all((0..8).map(|_| node(&url, slow()))).await;
    let numbers: BTreeSet<u8> = opened[0].nodes().await.expect("lists").iter().map(|node| node.number).collect();
    assert_eq!(numbers, (0..8).collect());
    futures_util::future::join_all(opened.iter().map(|node| submit(node, MAIL))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_nodes_work_is_taken_over() {
    let url = shared().fresh_schema();
    let (dying, survivor) = (node(&url, quick()).await, node(&url, quick()).await);
    let message = submit(&dying, MAIL).await;
    let lease = claim(&dying, MAIL).await;
    assert!(dying.holds(lease.rows[0].id, lease.rows[0].track.lease));
    assert_eq!(recover(&survivor).await, Recovered::default());
    drop(dying);
    let died = Instant::now();
    let found =
        wait_for("the take-over", async || Some(recover(&survivor).await).filter(|found| *found != ready(0))).await;
    assert_eq!(found, ready(1));
    let took = died.elapsed();
    assert!(took >= LEASE - 2 * HEARTBEAT, "a node was taken for dead after {took:?}");
    let again = claim(&survivor, MAIL).await;
    assert_eq!((again.message, again.rows[0].track.lease, again.rows[0].track.crashes), (message, 2, 1));
    assert!(again.rows[0].track.maybe_duplicate);
    assert_eq!(this(&survivor).await.buckets.len(), 64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_left_is_found_by_looking() {
    let url = shared().fresh_schema();
    let (writer, reader) = (node(&url, quick()).await, node(&url, quick()).await);
    submit(&writer, MAIL).await;
    writer.close().await;
    wait_for("the look", async || reader.claim(MAIL, 1, now(&reader)).await.expect("claims").pop()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_zombie_changes_nothing() {
    let url = shared().fresh_schema();
    let (zombie, other) = (node(&url, slow()).await, node(&url, slow()).await);
    let (mail, sms) = (submit(&zombie, MAIL).await, submit(&zombie, SMS).await);
    let (first, intended) = (claim(&zombie, MAIL).await, claim(&zombie, SMS).await);
    sql(&url, "UPDATE node SET lease_until = clock_timestamp() - interval '1 s' WHERE number = 0").expect("runs");
    assert_eq!(recover(&other).await, ready(2));
    let again = claim(&other, MAIL).await;
    assert_eq!(again.message, mail);

    let late = finish(MAIL, &first.rows[0], Outcome::Misconfigured, now(&zombie));
    assert_eq!(zombie.settle(vec![late], now(&zombie)).await, Ok(vec![None]));
    let intend = Change {
        delivery: intended.rows[0].id,
        event: Event::Intend { lease: 1 },
        policy: policies()(SMS),
        attempt: None,
    };
    assert_eq!(
        zombie.settle(vec![intend], now(&zombie)).await,
        Ok(vec![None]),
        "nothing is begun under a lease that is over"
    );
    submit(&zombie, MAIL).await;
    assert_eq!(zombie.claim(MAIL, 9, now(&zombie)).await.expect("claims").len(), 0);
    assert_eq!(delivery(&other, sms).await.track.state, State::Ready);
    let truth = finish(MAIL, &again.rows[0], accepted(), now(&other));
    let settled = other.settle(vec![truth], now(&other)).await.expect("settles");
    assert_eq!(settled[0].map(|track| track.state), Some(State::Accepted));
}

fn accepted() -> Outcome {
    Outcome::Accepted { provider_id: "250".into(), receipt: Receipts::Never }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_declared_dead_goes_on_as_another() {
    let url = shared().fresh_schema();
    let node = node(&url, quick()).await;
    let message = submit(&node, MAIL).await;
    let lease = claim(&node, MAIL).await;
    let before = this(&node).await;
    let highest = node.ids().block(1, 0, now(&node)).expect("ids");
    sql(&url, "UPDATE node SET ended = clock_timestamp(), parcels = 1").expect("runs");
    wait_for("the new registration", async || Some(this(&node).await).filter(|now| now.alive)).await;
    let after = this(&node).await;
    assert_ne!((before.number, before.epoch), (after.number, after.epoch));
    let (row, now) = (&lease.rows[0], now(&node));
    assert!(!node.holds(row.id, row.track.lease), "what the older life held is not held");
    assert!(node.ids().block(1, 0, now).expect("ids") > highest);
    assert_eq!(recover(&node).await, ready(1));
    let again = claim(&node, MAIL).await;
    assert_eq!((again.message, again.rows[0].track.lease), (message, 2));
    assert!(node.holds(again.rows[0].id, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_dies_of_an_outage() {
    // Long enough for both to be back before either trusts itself again, on a busy machine too: connecting takes as long as it
    // takes, however short a lease is.
    let lease_time = 3 * LEASE;
    let patient = || Options { lease: lease_time, trust: lease_time, ..quick() };
    let server = Server::start(ServerOptions::default());
    let url = server.fresh_schema();
    let (one, two) = (node(&url, patient()).await, node(&url, patient()).await);
    submit(&one, MAIL).await;
    let lease = claim(&one, MAIL).await;
    let holds = || one.holds(lease.rows[0].id, lease.rows[0].track.lease);
    // By then they trust themselves.
    sleep(lease_time + LEASE).await;
    assert!(holds());
    server.pause();
    wait_for("the node to doubt its lease", async || (!holds()).then_some(())).await;
    sleep(lease_time + LEASE).await;
    server.resume();
    wait_for("the node to be heard again", async || holds().then_some(())).await;
    // What either began before it was back may still fail.
    for node in [&one, &two] {
        let recovered = async || node.recover(policies(), now(node)).await.ok();
        assert_eq!(wait_for("the node to be answered again", recovered).await, ready(0));
    }
    let back = Instant::now();
    while back.elapsed() < lease_time + LEASE {
        assert_eq!((recover(&one).await, recover(&two).await), (ready(0), ready(0)));
        sleep(Duration::from_millis(50)).await;
    }
    let listed = two.nodes().await.expect("lists");
    assert_eq!(listed.iter().map(|node| (node.epoch, node.alive)).collect::<Vec<_>>(), [(1, true); 2]);
    assert!(holds());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leases_that_nobody_knows_of_are_given_back() {
    let url = shared().fresh_schema();
    let node = node(&url, quick()).await;
    let (mail, sms, young) = (submit(&node, MAIL).await, submit(&node, SMS).await, submit(&node, MAIL).await);
    let lost = |message: Id, state: i16, ago: Duration| {
        let leased = (now(&node) - ago).ms();
        let set = format!("state = {state}, lease = 1, node = 0, epoch = 1, leased = {leased}, first_try = {leased}");
        sql(&url, &format!("UPDATE delivery SET {set} WHERE message = {message}")).expect("runs");
    };
    lost(mail, 1, LEASE + Duration::from_secs(1));
    lost(sms, 2, LEASE + Duration::from_secs(1));
    lost(young, 1, Duration::ZERO);
    assert_eq!(recover(&node).await, Recovered { ready: 1, unknown: 1, poison: 0 });
    let track = delivery(&node, mail).await.track;
    assert_eq!((track.state, track.lease, track.crashes, track.maybe_duplicate), (State::Ready, 1, 0, false));
    assert_eq!(delivery(&node, sms).await.track.state, State::Unknown);
    assert_eq!(delivery(&node, young).await.track.state, State::Leased);
    assert_eq!(claim(&node, MAIL).await.message, mail);
    wait_for("the rest", async || Some(recover(&node).await).filter(|found| *found == ready(1))).await;
    assert_eq!(claim(&node, MAIL).await.message, young);
    assert_eq!(recover(&node).await, ready(0), "what is held is not taken back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_never_collide_when_a_number_changes_hands() {
    let url = shared().fresh_schema();
    let first = node(&url, quick()).await;
    let others = "INSERT INTO node SELECT n, 1, '', '', now(), now(), now() + interval '1 day', 0, 0, 0 \
                  FROM generate_series(1, 255) n";
    sql(&url, others).expect("runs");
    // It borrows as far as it may.
    let mut highest = first.ids().block(1, 0, now(&first)).expect("ids");
    while let Ok(id) = first.ids().block(1_000, 0, now(&first)) {
        highest = id.plus(999);
    }
    let kept = format!("SELECT count(*) FROM node WHERE number = 0 AND reached > {}", highest.time().ms());
    wait_for("a heartbeat", async || sql(&url, &kept).is_ok_and(|kept| kept == "1").then_some(())).await;
    assert!(open(&url, quick()).await.is_err(), "all numbers are in use");
    drop(first);
    wait_for("the end of the lease", async || open(&url, quick()).await.ok()).await.close().await;
    let third = node(&url, slow()).await;
    let record = this(&third).await;
    assert_eq!((record.number, record.epoch), (0, 3));
    let soon = now(&third) + Duration::from_secs(120);
    let next = third.ids().block(1, 0, soon).expect("ids");
    assert!(third.ids().block(1, 0, now(&third)).is_err() && next > highest);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_leaves_gives_back_what_is_not_being_sent() {
    let url = shared().fresh_schema();
    let (leaving, staying) = (node(&url, slow()).await, node(&url, slow()).await);
    assert_eq!(recover(&leaving).await, ready(0));
    let (mail, sms) = (submit(&leaving, MAIL).await, submit(&leaving, SMS).await);
    claim(&leaving, MAIL).await;
    claim(&leaving, SMS).await;
    leaving.close().await;
    let track = delivery(&staying, sms).await.track;
    assert_eq!((track.state, track.crashes), (State::Ready, 0));
    assert_eq!(delivery(&staying, mail).await.track.state, State::Leased, "mail is sent without an intent");
    assert_eq!(recover(&staying).await, ready(1));
    assert!(delivery(&staying, mail).await.track.maybe_duplicate);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_read_is_set_aside() {
    let url = shared().fresh_schema();
    let first = node(&url, slow()).await;
    let (damaged, sound) = (submit(&first, MAIL).await, submit(&first, MAIL).await);
    let claimed = first.claim(MAIL, 9, now(&first)).await.expect("claims");
    assert_eq!(claimed.iter().map(|lease| lease.message).collect::<BTreeSet<_>>(), [damaged, sound].into());
    drop(first);
    sql(&url, &format!("UPDATE delivery SET reason = 'rust', tries = -4 WHERE message = {damaged}")).expect("runs");
    sql(&url, "UPDATE node SET lease_until = clock_timestamp() - interval '1 s'").expect("runs");
    let second = node(&url, slow()).await;
    assert_eq!(recover(&second).await, Recovered { ready: 1, unknown: 1, poison: 0 });
    assert_eq!(delivery(&second, damaged).await.track.state, State::Unknown);
    assert_eq!(delivery(&second, sound).await.track.state, State::Ready);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_nodes_share_the_work_of_taking_over() {
    let url = shared().fresh_schema();
    let dying = node(&url, slow()).await;
    for _ in 0..150 {
        submit(&dying, MAIL).await;
    }
    let held = dying.claim(MAIL, 150, now(&dying)).await.expect("claims");
    drop(dying);
    sql(&url, "UPDATE node SET lease_until = clock_timestamp() - interval '1 s'").expect("runs");
    let nodes = futures_util::future::join_all((0..3).map(|_| node(&url, slow()))).await;
    let found = futures_util::future::join_all(nodes.iter().map(|node| recover(node))).await;
    assert_eq!(found.iter().map(|found| found.ready).sum::<usize>(), held.len(), "each is taken back once");
    let depth = nodes[0].depths().await.expect("counts");
    assert_eq!(depth.iter().map(|depth| depth.ready).collect::<Vec<_>>(), [150]);
}

/// Two nodes look after the same buckets, as the first prefers all until it hears of the second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_erase_each_secret_once() {
    const MESSAGES: usize = 40;
    let url = shared().fresh_schema();
    let (first, second) = (node(&url, slow()).await, node(&url, slow()).await);
    let both = this(&second).await.buckets;
    let agent = Agent { id: Some(7), secret: Some("sealed".to_owned()) };
    for n in 0..MESSAGES {
        let at = [&first, &second][n % 2];
        let mut batch = sample(&at.ids(), now(at), "x").expect("ids");
        batch.content = Arc::new(Content::Notice(Notice { agent: Some(agent.clone()), ..Notice::default() }));
        let id = at.ids().block(2, both[n % both.len()], now(at)).expect("ids");
        (batch.message.id, batch.page[0].deliveries[0].id) = (id, id.plus(1));
        assert_eq!(at.submit(batch, now(at)).await, Ok(Submitted::Stored));
        assert_eq!(at.message_cancel(id, now(at)).await.map(|cancelled| cancelled.deliveries), Ok(1));
    }
    let waiting = submit(&first, MAIL).await;
    // What an operator deleted by hand.
    sql(&url, &format!("INSERT INTO erasure VALUES ({0}, 64 + {0})", both[0])).expect("runs");
    let secrets = "SELECT count(*) FROM message WHERE convert_from(content, 'UTF8') LIKE '%sealed%'";
    assert_eq!(sql(&url, secrets).expect("counts"), MESSAGES.to_string());
    let mut erased = 0;
    while sql(&url, "SELECT count(*) FROM erasure").as_deref() != Ok("0") {
        let (one, two) = tokio::join!(first.secrets_erase(3), second.secrets_erase(3));
        erased += one.expect("erases") + two.expect("erases");
    }
    assert_eq!((erased, sql(&url, secrets).as_deref()), (MESSAGES, Ok("0")));
    assert_eq!(delivery(&first, waiting).await.track.state, State::Ready);
}
