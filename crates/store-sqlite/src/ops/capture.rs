//! Keeping what a capture provider would have sent, and only the newest of it, bounded in number and in bytes.

use hongyan_core::{limits, store::Capture};
use rusqlite::{Connection, Params, params};

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
        let too_many = "DELETE FROM capture WHERE seq <= ?1 RETURNING octet_length(body)";
        let captured = &mut tx.memory.captured;
        captured.bytes += body.len() as u64;
        captured.bytes = captured.bytes.saturating_sub(forgotten(tx.db, too_many, [seq - kept])?.bytes);
        while captured.bytes > BYTES_KEPT {
            let oldest = "DELETE FROM capture WHERE seq = (SELECT min(seq) FROM capture) AND seq < ?1 \
                          RETURNING octet_length(body)";
            let gone = forgotten(tx.db, oldest, [seq])?;
            if gone.captures == 0 {
                break;
            }
            captured.bytes = captured.bytes.saturating_sub(gone.bytes);
        }
        Ok(())
    }
}

const BYTES_KEPT: u64 = limits::CAPTURES_BYTES_KEPT as u64;

/// What a deletion took.
#[derive(Default)]
struct Gone {
    captures: usize,
    bytes: u64,
}

/// Deletes captures by a statement that returns the length of each.
fn forgotten(db: &Connection, sql: &str, which: impl Params) -> Outcome<Gone> {
    let mut delete = db.prepare_cached(sql)?;
    let mut rows = delete.query(which)?;
    let mut gone = Gone::default();
    while let Some(row) = rows.next()? {
        gone.captures += 1;
        gone.bytes += row.get::<_, i64>(0)?.unsigned_abs();
    }
    Ok(gone)
}
