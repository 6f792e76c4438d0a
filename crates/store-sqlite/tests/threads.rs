//! The writer among the rest of the node: an operation that panics does not end it, and its queue is bounded.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    task::Poll,
    time::{Duration, Instant},
};

use hongyan_core::{
    delivery::{Policy, Repeat},
    id::{Id, IdSource},
    limits,
    ports::{Desk, NoProgress},
    retry::RetrySchedule,
    setup::ChannelNo,
    store::{Deliveries, Lease, Messages, Policies, StoreError, Submitted, Upkeep},
    time::Timestamp,
};
use hongyan_store_sqlite::{Options, SqliteStore, open};
use hongyan_store_suite::sample;
use tempfile::TempDir;

const NOW: Timestamp = Timestamp::from_ms(1_800_000_000_000);
const CHANNEL: ChannelNo = ChannelNo(1);

async fn store(directory: &TempDir) -> Arc<SqliteStore> {
    open(directory.path().join("hongyan.db"), Options::default()).await.expect("opens")
}

async fn submit(store: &SqliteStore, ids: &IdSource) -> Id {
    let batch = sample(ids, NOW, "a report").expect("ids");
    let id = batch.message.id;
    assert_eq!(store.submit(batch, NOW).await, Ok(Submitted::Stored));
    id
}

/// A store that was opened again with one delivery that its last life held.
async fn with_an_orphan(directory: &TempDir, ids: &IdSource) -> Arc<SqliteStore> {
    let first = store(directory).await;
    submit(&first, ids).await;
    assert_eq!(first.claim(CHANNEL, 1, NOW).await.expect("claims").len(), 1);
    drop(first);
    store(directory).await
}

fn policy() -> Arc<Policy> {
    Arc::new(Policy { repeat: Repeat::AtLeastOnce, retry: RetrySchedule::mail() })
}

#[tokio::test]
async fn an_operation_that_panics_fails_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let ids = IdSource::new(0, None);
    let store = with_an_orphan(&directory, &ids).await;
    let panics: Policies = Arc::new(|_| panic!("a rule that panics"));
    let refused = store.recover(panics, NOW).await.expect_err("panicked");
    assert!(matches!(refused, StoreError::Unavailable { certain: true, .. }), "{refused}");
    let recovered = store.recover(Arc::new(|_| policy()), NOW).await.expect("recovers");
    assert_eq!(recovered.ready, 1, "the first one changed nothing");
    submit(&store, &ids).await;
    assert_eq!(store.claim(CHANNEL, 9, NOW).await.expect("claims").len(), 2);
}

/// Rules that say when they are asked and hold up the writer until they are let go.
fn gate() -> (Policies, Receiver<()>, SyncSender<()>) {
    let (ask, asked) = sync_channel(1);
    let (open, opened) = sync_channel(1);
    let opened = Mutex::new(opened);
    let rules: Policies = Arc::new(move |_| {
        ask.send(()).expect("somebody listens");
        opened.lock().expect("nobody panics").recv().expect("is let go");
        policy()
    });
    (rules, asked, open)
}

async fn poll_once<T>(mut future: Pin<&mut (impl Future<Output = T> + ?Sized)>) -> Poll<T> {
    poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
}

/// While the writer is busy requests wait up to the bound, and what exceeds it is refused at once and not stored; the rest of
/// the node waits for its turn instead.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_refuses_requests_and_nothing_else() {
    let directory = tempfile::tempdir().expect("a directory");
    let ids = IdSource::new(0, None);
    let store = with_an_orphan(&directory, &ids).await;
    let (rules, asked, open) = gate();
    let recovering = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.recover(rules, NOW).await }
    });
    tokio::task::block_in_place(|| asked.recv()).expect("the writer is held up");
    let mut waiting = Vec::new();
    let refused = loop {
        assert!(waiting.len() <= limits::WRITE_QUEUE_MAX, "the queue is bounded");
        let batch = sample(&ids, NOW, "a report").expect("ids");
        let id = batch.message.id;
        let mut submit = Box::pin({
            let store = Arc::clone(&store);
            async move { store.submit(batch, NOW).await }
        });
        match poll_once(submit.as_mut()).await {
            Poll::Pending => waiting.push(submit),
            Poll::Ready(answer) => break (id, answer),
        }
    };
    assert_eq!(waiting.len(), limits::WRITE_QUEUE_MAX - 1, "the recovery has a place, too");
    assert!(matches!(refused.1, Err(StoreError::Busy(_))), "{:?}", refused.1);
    let mut claim = Box::pin(store.claim(CHANNEL, 1, NOW));
    assert!(poll_once(claim.as_mut()).await.is_pending(), "delivery waits for room");

    open.send(()).expect("the writer waits");
    assert_eq!(recovering.await.expect("ends").map(|recovered| recovered.ready), Ok(1));
    for submit in waiting {
        assert_eq!(submit.await, Ok(Submitted::Stored));
    }
    assert_eq!(claim.await.expect("claims").len(), 1);
    assert!(store.message_read(refused.0).await.expect("reads").is_none());
}

/// A desk that says when it is woken and holds up the writer, between two transactions, until it is let go.
struct GateDesk {
    woken: SyncSender<()>,
    opened: Mutex<Receiver<()>>,
}

impl Desk for GateDesk {
    fn reserve(&self, _: ChannelNo) -> bool {
        false
    }

    fn release(&self, _: ChannelNo) {}

    fn hand_over(&self, _: Vec<Lease>) {}

    fn wake(&self, _: ChannelNo) {
        // After the first time nobody listens.
        if self.woken.send(()).is_ok() {
            let _ = self.opened.lock().map(|opened| opened.recv());
        }
    }
}

/// Another program holds the write lock: those that share a commit wait for it once, not each after the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_is_waited_for_once_by_all() {
    const TOGETHER: usize = 6;
    let lock_wait = Duration::from_secs(5);
    let directory = tempfile::tempdir().expect("a directory");
    let ids = IdSource::new(0, None);
    let store = store(&directory).await;
    let ((woken, wakes), (open, opened)) = (sync_channel(0), sync_channel(1));
    store.attach(Arc::new(GateDesk { woken, opened: Mutex::new(opened) }), Arc::new(NoProgress));
    let first = sample(&ids, NOW, "a report").expect("ids");
    let mut first = Box::pin(store.submit(first, NOW));
    assert!(poll_once(first.as_mut()).await.is_pending());
    tokio::task::block_in_place(|| wakes.recv()).expect("the writer is held up");
    drop(wakes);

    let other = rusqlite::Connection::open(directory.path().join("hongyan.db")).expect("opens");
    other.execute_batch("BEGIN IMMEDIATE").expect("the writer holds no lock");
    let mut together: Vec<_> =
        (0..TOGETHER).map(|_| Box::pin(store.submit(sample(&ids, NOW, "a report").expect("ids"), NOW))).collect();
    for submit in &mut together {
        assert!(poll_once(submit.as_mut()).await.is_pending());
    }
    let begun = Instant::now();
    open.send(()).expect("the writer waits");
    assert_eq!(first.await, Ok(Submitted::Stored));
    for submit in together {
        let refused = submit.await.expect_err("the lock is held");
        assert!(matches!(refused, StoreError::Busy(_)), "{refused}");
    }
    let waited = begun.elapsed();
    assert!(waited < 2 * lock_wait, "waited {waited:?}");
    other.execute_batch("ROLLBACK").expect("lets go");
    submit(&store, &ids).await;
    assert_eq!(store.claim(CHANNEL, 9, NOW).await.expect("claims").len(), 2);
}
