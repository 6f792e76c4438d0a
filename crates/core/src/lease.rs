//! A parcel in the hands of a node: what the store gives out when it leases, and takes back when it settles.

use std::sync::Arc;

use crate::{
    content::Content,
    delivery::Track,
    id::Id,
    message::Priority,
    setup::{AppNo, ChannelNo},
    time::Timestamp,
};

/// A parcel leased to this node.
#[derive(Clone, Debug)]
pub struct Lease {
    /// The parcel: the id of its first delivery when it was stored.
    pub parcel: Id,
    /// The message.
    pub message: Id,
    /// Its channel.
    pub channel: ChannelNo,
    /// Its app.
    pub app: AppNo,
    /// How urgent it is.
    pub priority: Priority,
    /// When the message was accepted.
    pub accepted: Timestamp,
    /// What it says and its attachments, where they travel with the lease; absent: read them by the message's id.
    pub cargo: Option<Cargo>,
    /// Its deliveries, at least one.
    pub rows: Vec<LeasedRow>,
}

/// What a message says, with the bytes of its attachments.
#[derive(Clone, Debug)]
pub struct Cargo {
    /// What it says.
    pub content: Arc<Content>,
    /// The bytes of its attachments.
    pub attachments: Arc<Vec<Vec<u8>>>,
}

/// A delivery of a leased parcel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeasedRow {
    /// The delivery.
    pub id: Id,
    /// Where the channel reaches the recipient.
    pub address: String,
    /// Where it stands.
    pub track: Track,
}
