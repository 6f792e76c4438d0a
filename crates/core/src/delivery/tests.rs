//! The rules of [`step`], case by case and as properties over random histories.

use proptest::prelude::*;

use super::*;
use crate::outcome::{Receipts, Scope};

const NOW: Timestamp = Timestamp::from_ms(1_800_000_000_000);
const HOUR: Duration = Duration::from_secs(3_600);

fn policy(repeat: Repeat) -> Policy {
    Policy { repeat, retry: RetrySchedule::mail() }
}

fn mail() -> Policy {
    policy(Repeat::AtLeastOnce)
}

fn fresh() -> Track {
    Track::ready(NOW, NOW + 24 * HOUR)
}

fn after(track: &Track, event: Event, policy: &Policy) -> Track {
    step(track, &event, policy, NOW).expect("the event applies")
}

fn finish(lease: u32, outcome: Outcome) -> Event {
    Event::Finish { lease, outcome, roll: Roll::NONE }
}

fn accepted() -> Outcome {
    Outcome::Accepted { provider_id: String::new(), receipt: Receipts::Never }
}

fn leased(policy: &Policy) -> Track {
    after(&fresh(), Event::Claim, policy)
}

#[test]
fn a_claim_needs_the_time_and_raises_the_lease() {
    let early = Track { due: NOW + HOUR, ..fresh() };
    assert_eq!(step(&early, &Event::Claim, &mail(), NOW), None);
    let held = leased(&mail());
    assert_eq!((held.state, held.lease, held.tries), (State::Leased, 1, 0));
    assert_eq!(step(&held, &Event::Claim, &mail(), NOW), None);
}

#[test]
fn outcomes() {
    let held = leased(&mail());
    let cases = [
        (accepted(), State::Accepted, None, 1, 0),
        (Outcome::Rejected(Rejection::Recipient), State::Failed, Some(Reason::RecipientRefused), 1, 0),
        (Outcome::Rejected(Rejection::Content), State::Failed, Some(Reason::ContentRefused), 1, 0),
        (Outcome::Deferred { after: None, fault: Fault::Recipient }, State::Ready, Some(Reason::Deferred), 1, 30),
        (
            Outcome::Deferred { after: Some(HOUR), fault: Fault::Recipient },
            State::Ready,
            Some(Reason::Deferred),
            1,
            3_600,
        ),
        (Outcome::Deferred { after: None, fault: Fault::Provider }, State::Ready, Some(Reason::ProviderFault), 0, 5),
        (
            Outcome::Throttled { scope: Scope::Recipient, until: NOW + HOUR },
            State::Ready,
            Some(Reason::Throttled),
            0,
            3_600,
        ),
        (Outcome::Misconfigured, State::Ready, Some(Reason::Misconfigured), 0, 5),
        (Outcome::Unknown, State::Ready, Some(Reason::Ambiguous), 1, 30),
    ];
    for (outcome, state, reason, tries, wait) in cases {
        let end = after(&held, finish(1, outcome.clone()), &mail());
        assert_eq!((end.state, end.reason, end.tries), (state, reason, tries), "{outcome:?}");
        assert_eq!(end.due.since(NOW).as_secs(), wait, "{outcome:?}");
        assert_eq!(end.maybe_duplicate, outcome == Outcome::Unknown);
    }
}

#[test]
fn a_delivery_that_brings_faults_about_comes_back_ever_later() {
    let fault = || finish(1, Outcome::Deferred { after: None, fault: Fault::Provider });
    let (mut track, mut now, mut waits) = (leased(&mail()), NOW, Vec::new());
    for _ in 0..12 {
        let back = step(&Track { state: State::Leased, ..track }, &fault(), &mail(), now).expect("applies");
        waits.push(back.due.since(now).as_secs());
        (track, now) = (back, back.due);
    }
    assert_eq!((waits[0], track.tries), (5, 0));
    assert!(waits.is_sorted() && waits[11] > 60 && waits.iter().all(|wait| *wait <= 600), "{waits:?}");
}

#[test]
fn a_wait_never_outlives_the_delivery() {
    let held = Track { expires: NOW + Duration::from_secs(10), ..leased(&mail()) };
    let end = after(&held, finish(1, Outcome::Deferred { after: None, fault: Fault::Recipient }), &mail());
    assert_eq!(end.due, held.expires);
    assert_eq!(step(&end, &Event::Expire, &mail(), NOW), None);
    let expired = step(&end, &Event::Expire, &mail(), held.expires).expect("its time is over");
    assert_eq!((expired.state, expired.reason), (State::Expired, Some(Reason::Deferred)));
}

