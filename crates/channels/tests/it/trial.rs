//! The test provider: every answer and every lost connection has the outcome that a channel which may not repeat lives by.

use std::time::{Duration, Instant};

use hongyan_channels::Test;
use hongyan_core::{channel::Channel, delivery::Repeat, outcome::Verdict, setup::TestProvider};
use serde_json::json;

use crate::{
    judge::{
        Act::{self, Answer, Reset, Say, SayAndClose},
        Judge,
    },
    parcels::{MESSAGE, PATIENT, id, parcel, shown},
};

/// Only what is meant to run into a limit waits for it.
const SHORT: Duration = Duration::from_millis(400);

fn keys(url: String) -> TestProvider {
    TestProvider { sender: "a@example.com".into(), url, repeat: Repeat::AtMostOnce, delay: Duration::ZERO }
}

fn provider(url: String, limit: Duration) -> Test {
    Test::new(&keys(url), 4, limit).expect("a valid provider")
}

async fn outcomes(test: &Test, recipients: &[&str]) -> (Vec<String>, Vec<Verdict>) {
    let verdicts = test.send(&parcel(recipients)).await;
    (verdicts.iter().map(shown).collect(), verdicts)
}

#[rustfmt::skip]
const CASES: &[(Act, &str, &str)] = &[
    (Answer("200 OK"),                            "accepted",           "200 OK"),
    (Answer("202 Accepted"),                      "accepted",           "202 Accepted"),
    (Say("HTTP/1.1 204 No Content\r\n\r\n"),      "accepted",           "204 No Content"),
    (SayAndClose("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nword"),
                                                  "accepted",           "200 OK"),
    // The status is the answer, whatever becomes of the words behind it.
    (SayAndClose("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nword"),
                                                  "accepted",           "200 OK"),
    (Answer("400 Bad Request"),                   "rejected recipient", "400 Bad Request"),
    (Answer("404 Not Found"),                     "rejected recipient", "404 Not Found"),
    (Answer("429 Too Many Requests"),             "rejected recipient", "429 Too Many Requests"),
    (Answer("500 Internal Server Error"),         "unknown",            "500 Internal Server Error"),
    (Answer("503 Service Unavailable"),           "unknown",            "503 Service Unavailable"),
    (Answer("302 Found"),                         "unknown",            "302 Found"),
    (Reset,                                       "unknown",            "no answer: Connection reset by peer"),
    (SayAndClose(""),                             "unknown",            "no answer: connection closed before message completed"),
    (SayAndClose("HTTP/1.1 200 O"),               "unknown",            "no answer: connection closed before message completed"),
    (SayAndClose("220 sink.example.com ESMTP\r\n"), "unknown",          "no answer: invalid HTTP version parsed"),
];

#[tokio::test]
async fn every_answer() {
    for (act, outcome, reply) in CASES {
        let judge = Judge::start(*act).await;
        let (seen, verdicts) = outcomes(&provider(judge.url(), PATIENT), &["a@example.com", "b@example.com"]).await;
        assert_eq!(seen, [*outcome; 2], "{act:?}: {verdicts:?}");
        assert!(verdicts[0].reply.starts_with(reply), "{act:?}: {verdicts:?}");
        assert_eq!(judge.seen().len(), 2, "{act:?}: one request each, none repeated");
    }
}

#[tokio::test]
async fn silence_is_unknown_in_time() {
    for (act, outcome) in [
        (Say(""), "unknown"),
        (Say("HTTP/1.1 200 OK\r\n"), "unknown"),
        (Say("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nword"), "accepted"),
    ] {
        let judge = Judge::start(act).await;
        let begun = Instant::now();
        let (seen, verdicts) = outcomes(&provider(judge.url(), SHORT), &["a@example.com"]).await;
        assert_eq!(seen, [outcome], "{act:?}: {verdicts:?}");
        assert!(begun.elapsed() >= SHORT && begun.elapsed() < 10 * SHORT);
        assert_eq!(judge.seen().len(), 1);
    }
}

