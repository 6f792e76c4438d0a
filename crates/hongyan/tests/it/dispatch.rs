//! The dispatcher on the real stores, with senders of the test's own: shares, caps, breakers, poison, intents. Every case runs
//! on the embedded store and on PostgreSQL.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use hongyan_core::{
    cap::Cap,
    delivery::{Reason, Repeat, State},
    message::Priority,
    outcome::{Fault, Outcome},
    setup::{Provider, Settings, Setup},
};
use tokio::time::timeout;

use self::bench::{Bench, OPEN, Place, Stub, accepted, declared, declared_in_order, down};

mod bench;

/// Makes two tests of each case, one per store.
macro_rules! on_both_stores {
    ($($case:ident),+ $(,)?) => {
        mod embedded {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $case() {
                    super::$case(super::Place::embedded()).await;
                }
            )+
        }

        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $case() {
                    super::$case(super::Place::postgres()).await;
                }
            )+
        }
    };
}

on_both_stores!(
    a_provider_that_is_down_delays_nobody_else_and_is_probed_not_hammered,
    a_breaker_closes_again_and_everything_goes_out,
    calls_in_flight_have_a_cap_and_urgent_mail_does_not_queue_behind_the_window,
    a_rate_is_kept_whatever_waits_and_everything_goes_out,
    priorities_share_and_nothing_starves,
    apps_take_turns,
    what_is_due_now_is_born_leased_and_survives_a_caller_that_goes_away,
    a_sender_that_panics_costs_its_own_parcel_nothing_else,
    on_a_channel_that_cannot_repeat_the_intent_is_recorded_before_the_call,
    a_message_that_kills_its_node_is_set_aside_and_its_neighbours_are_not,
    nobody_is_overtaken_by_the_whole_backlog,
    calls_that_hang_hold_up_no_more_than_their_own_slots,
    the_preferred_provider_serves_again_once_it_works,
    a_stop_with_calls_that_hang_ends_in_time_and_records_them_as_unknown,
    a_repeat_for_which_it_is_too_late_by_now_is_not_made,
    where_another_provider_might_repeat_it_nothing_is_repeated,
    only_what_was_sent_counts_for_a_recipient,
);

async fn a_provider_that_is_down_delays_nobody_else_and_is_probed_not_hammered(place: Place) {
    let (bad, good) = (Arc::new(Stub::new(OPEN, down)), Arc::new(Stub::new(OPEN, accepted)));
    let bench = Bench::new(place, vec![Arc::clone(&bad), Arc::clone(&good)], 4).await;
    bench.start();
    for _ in 0..200 {
        bench.submit(0, 1, Priority::High).await;
    }
    let last = bench.submit(1, 1, Priority::Low).await;
    bench.until_state(last, State::Accepted).await;
    bench.until("the breaker", async || bench.dispatcher.in_hand() == 0).await;
    let calls = bad.calls.load(Ordering::SeqCst);
    assert!(calls < 30, "{calls} calls to a provider that is down");
}

async fn a_breaker_closes_again_and_everything_goes_out(place: Place) {
    let recovering = Arc::new(Stub::new(OPEN, |call| if call < 6 { down(call) } else { accepted(call) }));
    let bench = Bench::new(place, vec![Arc::clone(&recovering)], 2).await;
    bench.start();
    let mut messages = Vec::new();
    for _ in 0..40 {
        messages.push(bench.submit(0, 1, Priority::Middle).await);
    }
    for message in messages {
        bench.until_state(message, State::Accepted).await;
    }
}