#[test]
fn an_unknown_outcome_is_repeated_only_where_that_is_promised() {
    let at_most_once = policy(Repeat::AtMostOnce);
    let sending = after(&leased(&at_most_once), Event::Intend { lease: 1 }, &at_most_once);
    assert_eq!(sending.first_try, Some(NOW));
    assert_eq!(after(&sending, finish(1, Outcome::Unknown), &at_most_once).state, State::Unknown);

    let deduplicated = policy(Repeat::Deduplicated(Duration::from_secs(600)));
    let again =
        step(&sending, &finish(1, Outcome::Unknown), &deduplicated, NOW + Duration::from_secs(539)).expect("applies");
    assert_eq!((again.state, again.maybe_duplicate), (State::Ready, true));
    let over =
        step(&sending, &finish(1, Outcome::Unknown), &deduplicated, NOW + Duration::from_secs(540)).expect("applies");
    assert_eq!(over.state, State::Unknown);
    assert_eq!(after(&sending, finish(1, Outcome::PartlySent), &deduplicated).state, State::Unknown);
    assert_eq!(after(&leased(&mail()), finish(1, Outcome::PartlySent), &mail()).state, State::Unknown);
}

#[test]
fn a_repeat_that_comes_too_late_for_its_provider_is_not_made() {
    let deduplicated = policy(Repeat::Deduplicated(Duration::from_secs(600)));
    let sending = after(&leased(&deduplicated), Event::Intend { lease: 1 }, &deduplicated);
    let again = after(&sending, finish(1, Outcome::Unknown), &deduplicated);
    // What was put off meanwhile for other reasons may come back after the provider has forgotten the first try.
    for (seconds, state) in [(539, State::Sending), (540, State::Unknown)] {
        let at = NOW + Duration::from_secs(seconds);
        let leased = step(&Track { due: NOW, ..again }, &Event::Claim, &deduplicated, at).expect("is due");
        let intended = step(&leased, &Event::Intend { lease: 2 }, &deduplicated, at).expect("applies");
        assert_eq!((intended.state, intended.first_try), (state, Some(NOW)), "{seconds}");
    }
    let first = Track { maybe_duplicate: false, ..leased(&deduplicated) };
    let late = NOW + Duration::from_secs(6_000);
    let intended = step(&first, &Event::Intend { lease: 1 }, &deduplicated, late).expect("applies");
    assert_eq!(intended.state, State::Sending, "what was never sent is not late");
}

#[test]
fn recovery() {
    let crash = |alone| Event::Recover { lease: 1, alone };
    let at_most_once = policy(Repeat::AtMostOnce);
    let held = leased(&mail());
    let back = after(&held, crash(false), &mail());
    assert_eq!((back.state, back.crashes, back.maybe_duplicate), (State::Ready, 1, true));
    let back = after(&held, crash(false), &at_most_once);
    assert_eq!((back.state, back.maybe_duplicate), (State::Ready, false), "leased without intent was never sent");
    let sending = after(&held, Event::Intend { lease: 1 }, &at_most_once);
    assert_eq!(after(&sending, crash(false), &at_most_once).state, State::Unknown);

    let suspect = Track { crashes: limits::CRASHES_BEFORE_ALONE, ..held };
    assert_eq!(after(&suspect, crash(false), &mail()).state, State::Ready, "in company nobody is to blame");
    let poison = after(&suspect, crash(true), &mail());
    assert_eq!((poison.state, poison.reason), (State::Failed, Some(Reason::Poison)));
    assert_eq!(after(&suspect, finish(1, accepted()), &mail()).crashes, 0);
}

#[test]
fn the_late_truth_counts_until_somebody_claims_again() {
    let lost = after(&leased(&mail()), Event::Recover { lease: 1, alone: false }, &mail());
    assert_eq!(after(&lost, finish(1, accepted()), &mail()).state, State::Accepted);
    assert_eq!(step(&lost, &finish(1, Outcome::Unknown), &mail(), NOW), None);
    let reclaimed = after(&lost, Event::Claim, &mail());
    assert_eq!(reclaimed.lease, 2);
    assert_eq!(step(&reclaimed, &finish(1, accepted()), &mail(), NOW), None);
}

#[test]
fn receipts_never_go_back() {
    let taken = after(&leased(&mail()), finish(1, accepted()), &mail());
    let read = after(&taken, Event::Receipt(Receipt::Read), &mail());
    assert_eq!(step(&read, &Event::Receipt(Receipt::Delivered), &mail(), NOW), None);
    let lost = after(&taken, Event::Receipt(Receipt::Undelivered), &mail());
    assert_eq!(after(&lost, Event::Receipt(Receipt::Delivered), &mail()).state, State::Delivered);
    assert_eq!(step(&fresh(), &Event::Receipt(Receipt::Delivered), &mail(), NOW), None, "never before it was sent");
}

/// What a backup has open may have been sent since: nobody sends it again, and a later truth still counts. What was over stays.
#[test]
fn what_a_restore_finds_open_is_held() {
    let open = [fresh(), leased(&mail()), after(&leased(&mail()), Event::Intend { lease: 1 }, &mail())];
    for track in open {
        let held = after(&track, Event::Restore, &mail());
        assert_eq!((held.state, held.reason), (State::Unknown, Some(Reason::Restored)));
        assert_eq!(step(&held, &Event::Claim, &mail(), NOW), None);
        assert_eq!(after(&held, Event::Receipt(Receipt::Delivered), &mail()).state, State::Delivered);
    }
    let taken = after(&leased(&mail()), finish(1, accepted()), &mail());
    assert_eq!(step(&taken, &Event::Restore, &mail(), NOW), None);
}

