//! Claiming and settling: every write names its lease, parcels travel whole.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use hongyan_core::{
    delivery::{Event, Reason, State, Track},
    id::Id,
    limits,
    outcome::{Outcome, Rejection},
    retry::Roll,
    store::Store,
};

use crate::{
    Bench,
    world::{MAIL, Order, SMS, World, accepted, change, content, deferred, eventually, finish, poll_once, to},
};

/// From ready over leased to accepted.
pub async fn claims_and_settles(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let id = world.submit(&to(&["alice"])).await;
    let lease = world.claim_one(MAIL).await;
    assert_eq!((lease.message, lease.channel, lease.accepted), (id, MAIL, world.now));
    assert_eq!(lease.parcel, lease.rows[0].id);
    assert_eq!((lease.rows[0].track.state, lease.rows[0].track.lease), (State::Leased, 1));
    assert_eq!(*lease.cargo.as_ref().expect("small content travels along").content, content("a report"));
    assert_eq!(world.read_one(id).await.track, lease.rows[0].track);

    let answer = world.finish(std::slice::from_ref(&lease), &accepted()).await;
    let track = answer[0].expect("it changed something");
    assert_eq!((track.state, track.tries), (State::Accepted, 1));
    assert_eq!(world.read_one(id).await.track, track);
    assert!(world.claim(MAIL, 9).await.is_empty());
}

/// Tries are kept in order, also those that change nothing.
pub async fn records_every_try(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let id = world.submit(&to(&["alice"])).await;
    let first = world.claim_one(MAIL).await;
    world.finish(std::slice::from_ref(&first), &deferred(Duration::from_secs(5))).await;
    world.pass(Duration::from_secs(5));
    let second = world.claim_one(MAIL).await;
    world.finish(&[second], &Outcome::Rejected(Rejection::Recipient)).await;
    world.finish(&[first], &accepted()).await;
    let delivery = world.read_one(id).await;
    assert_eq!((delivery.track.state, delivery.track.reason), (State::Failed, Some(Reason::RecipientRefused)));
    let outcomes: Vec<_> = delivery.attempts.iter().map(|attempt| attempt.outcome.as_str()).collect();
    assert_eq!(outcomes, ["deferred", "rejected", "accepted"]);
    assert_eq!((delivery.attempts[1].started, delivery.attempts[1].took_ms), (world.now, 12));
}

/// Only the newest lease counts.
pub async fn a_late_word_of_an_older_lease_changes_nothing(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let id = world.submit(&to(&["alice"])).await;
    let old = world.claim_one(MAIL).await;
    world.crash_and_recover().await;
    let new = world.claim_one(MAIL).await;
    assert_eq!(new.rows[0].track.lease, 2);
    assert_eq!(world.finish(&[old], &accepted()).await, [None]);
    assert_eq!(world.read_one(id).await.track, new.rows[0].track);
    assert_eq!(world.finish(&[new], &accepted()).await[0].map(|track| track.state), Some(State::Accepted));
}

/// A second settlement of the same try is a no-op.
pub async fn settling_twice_changes_nothing(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let id = world.submit(&to(&["alice"])).await;
    let lease = world.claim_one(MAIL).await;
    let first = world.finish(std::slice::from_ref(&lease), &accepted()).await;
    assert_eq!(world.finish(&[lease], &Outcome::Rejected(Rejection::Content)).await, [None]);
    assert_eq!(Some(world.read_one(id).await.track), first[0]);
}

/// What is given back waits again, under the next lease; its old holder has no say.
pub async fn gives_back_untried(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let id = world.submit(&to(&["alice", "bob"])).await;
    let lease = world.claim_one(MAIL).await;
    for track in world.give_back(std::slice::from_ref(&lease)).await {
        assert_eq!(track.map(|track| (track.state, track.tries)), Some((State::Ready, 0)));
    }
    assert_eq!(world.depth(MAIL).await, 2);
    let again = world.claim_one(MAIL).await;
    assert_eq!((again.parcel, again.rows.len(), again.rows[0].track.lease), (lease.parcel, 2, 2));
    assert_eq!(world.give_back(std::slice::from_ref(&lease)).await, [None, None]);
    assert_eq!(world.states(id).await, [State::Leased; 2]);
}

