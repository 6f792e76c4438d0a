//! What Alibaba Cloud SMS is told and what its answers mean: pure. A refusal by the SMS service is an answer 200 with a code, one
//! by the gateway before it a 4xx or 5xx with a code (`contracts/providers.md` 3.1).

use std::{sync::LazyLock, time::Duration};

use hongyan_core::{
    address::Phone,
    delivery::Receipt,
    id::Id,
    outcome::{Outcome, Receipts, Verdict},
    time::Timestamp,
};
use serde_json::{Map, Value};

use crate::{
    cloud::{
        codes::{Class, Codes},
        said, taken,
        template::Filled,
    },
    http::Reply,
};

/// Deliveries on one page of an answer, the most there can be.
pub(super) const PAGE: usize = 50;
/// How long the gateway asks to wait, in milliseconds, as the official client reads it.
const RETRY_AFTER: &str = "x-acs-retry-after";
/// The longest hint that is believed.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3_600);

const TABLE: &str = include_str!("codes.tsv");
static CODES: LazyLock<Codes> = LazyLock::new(|| Codes::parse(&[TABLE]));

/// The parameters of `SendSms` to one number.
pub(super) fn message(delivery: Id, phone: &Phone, sign: &str, filled: &Filled<'_>) -> [(&'static str, String); 5] {
    let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), Value::from(*value));
    let values: Map<String, Value> = filled.values.iter().map(pair).collect();
    [
        ("OutId", delivery.to_string()),
        ("PhoneNumbers", bare(phone)),
        ("SignName", sign.to_owned()),
        ("TemplateCode", filled.id.to_owned()),
        ("TemplateParam", Value::from(values).to_string()),
    ]
}

/// The verdict that an answer to `SendSms` is; `secrets` are kept out of its words.
pub(super) fn verdict(reply: &Reply, secrets: &[&str], now: Timestamp) -> Verdict {
    let body = reply.json().unwrap_or_default();
    let Some(code) = body["Code"].as_str().filter(|code| !code.is_empty()) else { return reply.foreign(now) };
    let message = body["Message"].as_str().unwrap_or_default();
    let said = said(code, message, secrets);
    let outcome = match CODES.class(code) {
        Some(Class::Taken) if reply.status.is_success() => {
            return taken(body["BizId"].as_str().unwrap_or_default(), Receipts::Expected, said);
        }
        // A server that failed in a way which nobody knows may have failed after it took it.
        None if reply.status.is_server_error() => Outcome::Unknown,
        _ => CODES.outcome(code, message, retry_after(reply), now),
    };
    Verdict::new(outcome, said)
}

fn retry_after(reply: &Reply) -> Option<Duration> {
    let milliseconds: u64 = reply.headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    (milliseconds > 0).then(|| Duration::from_millis(milliseconds).min(RETRY_AFTER_MAX))
}

/// The parameters of `QuerySendDetails` for a page, from 1, of what was sent to a number on one day of China.
pub(super) fn question(phone: &Phone, day: &str, page: usize) -> [(&'static str, String); 4] {
    [
        ("CurrentPage", page.to_string()),
        ("PageSize", PAGE.to_string()),
        ("PhoneNumber", bare(phone)),
        ("SendDate", day.to_owned()),
    ]
}

/// A number in the API's form: 11 digits in mainland China, with the country's code abroad, and no `+`.
fn bare(phone: &Phone) -> String {
    phone.mainland().unwrap_or_else(|| phone.digits()).to_owned()
}

/// What a page says about a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Page {
    /// This became of it.
    Found(Receipt),
    /// It is not there, and another page follows.
    Full,
    /// It is not there.
    Last,
    /// The question was refused, for now or by somebody else.
    Refused,
}

