//! Every code of the contract, results by number, and records found or not.

use std::time::Duration;

use bytes::Bytes;
use hongyan_core::outcome::{Fault, Rejection, Scope};
use proptest::prelude::*;
use reqwest::{StatusCode, header::HeaderMap};
use serde_json::json;

use super::*;
use crate::cloud::{codes, tests::answers};

const NOW: Timestamp = Timestamp::from_ms(1_800_000_000_000);

/// `contracts/providers.md` 3.2, all of them; of families in which every code counts, some.
const CODES_OF_THE_CONTRACT: &str = "Ok InternalError InternalError.Anything InternalError.Timeout \
    InternalError.SendAndRecvFail InternalError.OtherError InternalError.ParseBackendResponseFail RequestLimitExceeded \
    RequestLimitExceeded.UinLimitExceeded LimitExceeded.PhoneNumberThirtySecondLimit LimitExceeded.PhoneNumberOneHourLimit \
    LimitExceeded.PhoneNumberDailyLimit LimitExceeded.PhoneNumberSameContentDailyLimit LimitExceeded.DeliveryFrequencyLimit \
    LimitExceeded.GlobalSmsSendingRateLimit LimitExceeded.AppDailyLimit LimitExceeded.AppMainlandChinaDailyLimit \
    LimitExceeded.AppGlobalDailyLimit LimitExceeded.DailyLimit LimitExceeded.AppCountryOrRegionDailyLimit \
    FailedOperation.MarketingSendTimeConstraint InvalidParameterValue.IncorrectPhoneNumber \
    FailedOperation.PhoneNumberInBlacklist FailedOperation.PhoneNumberParseFail UnsupportedOperation.UnsupportedRegion \
    LimitExceeded.AppCountryOrRegionInBlacklist FailedOperation.ContainSensitiveWord \
    FailedOperation.TemplateIncorrectOrUnapproved FailedOperation.TemplateParamSetNotMatchApprovedTemplate \
    FailedOperation.TemplateUnapprovedOrNotExist FailedOperation.TemplateIdNotExist \
    FailedOperation.SignatureIncorrectOrUnapproved InvalidParameterValue.TemplateParameterFormatError \
    InvalidParameterValue.TemplateParameterLengthLimit InvalidParameterValue.ContentLengthLimit \
    InvalidParameterValue.ProhibitedUseUrlInTemplateParameter InvalidParameter.DirtyWordFound \
    UnsupportedOperation.ChineseMainlandTemplateToGlobalPhone UnsupportedOperation.GlobalTemplateToChineseMainlandPhone \
    LimitExceeded.PhoneNumberCountLimit UnsupportedOperation.ContainDomesticAndInternationalPhoneNumber \
    MissingParameter.EmptyPhoneNumberSet AuthFailure.SignatureFailure AuthFailure.SignatureExpire \
    AuthFailure.SecretIdNotFound UnauthorizedOperation.RequestIpNotInWhitelist \
    UnauthorizedOperation.ServiceSuspendDueToArrears UnauthorizedOperation.SmsSdkAppIdVerifyFail \
    UnauthorizedOperation.SdkAppIdIsDisabled FailedOperation.InsufficientBalanceInSmsPackage \
    InvalidParameterValue.SdkAppIdNotExist InternalError.RequestTimeException";

#[test]
fn every_code_of_the_contract_has_a_class() {
    codes::tests::assert_sound(&[GATEWAY, TABLE]);
    for code in CODES_OF_THE_CONTRACT.split_whitespace() {
        assert!(CODES.class(code).is_some(), "{code}");
    }
    assert_eq!(CODES.class("FailedOperation.New"), None);
}

fn reply(status: u16, response: &Value) -> Reply {
    let body = Bytes::from(json!({ "Response": response }).to_string());
    Reply { status: StatusCode::from_u16(status).expect("a status"), headers: HeaderMap::new(), body }
}

fn phones(numbers: &[&str]) -> Vec<Phone> {
    numbers.iter().map(|number| Phone::parse(number).expect("a number")).collect()
}

fn read(response: &Value, status: u16, numbers: &[&str]) -> Results {
    let phones = phones(numbers);
    results(&reply(status, response), &phones.iter().collect::<Vec<_>>(), &["AKID", "k3y"], NOW)
}

#[test]
fn results_are_found_by_number() {
    let result = |number: &str, code: &str, serial: &str| json!({ "PhoneNumber": number, "Code": code, "SerialNo": serial, "Message": "of +8618500000002, AKID" });
    let response = json!({ "SendStatusSet": [
        result("18500000003", "Ok", "s3"),
        result("+8618500000001", "Ok", "s1"),
        result("008618500000002", "FailedOperation.PhoneNumberInBlacklist", ""),
        result("+8618500000005", "New.Code", ""),
        { "PhoneNumber": "+8618500000006" },
    ] });
    let numbers = ["1", "2", "3", "4", "5", "6"].map(|last| format!("+861850000000{last}"));
    let Results::Each(each) = read(&response, 200, &numbers.each_ref().map(String::as_str)) else { panic!("each") };
    let words = "of +***, ***";
    let expected = [
        taken("s1", Receipts::Expected, format!("Ok: {words}")),
        Verdict::new(
            Outcome::Rejected(Rejection::Recipient),
            format!("FailedOperation.PhoneNumberInBlacklist: {words}"),
        ),
        taken("s3", Receipts::Expected, format!("Ok: {words}")),
        missing(),
        Verdict::new(Outcome::Deferred { after: None, fault: Fault::Recipient }, format!("New.Code: {words}")),
        missing(),
    ];
    assert_eq!(each, expected);
    assert_eq!(read(&json!({}), 200, &["+12025550100"]), Results::Each(vec![missing()]));
}

