//! Finding out whether the store can write, by writing.

use hongyan_core::time::Timestamp;

use crate::{operation::Operation, transaction::Transaction, trouble::Outcome};

/// The operation.
pub(crate) struct Ping {
    pub now: Timestamp,
}

impl Operation for Ping {
    type Answer = ();

    fn run(&self, tx: &mut Transaction<'_>) -> Outcome<()> {
        tx.memory.see(self.now);
        tx.db.prepare_cached("UPDATE setup SET pinged = ?1")?.execute([self.now.ms()])?;
        Ok(())
    }
}
