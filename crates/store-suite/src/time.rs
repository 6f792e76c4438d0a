//! Due times and expiry.

use std::time::Duration;

use hongyan_core::{
    delivery::{Event, State},
    time::Timestamp,
};

use crate::{
    Bench,
    world::{MAIL, SMS, World, accepted, change, deferred, to},
};

const SECOND: Duration = Duration::from_secs(1);

/// Nothing is handed out before its time, and everything at it.
pub async fn waits_until_due(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let later = world.submit(&to(&["a"]).due_in(10 * SECOND)).await;
    let now = world.submit(&to(&["b"])).await;
    assert_eq!(world.claim(MAIL, 9).await.iter().map(|lease| lease.message).collect::<Vec<_>>(), [now]);
    world.pass(10 * SECOND - Duration::from_millis(1));
    assert!(world.claim(MAIL, 9).await.is_empty());
    world.pass(Duration::from_millis(1));
    assert_eq!(world.claim_one(MAIL).await.message, later);
}

/// The next due time is that of the first delivery that is not due, over all priorities and apps, in memory or not.
pub async fn next_due_is_the_first_to_come(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let next = async |world: &World<'_>| world.store().next_due(MAIL, world.now).await.expect("asks");
    assert_eq!(next(&world).await, None);
    world.submit_all((0..3_000).map(|_| to(&["a"]).app(1))).await;
    world.submit_all((0..10).map(|_| to(&["a"]).app(2))).await;
    assert_eq!(next(&world).await, None, "what is due already is not to come");
    world.submit(&to(&["a"]).due_in(30 * SECOND)).await;
    assert_eq!(next(&world).await, Some(world.now + 30 * SECOND), "behind thousands that are due");
    world.submit(&to(&["a"]).app(3).due_in(20 * SECOND)).await;
    world.submit(&to(&["a"]).channel(SMS).due_in(SECOND)).await;
    assert_eq!(next(&world).await, Some(world.now + 20 * SECOND));
    let lease = world.claim_one(MAIL).await;
    world.finish(&[lease], &deferred(10 * SECOND)).await;
    assert_eq!(next(&world).await, Some(world.now + 10 * SECOND));
    let start = world.now;
    world.pass(20 * SECOND);
    assert_eq!(next(&world).await, Some(start + 30 * SECOND));
    world.crash_and_recover().await;
    assert_eq!(next(&world).await, Some(start + 30 * SECOND));
}

/// A channel that is paused claims nothing; its deliveries expire all the same, when their time is over and not before.
pub async fn expires_on_a_channel_nobody_claims(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let short = world.submit(&to(&["a", "b"]).lives(10 * SECOND)).await;
    let long = world.submit(&to(&["a"]).lives(20 * SECOND)).await;
    let scheduled = world.submit(&to(&["a"]).lives(10 * SECOND).due_in(10 * SECOND)).await;
    assert_eq!(world.store().expire(100, world.now).await, Ok(0));
    world.progress.take();
    world.pass(10 * SECOND);
    assert_eq!(world.store().expire(100, world.now).await, Ok(3));
    assert_eq!(world.progress.take().len(), 3);
    assert_eq!(world.states(short).await, [State::Expired; 2]);
    assert_eq!((world.states(long).await, world.states(scheduled).await), (vec![State::Ready], vec![State::Expired]));
    assert_eq!(world.depth(MAIL).await, 1);
    assert_eq!(world.store().expire(100, world.now).await, Ok(0));
    assert_eq!(world.claim_one(MAIL).await.message, long);
}

/// In a long queue the search goes on where it stopped; calls find everything in the end, and never more than they may.
pub async fn expires_in_a_long_queue(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    world
        .submit_all(
            (0..6_000).map(|n| to(&["a"]).app(1 + n % 3).lives(if n % 2 == 0 { 10 * SECOND } else { 90 * SECOND })),
        )
        .await;
    world.pass(10 * SECOND);
    let (mut expired, mut calls) = (0, 0);
    while expired < 3_000 {
        let more = world.store().expire(100, world.now).await.expect("expires");
        assert!(more <= 100, "parcels of one: the limit is exact");
        expired += more;
        calls += 1;
        assert!(calls < 100, "{expired} of 3000 after {calls} calls");
    }
    assert_eq!(expired, 3_000);
    assert_eq!(world.store().expire(100, world.now).await, Ok(0));
    assert_eq!(world.depth(MAIL).await, 3_000);
    let mut claimed = 0;
    loop {
        let leases = world.claim(MAIL, 1_000).await;
        if leases.is_empty() {
            break;
        }
        assert!(leases.iter().all(|lease| lease.rows[0].track.expires > world.now));
        claimed += leases.len();
    }
    assert_eq!(claimed, 3_000);
}

/// What is in flight is its holder's to expire; what is done stays as it is.
pub async fn expiry_leaves_what_is_in_flight(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let flying = world.submit(&to(&["a"]).lives(10 * SECOND)).await;
    let lease = world.claim_one(MAIL).await;
    let done = world.submit(&to(&["b"]).lives(10 * SECOND)).await;
    let other = world.claim_one(MAIL).await;
    world.finish(&[other], &accepted()).await;
    world.pass(11 * SECOND);
    assert_eq!(world.store().expire(100, world.now).await, Ok(0));
    assert_eq!((world.states(flying).await, world.states(done).await), (vec![State::Leased], vec![State::Accepted]));
    let answer = world.settle(vec![change(MAIL, lease.rows[0].id, Event::Expire)]).await;
    assert_eq!(answer[0].map(|track| track.state), Some(State::Expired));
    let depths = world.store().depths().await.expect("counts");
    assert!(depths.iter().all(|depth| depth.oldest_due < Some(Timestamp::MAX) && depth.ready == 0));
}
