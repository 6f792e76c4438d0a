//! Hastening a message: what waits for a time to come is due now.

use hongyan_core::{
    delivery::{State, Track},
    id::Id,
    time::Timestamp,
};

use crate::{
    audience::expansion_hasten, operation::Operation, reads, row::row_find, transaction::Transaction, trouble::Outcome,
};

/// The operation.
pub(crate) struct Hasten {
    pub message: Id,
    pub now: Timestamp,
}

impl Operation for Hasten {
    /// Whether there was anything to hasten.
    type Answer = bool;

    fn run(&self, tx: &mut Transaction<'_>) -> Outcome<bool> {
        tx.memory.see(self.now);
        let mut hastened = expansion_hasten(tx.db, self.message, self.now)?;
        for id in reads::delivery_ids(tx.db, self.message)? {
            let Some(row) = row_find(tx.db, id)? else { continue };
            // What was leased once waits for its next try, which is not for the caller to choose. The rows of a parcel are leased
            // together, so that they stay together here.
            let track = row.track;
            if track.state == State::Ready && track.lease == 0 && track.due > self.now {
                tx.change(&row, Track { due: self.now, ..track }, self.now)?;
                tx.wake(row.channel);
                hastened = true;
            }
        }
        Ok(hastened)
    }
}