#[tokio::test]
async fn what_cannot_be_reached_was_not_told() {
    let unused =
        tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("bound").port();
    let test = provider(format!("http://localhost:{unused}/"), PATIENT);
    let (seen, verdicts) = outcomes(&test, &["a@example.com", "b@example.com", "c@example.com"]).await;
    assert_eq!(seen, ["deferred provider"; 3]);
    assert!(verdicts[2].reply.starts_with("cannot connect: Connection refused"), "{verdicts:?}");
    assert_eq!(test.taken(), 0);
}

#[tokio::test]
async fn every_delivery_is_told_by_a_request_of_its_own() {
    let judge = Judge::start(Answer("200 OK")).await;
    let test = provider(judge.url(), PATIENT);
    let mut again = parcel(&["a\"\\@example.com", "用户@例子.中国"]);
    again.maybe_duplicate = true;
    test.send(&again).await;
    test.send(&parcel(&["c@example.com"])).await;
    let told = |n: usize, recipient: &str, maybe_duplicate: bool| {
        let (delivery, message) = (id(MESSAGE).plus(n).to_string(), MESSAGE.to_string());
        json!({ "delivery": delivery, "message": message, "recipient": recipient, "maybe_duplicate": maybe_duplicate })
    };
    let seen = judge.seen();
    let bodies: Vec<_> = seen.iter().map(|seen| seen.body.clone()).collect();
    assert_eq!(
        bodies,
        [told(1, "a\"\\@example.com", true), told(2, "用户@例子.中国", true), told(1, "c@example.com", false)]
    );
    assert!(seen.iter().all(|seen| seen.connection == 1 && seen.request == "POST /judge HTTP/1.1"), "{seen:?}");
    assert_eq!(test.taken(), 3);
}

#[tokio::test]
async fn without_a_url_all_is_taken_and_counted() {
    let test = provider(String::new(), PATIENT);
    assert_eq!(outcomes(&test, &["a@example.com", "b@example.com"]).await.0, ["accepted"; 2]);
    assert_eq!(outcomes(&test, &["c@example.com"]).await.0, ["accepted"]);
    assert_eq!(test.taken(), 3);
}

#[tokio::test]
async fn an_answer_is_held_back_after_the_server_was_told() {
    let judge = Judge::start(Answer("200 OK")).await;
    for url in [judge.url(), String::new()] {
        let test = Test::new(&TestProvider { delay: SHORT, ..keys(url) }, 4, PATIENT).expect("valid");
        let begun = Instant::now();
        assert_eq!(outcomes(&test, &["a@example.com"]).await.0, ["accepted"]);
        assert!(begun.elapsed() >= SHORT);
    }
    let test = Test::new(&TestProvider { delay: PATIENT, ..keys(judge.url()) }, 4, PATIENT).expect("valid");
    let cut_off = tokio::time::timeout(SHORT, outcomes(&test, &["b@example.com"])).await;
    assert!(cut_off.is_err() && judge.seen().len() == 2, "a node that dies meanwhile has told it");
}

#[test]
fn the_plan_says_whether_it_may_repeat() {
    for (repeat, needs_intent) in [(Repeat::AtMostOnce, true), (Repeat::AtLeastOnce, false)] {
        let test = Test::new(&TestProvider { repeat, ..keys(String::new()) }, 4, PATIENT).expect("valid");
        assert_eq!(test.policy().repeat, repeat);
        assert_eq!(test.policy().repeat.needs_intent(), needs_intent, "an intent is recorded before the call");
    }
}

#[test]
fn only_plain_http_to_somebody_near() {
    let opened = |url: &str| Test::new(&keys(url.to_owned()), 4, PATIENT);
    for url in
        ["http://127.0.0.1:1/", "http://10.1.2.3/a", "http://[::1]:8080", "http://[fd00::1]/", "http://localhost"]
    {
        assert!(opened(url).is_ok(), "{url}");
    }
    for (url, why) in [
        ("https://127.0.0.1/", "url: must begin with http://"),
        ("127.0.0.1:80", "url: must begin with http://"),
        ("http://8.8.8.8/", "url: must name localhost"),
        ("http://[2001:db8::1]/", "url: must name localhost"),
        ("http://example.com/", "url: must name localhost"),
        ("http://a b/", "url: is no url"),
    ] {
        let error = opened(url).err().expect("refused").to_string();
        assert!(error.starts_with(why), "{url}: {error}");
    }
}