#[test]
fn a_call_that_is_refused_is_refused_for_all() {
    let throttled = |scope, seconds| Outcome::Throttled { scope, until: NOW + Duration::from_secs(seconds) };
    for (status, code, outcome) in [
        (200, "AuthFailure.SignatureFailure", Outcome::Misconfigured),
        (200, "UnauthorizedOperation.SdkAppIdIsDisabled", Outcome::Misconfigured),
        (200, "InternalError.SigVerificationFail", Outcome::Misconfigured),
        (200, "InternalError", Outcome::Deferred { after: None, fault: Fault::Provider }),
        (200, "InternalError.Timeout", Outcome::Unknown),
        (200, "RequestLimitExceeded", throttled(Scope::Provider, 5)),
        (200, "LimitExceeded.PhoneNumberThirtySecondLimit", throttled(Scope::Recipient, 30)),
        // NOW is 16:00 in China.
        (200, "FailedOperation.MarketingSendTimeConstraint", throttled(Scope::Recipient, 16 * 3600)),
        (200, "LimitExceeded.PhoneNumberDailyLimit", throttled(Scope::Recipient, 8 * 3600)),
        (200, "FailedOperation.ContainSensitiveWord", Outcome::Rejected(Rejection::Content)),
        (200, "Ok", Outcome::Unknown),
        (500, "New", Outcome::Unknown),
        (200, "New", Outcome::Deferred { after: None, fault: Fault::Recipient }),
    ] {
        let response = json!({ "Error": { "Code": code, "Message": "why\n13" }, "RequestId": "r" });
        let Results::Same(verdict) = read(&response, status, &["+8618500000001", "+8618500000002"]) else {
            panic!("{code}: one verdict for all")
        };
        assert_eq!((verdict.outcome, verdict.reply), (outcome, format!("{code}: why 13")));
    }
}

#[test]
fn records_are_found_by_their_context_alone() {
    let record = |number: &str, context: &str, status: &str| json!({ "PhoneNumber": number, "SessionContext": context, "UserReceiveTime": NOW.ms() / 1000 + 5, "ReportStatus": status });
    let (ours, other) = ("+8618500000001", "+8618500000002");
    let (delivered, undelivered) = (known(Receipt::Delivered), known(Receipt::Undelivered));
    let (phone, delivery) = (&phones(&[ours])[0], Id::from_i64(7).expect("positive"));
    for (records, answer) in [
        (vec![record(ours, "5-9", "SUCCESS")], delivered),
        (vec![record(ours, "", "SUCCESS"), record(ours, "7-7", "FAIL")], undelivered),
        (vec![record(ours, "7-7", "on its way")], channel::Answer::NotKnown),
        (vec![record(ours, "8-9", "SUCCESS")], channel::Answer::NotKnown),
        (vec![record(ours, "odd", "SUCCESS")], channel::Answer::NotKnown),
        (vec![record(other, "5-9", "SUCCESS")], channel::Answer::NotKnown),
        (vec![record(ours, "", "SUCCESS")], channel::Answer::NotKnown),
        (vec![json!({ "PhoneNumber": ours, "ReportStatus": "SUCCESS" })], channel::Answer::NotKnown),
        (vec![], channel::Answer::NotKnown),
    ] {
        let reply = reply(200, &json!({ "PullSmsSendStatusSet": records }));
        assert_eq!(found(&reply, phone, delivery), answer, "{records:?}");
    }
    for (code, answer) in [
        ("InvalidParameterValue.IncorrectPhoneNumber", channel::Answer::NotKnown),
        ("RequestLimitExceeded", channel::Answer::NoAnswer),
        ("UnauthorizedOperation", channel::Answer::NoAnswer),
        ("New", channel::Answer::NoAnswer),
    ] {
        assert_eq!(found(&reply(200, &json!({ "Error": { "Code": code } })), phone, delivery), answer, "{code}");
    }
    assert_eq!(found(&reply(502, &json!({})), phone, delivery), channel::Answer::NoAnswer);
}

fn known(receipt: Receipt) -> channel::Answer {
    channel::Answer::Known(receipt)
}

const WORDS: &[&str] = &[
    "SendStatusSet",
    "PullSmsSendStatusSet",
    "Error",
    "PhoneNumber",
    "Code",
    "Message",
    "SerialNo",
    "SessionContext",
    "UserReceiveTime",
    "ReportStatus",
    "+8618500000001",
    "18500000002",
    "Ok",
    "SUCCESS",
    "7-7",
];

proptest! {
    #[test]
    fn only_what_says_so_is_taken(response in answers(WORDS), status in 200u16..600) {
        let phones = phones(&["+8618500000001", "+8618500000002"]);
        let answer = reply(status, &response);
        let results = results(&answer, &phones.iter().collect::<Vec<_>>(), &[], NOW);
        let text = response.to_string();
        match results {
            Results::Same(verdict) => {
                let is_taken = matches!(verdict.outcome, Outcome::Accepted { .. });
                prop_assert!(!is_taken);
            }
            Results::Each(each) => {
                prop_assert_eq!(each.len(), phones.len());
                for (verdict, number) in each.iter().zip(["+8618500000001", "18500000002"]) {
                    let is_taken = matches!(verdict.outcome, Outcome::Accepted { .. });
                    prop_assert!(!is_taken || (status < 300 && text.contains("\"Ok\"") && text.contains(number)));
                }
            }
        }
        let found = found(&answer, &phones[0], Id::from_i64(7).expect("positive"));
        prop_assert!(!matches!(found, channel::Answer::Known(_)) || (text.contains("SUCCESS") && text.contains("7-7")));
    }
}
