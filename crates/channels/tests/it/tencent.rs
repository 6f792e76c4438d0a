//! Tencent Cloud SMS against a scripted provider: how parcels become calls, results by number, and the outcome of every answer
//! and of none.

use std::{sync::Arc, time::Duration};

use hongyan_channels::TencentSms;
use hongyan_core::{
    channel::{Answer, Channel},
    delivery::Receipt,
    outcome::Outcome,
    time::ManualClock,
};
use serde_json::{Value, json};

use crate::{
    fake::{Act, Fake, Request, nowhere},
    parcels::{MESSAGE, NOW, id, parcel},
    sms::{
        ABROAD, HOME, HOME_DIGITS, KEY, LIMITS, SECRET, SOON_UNANSWERED, clock, foreign, made_from, outcomes, question,
        sent, tencent_keys, text,
    },
};

fn tencent(base_url: String) -> TencentSms {
    TencentSms::new(&tencent_keys(base_url), LIMITS, clock()).expect("sound keys")
}

pub fn answered(response: Value) -> Act {
    Act::Json(json!({ "Response": response }))
}

pub fn refused(code: &str) -> Act {
    let message = format!("{KEY} {SECRET}\r\n{HOME}");
    answered(json!({ "Error": { "Code": code, "Message": message }, "RequestId": "R" }))
}

fn numbers(request: &Request) -> Vec<String> {
    let numbers = request.json()["PhoneNumberSet"].as_array().cloned().unwrap_or_default();
    numbers.iter().map(|number| number.as_str().unwrap_or_default().to_owned()).collect()
}

/// Takes every number for which `code` is `Ok`, in the opposite order.
fn results(request: &Request, code: impl Fn(&str) -> &'static str) -> Act {
    let result = |number: &String| {
        let code = code(number);
        let serial = if code == "Ok" { format!("serial of {}", number.len()) } else { String::new() };
        json!({ "PhoneNumber": number, "Code": code, "Message": "m", "SerialNo": serial, "Fee": 1, "IsoCode": "CN" })
    };
    answered(
        json!({ "SendStatusSet": numbers(request).iter().rev().map(result).collect::<Vec<_>>(), "RequestId": "R" }),
    )
}

#[tokio::test]
async fn every_answer() {
    let cases = [
        (Act::by(|request| results(request, |_| "Ok")), "accepted"),
        (
            Act::by(|request| results(request, |_| "LimitExceeded.PhoneNumberThirtySecondLimit")),
            "throttled recipient 30s",
        ),
        (Act::by(|request| results(request, |_| "FailedOperation.PhoneNumberInBlacklist")), "rejected recipient"),
        (Act::by(|request| results(request, |_| "FailedOperation.ContainSensitiveWord")), "rejected content"),
        (Act::by(|request| results(request, |_| "FailedOperation.InsufficientBalanceInSmsPackage")), "misconfigured"),
        (Act::by(|request| results(request, |_| "InternalError.Timeout")), "unknown"),
        (Act::by(|request| results(request, |_| "Never.HeardOf")), "deferred recipient"),
        (answered(json!({ "SendStatusSet": [] })), "unknown"),
        (answered(json!({ "SendStatusSet": [{ "PhoneNumber": "+8613900009999", "Code": "Ok" }] })), "unknown"),
        (answered(json!({ "RequestId": "R" })), "unknown"),
        (refused("AuthFailure.SignatureFailure"), "misconfigured"),
        (refused("UnauthorizedOperation.RequestIpNotInWhitelist"), "misconfigured"),
        (refused("RequestLimitExceeded"), "throttled provider 5s"),
        // The test's now is 16:00 in China.
        (refused("LimitExceeded.AppDailyLimit"), "throttled provider 3600s"),
        (refused("FailedOperation.MarketingSendTimeConstraint"), "throttled recipient 57600s"),
        (refused("LimitExceeded.PhoneNumberDailyLimit"), "throttled recipient 28800s"),
        (refused("InternalError"), "deferred provider"),
        (refused("Never.HeardOf"), "deferred recipient"),
        (Act::Json(json!({ "Code": "Ok" })), "unknown"),
        (Act::Answer("500 Internal Server Error", "", "<html>".into()), "unknown"),
        (Act::Answer("200 OK", "", "\u{1}garbage".into()), "unknown"),
        (Act::Answer("404 Not Found", "", String::new()), "misconfigured"),
        (Act::Answer("413 Content Too Large", "", String::new()), "rejected content"),
        (Act::Answer("405 Method Not Allowed", "", String::new()), "deferred recipient"),
        (Act::Answer("429 Too Many Requests", "Retry-After: 7\r\n", String::new()), "throttled provider 7s"),
        (Act::Raw("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"Response\":{}"), "unknown"),
        (Act::Cut, "unknown"),
        (Act::Reset, "unknown"),
    ];
    for (act, outcome) in cases {
        let fake = Fake::with("/", act).await;
        let verdicts = sent(&tencent(fake.url()), &text("hello", &[HOME, "+8613900001235"])).await;
        let seen: Vec<String> = verdicts.iter().map(crate::parcels::shown).collect();
        assert_eq!(seen, [outcome; 2], "{verdicts:?}");
        assert_eq!(fake.seen().len(), 1, "{verdicts:?}: never more than one call");
    }
}

