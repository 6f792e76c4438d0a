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

/// Waits in seconds before a repeat of what was certainly not sent: a text that comes late is worth little
/// (`guides/reliability.md` A4.5).
const WAITS: [u64; 6] = [10, 60, 300, 900, 1_800, 3_600];

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

/// A number as providers of mainland China write it: 11 digits at home, with the country's code abroad, and no `+`. Both forms
/// of a number hold it, so that it is what answers must not repeat into the record.
pub(crate) fn bare(phone: &Phone) -> &str {
    phone.mainland().unwrap_or_else(|| phone.digits())
}

/// The provider took it under this name.
pub(crate) fn taken(provider_id: &str, reply: String) -> Verdict {
    let outcome = Outcome::Accepted { provider_id: provider_id.to_owned(), receipt: Receipts::Expected };
    Verdict::new(outcome, reply)
}
