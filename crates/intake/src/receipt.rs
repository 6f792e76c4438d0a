//! What a caller is told about an accepted message, and how that is kept for a request with an idempotency key: its repeats
//! are answered from it, word for word, whatever has become of the message since (design 7).

use hongyan_core::{
    delivery::{Reason, State},
    id::Id,
};

/// What a dialect tells its caller about an accepted message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The message.
    pub message: Id,
    /// Everyone who certainly does not get it, in order. Everyone else has it or will get it.
    pub failures: Vec<RecipientOutcome>,
    /// How many recipients the message has, the failed ones included.
    pub recipients: usize,
}

/// A recipient who does not get the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecipientOutcome {
    /// As the caller named them.
    pub recipient: String,
    /// Failed, expired or skipped.
    pub state: State,
    /// Why.
    pub reason: Option<Reason>,
}

/// `[recipients, [[recipient, number of the state, reason or null], …]]`
type Kept = (usize, Vec<(String, u8, Option<String>)>);

/// The kept form.
pub(crate) fn encode(receipt: &Receipt) -> String {
    let failure = |failure: &RecipientOutcome| {
        (failure.recipient.clone(), failure.state.number(), failure.reason.map(|reason| reason.as_str().to_owned()))
    };
    let kept: Kept = (receipt.recipients, receipt.failures.iter().map(failure).collect());
    serde_json::to_string(&kept).unwrap_or_default()
}

/// Reads the kept form; `None` where it is not one.
pub(crate) fn decode(message: Id, kept: &str) -> Option<Receipt> {
    let (recipients, failures): Kept = serde_json::from_str(kept).ok()?;
    let failure = |(recipient, state, reason): (String, u8, Option<String>)| {
        let reason = reason.and_then(|name| Reason::from_name(&name));
        Some(RecipientOutcome { recipient, state: State::from_number(state)?, reason })
    };
    Some(Receipt { message, failures: failures.into_iter().map(failure).collect::<Option<_>>()?, recipients })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_as_it_was_kept() {
        let message = Id::from_i64(7).expect("positive");
        let failure =
            |recipient: &str, state, reason| RecipientOutcome { recipient: recipient.to_owned(), state, reason };
        let failures = vec![
            failure("张三", State::Skipped, Some(Reason::UnknownUser)),
            failure("a@b.com", State::Failed, Some(Reason::RecipientRefused)),
            failure("c@d.com", State::Expired, None),
        ];
        let receipt = Receipt { message, failures, recipients: 5 };
        assert_eq!(decode(message, &encode(&receipt)), Some(receipt));
        assert_eq!(decode(message, "[]"), None);
    }
}