#[tokio::test]
async fn only_what_was_not_written_is_sent_again() {
    let parcel = text("hello", &[HOME, ABROAD]);
    assert_eq!(outcomes(&tencent(nowhere().await), &parcel).await, ["deferred provider"; 2]);
    let fake = Fake::with("/", Act::Hang).await;
    let patientless = TencentSms::new(&tencent_keys(fake.url()), SOON_UNANSWERED, clock()).expect("sound keys");
    assert_eq!(outcomes(&patientless, &parcel).await, ["unknown"; 2]);
    assert!(patientless.policy().repeat.needs_intent());
}

#[tokio::test]
async fn numbers_at_home_and_abroad_are_two_calls_that_do_not_decide_about_each_other() {
    for failing in [Act::Cut, refused("UnsupportedOperation.UnsupportedRegion"), refused("InternalError")] {
        for abroad_fails in [true, false] {
            let failing = failing.clone();
            let fake = Fake::with(
                "/",
                Act::by(move |request| {
                    let is_abroad = numbers(request).iter().all(|number| !number.starts_with("+86"));
                    if is_abroad == abroad_fails { failing.clone() } else { results(request, |_| "Ok") }
                }),
            )
            .await;
            let parcel = text("hello", &[HOME, ABROAD, "not a number", "+8613900001235"]);
            let seen = outcomes(&tencent(fake.url()), &parcel).await;
            let home = ["accepted", "rejected recipient"];
            if abroad_fails {
                assert_eq!((seen[0].as_str(), seen[3].as_str()), (home[0], home[0]));
                assert_ne!(seen[1], home[0]);
            } else {
                assert_eq!(seen[1], home[0]);
                assert!(seen[0] != home[0] && seen[3] == seen[0]);
            }
            assert_eq!(seen[2], home[1]);
        }
    }
}

#[tokio::test]
async fn a_caller_may_name_signature_and_template() {
    let fake = Fake::with("/", Act::by(|request| results(request, |_| "Ok"))).await;
    let tencent = tencent(fake.url());
    let values = [("code", "AAAb"), ("time", "5")];
    let ordered = foreign("T100101", &["time", "code"], &values, &[HOME]);
    assert_eq!(outcomes(&tencent, &ordered).await, ["accepted"]);
    assert_eq!(outcomes(&tencent, &foreign("T100101", &[], &values, &[HOME])).await, ["rejected content"]);
    let bodies: Vec<Value> = fake.seen().iter().map(Request::json).collect();
    assert_eq!(bodies.len(), 1, "values without an order are not sent");
    assert_eq!((&bodies[0]["SignName"], &bodies[0]["TemplateId"]), (&json!("东华医为"), &json!("T100101")));
    assert_eq!(bodies[0]["TemplateParamSet"], json!(["5", "AAAb"]));
}

