//! The port to a provider: a [`Channel`] is handed a [`Parcel`] and answers with one verdict per recipient. Build a request,
//! parse an answer, and a few lines of IO between them; retry, limits and records are the dispatcher's.

use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    cap::Cap,
    content::Content,
    delivery::{Policy, Receipt},
    id::Id,
    outcome::Verdict,
    setup::{AppNo, ChannelNo},
    time::Timestamp,
};

/// Deliveries of one message that one call to a provider carries together.
#[derive(Clone, Debug)]
pub struct Parcel {
    /// The parcel's id: that of its first delivery.
    pub id: Id,
    /// The message.
    pub message: Id,
    /// The app that sends it.
    pub app: AppNo,
    /// The channel by which it goes.
    pub channel: ChannelNo,
    /// What it says on this channel.
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
    /// An earlier try may have reached this one. Where the provider removes duplicates by the whole of a request, those of a
    /// parcel who are marked so were in one call together and make one call again, without the others.
    pub maybe_duplicate: bool,
}

/// A delivery whose outcome nobody knows, as a provider is asked about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The delivery.
    pub delivery: Id,
    /// Where the channel reaches the recipient.
    pub address: String,
    /// When the call was made, or soon before.
    pub at: Timestamp,
}

/// What a provider says of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// This, for certain.
    Known(Receipt),
    /// It knows nothing of it, or not yet; that proves nothing.
    NotKnown,
    /// It could not be asked, or did not answer.
    NoAnswer,
}

/// How often a provider lets one recipient be reached, where it drops in silence what is more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecipientCaps {
    /// The caps.
    pub caps: Vec<Cap>,
    /// For how many the parcel counts with each of its recipients.
    pub amount: u32,
    /// Which of the provider's apps speaks, where each has caps of its own; empty: the provider's.
    pub scope: String,
}

/// A configured sender of one provider.
#[async_trait]
pub trait Channel: Send + Sync {
    /// What it promises about repeating, and when it retries.
    fn policy(&self) -> Policy;

    /// How often one recipient may be reached with such content; the dispatcher holds to it across all nodes, and what is over
    /// waits. Recipients are told apart by their addresses, whose case does not count. Absent: as often as anybody likes.
    fn recipient_caps(&self, _content: &Content) -> Option<RecipientCaps> {
        None
    }

    /// Whether [`Channel::query`] may know more about deliveries whose outcome is unknown.
    fn answers_questions(&self) -> bool {
        false
    }

    /// Asks the provider what became of a delivery.
    async fn query(&self, _question: &Question) -> Answer {
        Answer::NotKnown
    }

    /// Sends the parcel. The answer has exactly one verdict per recipient, in the same order; failures are verdicts.
    async fn send(&self, parcel: &Parcel) -> Vec<Verdict>;

    /// Closes connections; no call follows.
    async fn close(&self);
}
