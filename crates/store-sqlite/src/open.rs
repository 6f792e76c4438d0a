//! Opening a store: is the file ours, whole, not newer than this program and not in use? What is refused is left untouched. A
//! new store is made under another name and renamed when it is complete, so that a crash leaves either none or all of it.

use std::{
    fmt,
    fs::{self, File, TryLockError},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, config::DbConfig};

use crate::{
    checkpoint::{Checkpoint, Checkpointer},
    memory::Memory,
    place::{Fresh, beside, canonical, directory_make, directory_of, private},
    readers::Readers,
    reads, schema,
    store::SqliteStore,
    trouble::Trouble,
    writer::Writer,
};

/// What a deployment, or a test, may choose.
#[derive(Clone, Debug)]
pub struct Options {
    /// Threads that look things up.
    pub readers: usize,
    /// How often the write-ahead log is copied into the database while it grows.
    pub checkpoint_every: Duration,
    /// How long the write-ahead log may become, roughly, before the writer pauses to start it over.
    pub log_bytes_max: u64,
    /// How many pages of 8 KiB the database may have; absent: as many as the disk holds.
    pub pages_max: Option<u32>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            readers: 2,
            checkpoint_every: Duration::from_millis(150),
            log_bytes_max: 64 * 1024 * 1024,
            pages_max: None,
        }
    }
}

/// Why a store cannot be opened. Each says what is wrong with which file.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process, or another store of this one, has it open.
    #[error("the store {} is in use by another process (it holds {}); a store belongs to one node at a time", .file.display(), .lock.display())]
    InUse {
        /// The store.
        file: PathBuf,
        /// The lock file beside it.
        lock: PathBuf,
    },
    /// The file is something else.
    #[error("{} is not a Hongyan store: {why}; it was left untouched", .file.display())]
    Foreign {
        /// The file.
        file: PathBuf,
        /// What it is.
        why: String,
    },
    /// A newer version of the program wrote it.
    #[error("the store {} has schema version {found}, this program knows versions up to {known}: use the newer program; it was left untouched", .file.display())]
    Newer {
        /// The file.
        file: PathBuf,
        /// Its version.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// The file is ours and damaged.
    #[error("the store {} is damaged: {why}; restore it from a backup", .file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What was found.
        why: String,
    },
    /// The file is missing or empty, and what was written to it last is still there.
    #[error("the store {} is missing or empty, but its write-ahead log {} is there: put the database back beside it, or move the log away to begin with an empty store; nothing was touched", .file.display(), .log.display())]
    Bereft {
        /// The file.
        file: PathBuf,
        /// The log beside it.
        log: PathBuf,
    },
    /// The file cannot be read, made or written.
    #[error("the store {} cannot be {what}: {why}", .file.display())]
    Unusable {
        /// The file.
        file: PathBuf,
        /// What failed.
        what: &'static str,
        /// What the system said.
        why: String,
    },
}

/// Opens the store in `file`, or makes it where there is none.
///
/// # Errors
/// When the file is not a store, is damaged, newer or in use, or when the directory cannot be written.
pub async fn open(file: impl Into<PathBuf>, options: Options) -> Result<Arc<SqliteStore>, OpenError> {
    let file = file.into();
    let unusable = Unusable { file: file.clone() };
    tokio::task::spawn_blocking(move || Opening { file, options }.open())
        .await
        .unwrap_or_else(|error| Err(unusable.because("opened", error)))
}

/// What [`inspect`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inspected {
    /// There is a store that this version can open.
    Present,
    /// There is nothing; opening makes a store.
    Absent,
}

impl fmt::Display for Inspected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Present => "is there and of a version that this program opens",
            Self::Absent => "will be made at the first start",
        })
    }
}

