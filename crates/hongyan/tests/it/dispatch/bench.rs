//! What the cases stand on: a store at either place, a dispatcher on it, senders that do what they are told.

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
    cap::Cap,
    channel::{Channel, Parcel, RecipientCaps},
    content::{Body, Content, Mail},
    delivery::{Policy, Repeat, State, Track},
    id::{Id, IdSource},
    message::{Dialect, Label, Message, MessageState, Priority},
    outcome::{Fault, Outcome, Receipts, Verdict},
    ports::{Desk, NoProgress},
    retry::RetrySchedule,
    setup::{
        self, AppNo, CaptureProvider, ChannelKind, ChannelNo, Provider, ProviderKind, ProviderNo, Settings, Setup,
    },
    store::{Batch, Lot, NewDelivery, Store, Way},
    time::{Clock, SystemClock},
};
use hongyan_delivery::{DeliveryMetrics, Dispatcher, DispatcherDeps, recovery_policies};
use hongyan_store_suite::postgres;
use prometheus_client::registry::Registry;
use tempfile::TempDir;
use tokio::{
    runtime::{Builder, Runtime},
    sync::Semaphore,
    time::timeout,
};

use crate::support::PATIENCE;

/// As many calls as there are.
pub const OPEN: usize = Semaphore::MAX_PERMITS;

/// Every registration of a node is dead from now on.
const END_OF_LEASES: &str = "UPDATE node SET lease_until = clock_timestamp() - interval '1 s' WHERE ended IS NULL";

/// A sender that does what its test tells it to.
pub struct Stub {
    pub repeat: Repeat,
    pub outcome: Box<dyn Fn(usize) -> Outcome + Send + Sync>,
    /// Calls wait for a permit; [`Semaphore::MAX_PERMITS`] for none.
    pub gate: Semaphore,
    pub calls: AtomicUsize,
    pub in_flight: AtomicUsize,
    pub most_in_flight: AtomicUsize,
    pub sent: Mutex<Vec<Id>>,
    pub panics: bool,
    /// So many calls, the first ones, never end.
    pub hang_first: usize,
    /// How often one recipient may be reached.
    pub caps: Option<Cap>,
}

impl Stub {
    pub fn new(permits: usize, outcome: impl Fn(usize) -> Outcome + Send + Sync + 'static) -> Stub {
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
            caps: None,
        }
    }

    pub fn sent(&self) -> Vec<Id> {
        self.sent.lock().expect("sent").clone()
    }
}

pub fn accepted(_: usize) -> Outcome {
    Outcome::Accepted { provider_id: String::new(), receipt: Receipts::Never }
}

pub fn down(_: usize) -> Outcome {
    Outcome::Deferred { after: Some(Duration::from_millis(50)), fault: Fault::Provider }
}

#[async_trait]
impl Channel for Stub {
    fn policy(&self) -> Policy {
        Policy { repeat: self.repeat, retry: RetrySchedule::of([Duration::from_millis(50)]) }
    }

