//! The dispatcher on the real store, with senders of the test's own: shares, caps, breakers, poison, intents.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use hongyan_core::{
    channel::{Channel, Parcel},
    content::{Body, Content, Mail},
    delivery::{Policy, Repeat, State, Track},
    id::{Id, IdSource},
    message::{Dialect, Message, MessageState, Priority},
    outcome::{Fault, Outcome, Receipts, Verdict},
    ports::{Desk, NoProgress},
    retry::RetrySchedule,
    setup::{
        self, AppNo, CaptureProvider, ChannelKind, ChannelNo, Provider, ProviderKind, ProviderNo, Settings, Setup,
    },
    store::{Batch, NewDelivery, Store},
    time::{Clock, SystemClock},
};
use hongyan_delivery::{DeliveryMetrics, Dispatcher, DispatcherDeps, recovery_policies};
use prometheus_client::registry::Registry;
use tempfile::TempDir;
use tokio::{sync::Semaphore, time::timeout};

use crate::support::PATIENCE;

/// A sender that does what its test tells it to.
struct Stub {
    repeat: Repeat,
    outcome: Box<dyn Fn(usize) -> Outcome + Send + Sync>,
    /// Calls wait for a permit; [`Semaphore::MAX_PERMITS`] for none.
    gate: Semaphore,
    calls: AtomicUsize,
    in_flight: AtomicUsize,
    most_in_flight: AtomicUsize,
    sent: Mutex<Vec<Id>>,
    panics: bool,
    /// So many calls, the first ones, never end.
    hang_first: usize,
}

impl Stub {
    fn new(permits: usize, outcome: impl Fn(usize) -> Outcome + Send + Sync + 'static) -> Stub {
        Stub {
            repeat: Repeat::AtLeastOnce,
            outcome: Box::new(outcome),
            gate: Semaphore::new(permits),
            calls: AtomicUsize::new(0),
            in_flight: AtomicUsize::new(0),
            most_in_flight: AtomicUsize::new(0),
            sent: Mutex::default(),
            panics: false,
            hang_first: 0,
        }
    }

    fn sent(&self) -> Vec<Id> {
        self.sent.lock().expect("sent").clone()
    }
}

fn accepted(_: usize) -> Outcome {
    Outcome::Accepted { provider_id: String::new(), receipt: Receipts::Never }
}

fn down(_: usize) -> Outcome {
    Outcome::Deferred { after: Some(Duration::from_millis(50)), fault: Fault::Provider }
}

#[async_trait]
impl Channel for Stub {
    fn policy(&self) -> Policy {
        Policy { repeat: self.repeat, retry: RetrySchedule::of([Duration::from_millis(50)]) }
    }

    async fn send(&self, parcel: &Parcel) -> Vec<Verdict> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        let now = 1 + self.in_flight.fetch_add(1, Ordering::SeqCst);
        self.most_in_flight.fetch_max(now, Ordering::SeqCst);
        if call < self.hang_first {
            std::future::pending::<()>().await;
        }
        self.gate.acquire().await.expect("never closed").forget();
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
        assert!(!self.panics, "a sender that fails in an unforeseen way");
        let outcome = (self.outcome)(call);
        self.sent.lock().expect("sent").push(parcel.message);
        parcel.recipients.iter().map(|_| Verdict::new(outcome.clone(), "stub")).collect()
    }

    async fn close(&self) {}
}

/// A store and a dispatcher in a directory of their own.
struct Bench {
    dir: TempDir,
    store: Arc<dyn Store>,
    ids: Arc<IdSource>,
    clock: Arc<dyn Clock>,
    dispatcher: Arc<Dispatcher>,
}

impl Bench {
    /// Channel n has provider n, which is the n-th stub; `max_in_flight` calls each.
    async fn new(stubs: Vec<Arc<Stub>>, max_in_flight: u32) -> Self {
        Self::at(tempfile::tempdir().expect("a directory"), stubs, max_in_flight).await
    }

