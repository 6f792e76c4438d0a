//! The in-app inbox: what a person finds there. An *item* is either a delivery on a channel of kind `inbox`, its number the
//! delivery's, or a *broadcast*, one row for everybody, its number the message's; what a reader did with it is kept per person.

use crate::{
    content::InApp,
    id::Id,
    setup::{AppNo, ChannelNo},
    time::Timestamp,
};

/// An item on its way into somebody's inbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewItem {
    /// The delivery; an item that is there already stays as it is.
    pub id: Id,
    /// The person's code.
    pub user: String,
    /// The message, which says what is in it.
    pub message: Id,
    /// The app that sent it.
    pub app: AppNo,
    /// By which channel.
    pub channel: ChannelNo,
    /// The caller's businessId; empty for none.
    pub business: String,
    /// The message's type; empty for none.
    pub kind: String,
    /// When it came.
    pub at: Timestamp,
}

/// An item as its reader sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct InboxItem {
    /// Its number: the delivery, or the message of a broadcast.
    pub id: Id,
    /// Whether it is a broadcast.
    pub broadcast: bool,
    /// The message.
    pub message: Id,
    /// The app that sent it.
    pub app: AppNo,
    /// By which channel.
    pub channel: ChannelNo,
    /// When it came.
    pub at: Timestamp,
    /// Whether it was read.
    pub read: bool,
    /// Whether it was put away.
    pub archived: bool,
    /// What it says; absent: the message is gone.
    pub content: Option<InApp>,
}

/// Which items.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InboxFilter {
    /// Only those not read.
    pub unread: bool,
    /// Those put away, or those not; absent: both.
    pub archived: Option<bool>,
    /// Only those of this app.
    pub app: Option<AppNo>,
    /// Only those with this businessId.
    pub business: Option<String>,
    /// Only those of this type.
    pub kind: Option<String>,
}

/// Which items of a person are marked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// These.
    Items(Vec<Id>),
    /// All that `filter` selects and that came until now, some at a time.
    All(InboxFilter),
}

/// What a reader does with items. Nothing makes a deleted one come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Has read it.
    Read,
    /// Wants it unread again.
    Unread,
    /// Puts it away.
    Archived,
    /// Takes it out again.
    Unarchived,
    /// Never wants to see it again.
    Deleted,
}

/// An item that a mark changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marked {
    /// The item.
    pub id: Id,
    /// Whether it is a broadcast, of which there is no delivery.
    pub broadcast: bool,
}

/// A person's token for their inbox, as it is kept: by its SHA-256.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboxToken {
    /// Whose inbox.
    pub user: String,
    /// The app that minted it.
    pub app: AppNo,
}
