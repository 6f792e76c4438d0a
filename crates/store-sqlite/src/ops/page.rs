//! Large audiences: the later pages of a message, each with the place of its expansion, and the broadcast that it may be, in one
//! commit.

use hongyan_core::{
    id::Id,
    setup::{AppNo, ChannelNo},
    store::Page as NewPage,
    time::Timestamp,
};
use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    audience::expansion_move,
    history,
    operation::Operation,
    ops::submit::{Page, Parcel, runs},
    reads::label_read,
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
        self.page.deliveries().map(|delivery| 256 + delivery.recipient.len() + delivery.address.len()).sum()
    }

    fn run(&self, tx: &mut Transaction<'_>) -> Outcome<bool> {
        tx.memory.see(self.now);
        if !expansion_move(tx.db, &self.page)? {
            return Ok(false);
        }
        let message = self.page.message;
        if let Some(channel) = self.page.broadcast {
            broadcast_insert(tx.db, message, channel, self.now)?;
        }
        let ids = || self.page.deliveries().map(|delivery| delivery.id);
        let (Some(head), Some(tail)) = (ids().min(), ids().max()) else { return Ok(true) };
        tx.db.prepare_cached("INSERT INTO page VALUES (?1, ?2, ?3)")?.execute(params![
            message.get(),
            head.get(),
            tail.get()
        ])?;
        let (app, priority) = tx
            .db
            .prepare_cached("SELECT app, priority FROM message WHERE id = ?1")?
            .query_row([message.get()], |row| Ok((AppNo(row.get(0)?), priority_read(row, 1))))
            .optional()?
            .ok_or_else(|| gone(message))?;
        let priority = priority?;
        history::count(tx.db, app, ids().count())?;
        for lot in &self.page.page {
            let page = Page { message, app, priority, channel: lot.way.channel };
            for run in runs(&lot.deliveries, lot.way.parcel_max) {
                let parcel = Parcel::of(run).unwrap_or(Parcel { id: head, due: self.now });
                page.insert(tx, run, parcel, None)?;
            }
        }
        Ok(true)
    }
}

/// A broadcast of a message to everyone. A message is one broadcast, however many channels carry it.
fn broadcast_insert(db: &Connection, message: Id, channel: ChannelNo, now: Timestamp) -> Outcome<()> {
    let (app, label) = db
        .prepare_cached("SELECT app, label FROM message WHERE id = ?1")?
        .query_row([message.get()], |row| Ok((row.get::<_, u32>(0)?, label_read(row, 1))))
        .optional()?
        .ok_or_else(|| gone(message))?;
    let label = label?;
    db.prepare_cached("INSERT INTO broadcast VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING")?
        .execute(params![message.get(), app, channel.0, label.business, label.kind, now.ms()])?;
    Ok(())
}

fn gone(message: Id) -> Trouble {
    Trouble::Damaged(format!("message {message} is being expanded and is not there"))
}
