//! Who follows in later pages of a message: how they are stored while the message is being expanded, and how that ends.

use hongyan_core::{id::Id, message::MessageState, store::Addressee};
use rusqlite::{Connection, params};

use crate::{
    row::{id_read, reason_named},
    trouble::{Outcome, Trouble},
};

/// Begins the expansion of a message.
pub(crate) fn expansion_insert(db: &Connection, message: Id, rest: &[u8]) -> Outcome<()> {
    db.prepare_cached("INSERT INTO expansion VALUES (?1, 0)")?.execute([message.get()])?;
    db.prepare_cached("INSERT INTO audience VALUES (?1, ?2)")?.execute(params![message.get(), rest])?;
    Ok(())
}

/// Ends the expansion of a message: nothing more follows.
pub(crate) fn expansion_end(db: &Connection, message: Id) -> Outcome<()> {
    let was = db.prepare_cached("DELETE FROM expansion WHERE message = ?1")?.execute([message.get()])?;
    if was > 0 {
        db.prepare_cached("DELETE FROM audience WHERE message = ?1")?.execute([message.get()])?;
        db.prepare_cached("UPDATE message SET state = ?2 WHERE id = ?1")?
            .execute(params![message.get(), MessageState::Expanded.as_str()])?;
    }
    Ok(())
}

/// The messages that are being expanded.
pub(crate) fn expanding(db: &Connection) -> Outcome<Vec<Id>> {
    let mut find = db.prepare_cached("SELECT message FROM expansion JOIN message ON id = message ORDER BY message")?;
    let mut rows = find.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(id_read(row, 0)?);
    }
    Ok(found)
}

/// How many of a message's rest are expanded, and who is still to follow.
pub(crate) fn remaining(db: &Connection, message: Id) -> Outcome<(usize, Vec<Addressee>)> {
    let (cursor, rest): (i64, Vec<u8>) = db
        .prepare_cached("SELECT cursor, rest FROM expansion JOIN audience USING (message) WHERE message = ?1")?
        .query_row([message.get()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let cursor = usize::try_from(cursor).unwrap_or(0);
    let mut rest = rest_decode(&rest)?;
    Ok((cursor, rest.split_off(cursor.min(rest.len()))))
}

/// The stored form of who follows in later pages.
pub(crate) fn rest_encode(rest: &[Addressee]) -> Vec<u8> {
    let rows: Vec<_> =
        rest.iter().map(|who| (&who.recipient, &who.address, who.skipped.map(|reason| reason.as_str()))).collect();
    serde_json::to_vec(&rows).unwrap_or_default()
}

/// Reads what [`rest_encode`] wrote.
pub(crate) fn rest_decode(bytes: &[u8]) -> Outcome<Vec<Addressee>> {
    let rows: Vec<(String, String, Option<String>)> =
        serde_json::from_slice(bytes).map_err(|error| Trouble::Damaged(format!("an audience: {error}")))?;
    rows.into_iter()
        .map(|(recipient, address, skipped)| {
            Ok(Addressee { recipient, address, skipped: skipped.as_deref().map(reason_named).transpose()? })
        })
        .collect()
}