/// Looks at the store in `file` without opening or locking it, beside a running node too.
///
/// # Errors
/// When the file is not a store, is newer, is visibly cut off or cannot be read.
pub fn inspect(file: &Path) -> Result<Inspected, OpenError> {
    // Where there is no directory yet there is no store either.
    let file = canonical(file).unwrap_or_else(|_| file.to_owned());
    Ok(if Opening::of(file).sniff()? { Inspected::Present } else { Inspected::Absent })
}

/// A store's file on its way to being open.
pub(crate) struct Opening {
    file: PathBuf,
    options: Options,
}

/// Names the file in errors.
struct Unusable {
    file: PathBuf,
}

impl Unusable {
    fn because(&self, what: &'static str, why: impl ToString) -> OpenError {
        OpenError::Unusable { file: self.file.clone(), what, why: why.to_string() }
    }
}

/// Page cache of the writer, in KiB: what it touches is the end of the tables and the front of the queue.
const WRITER_CACHE_KIB: i64 = 16 * 1024;
/// Page cache of each other connection, in KiB.
pub(crate) const READER_CACHE_KIB: i64 = 2 * 1024;
/// Prepared statements kept by each connection; there are fewer in the program.
const STATEMENTS_MAX: usize = 256;
/// Databases up to this size are checked whole when they are opened.
const CHECKED_WHOLE_BYTES_MAX: u64 = 32 * 1024 * 1024;

impl Opening {
    /// The file with this one name ([`canonical`]).
    pub(crate) fn of(file: PathBuf) -> Self {
        Self { file, options: Options::default() }
    }

    fn open(mut self) -> Result<Arc<SqliteStore>, OpenError> {
        directory_make(directory_of(&self.file)).map_err(|error| self.unusable("made", error))?;
        self.file = canonical(&self.file).map_err(|error| self.unusable("opened", error))?;
        // Nothing is put beside a stranger's file, not even a lock.
        self.sniff()?;
        let lock = self.lock()?;
        self.open_locked(lock)
    }

    /// Opens what is there now that nobody else can make or fill it.
    fn open_locked(self, lock: File) -> Result<Arc<SqliteStore>, OpenError> {
        if !self.sniff()? {
            self.create()?;
        }
        let mut db = self.connect(WRITER_CACHE_KIB)?;
        let known = self.version_check(&db)?;
        self.damage_check(&db)?;
        schema::migrate(&mut db, known).map_err(|error| self.unusable("brought to this version", error))?;
        // What a long reader (a backup) made of the log is given back once the log starts over.
        let log_bytes_kept = i64::try_from(self.options.log_bytes_max.saturating_mul(2)).unwrap_or(i64::MAX);
        db.pragma_update(None, "journal_size_limit", log_bytes_kept).map_err(|error| self.unusable("opened", error))?;
        if let Some(pages) = self.options.pages_max {
            db.pragma_update(None, "max_page_count", pages).map_err(|error| self.unusable("opened", error))?;
        }
        let memory = Memory::load(&db).map_err(|trouble| match trouble {
            Trouble::Damaged(why) => self.damaged(why),
            other => self.damaged(other.told().to_string()),
        })?;
        let last = reads::last_id(&db).map_err(|trouble| self.damaged(trouble.told().to_string()))?;
        let checkpoint = Arc::new(Checkpoint::new(self.options.checkpoint_every, self.options.log_bytes_max));
        let readers = (0..self.options.readers.max(1)).map(|_| self.connect_reading()).collect::<Result<_, _>>()?;
        let checkpointing = self.connect(READER_CACHE_KIB)?;
        let started = |error: io::Error| self.unusable("opened", error);
        let readers = Readers::start(readers).map_err(started)?;
        let checkpointer = Checkpointer::start(Arc::clone(&checkpoint), checkpointing).map_err(started)?;
        let writer = Writer::start(db, memory, checkpoint, tokio::runtime::Handle::current()).map_err(started)?;
        Ok(Arc::new(SqliteStore::new(last, writer, readers, checkpointer, lock)))
    }