/// Events of one delivery in one call follow each other.
pub async fn several_events_of_one_delivery_in_one_call(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let id = world.submit(&to(&["alice"]).channel(SMS)).await;
    let lease = world.claim_one(SMS).await;
    let row = &lease.rows[0];
    let answer = world
        .settle(vec![
            change(SMS, row.id, Event::Intend { lease: 1 }),
            change(SMS, row.id, Event::GiveBack { lease: 1 }),
            change(SMS, row.id, Event::Finish { lease: 1, outcome: accepted(), roll: Roll::NONE }),
        ])
        .await;
    let states: Vec<_> = answer.iter().map(|track| track.map(|track| track.state)).collect();
    assert_eq!(states, [Some(State::Sending), None, Some(State::Accepted)]);
    let kept = world.read_one(id).await.track;
    assert_eq!((Some(kept), kept.first_try), (answer[2], Some(world.now)));
}

/// A claim's limit counts parcels; each comes with all its rows, in order.
pub async fn parcels_are_claimed_whole(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let many: Vec<String> = (0..limits::PAGE_RECIPIENTS_MAX).map(|n| format!("user{n}")).collect();
    let large = world.submit(&to(&many.iter().map(String::as_str).collect::<Vec<_>>())).await;
    let small = world.submit(&to(&["alice", "bob"])).await;
    assert_eq!(world.depth(MAIL).await, 1_002);
    let leases = world.claim(MAIL, 1).await;
    assert_eq!((leases[0].message, leases[0].rows.len()), (large, 1_000));
    assert!(leases[0].rows.is_sorted_by_key(|row| row.id));
    assert_eq!(leases[0].rows[999].address, "user999@example.com");
    let leases = world.claim(MAIL, 5).await;
    assert_eq!((leases[0].message, leases[0].rows.len(), leases.len()), (small, 2, 1));
    assert_eq!(world.depth(MAIL).await, 0);
}

/// Recipients deferred come back together, at the latest of their times, as a smaller parcel with the same id.
pub async fn what_is_deferred_of_a_parcel_stays_one_parcel(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let id = world.submit(&to(&["a", "b", "c", "d"])).await;
    let lease = world.claim_one(MAIL).await;
    let secs = Duration::from_secs;
    let outcomes = [accepted(), deferred(secs(10)), Outcome::Rejected(Rejection::Recipient), deferred(secs(30))];
    let rows = lease.rows.iter().zip(outcomes);
    let answer = world.settle(rows.map(|(row, outcome)| finish(MAIL, row, outcome, world.now)).collect()).await;
    let latest = world.now + secs(30);
    assert_eq!((answer[1].map(|t| t.due), answer[3].map(|t| t.due)), (Some(latest), Some(latest)));
    assert_eq!(world.states(id).await, [State::Accepted, State::Ready, State::Failed, State::Ready]);
    world.pass(secs(29));
    assert!(world.claim(MAIL, 9).await.is_empty());
    world.pass(secs(1));
    let again = world.claim(MAIL, 9).await;
    assert_eq!(again.len(), 1);
    assert_eq!((again[0].parcel, again[0].rows.len()), (lease.parcel, 2));
    assert_eq!([again[0].rows[0].id, again[0].rows[1].id], [lease.rows[1].id, lease.rows[3].id]);
    assert_eq!(again[0].rows.iter().map(|row| row.track.lease).collect::<Vec<_>>(), [2, 2]);
}

/// Whoever waits for outcomes is told, after the commit, of what changed and of nothing else.
pub async fn tells_what_moved(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let id = world.submit(&to(&["alice"])).await;
    let lease = world.claim_one(MAIL).await;
    world.progress.take();
    let answer = world.finish(std::slice::from_ref(&lease), &accepted()).await;
    let moved = world.progress.take();
    assert_eq!(moved.len(), 1);
    assert_eq!((moved[0].message, moved[0].delivery, Some(moved[0].track)), (id, lease.rows[0].id, answer[0]));
    world.finish(&[lease], &accepted()).await;
    assert!(world.progress.take().is_empty());
}

/// An event about a delivery that is not there changes nothing.
pub async fn gone_messages_are_no_error(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let nobody = world.ids.block(1, 0, world.now).expect("ids");
    assert_eq!(world.settle(vec![change(MAIL, nobody, Event::Cancel)]).await, [None]);
    assert_eq!(world.cancel(nobody).await, 0);
}

/// Large content does not travel with a claim; it is read by its message.
pub async fn large_content_is_read_apart(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let mut order = to(&["alice"]);
    order.text = "x".repeat(limits::CONTENT_INLINE_BYTES_MAX + 1);
    let id = world.submit(&order).await;
    let lease = world.claim_one(MAIL).await;
    assert!(lease.cargo.is_none());
    let cargo = world.store().cargo_read(vec![id]).await.expect("reads");
    assert_eq!(*cargo[0].1.content, content(&order.text));
}

