//! Followers of official accounts: a tag at the first question, and whether they follow still.

use hongyan_core::{
    account::{FIRST_TAG, Follower},
    setup::ProviderNo,
};
use rusqlite::{OptionalExtension, params};

use crate::{
    accounts::follower_row, operation::Operation, ops::numbering::next_number, transaction::Transaction,
    trouble::Outcome,
};

/// Asks for the tag of a follower.
pub(crate) struct FollowerTag {
    pub provider: ProviderNo,
    pub openid: String,
}

impl Operation for FollowerTag {
    type Answer = (Follower, bool);

    fn run(&self, tx: &mut Transaction<'_>) -> Outcome<(Follower, bool)> {
        let known = tx
            .db
            .prepare_cached("SELECT tag, openid, subscribed FROM follower WHERE provider = ?1 AND openid = ?2")?
            .query_row(params![self.provider.0, self.openid], follower_row)
            .optional()?;
        if let Some(known) = known {
            return Ok((known, false));
        }
        let tag = next_number(tx.db, "follower", FIRST_TAG)?;
        tx.db.prepare_cached("INSERT INTO follower VALUES (?1, ?2, ?3, 1)")?.execute(params![
            tag,
            self.provider.0,
            self.openid
        ])?;
        Ok((Follower { tag, openid: self.openid.clone(), subscribed: true }, true))
    }
}

/// Keeps whether somebody follows.
pub(crate) struct FollowerSubscribed {
    pub provider: ProviderNo,
    pub openid: String,
    pub subscribed: bool,
}

impl Operation for FollowerSubscribed {
    type Answer = ();

    fn run(&self, tx: &mut Transaction<'_>) -> Outcome<()> {
        tx.db
            .prepare_cached("UPDATE follower SET subscribed = ?3 WHERE provider = ?1 AND openid = ?2")?
            .execute(params![self.provider.0, self.openid, self.subscribed])?;
        Ok(())
    }
}