    /// Looks at the first bytes of a file without opening it as a database. `false` where there is nothing.
    pub(crate) fn sniff(&self) -> Result<bool, OpenError> {
        let log = beside(&self.file, "-wal");
        let has_log = fs::metadata(&log).is_ok_and(|log| log.len() > 0);
        let nothing = || if has_log { Err(OpenError::Bereft { file: self.file.clone(), log }) } else { Ok(false) };
        let mut header = [0; 100];
        let length = match File::open(&self.file) {
            Ok(mut file) => {
                let length = file.metadata().map_err(|error| self.unusable("read", error))?.len();
                if length == 0 {
                    return nothing();
                }
                if length < 512 {
                    return Err(self.foreign("it is too short to be a database"));
                }
                file.read_exact(&mut header).map_err(|error| self.unusable("read", error))?;
                length
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return nothing(),
            Err(error) => return Err(self.unusable("read", error)),
        };
        let number = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        if !header.starts_with(b"SQLite format 3\0") {
            return Err(self.foreign("it is not an SQLite database"));
        }
        if number(68) != schema::APPLICATION_ID {
            return Err(self.foreign("it is an SQLite database of another program"));
        }
        if number(60) > schema::VERSION {
            return Err(self.newer(number(60)));
        }
        // Only where there is no log to copy from do the header and the length have to agree.
        let expected = u64::from(number(28)) * u64::from(schema::PAGE_BYTES);
        if length < expected && !has_log {
            return Err(self.damaged(format!("it should have {expected} bytes and has {length}")));
        }
        Ok(true)
    }

    /// Takes the lock that is held as long as the store is open.
    pub(crate) fn lock(&self) -> Result<File, OpenError> {
        let path = beside(&self.file, ".lock");
        let lock =
            private().open(&path).map_err(|error| self.unusable("locked (its directory must be writable)", error))?;
        match lock.try_lock() {
            Ok(()) => Ok(lock),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse { file: self.file.clone(), lock: path }),
            Err(TryLockError::Error(error)) => Err(self.unusable("locked", error)),
        }
    }

    /// Makes a new store under another name, then gives it its own.
    fn create(&self) -> Result<(), OpenError> {
        let unmade = |error: io::Error| self.unusable("made", error);
        let fresh = Fresh::beside(&self.file, ".new").map_err(unmade)?;
        create_at(fresh.path()).map_err(|error| self.unusable("made", error))?;
        fresh.put(&self.file).map_err(unmade)
    }

    pub(crate) fn connect(&self, cache_kib: i64) -> Result<Connection, OpenError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let opened = Connection::open_with_flags(&self.file, flags).and_then(|db| {
            configure(&db, cache_kib)?;
            db.pragma_update(None, "synchronous", "FULL")?;
            db.pragma_update(None, "wal_autocheckpoint", 0)?;
            Ok(db)
        });
        opened.map_err(|error| self.refused(&error))
    }

    pub(crate) fn connect_reading(&self) -> Result<Connection, OpenError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let opened = Connection::open_with_flags(&self.file, flags).and_then(|db| {
            configure(&db, READER_CACHE_KIB)?;
            Ok(db)
        });
        opened.map_err(|error| self.refused(&error))
    }

    /// The schema version, as SQLite sees it with its log.
    pub(crate) fn version_check(&self, db: &Connection) -> Result<u32, OpenError> {
        let journal: String =
            db.query_row("PRAGMA journal_mode", [], |row| row.get(0)).map_err(|error| self.refused(&error))?;
        if journal != "wal" {
            return Err(self.damaged(format!("its journal mode is {journal}, not wal")));
        }
        let version =
            db.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(|error| self.refused(&error))?;
        if version > schema::VERSION { Err(self.newer(version)) } else { Ok(version) }
    }

    /// A small database is checked whole. Of a large one both ends of every table are read, where most is written, and the
    /// beginning of the index of what is held; the indexes of what waits are read whole when it is counted.
    fn damage_check(&self, db: &Connection) -> Result<(), OpenError> {
        let length = fs::metadata(&self.file).map_err(|error| self.unusable("read", error))?.len();
        if length <= CHECKED_WHOLE_BYTES_MAX {
            return self.whole_check(db);
        }
        ends_check(db).map_err(|error| self.refused(&error))
    }

    /// Reads every page.
    pub(crate) fn whole_check(&self, db: &Connection) -> Result<(), OpenError> {
        let found: String =
            db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(|error| self.refused(&error))?;
        if found == "ok" { Ok(()) } else { Err(self.damaged(found)) }
    }

    pub(crate) fn unusable(&self, what: &'static str, why: impl ToString) -> OpenError {
        Unusable { file: self.file.clone() }.because(what, why)
    }

    fn foreign(&self, why: &str) -> OpenError {
        OpenError::Foreign { file: self.file.clone(), why: why.to_owned() }
    }

    fn newer(&self, found: u32) -> OpenError {
        OpenError::Newer { file: self.file.clone(), found, known: schema::VERSION }
    }

    fn damaged(&self, why: impl Into<String>) -> OpenError {
        OpenError::Damaged { file: self.file.clone(), why: why.into() }
    }

    fn refused(&self, error: &rusqlite::Error) -> OpenError {
        use rusqlite::ErrorCode as Code;
        match error.sqlite_error_code() {
            Some(Code::DatabaseCorrupt | Code::NotADatabase) => self.damaged(error.to_string()),
            _ => self.unusable("opened", error),
        }
    }
}

