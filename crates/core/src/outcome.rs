//! What one try at one delivery ended in: always a value, never an error (design 4). A channel answers with exactly one
//! [`Verdict`] per recipient; [`crate::delivery::step`] decides what follows from it.

use std::time::Duration;

use crate::time::Timestamp;

/// How a try ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The provider took it.
    Accepted {
        /// The provider's own reference; empty where it gives none.
        provider_id: String,
        /// Whether a receipt may follow.
        receipt: Receipts,
    },
    /// It was certainly not taken, and a later try may succeed.
    Deferred {
        /// The provider's hint; absent: the retry schedule decides.
        after: Option<Duration>,
        /// Whose fault it is.
        fault: Fault,
    },
    /// The provider asks to slow down. Does not count as a try.
    Throttled {
        /// Whom to slow down.
        scope: Scope,
        /// Until when.
        until: Timestamp,
    },
    /// It will never be taken.
    Rejected(Rejection),
    /// The provider's account or settings are wrong: its breaker opens and messages wait. Does not count as a try.
    Misconfigured,
    /// The request was written and no verdict came: it may or may not have been taken.
    Unknown,
    /// A part of the message was taken and the rest was not, or nobody knows: sending it again would repeat the part. It is
    /// unknown for good, whatever the provider promises about repeating, and no fault of the provider.
    PartlySent,
}

/// Whether a provider will say more about a delivery that it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receipts {
    /// Nothing follows.
    Never,
    /// A receipt is expected.
    Expected,
}

/// Whose fault a deferral is: a provider's fault counts against its breaker and is no try of the delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The provider could not be reached or could not work.
    Provider,
    /// This recipient or this message, for now.
    Recipient,
}

/// Whom a provider asks to slow down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everything that goes by this provider.
    Provider,
    /// This recipient.
    Recipient,
}

/// What a provider refused for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// The recipient.
    Recipient,
    /// The recipient, who does not follow the official account (any more).
    NotFollowing,
    /// The recipient, whom the platform does not know.
    NoSuchRecipient,
    /// The content.
    Content,
}

impl Outcome {
    /// The stored and shown name of the kind of outcome.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Accepted { .. } => "accepted",
            Self::Deferred { .. } => "deferred",
            Self::Throttled { .. } => "throttled",
            Self::Rejected(_) => "rejected",
            Self::Misconfigured => "misconfigured",
            Self::Unknown => "unknown",
            Self::PartlySent => "partly_sent",
        }
    }

    /// Whether the provider, and not this delivery, is what stands in the way.
    pub const fn is_provider_fault(&self) -> bool {
        matches!(
            self,
            Self::Deferred { fault: Fault::Provider, .. }
                | Self::Throttled { scope: Scope::Provider, .. }
                | Self::Misconfigured
        )
    }
}

/// The outcome for one recipient, with what the provider said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// How the try ended.
    pub outcome: Outcome,
    /// The provider's words, or ours where it said nothing: one line, no secrets, for people and the record.
    pub reply: String,
}

impl Verdict {
    /// A verdict.
    pub fn new(outcome: Outcome, reply: impl Into<String>) -> Self {
        Self { outcome, reply: reply.into() }
    }
}
