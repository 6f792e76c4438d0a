//! What accounts may send, decided in the commit that stores it, and given back in the commit that ends a delivery.

use std::time::Duration;

use futures_util::future::join_all;
use hongyan_core::{
    account::AccountNo,
    delivery::{Event, Receipt, State},
    id::Id,
    outcome::{Outcome, Rejection},
    quota::{Fit, HOUR, Refusal, Sums, Window},
    retry::Roll,
    setup::AppNo,
    store::{Batch, DeliveryRecord, Lease, Submitted},
};

use crate::{
    Bench,
    world::{MAIL, Order, SMS, World, accepted, change, day, deferred, finish, to},
};

const ANN: AccountNo = AccountNo(1);
const BOB: AccountNo = AccountNo(2);
const DAY_MAX: u32 = 100;

/// A request of Ann's under a limit of five an hour.
fn ask(recipients: &[&str]) -> Order {
    to(recipients).account(ANN).limits(5, DAY_MAX, Fit::Whole)
}

const fn sums(both: u64) -> Sums {
    Sums { hour: both, day: both }
}

async fn submit(world: &World<'_>, batch: Batch) -> Submitted {
    world.store().submit(batch, world.now).await.expect("answers")
}

/// Submits many at once; answers those that were stored and those that were not.
async fn submit_at_once(world: &World<'_>, order: &Order, count: usize) -> (Vec<Id>, Vec<Id>) {
    let batches: Vec<_> = (0..count).map(|_| world.batch(order)).collect();
    let answers = join_all(batches.iter().map(|batch| submit(world, batch.clone()))).await;
    let (mut stored, mut refused) = (Vec::new(), Vec::new());
    for (batch, answer) in batches.iter().zip(answers) {
        match answer {
            Submitted::Stored => stored.push(batch.message.id),
            Submitted::OverLimit(_) => refused.push(batch.message.id),
            other => panic!("{other:?}"),
        }
    }
    (stored, refused)
}

/// Of 64 requests at once exactly those pass that the rule allows, and no trace is left of the others.
pub async fn exactly_what_fits_is_stored(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let one = ["a"].as_slice();
    let three = ["a", "b", "c"].as_slice();
    for (n, (recipients, fit, passes, used)) in (1..).zip([
        (one, Fit::Whole, 5, 5),
        (one, Fit::First, 5, 5),
        // Three fit beside nothing, and six are too many; but one fits beside three.
        (three, Fit::Whole, 1, 3),
        (three, Fit::First, 2, 6),
    ]) {
        let account = AccountNo(n);
        let order = to(recipients).account(account).limits(5, DAY_MAX, fit);
        let (stored, refused) = submit_at_once(&world, &order, 64).await;
        assert_eq!((stored.len(), refused.len()), (passes, 64 - passes), "{recipients:?} {fit:?}");
        assert_eq!(world.used(account).await, sums(used));
        for id in stored {
            assert_eq!(world.read(id).await.deliveries.len(), recipients.len());
        }
        for id in refused {
            assert!(world.store().message_read(id).await.expect("reads").is_none());
        }
    }
    assert_eq!(world.depth(MAIL).await, 5 + 5 + 3 + 6);
}

/// A refusal says which window is full and until when, and leaves nothing: no message, no key, no count; the desk keeps its slot.
pub async fn a_refusal_leaves_nothing(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    world.submit(&ask(&["a", "b", "c"])).await;
    let held = world.claim(MAIL, 9).await;
    world.finish(&held, &accepted()).await;
    world.desk.open(MAIL, 1);
    let order = ask(&["d", "e", "f"]).key("order-1", 1);
    let batch = world.batch(&order);
    let id = batch.message.id;
    let refusal = Refusal { window: Window::Hour, left: 2, again: Some(world.now + HOUR) };
    assert_eq!(submit(&world, batch).await, Submitted::OverLimit(refusal));
    let day_full = Order { limits: Some((50, 5, Fit::Whole)), ..order.clone() };
    let refusal = Refusal { window: Window::Day, left: 2, again: Some(day(world.now).end) };
    assert_eq!(submit(&world, world.batch(&day_full)).await, Submitted::OverLimit(refusal));
    assert_eq!((world.desk.free(MAIL), world.desk.len(), world.depth(MAIL).await), (1, 0, 0));
    assert!(world.store().message_read(id).await.expect("reads").is_none());
    assert!(world.store().cargo_read(vec![id]).await.expect("reads").is_empty());
    assert_eq!(world.used(ANN).await, sums(3));
    world.crash().await;
    assert_eq!(world.used(ANN).await, sums(3));
    world.pass(HOUR);
    let again = world.batch(&order);
    assert_eq!(submit(&world, again).await, Submitted::Stored, "the key was not taken");
    assert_eq!(world.used(ANN).await, Sums { hour: 3, day: 6 });
}

