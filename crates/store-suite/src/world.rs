//! A node in miniature: a store on a bench, a clock moved by hand, a desk and a progress that only remember.

use std::{
    collections::HashMap,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use hongyan_core::{
    account::AccountNo,
    content::{Body, Content, Mail},
    delivery::{Event, Policy, Reason, Repeat, State, Track},
    id::{Id, IdSource, IdsExhausted},
    limits::PAGE_RECIPIENTS_MAX,
    message::{Dialect, Idempotency, Message, MessageState, Priority},
    outcome::{Fault, Outcome, Receipts},
    ports::{Desk, Moved, Progress},
    quota::{Admission, Day, Fit, Sums},
    retry::{RetrySchedule, Roll},
    setup::{AppNo, ChannelNo, ProviderNo},
    store::{
        Addressee, Attempt, Batch, Change, DeliveryRecord, Lease, LeasedRow, MessageRecord, NewDelivery, Policies,
        Store, Submitted,
    },
    time::Timestamp,
};

use crate::Bench;

/// The channel of most cases.
pub const MAIL: ChannelNo = ChannelNo(1);
/// Another channel, which may not repeat.
pub const SMS: ChannelNo = ChannelNo(2);

/// A node on a bench.
pub struct World<'a> {
    bench: &'a dyn Bench,
    store: Option<Arc<dyn Store>>,
    pub ids: IdSource,
    pub now: Timestamp,
    pub desk: Arc<StubDesk>,
    pub progress: Arc<StubProgress>,
}

impl<'a> World<'a> {
    /// A node on an empty store; its desk has no slots.
    pub async fn begin(bench: &'a dyn Bench) -> Self {
        let mut world = Self {
            bench,
            store: None,
            ids: IdSource::new(0, None),
            now: Timestamp::from_ms(1_800_000_000_000),
            desk: Arc::default(),
            progress: Arc::default(),
        };
        world.start().await;
        world
    }

    pub fn store(&self) -> &dyn Store {
        &**self.store.as_ref().expect("the node runs")
    }

    pub async fn start(&mut self) {
        let store = self.bench.open().await;
        store.attach(self.desk.clone(), self.progress.clone());
        self.store = Some(store);
    }

    /// The node dies and starts again; nothing is recovered yet.
    pub async fn crash(&mut self) {
        self.bench.crash(self.store.take().expect("the node runs")).await;
        self.desk.forget();
        self.start().await;
    }

    /// The node dies, starts again and recovers.
    pub async fn crash_and_recover(&mut self) -> hongyan_core::store::Recovered {
        self.crash().await;
        self.store().recover(policies(), self.now).await.expect("recovers")
    }

