//! A store as the source of a move to another: everything in it, table by table and page by page, in the neutral rows of
//! [`hongyan_core::transfer`]. Nothing is written: the store stays as it is, and its lock is held, so that no node works on what is
//! being moved. All pages see one moment.

mod tables;

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use hongyan_core::{delivery::State, transfer::Counts, transfer::Rows};
use rusqlite::Connection;

use self::tables::Place;
use crate::{
    open::{OpenError, Opening},
    place::canonical,
    trouble::{Outcome, Trouble},
};

/// Why a store cannot be moved. It is as it was.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The store cannot be used, or a node runs on it.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// There is no store.
    #[error("there is no store at {}; `store` in the configuration says where it is", .file.display())]
    Absent {
        /// Where it should be.
        file: PathBuf,
    },
}

/// A store that is being moved.
pub struct Source {
    // In the order in which they go: the connection is closed, then the store is free.
    db: Connection,
    /// Where the next page begins; absent: all is read.
    place: Option<Place>,
    store: Opening,
    file: PathBuf,
    _lock: File,
}

impl Source {
    /// Takes the store in `file`, and reads every page of it once, to be sure that it is whole. Blocks.
    ///
    /// # Errors
    /// When there is none, a node runs on it, it is damaged or newer.
    pub fn open(file: &Path) -> Result<Self, SourceError> {
        // Where there is no directory there is no store either.
        let file = canonical(file).unwrap_or_else(|_| file.to_owned());
        let store = Opening::of(file.clone());
        // Nothing is put beside a stranger's file, not even a lock.
        if !store.sniff()? {
            return Err(SourceError::Absent { file });
        }
        let lock = store.lock()?;
        let db = store.connect_reading()?;
        store.version_check(&db)?;
        store.whole_check(&db)?;
        db.execute_batch("BEGIN").map_err(|error| store.unusable("read", error))?;
        Ok(Self { db, place: Some(Place::first()), store, file, _lock: lock })
    }

    /// How many parcels the node held that stopped or died last.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn parcels_held(&self) -> Result<u32, SourceError> {
        let held = "SELECT count(DISTINCT parcel) FROM delivery INDEXED BY held WHERE state IN (1, 2)";
        self.read(|db| Ok(db.query_row(held, [], |row| row.get(0))?))
    }

    /// What there is, counted.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn counts(&self) -> Result<Counts, SourceError> {
        self.read(counts)
    }

    /// The next rows, bounded in number and bytes; `None` after the last.
    ///
    /// # Errors
    /// When the store cannot be read, or holds what this program does not write.
    pub fn next_rows(&mut self) -> Result<Option<Rows>, SourceError> {
        while let Some(place) = self.place.take() {
            let (rows, next) = self.read(|db| place.read(db))?;
            self.place = next;
            if !rows.is_empty() {
                return Ok(Some(rows));
            }
        }
        Ok(None)
    }

    fn read<T>(&self, read: impl FnOnce(&Connection) -> Outcome<T>) -> Result<T, SourceError> {
        read(&self.db).map_err(|trouble| SourceError::Store(self.refused(&trouble)))
    }

    fn refused(&self, trouble: &Trouble) -> OpenError {
        let why = trouble.told().to_string();
        match trouble.is_damage() {
            true => OpenError::Damaged { file: self.file.clone(), why },
            false => self.store.unusable("read", why),
        }
    }
}

/// Tables whose rows are counted, with the names under which they are.
const COUNTED: [(&str, &str); 20] = [
    ("messages", "message"),
    ("attachments", "attachment"),
    ("attempts", "attempt"),
    ("pages", "page"),
    ("expansions", "expansion"),
    ("keys", "idempotency"),
    ("declarations", "declaration"),
    ("people", "person"),
    ("presences", "presence"),
    ("groups", "directory_group"),
    ("members", "directory_member"),
    ("items", "inbox_item"),
    ("broadcasts", "broadcast"),
    ("notes", "note"),
    ("captures", "capture"),
    ("accounts", "quota_account"),
    ("admissions", "quota_entry"),
    ("meters", "meter"),
    ("callers", "account"),
    ("followers", "follower"),
];

/// Columns whose bytes are counted, likewise.
const WEIGHED: [(&str, &str); 2] = [("content_bytes", "content"), ("attachment_bytes", "attachment")];

fn counts(db: &Connection) -> Outcome<Counts> {
    let mut counts = Counts::default();
    for (kind, table) in COUNTED {
        if tables::exists(db, table)? {
            counts.add(kind, number(db, &format!("SELECT count(*) FROM {table}"))?);
        }
    }
    if tables::has_people(db)? {
        // A mark on a broadcast that is gone with its message moves nowhere.
        let marks = "SELECT count(*) FROM broadcast_mark m JOIN broadcast b ON b.message = m.message";
        counts.add("items", number(db, marks)?);
    } else {
        counts.add("presences", number(db, &format!("SELECT count(*) FROM ({})", tables::PRESENCES_BEFORE))?);
    }
    for (kind, table) in WEIGHED {
        counts.add(kind, number(db, &format!("SELECT coalesce(sum(octet_length(body)), 0) FROM {table}"))?);
    }
    let mut states = db.prepare("SELECT state, count(*) FROM delivery GROUP BY state")?;
    let mut rows = states.query([])?;
    while let Some(row) = rows.next()? {
        let stored: u8 = row.get(0)?;
        let state =
            State::from_number(stored).ok_or_else(|| Trouble::Damaged(format!("a delivery in state {stored}")))?;
        counts.add_deliveries(state, row.get::<_, i64>(1)?.unsigned_abs());
    }
    Ok(counts)
}

fn number(db: &Connection, sql: &str) -> Outcome<u64> {
    Ok(db.query_row(sql, [], |row| row.get::<_, i64>(0))?.unsigned_abs())
}

#[cfg(test)]
mod tests;
