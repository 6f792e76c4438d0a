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

impl Receipt {
    /// With those who share the address of somebody: what became of that one became of them ([`crate::Resolved::shared`]).
    pub(crate) fn with_shared(mut self, shared: &[(String, String)]) -> Self {
        self.recipients += shared.len();
        for (address, other) in shared {
            if let Some(outcome) = self.failures.iter().find(|outcome| outcome.address == *address) {
                let outcome = RecipientOutcome { recipient: other.clone(), ..outcome.clone() };
                self.failures.push(outcome);
            }
        }
        self
    }
}

/// A recipient who does not get the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecipientOutcome {
    /// As the caller named them.
    pub recipient: String,
    /// Where they were to be reached: one name may stand for several addresses. Empty where they have none.
    pub address: String,
    /// Failed, expired or skipped.
    pub state: State,
    /// Why.
    pub reason: Option<Reason>,
}

/// `[recipients, [[recipient, address, number of the state, reason or null], …]]`
type Kept = (usize, Vec<(String, String, u8, Option<String>)>);

/// The kept form.
pub(crate) fn encode(receipt: &Receipt) -> String {
    let failure = |failure: &RecipientOutcome| {
        let reason = failure.reason.map(|reason| reason.as_str().to_owned());
        (failure.recipient.clone(), failure.address.clone(), failure.state.number(), reason)
    };
    let kept: Kept = (receipt.recipients, receipt.failures.iter().map(failure).collect());
    serde_json::to_string(&kept).unwrap_or_default()
}

/// Reads the kept form; `None` where it is not one.
pub(crate) fn decode(message: Id, kept: &str) -> Option<Receipt> {
    let (recipients, failures): Kept = serde_json::from_str(kept).ok()?;
    let failure = |(recipient, address, state, reason): (String, String, u8, Option<String>)| {
        let reason = reason.and_then(|name| Reason::from_name(&name));
        Some(RecipientOutcome { recipient, address, state: State::from_number(state)?, reason })
    };
    Some(Receipt { message, failures: failures.into_iter().map(failure).collect::<Option<_>>()?, recipients })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_shares_an_address_shares_what_became_of_it() {
        let failure = |recipient: &str, address: &str| RecipientOutcome {
            recipient: recipient.to_owned(),
            address: address.to_owned(),
            state: State::Failed,
            reason: Some(Reason::RecipientRefused),
        };
        let message = Id::from_i64(7).expect("positive");
        // The name is there twice; at the other address it is reached.
        let receipt = Receipt { message, failures: vec![failure("a", "1")], recipients: 2 };
        let pair = |address: &str, other: &str| (address.to_owned(), other.to_owned());
        let told = receipt.with_shared(&[pair("1", "c"), pair("2", "d")]);
        assert_eq!(told, Receipt { message, failures: vec![failure("a", "1"), failure("c", "1")], recipients: 4 });
    }

    #[test]
    fn an_answer_is_read_as_it_was_kept() {
        let message = Id::from_i64(7).expect("positive");
        let failure = |recipient: &str, state, reason| RecipientOutcome {
            recipient: recipient.to_owned(),
            address: format!("at {recipient}"),
            state,
            reason,
        };
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
