//! What the answers of Tencent Cloud SMS mean: pure. Results are found by number, whatever their order; of a number without one
//! nobody knows anything.

use std::{ops::RangeInclusive, sync::LazyLock};

use hongyan_core::{
    address::Phone,
    channel::{self, Parcel},
    delivery::Receipt,
    id::Id,
    outcome::{Outcome, Receipts, Verdict},
    time::Timestamp,
};
use serde_json::Value;

use super::super::{Answer, GATEWAY, Refusal};
use crate::{
    cloud::{
        codes::{Class, Codes},
        taken,
    },
    http::Reply,
};

const TABLE: &str = include_str!("../sms.tsv");
static CODES: LazyLock<Codes> = LazyLock::new(|| Codes::parse(&[GATEWAY, TABLE]));

/// What an answer says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Results {
    /// One verdict for all numbers of the call.
    Same(Verdict),
    /// One for each, in their order.
    Each(Vec<Verdict>),
}

/// What tells a call's deliveries from all others: the range of their ids, for a message's come from one block and no number is in
/// it twice.
pub(super) fn context(parcel: &Parcel) -> String {
    let ids = || parcel.recipients.iter().map(|recipient| recipient.delivery);
    let (first, last) = (ids().min().unwrap_or(parcel.id), ids().max().unwrap_or(parcel.id));
    format!("{first}-{last}")
}

/// Whether a context is that of a call with this delivery.
fn names(context: &str, delivery: Id) -> bool {
    let range = context.split_once('-').and_then(|(first, last)| Some(first.parse().ok()?..=last.parse().ok()?));
    range.is_some_and(|range: RangeInclusive<Id>| range.contains(&delivery))
}

/// Reads an answer to `SendSms` to `phones`; `secrets` are kept out of its words.
pub(super) fn results(reply: &Reply, phones: &[&Phone], secrets: &[&str], now: Timestamp) -> Results {
    let response = match Answer::read(reply) {
        Answer::Done(response) => response,
        Answer::Refused(refusal) => return Results::Same(refusal.verdict(&CODES, reply.status, secrets, now)),
        Answer::Foreign => return Results::Same(reply.foreign(now)),
    };
    let results = response["SendStatusSet"].as_array().map(Vec::as_slice).unwrap_or_default();
    let verdict = |phone: &&Phone| match results.iter().find(|result| is_for(&result["PhoneNumber"], phone)) {
        Some(result) => result_of(result, reply, secrets, now),
        None => missing(),
    };
    Results::Each(phones.iter().map(verdict).collect())
}

fn result_of(result: &Value, reply: &Reply, secrets: &[&str], now: Timestamp) -> Verdict {
    let Some(said) = Refusal::read(result) else { return missing() };
    if CODES.class(&said.code) == Some(Class::Taken) {
        let serial = result["SerialNo"].as_str().unwrap_or_default();
        return taken(serial, Receipts::Expected, said.said(secrets));
    }
    said.verdict(&CODES, reply.status, secrets, now)
}

/// The answer says nothing of a number.
pub(super) fn missing() -> Verdict {
    Verdict::new(Outcome::Unknown, "no result for this number")
}

/// Whether a number in an answer is `phone`, in any of the forms that the API knows.
fn is_for(number: &Value, phone: &Phone) -> bool {
    let digits = number.as_str().unwrap_or_default().trim_start_matches('+').trim_start_matches("00");
    digits == phone.digits() || phone.mainland() == Some(digits)
}

/// Reads an answer to `PullSmsSendStatusByPhoneNumber`, which says of a delivery what a record with its context does. A record
/// without one may be of any text to the same number.
pub(super) fn found(reply: &Reply, phone: &Phone, delivery: Id) -> channel::Answer {
    let response = match Answer::read(reply) {
        Answer::Done(response) => response,
        // What is wrong with this number is no reason not to ask about others.
        Answer::Refused(refusal)
            if matches!(CODES.class(&refusal.code), Some(Class::Recipient(_) | Class::Content)) =>
        {
            return channel::Answer::NotKnown;
        }
        Answer::Refused(_) | Answer::Foreign => return channel::Answer::NoAnswer,
    };
    let mut records = response["PullSmsSendStatusSet"].as_array().map(Vec::as_slice).unwrap_or_default().iter();
    let is_ours = |record: &&Value| {
        let context = record["SessionContext"].as_str().unwrap_or_default();
        is_for(&record["PhoneNumber"], phone) && names(context, delivery)
    };
    match records.find(is_ours).and_then(|record| record["ReportStatus"].as_str()) {
        Some("SUCCESS") => channel::Answer::Known(Receipt::Delivered),
        Some("FAIL") => channel::Answer::Known(Receipt::Undelivered),
        _ => channel::Answer::NotKnown,
    }
}

#[cfg(test)]
mod tests;
