//! Putting a backup where a store should be. What the backup has open may have been sent after it was made, by the store
//! that is lost: it is held for review and never sent again by itself (`core::delivery`, `Event::Restore`), and so is
//! whoever was still to follow in later pages. Everything happens on a copy beside the store's place; only when it is
//! complete does it get the store's name.
//!
//! No id is given out twice: ids follow the clock ([`hongyan_core::id`]). What the lost store gave out after the backup lies
//! before now, but for the seconds that ids may run ahead; what the restored one gives out lies behind now, and behind
//! everything in the backup. That is why a clock that is behind the backup is refused.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use hongyan_core::{
    delivery::{Event, Policy, Reason, Repeat, State, Track, step},
    id::{Id, IdSource},
    limits,
    retry::RetrySchedule,
    store::{Addressee, Lot, NewDelivery, Page, Place},
    time::Timestamp,
};
use rusqlite::{Connection, params};

use crate::{
    audience::{expanding, expansion_end, remaining},
    backup::{Holdings, holdings},
    held_rest::lists_left,
    memory::Memory,
    open::{OpenError, Opening, READER_CACHE_KIB},
    operation::Operation,
    ops::page::PageAdd,
    place::{Fresh, beside, canonical, directory_make, directory_of},
    reads,
    row::{Found, row_columns, rows_read, rows_set_aside, track_write},
    schema,
    transaction::{Links, Stage, Transaction},
    trouble::{Outcome, Trouble},
};

/// Rows looked at in one go.
const ROWS: usize = 1_000;

/// Why a backup was not restored. Nothing is changed.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The place of the store cannot be used, a node runs on it, or the backup is not ours or newer.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// There is no backup.
    #[error("there is no backup at {}", .from.display())]
    Absent {
        /// Where it should be.
        from: PathBuf,
    },
    /// The file is a store that somebody works on, not a backup.
    #[error("{} has a write-ahead log beside it, so it is not a backup but a store that was not closed: let `hongyan backup` make a backup of it, with a configuration whose `store` names it", .from.display())]
    NotABackup {
        /// The file.
        from: PathBuf,
    },
    /// There is a store already.
    #[error("there is a store at {} already, and a restore replaces nothing: move it away, and what lies beside it under its name with -wal and -shm, and restore again", .file.display())]
    Occupied {
        /// The store.
        file: PathBuf,
    },
    /// The backup cannot be read.
    #[error("the backup {} cannot be {what}: {why}", .from.display())]
    Unreadable {
        /// The backup.
        from: PathBuf,
        /// What failed.
        what: &'static str,
        /// What the system said.
        why: String,
    },
    /// The backup is ours and damaged.
    #[error("the backup {} is damaged: {why}; use another one", .from.display())]
    Damaged {
        /// The backup.
        from: PathBuf,
        /// What was found.
        why: String,
    },
    /// The clock is behind the backup.
    #[error("the newest entry of the backup {} was made {} s after what this machine's clock says now: set the clock right, or new messages get the numbers of old ones", .from.display(), .behind_secs)]
    ClockBehind {
        /// The backup.
        from: PathBuf,
        /// How far.
        behind_secs: u64,
    },
    /// The new store cannot be written.
    #[error("the store {} cannot be written: {why}", .file.display())]
    Unwritable {
        /// The store.
        file: PathBuf,
        /// What the system said.
        why: String,
    },
}

/// A backup that is about to be restored: copied beside the store's place and found whole. The place is kept free meanwhile;
/// dropping this leaves it as it was.
pub struct Restore {
    from: PathBuf,
    file: PathBuf,
    // In the order in which they go: the copy is closed, then removed, then the place is free.
    db: Connection,
    known: u32,
    fresh: Fresh,
    _lock: File,
}

impl Restore {
    /// Takes the place `file` for the backup `from`. Blocks.
    ///
    /// # Errors
    /// When there is a store in that place or a node runs on it, or the backup is not ours, damaged or newer.
    pub fn begin(from: &Path, file: &Path) -> Result<Self, RestoreError> {
        let (from, file) = (from.to_owned(), file.to_owned());
        if !Opening::of(from.clone()).sniff().map_err(|error| of_backup(&from, error))? {
            return Err(RestoreError::Absent { from });
        }
        if beside(&from, "-wal").metadata().is_ok_and(|log| log.len() > 0) {
            return Err(RestoreError::NotABackup { from });
        }
        let unwritable = |error: io::Error| RestoreError::Unwritable { file: file.clone(), why: error.to_string() };
        directory_make(directory_of(&file)).map_err(unwritable)?;
        let file = canonical(&file).map_err(unwritable)?;
        let place = Opening::of(file.clone());
        place.sniff()?;
        let lock = place.lock()?;
        if place.sniff()? {
            return Err(RestoreError::Occupied { file });
        }
        let fresh = Fresh::beside(&file, ".new").map_err(unwritable)?;
        // The backup itself is only read, wherever it lies.
        let mut copy = File::options().write(true).open(fresh.path()).map_err(unwritable)?;
        let unreadable =
            |error: io::Error| RestoreError::Unreadable { from: from.clone(), what: "read", why: error.to_string() };
        io::copy(&mut File::open(&from).map_err(unreadable)?, &mut copy).map_err(unwritable)?;
        let copy = Opening::of(fresh.path().to_owned());
        let opened = copy.connect(READER_CACHE_KIB).and_then(|db| {
            let known = copy.version_check(&db)?;
            copy.whole_check(&db)?;
            Ok((db, known))
        });
        let (db, known) = opened.map_err(|error| of_backup(&from, error))?;
        Ok(Self { from, file, db, known, fresh, _lock: lock })
    }

