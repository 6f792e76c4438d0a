//! WeCom apps against a scripted API: who gets which verdict, and what is never sent twice.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use hongyan_channels::{Wecom, http::Limits, token};
use hongyan_core::{
    cap::Cap,
    channel::{Channel, Parcel},
    content::{Agent, Content, Notice, Text},
    outcome::{Outcome, Receipts},
    setup::{Secret, WecomProvider},
    time::ManualClock,
    token::{KeptToken, TokenRow},
};
use serde_json::{Value, json};

use crate::{
    fake::{Act, Fake, nowhere},
    parcels::{NOW, PATIENT, mail, parcel, parcel_with, shown},
    token::{Seal, Vault},
};

pub const TOKEN: &str = "/cgi-bin/gettoken";
pub const SEND: &str = "/cgi-bin/message/send";

pub fn keys(base_url: &str) -> WecomProvider {
    WecomProvider {
        corp_id: "ww1".into(),
        corp_secret: Secret::new("corp-s3cret"),
        agent_id: 1_000_002,
        duplicate_check: None,
        base_url: base_url.to_owned(),
    }
}

pub fn limits(limit: Duration) -> Limits {
    Limits { connect: limit / 2, total: limit }
}

pub fn wecom(keys: &WecomProvider, vault: &Arc<Vault>, limit: Duration) -> Wecom {
    let clock = Arc::new(ManualClock::at(NOW));
    Wecom::new(keys, limits(limit), Arc::<Vault>::clone(vault), Arc::new(Seal), clock).expect("a valid provider")
}

pub fn text(text: &str, users: &[&str]) -> Parcel {
    parcel_with(Content::Text(Text { text: text.into(), ..Text::default() }), users)
}

pub fn issued(token: &str) -> Act {
    Act::Json(json!({"errcode": 0, "errmsg": "ok", "access_token": token, "expires_in": 7200}))
}

pub fn refused(code: i64) -> Act {
    Act::Json(json!({"errcode": code, "errmsg": format!("what {code} means, hint: [1], more info at https://x")}))
}

pub fn ok() -> Act {
    Act::Json(json!({"errcode": 0, "errmsg": "ok", "msgid": "m-1"}))
}

/// A fake that gives out the token `t1`, then `t2`, and answers sends so.
pub async fn fake(sends: impl IntoIterator<Item = Act>) -> Fake {
    let fake = Fake::start().await;
    fake.on(TOKEN, [issued("t1"), issued("t2")]);
    fake.on(SEND, sends);
    fake
}

/// What becomes of `parcel` where a fake answers sends so.
pub async fn outcomes(fake: &Fake, parcel: &Parcel) -> Vec<String> {
    outcomes_of(&wecom(&keys(&fake.url()), &Arc::default(), PATIENT), parcel).await
}

pub async fn outcomes_of(channel: &dyn Channel, parcel: &Parcel) -> Vec<String> {
    let verdicts = channel.send(parcel).await;
    assert_eq!(verdicts.len(), parcel.recipients.len());
    for verdict in &verdicts {
        for hidden in ["s3cret", "t1", "t2", "access_token"] {
            assert!(!verdict.reply.contains(hidden), "{}", verdict.reply);
        }
    }
    verdicts.iter().map(shown).collect()
}

pub fn tokens_of(fake: &Fake) -> Vec<String> {
    fake.seen_at(SEND).iter().map(|request| request.query("access_token").expect("a token")).collect()
}

