//! What moves when a deployment outgrows its store: everything that one store holds, as plain rows that the other takes in. The
//! rows are neutral: nouns of this crate, neither store's tables. They come in [`Rows`] of one kind, each small enough to be
//! one transaction, and both sides count what they have ([`Counts`]), so that a move is checked by what is there and not by
//! what was sent. What follows from other rows, such as how many rows an account's history has, is made anew on arrival.

use std::collections::BTreeMap;

use crate::{
    account::{self, Follower},
    delivery::{State, Track},
    directory::{Group, GroupNo},
    id::Id,
    inbox::NewItem,
    message::{Message, Priority},
    pace::Meter,
    quota::{Account, Entry},
    setup::{AppNo, ChannelNo, ProviderNo, User},
    store::{Attempt, Capture, Declaration, Place, Rest},
    time::Timestamp,
};

/// Rows of one kind, in the order of their keys.
#[derive(Clone, Debug)]
pub enum Rows {
    /// Messages with what they say.
    Messages(Vec<MovedMessage>),
    /// Attachments.
    Attachments(Vec<MovedAttachment>),
    /// Deliveries with their attempts.
    Deliveries(Vec<MovedDelivery>),
    /// The later pages of large audiences.
    Pages(Vec<MovedPage>),
    /// Messages whose audience is not yet expanded.
    Expansions(Vec<MovedExpansion>),
    /// Idempotency keys.
    Keys(Vec<MovedKey>),
    /// What is declared, with its numbers.
    Declarations(Vec<Declaration>),
    /// The last number given to each kind of declaration, to accounts (`account`), and as a tag (`follower`).
    Numberings(Vec<(String, u32)>),
    /// The version of what is declared, and the hash of the plan that was applied last.
    Setup {
        /// The version.
        version: i64,
        /// The hash.
        plan: String,
    },
    /// People.
    People(Vec<User>),
    /// Since when people are enabled, and when they were.
    Presences(Vec<Presence>),
    /// Departments, posts and roles.
    Groups(Vec<Group>),
    /// Who belongs to which group: a person's code and the group.
    Members(Vec<(String, GroupNo)>),
    /// Items of inboxes and marks on broadcasts. Tokens of inboxes stay behind: apps mint new ones.
    Items(Vec<MovedItem>),
    /// Broadcasts.
    Broadcasts(Vec<MovedBroadcast>),
    /// Notes: key and value.
    Notes(Vec<(String, String)>),
    /// Captures.
    Captures(Vec<Capture>),
    /// What accounts have used of their windows.
    Accounts(Vec<(String, Account)>),
    /// Admissions on record: the account, what was admitted, and how.
    Entries(Vec<(String, Id, Entry)>),
    /// For how long tokens of a pace are given out already.
    Meters(Vec<(String, Meter)>),
    /// Accounts of the token API. Their tokens stay behind: whoever speaks by one logs in again.
    Callers(Vec<account::Account>),
    /// Those who follow official accounts, each with the provider that is the account.
    Followers(Vec<(ProviderNo, Follower)>),
}