/// A request whose key is known is answered as before, whatever its account has left, and counts once.
pub async fn a_repeat_does_not_count(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let order = ask(&["a", "b", "c"]).key("order-1", 1);
    let first = world.submit(&order).await;
    assert_eq!(submit(&world, world.batch(&order)).await, Submitted::Seen(first));
    let other = Order { key: Some(("order-1".into(), 2)), ..order.clone() };
    assert_eq!(submit(&world, world.batch(&other)).await, Submitted::KeyReused);
    assert_eq!(world.used(ANN).await, sums(3));
    let of_bob = order.clone().account(BOB);
    world.submit(&of_bob).await;
    assert_eq!((world.used(ANN).await, world.used(BOB).await), (sums(3), sums(3)), "a key is one account's");
    world.submit(&ask(&["d", "e"])).await;
    assert_eq!(submit(&world, world.batch(&order)).await, Submitted::Seen(first), "also when the windows are full");
    let same = join_all((0..8).map(|_| submit(&world, world.batch(&order)))).await;
    assert!(same.iter().all(|answer| *answer == Submitted::Seen(first)));
    assert_eq!(world.used(ANN).await, sums(5));
}

/// What becomes of a delivery.
#[derive(Clone, Copy, Debug)]
enum End {
    Finish(fn() -> Outcome),
    /// Its time is over while a node holds it.
    TooLate,
    /// Its time is over while it waits.
    Expire,
    Cancel,
    /// The node dies with it.
    Crash,
    /// The node dies with it alone, again and again.
    Poison,
    /// What nobody knew turns out so.
    Truth(Receipt),
    /// The provider's answer comes after all.
    LateRefusal,
}

const LIVES: Duration = Duration::from_secs(60);

async fn come_to(world: &mut World<'_>, end: End, message: Id) {
    match end {
        End::Finish(outcome) => {
            let lease = world.claim_one(SMS).await;
            world.finish(&[lease], &outcome()).await;
        }
        End::TooLate => {
            let lease = world.claim_one(SMS).await;
            world.pass(2 * LIVES);
            assert!(world.settle(vec![change(SMS, lease.rows[0].id, Event::Expire)]).await[0].is_some());
        }
        End::Expire => {
            world.pass(2 * LIVES);
            assert_eq!(world.store().expire(9, world.now).await, Ok(1));
        }
        End::Cancel => assert_eq!(world.cancel(message).await, 1),
        End::Crash => {
            world.claim_one(SMS).await;
            world.crash_and_recover().await;
        }
        End::Poison => {
            for _ in 0..4 {
                world.claim_one(SMS).await;
                world.crash_and_recover().await;
            }
        }
        End::Truth(receipt) => {
            let lease = world.claim_one(SMS).await;
            world.finish(std::slice::from_ref(&lease), &Outcome::Unknown).await;
            assert!(world.settle(vec![change(SMS, lease.rows[0].id, Event::Receipt(receipt))]).await[0].is_some());
        }
        End::LateRefusal => {
            let lease = world.claim_one(SMS).await;
            world.finish(std::slice::from_ref(&lease), &Outcome::Unknown).await;
            assert!(world.finish(&[lease], &refused()).await[0].is_some());
        }
    }
}

fn refused() -> Outcome {
    Outcome::Rejected(Rejection::Recipient)
}

/// A delivery that is sure to reach nobody is given back in the commit that says so, however it came to that; what was taken,
/// or may have been, counts. The same news again, other news, and a restart change nothing.
pub async fn what_fails_for_good_is_given_back(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    for (n, (end, state, used)) in (1..).zip([
        (End::Finish(accepted), State::Accepted, 1),
        (End::Finish(refused), State::Failed, 0),
        (End::Finish(|| Outcome::Rejected(Rejection::Content)), State::Failed, 0),
        (End::Finish(|| Outcome::Unknown), State::Unknown, 1),
        (End::TooLate, State::Expired, 0),
        (End::Expire, State::Expired, 0),
        (End::Cancel, State::Cancelled, 0),
        (End::Poison, State::Failed, 0),
        (End::Truth(Receipt::Refused), State::Failed, 0),
        (End::Truth(Receipt::Accepted), State::Accepted, 1),
        (End::Truth(Receipt::Undelivered), State::Undelivered, 1),
        (End::LateRefusal, State::Failed, 0),
        (End::Finish(|| deferred(LIVES)), State::Ready, 1),
        (End::Crash, State::Ready, 1),
    ]) {
        let account = AccountNo(n);
        let message = world.submit(&ask(&["a"]).account(account).channel(SMS).lives(LIVES)).await;
        assert_eq!(world.used(account).await, sums(1));
        come_to(&mut world, end, message).await;
        assert_eq!((world.states(message).await, world.used(account).await), (vec![state], sums(used)), "{end:?}");
        let DeliveryRecord { id, track, .. } = world.read_one(message).await;
        let mut used = sums(used);
        if state == State::Ready {
            assert_eq!(world.cancel(message).await, 1);
            used = sums(0);
        }
        let late = Event::Finish { lease: track.lease, outcome: accepted(), roll: Roll::NONE };
        let recover = Event::Recover { lease: track.lease, alone: true };
        let news = [Event::Expire, Event::Cancel, recover, late, Event::Receipt(Receipt::Undelivered)];
        world.settle(news.map(|event| change(SMS, id, event)).to_vec()).await;
        assert_eq!(world.store().expire(9, world.now).await, Ok(0));
        assert_eq!(world.cancel(message).await, 0);
        assert_eq!(world.used(account).await, used, "once and for all: {end:?}");
        world.crash_and_recover().await;
        assert_eq!(world.used(account).await, used, "on disk: {end:?}");
    }
}