/// Which state may follow which, written down a second time, independently of `step`.
fn may_follow(from: State, to: State) -> bool {
    use State as S;
    match from {
        S::Ready => matches!(to, S::Leased | S::Expired | S::Cancelled | S::Accepted | S::Failed | S::Unknown),
        S::Leased => matches!(to, S::Sending | S::Ready | S::Accepted | S::Failed | S::Expired | S::Unknown),
        S::Sending => matches!(to, S::Ready | S::Accepted | S::Failed | S::Unknown),
        S::Accepted => matches!(to, S::Delivered | S::Undelivered | S::Read),
        S::Unknown => matches!(to, S::Accepted | S::Failed | S::Delivered | S::Undelivered | S::Read),
        S::Undelivered => matches!(to, S::Delivered | S::Read),
        S::Delivered => to == S::Read,
        S::Read | S::Failed | S::Expired | S::Skipped | S::Cancelled => false,
    }
}

fn any_outcome() -> impl Strategy<Value = Outcome> {
    let scope = prop_oneof![Just(Scope::Provider), Just(Scope::Recipient)];
    let fault = prop_oneof![Just(Fault::Provider), Just(Fault::Recipient)];
    prop_oneof![
        Just(accepted()),
        (proptest::option::of(0u64..90_000), fault)
            .prop_map(|(s, fault)| Outcome::Deferred { after: s.map(Duration::from_secs), fault }),
        (0u64..90_000, scope).prop_map(|(s, scope)| Outcome::Throttled { scope, until: NOW + Duration::from_secs(s) }),
        Just(Outcome::Rejected(Rejection::Recipient)),
        Just(Outcome::Rejected(Rejection::Content)),
        Just(Outcome::Misconfigured),
        Just(Outcome::Unknown),
    ]
}

/// An event, and how far behind the current lease it is (late events name old leases).
fn any_event() -> impl Strategy<Value = (Event, u32, u64)> {
    let receipt = prop_oneof![
        Just(Receipt::Accepted),
        Just(Receipt::Refused),
        Just(Receipt::Delivered),
        Just(Receipt::Undelivered),
        Just(Receipt::Read)
    ];
    let event = prop_oneof![
        4 => Just(Event::Claim),
        1 => Just(Event::Intend { lease: 0 }),
        3 => (any_outcome(), 0.0f64..=1.0).prop_map(|(outcome, unit)| Event::Finish { lease: 0, outcome, roll: Roll::new(unit) }),
        1 => Just(Event::GiveBack { lease: 0 }),
        1 => any::<bool>().prop_map(|alone| Event::Recover { lease: 0, alone }),
        1 => Just(Event::Expire),
        1 => Just(Event::Cancel),
        1 => Just(Event::Restore),
        1 => receipt.prop_map(Event::Receipt),
    ];
    (event, prop_oneof![3 => Just(0u32), 1 => 1u32..3], 0u64..40_000)
}

fn under(event: &Event, lease: u32) -> Event {
    match event.clone() {
        Event::Intend { .. } => Event::Intend { lease },
        Event::Finish { outcome, roll, .. } => Event::Finish { lease, outcome, roll },
        Event::GiveBack { .. } => Event::GiveBack { lease },
        Event::Recover { alone, .. } => Event::Recover { lease, alone },
        other => other,
    }
}

proptest! {
    #[test]
    fn no_history_reaches_an_illegal_state(
        events in prop::collection::vec(any_event(), 1..80),
        repeat in prop_oneof![Just(Repeat::AtLeastOnce), Just(Repeat::AtMostOnce), Just(Repeat::Deduplicated(Duration::from_secs(600)))],
    ) {
        let policy = policy(repeat);
        let (mut track, mut now, mut taken) = (fresh(), NOW, false);
        for (event, behind, later) in events {
            now = now + Duration::from_secs(later);
            let lease = track.lease.saturating_sub(behind);
            let event = under(&event, lease);
            let Some(next) = step(&track, &event, &policy, now) else { continue };

            prop_assert!(next.state == track.state || may_follow(track.state, next.state), "{:?} -> {:?}", track, next);
            prop_assert!(next.lease >= track.lease && next.lease <= track.lease + 1);
            prop_assert_eq!(next.lease > track.lease, event == Event::Claim, "only a claim raises the lease");
            prop_assert!(next.tries >= track.tries && next.due <= next.expires.max(now));
            if behind > 0 && lease < track.lease {
                prop_assert!(matches!(event, Event::Claim | Event::Expire | Event::Cancel | Event::Restore | Event::Receipt(_)), "late: {:?}", event);
            }
            if repeat == Repeat::AtMostOnce && next.state == State::Leased {
                prop_assert!(track.state == State::Ready);
            }
            if matches!(next.state, State::Accepted) { taken = true; }
            prop_assert!(!(taken && next.state.is_open()), "what was taken is never sent again");
            if !matches!(event, Event::Claim) {
                let again = step(&next, &event, &policy, now);
                prop_assert!(again.is_none() || again == Some(next), "a duplicate is a no-op: {:?} then {:?}", next, again);
            }
            track = next;
        }
    }
}
