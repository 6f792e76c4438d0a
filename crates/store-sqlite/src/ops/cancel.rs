//! Cancelling a message: every delivery that waits, and whoever would have followed in later pages.

use hongyan_core::{
    delivery::{Event, step},
    id::Id,
    store::Cancelled,
    time::Timestamp,
};

use crate::{
    audience::expansion_end, operation::Operation, reads, row::row_find, transaction::Transaction, trouble::Outcome,
};

/// The operation.
pub(crate) struct Cancel {
    pub message: Id,
    pub now: Timestamp,
}

impl Operation for Cancel {
    type Answer = Cancelled;

    fn run(&self, tx: &mut Transaction<'_>) -> Outcome<Cancelled> {
        tx.memory.see(self.now);
        let mut cancelled = Cancelled { deliveries: 0, unexpanded: expansion_end(tx.db, self.message)? };
        for id in reads::delivery_ids(tx.db, self.message)? {
            let Some(row) = row_find(tx.db, id)? else { continue };
            if let Some(track) = step(&row.track, &Event::Cancel, &tx.memory.any_policy, self.now) {
                tx.change(&row, track, self.now)?;
                tx.tell(&row, track);
                cancelled.deliveries += 1;
            }
        }
        Ok(cancelled)
    }
}