    async fn at(dir: TempDir, stubs: Vec<Arc<Stub>>, max_in_flight: u32) -> Self {
        let store: Arc<dyn Store> =
            hongyan_store_sqlite::open(dir.path().join("h.db"), hongyan_store_sqlite::Options::default())
                .await
                .expect("opens");
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let ids = store.ids();
        let count = stubs.len();
        let stubs: HashMap<String, Arc<Stub>> =
            stubs.into_iter().enumerate().map(|(n, stub)| (n.to_string(), stub)).collect();
        let dispatcher = Dispatcher::new(DispatcherDeps {
            store: Arc::clone(&store),
            clock: Arc::clone(&clock),
            progress: Arc::new(NoProgress),
            metrics: DeliveryMetrics::register(&mut Registry::default()),
            open: Arc::new(move |provider| Ok(Arc::clone(&stubs[&provider.code]) as Arc<dyn Channel>)),
        });
        store.attach(Arc::clone(&dispatcher) as Arc<dyn Desk>, Arc::new(NoProgress));
        dispatcher.declare(&declared(count, max_in_flight, false));
        let bench = Self { dir, store, ids, clock, dispatcher };
        bench.store.recover(recovery_policies(&bench.dispatcher), bench.clock.now()).await.expect("recovers");
        bench
    }

    async fn submit(&self, channel: u32, app: u32, priority: Priority) -> Id {
        let now = self.clock.now();
        let id = self.ids.block(2, 0, now).expect("ids");
        let expires = now + Duration::from_secs(3_600);
        let content = Content::Mail(Mail {
            from: None,
            to: vec!["a@b.com".into()],
            cc: vec![],
            subject: "s".into(),
            body: Body::Text("t".into()),
            attachments: vec![],
            date: now.ms(),
        });
        let batch = Batch {
            message: Message {
                id,
                app: AppNo(app),
                dialect: Dialect::Cmsi,
                operation: "send_mail".into(),
                user: String::new(),
                priority,
                state: MessageState::Expanded,
                accepted: now,
                expires,
            },
            idempotency: None,
            channel: ChannelNo(channel),
            content: Arc::new(content),
            attachments: Arc::default(),
            page: vec![NewDelivery {
                id: id.plus(1),
                recipient: "a@b.com".into(),
                address: "a@b.com".into(),
                track: Track::ready(now, expires),
            }],
            rest: vec![],
        };
        self.store.submit(batch, now).await.expect("stored");
        id
    }

    async fn track(&self, message: Id) -> Track {
        self.store.message_read(message).await.expect("readable").expect("there").deliveries[0].track
    }