#[tokio::test]
async fn calls_say_what_the_provider_wants_to_know() {
    let fake = Fake::with("/", Act::by(|request| results(request, |_| "Ok"))).await;
    let tencent = tencent(fake.url());
    let verdicts = sent(&tencent, &text("你好", &[HOME, ABROAD])).await;
    assert!(matches!(&verdicts[0].outcome, Outcome::Accepted { provider_id, .. } if provider_id == "serial of 14"));
    let values = [("minutes", "5"), ("code", "1234")];
    assert_eq!(outcomes(&tencent, &made_from("login", &values, &[HOME])).await, ["accepted"]);
    assert_eq!(outcomes(&tencent, &made_from("login", &values[..1], &[HOME])).await, ["rejected content"]);
    assert_eq!(outcomes(&tencent, &parcel(&[HOME, HOME])).await, ["rejected content"; 2]);
    let seen = fake.seen();
    let mut bodies: Vec<Value> = seen.iter().map(Request::json).collect();
    bodies[..2].sort_by_key(|body| body["PhoneNumberSet"][0] != HOME);
    let context = |last: usize| format!("{}-{}", id(MESSAGE).plus(1), id(MESSAGE).plus(last));
    let body = |number: &str, template: &str, values: &[&str], context: &str| {
        json!({ "PhoneNumberSet": [number], "SmsSdkAppId": "1400006666", "TemplateId": template, "TemplateParamSet": values,
            "SessionContext": context })
    };
    let mut at_home = [body(HOME, "1110", &["你好"], &context(2)), body(HOME, "1111", &["1234", "5"], &context(1))];
    at_home.iter_mut().for_each(|body| body["SignName"] = "鸿雁".into());
    let [first, third] = at_home;
    assert_eq!(bodies, [first, body(ABROAD, "1110", &["你好"], &context(2)), third]);
    for request in &seen {
        let header = |name| request.header(name).unwrap_or_default();
        assert_eq!((header("x-tc-action"), header("x-tc-version")), ("SendSms", "2021-01-11"));
        assert_eq!((header("x-tc-region"), header("x-tc-timestamp")), ("ap-guangzhou", "1800000000"));
        assert_eq!(request.method, "POST");
    }
}

#[tokio::test]
async fn no_call_has_more_than_two_hundred_numbers() {
    let fake = Fake::with("/", Act::by(|request| results(request, |_| "Ok"))).await;
    let many: Vec<String> = (0..450).map(number).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(outcomes(&tencent(fake.url()), &text("hello", &many)).await, ["accepted"; 450]);
    let mut sizes: Vec<usize> = fake.seen().iter().map(|request| numbers(request).len()).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [50, 200, 200]);
    let mut told: Vec<String> = fake.seen().iter().flat_map(numbers).collect();
    told.sort();
    assert_eq!(told, many, "each is told once");
}

#[tokio::test]
async fn one_bad_number_stops_nobody_else() {
    let bad = "+8613900000003";
    let home: Vec<String> = (0..9).map(|n| format!("+861390000000{n}")).collect();
    let home: Vec<&str> = home.iter().map(String::as_str).collect();
    let expected = home.iter().map(|number| if *number == bad { "rejected recipient" } else { "accepted" });
    let expected: Vec<&str> = expected.collect();
    // In the results of a call that went through.
    let single = Act::by(move |request| {
        results(request, |number| if number == bad { "FailedOperation.PhoneNumberParseFail" } else { "Ok" })
    });
    let fake = Fake::with("/", single).await;
    assert_eq!(outcomes(&tencent(fake.url()), &text("hello", &home)).await, expected);
    assert_eq!(fake.seen().len(), 1);
    // As the error of a call that did not.
    let whole = Act::by(move |request| {
        let is_bad = numbers(request).iter().any(|number| number == bad);
        if is_bad { refused("InvalidParameterValue.IncorrectPhoneNumber") } else { results(request, |_| "Ok") }
    });
    let fake = Fake::with("/", whole).await;
    assert_eq!(outcomes(&tencent(fake.url()), &text("hello", &home)).await, expected);
    let mut taken: Vec<String> =
        fake.seen().iter().filter(|request| !numbers(request).iter().any(|n| n == bad)).flat_map(numbers).collect();
    taken.sort();
    assert_eq!(taken.len(), 8, "each of the others is in one call that went through: {taken:?}");
}

