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
    delivery::{Event, Policy, Repeat, State, Track},
    id::{Id, IdSource},
    outcome::{Fault, Outcome, Receipts},
    ports::{Desk, Moved, Progress},
    quota::Sums,
    retry::{RetrySchedule, Roll},
    setup::{ChannelNo, ProviderNo},
    store::{Attempt, Batch, Change, DeliveryRecord, Lease, LeasedRow, MessageRecord, Policies, Store, Submitted},
    time::Timestamp,
};

use crate::Bench;
pub use crate::order::{INBOX, MAIL, Order, SMS, content, day, in_app, listed, text, to};

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
        order.batch(&self.ids, self.now)
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

    /// Cancels a message of which nobody is to follow; answers how many deliveries that ended.
    pub async fn cancel(&self, message: Id) -> usize {
        let cancelled = self.store().message_cancel(message, self.now).await.expect("cancels");
        assert!(!cancelled.unexpanded, "nobody was to follow");
        cancelled.deliveries
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