    pub fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
    }

    /// A request as `order` says, with ids of its own.
    pub fn batch(&self, order: &Order) -> Batch {
        let account = AccountNo::of_app(order.app);
        let bucket = account.map_or(0, AccountNo::bucket);
        let id = self.ids.block(order.to.len() + 1, bucket, self.now).expect("ids");
        let expires = self.now + order.lives;
        let page = order.to.iter().enumerate().map(|(n, to)| NewDelivery {
            id: id.plus(n + 1),
            recipient: to.clone(),
            address: if order.skipped.contains(to) { String::new() } else { format!("{to}@example.com") },
            track: if order.skipped.contains(to) {
                Track::skipped(Reason::UnknownUser, self.now, expires)
            } else {
                Track::ready(self.now + order.due_in, expires)
            },
        });
        Batch {
            message: Message {
                id,
                app: order.app,
                dialect: Dialect::Cmsi,
                operation: "send_mail".into(),
                user: "admin".into(),
                client: order.client.clone(),
                priority: order.priority,
                state: if order.rest.is_empty() { MessageState::Expanded } else { MessageState::Expanding },
                accepted: self.now,
                expires,
            },
            idempotency: order
                .key
                .as_ref()
                .map(|(key, fingerprint)| Idempotency { key: key.clone(), fingerprint: [*fingerprint; 32] }),
            admission: order.limits.map(|(hour_max, day_max, fit)| Admission {
                account: account.expect("an account's").windows(),
                id,
                amount: u32::try_from(order.to.len() - order.skipped.len()).expect("few"),
                hour_max,
                day_max,
                day: day(self.now),
                fit,
            }),
            channel: order.channel,
            content: Arc::new(content(&order.text)),
            attachments: Arc::new(order.attachments.clone()),
            page: page.collect(),
            parcel_max: order.parcel_max,
            rest: order.rest.clone(),
        }
    }

    /// Submits a request that must be stored; answers the message's id.
    pub async fn submit(&self, order: &Order) -> Id {
        let batch = self.batch(order);
        let id = batch.message.id;
        assert_eq!(self.store().submit(batch, self.now).await, Ok(Submitted::Stored));
        id
    }

    /// Submits many requests at once; answers the messages' ids.
    pub async fn submit_all(&self, orders: impl IntoIterator<Item = Order>) -> Vec<Id> {
        let batches: Vec<_> = orders.into_iter().map(|order| self.batch(&order)).collect();
        let mut ids = Vec::with_capacity(batches.len());
        for some in batches.chunks(1_000) {
            let submits = some.iter().map(|batch| self.store().submit(batch.clone(), self.now));
            for (batch, answer) in some.iter().zip(futures_util::future::join_all(submits).await) {
                assert_eq!(answer, Ok(Submitted::Stored));
                ids.push(batch.message.id);
            }
        }
        ids
    }

    pub async fn claim(&self, channel: ChannelNo, limit: usize) -> Vec<Lease> {
        self.store().claim(channel, limit, self.now).await.expect("claims")
    }

    /// Claims exactly one parcel.
    pub async fn claim_one(&self, channel: ChannelNo) -> Lease {
        let mut leases = self.claim(channel, 1).await;
        assert_eq!(leases.len(), 1, "one parcel is due");
        leases.remove(0)
    }

    pub async fn settle(&self, changes: Vec<Change>) -> Vec<Option<Track>> {
        self.store().settle(changes, self.now).await.expect("settles")
    }

    /// Gives every row of these parcels back.
    pub async fn give_back(&self, leases: &[Lease]) -> Vec<Option<Track>> {
        let rows = leases.iter().flat_map(|lease| lease.rows.iter().map(|row| (lease.channel, row)));
        let back =
            |(channel, row): (_, &LeasedRow)| change(channel, row.id, Event::GiveBack { lease: row.track.lease });
        self.settle(rows.map(back).collect()).await
    }

    /// Settles every row of these parcels with one outcome.
    pub async fn finish(&self, leases: &[Lease], outcome: &Outcome) -> Vec<Option<Track>> {
        let rows = leases.iter().flat_map(|lease| lease.rows.iter().map(|row| (lease.channel, row)));
        self.settle(rows.map(|(channel, row)| finish(channel, row, outcome.clone(), self.now)).collect()).await
    }

    pub async fn read(&self, message: Id) -> MessageRecord {
        self.store().message_read(message).await.expect("reads").expect("the message is there")
    }

    /// The only delivery of a message.
    pub async fn read_one(&self, message: Id) -> DeliveryRecord {
        let mut record = self.read(message).await;
        assert_eq!(record.deliveries.len(), 1);
        record.deliveries.remove(0)
    }

    pub async fn states(&self, message: Id) -> Vec<State> {
        self.read(message).await.deliveries.iter().map(|delivery| delivery.track.state).collect()
    }

    /// What an account has used of its windows.
    pub async fn used(&self, account: AccountNo) -> Sums {
        self.store().window_used(account.windows(), day(self.now), self.now).await.expect("answers")
    }

    /// Ready deliveries of a channel, by the store's counters.
    pub async fn depth(&self, channel: ChannelNo) -> u64 {
        let depths = self.store().depths().await.expect("counts");
        depths.iter().find(|depth| depth.channel == channel).map_or(0, |depth| depth.ready)
    }
}