/// A number of a run of them.
fn number(n: usize) -> String {
    format!("+86139{n:08}")
}

#[tokio::test]
async fn the_search_for_wrong_numbers_is_bounded_and_comes_to_an_end() {
    // Every third is wrong, and the whole of a call is refused for it.
    let is_bad =
        |number: &String| number.bytes().skip(1).map(|digit| usize::from(digit - b'0')).sum::<usize>() % 3 == 0;
    let whole = Act::by(move |request| {
        let is_refused = numbers(request).iter().any(is_bad);
        if is_refused { refused("InvalidParameterValue.IncorrectPhoneNumber") } else { results(request, |_| "Ok") }
    });
    let mut open: Vec<String> = (0..200).map(number).collect();
    for round in 1.. {
        let fake = Fake::with("/", whole.clone()).await;
        let numbers: Vec<&str> = open.iter().map(String::as_str).collect();
        let outcomes = outcomes(&tencent(fake.url()), &text("hello", &numbers)).await;
        let calls = fake.seen().len();
        assert!(calls <= 50, "{calls} calls");
        let later = |(number, outcome): (&String, &String)| match (outcome.as_str(), is_bad(number)) {
            ("rejected recipient", true) | ("accepted", false) => None,
            ("throttled recipient 1s", _) => Some(number.clone()),
            other => panic!("{number}: {other:?}"),
        };
        let left: Vec<String> = open.iter().zip(&outcomes).filter_map(later).collect();
        assert!(left.len() < open.len() && (round > 1 || !left.is_empty()));
        if left.is_empty() {
            break;
        }
        open = left;
    }
}

#[tokio::test]
async fn what_is_unknown_is_asked_about() {
    let record = |context: &str, status: &str| {
        json!({ "PullSmsSendStatusSet": [{ "PhoneNumber": HOME, "SubscriberNumber": HOME_DIGITS, "CountryCode": "86",
            "UserReceiveTime": NOW.ms() / 1000 + 3, "SessionContext": context, "ReportStatus": status }] })
    };
    let ours = format!("{}-{}", id(MESSAGE).plus(1), id(MESSAGE).plus(200));
    for (act, answer) in [
        (answered(record(&ours, "SUCCESS")), Answer::Known(Receipt::Delivered)),
        (answered(record(&ours, "FAIL")), Answer::Known(Receipt::Undelivered)),
        (answered(record("", "SUCCESS")), Answer::NotKnown),
        (answered(record("1-2", "SUCCESS")), Answer::NotKnown),
        (answered(json!({ "PullSmsSendStatusSet": [] })), Answer::NotKnown),
        (refused("UnauthorizedOperation"), Answer::NoAnswer),
        (refused("RequestLimitExceeded"), Answer::NoAnswer),
        (Act::Answer("502 Bad Gateway", "", "<html>".into()), Answer::NoAnswer),
        (Act::Cut, Answer::NoAnswer),
    ] {
        let fake = Fake::with("/", act).await;
        // An hour after what is asked about.
        let clock = Arc::new(ManualClock::at(NOW + Duration::from_secs(3_600)));
        let tencent = TencentSms::new(&tencent_keys(fake.url()), LIMITS, clock).expect("sound keys");
        assert!(tencent.answers_questions());
        assert_eq!(tencent.query(&question(HOME)).await, answer);
        let request = &fake.seen()[0];
        let body = json!({ "BeginTime": NOW.ms() / 1000 - 60, "EndTime": NOW.ms() / 1000 + 3_660, "Offset": 0, "Limit": 100,
            "PhoneNumber": HOME, "SmsSdkAppId": "1400006666" });
        assert_eq!(request.json(), body);
        assert_eq!(request.header("x-tc-action"), Some("PullSmsSendStatusByPhoneNumber"));
    }
}

#[test]
fn keys_that_cannot_work_are_refused() {
    let mut keys = tencent_keys("http://127.0.0.1".into());
    keys.template.variables.push("another".into());
    let error = TencentSms::new(&keys, LIMITS, clock()).err().expect("refused").to_string();
    assert!(error.starts_with("template: "), "{error}");
}
