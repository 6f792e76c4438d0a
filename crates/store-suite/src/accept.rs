//! Submitting: a request is stored whole, in one commit, once per key; what is due now may be born leased.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use hongyan_core::{
    delivery::{Reason, State},
    limits,
    message::MessageState,
    ports::{Desk, Moved, Progress},
    setup::{AppNo, ChannelNo},
    store::{Lease, StoreError, Submitted},
};

use crate::{
    Bench,
    world::{MAIL, World, accepted, content, eventually, lock, poll_once, to},
};

/// Everything that a request says is there afterwards.
pub async fn stores_a_request_whole(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let batch = world.batch(&to(&["alice", "bob"]));
    assert_eq!(world.store().submit(batch.clone(), world.now).await, Ok(Submitted::Stored));

    let record = world.read(batch.message.id).await;
    assert_eq!(record.message, batch.message);
    assert_eq!(record.message.state, MessageState::Expanded);
    assert_eq!(record.channel, MAIL);
    assert_eq!(record.deliveries.len(), 2);
    for (kept, sent) in record.deliveries.iter().zip(batch.deliveries()) {
        assert_eq!((kept.id, &kept.recipient, &kept.address), (sent.id, &sent.recipient, &sent.address));
        assert_eq!(kept.track, sent.track);
        assert_eq!(kept.parcel, batch.page[0].deliveries[0].id);
        assert!(kept.attempts.is_empty());
    }
    let nobody = world.ids.block(1, 0, world.now).expect("ids");
    assert!(world.store().message_read(nobody).await.expect("reads").is_none());
}

/// Attachments are kept byte for byte, in order, once per message.
pub async fn keeps_attachments(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let mut order = to(&["alice"]);
    order.attachments = vec![vec![0, 255, 13, 10], Vec::new(), vec![7; 300_000]];
    let id = world.submit(&order).await;
    let gone = world.ids.block(1, 0, world.now).expect("ids");
    let cargo = world.store().cargo_read(vec![gone, id]).await.expect("reads");
    assert_eq!(cargo.len(), 1, "what is gone is left out");
    assert_eq!(cargo[0].0, id);
    assert_eq!(*cargo[0].1.content, content("a report"));
    assert_eq!(*cargo[0].1.attachments, order.attachments);
}

/// An id is used once; the second request is refused and changes nothing.
pub async fn refuses_the_same_id_twice(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let first = world.batch(&to(&["alice"]));
    let mut second = world.batch(&to(&["bob"]));
    second.message.id = first.message.id;
    world.store().submit(first.clone(), world.now).await.expect("stored");
    let refused = world.store().submit(second.clone(), world.now).await.expect_err("refused");
    assert!(matches!(refused, StoreError::Conflict(_)), "{refused}");
    assert!(refused.certainly_not_done());
    assert_eq!(world.read_one(first.message.id).await.recipient, "alice");
}

/// A due parcel with a free slot is leased in its own commit and handed over with its content.
pub async fn hands_over_what_is_born_leased(bench: &impl Bench) {
    let world = World::begin(bench).await;
    world.desk.open(MAIL, 5);
    let id = world.submit(&to(&["alice", "bob"])).await;
    let leases = world.desk.take();
    assert_eq!(leases.len(), 1);
    let lease = &leases[0];
    assert_eq!((lease.message, lease.channel, lease.rows.len()), (id, MAIL, 2));
    assert_eq!(lease.parcel, lease.rows[0].id);
    assert_eq!(lease.rows[0].address, "alice@example.com");
    assert_eq!(*lease.cargo.as_ref().expect("cargo travels along").content, content("a report"));
    let record = world.read(id).await;
    for (kept, row) in record.deliveries.iter().zip(&lease.rows) {
        assert_eq!((kept.track.state, kept.track.lease), (State::Leased, 1));
        assert_eq!(kept.track, row.track);
    }
    assert_eq!(world.desk.free(MAIL), 4, "one slot for one parcel");
    assert!(world.claim(MAIL, 9).await.is_empty(), "what is leased is not claimed");
}

