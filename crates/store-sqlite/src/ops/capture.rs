//! Keeping what a capture provider would have sent, and only the newest of it.

use hongyan_core::{limits, store::Capture};
use rusqlite::params;

use crate::{operation::Operation, transaction::Transaction, trouble::Outcome};

/// The operation.
pub(crate) struct CaptureAdd {
    pub capture: Capture,
}

impl Operation for CaptureAdd {
    type Answer = ();

    fn bytes(&self) -> usize {
        self.capture.body.len()
    }

    fn run(&self, tx: &mut Transaction<'_>) -> Outcome<()> {
        let Capture { id, message, provider, at, sender, recipients, body } = &self.capture;
        let recipients = serde_json::to_string(recipients).unwrap_or_default();
        let mut insert = tx.db.prepare_cached("INSERT INTO capture VALUES (NULL, ?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
        let seq = insert.insert(params![id.get(), message.get(), provider, at.ms(), sender, recipients, body])?;
        let kept = i64::try_from(limits::CAPTURES_KEPT).unwrap_or(i64::MAX);
        tx.db.prepare_cached("DELETE FROM capture WHERE seq <= ?1")?.execute([seq - kept])?;
        Ok(())
    }
}
