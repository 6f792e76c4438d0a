//! Large audiences: the later pages of a message, each with its cursor in one commit.

use hongyan_core::{
    setup::{AppNo, ChannelNo},
    store::Page as NewPage,
    time::Timestamp,
};
use rusqlite::{OptionalExtension, params};

use crate::{
    audience::expansion_end,
    history,
    operation::Operation,
    ops::submit::{Page, Parcel, runs},
    row::priority_read,
    transaction::Transaction,
    trouble::{Outcome, Trouble},
};

/// The operation.
pub(crate) struct PageAdd {
    pub page: NewPage,
    pub now: Timestamp,
}

impl Operation for PageAdd {
    type Answer = bool;

    fn bytes(&self) -> usize {
        self.page.deliveries.iter().map(|delivery| 256 + delivery.recipient.len() + delivery.address.len()).sum()
    }

    fn run(&self, tx: &mut Transaction<'_>) -> Outcome<bool> {
        tx.memory.see(self.now);
        let NewPage { message, cursor, deliveries, parcel_max, last } = &self.page;
        let here = i64::try_from(*cursor).unwrap_or(i64::MAX);
        let next = here.saturating_add(i64::try_from(deliveries.len()).unwrap_or(i64::MAX));
        let moved = tx
            .db
            .prepare_cached("UPDATE expansion SET cursor = ?3 WHERE message = ?1 AND cursor = ?2")?
            .execute(params![message.get(), here, next])?;
        if moved == 0 {
            return Ok(false);
        }
        if *last {
            expansion_end(tx.db, *message)?;
        }
        let (Some(head), Some(tail)) = (deliveries.first(), deliveries.last()) else { return Ok(true) };
        tx.db.prepare_cached("INSERT INTO page VALUES (?1, ?2, ?3)")?.execute(params![
            message.get(),
            head.id.get(),
            tail.id.get()
        ])?;
        let (app, channel, priority) = tx
            .db
            .prepare_cached("SELECT app, channel, priority FROM message WHERE id = ?1")?
            .query_row([message.get()], |row| Ok((AppNo(row.get(0)?), ChannelNo(row.get(1)?), priority_read(row, 2))))
            .optional()?
            .ok_or_else(|| Trouble::Damaged(format!("message {message} is being expanded and is not there")))?;
        history::count(tx.db, app, deliveries.len())?;
        let page = Page { message: *message, app, priority: priority?, channel };
        for run in runs(deliveries, *parcel_max) {
            let parcel = Parcel::of(run).unwrap_or(Parcel { id: head.id, due: self.now });
            page.insert(tx, run, parcel, None)?;
        }
        Ok(true)
    }
}