/// Large content and attachments stay in the store until they are sent: what is handed over is small.
pub async fn hands_over_no_large_cargo(bench: &impl Bench) {
    let world = World::begin(bench).await;
    world.desk.open(MAIL, 5);
    let (mut long, mut attached) = (to(&["alice"]), to(&["bob"]));
    long.text = "x".repeat(limits::CONTENT_INLINE_BYTES_MAX + 1);
    attached.attachments = vec![vec![7]];
    for order in [long, attached] {
        let id = world.submit(&order).await;
        let lease = world.desk.take().remove(0);
        assert_eq!(lease.message, id);
        assert!(lease.cargo.is_none());
        let cargo = world.store().cargo_read(vec![id]).await.expect("reads");
        assert_eq!((&*cargo[0].1.content, &*cargo[0].1.attachments), (&content(&order.text), &order.attachments));
    }
}

/// The client hangs up as soon as its request is under way: it is stored and handed over all the same.
pub async fn hands_over_after_the_client_hung_up(bench: &impl Bench) {
    let world = World::begin(bench).await;
    world.desk.open(MAIL, 5);
    let batch = world.batch(&to(&["alice"]));
    let id = batch.message.id;
    {
        let mut submit = std::pin::pin!(world.store().submit(batch, world.now));
        let _ = poll_once(submit.as_mut());
    }
    eventually("the parcel is handed over", || async { world.desk.len() == 1 }).await;
    assert_eq!(world.desk.take()[0].message, id);
    assert_eq!(world.states(id).await, [State::Leased]);
}

/// Without a slot a parcel waits, and the desk is told that something does.
pub async fn leaves_ready_what_finds_no_slot(bench: &impl Bench) {
    let world = World::begin(bench).await;
    world.desk.open(MAIL, 1);
    let (first, second) = (world.submit(&to(&["alice"])).await, world.submit(&to(&["bob"])).await);
    assert_eq!(world.desk.take().len(), 1);
    assert_eq!((world.states(first).await, world.states(second).await), (vec![State::Leased], vec![State::Ready]));
    assert!(world.desk.wakes.load(Ordering::SeqCst) > 0);
    assert_eq!(world.claim_one(MAIL).await.message, second);
}

/// Nothing is born leased while something of its channel waits; what waits for its time does not count.
pub async fn overtakes_nothing_that_waits(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let waits = world.submit(&to(&["alice"])).await;
    world.desk.open(MAIL, 5);
    let behind = world.submit(&to(&["bob"])).await;
    assert_eq!(world.desk.len(), 0);
    let leases = world.claim(MAIL, 9).await;
    assert_eq!(leases.iter().map(|lease| lease.message).collect::<Vec<_>>(), [waits, behind]);
    world.submit(&to(&["carol"]).due_in(Duration::from_secs(60))).await;
    assert_eq!(world.desk.len(), 0, "what is not due is not leased");
    let due = world.submit(&to(&["dave"])).await;
    assert_eq!(world.desk.take()[0].message, due);
}

/// Desk and progress that take what they are told and panic at it.
#[derive(Default)]
struct Panics {
    handed: Mutex<Vec<Lease>>,
    moved: AtomicUsize,
}

impl Desk for Panics {
    fn reserve(&self, _: ChannelNo) -> bool {
        true
    }

    fn release(&self, _: ChannelNo) {}

    fn hand_over(&self, leases: Vec<Lease>) {
        lock(&self.handed).extend(leases);
        panic!("a desk that panics");
    }

    fn wake(&self, _: ChannelNo) {
        panic!("a desk that panics when it is woken");
    }
}

impl Progress for Panics {
    fn moved(&self, moved: &[Moved]) {
        self.moved.fetch_add(moved.len(), Ordering::SeqCst);
        panic!("a progress that panics");
    }

    fn stalled(&self, _: ChannelNo, _: bool) {}
}

