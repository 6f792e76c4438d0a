//! WeCom apps that callers name: who is to blame for what, and that no caller stops the provider for the others.

use std::sync::Arc;

use hongyan_channels::Wecom;
use hongyan_core::{channel::Parcel, content::Agent};
use serde_json::{Value, json};

use crate::{
    fake::{Act, Fake},
    parcels::{MESSAGE, PATIENT, id, parcel_with},
    wecom::{
        SEND, TOKEN, fake, issued, keys, long, notice, ok, outcomes, outcomes_of, refused, text, tokens_of, wecom,
    },
};

/// A secret as a message carries it.
fn sealed(secret: &str) -> Option<String> {
    let reversed: String = secret.chars().rev().collect();
    Some(format!("message/{}/agent_secret={reversed}", id(MESSAGE)))
}

/// A message of the app that a caller names by these.
fn named(id: Option<i64>, secret: Option<&str>) -> Parcel {
    parcel_with(notice(Some(Agent { id, secret: secret.and_then(sealed) })), &["a"])
}

#[tokio::test]
async fn a_named_app_speaks_with_its_own_secret() {
    let sealed = format!("message/{}/agent_secret=rehto", id(MESSAGE));
    let fake = fake([ok()]).await;
    let wecom = wecom(&keys(&fake.url()), &Arc::default(), PATIENT);
    let own = parcel_with(notice(None), &["a"]);
    let named = parcel_with(notice(Some(Agent { id: Some(7), secret: Some(sealed.clone()) })), &["a"]);
    let numbered = parcel_with(notice(Some(Agent { id: Some(8), secret: None })), &["a"]);
    for parcel in [&own, &named, &numbered, &named] {
        assert_eq!(outcomes_of(&wecom, parcel).await, ["accepted"]);
    }
    let secrets: Vec<_> = fake.seen_at(TOKEN).iter().map(|request| request.query("corpsecret").expect("one")).collect();
    assert_eq!(secrets, ["corp-s3cret", "other"], "one token for each secret");
    assert_eq!(tokens_of(&fake), ["t1", "t2", "t1", "t2"]);
    let agents: Vec<Value> = fake.seen_at(SEND).iter().map(|request| request.json()["agentid"].clone()).collect();
    assert_eq!(agents, [1_000_002, 7, 8, 7]);
}

#[tokio::test]
async fn callers_are_to_blame_for_what_they_named_and_nothing_else() {
    let proxy = |status| Act::Answer(status, "", "<html>".into());
    let (own, number) = (text("x", &["a"]), named(Some(7), None));
    let (secret, both) = (named(None, Some("other")), named(Some(7), Some("other")));
    let (all, ours) = (["misconfigured"; 4], "misconfigured");
    let (content, later) = ("rejected content", "deferred recipient");
    // At the token's endpoint, for: the provider's own app, another number, another secret, both.
    for (act, found) in [
        (refused(40001), [ours, ours, content, content]),
        (refused(40091), [ours, ours, content, content]),
        (refused(41004), [ours, ours, content, content]),
        (refused(40013), [ours, ours, later, later]),
        (refused(60020), [ours, ours, later, later]),
        (refused(-1), ["deferred provider", "deferred provider", later, later]),
        (refused(99_999), ["deferred provider", "deferred provider", later, later]),
        (
            refused(45009),
            ["throttled provider 60s", "throttled provider 60s", "throttled recipient 60s", "throttled recipient 60s"],
        ),
        (proxy("403 Forbidden"), [ours, ours, later, later]),
        (proxy("404 Not Found"), [ours, ours, later, later]),
        (proxy("502 Bad Gateway"), ["deferred provider", "deferred provider", later, later]),
    ] {
        for (parcel, expected) in [&own, &number, &secret, &both].into_iter().zip(found) {
            let fake = fake([ok()]).await;
            fake.on(TOKEN, [act.clone()]);
            assert_eq!(outcomes(&fake, parcel).await, [expected]);
        }
    }
    // And where messages are sent.
    for (act, found) in [
        (refused(40056), [ours, content, later, content]),
        (refused(301_002), [ours, content, later, content]),
        (refused(41011), [ours, content, later, content]),
        (refused(60020), [ours, later, later, later]),
        (refused(50003), [ours, later, later, later]),
        (refused(-1), ["deferred provider", "deferred provider", later, later]),
        (
            refused(45009),
            ["throttled provider 60s", "throttled provider 60s", "throttled recipient 60s", "throttled recipient 60s"],
        ),
        (refused(44004), [content; 4]),
        (proxy("403 Forbidden"), all),
    ] {
        for (parcel, expected) in [&own, &number, &secret, &both].into_iter().zip(found) {
            let fake = fake([act.clone()]).await;
            assert_eq!(outcomes(&fake, parcel).await, [expected]);
        }
    }
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_is_put_off_for_its_message() {
    let fake = fake([ok()]).await;
    let agent = Agent { id: None, secret: Some("sealed for another".into()) };
    assert_eq!(outcomes(&fake, &parcel_with(notice(Some(agent)), &["a"])).await, ["deferred recipient"]);
    assert!(fake.seen().is_empty());
}

#[tokio::test]
async fn made_up_secrets_are_asked_about_only_so_often() {
    let fake = fake([ok()]).await;
    fake.on(
        TOKEN,
        [Act::by(|request| match request.query("corpsecret").as_deref() {
            Some("corp-s3cret") => issued("t1"),
            _ => refused(40001),
        })],
    );
    let wecom: Wecom = wecom(&keys(&fake.url()), &Arc::default(), PATIENT);
    for n in 0..40 {
        let expected = if n < 30 { "rejected content" } else { "throttled recipient 60s" };
        assert_eq!(outcomes_of(&wecom, &named(None, Some(&format!("made up {n}")))).await, [expected], "{n}");
    }
    assert_eq!(fake.seen_at(TOKEN).len(), 30);
    assert_eq!(outcomes_of(&wecom, &text("x", &["a"])).await, ["accepted"], "the provider's own goes on");
}

#[tokio::test]
async fn a_text_that_is_forbidden_further_on_is_no_fault_of_the_provider() {
    let fake = fake([ok(), refused(85002)]).await;
    assert_eq!(outcomes(&fake, &text(&long(), &["a", "b"])).await, ["partly sent"; 2]);
}

#[tokio::test]
async fn what_is_said_of_tokens_and_secrets_is_not_repeated() {
    let saying = |words: &str| Act::Json(json!({"errcode": 44004, "errmsg": words}));
    let wecom = |fake: &Fake| wecom(&keys(&fake.url()), &Arc::default(), PATIENT);
    for (token, send, parcel) in [
        (issued("t0k3n"), saying("t0k3n of corp-s3cret"), text("x", &["a"])),
        (saying("corp-s3cret is wrong"), ok(), text("x", &["a"])),
        (saying("0ther-s3cret is wrong"), ok(), named(None, Some("0ther-s3cret"))),
        (issued("t0k3n"), saying("t0k3n of 0ther-s3cret"), named(None, Some("0ther-s3cret"))),
    ] {
        let fake = fake([send]).await;
        fake.on(TOKEN, [token]);
        let verdicts = hongyan_core::channel::Channel::send(&wecom(&fake), &parcel).await;
        let reply = &verdicts[0].reply;
        assert!(reply.contains("***") && !reply.contains("t0k3n") && !reply.contains("s3cret"), "{reply}");
    }
}
