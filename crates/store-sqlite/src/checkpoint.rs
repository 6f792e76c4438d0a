//! Checkpoints off the commit path: a thread with a connection of its own copies the write-ahead log into the database a few
//! times a second, without holding up the writer. A writer that never pauses would let the log grow without bound, for the
//! log starts over only when all of it has been copied; so once it is long, the writer is asked to finish the copying itself
//! between two commits, which is short work because most is done.

use std::{
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rusqlite::Connection;

use crate::schema;

/// How long the writer waits, while it starts the log over, for readers that still use the old one. Where one takes longer,
/// the writer is asked again.
const READER_WAIT: Duration = Duration::from_millis(200);
/// How long it waits once it has waited in vain: somebody reads for a while (a backup does), and the writer has other work.
const LONG_READER_WAIT: Duration = Duration::from_millis(10);

/// What the writer and the checkpointer say to each other.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    signal: Mutex<Signal>,
    changed: Condvar,
    restart: AtomicBool,
    /// Whether the last restart waited in vain.
    in_vain: AtomicBool,
    every: Duration,
    log_bytes_max: u64,
}

#[derive(Debug, Default)]
struct Signal {
    grown: bool,
    stop: bool,
}

/// The thread; it ends when this is dropped.
pub(crate) struct Checkpointer {
    checkpoint: Arc<Checkpoint>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpoint {
    /// Copies every `every` while the log grows; asks the writer when it is longer than `log_bytes_max`.
    pub(crate) fn new(every: Duration, log_bytes_max: u64) -> Self {
        let (signal, changed) = (Mutex::default(), Condvar::new());
        let (restart, in_vain) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { signal, changed, restart, in_vain, every, log_bytes_max }
    }

    /// The log has grown.
    pub(crate) fn grown(&self) {
        let mut signal = self.signal.lock().unwrap_or_else(PoisonError::into_inner);
        if !signal.grown {
            signal.grown = true;
            self.changed.notify_one();
        }
    }

    /// Whether the writer is to call [`Checkpoint::restart`].
    pub(crate) fn is_asked_to_restart(&self) -> bool {
        self.restart.load(Ordering::Acquire)
    }

    /// Copies the rest of the log, so that the next commit begins it anew. By the writer, between two transactions.
    pub(crate) fn restart(&self, db: &Connection) {
        let wait = if self.in_vain.load(Ordering::Relaxed) { LONG_READER_WAIT } else { READER_WAIT };
        let restarted = db.busy_timeout(wait).and_then(|()| pass(db, "RESTART"));
        self.in_vain.store(restarted.as_ref().is_ok_and(|pass| pass.in_vain), Ordering::Relaxed);
        // Whatever came of it, the writer waits for its own locks as before.
        if let Err(error) = restarted.map(drop).and(db.busy_timeout(schema::BUSY_WAIT)) {
            tracing::warn!(%error, "the write-ahead log could not be started over");
        }
        self.restart.store(false, Ordering::Release);
    }

    fn stop(&self) {
        self.signal.lock().unwrap_or_else(PoisonError::into_inner).stop = true;
        self.changed.notify_one();
    }

    /// Waits until the log has grown and a while has passed; `false` when it is time to end.
    fn wait(&self) -> bool {
        let signal = self.signal.lock().unwrap_or_else(PoisonError::into_inner);
        let signal = self.changed.wait_while(signal, |s| !s.grown && !s.stop).unwrap_or_else(PoisonError::into_inner);
        let (mut signal, _) =
            self.changed.wait_timeout_while(signal, self.every, |s| !s.stop).unwrap_or_else(PoisonError::into_inner);
        signal.grown = false;
        !signal.stop
    }

    fn run(&self, db: &Connection) {
        while self.wait() {
            // While the writer is asked, the log is left to it: two checkpoints at a time refuse each other.
            if self.is_asked_to_restart() {
                continue;
            }
            match pass(db, "PASSIVE") {
                Ok(Pass { log_bytes, .. }) if log_bytes > self.log_bytes_max => {
                    self.restart.store(true, Ordering::Release)
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "a checkpoint failed; the next one will do its work"),
            }
        }
    }
}

impl Checkpointer {
    /// Starts the thread.
    pub(crate) fn start(checkpoint: Arc<Checkpoint>, db: Connection) -> std::io::Result<Self> {
        let shared = Arc::clone(&checkpoint);
        let thread = thread::Builder::new().name("store-checkpoint".to_owned()).spawn(move || shared.run(&db))?;
        Ok(Self { checkpoint, thread: Some(thread) })
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.checkpoint.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What a checkpoint came to.
struct Pass {
    /// Somebody still used the log, so that it could not be started over.
    in_vain: bool,
    /// How long the log is.
    log_bytes: u64,
}

/// One checkpoint.
fn pass(db: &Connection, mode: &str) -> rusqlite::Result<Pass> {
    let (in_vain, frames): (bool, i64) =
        db.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(Pass { in_vain, log_bytes: u64::try_from(frames).unwrap_or(0) * u64::from(schema::PAGE_BYTES) })
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// A backup reads for a while: the writer waits for it once as for any other reader, then hardly at all, until it is gone.
    #[test]
    fn a_long_reader_is_waited_for_once() {
        let directory = tempfile::tempdir().expect("a directory");
        let open = || Connection::open(directory.path().join("hongyan.db")).expect("opens");
        let (db, reader) = (open(), open());
        db.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).expect("sets");
        db.execute_batch("CREATE TABLE t (x)").expect("writes");
        reader.execute_batch("BEGIN; SELECT * FROM t").expect("reads");
        db.execute_batch("INSERT INTO t VALUES (1)").expect("writes");
        let checkpoint = Checkpoint::new(Duration::from_secs(1), 1);
        checkpoint.restart(&db);
        assert!(checkpoint.in_vain.load(Ordering::Relaxed));
        let begun = Instant::now();
        checkpoint.restart(&db);
        assert!(begun.elapsed() < READER_WAIT, "waited {:?}", begun.elapsed());
        reader.execute_batch("COMMIT").expect("ends");
        checkpoint.restart(&db);
        assert!(!checkpoint.in_vain.load(Ordering::Relaxed));
    }

    #[test]
    fn a_restart_that_fails_leaves_the_writers_patience() {
        let directory = tempfile::tempdir().expect("a directory");
        let db = Connection::open(directory.path().join("hongyan.db")).expect("opens");
        db.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).expect("sets");
        // Inside a transaction of one's own nothing can be copied.
        db.execute_batch("CREATE TABLE t (x); BEGIN IMMEDIATE; INSERT INTO t VALUES (1)").expect("writes");
        assert!(pass(&db, "RESTART").is_err());
        Checkpoint::new(Duration::from_secs(1), 1).restart(&db);
        let patience: i64 = db.query_row("PRAGMA busy_timeout", [], |row| row.get(0)).expect("reads");
        assert_eq!(u128::try_from(patience), Ok(schema::BUSY_WAIT.as_millis()));
    }
}