/// However often the rest of the node panics at what the store tells it, the store goes on and answers.
pub async fn a_node_that_panics_does_not_end_the_store(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let panics = Arc::new(Panics::default());
    world.store().attach(panics.clone(), panics.clone());
    for handed in 1..=5 {
        assert_eq!(world.states(world.submit(&to(&["alice"])).await).await, [State::Leased]);
        assert_eq!(lock(&panics.handed).len(), handed);
    }
    let leases = std::mem::take(&mut *lock(&panics.handed));
    for lease in leases {
        let told = panics.moved.load(Ordering::SeqCst);
        let tracks = world.finish(std::slice::from_ref(&lease), &accepted()).await;
        assert!(tracks[0].is_some_and(|track| !track.state.is_open()), "{tracks:?}");
        assert!(panics.moved.load(Ordering::SeqCst) > told);
    }
    let id = world.submit(&to(&["bob"]).due_in(Duration::from_secs(60))).await;
    assert_eq!(world.cancel(id).await, 1);
    assert_eq!(world.states(id).await, [State::Cancelled]);
}

/// Requests that may share one commit are handed over or wait in order: never one behind another that waits.
pub async fn same_commit_counts_as_waiting(bench: &impl Bench) {
    let world = World::begin(bench).await;
    world.desk.open(MAIL, 10);
    let batches: Vec<_> = (0..64).map(|_| world.batch(&to(&["alice"]))).collect();
    let submits = batches.iter().map(|batch| world.store().submit(batch.clone(), world.now));
    for submitted in futures_util::future::join_all(submits).await {
        assert_eq!(submitted, Ok(Submitted::Stored));
    }
    let mut handed: Vec<_> = world.desk.take().iter().map(|lease| lease.message).collect();
    // Of two commits under way at once, either may be on disk first.
    handed.sort_unstable();
    assert_eq!(handed, batches.iter().take(10).map(|batch| batch.message.id).collect::<Vec<_>>());
    let waiting = world.claim(MAIL, 100).await;
    assert_eq!(waiting.len(), 54);
}

/// A slot that was reserved for a request that could not be stored is given back.
pub async fn gives_back_slots_that_were_not_used(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let first = world.batch(&to(&["alice"]));
    world.store().submit(first.clone(), world.now).await.expect("stored");
    world.claim_one(MAIL).await;
    world.desk.open(MAIL, 3);
    let mut clash = world.batch(&to(&["bob"]));
    clash.page[0].deliveries[0].id = first.page[0].deliveries[0].id;
    world.store().submit(clash, world.now).await.expect_err("its delivery's id is taken");
    assert_eq!(world.desk.free(MAIL), 3);
    assert_eq!(world.desk.len(), 0);
}

/// The same key with the same request is the first message, and stores nothing.
pub async fn remembers_a_key(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let first = world.submit(&to(&["alice"]).key("k", 1)).await;
    let again = world.batch(&to(&["alice"]).key("k", 1));
    assert_eq!(world.store().submit(again.clone(), world.now).await, Ok(Submitted::Seen(first)));
    assert!(world.store().message_read(again.message.id).await.expect("reads").is_none());
    let other_app = world.batch(&to(&["alice"]).key("k", 1).app(2));
    assert_eq!(world.store().submit(other_app, world.now).await, Ok(Submitted::Stored), "keys belong to an app");
}

/// The first answer to a key is the answer; another key, or none, keeps nothing of it.
pub async fn keeps_the_first_answer_to_a_key(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let app = AppNo(1);
    let keep = |key: &str, answer: &str| world.store().answer_keep(app, key.to_owned(), answer.to_owned());
    world.submit(&to(&["alice"]).key("k", 1)).await;
    assert_eq!(world.store().answer_read(app, "k".to_owned()).await, Ok(None));
    assert_eq!(keep("k", "first").await, Ok("first".to_owned()));
    assert_eq!(keep("k", "second").await, Ok("first".to_owned()));
    assert_eq!(keep("unknown", "given").await, Ok("given".to_owned()));
    assert_eq!(world.store().answer_read(app, "unknown".to_owned()).await, Ok(None));
    world.crash().await;
    assert_eq!(world.store().answer_read(app, "k".to_owned()).await, Ok(Some("first".to_owned())));
    assert_eq!(world.store().answer_read(AppNo(2), "k".to_owned()).await, Ok(None), "keys belong to an app");
}