/// Each recipient is given back by itself and once, in one call or in several, also where it is told twice; who was skipped
/// never counted.
pub async fn each_recipient_is_given_back_once(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let order = ask(&["a", "b", "c", "nobody"]).skipped(&["nobody"]).parcel_max(1);
    let message = world.submit(&order).await;
    assert_eq!(world.used(ANN).await, sums(3));
    let leases = world.claim(MAIL, 9).await;
    let [a, b, c] = [0, 1, 2].map(|n: usize| finish(MAIL, &leases[n].rows[0], refused(), world.now));
    let answers = world.settle(vec![a.clone(), a.clone(), b.clone()]).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_some()).count(), 2);
    assert_eq!(world.used(ANN).await, sums(1));
    join_all((0..8).map(|_| world.settle(vec![b.clone(), a.clone(), c.clone()]))).await;
    assert_eq!(world.used(ANN).await, sums(0));
    world.store().message_cancel(message, world.now).await.expect("cancels");
    assert_eq!(world.used(ANN).await, sums(0));
    assert_eq!(world.states(message).await, [State::Failed, State::Failed, State::Failed, State::Skipped]);
    world.submit(&ask(&["a", "b", "c", "d", "e"])).await;
    assert_eq!(world.used(ANN).await, sums(5), "there is room again, and for no more than before");
    assert!(matches!(submit(&world, world.batch(&ask(&["f"]))).await, Submitted::OverLimit(_)));
}

/// What fails after its hour, or after its day, is given back to what it counts in still.
pub async fn what_fails_late_counts_nowhere_twice(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    world.submit(&ask(&["a", "b"]).lives(9 * 24 * HOUR).parcel_max(1)).await;
    world.pass(HOUR);
    world.submit(&ask(&["c"])).await;
    let leases = world.claim(MAIL, 2).await;
    assert_eq!(world.used(ANN).await, Sums { hour: 1, day: 3 });
    world.finish(&leases[..1], &refused()).await;
    assert_eq!(world.used(ANN).await, Sums { hour: 1, day: 2 }, "its hour is over, its day is not");
    world.now = day(world.now).end;
    world.submit(&ask(&["d"])).await;
    world.finish(&leases[1..], &refused()).await;
    assert_eq!(world.used(ANN).await, sums(1), "yesterday is not given back today");
}

/// What apps send counts in no window, and what one account sends in nobody else's.
pub async fn one_account_pays_for_itself(bench: &impl Bench) {
    let world = World::begin(bench).await;
    world.submit(&ask(&["a"])).await;
    world.submit(&ask(&["b"]).account(BOB)).await;
    world.submit(&Order { app: AppNo(1), limits: None, ..ask(&["c"]) }).await;
    let leases: Vec<Lease> = world.claim(MAIL, 3).await;
    let (ann, others): (Vec<_>, Vec<_>) = leases.into_iter().partition(|lease| lease.app == ANN.as_app());
    world.finish(&others, &refused()).await;
    assert_eq!((world.used(ANN).await, world.used(BOB).await), (sums(1), sums(0)));
    world.finish(&ann, &refused()).await;
    assert_eq!((world.used(ANN).await, world.used(BOB).await), (sums(0), sums(0)));
    world.submit(&Order { limits: None, ..ask(&["d"]) }).await;
    let free = world.claim_one(MAIL).await;
    world.finish(&[free], &refused()).await;
    assert_eq!(world.used(ANN).await, sums(0), "what was never admitted is not given back");
}