/// What a request of a case is about.
#[derive(Clone)]
pub struct Order {
    pub app: AppNo,
    pub channel: ChannelNo,
    pub priority: Priority,
    pub to: Vec<String>,
    pub skipped: Vec<String>,
    pub due_in: Duration,
    pub lives: Duration,
    pub text: String,
    pub attachments: Vec<Vec<u8>>,
    pub key: Option<(String, u8)>,
    pub parcel_max: usize,
    pub rest: Vec<Addressee>,
    pub client: String,
    /// What its account may send in an hour and in a day, and what has to fit; what is not skipped counts.
    pub limits: Option<(u32, u32, Fit)>,
}

/// A request to these recipients, due now, for a day.
pub fn to(recipients: &[&str]) -> Order {
    Order {
        app: AppNo(1),
        channel: MAIL,
        priority: Priority::Middle,
        to: recipients.iter().map(|to| (*to).to_owned()).collect(),
        skipped: Vec::new(),
        due_in: Duration::ZERO,
        lives: Duration::from_secs(24 * 60 * 60),
        text: "a report".into(),
        attachments: Vec::new(),
        key: None,
        parcel_max: PAGE_RECIPIENTS_MAX,
        rest: Vec::new(),
        client: String::new(),
        limits: None,
    }
}

impl Order {
    pub fn app(self, app: u32) -> Self {
        Self { app: AppNo(app), ..self }
    }

    pub fn account(self, account: AccountNo) -> Self {
        Self { app: account.as_app(), ..self }
    }

    pub fn limits(self, hour_max: u32, day_max: u32, fit: Fit) -> Self {
        Self { limits: Some((hour_max, day_max, fit)), ..self }
    }

    pub fn skipped(self, skipped: &[&str]) -> Self {
        Self { skipped: skipped.iter().map(|who| (*who).to_owned()).collect(), ..self }
    }

    pub fn channel(self, channel: ChannelNo) -> Self {
        Self { channel, ..self }
    }

    pub fn priority(self, priority: Priority) -> Self {
        Self { priority, ..self }
    }

    pub fn due_in(self, due_in: Duration) -> Self {
        Self { due_in, ..self }
    }

    pub fn lives(self, lives: Duration) -> Self {
        Self { lives, ..self }
    }

    pub fn parcel_max(self, parcel_max: usize) -> Self {
        Self { parcel_max, ..self }
    }

    pub fn key(self, key: &str, fingerprint: u8) -> Self {
        Self { key: Some((key.into(), fingerprint)), ..self }
    }
}

/// The day of a moment, in UTC.
pub fn day(now: Timestamp) -> Day {
    const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
    let begin = now.ms().div_euclid(DAY_MS) * DAY_MS;
    Day { begin: Timestamp::from_ms(begin), end: Timestamp::from_ms(begin + DAY_MS) }
}

pub fn content(text: &str) -> Content {
    Content::Mail(Mail {
        from: None,
        to: vec!["a@example.com".into()],
        cc: Vec::new(),
        subject: "鸿雁".into(),
        body: Body::Text(text.into()),
        attachments: Vec::new(),
        date: 1_800_000_000_000,
    })
}

/// Mail may be repeated, everything else may not.
pub fn policy(channel: ChannelNo) -> Arc<Policy> {
    let repeat = if channel == MAIL { Repeat::AtLeastOnce } else { Repeat::AtMostOnce };
    Arc::new(Policy { repeat, retry: RetrySchedule::mail() })
}

pub fn policies() -> Policies {
    Arc::new(policy)
}

pub fn accepted() -> Outcome {
    Outcome::Accepted { provider_id: "250".into(), receipt: Receipts::Never }
}

/// Put off by the recipient's server, for this long.
pub fn deferred(after: Duration) -> Outcome {
    Outcome::Deferred { after: Some(after), fault: Fault::Recipient }
}

pub fn change(channel: ChannelNo, delivery: Id, event: Event) -> Change {
    Change { delivery, event, policy: policy(channel), attempt: None }
}

