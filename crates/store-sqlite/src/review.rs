//! What is held for review since the store was restored from a backup, read beside a running node too.

use std::path::Path;

use hongyan_core::{
    delivery::{Reason, State},
    id::Id,
};
use rusqlite::{Connection, params};

use crate::{
    open::{OpenError, Opening},
    place::canonical,
    row::id_read,
    trouble::Outcome,
};

/// A message with deliveries that are held for review.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldMessage {
    /// The message.
    pub message: Id,
    /// Its channel's code; the channel's number where it is no longer declared.
    pub channel: String,
    /// How many of its recipients are held.
    pub recipients: u64,
    /// When it was accepted, as people read it: RFC 3339 in UTC.
    pub accepted: String,
}

/// The messages of the store in `file` with deliveries that are held for review, the oldest first. Blocks. Not for a process
/// that has the store open itself.
///
/// # Errors
/// When the file is not a store, is newer or cannot be read.
pub fn review(file: &Path) -> Result<Vec<HeldMessage>, OpenError> {
    let file = canonical(file).unwrap_or_else(|_| file.to_owned());
    let store = Opening::of(file);
    if !store.sniff()? {
        return Ok(Vec::new());
    }
    let db = store.connect_reading()?;
    store.version_check(&db)?;
    held(&db).map_err(|trouble| store.unusable("read", trouble.told()))
}

fn held(db: &Connection) -> Outcome<Vec<HeldMessage>> {
    let mut find = db.prepare(
        "SELECT m.id, coalesce(c.code, CAST(m.channel AS TEXT)), count(*), \
         strftime('%Y-%m-%dT%H:%M:%fZ', m.accepted / 1000.0, 'unixepoch') \
         FROM delivery d JOIN message m ON m.id = d.message \
         LEFT JOIN declaration c ON c.kind = 'channel' AND c.no = m.channel \
         WHERE d.state = ?1 AND d.reason = ?2 GROUP BY m.id ORDER BY m.id",
    )?;
    let mut rows = find.query(params![State::Unknown.number(), Reason::Restored.as_str()])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(HeldMessage {
            message: id_read(row, 0)?,
            channel: row.get(1)?,
            recipients: row.get::<_, i64>(2)?.unsigned_abs(),
            accepted: row.get(3)?,
        });
    }
    Ok(found)
}