/// Many rows at once, as a long mailing brings them: claimed whole, put off together, claimed again and accepted, however many
/// there are in a call.
pub async fn large_parcels_go_through(bench: &impl Bench) {
    const PARCELS: usize = 5;
    let mut world = World::begin(bench).await;
    let people: Vec<String> = (0..limits::PAGE_RECIPIENTS_MAX).map(|n| format!("user{n}")).collect();
    for _ in 0..PARCELS {
        world.submit(&Order { to: people.clone(), ..to(&[]) }).await;
    }
    for outcome in [deferred(Duration::from_secs(5)), accepted()] {
        let mut leases = Vec::new();
        while leases.len() < PARCELS {
            let more = world.claim(MAIL, limits::CLAIM_MAX).await;
            assert!(!more.is_empty(), "{} of {PARCELS} were claimed", leases.len());
            leases.extend(more);
        }
        assert!(leases.iter().all(|lease| lease.rows.len() == people.len()), "parcels come whole");
        let settled = world.finish(&leases, &outcome).await;
        assert!(settled.len() == PARCELS * people.len() && settled.iter().all(Option::is_some));
        world.pass(Duration::from_secs(5));
    }
    assert_eq!(world.depth(MAIL).await, 0);
}

/// Whoever claimed and is gone before the answer holds nothing.
pub async fn a_dropped_claim_is_given_back(bench: &impl Bench) {
    let world = World::begin(bench).await;
    for _ in 0..20 {
        world.submit(&to(&["alice"])).await;
    }
    {
        let mut claim = std::pin::pin!(world.store().claim(MAIL, 20, world.now));
        let _ = poll_once(claim.as_mut());
    }
    let claimed = AtomicUsize::new(0);
    eventually("all of it is claimed by somebody who is there", || async {
        let more = world.claim(MAIL, 20).await.len();
        claimed.fetch_add(more, Ordering::Relaxed) + more == 20
    })
    .await;
}

/// Who waits for a message that another node has is told where its deliveries stand: each of them, and none of another message's.
/// Of what this node holds itself, and on a store of one node, there is nothing to ask: every move is told of.
pub async fn outcomes_of_others(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let waiting = world.submit(&to(&["alice", "bob"])).await;
    let settled = world.submit(&to(&["carol"]).channel(SMS)).await;
    world.submit(&to(&["dave"])).await;
    let lease = world.claim_one(SMS).await;
    let asked = vec![waiting, settled];
    if !bench.has_many_nodes() {
        assert_eq!(world.store().outcomes(asked).await, Ok(Vec::new()));
        return;
    }
    assert!(world.store().outcomes(vec![settled]).await.expect("reads").is_empty(), "it holds that one itself");
    let other = bench.open().await;
    assert_eq!(outcomes(&*other, &asked).await, tracks(&world, &asked).await, "in flight at the first");
    world.finish(&[lease], &accepted()).await;
    let told = outcomes(&*other, &asked).await;
    assert_eq!(told, tracks(&world, &asked).await);
    let states: Vec<_> = told.iter().map(|(_, _, track)| track.state).collect();
    assert_eq!(states, [State::Ready, State::Ready, State::Accepted]);
    assert_eq!(outcomes(world.store(), &asked).await, told, "nobody holds any of them now");
    assert!(outcomes(&*other, &[]).await.is_empty());
    other.close().await;
}

type Standing = (Id, Id, Track);

/// What a node says about the deliveries of messages, in the order of their ids.
async fn outcomes(store: &dyn Store, messages: &[Id]) -> Vec<Standing> {
    let moved = store.outcomes(messages.to_vec()).await.expect("reads");
    let mut told: Vec<_> = moved.iter().map(|moved| (moved.message, moved.delivery, moved.track)).collect();
    told.sort_by_key(|(_, delivery, _)| *delivery);
    told
}

/// What is on record about them.
async fn tracks(world: &World<'_>, messages: &[Id]) -> Vec<Standing> {
    let mut known = Vec::new();
    for message in messages {
        let record = world.read(*message).await;
        known.extend(record.deliveries.iter().map(|delivery| (*message, delivery.id, delivery.track)));
    }
    known.sort_by_key(|(_, delivery, _)| *delivery);
    known
}
