//! What accounts have sent, a row per recipient, the newest first (`contracts/imsg.md` row 32): for themselves, and for
//! administrators.

use crate::{
    account::AccountNo,
    content::Content,
    delivery::{Reason, State},
    id::Id,
    setup::ChannelNo,
    time::Timestamp,
};

/// Which rows. What is absent does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryFilter {
    /// Of this account alone; absent: of all.
    pub account: Option<AccountNo>,
    /// By one of these channels.
    pub channels: Option<Vec<ChannelNo>>,
    /// To whoever the caller named so.
    pub recipient: Option<String>,
    /// Whether it came to nothing ([`State::is_failure`], or a receipt that says so).
    pub failed: Option<bool>,
    /// Accepted at this moment or later.
    pub since: Option<Timestamp>,
    /// Accepted before this moment.
    pub before: Option<Timestamp>,
}

impl HistoryFilter {
    /// Whether nothing but the account matters, so that the rows are counted already.
    pub fn is_plain(&self) -> bool {
        *self == Self { account: self.account, ..Self::default() }
    }
}

/// How far rows are counted that a filter selects.
pub const COUNTED_MAX: u64 = 10_001;

/// A page of rows.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryPage {
    /// The rows, the newest first.
    pub rows: Vec<HistoryRow>,
    /// How many there are in all: exactly where the filter is plain, else up to [`COUNTED_MAX`].
    pub total: u64,
}

/// One recipient of one message of an account.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryRow {
    /// The delivery.
    pub id: Id,
    /// Whose message it is.
    pub account: AccountNo,
    /// The address from which the account called.
    pub client: String,
    /// By which channel.
    pub channel: ChannelNo,
    /// As the caller named the recipient.
    pub recipient: String,
    /// When it was accepted.
    pub accepted: Timestamp,
    /// Where it stands.
    pub state: State,
    /// Why.
    pub reason: Option<Reason>,
    /// The provider's words of the last try; empty where there was none.
    pub reply: String,
    /// What it says.
    pub content: Content,
}