async fn calls_in_flight_have_a_cap_and_urgent_mail_does_not_queue_behind_the_window(place: Place) {
    let slow = Arc::new(Stub::new(0, accepted));
    let bench = Bench::new(place, vec![Arc::clone(&slow)], 3).await;
    for _ in 0..300 {
        bench.submit(0, 1, Priority::Low).await;
    }
    bench.start();
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

async fn a_rate_is_kept_whatever_waits_and_everything_goes_out(place: Place) {
    let stub = Arc::new(Stub::new(OPEN, accepted));
    let bench = Bench::new(place, vec![Arc::clone(&stub)], 8).await;
    let setup = declared(1, 8, false);
    let providers = setup.providers().iter().map(|provider| Provider { rate: Some(100.0), ..(**provider).clone() });
    let channels = setup.channels().iter().map(|channel| (**channel).clone());
    let setup = Setup::new(2, Settings::default(), vec![], channels.collect(), providers.collect());
    bench.declare(&setup);
    bench.start();
    let begun = tokio::time::Instant::now();
    for _ in 0..61 {
        bench.submit(0, 1, Priority::Middle).await;
    }
    bench.until("all of it", async || stub.sent().len() == 61).await;
    // A turn may be taken up to 100 ms after its moment.
    assert!(begun.elapsed() >= Duration::from_millis(600 - 105), "61 calls in {:?}", begun.elapsed());
}

async fn priorities_share_and_nothing_starves(place: Place) {
    let stub = Arc::new(Stub::new(0, accepted));
    let bench = Bench::new(place, vec![Arc::clone(&stub)], 1).await;
    let mut priority_of = HashMap::new();
    for priority in Priority::ALL {
        for _ in 0..200 {
            priority_of.insert(bench.submit(0, 1, priority).await, priority);
        }
    }
    bench.start();
    stub.gate.add_permits(200);
    bench.until("two hundred", async || stub.sent().len() == 200).await;
    let count = |priority| stub.sent().iter().filter(|id| priority_of[id] == priority).count();
    let shares = Priority::ALL.map(count);
    for (share, expected) in shares.into_iter().zip([140, 50, 10]) {
        assert!(share.abs_diff(expected) <= 8, "{shares:?}");
    }
}

async fn apps_take_turns(place: Place) {
    let stub = Arc::new(Stub::new(0, accepted));
    let bench = Bench::new(place, vec![Arc::clone(&stub)], 1).await;
    for _ in 0..500 {
        bench.submit(0, 1, Priority::Middle).await;
    }
    let small: Vec<_> = futures_util::future::join_all((0..10).map(|_| bench.submit(0, 2, Priority::Middle))).await;
    bench.start();
    stub.gate.add_permits(30);
    bench.until("thirty", async || stub.sent().len() == 30).await;
    let turns = stub.sent().iter().filter(|id| small.contains(id)).count();
    assert!(turns >= 9, "{turns} of the small app's ten among the first thirty");
}

async fn what_is_due_now_is_born_leased_and_survives_a_caller_that_goes_away(place: Place) {
    let stub = Arc::new(Stub::new(OPEN, accepted));
    let bench = Bench::new(place, vec![Arc::clone(&stub)], 4).await;
    bench.start();
    // Polled once, so that the operation is on its way, then dropped: the client has hung up.
    for _ in 0..50 {
        drop(timeout(Duration::ZERO, bench.submit(0, 1, Priority::Middle)).await);
    }
    let last = bench.submit(0, 1, Priority::Middle).await;
    bench.until_state(last, State::Accepted).await;
    bench.until("all of them", async || stub.sent().len() == 51).await;
    assert_eq!(bench.track(last).await.lease, 1);
}

async fn a_sender_that_panics_costs_its_own_parcel_nothing_else(place: Place) {
    let (wild, tame) =
        (Arc::new(Stub { panics: true, ..Stub::new(OPEN, accepted) }), Arc::new(Stub::new(OPEN, accepted)));
    let bench = Bench::new(place, vec![Arc::clone(&wild), Arc::clone(&tame)], 2).await;
    bench.start();
    let doubtful = bench.submit(0, 1, Priority::Middle).await;
    let fine = bench.submit(1, 1, Priority::Middle).await;
    bench.until_state(fine, State::Accepted).await;
    bench.until("a second try", async || bench.track(doubtful).await.tries >= 2).await;
    assert!(bench.track(doubtful).await.maybe_duplicate);
}

async fn on_a_channel_that_cannot_repeat_the_intent_is_recorded_before_the_call(place: Place) {
    let stub = Arc::new(Stub { repeat: Repeat::AtMostOnce, ..Stub::new(0, |_| Outcome::Unknown) });
    let bench = Bench::new(place, vec![Arc::clone(&stub)], 2).await;
    bench.start();
    let message = bench.submit(0, 1, Priority::Middle).await;
    bench.until("the call", async || stub.calls.load(Ordering::SeqCst) == 1).await;
    assert_eq!(bench.track(message).await.state, State::Sending, "recorded before the call ends");
    stub.gate.add_permits(10);
    bench.until_state(message, State::Unknown).await;
    assert_eq!(stub.calls.load(Ordering::SeqCst), 1, "never again");
}

/// What the rules stop trusting a provider's window for, before it ends, and as much more as a busy machine needs for a repeat.
const SHORT_WINDOW: Duration = Duration::from_secs(60 + 4);

async fn a_repeat_for_which_it_is_too_late_by_now_is_not_made(place: Place) {
    let put_off = Outcome::Deferred { after: Some(Duration::from_secs(5)), fault: Fault::Recipient };
    let outcome = move |call| if call == 0 { Outcome::Unknown } else { put_off.clone() };
    let stub = Arc::new(Stub { repeat: Repeat::Deduplicated(SHORT_WINDOW), ..Stub::new(OPEN, outcome) });
    let bench = Bench::new(place, vec![Arc::clone(&stub)], 2).await;
    bench.start();
    let message = bench.submit(0, 1, Priority::Middle).await;
    bench.until_state(message, State::Unknown).await;
    assert_eq!(stub.calls.load(Ordering::SeqCst), 2, "repeated in time, and not after it was put off beyond that");
}

async fn where_another_provider_might_repeat_it_nothing_is_repeated(place: Place) {
    let repeat = Repeat::Deduplicated(Duration::from_secs(600));
    let stubs = [0, 1].map(|_| Arc::new(Stub { repeat, ..Stub::new(OPEN, |_| Outcome::Unknown) }));
    let bench = Bench::new(place, stubs.to_vec(), 2).await;
    bench.dispatcher.declare(&declared_in_order(2, 2));
    bench.start();
    let message = bench.submit(0, 1, Priority::Middle).await;
    bench.until_state(message, State::Unknown).await;
    let calls = stubs.map(|stub| stub.calls.load(Ordering::SeqCst));
    assert_eq!(calls, [1, 0]);
}

async fn only_what_was_sent_counts_for_a_recipient(place: Place) {
    let outcome = |call| if call < 3 { down(call) } else { accepted(call) };
    let cap = Cap { most: 1, span: Duration::from_secs(3_600) };
    let stub = Arc::new(Stub { repeat: Repeat::AtMostOnce, caps: Some(cap), ..Stub::new(OPEN, outcome) });
    let bench = Bench::new(place, vec![Arc::clone(&stub)], 1).await;
    bench.start();
    let first = bench.submit(0, 1, Priority::Middle).await;
    bench.until_state(first, State::Accepted).await;
    let second = bench.submit(0, 1, Priority::Middle).await;
    bench
        .until("the second to be held back", async || {
            let track = bench.track(second).await;
            track.state == State::Ready && track.reason == Some(Reason::Throttled)
        })
        .await;
    assert_eq!(
        stub.calls.load(Ordering::SeqCst),
        4,
        "three that came to nothing, one that arrived, none of the second"
    );
}

async fn a_message_that_kills_its_node_is_set_aside_and_its_neighbours_are_not(mut place: Place) {
    let (mut killer, mut neighbour) = (None, None);
    let mut crashes = 0;
    loop {
        // Every process dies while the killer is in flight; the neighbour is in flight too the first few times.
        let stub = Arc::new(Stub::new(0, accepted));
        let bench = Bench::new(place, vec![Arc::clone(&stub)], 2).await;
        let killer = *killer.get_or_insert(bench.submit(0, 1, Priority::Middle).await);
        if neighbour.is_none() {
            neighbour = Some(bench.submit(0, 1, Priority::Middle).await);
        }
        let track = bench.track(killer).await;
        if track.state == State::Failed {
            assert_eq!(track.reason.map(|reason| reason.as_str()), Some("poison"));
            let neighbour = neighbour.expect("submitted");
            bench.start();
            stub.gate.add_permits(100);
            bench.until_state(neighbour, State::Accepted).await;
            break;
        }
        bench.start();
        bench.until("the killer in flight", async || bench.track(killer).await.state == State::Leased).await;
        crashes += 1;
        assert!(crashes < 12, "it should have been set aside by now: {track:?}");
        place = bench.crash().await;
    }
    assert!(crashes >= 4, "set aside after {crashes} crashes only");
}

async fn nobody_is_overtaken_by_the_whole_backlog(place: Place) {
    // Only the embedded store has one queue, in exact order. Elsewhere each bucket is one, and they take turns: a tenth of the
    // backlog is far more than what the turns differ by, and far less than what lies in front of somebody who is forgotten.
    let late_max = if place.is_embedded() { 20 } else { 150 };
    let stub = Arc::new(Stub::new(OPEN, accepted));
    let bench = Bench::new(place, vec![Arc::clone(&stub)], 2).await;
    let mut order = Vec::new();
    for _ in 0..1_500 {
        order.push(bench.submit(0, 1, Priority::Middle).await);
    }
    bench.start();
    bench.until("all of them", async || stub.sent().len() == 1_500).await;
    let sent = stub.sent();
    let place: HashMap<_, _> = sent.iter().enumerate().map(|(place, id)| (*id, place)).collect();
    let worst = order.iter().enumerate().map(|(n, id)| place[id].saturating_sub(n)).max();
    assert!(worst < Some(late_max), "one was sent {worst:?} places late");
}

async fn calls_that_hang_hold_up_no_more_than_their_own_slots(place: Place) {
    // Thirteen of sixteen calls hang; three are enough for the rest.
    let stub = Arc::new(Stub { hang_first: 13, ..Stub::new(OPEN, accepted) });
    let bench = Bench::new(place, vec![Arc::clone(&stub)], 16).await;
    bench.start();
    for _ in 0..13 {
        bench.submit(0, 1, Priority::Middle).await;
    }
    bench.until("the hanging calls", async || stub.calls.load(Ordering::SeqCst) == 13).await;
    for _ in 0..200 {
        bench.submit(0, 1, Priority::Middle).await;
    }
    bench.until("everybody else", async || stub.sent().len() == 200).await;
}

async fn the_preferred_provider_serves_again_once_it_works(place: Place) {
    let preferred = Arc::new(Stub::new(OPEN, |call| if call < 5 { down(call) } else { accepted(call) }));
    let other = Arc::new(Stub::new(OPEN, accepted));
    let bench = Bench::new(place, vec![Arc::clone(&preferred), Arc::clone(&other)], 4).await;
    bench.declare(&declared_in_order(2, 4));
    bench.start();
    let sends = async || {
        bench.submit(0, 1, Priority::Middle).await;
        preferred.sent().len() >= 20
    };
    bench.until("the preferred provider to serve again", sends).await;
    assert!(!other.sent().is_empty(), "the next one served meanwhile");
}

async fn a_stop_with_calls_that_hang_ends_in_time_and_records_them_as_unknown(place: Place) {
    let stub = Arc::new(Stub::new(0, accepted));
    let bench = Bench::new(place, vec![Arc::clone(&stub)], 2).await;
    bench.start();
    let hanging = bench.submit(0, 1, Priority::Middle).await;
    bench.until("the call", async || stub.calls.load(Ordering::SeqCst) == 1).await;
    timeout(Duration::from_secs(29), bench.dispatcher.stop()).await.expect("within 30 s");
    let track = bench.track(hanging).await;
    assert_eq!((track.state, track.maybe_duplicate), (State::Ready, true));
    assert_eq!(bench.dispatcher.in_hand(), 0);
}