#[tokio::test]
async fn one_call_for_all_and_those_who_are_named_do_not_get_it() {
    let answer =
        json!({"errcode": 0, "errmsg": "ok", "invaliduser": "bad|worse", "unlicenseduser": "poor", "msgid": "m-1"});
    let fake = fake([Act::Json(answer)]).await;
    let wecom = wecom(&keys(&format!("{}/proxy/", fake.url())), &Arc::default(), PATIENT);
    assert_eq!(outcomes_of(&wecom, &text("x", &["a"])).await, ["misconfigured"], "nothing is there");
    drop(wecom);

    let wecom = self::wecom(&keys(&fake.url()), &Arc::default(), PATIENT);
    let verdicts = wecom.send(&text("早上好", &["ZhangSan", "Bad", "李四", "POOR"])).await;
    let all: Vec<String> = verdicts.iter().map(shown).collect();
    assert_eq!(all, ["accepted", "rejected recipient", "accepted", "rejected recipient"]);
    let accepted = Outcome::Accepted { provider_id: "m-1".into(), receipt: Receipts::Never };
    assert_eq!(verdicts[0].outcome, accepted);
    assert_eq!(verdicts[1].reply, "0 ok, named in invaliduser");
    assert_eq!(verdicts[3].reply, "0 ok, named in unlicenseduser");

    let token = &fake.seen_at(TOKEN)[0];
    assert_eq!(
        (token.method.as_str(), token.target.as_str()),
        ("GET", "/cgi-bin/gettoken?corpid=ww1&corpsecret=corp-s3cret")
    );
    let send = &fake.seen_at(SEND)[0];
    assert_eq!((send.method.as_str(), send.target.as_str()), ("POST", "/cgi-bin/message/send?access_token=t1"));
    assert_eq!(send.header("content-type"), Some("application/json; charset=utf-8"));
    let body = r#"{"touser":"ZhangSan|Bad|李四|POOR","msgtype":"text","agentid":1000002,"text":{"content":"早上好"}}"#;
    assert_eq!(String::from_utf8_lossy(&send.body), body);
}

