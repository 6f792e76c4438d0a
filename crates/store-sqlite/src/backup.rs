//! A backup: the store as it stood at one moment, in a file of its own, whether or not a node runs on it. A connection of the
//! backup's own copies page by page inside one read transaction, so what is committed meanwhile is neither seen nor held
//! up; the write-ahead log cannot start over until the copying ends, which is why that is all that happens inside it: what
//! takes as long again (syncing, checking, counting) is done with the copy afterwards.

use std::{
    fs,
    path::{Path, PathBuf},
    process,
};

use rusqlite::{
    Connection, OpenFlags,
    backup::{Backup, StepResult},
};

use crate::{
    audience,
    held_rest::following,
    open::{OpenError, Opening, READER_CACHE_KIB},
    place::{Fresh, beside, canonical},
    trouble::Outcome,
};

/// Pages copied between two looks at the length of the log: 8 MiB.
const STEP_PAGES: i32 = 1_024;
/// How much longer the write-ahead log may become while the store is copied; half the store, where that is more. The
/// disk is the node's, and a node that runs is worth more than a backup.
const LOG_GROWTH_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// What a backup holds, or a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holdings {
    /// Messages.
    pub messages: u64,
    /// Deliveries that are still to come, with those that follow in later pages of their message; where that is people of the
    /// directory, as many as are named (a department is one).
    pub open: u64,
}

/// Why a backup was not made. Nothing of it is left.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// There is no store.
    #[error("there is no store at {}; `store` in the configuration says where it is", .file.display())]
    Absent {
        /// Where it should be.
        file: PathBuf,
    },
    /// There is something where the backup would go.
    #[error("{} is there already, and a backup replaces nothing: choose another name", .to.display())]
    Taken {
        /// The target.
        to: PathBuf,
    },
    /// The copy cannot be written.
    #[error("the backup {} cannot be written: {why}", .to.display())]
    Unwritable {
        /// The target.
        to: PathBuf,
        /// What the system said.
        why: String,
    },
    /// The node wrote faster than the store could be copied.
    #[error("the node writes faster than {} can: the backup was given up before the store's write-ahead log would have filled the disk; back up to a faster disk, or at a quieter hour", .to.display())]
    Overtaken {
        /// The target.
        to: PathBuf,
    },
}

/// Copies the store in `file` to `to`, which must not be there yet, and checks the copy. Blocks. Not for a process that has the
/// store open itself: closing a file drops the locks that the process has on it.
///
/// # Errors
/// When there is no store, it cannot be read, `to` is there already or cannot be written.
pub fn backup(file: &Path, to: &Path) -> Result<Holdings, BackupError> {
    // Where there is no directory there is no store either.
    let file = canonical(file).unwrap_or_else(|_| file.to_owned());
    let store = Opening::of(file.clone());
    if !store.sniff()? {
        return Err(BackupError::Absent { file });
    }
    let log = beside(&file, "-wal");
    let log_bytes_max = length(&log) + LOG_GROWTH_BYTES_MAX.max(length(&file) / 2);
    let target = Target { to, log, log_bytes_max };
    target.refuse_taken()?;
    let source = store.connect_reading()?;
    store.version_check(&source)?;
    // Each process its own, for two may be asked for the same backup at a time.
    let fresh = Fresh::beside(to, &format!(".{}.new", process::id())).map_err(|error| target.unwritable(error))?;
    target.copy(&source, fresh.path())?;
    drop(source);
    let holdings = check(fresh.path())?;
    target.refuse_taken()?;
    fresh.put(to).map_err(|error| target.unwritable(error))?;
    Ok(holdings)
}

/// How long a file is; nothing where there is none.
fn length(file: &Path) -> u64 {
    fs::metadata(file).map_or(0, |file| file.len())
}

/// Where the backup goes.
struct Target<'a> {
    to: &'a Path,
    /// The store's write-ahead log, which cannot start over meanwhile.
    log: PathBuf,
    /// How long it may become.
    log_bytes_max: u64,
}

impl Target<'_> {
    fn refuse_taken(&self) -> Result<(), BackupError> {
        // A link that leads nowhere is there, too.
        match fs::symlink_metadata(self.to) {
            Ok(_) => Err(BackupError::Taken { to: self.to.to_owned() }),
            Err(_) => Ok(()),
        }
    }

    fn unwritable(&self, why: impl ToString) -> BackupError {
        BackupError::Unwritable { to: self.to.to_owned(), why: why.to_string() }
    }

    /// Copies what `source` sees at this moment.
    fn copy(&self, source: &Connection, fresh: &Path) -> Result<(), BackupError> {
        let unwritable = |error: rusqlite::Error| self.unwritable(error);
        let mut copy = Connection::open_with_flags(fresh, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(unwritable)?;
        // Nobody else knows the copy, and it is synced when it is complete.
        copy.pragma_update(None, "journal_mode", "OFF").map_err(unwritable)?;
        copy.pragma_update(None, "synchronous", "OFF").map_err(unwritable)?;
        // The copying stays inside a transaction that has begun; by itself it would begin anew after every commit of the node.
        let snapshot = source.unchecked_transaction().map_err(unwritable)?;
        snapshot.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(())).map_err(unwritable)?;
        let copying = Backup::new(&snapshot, &mut copy).map_err(unwritable)?;
        loop {
            match copying.step(STEP_PAGES).map_err(unwritable)? {
                StepResult::Done => return Ok(()),
                StepResult::More if length(&self.log) <= self.log_bytes_max => {}
                StepResult::More => return Err(BackupError::Overtaken { to: self.to.to_owned() }),
                _ => return Err(self.unwritable("another program has it open")),
            }
        }
    }
}

/// Whether a copy is a whole store of ours, and what is in it.
fn check(copy: &Path) -> Result<Holdings, OpenError> {
    let copy = Opening::of(copy.to_owned());
    copy.sniff()?;
    let db = copy.connect(READER_CACHE_KIB)?;
    copy.version_check(&db)?;
    copy.whole_check(&db)?;
    holdings(&db).map_err(|trouble| copy.unusable("counted", trouble.told()))
}

/// Counts what is in a store.
pub(crate) fn holdings(db: &Connection) -> Outcome<Holdings> {
    let count = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0)).map(i64::unsigned_abs);
    let mut open = count("SELECT count(*) FROM delivery WHERE state <= 2")?;
    for message in audience::expanding(db)? {
        match audience::remaining(db, message) {
            Ok((place, who)) => open += following(who, &place),
            Err(trouble) if trouble.is_damage() => {}
            Err(trouble) => return Err(trouble),
        }
    }
    Ok(Holdings { messages: count("SELECT count(*) FROM message")?, open })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_that_is_overtaken_gives_up() {
        let directory = tempfile::tempdir().expect("a directory");
        let store = directory.path().join("hongyan.db");
        let source = Connection::open(&store).expect("opens");
        source.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).expect("sets");
        let pages = u64::try_from(2 * STEP_PAGES).expect("positive") * 4_096;
        source.execute_batch(&format!("CREATE TABLE t (x); INSERT INTO t VALUES (zeroblob({pages}))")).expect("writes");
        let to = directory.path().join("backup.db");
        let copy = |log_bytes_max| {
            let fresh = Fresh::beside(&to, ".new").expect("makes");
            Target { to: &to, log: beside(&store, "-wal"), log_bytes_max }.copy(&source, fresh.path())
        };
        assert!(matches!(copy(0), Err(BackupError::Overtaken { .. })));
        copy(u64::MAX).expect("is quick enough");
    }
}
