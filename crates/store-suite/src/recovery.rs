//! What a crash leaves behind: nothing is lost, nothing that may not be repeated is repeated, and what kills the node again
//! and again is tried alone and then set aside.

use std::time::Duration;

use hongyan_core::{
    delivery::{Event, Reason, State},
    limits::CRASHES_BEFORE_ALONE,
    outcome::Outcome,
    store::Recovered,
};

use crate::{
    Bench,
    world::{MAIL, SMS, World, accepted, change, deferred, policies, to},
};

/// What was leased waits again, with its due time, under the next lease; what was accepted stays so.
pub async fn takes_back_what_was_leased(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let done = world.submit(&to(&["a"])).await;
    let lease = world.claim_one(MAIL).await;
    world.finish(&[lease], &accepted()).await;
    let open = world.submit(&to(&["b", "c"])).await;
    let lease = world.claim_one(MAIL).await;
    world.progress.take();
    assert_eq!(world.crash_and_recover().await, Recovered { ready: 2, ..Recovered::default() });
    assert_eq!(world.progress.take().len(), 2);
    assert_eq!((world.states(done).await, world.states(open).await), (vec![State::Accepted], vec![State::Ready; 2]));
    assert_eq!(world.depth(MAIL).await, 2);
    let again = world.claim_one(MAIL).await;
    assert_eq!((again.parcel, again.rows.len()), (lease.parcel, 2));
    let track = again.rows[0].track;
    assert_eq!((track.lease, track.tries, track.crashes), (2, 0, 1));
    assert!(track.maybe_duplicate, "mail is sent without an intent: nobody knows how far it came");
}

/// Where an intent was committed and the channel may not repeat, nobody knows and nothing is sent again.
pub async fn never_repeats_what_may_have_been_sent(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let sent = world.submit(&to(&["a"]).channel(SMS)).await;
    let leased = world.submit(&to(&["b"]).channel(SMS)).await;
    let leases = world.claim(SMS, 2).await;
    world.settle(vec![change(SMS, leases[0].rows[0].id, Event::Intend { lease: 1 })]).await;
    let found = world.crash_and_recover().await;
    assert_eq!(found, Recovered { ready: 1, unknown: 1, poison: 0 });
    let track = world.read_one(sent).await.track;
    assert_eq!((track.state, track.reason), (State::Unknown, Some(Reason::Ambiguous)));
    let track = world.read_one(leased).await.track;
    assert_eq!((track.state, track.maybe_duplicate), (State::Ready, false));
    assert_eq!(world.claim(SMS, 9).await.len(), 1);
    let truth = world.finish(&leases[..1], &accepted()).await;
    assert_eq!(truth[0].map(|track| track.state), Some(State::Accepted), "a late truth resolves what is unknown");
}

/// Each crash while in flight counts; waiting through a crash does not.
pub async fn counts_crashes(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let flown = world.submit(&to(&["a"])).await;
    let other = world.submit(&to(&["b"])).await;
    let later = world.submit(&to(&["c"]).due_in(Duration::from_secs(900))).await;
    for crashes in 1..=2 {
        assert_eq!(world.claim(MAIL, 9).await.len(), 2);
        world.crash_and_recover().await;
        assert_eq!(world.read_one(flown).await.track.crashes, crashes);
    }
    assert_eq!((world.read_one(other).await.track.crashes, world.read_one(later).await.track.crashes), (2, 0));
}

/// Brings the deliveries that are due to the number of crashes from which they are sent alone.
async fn crash_until_suspect(world: &mut World<'_>, parcels: usize) {
    for _ in 0..CRASHES_BEFORE_ALONE {
        assert_eq!(world.claim(MAIL, 99).await.len(), parcels);
        world.crash_and_recover().await;
    }
}

/// A suspect is handed out when nothing else is in flight, and nothing else goes while it is.
pub async fn sends_a_suspect_alone(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    world.submit_all([to(&["a", "b"]), to(&["c"])]).await;
    crash_until_suspect(&mut world, 2).await;
    assert_eq!(world.depth(MAIL).await, 3, "suspects wait like others");
    let normal = world.submit(&to(&["d"]).channel(SMS)).await;
    let held = world.claim_one(SMS).await;
    assert_eq!(held.message, normal);

    assert!(world.claim(MAIL, 9).await.is_empty(), "not while something is in flight");
    world.submit(&to(&["e"]).channel(SMS)).await;
    world.desk.open(SMS, 1);
    world.submit(&to(&["f"]).channel(SMS)).await;
    assert!(world.claim(SMS, 9).await.is_empty(), "the way is kept clear for it");
    assert_eq!(world.desk.len(), 0);
    world.finish(&[held], &accepted()).await;

    let first = world.claim(MAIL, 9).await;
    assert_eq!((first.len(), first[0].rows.len()), (1, 2), "one parcel, whole");
    assert!(world.claim(MAIL, 9).await.is_empty() && world.claim(SMS, 9).await.is_empty(), "and nothing beside it");
    world.finish(&first, &accepted()).await;
    let second = world.claim(MAIL, 9).await;
    assert_eq!(second.len(), 1);
    world.finish(&second, &accepted()).await;
    assert_eq!(world.claim(SMS, 9).await.len(), 2, "then the others go on");
    assert_eq!(world.depth(MAIL).await, 0);
}

