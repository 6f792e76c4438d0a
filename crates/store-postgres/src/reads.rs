//! What look-ups read. A message's deliveries are ranges of the primary key: the first page follows the message's own id, the
//! ranges of later pages are on record. What is open and what is done lie in two tables, and both are read as of one moment.

mod account;
mod cargo;
mod directory;
mod doubt;
mod expansion;
mod history;
mod inbox;
mod kept;
mod message;

use std::collections::BTreeMap;

use hongyan_core::id::Id;

pub(crate) use self::{
    account::{
        KeptAccount, account, account_names, account_read, accounts, bucket_of_hash, bucket_of_tag, follower,
        follower_bucket, followers, speaker,
    },
    cargo::cargo,
    directory::{
        PERSON_COLUMNS, group_read, groups_below, groups_find, groups_page, groups_read, members, user_entries,
        user_read, users_page, users_reached,
    },
    doubt::doubts,
    expansion::{expansions, scheduled},
    history::history,
    inbox::{Selection, inbox, inbox_bucket, inbox_news, inbox_read, inbox_token, inbox_unread, items_before},
    kept::{answer, captures, declarations, depths, note, setup_version, users},
    message::{message, of_business, outcomes, ranges, to_come},
};
use crate::row::bucket_of;

/// Ids by their buckets, each in order.
pub(crate) fn by_bucket(ids: impl IntoIterator<Item = Id>) -> BTreeMap<i16, Vec<i64>> {
    let mut buckets: BTreeMap<i16, Vec<i64>> = BTreeMap::new();
    for id in ids {
        buckets.entry(bucket_of(id)).or_default().push(id.get());
    }
    for ids in buckets.values_mut() {
        ids.sort_unstable();
        ids.dedup();
    }
    buckets
}