/// Reads an answer to `QuerySendDetails`.
pub(super) fn page(reply: &Reply, delivery: Id) -> Page {
    let body = reply.json().unwrap_or_default();
    match body["Code"].as_str().map(|code| CODES.class(code)) {
        Some(Some(Class::Taken)) => {}
        // What is wrong with this number is no reason not to ask about others.
        Some(Some(Class::Recipient(_) | Class::Content)) => return Page::Last,
        _ => return Page::Refused,
    }
    let details = body["SmsSendDetailDTOs"]["SmsSendDetailDTO"].as_array().map(Vec::as_slice).unwrap_or_default();
    let delivery = delivery.to_string();
    let ours = details.iter().filter(|detail| detail["OutId"].as_str() == Some(delivery.as_str()));
    let receipt = |detail: &Value| match detail["SendStatus"].as_i64()? {
        1 => Some(Receipt::Accepted),
        2 => Some(Receipt::Undelivered),
        3 => Some(Receipt::Delivered),
        _ => None,
    };
    match ours.filter_map(receipt).next() {
        Some(receipt) => Page::Found(receipt),
        None if details.len() < PAGE => Page::Last,
        None => Page::Full,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use hongyan_core::outcome::{Fault, Rejection, Scope};
    use proptest::prelude::*;
    use reqwest::{StatusCode, header::HeaderMap};
    use serde_json::json;

    use super::*;
    use crate::cloud::{codes, tests::answers};

    const NOW: Timestamp = Timestamp::from_ms(1_800_000_000_000);

    /// `contracts/providers.md` 3.1, all of them.
    const CODES_OF_THE_CONTRACT: &str = "OK isp.SYSTEM_ERROR ServiceUnavailable InternalError Throttling Throttling.User \
        Throttling.Api isv.BUSINESS_LIMIT_CONTROL isv.DAY_LIMIT_CONTROL isv.MONTH_LIMIT_CONTROL isv.MOBILE_NUMBER_ILLEGAL \
        isv.MOBILE_COUNT_OVER_LIMIT isv.DOMESTIC_NUMBER_NOT_SUPPORTED isv.BLACK_KEY_CONTROL_LIMIT isv.SMS_CONTENT_ILLEGAL \
        isv.SMS_TEMPLATE_ILLEGAL isv.TEMPLATE_MISSING_PARAMETERS isv.INVALID_JSON_PARAM isv.TEMPLATE_PARAMS_ILLEGAL \
        isv.PARAM_LENGTH_LIMIT isv.PARAM_NOT_SUPPORT_URL isv.SMS_SIGNATURE_ILLEGAL isv.SMS_SIGN_ILLEGAL \
        isv.SMS_SIGNATURE_SCENE_ILLEGAL isv.EXTEND_CODE_ERROR isv.OUT_OF_SERVICE isv.AMOUNT_NOT_ENOUGH \
        isv.PRODUCT_UN_SUBSCRIPT isv.PRODUCT_UNSUBSCRIBE isv.ACCOUNT_NOT_EXISTS isv.ACCOUNT_ABNORMAL \
        isp.RAM_PERMISSION_DENY isv.DENY_IP_RANGE isv.SIGN_STATE_ILLEGAL InvalidAccessKeyId.NotFound SignatureDoesNotMatch \
        InvalidTimeStamp.Expired SignatureNonceUsed";

    #[test]
    fn every_code_of_the_contract_has_a_class() {
        codes::tests::assert_sound(&[TABLE]);
        for code in CODES_OF_THE_CONTRACT.split_whitespace() {
            assert!(CODES.class(code).is_some(), "{code}");
        }
    }

    fn reply(status: u16, header: Option<&str>, body: &Value) -> Reply {
        let mut headers = HeaderMap::new();
        if let Some(value) = header {
            headers.insert(RETRY_AFTER, value.parse().expect("a value"));
        }
        let body = if body.is_null() { Bytes::from_static(b"<html>") } else { body.to_string().into() };
        Reply { status: StatusCode::from_u16(status).expect("a status"), headers, body }
    }

    #[test]
    fn answers_are_verdicts() {
        let code = |code: &str| json!({ "Code": code, "Message": "why" });
        let throttled = |ms| Outcome::Throttled { scope: Scope::Provider, until: NOW + Duration::from_millis(ms) };
        for (status, header, body, outcome) in [
            (200, None, code("isv.MOBILE_NUMBER_ILLEGAL"), Outcome::Rejected(Rejection::Recipient)),
            (200, None, code("isv.SMS_CONTENT_ILLEGAL"), Outcome::Rejected(Rejection::Content)),
            (200, None, code("isv.AMOUNT_NOT_ENOUGH"), Outcome::Misconfigured),
            (200, None, code("isv.NEW"), Outcome::Deferred { after: None, fault: Fault::Recipient }),
            (200, None, code("isp.SYSTEM_ERROR"), Outcome::Deferred { after: None, fault: Fault::Provider }),
            (400, None, code("SignatureNonceUsed"), Outcome::Unknown),
            (404, None, code("InvalidAccessKeyId.NotFound"), Outcome::Misconfigured),
            (503, None, code("ServiceUnavailable"), Outcome::Deferred { after: None, fault: Fault::Provider }),
            (400, None, code("Throttling.User"), throttled(5_000)),
            (400, Some("1500"), code("Throttling.User"), throttled(1_500)),
            (400, Some("99999999"), code("Throttling"), throttled(3_600_000)),
            (400, Some("0"), code("Throttling"), throttled(5_000)),
            (400, Some("soon"), code("Throttling"), throttled(5_000)),
            (500, None, code("OK"), Outcome::Unknown),
            (500, None, code("never heard of"), Outcome::Unknown),
            (200, None, json!({ "Message": "no code" }), Outcome::Unknown),
            (200, None, code(""), Outcome::Unknown),
            (200, None, Value::Null, Outcome::Unknown),
            (502, None, Value::Null, Outcome::Unknown),
            (404, None, Value::Null, Outcome::Misconfigured),
        ] {
            assert_eq!(verdict(&reply(status, header, &body), &[], NOW).outcome, outcome, "{status} {header:?} {body}");
        }
        let ok = reply(200, None, &json!({ "Code": "OK", "Message": "OK", "BizId": "9006^0", "RequestId": "R" }));
        assert_eq!(verdict(&ok, &[], NOW), taken("9006^0", Receipts::Expected, "OK: OK".into()));
    }

    #[test]
    fn nothing_secret_is_repeated() {
        let body = json!({ "Code": "SignatureDoesNotMatch", "Message": "LTAI\n13900001234 s3cret" });
        let verdict = verdict(&reply(400, None, &body), &["LTAI", "s3cret"], NOW);
        assert_eq!(verdict.reply, "SignatureDoesNotMatch: *** *** ***");
    }

    #[test]
    fn pages_are_searched_by_our_own_name() {
        let delivery = Id::from_i64(7).expect("positive");
        let detail = |out: &str, status: i64| json!({ "OutId": out, "SendStatus": status });
        let answer = |details: &[Value]| {
            reply(200, None, &json!({ "Code": "OK", "SmsSendDetailDTOs": { "SmsSendDetailDTO": details } }))
        };
        for (status, receipt) in [(1, Receipt::Accepted), (2, Receipt::Undelivered), (3, Receipt::Delivered)] {
            assert_eq!(page(&answer(&[detail("70", 3), detail("7", status)]), delivery), Page::Found(receipt));
        }
        assert_eq!(page(&answer(&[detail("7", 9), detail("", 3)]), delivery), Page::Last);
        assert_eq!(page(&answer(&vec![detail("8", 3); PAGE]), delivery), Page::Full);
        assert_eq!(page(&answer(&[]), delivery), Page::Last);
        for (code, page_) in [
            ("isv.MOBILE_NUMBER_ILLEGAL", Page::Last),
            ("isv.X", Page::Refused),
            ("isv.ACCOUNT_ABNORMAL", Page::Refused),
            ("Throttling.User", Page::Refused),
        ] {
            let refused = json!({ "Code": code, "SmsSendDetailDTOs": { "SmsSendDetailDTO": [detail("7", 3)] } });
            assert_eq!(page(&reply(200, None, &refused), delivery), page_, "{code}");
        }
        assert_eq!(page(&reply(200, None, &Value::Null), delivery), Page::Refused);
    }

    const WORDS: &[&str] =
        &["Code", "Message", "BizId", "SmsSendDetailDTOs", "SmsSendDetailDTO", "OutId", "SendStatus", "OK", "7"];

    proptest! {
        #[test]
        fn only_what_says_so_is_taken(body in answers(WORDS), status in 200u16..600) {
            let answer = reply(status, None, &body);
            let is_taken = matches!(verdict(&answer, &[], NOW).outcome, Outcome::Accepted { .. });
            prop_assert_eq!(is_taken, body["Code"] == "OK" && status < 300);
            if let Page::Found(_) = page(&answer, Id::from_i64(7).expect("positive")) {
                prop_assert_eq!(&body["Code"], "OK");
            }
        }
    }
}