#[tokio::test]
async fn every_answer_leads_to_its_outcome() {
    let html = |status, headers| Act::Answer(status, headers, "<html>".into());
    let location = "Location: /cgi-bin/elsewhere\r\n";
    for (act, outcome) in [
        (refused(-1), "deferred provider"),
        (refused(45009), "throttled provider 60s"),
        (refused(45033), "throttled provider 5s"),
        (refused(40013), "misconfigured"),
        (refused(44004), "rejected content"),
        (refused(81013), "rejected recipient"),
        (refused(99_999), "deferred recipient"),
        (Act::Json(json!({"errcode": "81013", "errmsg": "all"})), "rejected recipient"),
        (Act::Answer("500 Internal Server Error", "", r#"{"errcode":-1,"errmsg":"x"}"#.into()), "deferred provider"),
        (html("500 Internal Server Error", ""), "unknown"),
        (html("504 Gateway Timeout", ""), "unknown"),
        (html("503 Service Unavailable", ""), "unknown"),
        (html("503 Service Unavailable", "Retry-After: 7\r\n"), "throttled provider 7s"),
        (html("429 Too Many Requests", ""), "throttled provider 60s"),
        (html("403 Forbidden", ""), "misconfigured"),
        (html("302 Found", location), "misconfigured"),
        (html("200 OK", ""), "unknown"),
        (Act::Json(json!({"msgid": "m-1"})), "unknown"),
        (Act::Json(json!([0])), "unknown"),
        (Act::Json(json!({"errcode": 0, "errmsg": "x".repeat(1_000_000)})), "accepted"),
        (Act::Json(json!({"errcode": 0, "errmsg": "x".repeat(2_000_000)})), "unknown"),
        (Act::Raw("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"), "unknown"),
        (Act::Raw("garbage\r\n\r\n"), "unknown"),
        (Act::Cut, "unknown"),
        (Act::Reset, "unknown"),
    ] {
        let fake = fake([act]).await;
        assert_eq!(outcomes(&fake, &text("x", &["a", "b"])).await, [outcome; 2]);
        assert!(fake.seen_at("/cgi-bin/elsewhere").is_empty(), "redirects are not followed");
        assert_eq!(fake.seen_at(SEND).len(), 1);
    }
}

#[tokio::test]
async fn a_call_that_takes_too_long_may_have_been_taken() {
    let fake = fake([Act::Hang]).await;
    let wecom = wecom(&keys(&fake.url()), &Arc::default(), Duration::from_millis(400));
    assert_eq!(outcomes_of(&wecom, &text("x", &["a"])).await, ["unknown"]);
    assert_eq!(fake.seen_at(SEND).len(), 1);
}

/// A store that has a token for the provider at `base_url` already.
fn with_token(base_url: &str) -> Arc<Vault> {
    let vault = Vault::default();
    let base = reqwest::Url::parse(base_url).expect("a url");
    let key = token::key("wecom", base.as_str(), "ww1", &Secret::new("corp-s3cret"));
    let kept = KeptToken { version: 1, sealed: format!("token/{key}=1t"), expires: NOW + Duration::from_secs(60) };
    let row = TokenRow { kept: Some(kept), turn: 1, turn_until: None };
    vault.rows.lock().expect("no panic").insert(key, row);
    Arc::new(vault)
}

#[tokio::test]
async fn what_fails_before_a_connection_stands_was_not_sent() {
    let nobody = nowhere().await;
    let deaf = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let no_tls = Fake::start().await;
    for (url, words) in [
        (nobody, "cannot connect: "),
        (format!("https://{}", deaf.local_addr().expect("bound")), "no connection within 200ms"),
        (format!("https://127.0.0.1:{}", no_tls.port), "cannot connect: "),
        ("http://does-not-exist.invalid".to_owned(), ""),
    ] {
        let wecom = wecom(&keys(&url), &with_token(&url), Duration::from_millis(400));
        let verdicts = wecom.send(&text("x", &["a"])).await;
        assert_eq!(shown(&verdicts[0]), "deferred provider", "{url}: {verdicts:?}");
        assert!(verdicts[0].reply.starts_with(words) && !verdicts[0].reply.contains("token"), "{verdicts:?}");
    }
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_is_replaced() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 27\r\n\r\n{\"errcode\":0,\"errmsg\":\"ok\"}";
    let fake = fake([Act::Raw(answer)]).await;
    let wecom = wecom(&keys(&fake.url()), &Arc::default(), PATIENT);
    for _ in 0..5 {
        assert_eq!(outcomes_of(&wecom, &text("x", &["a"])).await, ["accepted"]);
        // The fake has closed it before the answer was read; the client learns it when the runtime next looks.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(fake.seen_at(SEND).iter().map(|request| request.connection).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn without_a_token_nothing_is_sent() {
    let html = |status| Act::Answer(status, "", "<html>".into());
    for (act, outcome, words) in [
        (refused(40001), "misconfigured", "no access token: 40001 what"),
        (refused(40091), "misconfigured", "no access token: 40091 what"),
        (refused(40013), "misconfigured", "no access token: 40013 what"),
        (refused(60020), "misconfigured", "no access token: 60020 what"),
        (refused(45009), "throttled provider 60s", "no access token: 45009 what"),
        (refused(-1), "deferred provider", "no access token: -1 what"),
        (refused(99_999), "deferred provider", "no access token: 99999 what"),
        (Act::Json(json!({"errcode": 0, "errmsg": "ok"})), "deferred provider", "no access token: 0 ok"),
        (html("500 Internal Server Error"), "deferred provider", "no access token: HTTP 500"),
        (html("200 OK"), "deferred provider", "no access token: HTTP 200"),
        (html("404 Not Found"), "misconfigured", "no access token: HTTP 404"),
        (Act::Cut, "deferred provider", "no access token: no answer: "),
        (Act::Hang, "deferred provider", "no access token: no answer within"),
    ] {
        let fake = fake([ok()]).await;
        fake.on(TOKEN, [act]);
        let wecom = wecom(&keys(&fake.url()), &Arc::default(), Duration::from_millis(500));
        let verdicts = wecom.send(&text("x", &["a", "b"])).await;
        assert_eq!(verdicts.iter().map(shown).collect::<Vec<_>>(), [outcome; 2], "{verdicts:?}");
        assert!(verdicts[0].reply.starts_with(words), "{verdicts:?}");
        assert!(fake.seen_at(SEND).is_empty());
    }
}

#[tokio::test]
async fn a_refused_token_is_replaced_and_the_call_made_again_once() {
    for code in [40001, 40014, 42001] {
        let fake = fake([refused(code), ok()]).await;
        assert_eq!(outcomes(&fake, &text("x", &["a"])).await, ["accepted"], "{code}");
        assert_eq!((tokens_of(&fake), fake.seen_at(TOKEN).len()), (vec!["t1".to_owned(), "t2".to_owned()], 2));
        let bodies: Vec<Vec<u8>> = fake.seen_at(SEND).into_iter().map(|request| request.body).collect();
        assert_eq!(bodies[0], bodies[1]);
    }
}

#[tokio::test]
async fn a_token_that_is_refused_again_and_again_makes_no_loop() {
    let fake = fake([refused(40014)]).await;
    let wecom = wecom(&keys(&fake.url()), &Arc::default(), PATIENT);
    for n in 1..=3 {
        assert_eq!(outcomes_of(&wecom, &text("x", &["a"])).await, ["deferred provider"]);
        assert_eq!((fake.seen_at(SEND).len(), fake.seen_at(TOKEN).len()), (2 * n, n + 1));
    }
}

#[tokio::test]
async fn one_for_whose_sake_all_are_refused_is_found() {
    let users = ["a", "b", "c", "d", "bad", "f", "g", "h"];
    for code in [60111, 40003, 40032] {
        let judge = Act::by(move |request| {
            let touser = request.json()["touser"].as_str().expect("a list").to_owned();
            if touser.split('|').any(|user| user == "bad") { refused(code) } else { ok() }
        });
        let fake = fake([judge]).await;
        let mut expected = vec!["accepted"; users.len()];
        expected[4] = "rejected recipient";
        assert_eq!(outcomes(&fake, &text("x", &users)).await, expected);
        assert_eq!(fake.seen_at(SEND).len(), 7, "a search by halves");
    }
}

#[tokio::test]
async fn a_search_ends_where_it_finds_nothing_good() {
    let users: Vec<String> = (0..1_000).map(|n| format!("user{n}")).collect();
    let users: Vec<&str> = users.iter().map(String::as_str).collect();
    let fake = fake([refused(40032)]).await;
    let outcomes = outcomes(&fake, &text("x", &users)).await;
    assert!(fake.seen_at(SEND).len() < 60, "{}", fake.seen_at(SEND).len());
    assert_eq!((outcomes[0].as_str(), outcomes[999].as_str()), ("rejected recipient", "throttled recipient 1s"));
}

#[tokio::test]
async fn twenty_bad_among_a_thousand_hold_nobody_back() {
    let users: Vec<String> = (0..1_000).map(|n| format!("{}{n}", if n % 50 == 7 { "bad" } else { "good" })).collect();
    let judge = Act::by(move |request| {
        let touser = request.json()["touser"].as_str().expect("a list").to_owned();
        if touser.contains("bad") { refused(60111) } else { ok() }
    });
    let fake = fake([judge]).await;
    let wecom = wecom(&keys(&fake.url()), &Arc::default(), PATIENT);
    let mut open: Vec<&str> = users.iter().map(String::as_str).collect();
    let mut rounds = 0;
    while !open.is_empty() {
        rounds += 1;
        let found = outcomes_of(&wecom, &text("x", &open)).await;
        let mut later = Vec::new();
        for (user, outcome) in open.into_iter().zip(found) {
            match outcome.as_str() {
                "throttled recipient 1s" => later.push(user),
                "accepted" => assert!(user.starts_with("good"), "{user}"),
                outcome => assert_eq!((&user[..3], outcome), ("bad", "rejected recipient")),
            }
        }
        open = later;
        assert!(rounds <= 10, "a second each, and no try of anybody's");
    }
    assert!(rounds > 1);
}

#[tokio::test]
async fn a_fault_in_the_middle_of_a_search_is_everybodys() {
    for (act, its, others) in [
        (Act::Cut, "unknown", "deferred provider"),
        (refused(45009), "throttled provider 60s", "throttled provider 60s"),
        (refused(-1), "deferred provider", "deferred provider"),
        (refused(50003), "misconfigured", "misconfigured"),
    ] {
        let fake = fake([refused(60111), refused(60111), ok(), act, ok()]).await;
        let found = outcomes(&fake, &text("x", &["a", "b", "c", "d"])).await;
        assert_eq!(found, ["accepted", its, others, others]);
        assert_eq!(fake.seen_at(SEND).len(), 4, "nothing was sent to the last two");
    }
}

#[tokio::test]
async fn a_call_has_a_thousand_users_at_most() {
    let users: Vec<String> = (0..1_500).map(|n| format!("user{n}")).collect();
    let users: Vec<&str> = users.iter().map(String::as_str).collect();
    let fake = fake([ok()]).await;
    assert_eq!(outcomes(&fake, &text("x", &users)).await, vec!["accepted"; 1_500]);
    let touser = |body: Value| body["touser"].as_str().expect("a list").split('|').count();
    let counts: Vec<usize> = fake.seen_at(SEND).iter().map(|request| touser(request.json())).collect();
    assert_eq!(counts, [1_000, 500]);
}

pub fn long() -> String {
    format!("{}\n{}", "first ".repeat(330), "second ".repeat(20))
}

#[tokio::test]
async fn a_long_text_comes_in_parts() {
    let fake =
        fake([Act::Json(json!({"errcode": 0, "errmsg": "ok", "invaliduser": "bad", "msgid": "m-1"})), ok()]).await;
    let found = outcomes(&fake, &text(&long(), &["a", "bad", "c"])).await;
    assert_eq!(found, ["accepted", "rejected recipient", "accepted"]);
    let bodies: Vec<Value> = fake.seen_at(SEND).iter().map(crate::fake::Request::json).collect();
    let said: Vec<&str> = bodies.iter().map(|body| body["text"]["content"].as_str().expect("a text")).collect();
    assert!(said[0].starts_with("(1/2) first") && said[1].starts_with("(2/2) second"), "{said:?}");
    assert!(said.iter().all(|text| text.len() <= 2_048));
    assert_eq!((&bodies[0]["touser"], &bodies[1]["touser"]), (&json!("a|bad|c"), &json!("a|c")));
}

#[tokio::test]
async fn a_part_that_fails_after_another_was_taken_is_tried_again_and_then_partly_sent() {
    let soon = Act::Answer("503 Service Unavailable", "Retry-After: 2\r\n", "<html>".into());
    for (act, waited) in [(refused(-1), 1), (refused(99_999), 1), (soon, 2)] {
        let (fake, begun) = (fake([ok(), act, ok()]).await, Instant::now());
        assert_eq!(outcomes(&fake, &text(&long(), &["a"])).await, ["accepted"], "the second part on its second try");
        assert!(begun.elapsed() >= Duration::from_secs(waited), "no sooner than it was told");
    }

    for (act, words) in [
        (refused(85002), "1 of 2 parts were taken: 85002"),
        (refused(45009), "1 of 2 parts were taken: 45009"),
        (refused(50003), "1 of 2 parts were taken: 50003"),
        (Act::Cut, "1 of 2 parts were taken: no answer"),
    ] {
        let fake = self::fake([ok(), act]).await;
        let wecom = wecom(&keys(&fake.url()), &Arc::default(), PATIENT);
        let verdicts = wecom.send(&text(&long(), &["a"])).await;
        assert_eq!(verdicts[0].outcome, Outcome::PartlySent);
        assert!(verdicts[0].reply.starts_with(words), "{verdicts:?}");
        assert_eq!(fake.seen_at(SEND).len(), 2, "neither part again");
    }
}

pub fn notice(agent: Option<Agent>) -> Content {
    Content::Notice(Notice { heading: "h".into(), message: "m".into(), agent, ..Notice::default() })
}

#[tokio::test]
async fn each_part_counts_against_a_members_caps() {
    let wecom = wecom(&keys("http://127.0.0.1:1"), &Arc::default(), PATIENT);
    let caps = |content: &Content| wecom.recipient_caps(content).map(|caps| (caps.amount, caps.caps));
    let scope = |agent| wecom.recipient_caps(&notice(agent)).map(|caps| caps.scope);
    let named = |id| Some(Agent { id, secret: None });
    let scopes = [None, named(None), named(Some(1_000_002)), named(Some(7))].map(scope);
    assert_eq!(scopes, ["", "", "", "7"].map(|scope| Some(scope.to_owned())), "each app has caps of its own");
    let cap = |most, seconds| Cap { most, span: Duration::from_secs(seconds) };
    let both = vec![cap(30, 60), cap(1_000, 3_600)];
    assert_eq!(caps(&notice(None)), Some((1, both.clone())));
    assert_eq!(caps(&text(&long(), &["a"]).content), Some((2, both)));
    assert_eq!(caps(&Content::Mail(mail())), None);
    assert_eq!(outcomes_of(&wecom, &parcel(&["a"])).await, ["rejected content"]);
}
