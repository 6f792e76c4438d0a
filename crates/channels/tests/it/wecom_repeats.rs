//! What WeCom knows for the same message, by the whole of a request: who was in a call whose end nobody knows makes that call
//! again, without anybody else.

use std::{sync::Arc, time::Duration};

use hongyan_channels::Wecom;
use hongyan_core::{
    channel::{Channel, Parcel},
    delivery::Repeat,
    outcome::{Outcome, Verdict},
    setup::WecomProvider,
};

use crate::{
    fake::{Act, Fake},
    parcels::{PATIENT, shown},
    wecom::{SEND, fake, keys, long, ok, refused, text, wecom},
};

fn checked(fake: &Fake) -> Wecom {
    let keys = WecomProvider { duplicate_check: Some(Duration::from_secs(1_800)), ..keys(&fake.url()) };
    wecom(&keys, &Arc::default(), PATIENT)
}

/// Sends, and leaves in the parcel who is still open, marked as the dispatcher marks them.
async fn send(wecom: &Wecom, parcel: &mut Parcel) -> Vec<String> {
    let verdicts = wecom.send(parcel).await;
    let mut recipients = parcel.recipients.iter().cloned().zip(&verdicts).collect::<Vec<_>>();
    recipients.retain(|(_, verdict)| !is_settled(verdict));
    parcel.recipients = recipients
        .into_iter()
        .map(|(mut recipient, verdict)| {
            recipient.maybe_duplicate |= verdict.outcome == Outcome::Unknown;
            recipient
        })
        .collect();
    verdicts.iter().map(shown).collect()
}

const fn is_settled(verdict: &Verdict) -> bool {
    matches!(verdict.outcome, Outcome::Accepted { .. } | Outcome::Rejected(_) | Outcome::PartlySent)
}

/// Who was sent to, call by call.
fn asked(fake: &Fake) -> Vec<String> {
    let touser = |body: serde_json::Value| body["touser"].as_str().expect("a list").to_owned();
    fake.seen_at(SEND).iter().map(|request| touser(request.json())).collect()
}

#[test]
fn repeats_are_as_the_provider_is_configured() {
    for (interval, repeat) in [
        (None, Repeat::AtMostOnce),
        (Some(1_800), Repeat::Deduplicated(Duration::from_secs(1_800))),
        (Some(99_999), Repeat::Deduplicated(Duration::from_secs(14_400))),
    ] {
        let keys = WecomProvider { duplicate_check: interval.map(Duration::from_secs), ..keys("http://127.0.0.1:1") };
        assert_eq!(wecom(&keys, &Arc::default(), PATIENT).policy().repeat, repeat);
    }
}

#[tokio::test]
async fn who_may_have_got_it_makes_the_same_call_again_before_and_without_the_others() {
    // All are refused for the sake of one; of the first half nobody knows.
    let fake = fake([refused(60111), Act::Cut, Act::Cut, ok()]).await;
    let (wecom, mut parcel) = (checked(&fake), text("x", &["a", "b", "c", "d"]));
    let untried = "deferred provider";
    assert_eq!(send(&wecom, &mut parcel).await, ["unknown", "unknown", untried, untried]);
    parcel.recipients.rotate_left(2);
    assert_eq!(send(&wecom, &mut parcel).await, [untried, untried, "unknown", "unknown"], "unknown again");
    assert_eq!(send(&wecom, &mut parcel).await, ["accepted"; 4]);
    assert_eq!(asked(&fake), ["a|b|c|d", "a|b", "a|b", "a|b", "c|d"]);
    let sent = fake.seen_at(SEND);
    assert!(sent[1].body == sent[2].body && sent[2].body == sent[3].body, "byte for byte");
    assert_eq!(sent[1].json()["duplicate_check_interval"], 1_800);
}

#[tokio::test]
async fn nobody_else_is_tried_while_a_repeat_is_open() {
    for (act, found) in [
        (refused(-1), ["deferred provider", "deferred provider"]),
        (refused(45009), ["throttled provider 60s", "throttled provider 60s"]),
        (refused(99_999), ["deferred recipient", "throttled recipient 1s"]),
        (refused(81013), ["rejected recipient", "accepted"]),
    ] {
        let fake = fake([act, ok()]).await;
        let (wecom, mut parcel) = (checked(&fake), text("x", &["a", "b"]));
        parcel.recipients[0].maybe_duplicate = true;
        assert_eq!(send(&wecom, &mut parcel).await, found);
    }
}

#[tokio::test]
async fn what_was_refused_as_a_whole_and_lost_in_part_is_not_repeated_among_others() {
    let fake = fake([Act::Cut, refused(60111), Act::Cut, ok()]).await;
    let (wecom, mut parcel) = (checked(&fake), text("x", &["a", "b", "c", "d"]));
    assert_eq!(send(&wecom, &mut parcel).await, ["unknown"; 4]);
    let untried = "deferred provider";
    assert_eq!(send(&wecom, &mut parcel).await, ["partly sent", "partly sent", untried, untried]);
    assert_eq!(send(&wecom, &mut parcel).await, ["accepted"; 2]);
    assert_eq!(asked(&fake), ["a|b|c|d", "a|b|c|d", "a|b", "c|d"]);
}

#[tokio::test]
async fn a_call_that_is_lost_leaves_the_next_thousand_untried() {
    let users: Vec<String> = (0..1_500).map(|n| format!("user{n}")).collect();
    let users: Vec<&str> = users.iter().map(String::as_str).collect();
    let fake = fake([Act::Cut, ok()]).await;
    let (wecom, mut parcel) = (checked(&fake), text("x", &users));
    let found = send(&wecom, &mut parcel).await;
    assert!(found[..1_000].iter().all(|outcome| outcome == "unknown"));
    assert!(found[1_000..].iter().all(|outcome| outcome == "deferred provider"));
    assert_eq!(send(&wecom, &mut parcel).await, vec!["accepted"; 1_500]);
    let sent = fake.seen_at(SEND);
    assert!(sent.len() == 3 && sent[0].body == sent[1].body);
}

#[tokio::test]
async fn of_a_long_text_only_the_first_part_is_repeated() {
    let fake = fake([Act::Cut, ok(), Act::Cut]).await;
    let (wecom, mut parcel) = (checked(&fake), text(&long(), &["a", "b"]));
    assert_eq!(send(&wecom, &mut parcel).await, ["unknown"; 2]);
    assert_eq!(send(&wecom, &mut parcel).await, ["partly sent"; 2]);
    let sent = fake.seen_at(SEND);
    assert!(sent.len() == 3 && sent[0].body == sent[1].body);
}