/// The end of a try, with its record.
pub fn finish(channel: ChannelNo, row: &LeasedRow, outcome: Outcome, now: Timestamp) -> Change {
    let attempt = Attempt {
        provider: ProviderNo(1),
        started: now,
        took_ms: 12,
        outcome: outcome.as_str().into(),
        reply: "so it went".into(),
    };
    let event = Event::Finish { lease: row.track.lease, outcome, roll: Roll::NONE };
    Change { attempt: Some(attempt), ..change(channel, row.id, event) }
}

/// Polls a future once, as a server does for a client that then hangs up.
pub fn poll_once<T>(future: Pin<&mut (impl Future<Output = T> + ?Sized)>) -> Poll<T> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Waits until `holds`, for what happens behind a future that nobody polls any more.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    for _ in 0..1_000 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never happened: {what}");
}

/// A desk with as many slots as a case gives it.
#[derive(Default)]
pub struct StubDesk {
    slots: Mutex<HashMap<ChannelNo, usize>>,
    leases: Mutex<Vec<Lease>>,
    pub wakes: AtomicUsize,
}

impl StubDesk {
    pub fn open(&self, channel: ChannelNo, slots: usize) {
        lock(&self.slots).insert(channel, slots);
    }

    pub fn free(&self, channel: ChannelNo) -> usize {
        lock(&self.slots).get(&channel).copied().unwrap_or(0)
    }

    /// What was handed over since the last time.
    pub fn take(&self) -> Vec<Lease> {
        std::mem::take(&mut lock(&self.leases))
    }

    pub fn len(&self) -> usize {
        lock(&self.leases).len()
    }

    fn forget(&self) {
        lock(&self.slots).clear();
        lock(&self.leases).clear();
    }
}

impl Desk for StubDesk {
    fn reserve(&self, channel: ChannelNo) -> bool {
        let mut slots = lock(&self.slots);
        let free = slots.entry(channel).or_default();
        let granted = *free > 0;
        *free -= usize::from(granted);
        granted
    }

    fn release(&self, channel: ChannelNo) {
        *lock(&self.slots).entry(channel).or_default() += 1;
    }

    fn hand_over(&self, leases: Vec<Lease>) {
        lock(&self.leases).extend(leases);
    }

    fn wake(&self, _: ChannelNo) {
        self.wakes.fetch_add(1, Ordering::SeqCst);
    }
}

/// Remembers what moved.
#[derive(Default)]
pub struct StubProgress(Mutex<Vec<Moved>>);

impl StubProgress {
    pub fn take(&self) -> Vec<Moved> {
        std::mem::take(&mut lock(&self.0))
    }
}

impl Progress for StubProgress {
    fn moved(&self, moved: &[Moved]) {
        lock(&self.0).extend_from_slice(moved);
    }

    fn stalled(&self, _: ChannelNo, _: bool) {}
}

pub fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A mail to one recipient, due now, for tests and measurements of one store.
///
/// # Errors
/// When the ids have run ahead of `now`.
pub fn sample(ids: &IdSource, now: Timestamp, text: &str) -> Result<Batch, IdsExhausted> {
    let id = ids.block(2, 0, now)?;
    let expires = now + Duration::from_secs(86_400);
    let address = "someone@example.com".to_owned();
    Ok(Batch {
        message: Message {
            id,
            app: AppNo(1),
            dialect: Dialect::Cmsi,
            operation: "send_mail".into(),
            user: "admin".into(),
            client: String::new(),
            priority: Priority::Middle,
            state: MessageState::Expanded,
            accepted: now,
            expires,
        },
        idempotency: None,
        admission: None,
        channel: MAIL,
        content: Arc::new(content(text)),
        attachments: Arc::default(),
        page: vec![NewDelivery {
            id: id.plus(1),
            recipient: address.clone(),
            address,
            track: Track::ready(now, expires),
        }],
        parcel_max: PAGE_RECIPIENTS_MAX,
        rest: Vec::new(),
    })
}
