//! The port to a provider: a [`Channel`] is handed a [`Parcel`] and answers with one verdict per recipient. Build a request,
//! parse an answer, and a few lines of IO between them; retry, limits and records are the dispatcher's.

use std::sync::Arc;

use async_trait::async_trait;

use crate::{content::Content, delivery::Policy, id::Id, outcome::Verdict};

/// Deliveries of one message that one call to a provider carries together.
#[derive(Clone, Debug)]
pub struct Parcel {
    /// The parcel's id: that of its first delivery.
    pub id: Id,
    /// The message.
    pub message: Id,
    /// What it says.
    pub content: Arc<Content>,
    /// The bytes of its attachments, in the order of the content's list.
    pub attachments: Arc<Vec<Vec<u8>>>,
    /// Who gets it, at least one.
    pub recipients: Vec<Recipient>,
    /// An earlier try may have been taken.
    pub maybe_duplicate: bool,
}

/// One recipient of a parcel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// The delivery.
    pub delivery: Id,
    /// Where the channel reaches them.
    pub address: String,
}

/// A configured sender of one provider.
#[async_trait]
pub trait Channel: Send + Sync {
    /// What it promises about repeating, and when it retries.
    fn policy(&self) -> Policy;

    /// Sends the parcel. The answer has exactly one verdict per recipient, in the same order; failures are verdicts.
    async fn send(&self, parcel: &Parcel) -> Vec<Verdict>;

    /// Closes connections; no call follows.
    async fn close(&self);
}