    fn recipient_caps(&self, _: &Content) -> Option<RecipientCaps> {
        self.caps.map(|cap| RecipientCaps { caps: vec![cap], amount: 1, scope: String::new() })
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

/// Where a store is: it outlives the nodes that open it.
pub enum Place {
    Embedded(TempDir),
    /// The connection string of a schema of the test's own.
    Postgres(String),
}

impl Place {
    pub fn embedded() -> Self {
        Self::Embedded(tempfile::tempdir().expect("a directory"))
    }

    pub fn postgres() -> Self {
        Self::Postgres(postgres::shared().fresh_schema())
    }

    pub fn is_embedded(&self) -> bool {
        matches!(self, Self::Embedded(_))
    }

    async fn open(&self) -> Arc<dyn Store> {
        match self {
            Self::Embedded(dir) => {
                let options = hongyan_store_sqlite::Options::default();
                hongyan_store_sqlite::open(dir.path().join("h.db"), options).await.expect("opens")
            }
            Self::Postgres(url) => {
                let options =
                    hongyan_store_postgres::Options { connections: 6, trust: Duration::ZERO, ..Default::default() };
                hongyan_store_postgres::open(url, options).await.expect("opens")
            }
        }
    }
}

/// What a node runs on, apart from its test, so that it can end as a process does: everywhere at once, without a word.
struct Process(Option<Runtime>);

impl Process {
    fn begin() -> Self {
        Self(Some(Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")))
    }

    fn runtime(&self) -> &Runtime {
        self.0.as_ref().expect("it has not ended")
    }

    async fn end(mut self) {
        let runtime = self.0.take().expect("it has not ended");
        tokio::task::spawn_blocking(|| runtime.shutdown_timeout(PATIENCE)).await.expect("it ends");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// A store and a dispatcher on it.
pub struct Bench {
    place: Place,
    process: Process,
    store: Arc<dyn Store>,
    ids: Arc<IdSource>,
    clock: Arc<dyn Clock>,
    pub dispatcher: Arc<Dispatcher>,
}

impl Bench {
    /// Channel n has provider n, which is the n-th stub; `max_in_flight` calls each.
    pub async fn new(place: Place, stubs: Vec<Arc<Stub>>, max_in_flight: u32) -> Self {
        let process = Process::begin();
        let begun = process.runtime().spawn(async move {
            let store = place.open().await;
            let dispatcher = Self::begin(&store, stubs, max_in_flight).await;
            (place, store, dispatcher)
        });
        let (place, store, dispatcher) = begun.await.expect("it begins");
        Self { place, process, ids: store.ids(), store, clock: Arc::new(SystemClock), dispatcher }
    }

    async fn begin(store: &Arc<dyn Store>, stubs: Vec<Arc<Stub>>, max_in_flight: u32) -> Arc<Dispatcher> {
        let count = stubs.len();
        let stubs: HashMap<String, Arc<Stub>> =
            stubs.into_iter().enumerate().map(|(n, stub)| (n.to_string(), stub)).collect();
        let dispatcher = Dispatcher::new(DispatcherDeps {
            store: Arc::clone(store),
            clock: Arc::new(SystemClock),
            progress: Arc::new(NoProgress),
            metrics: DeliveryMetrics::register(&mut Registry::default()),
            open: Arc::new(move |provider| Ok(Arc::clone(&stubs[&provider.code]) as Arc<dyn Channel>)),
        });
        store.attach(Arc::clone(&dispatcher) as Arc<dyn Desk>, Arc::new(NoProgress));
        dispatcher.declare(&declared(count, max_in_flight, false));
        store.recover(recovery_policies(&dispatcher), SystemClock.now()).await.expect("recovers");
        dispatcher
    }

    pub fn declare(&self, setup: &Setup) {
        let _inside = self.process.runtime().enter();
        self.dispatcher.declare(setup);
    }

    pub fn start(&self) {
        let _inside = self.process.runtime().enter();
        self.dispatcher.start();
    }

    pub async fn submit(&self, channel: u32, app: u32, priority: Priority) -> Id {
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
        let delivery = NewDelivery {
            id: id.plus(1),
            recipient: "a@b.com".into(),
            address: "a@b.com".into(),
            track: Track::ready(now, expires),
        };
        let batch = Batch {
            message: Message {
                id,
                app: AppNo(app),
                dialect: Dialect::Cmsi,
                operation: "send_mail".into(),
                user: String::new(),
                client: String::new(),
                priority,
                state: MessageState::Expanded,
                label: Label::default(),
                accepted: now,
                expires,
            },
            idempotency: None,
            admission: None,
            channel: ChannelNo(channel),
            content: Arc::new(content),
            attachments: Arc::default(),
            page: vec![Lot { way: Way { channel: ChannelNo(channel), parcel_max: 1 }, deliveries: vec![delivery] }],
            rest: None,
        };
        self.store.submit(batch, now).await.expect("stored");
        id
    }

    pub async fn track(&self, message: Id) -> Track {
        self.store.message_read(message).await.expect("readable").expect("there").deliveries[0].track
    }

    pub async fn until(&self, what: &str, check: impl AsyncFn() -> bool) {
        let waiting = async {
            while !check().await {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("waited in vain for {what}"));
    }

    pub async fn until_state(&self, message: Id, state: State) {
        self.until(&format!("{message} to be {state}"), async || self.track(message).await.state == state).await;
    }

    /// The process dies: nothing more is recorded or given back, what is stored stays.
    pub async fn crash(self) -> Place {
        let Self { place, process, store, .. } = self;
        match &place {
            // A file is opened again once its store's threads are through with it; closing it gives nothing back.
            Place::Embedded(_) => {
                store.close().await;
                process.end().await;
            }
            // Closing would give back what it holds. The others take it over when its lease is over: now.
            Place::Postgres(url) => {
                process.end().await;
                postgres::sql(url, END_OF_LEASES).expect("the leases end");
            }
        }
        place
    }
}

/// One channel, 0, by way of every provider in order.
pub fn declared_in_order(providers: usize, max_in_flight: u32) -> Setup {
    let setup = declared(providers, max_in_flight, false);
    let channel = setup::Channel {
        providers: (0..providers).map(|n| ProviderNo(n as u32)).collect(),
        ..(*setup.channels()[0]).clone()
    };
    let providers = setup.providers().iter().map(|provider| (**provider).clone()).collect();
    Setup::new(2, Settings::default(), vec![], vec![channel], providers)
}

pub fn declared(channels: usize, max_in_flight: u32, paused: bool) -> Setup {
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