impl Rows {
    /// How many rows these are.
    pub fn len(&self) -> usize {
        match self {
            Self::Messages(rows) => rows.len(),
            Self::Attachments(rows) => rows.len(),
            Self::Deliveries(rows) => rows.len(),
            Self::Pages(rows) => rows.len(),
            Self::Expansions(rows) => rows.len(),
            Self::Keys(rows) => rows.len(),
            Self::Declarations(rows) => rows.len(),
            Self::Numberings(rows) => rows.len(),
            Self::Setup { .. } => 1,
            Self::People(rows) => rows.len(),
            Self::Presences(rows) => rows.len(),
            Self::Groups(rows) => rows.len(),
            Self::Members(rows) => rows.len(),
            Self::Items(rows) => rows.len(),
            Self::Broadcasts(rows) => rows.len(),
            Self::Notes(rows) => rows.len(),
            Self::Captures(rows) => rows.len(),
            Self::Accounts(rows) => rows.len(),
            Self::Entries(rows) => rows.len(),
            Self::Meters(rows) => rows.len(),
            Self::Callers(rows) => rows.len(),
            Self::Followers(rows) => rows.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A message.
#[derive(Clone, Debug)]
pub struct MovedMessage {
    /// What is known of the request.
    pub message: Message,
    /// Its channel.
    pub channel: ChannelNo,
    /// The last delivery of its first page; its own id where there is none.
    pub last: Id,
    /// How many attachments it has.
    pub attachments: u32,
    /// What it says, as [`crate::content::Content::to_bytes`] writes it.
    pub content: Vec<u8>,
}

/// An attachment of a message.
#[derive(Clone, Debug)]
pub struct MovedAttachment {
    /// The message.
    pub message: Id,
    /// Which of its attachments, from 0 on.
    pub no: u32,
    /// Its bytes.
    pub body: Vec<u8>,
}

/// A delivery.
#[derive(Clone, Debug)]
pub struct MovedDelivery {
    /// The delivery.
    pub id: Id,
    /// Its message.
    pub message: Id,
    /// Its parcel.
    pub parcel: Id,
    /// Its channel.
    pub channel: ChannelNo,
    /// Its app.
    pub app: AppNo,
    /// How urgent it is.
    pub priority: Priority,
    /// Where it stands. What is leased or being sent is so still: who takes the store over judges it as after a crash.
    pub track: Track,
    /// As the caller named the recipient.
    pub recipient: String,
    /// Where the channel reaches them.
    pub address: String,
    /// Its tries, the oldest first.
    pub attempts: Vec<Attempt>,
}

/// A later page of a message's audience: a range of deliveries.
#[derive(Clone, Debug)]
pub struct MovedPage {
    /// The message.
    pub message: Id,
    /// The first delivery.
    pub first: Id,
    /// The last delivery.
    pub last: Id,
}

/// Who is still to follow of a message.
#[derive(Clone, Debug)]
pub struct MovedExpansion {
    /// The message.
    pub message: Id,
    /// How far it has come.
    pub place: Place,
    /// The rest, as submitted.
    pub rest: Rest,
}

/// Since when a person is enabled, or when they were: what says whose inbox a broadcast is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    /// The person's code.
    pub user: String,
    /// From when on.
    pub since: Timestamp,
    /// Until when; absent: they are still.
    pub until: Option<Timestamp>,
}

/// An item of somebody's inbox, or what somebody did with a broadcast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MovedItem {
    /// The item; of a broadcast its id and message are one.
    pub item: NewItem,
    /// Whether it is what somebody did with a broadcast.
    pub broadcast: bool,
    /// Whether it was read.
    pub read: bool,
    /// Whether it was put away.
    pub archived: bool,
    /// Whether it was deleted.
    pub deleted: bool,
}

/// A broadcast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MovedBroadcast {
    /// The message.
    pub message: Id,
    /// The app that sent it.
    pub app: AppNo,
    /// The channel.
    pub channel: ChannelNo,
    /// The caller's businessId; empty for none.
    pub business: String,
    /// The message's type; empty for none.
    pub kind: String,
    /// When it fired.
    pub at: Timestamp,
}

/// A caller's key.
#[derive(Clone, Debug)]
pub struct MovedKey {
    /// Whose.
    pub app: AppNo,
    /// The key.
    pub key: String,
    /// What the request said, as a hash.
    pub fingerprint: Vec<u8>,
    /// The message that it led to.
    pub message: Id,
    /// When it is forgotten.
    pub expires: Timestamp,
    /// What the caller was told; absent: nothing yet.
    pub answer: Option<String>,
}

/// How many rows of each kind a store has, by name. Kinds of which there are none may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(BTreeMap<String, u64>);

impl Counts {
    /// Counts so many more of a kind.
    pub fn add(&mut self, kind: impl Into<String>, count: u64) {
        *self.0.entry(kind.into()).or_default() += count;
    }

    /// Counts so many more deliveries in a state.
    pub fn add_deliveries(&mut self, state: State, count: u64) {
        self.add(format!("deliveries_{state}"), count);
    }

    /// How many of a kind there are.
    pub fn get(&self, kind: &str) -> u64 {
        self.0.get(kind).copied().unwrap_or(0)
    }

    /// Every kind of these and those, in order, with the number in each.
    pub fn beside<'a>(&'a self, those: &'a Self) -> impl Iterator<Item = (&'a str, u64, u64)> {
        let mut kinds: Vec<&str> = self.0.keys().chain(those.0.keys()).map(String::as_str).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds.into_iter().map(|kind| (kind, self.get(kind), those.get(kind)))
    }

    /// All of them together.
    pub fn sum(&self) -> u64 {
        self.0.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_stand_side_by_side_also_where_one_side_has_none() {
        let (mut here, mut there) = (Counts::default(), Counts::default());
        here.add("messages", 2);
        here.add_deliveries(State::Ready, 1);
        here.add_deliveries(State::Ready, 2);
        there.add("messages", 2);
        there.add("keys", 1);
        let both: Vec<_> = here.beside(&there).collect();
        assert_eq!(both, [("deliveries_ready", 3, 0), ("keys", 0, 1), ("messages", 2, 2)]);
        assert_eq!((here.sum(), there.get("deliveries_ready")), (5, 0));
    }
}
