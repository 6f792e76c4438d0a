//! What goes into a store: a whole request with its first page, the later pages of its audience, and how far that has come.

use std::sync::Arc;

use crate::{
    audience::{Rest, Way},
    content::Content,
    delivery::Track,
    id::Id,
    message::{Idempotency, Message},
    quota::{Admission, Refusal},
    setup::ChannelNo,
};

/// A whole request: stored in one commit or not at all.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The message. Its first page's deliveries have the ids that follow its own.
    pub message: Message,
    /// The caller's key, if it sent one.
    pub idempotency: Option<Idempotency>,
    /// What it counts in the windows of its account, admitted in the same commit; absent: it counts in none. Its id is the
    /// message's.
    pub admission: Option<Admission>,
    /// The channel of the message; of several the first.
    pub channel: ChannelNo,
    /// What it says.
    pub content: Arc<Content>,
    /// The bytes of its attachments.
    pub attachments: Arc<Vec<Vec<u8>>>,
    /// The first page, in all at most [`crate::limits::PAGE_RECIPIENTS_MAX`] recipients.
    pub page: Vec<Lot>,
    /// Who follows in later pages; the message is not expanded while any do.
    pub rest: Option<Rest>,
}

/// Deliveries of one page on one channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lot {
    /// The channel, and into parcels of how many the ready deliveries are divided, in their order.
    pub way: Way,
    /// The deliveries; the ids of all lots of a page are a block.
    pub deliveries: Vec<NewDelivery>,
}

/// A delivery to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDelivery {
    /// Its id; a page's ids are a block.
    pub id: Id,
    /// As the caller named the recipient.
    pub recipient: String,
    /// Where the channel reaches them.
    pub address: String,
    /// Where it stands: ready or skipped. The store may lease what is ready and due (born leased).
    pub track: Track,
}

impl Batch {
    /// The deliveries of the first page.
    pub fn deliveries(&self) -> impl Iterator<Item = &NewDelivery> {
        self.page.iter().flat_map(|lot| &lot.deliveries)
    }
}

/// What became of a submit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Submitted {
    /// It is on disk.
    Stored,
    /// The same key came with the same request before: this is the message.
    Seen(Id),
    /// The same key came with another request before. Nothing was stored.
    KeyReused,
    /// Its account's windows have no room for it. Nothing was stored, and nothing of it counts.
    OverLimit(Refusal),
}

/// A later page of a message's audience.
#[derive(Clone, Debug)]
pub struct Page {
    /// The message.
    pub message: Id,
    /// Where the expansion stands before this page; another place in the store means that somebody was faster.
    pub from: Place,
    /// Where it stands after it; absent: this is the last page.
    pub to: Option<Place>,
    /// The deliveries, in one bucket; there may be none.
    pub page: Vec<Lot>,
    /// The channel of kind `inbox` on which this page is a broadcast to everyone ([`crate::inbox`]), of the page's own moment.
    pub broadcast: Option<ChannelNo>,
}

impl Page {
    /// Its deliveries.
    pub fn deliveries(&self) -> impl Iterator<Item = &NewDelivery> {
        self.page.iter().flat_map(|lot| &lot.deliveries)
    }
}

/// How far an expansion has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Place {
    /// Grows with every page; for explicit lists, how many of them are expanded.
    pub step: u32,
    /// Behind which member the next page of people begins, as intake wrote it; empty at the beginning and for lists.
    pub mark: String,
}

/// A message whose audience is not yet expanded.
#[derive(Clone, Debug)]
pub struct Expansion {
    /// The message.
    pub message: Message,
    /// Its channel; of several the first.
    pub channel: ChannelNo,
    /// How far it has come.
    pub place: Place,
    /// The rest, as submitted.
    pub rest: Rest,
}
