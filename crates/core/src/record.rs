//! What stores answer and are given beside the nouns themselves: messages and deliveries as they stand, what waits and what is in
//! doubt, captures, declarations.

use crate::{
    delivery::Track,
    directory::DirectoryChange,
    id::Id,
    message::Message,
    setup::{AppNo, ChannelNo, ProviderNo},
    time::Timestamp,
};

/// What recovery found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Deliveries that go back to be sent.
    pub ready: usize,
    /// Deliveries whose outcome nobody knows.
    pub unknown: usize,
    /// Deliveries set aside because the node died while they alone were in flight.
    pub poison: usize,
}

/// A delivery whose outcome nobody knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// The delivery.
    pub delivery: Id,
    /// Where the channel reaches the recipient.
    pub address: String,
    /// By which provider it was last tried, where that try ended unknown; absent: a node died before it could say by whom.
    pub provider: Option<ProviderNo>,
    /// When it was last tried: the last attempt on record, or else the first call.
    pub at: Timestamp,
}

/// How much of one channel waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Depth {
    /// The channel.
    pub channel: ChannelNo,
    /// Deliveries that are ready, due or not.
    pub ready: u64,
    /// When the oldest of those that are due became due; absent: none is due.
    pub oldest_due: Option<Timestamp>,
}

/// A message as it stands, for people and programs that look it up.
#[derive(Clone, Debug)]
pub struct MessageRecord {
    /// The message.
    pub message: Message,
    /// Its channel; of several the first.
    pub channel: ChannelNo,
    /// When it fires, where it waits for its time ([`crate::message::MessageState::Scheduled`]).
    pub due: Option<Timestamp>,
    /// Its deliveries, in order.
    pub deliveries: Vec<DeliveryRecord>,
}

/// A delivery as it stands.
#[derive(Clone, Debug)]
pub struct DeliveryRecord {
    /// The delivery.
    pub id: Id,
    /// Its parcel.
    pub parcel: Id,
    /// Its channel.
    pub channel: ChannelNo,
    /// As the caller named the recipient.
    pub recipient: String,
    /// Where the channel reaches them.
    pub address: String,
    /// Where it stands.
    pub track: Track,
    /// Its tries, the oldest first.
    pub attempts: Vec<Attempt>,
}

/// What a capture provider kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capture {
    /// Its id.
    pub id: Id,
    /// The message.
    pub message: Id,
    /// The provider's code.
    pub provider: String,
    /// When it would have been sent.
    pub at: Timestamp,
    /// The envelope sender.
    pub sender: String,
    /// The envelope recipients.
    pub recipients: Vec<String>,
    /// The bytes that would have been sent.
    pub body: Vec<u8>,
}

/// One declared thing in its stored form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declaration {
    /// `app`, `channel`, `provider` or `setting`.
    pub kind: String,
    /// Its code; a setting's key.
    pub code: String,
    /// Its number, given by the store at first sight; ignored when applying.
    pub no: u32,
    /// The rest, as JSON whose secrets are sealed.
    pub doc: String,
}

/// A plan in its stored form, applied in one transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlanChange {
    /// SHA-256 of the plan file, hex.
    pub hash: String,
    /// What it declares; what it does not name stays.
    pub declarations: Vec<Declaration>,
    /// The people it declares, and what they belong to.
    pub directory: DirectoryChange,
}

/// One try at one delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// By which provider.
    pub provider: ProviderNo,
    /// When it began.
    pub started: Timestamp,
    /// How long it took, in milliseconds.
    pub took_ms: u32,
    /// The kind of outcome ([`crate::outcome::Outcome::as_str`]).
    pub outcome: String,
    /// The provider's words.
    pub reply: String,
}

/// Which messages that have not fired yet are meant; what is absent narrows nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScheduledFilter {
    /// Of this app.
    pub app: Option<AppNo>,
    /// Made from the template with this code.
    pub template: Option<String>,
    /// With this channel among theirs.
    pub channel: Option<ChannelNo>,
}

/// A message that waits for its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scheduled {
    /// The message.
    pub message: Message,
    /// Its channels, each once, in any order.
    pub channels: Vec<ChannelNo>,
    /// When it fires.
    pub due: Timestamp,
}

/// A change of what is declared that is no plan: made only where nothing has changed since `version` was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeclarationChange {
    /// The version from which it goes out.
    pub version: i64,
    /// What is declared anew or otherwise.
    pub put: Vec<Declaration>,
    /// What is declared no more, by kind and code. Its numbers are not given again.
    pub remove: Vec<(String, String)>,
}

/// What cancelling a message did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cancelled {
    /// Deliveries that are cancelled.
    pub deliveries: usize,
    /// Whether somebody was still to follow, who now does not.
    pub unexpanded: bool,
}
