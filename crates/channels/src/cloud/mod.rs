//! What SMS and voice of the clouds have in common: signatures' parts, the tables of codes, the windows of China's time that
//! limits end with, the template of a provider that says a text, and the verdict of an answer that has a code.

pub(crate) mod calendar;
pub(crate) mod codes;
pub(crate) mod endpoint;
pub(crate) mod sign;
pub(crate) mod template;

use std::time::Duration;

use hongyan_core::{
    address::Phone,
    channel::Recipient,
    delivery::{Policy, Repeat},
    outcome::{Outcome, Receipts, Rejection, Verdict},
    retry::RetrySchedule,
};

use crate::http::words;

/// Waits in seconds before a repeat of what was certainly not sent: a text that comes late is worth little
/// (`guides/reliability.md` A4.5).
const WAITS: [u64; 6] = [10, 60, 300, 900, 1_800, 3_600];

/// So many digits may be a phone's.
const PHONE_DIGITS: usize = 7;

/// What has been sent cannot be called back, costs money and is never sent twice (`guides/reliability.md` A3).
pub(crate) fn policy() -> Policy {
    Policy { repeat: Repeat::AtMostOnce, retry: RetrySchedule::of(WAITS.map(Duration::from_secs)) }
}

/// The number of a recipient.
///
/// # Errors
/// The verdict, where the address is none.
pub(crate) fn phone(recipient: &Recipient) -> Result<Phone, Verdict> {
    Phone::parse(&recipient.address)
        .map_err(|_| Verdict::new(Outcome::Rejected(Rejection::Recipient), "is no phone number"))
}

/// What a provider says, for the record: its code, a colon and its words, without `secrets`, and without any number that is long
/// enough to be a phone's.
pub(crate) fn said(code: &str, message: &str, secrets: &[&str]) -> String {
    let words = match message {
        "" => words(code, secrets),
        message => words(&format!("{code}: {message}"), secrets),
    };
    let (mut said, mut rest) = (String::with_capacity(words.len()), words.as_str());
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, digits) = rest.split_at(start);
        let (digits, after) = digits.split_at(digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len()));
        said.push_str(before);
        said.push_str(if digits.len() < PHONE_DIGITS { digits } else { "***" });
        rest = after;
    }
    said + rest
}

/// The provider took it under this name.
pub(crate) fn taken(provider_id: &str, receipt: Receipts, reply: String) -> Verdict {
    Verdict::new(Outcome::Accepted { provider_id: provider_id.to_owned(), receipt }, reply)
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::said;

    /// Anything that could be an answer: JSON of every form, with these keys and words in it.
    pub(crate) fn answers(words: &'static [&'static str]) -> impl Strategy<Value = Value> {
        let word = prop::sample::select(words);
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-9i64..9).prop_map(Value::from),
            word.clone().prop_map(Value::from),
        ];
        leaf.prop_recursive(6, 48, 6, move |inner| {
            let field = (word.clone().prop_map(str::to_owned), inner.clone());
            prop_oneof![
                prop::collection::vec(inner, 0..4).prop_map(Value::from),
                prop::collection::vec(field, 0..6).prop_map(|fields| fields.into_iter().collect::<Value>()),
            ]
        })
    }

    #[test]
    fn words_name_no_phone_and_no_secret() {
        for (message, expected) in [
            ("触发分钟级流控Permits:1", "C: 触发分钟级流控Permits:1"),
            ("+8613900001234, 13900001234;8613900001234", "C: +***, ***;***"),
            ("key 1234567890 of AKID\r\n123456", "C: key *** of ***  123456"),
            ("1234567", "C: ***"),
            ("", "C"),
        ] {
            assert_eq!(said("C", message, &["AKID", "1234567890"]), expected);
        }
    }
}
