//! Numbers that are given once: to what is declared, to groups, to accounts and as tags, each kind by its own count.

use rusqlite::{Connection, params};

use crate::trouble::Outcome;

/// The next number of a kind, `first` at first. It is never given again.
pub(crate) fn next_number(db: &Connection, kind: &str, first: u32) -> Outcome<u32> {
    let mut next = db.prepare_cached(
        "INSERT INTO numbering VALUES (?1, ?2) ON CONFLICT (kind) DO UPDATE SET last = last + 1 RETURNING last",
    )?;
    Ok(next.query_row(params![kind, first], |row| row.get(0))?)
}