/// The same key with another request is an error, and stores nothing.
pub async fn refuses_a_key_with_another_body(bench: &impl Bench) {
    let world = World::begin(bench).await;
    world.submit(&to(&["alice"]).key("k", 1)).await;
    let other = world.batch(&to(&["alice"]).key("k", 2));
    assert_eq!(world.store().submit(other.clone(), world.now).await, Ok(Submitted::KeyReused));
    assert!(world.store().message_read(other.message.id).await.expect("reads").is_none());
}

/// Thirty-two at once with one key: one is stored, all name it.
pub async fn one_of_many_with_the_same_key_is_stored(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let batches: Vec<_> = (0..32).map(|_| world.batch(&to(&["alice"]).key("k", 1))).collect();
    let ids: Vec<_> = batches.iter().map(|batch| batch.message.id).collect();
    let submits = batches.into_iter().map(|batch| world.store().submit(batch, world.now));
    let answers = futures_util::future::join_all(submits).await;
    let stored: Vec<_> =
        answers.iter().zip(&ids).filter(|(answer, _)| **answer == Ok(Submitted::Stored)).map(|(_, id)| *id).collect();
    assert_eq!(stored.len(), 1);
    assert_eq!(answers.iter().filter(|answer| **answer == Ok(Submitted::Seen(stored[0]))).count(), 31);
    assert_eq!(world.depth(MAIL).await, 1);
}

/// A key may be used again when its time is over, whether or not it was pruned.
pub async fn forgets_a_key_after_a_day(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    world.submit(&to(&["alice"]).key("k", 1)).await;
    world.pass(limits::IDEMPOTENCY_KEPT + Duration::from_secs(1));
    world.submit(&to(&["alice"]).key("k", 2)).await;
    world.pass(limits::IDEMPOTENCY_KEPT + Duration::from_secs(1));
    world.store().prune(world.now - 3 * limits::IDEMPOTENCY_KEPT, 100, world.now).await.expect("prunes");
    world.submit(&to(&["alice"]).key("k", 3)).await;
}

/// Of many requests at once the bad ones are refused and the good ones stored, though they may have shared a commit.
pub async fn fails_each_alone(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let taken = world.batch(&to(&["alice"]));
    world.store().submit(taken.clone(), world.now).await.expect("stored");
    let batches: Vec<_> = (0..100)
        .map(|n| {
            let mut batch = world.batch(&to(&["bob"]));
            if n % 10 == 3 {
                batch.message.id = taken.message.id;
            }
            batch
        })
        .collect();
    let submits = batches.iter().map(|batch| world.store().submit(batch.clone(), world.now));
    let answers = futures_util::future::join_all(submits).await;
    for (batch, answer) in batches.iter().zip(answers) {
        if batch.message.id == taken.message.id {
            assert!(matches!(answer, Err(StoreError::Conflict(_))), "{answer:?}");
        } else {
            assert_eq!(answer, Ok(Submitted::Stored));
            assert_eq!(world.states(batch.message.id).await, [State::Ready]);
        }
    }
    assert_eq!(world.depth(MAIL).await, 91);
    assert_eq!(world.claim(MAIL, 200).await.len(), 91);
}

/// Recipients who get nothing are on record with the reason; a page of nothing else has no parcel to send.
pub async fn skipped_are_stored_and_not_sent(bench: &impl Bench) {
    let world = World::begin(bench).await;
    world.desk.open(MAIL, 5);
    let mut order = to(&["ghost", "alice", "spook"]);
    order.skipped = vec!["ghost".into(), "spook".into()];
    let id = world.submit(&order).await;
    let lease = world.desk.take().remove(0);
    assert_eq!(lease.rows.len(), 1);
    assert_eq!(lease.rows[0].address, "alice@example.com");
    let record = world.read(id).await;
    assert_eq!(record.deliveries[0].track.state, State::Skipped);
    assert_eq!(record.deliveries[0].track.reason, Some(Reason::UnknownUser));
    assert_eq!(record.deliveries[0].address, "");
    order.to.remove(1);
    let nobody = world.submit(&order).await;
    assert_eq!(world.states(nobody).await, [State::Skipped; 2]);
    assert_eq!((world.desk.len(), world.depth(MAIL).await), (0, 0));
}
