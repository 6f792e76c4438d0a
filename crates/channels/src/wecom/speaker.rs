//! Which app sends a message, and who is to blame for what is wrong with it: a caller only for what it named, and the provider
//! never for what a caller named.

use std::sync::Arc;

use hongyan_core::outcome::{Outcome, Rejection};

use crate::weixin::{Grant, of_the_message};

/// What WeCom says of an app's number, and of nothing else (`contracts/providers.md` 2).
const WRONG_ID: [&str; 3] = ["40056", "41011", "301002"];

/// The app that sends a message.
pub(super) struct Speaker {
    /// Its number.
    pub(super) agent_id: i64,
    /// How it gets its token.
    pub(super) grant: Arc<Grant>,
    /// The number is the caller's.
    pub(super) names_id: bool,
    /// The secret is the caller's.
    pub(super) names_secret: bool,
}

impl Speaker {
    /// The outcome of a message that WeCom refused with `code`, which by itself means `outcome`. What concerns the caller's own
    /// app is put off for this message alone, for somebody may set it right.
    pub(super) fn outcome(&self, code: &str, outcome: Outcome) -> Outcome {
        let is_misconfigured = outcome == Outcome::Misconfigured;
        match outcome {
            Outcome::Misconfigured if self.names_id && WRONG_ID.contains(&code) => {
                Outcome::Rejected(Rejection::Content)
            }
            outcome if self.names_secret || (self.names_id && is_misconfigured) => of_the_message(outcome),
            outcome => outcome,
        }
    }
}
