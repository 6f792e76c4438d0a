//! Alibaba Cloud SMS against a scripted provider: what is asked, and the outcome of every answer and of none.

use std::{sync::Arc, time::Duration};

use hongyan_channels::Aliyun;
use hongyan_core::{
    channel::{Answer, Channel, Question},
    delivery::Receipt,
    limits::SMS_CHARS_MAX,
    outcome::Outcome,
    time::{ManualClock, Timestamp},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{
    fake::{Act, Fake, Request, nowhere},
    parcels::{MESSAGE, NOW, id, parcel},
    sms::{
        ABROAD, HOME, HOME_DIGITS, KEY, LIMITS, SECRET, SOON_UNANSWERED, SOON_UNCONNECTED, aliyun_keys, clock, foreign,
        made_from, outcomes, question, sent, text,
    },
};

fn aliyun(base_url: String) -> Aliyun {
    Aliyun::new(&aliyun_keys(base_url), LIMITS, clock()).expect("sound keys")
}

fn said(code: &str, message: &str) -> Act {
    Act::Json(json!({ "Code": code, "Message": message, "RequestId": "R", "BizId": "9006^0" }))
}

fn failed(status: &'static str, headers: &'static str, code: &str) -> Act {
    let body = json!({ "Code": code, "Message": format!("{KEY} {SECRET} {HOME_DIGITS}"), "RequestId": "R" });
    Act::Answer(status, headers, body.to_string())
}

#[tokio::test]
async fn every_answer() {
    let cases = [
        (said("OK", "OK"), "accepted"),
        (said("isv.MOBILE_NUMBER_ILLEGAL", HOME), "rejected recipient"),
        (said("isv.TEMPLATE_PARAMS_ILLEGAL", "\r\n"), "rejected content"),
        (said("isv.OUT_OF_SERVICE", "!"), "misconfigured"),
        (said("isp.SYSTEM_ERROR", ""), "deferred provider"),
        (said("isv.NEVER_HEARD_OF", &"长".repeat(9_000)), "deferred recipient"),
        // The test's now is 16:00 in China.
        (said("isv.BUSINESS_LIMIT_CONTROL", "触发分钟级流控Permits:1"), "throttled recipient 60s"),
        (said("isv.BUSINESS_LIMIT_CONTROL", "触发小时级流控Permits:5"), "throttled recipient 3600s"),
        (said("isv.BUSINESS_LIMIT_CONTROL", "触发天级流控Permits:10"), "throttled recipient 28800s"),
        (said("isv.DAY_LIMIT_CONTROL", ""), "throttled provider 3600s"),
        (failed("400 Bad Request", "", "Throttling.User"), "throttled provider 5s"),
        (failed("400 Bad Request", "x-acs-retry-after: 2500\r\n", "Throttling.User"), "throttled provider 2.5s"),
        (failed("404 Not Found", "", "InvalidAccessKeyId.NotFound"), "misconfigured"),
        (failed("400 Bad Request", "", "SignatureDoesNotMatch"), "misconfigured"),
        (failed("400 Bad Request", "", "SignatureNonceUsed"), "unknown"),
        (failed("503 Service Unavailable", "", "ServiceUnavailable"), "deferred provider"),
        (failed("500 Internal Server Error", "", "never heard of"), "unknown"),
        (Act::Answer("500 Internal Server Error", "", "<html>".into()), "unknown"),
        (Act::Answer("502 Bad Gateway", "", String::new()), "unknown"),
        (Act::Answer("403 Forbidden", "", "<html>".into()), "misconfigured"),
        (Act::Answer("413 Content Too Large", "", "<html>".into()), "rejected content"),
        (Act::Answer("414 URI Too Long", "", String::new()), "rejected content"),
        (Act::Answer("400 Bad Request", "", "<html>".into()), "deferred recipient"),
        (Act::Answer("302 Found", "Location: http://example.com/\r\n", String::new()), "misconfigured"),
        (Act::Answer("429 Too Many Requests", "Retry-After: 7\r\n", String::new()), "throttled provider 7s"),
        (Act::Answer("200 OK", "", "\u{1}garbage".into()), "unknown"),
        (Act::Json(json!({ "Message": "no code" })), "unknown"),
        (Act::Raw("220 sink.example.com ESMTP\r\n"), "unknown"),
        (Act::Raw("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"Code\":\"OK\""), "unknown"),
        (Act::Cut, "unknown"),
        (Act::Reset, "unknown"),
    ];
    for (act, outcome) in cases {
        let fake = Fake::with("/", act).await;
        let verdicts = sent(&aliyun(fake.url()), &text("hello", &[HOME])).await;
        assert_eq!(crate::parcels::shown(&verdicts[0]), outcome, "{verdicts:?}");
        assert_eq!(fake.seen().len(), 1, "{verdicts:?}: never more than one call");
    }
}

#[tokio::test]
async fn only_what_was_not_written_is_sent_again() {
    assert_eq!(outcomes(&aliyun(nowhere().await), &text("hello", &[HOME])).await, ["deferred provider"]);
    // It takes the connection and never speaks TLS: nothing of the request has left.
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("https://{}", silent.local_addr().expect("bound"));
    let before = Aliyun::new(&aliyun_keys(url), SOON_UNCONNECTED, clock()).expect("sound keys");
    assert_eq!(outcomes(&before, &text("hello", &[HOME])).await, ["deferred provider"]);
    let fake = Fake::with("/", Act::Hang).await;
    let after = Aliyun::new(&aliyun_keys(fake.url()), SOON_UNANSWERED, clock()).expect("sound keys");
    assert_eq!(outcomes(&after, &text("hello", &[HOME])).await, ["unknown"]);
    assert!(after.policy().repeat.needs_intent());
}

#[tokio::test]
async fn each_number_is_a_call_of_its_own() {
    let fake = Fake::with(
        "/",
        Act::by(|request| match request.query("PhoneNumbers").as_deref() {
            Some("13900000000") => said("isv.MOBILE_NUMBER_ILLEGAL", "no"),
            _ => said("OK", "OK"),
        }),
    )
    .await;
    let parcel = text("你好 & hello", &[HOME, "+8613900000000", ABROAD, "no number"]);
    let verdicts = sent(&aliyun(fake.url()), &parcel).await;
    let seen: Vec<String> = verdicts.iter().map(crate::parcels::shown).collect();
    assert_eq!(seen, ["accepted", "rejected recipient", "accepted", "rejected recipient"]);
    assert!(matches!(&verdicts[0].outcome, Outcome::Accepted { provider_id, .. } if provider_id == "9006^0"));
    let asked = |request: &Request, name: &str| request.query(name).unwrap_or_default();
    let calls = fake.seen();
    let numbers: Vec<String> = calls.iter().map(|request| asked(request, "PhoneNumbers")).collect();
    assert_eq!(numbers, [HOME_DIGITS, "13900000000", "85291234567"]);
    for (place, request) in [(1, &calls[0]), (2, &calls[1]), (3, &calls[2])] {
        assert_eq!(asked(request, "OutId"), id(MESSAGE).plus(place).to_string());
        assert_eq!((asked(request, "SignName").as_str(), asked(request, "TemplateCode").as_str()), ("鸿雁", "SMS_1"));
        assert_eq!(asked(request, "TemplateParam"), r#"{"content":"你好 & hello"}"#);
        assert_eq!((request.method.as_str(), request.body.len()), ("POST", 0));
        assert_eq!(request.header("host"), Some(fake.url().trim_start_matches("http://")));
    }
    let nonce = |n: usize| calls[n].header("x-acs-signature-nonce").map(str::to_owned);
    assert!(nonce(0).is_some() && nonce(0) != nonce(1) && nonce(1) != nonce(2));
}

#[tokio::test]
async fn what_is_no_sms_is_refused_without_a_call() {
    let fake = Fake::with("/", said("OK", "OK")).await;
    let aliyun = aliyun(fake.url());
    // Of characters that are longest in a query.
    let (longest, over) = ("\u{1f98a}".repeat(SMS_CHARS_MAX), "x".repeat(SMS_CHARS_MAX + 1));
    assert_eq!(outcomes(&aliyun, &text(&longest, &[HOME])).await, ["accepted"]);
    let verdicts = sent(&aliyun, &text(&over, &[HOME, ABROAD])).await;
    assert_eq!(verdicts.iter().map(crate::parcels::shown).collect::<Vec<_>>(), ["rejected content"; 2]);
    assert_eq!(verdicts[0].reply, "1001 characters, of which a text may have 1000");
    let values = [("code", longest.as_str()), ("minutes", "5")];
    assert_eq!(outcomes(&aliyun, &made_from("login", &values, &[HOME])).await, ["rejected content"]);
    assert_eq!(fake.seen().len(), 1);
}

#[tokio::test]
async fn a_caller_may_name_signature_and_template() {
    let fake = Fake::with("/", said("OK", "OK")).await;
    let aliyun = aliyun(fake.url());
    let values = [("code", "AAAb"), ("time", "5")];
    assert_eq!(outcomes(&aliyun, &foreign("T100101", &[], &values, &[HOME])).await, ["accepted"]);
    assert_eq!(outcomes(&aliyun, &foreign("T100101", &["name"], &values, &[HOME])).await, ["rejected content"]);
    let seen = fake.seen();
    let asked = |name| seen[0].query(name).unwrap_or_default();
    assert_eq!((asked("SignName").as_str(), asked("TemplateCode").as_str()), ("东华医为", "T100101"));
    assert_eq!(asked("TemplateParam"), r#"{"code":"AAAb","time":"5"}"#);
    assert_eq!(seen.len(), 1);
}

#[tokio::test]
async fn templates_of_ours_go_by_those_of_the_provider() {
    let fake = Fake::with("/", said("OK", "OK")).await;
    let aliyun = aliyun(fake.url());
    let values = [("minutes", "5"), ("code", "12\"34")];
    assert_eq!(outcomes(&aliyun, &made_from("login", &values, &[HOME])).await, ["accepted"]);
    assert_eq!(outcomes(&aliyun, &made_from("unknown there", &values, &[HOME])).await, ["accepted"]);
    assert_eq!(outcomes(&aliyun, &made_from("login", &values[..1], &[HOME])).await, ["rejected content"]);
    assert_eq!(outcomes(&aliyun, &parcel(&[HOME, HOME])).await, ["rejected content"; 2]);
    let seen = fake.seen();
    let asked = |n: usize, name| seen[n].query(name).unwrap_or_default();
    assert_eq!(
        (asked(0, "TemplateCode").as_str(), asked(0, "TemplateParam").as_str()),
        ("SMS_2", r#"{"code":"12\"34","minutes":"5"}"#)
    );
    assert_eq!(
        (asked(1, "TemplateCode").as_str(), asked(1, "TemplateParam").as_str()),
        ("SMS_1", r#"{"content":"your code is 1234"}"#)
    );
    assert_eq!(seen.len(), 2, "what cannot be sent is not asked for");
}

/// A page of an answer: so many of others, then ours with this status.
fn details(others: usize, ours: Option<i64>) -> Act {
    let detail = |out: String, status: i64| json!({ "OutId": out, "SendStatus": status, "PhoneNum": HOME_DIGITS });
    let mut details: Vec<Value> = (0..others).map(|n| detail(n.to_string(), 3)).collect();
    details.extend(ours.map(|status| detail(id(MESSAGE).plus(1).to_string(), status)));
    Act::Json(json!({ "Code": "OK", "TotalCount": 99, "SmsSendDetailDTOs": { "SmsSendDetailDTO": details } }))
}

#[tokio::test]
async fn what_is_unknown_is_asked_about() {
    for (acts, answer, calls) in [
        (vec![details(3, Some(3))], Answer::Known(Receipt::Delivered), 1),
        (vec![details(0, Some(2))], Answer::Known(Receipt::Undelivered), 1),
        (vec![details(0, Some(1))], Answer::Known(Receipt::Accepted), 1),
        (vec![details(50, None), details(1, Some(3))], Answer::Known(Receipt::Delivered), 2),
        (vec![details(50, None)], Answer::NotKnown, 4),
        (vec![details(49, None)], Answer::NotKnown, 1),
        (vec![said("isv.MOBILE_NUMBER_ILLEGAL", "")], Answer::NotKnown, 1),
        (vec![said("isv.ACCOUNT_ABNORMAL", "")], Answer::NoAnswer, 1),
        (vec![details(50, None), failed("400 Bad Request", "", "Throttling.User")], Answer::NoAnswer, 2),
        (vec![Act::Cut], Answer::NoAnswer, 1),
        (vec![Act::Answer("500 Internal Server Error", "", String::new())], Answer::NoAnswer, 1),
    ] {
        let fake = Fake::start().await;
        fake.on("/", acts);
        let aliyun = aliyun(fake.url());
        assert!(aliyun.answers_questions());
        assert_eq!(aliyun.query(&question(HOME)).await, answer);
        let seen = fake.seen();
        assert_eq!(seen.len(), calls, "{answer:?}");
        for (n, request) in seen.iter().enumerate() {
            let asked = |name| request.query(name).unwrap_or_default();
            assert_eq!(request.header("x-acs-action"), Some("QuerySendDetails"));
            assert_eq!((asked("PhoneNumber").as_str(), asked("SendDate").as_str()), (HOME_DIGITS, "20270115"));
            assert_eq!((asked("PageSize").as_str(), asked("CurrentPage")), ("50", (n + 1).to_string()));
        }
    }
}

#[tokio::test]
async fn shortly_before_midnight_in_china_the_next_day_is_asked_for_too() {
    let fake = Fake::start().await;
    fake.on("/", [details(2, None), details(1, Some(3))]);
    // 2027-01-15 23:58:00 in China.
    let at = Timestamp::from_ms(1_800_000_000_000) + Duration::from_secs(7 * 3600 + 58 * 60);
    let question = Question { at, ..question(HOME) };
    assert_eq!(aliyun(fake.url()).query(&question).await, Answer::Known(Receipt::Delivered));
    assert_eq!(days(&fake), ["20270115", "20270116"]);
}

fn days(fake: &Fake) -> Vec<String> {
    fake.seen().iter().filter_map(|request| request.query("SendDate")).collect()
}

#[tokio::test]
async fn days_are_asked_for_until_now() {
    for (later_h, asked) in [(7, 1), (24, 2), (50, 3), (24 * 30, 4)] {
        let fake = Fake::with("/", details(2, None)).await;
        let clock = ManualClock::at(NOW + Duration::from_secs(3600 * later_h));
        let aliyun = Aliyun::new(&aliyun_keys(fake.url()), LIMITS, Arc::new(clock)).expect("sound keys");
        assert_eq!(aliyun.query(&question(HOME)).await, Answer::NotKnown);
        assert_eq!(days(&fake), ["20270115", "20270116", "20270117", "20270118"][..asked]);
    }
}

#[test]
fn keys_that_cannot_work_are_refused() {
    let refused = |keys| Aliyun::new(&keys, LIMITS, clock()).err().map(|error| error.to_string()).unwrap_or_default();
    assert!(refused(aliyun_keys("dysmsapi.aliyuncs.com".into())).starts_with("base_url: "));
    let mut keys = aliyun_keys("http://127.0.0.1".into());
    keys.template.variables.clear();
    assert!(refused(keys).starts_with("template: "));
}