    async fn until(&self, what: &str, check: impl AsyncFn() -> bool) {
        let waiting = async {
            while !check().await {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("waited in vain for {what}"));
    }

    async fn until_state(&self, message: Id, state: State) {
        self.until(&format!("{message} to be {state}"), async || self.track(message).await.state == state).await;
    }

    /// The process dies: nothing more is recorded, the store's file stays.
    async fn crash(self) -> TempDir {
        let Self { dir, store, .. } = self;
        store.close().await;
        dir
    }
}

/// One channel, 0, by way of every provider in order.
fn declared_in_order(providers: usize, max_in_flight: u32) -> Setup {
    let setup = declared(providers, max_in_flight, false);
    let channel = setup::Channel {
        providers: (0..providers).map(|n| ProviderNo(n as u32)).collect(),
        ..(*setup.channels()[0]).clone()
    };
    let providers = setup.providers().iter().map(|provider| (**provider).clone()).collect();
    Setup::new(2, Settings::default(), vec![], vec![channel], providers)
}

fn declared(channels: usize, max_in_flight: u32, paused: bool) -> Setup {
    let no = |n: usize| u32::try_from(n).expect("few");
    let provider = |n: usize| Provider {
        no: ProviderNo(no(n)),
        code: n.to_string(),
        enabled: true,
        rate: None,
        max_in_flight,
        kind: ProviderKind::Capture(CaptureProvider::default()),
    };
    let channel = |n: usize| setup::Channel {
        no: ChannelNo(no(n)),
        code: format!("c{n}"),
        kind: ChannelKind::Mail,
        providers: vec![ProviderNo(no(n))],
        enabled: true,
        paused,
        default: false,
    };
    Setup::new(
        1,
        Settings::default(),
        vec![],
        (0..channels).map(channel).collect(),
        (0..channels).map(provider).collect(),
    )
}

const OPEN: usize = Semaphore::MAX_PERMITS;

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_down_delays_nobody_else_and_is_probed_not_hammered() {
    let (bad, good) = (Arc::new(Stub::new(OPEN, down)), Arc::new(Stub::new(OPEN, accepted)));
    let bench = Bench::new(vec![Arc::clone(&bad), Arc::clone(&good)], 4).await;
    bench.dispatcher.start();
    for _ in 0..200 {
        bench.submit(0, 1, Priority::High).await;
    }
    let last = bench.submit(1, 1, Priority::Low).await;
    bench.until_state(last, State::Accepted).await;
    bench.until("the breaker", async || bench.dispatcher.in_hand() == 0).await;
    let calls = bad.calls.load(Ordering::SeqCst);
    assert!(calls < 30, "{calls} calls to a provider that is down");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_breaker_closes_again_and_everything_goes_out() {
    let recovering = Arc::new(Stub::new(OPEN, |call| if call < 6 { down(call) } else { accepted(call) }));
    let bench = Bench::new(vec![Arc::clone(&recovering)], 2).await;
    bench.dispatcher.start();
    let mut messages = Vec::new();
    for _ in 0..40 {
        messages.push(bench.submit(0, 1, Priority::Middle).await);
    }
    for message in messages {
        bench.until_state(message, State::Accepted).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_in_flight_have_a_cap_and_urgent_mail_does_not_queue_behind_the_window() {
    let slow = Arc::new(Stub::new(0, accepted));
    let bench = Bench::new(vec![Arc::clone(&slow)], 3).await;
    for _ in 0..300 {
        bench.submit(0, 1, Priority::Low).await;
    }
    bench.dispatcher.start();
    bench.until("three calls", async || slow.calls.load(Ordering::SeqCst) == 3).await;
    let in_hand = bench.dispatcher.in_hand();
    let urgent = bench.submit(0, 1, Priority::High).await;
    while slow.sent().iter().all(|sent| *sent != urgent) {
        slow.gate.add_permits(1);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let before_it = slow.sent().iter().position(|sent| *sent == urgent).expect("sent");
    assert!(before_it <= in_hand + 8, "{before_it} went first, {in_hand} were in hand");
    assert!(in_hand <= 3 * 16, "{in_hand} in hand");
    assert_eq!(slow.most_in_flight.load(Ordering::SeqCst), 3);
    slow.gate.add_permits(10_000);
    bench.until("the rest", async || slow.sent().len() == 301).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_is_kept_whatever_waits_and_everything_goes_out() {
    let stub = Arc::new(Stub::new(OPEN, accepted));
    let bench = Bench::new(vec![Arc::clone(&stub)], 8).await;
    let setup = declared(1, 8, false);
    let providers = setup.providers().iter().map(|provider| Provider { rate: Some(100.0), ..(**provider).clone() });
    let channels = setup.channels().iter().map(|channel| (**channel).clone());
    let setup = Setup::new(2, Settings::default(), vec![], channels.collect(), providers.collect());
    bench.dispatcher.declare(&setup);
    bench.dispatcher.start();
    let begun = tokio::time::Instant::now();
    for _ in 0..61 {
        bench.submit(0, 1, Priority::Middle).await;
    }
    bench.until("all of it", async || stub.sent().len() == 61).await;
    // A turn may be taken up to 100 ms after its moment.
    assert!(begun.elapsed() >= Duration::from_millis(600 - 105), "61 calls in {:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn priorities_share_and_nothing_starves() {
    let stub = Arc::new(Stub::new(0, accepted));
    let bench = Bench::new(vec![Arc::clone(&stub)], 1).await;
    let mut priority_of = HashMap::new();
    for priority in Priority::ALL {
        for _ in 0..200 {
            priority_of.insert(bench.submit(0, 1, priority).await, priority);
        }
    }
    bench.dispatcher.start();
    stub.gate.add_permits(200);
    bench.until("two hundred", async || stub.sent().len() == 200).await;
    let count = |priority| stub.sent().iter().filter(|id| priority_of[id] == priority).count();
    let shares = Priority::ALL.map(count);
    for (share, expected) in shares.into_iter().zip([140, 50, 10]) {
        assert!(share.abs_diff(expected) <= 8, "{shares:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn apps_take_turns() {
    let stub = Arc::new(Stub::new(0, accepted));
    let bench = Bench::new(vec![Arc::clone(&stub)], 1).await;
    for _ in 0..500 {
        bench.submit(0, 1, Priority::Middle).await;
    }
    let small: Vec<_> = futures_util::future::join_all((0..10).map(|_| bench.submit(0, 2, Priority::Middle))).await;
    bench.dispatcher.start();
    stub.gate.add_permits(30);
    bench.until("thirty", async || stub.sent().len() == 30).await;
    let turns = stub.sent().iter().filter(|id| small.contains(id)).count();
    assert!(turns >= 9, "{turns} of the small app's ten among the first thirty");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_due_now_is_born_leased_and_survives_a_caller_that_goes_away() {
    let stub = Arc::new(Stub::new(OPEN, accepted));
    let bench = Bench::new(vec![Arc::clone(&stub)], 4).await;
    bench.dispatcher.start();
    // Polled once, so that the operation is on its way, then dropped: the client has hung up.
    for _ in 0..50 {
        drop(timeout(Duration::ZERO, bench.submit(0, 1, Priority::Middle)).await);
    }
    let last = bench.submit(0, 1, Priority::Middle).await;
    bench.until_state(last, State::Accepted).await;
    bench.until("all of them", async || stub.sent().len() == 51).await;
    assert_eq!(bench.track(last).await.lease, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_panics_costs_its_own_parcel_nothing_else() {
    let (wild, tame) =
        (Arc::new(Stub { panics: true, ..Stub::new(OPEN, accepted) }), Arc::new(Stub::new(OPEN, accepted)));
    let bench = Bench::new(vec![Arc::clone(&wild), Arc::clone(&tame)], 2).await;
    bench.dispatcher.start();
    let doubtful = bench.submit(0, 1, Priority::Middle).await;
    let fine = bench.submit(1, 1, Priority::Middle).await;
    bench.until_state(fine, State::Accepted).await;
    bench.until("a second try", async || bench.track(doubtful).await.tries >= 2).await;
    assert!(bench.track(doubtful).await.maybe_duplicate);
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_channel_that_cannot_repeat_the_intent_is_recorded_before_the_call() {
    let stub = Arc::new(Stub { repeat: Repeat::AtMostOnce, ..Stub::new(0, |_| Outcome::Unknown) });
    let bench = Bench::new(vec![Arc::clone(&stub)], 2).await;
    bench.dispatcher.start();
    let message = bench.submit(0, 1, Priority::Middle).await;
    bench.until("the call", async || stub.calls.load(Ordering::SeqCst) == 1).await;
    assert_eq!(bench.track(message).await.state, State::Sending, "recorded before the call ends");
    stub.gate.add_permits(10);
    bench.until_state(message, State::Unknown).await;
    assert_eq!(stub.calls.load(Ordering::SeqCst), 1, "never again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_kills_its_node_is_set_aside_and_its_neighbours_are_not() {
    let mut dir = tempfile::tempdir().expect("a directory");
    let (mut killer, mut neighbour) = (None, None);
    let mut crashes = 0;
    loop {
        // Every process dies while the killer is in flight; the neighbour is in flight too the first few times.
        let stub = Arc::new(Stub::new(0, accepted));
        let bench = Bench::at(dir, vec![Arc::clone(&stub)], 2).await;
        let killer = *killer.get_or_insert(bench.submit(0, 1, Priority::Middle).await);
        if neighbour.is_none() {
            neighbour = Some(bench.submit(0, 1, Priority::Middle).await);
        }
        let track = bench.track(killer).await;
        if track.state == State::Failed {
            assert_eq!(track.reason.map(|reason| reason.as_str()), Some("poison"));
            let neighbour = neighbour.expect("submitted");
            bench.dispatcher.start();
            stub.gate.add_permits(100);
            bench.until_state(neighbour, State::Accepted).await;
            break;
        }
        bench.dispatcher.start();
        bench.until("the killer in flight", async || bench.track(killer).await.state == State::Leased).await;
        crashes += 1;
        assert!(crashes < 12, "it should have been set aside by now: {track:?}");
        dir = bench.crash().await;
    }
    assert!(crashes >= 4, "set aside after {crashes} crashes only");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_overtaken_by_the_whole_backlog() {
    let stub = Arc::new(Stub::new(OPEN, accepted));
    let bench = Bench::new(vec![Arc::clone(&stub)], 2).await;
    let mut order = Vec::new();
    for _ in 0..1_500 {
        order.push(bench.submit(0, 1, Priority::Middle).await);
    }
    bench.dispatcher.start();
    bench.until("all of them", async || stub.sent().len() == 1_500).await;
    let sent = stub.sent();
    let place: HashMap<_, _> = sent.iter().enumerate().map(|(place, id)| (*id, place)).collect();
    let worst = order.iter().enumerate().map(|(n, id)| place[id].saturating_sub(n)).max();
    assert!(worst < Some(20), "one was sent {worst:?} places late");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_hang_hold_up_no_more_than_their_own_slots() {
    // Thirteen of sixteen calls hang; three are enough for the rest.
    let stub = Arc::new(Stub { hang_first: 13, ..Stub::new(OPEN, accepted) });
    let bench = Bench::new(vec![Arc::clone(&stub)], 16).await;
    bench.dispatcher.start();
    for _ in 0..13 {
        bench.submit(0, 1, Priority::Middle).await;
    }
    bench.until("the hanging calls", async || stub.calls.load(Ordering::SeqCst) == 13).await;
    for _ in 0..200 {
        bench.submit(0, 1, Priority::Middle).await;
    }
    bench.until("everybody else", async || stub.sent().len() == 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_preferred_provider_serves_again_once_it_works() {
    let preferred = Arc::new(Stub::new(OPEN, |call| if call < 5 { down(call) } else { accepted(call) }));
    let other = Arc::new(Stub::new(OPEN, accepted));
    let bench = Bench::new(vec![Arc::clone(&preferred), Arc::clone(&other)], 4).await;
    bench.dispatcher.declare(&declared_in_order(2, 4));
    bench.dispatcher.start();
    let sends = async || {
        bench.submit(0, 1, Priority::Middle).await;
        preferred.sent().len() >= 20
    };
    bench.until("the preferred provider to serve again", sends).await;
    assert!(!other.sent().is_empty(), "the next one served meanwhile");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_with_calls_that_hang_ends_in_time_and_records_them_as_unknown() {
    let stub = Arc::new(Stub::new(0, accepted));
    let bench = Bench::new(vec![Arc::clone(&stub)], 2).await;
    bench.dispatcher.start();
    let hanging = bench.submit(0, 1, Priority::Middle).await;
    bench.until("the call", async || stub.calls.load(Ordering::SeqCst) == 1).await;
    timeout(Duration::from_secs(29), bench.dispatcher.stop()).await.expect("within 30 s");
    let track = bench.track(hanging).await;
    assert_eq!((track.state, track.maybe_duplicate), (State::Ready, true));
    assert_eq!(bench.dispatcher.in_hand(), 0);
}