fn configure(db: &Connection, cache_kib: i64) -> rusqlite::Result<()> {
    db.busy_timeout(schema::BUSY_WAIT)?;
    db.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    // Without this guarantee SQLite compiles a cached statement anew whenever a bound value might change its plan.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    db.pragma_update(None, "cache_size", -cache_kib)
}

/// Makes a store in a file that is empty.
fn create_at(file: &Path) -> rusqlite::Result<()> {
    let mut db = Connection::open(file)?;
    db.pragma_update(None, "page_size", schema::PAGE_BYTES)?;
    db.pragma_update(None, "application_id", schema::APPLICATION_ID)?;
    db.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    schema::migrate(&mut db, 0)?;
    db.close().map_err(|(_, error)| error)
}

fn ends_check(db: &Connection) -> rusqlite::Result<()> {
    let mut tables = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")?;
    let names: Vec<String> = tables.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for table in names {
        for order in ["", "DESC"] {
            // Without a name for the key, every table is walked by its own.
            let key: String = db.query_row(
                "SELECT group_concat(name || ' ' || ?2, ', ' ORDER BY pk) FROM pragma_table_info(?1) WHERE pk > 0",
                [table.as_str(), order],
                |row| row.get(0),
            )?;
            db.prepare(&format!("SELECT * FROM \"{table}\" ORDER BY {key} LIMIT 1"))?.exists([])?;
        }
    }
    db.prepare("SELECT 1 FROM delivery INDEXED BY held WHERE state IN (1, 2)")?.exists([])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Somebody else made and filled the store after this one had seen nothing there: it is opened, not made anew over it.
    #[tokio::test]
    async fn a_store_that_appeared_meanwhile_is_kept() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = canonical(&directory.path().join("hongyan.db")).expect("its directory is there");
        let late = Opening { file: file.clone(), options: Options::default() };
        assert!(!late.sniff().expect("nothing is there"));
        drop(open(&file, Options::default()).await.expect("opens"));
        let db = Connection::open(&file).expect("opens");
        db.execute("INSERT INTO note VALUES ('who', 'the first')", []).expect("writes");
        drop(db);
        let lock = late.lock().expect("the first one is gone");
        drop(late.open_locked(lock).expect("opens"));
        let db = Connection::open(&file).expect("opens");
        let kept: String = db.query_row("SELECT value FROM note", [], |row| row.get(0)).expect("is still there");
        assert_eq!(kept, "the first");
    }
}