/// What would have been born leased and could not be stored is not in flight: a suspect does not wait for it.
pub async fn what_was_not_stored_is_not_in_flight(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let suspect = world.submit(&to(&["a"])).await;
    crash_until_suspect(&mut world, 1).await;
    world.desk.open(SMS, 1);
    let mut clash = world.batch(&to(&["b", "c"]).channel(SMS));
    clash.page[0].deliveries[1].id = world.read_one(suspect).await.id;
    world.store().submit(clash, world.now).await.expect_err("the second delivery's id is taken");
    assert_eq!((world.desk.free(SMS), world.desk.len()), (1, 0));
    assert_eq!(world.claim_one(MAIL).await.message, suspect);
}

/// A suspect whose channel stopped asking (it is paused) holds up nobody for long.
pub async fn a_suspect_of_a_silent_channel_stalls_nobody(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    world.submit(&to(&["a"])).await;
    crash_until_suspect(&mut world, 1).await;
    world.submit_all([to(&["b"]).channel(SMS), to(&["c"]).channel(SMS)]).await;
    assert_eq!(world.claim(SMS, 1).await.len(), 1, "nobody asked for the suspect yet");
    assert!(world.claim(MAIL, 1).await.is_empty());
    assert!(world.claim(SMS, 1).await.is_empty());
    world.pass(Duration::from_secs(5));
    assert_eq!(world.claim(SMS, 1).await.len(), 1);
}

/// The node dies while the suspect alone is in flight: it is set aside, with all rows of its parcel.
pub async fn sets_aside_what_kills_the_node_alone(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let id = world.submit(&to(&["a", "b"])).await;
    crash_until_suspect(&mut world, 1).await;
    assert_eq!(world.claim(MAIL, 1).await.len(), 1);
    assert_eq!(world.crash_and_recover().await, Recovered { poison: 2, ..Recovered::default() });
    for delivery in world.read(id).await.deliveries {
        assert_eq!((delivery.track.state, delivery.track.reason), (State::Failed, Some(Reason::Poison)));
    }
    assert!(world.claim(MAIL, 1).await.is_empty());
    assert_eq!(world.depth(MAIL).await, 0);
}

/// Before it is a suspect, or while others are in flight too, a crash sets nothing aside.
pub async fn spares_what_is_held_with_others(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let id = world.submit(&to(&["a"])).await;
    for _ in 0..CRASHES_BEFORE_ALONE {
        assert_eq!(world.claim(MAIL, 1).await.len(), 1);
        assert_eq!(world.crash_and_recover().await.poison, 0, "alone, but not yet a suspect");
    }
    assert_eq!(world.read_one(id).await.track.state, State::Ready);
}

/// A try that came to an end shows that the delivery does not kill the node.
pub async fn a_finished_try_forgives_crashes(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let id = world.submit(&to(&["a"])).await;
    crash_until_suspect(&mut world, 1).await;
    let lease = world.claim_one(MAIL).await;
    world.finish(&[lease], &deferred(Duration::from_secs(1))).await;
    assert_eq!(world.read_one(id).await.track.crashes, 0);
    world.pass(Duration::from_secs(1));
    world.submit(&to(&["b"])).await;
    assert_eq!(world.claim(MAIL, 9).await.len(), 2, "it travels with others again");
}

/// What was handed over in its own commit is taken back like everything else.
pub async fn born_leased_survives_a_crash(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    world.desk.open(MAIL, 9);
    let id = world.submit(&to(&["a"])).await;
    assert_eq!(world.desk.len(), 1);
    assert_eq!(world.crash_and_recover().await.ready, 1);
    assert_eq!(world.claim_one(MAIL).await.message, id);
}

/// Recovery takes nothing from the node that runs; a second one finds nothing.
pub async fn recovers_only_what_others_left(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    world.submit_all([to(&["a"]), to(&["b"])]).await;
    world.claim_one(MAIL).await;
    world.crash_and_recover().await;
    let lease = world.claim_one(MAIL).await;
    let again = world.store().recover(policies(), world.now).await.expect("recovers");
    assert_eq!(again, Recovered::default());
    let answer = world.finish(&[lease], &Outcome::Misconfigured).await;
    assert_eq!(answer[0].map(|track| track.state), Some(State::Ready));
}