    /// A note of the backup.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn note(&self, key: &str) -> Result<Option<String>, RestoreError> {
        reads::note(&self.db, key)
            .map_err(|trouble| RestoreError::Damaged { from: self.from.clone(), why: trouble.told().to_string() })
    }

    /// Holds what is open for review and gives the store its name; answers what the backup held.
    ///
    /// # Errors
    /// When the clock is behind the backup, or the store cannot be written.
    pub fn finish(mut self, now: Timestamp) -> Result<Holdings, RestoreError> {
        let (from, file) = (self.from.clone(), self.file.clone());
        let unwritable = |why: String| RestoreError::Unwritable { file: file.clone(), why };
        let failed = |trouble: Trouble| {
            let why = trouble.told().to_string();
            if trouble.is_damage() { RestoreError::Damaged { from: from.clone(), why } } else { unwritable(why) }
        };
        schema::migrate(&mut self.db, self.known).map_err(|error| failed(error.into()))?;
        let last = reads::last_id(&self.db).map_err(failed)?;
        if let Some(last) = last
            && last.time() > now + limits::ID_BORROW_MAX
        {
            return Err(RestoreError::ClockBehind { from, behind_secs: last.time().since(now).as_secs() });
        }
        let restored = hold(&mut self.db, &IdSource::new(0, last), now).map_err(failed)?;
        // The last connection to go copies the log into the file and removes it.
        self.db.close().map_err(|(_, error)| unwritable(error.to_string()))?;
        self.fresh.put(&file).map_err(|error| unwritable(error.to_string()))?;
        Ok(restored)
    }
}

/// What is said of a backup; the words for a store do not fit.
fn of_backup(from: &Path, error: OpenError) -> RestoreError {
    match error {
        OpenError::Damaged { why, .. } => RestoreError::Damaged { from: from.to_owned(), why },
        OpenError::Unusable { what, why, .. } => RestoreError::Unreadable { from: from.to_owned(), what, why },
        other => RestoreError::Store(other),
    }
}

/// Holds everything that is open, in one transaction; answers what there is, as it was before.
fn hold(db: &mut Connection, ids: &IdSource, now: Timestamp) -> Outcome<Holdings> {
    let all = db.transaction()?;
    let before = holdings(&all)?;
    hold_deliveries(&all, now)?;
    let (mut memory, mut stage, links) = (Memory::load(&all)?, Stage::default(), Links::default());
    let mut tx = Transaction { db: &all, memory: &mut memory, stage: &mut stage, links: &links };
    for message in expanding(&all)? {
        hold_rest(&mut tx, message, ids, now)?;
    }
    all.commit()?;
    Ok(before)
}

fn hold_deliveries(db: &Connection, now: Timestamp) -> Outcome<()> {
    let mut find = db.prepare(concat!(
        "SELECT ",
        row_columns!(),
        " FROM delivery WHERE id > ?1 AND state <= 2 ORDER BY id LIMIT ?2"
    ))?;
    let mut after = 0;
    loop {
        let Found { rows, unreadable } = rows_read(&mut find.query(params![after, ROWS as i64])?)?;
        let Some(last) = rows.iter().map(|(row, _)| row.id.get()).chain(unreadable.iter().copied()).max() else {
            return Ok(());
        };
        after = last;
        for (row, _) in &rows {
            track_write(db, row.id, &held(row.track, now))?;
        }
        rows_set_aside(db, &unreadable, State::Unknown, Reason::Restored)?;
    }
}

/// Expands the rest of a message, page by page as a node does, into deliveries that are held.
fn hold_rest(tx: &mut Transaction<'_>, message: Id, ids: &IdSource, now: Timestamp) -> Outcome<()> {
    let (mut from, who) = match remaining(tx.db, message) {
        Ok(remaining) => remaining,
        Err(trouble) if trouble.is_damage() => {
            tracing::error!(%message, ?trouble, "who was still to follow cannot be read and is left out");
            expansion_end(tx.db, message)?;
            return Ok(());
        }
        Err(trouble) => return Err(trouble),
    };
    let expires = tx.db.query_row("SELECT expires FROM message WHERE id = ?1", [message.get()], |row| row.get(0))?;
    let expires = Timestamp::from_ms(expires);
    for (way, addressees) in lists_left(who, &from) {
        for page in addressees.chunks(limits::PAGE_RECIPIENTS_MAX) {
            let first = block(ids, page.len(), now);
            let delivery = |(n, who): (usize, &Addressee)| NewDelivery {
                id: first.plus(n),
                recipient: who.recipient.clone(),
                address: who.address.clone(),
                track: match who.skipped {
                    Some(reason) => Track::skipped(reason, now, expires),
                    None => held(Track::ready(now, expires), now),
                },
            };
            let deliveries = page.iter().enumerate().map(delivery).collect();
            let to = Place { step: from.step.saturating_add(1), mark: String::new() };
            let page =
                Page { message, from, to: Some(to.clone()), page: vec![Lot { way, deliveries }], broadcast: None };
            PageAdd { page, now }.run(tx)?;
            from = to;
        }
    }
    expansion_end(tx.db, message)?;
    Ok(())
}

/// Ids in a row. They may run ahead of the clock as far as it takes: nobody else takes any before the store is in place.
fn block(ids: &IdSource, n: usize, now: Timestamp) -> Id {
    let mut at = now;
    loop {
        match ids.block(n, ids.home(), at) {
            Ok(first) => return first,
            Err(_) => at = at + limits::ID_BORROW_MAX,
        }
    }
}

/// Where an open delivery stands after the restore.
fn held(track: Track, now: Timestamp) -> Track {
    let any_policy = Policy { repeat: Repeat::AtMostOnce, retry: RetrySchedule::of([]) };
    step(&track, &Event::Restore, &any_policy, now).unwrap_or(track)
}
