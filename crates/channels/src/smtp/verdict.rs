//! From replies and lost connections to verdicts.

use hongyan_core::{
    outcome::{Fault, Outcome, Receipts, Rejection, Scope, Verdict},
    time::Timestamp,
};

use super::{
    class::{Class, Stage, classify},
    limits::{GREYLIST_WAIT, NEXT_TRANSACTION_WAIT, THROTTLE_WAIT},
    reply::{Reply, words},
    wire::WireError,
};
use crate::mail::Origin;

/// What verdicts depend on beside the reply.
#[derive(Clone, Copy)]
pub(super) struct Context {
    /// Whose choice the senders of the message are.
    pub(super) origin: Origin,
    /// The server has accepted recipients in this transaction.
    pub(super) is_any_taken: bool,
    /// Now.
    pub(super) now: Timestamp,
}

/// The verdict that a negative reply is.
pub(super) fn refused(stage: Stage, reply: &Reply, context: Context) -> Verdict {
    let is_about_message = matches!(stage, Stage::Rcpt | Stage::Data | Stage::Dot);
    let fault = if is_about_message { Fault::Recipient } else { Fault::Provider };
    let put_off = |after| Outcome::Deferred { after, fault };
    let throttled = |scope| Outcome::Throttled { scope, until: context.now + THROTTLE_WAIT };
    let sender_is_callers = match stage {
        Stage::Mail => context.origin.envelope_is_callers,
        _ => context.origin.from_is_callers,
    };
    let outcome = match classify(stage, reply) {
        // With nobody accepted it cannot be that there are too many: the next transaction would end the same way.
        Class::TooMany if context.is_any_taken => put_off(Some(NEXT_TRANSACTION_WAIT)),
        Class::Transient | Class::TooMany => put_off(None),
        Class::Greylisted => put_off(Some(GREYLIST_WAIT)),
        Class::Throttled => throttled(Scope::Provider),
        Class::SlowDown => throttled(Scope::Recipient),
        Class::Recipient => Outcome::Rejected(Rejection::Recipient),
        Class::Content => Outcome::Rejected(Rejection::Content),
        Class::Sender if sender_is_callers => Outcome::Rejected(Rejection::Content),
        Class::Sender | Class::Configuration => Outcome::Misconfigured,
    };
    Verdict::new(outcome, reply.words.as_str())
}

/// The server took the message.
pub(super) fn accepted(reply: &Reply) -> Verdict {
    let provider_id = queue_id(&reply.words).to_owned();
    Verdict::new(Outcome::Accepted { provider_id, receipt: Receipts::Never }, reply.words.as_str())
}

/// What the server calls the message, in the forms of Postfix and Sendmail (`queued as ABC`, `ABC Message accepted`) and of
/// Exim (`id=ABC`); empty where it does not say.
fn queue_id(words: &str) -> &str {
    let end =
        |text: &str| text.find(|c: char| c.is_whitespace() || matches!(c, ')' | '>' | ';' | ',')).unwrap_or(text.len());
    ["queued as ", "id="].iter().find_map(|before| words.split_once(before)).map_or("", |(_, id)| &id[..end(id)])
}

/// The connection was lost, or the server went astray, before anything could have been taken.
pub(super) fn unreachable(error: &WireError) -> Verdict {
    Verdict::new(Outcome::Deferred { after: None, fault: Fault::Provider }, words(error))
}

/// The connection was lost after the final dot was begun: it may or may not have been taken (RFC 1047).
pub(super) fn unknown(error: &WireError) -> Verdict {
    Verdict::new(Outcome::Unknown, words(&format_args!("no verdict after the end of the message: {error}")))
}

/// The settings do not fit the server.
pub(super) fn misconfigured(why: &str) -> Verdict {
    Verdict::new(Outcome::Misconfigured, why)
}

/// The recipient, or what is sent, is beyond what this server takes.
pub(super) fn rejected(rejection: Rejection, why: impl Into<String>) -> Verdict {
    Verdict::new(Outcome::Rejected(rejection), why)
}

#[cfg(test)]
mod tests {
    use super::queue_id;

    #[test]
    fn queue_ids() {
        for (words, id) in [
            ("250 2.0.0 Ok: queued as 4F2B91C0A8", "4F2B91C0A8"),
            ("250 OK id=1rABCD-0001ab-2C", "1rABCD-0001ab-2C"),
            ("250 2.0.0 from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as 9C1)", "9C1"),
            ("250 fine", ""),
        ] {
            assert_eq!(queue_id(words), id, "{words}");
        }
    }
}
