//! The writer: one thread, one connection, one transaction at a time. It takes whatever waits in its queue and commits it
//! together; if anything fails, the whole is rolled back and each operation runs alone, so that a failure is the fault of
//! the one who gets it. Only where no transaction can begin are all refused at once: alone each would fail the same. The queue is bounded in operations and in bytes: a submit that finds no room is refused, everything
//! else waits for room.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, TryRecvError, sync_channel},
    },
    thread::{self, JoinHandle},
};

use hongyan_core::{
    limits,
    store::{Commits, StoreError, StoreResult},
};
use rusqlite::Connection;
use tokio::{
    runtime::Handle,
    sync::{Semaphore, TryAcquireError},
};

use crate::{
    checkpoint::Checkpoint,
    memory::Memory,
    operation::{Job, Operation, Queued, Room, closed},
    transaction::{Links, Stage, Transaction},
    trouble::{Outcome, Trouble},
};

/// The writer as the rest of the store sees it.
pub(crate) struct Writer {
    queue: SyncSender<Message>,
    places: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What both sides of the queue see.
#[derive(Default)]
pub(crate) struct Shared {
    links: Mutex<Links>,
    commits: AtomicU64,
    operations: AtomicU64,
}

enum Message {
    Job(Box<dyn Job>),
    Close,
}

/// The queue has room for everything that may wait, and beside it for a close and for what comes through [`BackDoor`].
const QUEUE_SLOTS: usize = limits::WRITE_QUEUE_MAX + 1_024;

/// A way into the queue for what must be undone and for which nobody can wait: it takes no room from others.
#[derive(Clone)]
pub(crate) struct BackDoor(SyncSender<Message>);

impl BackDoor {
    /// Runs an operation without waiting for its answer.
    pub(crate) fn write<O: Operation>(&self, operation: O) {
        // A queue that is full or closed leaves it to recovery.
        let _ = self.0.try_send(Message::Job(Queued::new(operation, None).0));
    }
}

impl Writer {
    /// Starts the thread; replies are given on `runtime`.
    pub(crate) fn start(
        db: Connection,
        memory: Memory,
        checkpoint: Arc<Checkpoint>,
        runtime: Handle,
    ) -> std::io::Result<Self> {
        let (queue, waiting) = sync_channel(QUEUE_SLOTS);
        let shared = Arc::new(Shared::default());
        let thread_shared = Arc::clone(&shared);
        let thread = thread::Builder::new().name("store-writer".to_owned()).spawn(move || {
            WriterThread {
                db,
                memory,
                checkpoint,
                runtime,
                shared: thread_shared,
                waiting,
                next: None,
                closing: false,
            }
            .run();
        })?;
        Ok(Self {
            queue,
            places: Arc::new(Semaphore::new(limits::WRITE_QUEUE_MAX)),
            bytes: Arc::new(Semaphore::new(limits::WRITE_QUEUE_BYTES_MAX)),
            shared,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Runs an operation, or refuses it when there is no room. Everything up to the queue happens when this is first polled.
    pub(crate) async fn write_or_refuse<O: Operation>(&self, operation: O) -> StoreResult<O::Answer> {
        let room = self.room_now(operation.bytes())?;
        self.enqueue(operation, room).await
    }

    /// Runs an operation, after waiting for room.
    pub(crate) async fn write<O: Operation>(&self, operation: O) -> StoreResult<O::Answer> {
        let room = self.room_wait(operation.bytes()).await?;
        self.enqueue(operation, room).await
    }

    /// The way in for what nobody waits for.
    pub(crate) fn back_door(&self) -> BackDoor {
        BackDoor(self.queue.clone())
    }

    /// Connects the writer to the rest of the node.
    pub(crate) fn attach(&self, links: Links) {
        *self.shared.links.lock().unwrap_or_else(PoisonError::into_inner) = links;
    }

    /// How well commits were shared.
    pub(crate) fn commits(&self) -> Commits {
        Commits {
            commits: self.shared.commits.load(Ordering::Relaxed),
            operations: self.shared.operations.load(Ordering::Relaxed),
        }
    }

    /// Refuses everything new, finishes what waits and ends the thread. Blocks; done already, it does nothing.
    pub(crate) fn close(&self) {
        self.places.close();
        self.bytes.close();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(thread) = thread else { return };
        // The queue has slots to spare; a thread that is gone needs no word.
        let _ = self.queue.send(Message::Close);
        // Where the last reference to the store was dropped by the writer itself, there is nobody to wait for.
        if thread.thread().id() != thread::current().id() {
            let _ = thread.join();
        }
        self.attach(Links::default());
    }

    async fn enqueue<O: Operation>(&self, operation: O, room: Room) -> StoreResult<O::Answer> {
        let (job, answer) = Queued::new(operation, Some(room));
        self.queue.try_send(Message::Job(job)).map_err(|_| closed())?;
        answer.await.unwrap_or_else(|_| {
            Err(StoreError::Unavailable { why: "the store's writer gave no answer".to_owned(), certain: false })
        })
    }

    fn room_now(&self, bytes: usize) -> StoreResult<Room> {
        let refused = |error| match error {
            TryAcquireError::Closed => closed(),
            TryAcquireError::NoPermits => StoreError::Busy("too many requests wait to be written".to_owned()),
        };
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(refused)?;
        let bytes = match permits(bytes) {
            0 => None,
            n => Some(Arc::clone(&self.bytes).try_acquire_many_owned(n).map_err(refused)?),
        };
        Ok(Room { _place: place, _bytes: bytes })
    }

    async fn room_wait(&self, bytes: usize) -> StoreResult<Room> {
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| closed())?;
        let bytes = match permits(bytes) {
            0 => None,
            n => Some(Arc::clone(&self.bytes).acquire_many_owned(n).await.map_err(|_| closed())?),
        };
        Ok(Room { _place: place, _bytes: bytes })
    }
}

/// The permits for so many bytes; what is larger than the whole queue takes the whole queue.
fn permits(bytes: usize) -> u32 {
    u32::try_from(bytes.min(limits::WRITE_QUEUE_BYTES_MAX)).unwrap_or(u32::MAX)
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.close();
    }
}

/// The thread's side.
struct WriterThread {
    db: Connection,
    memory: Memory,
    checkpoint: Arc<Checkpoint>,
    runtime: Handle,
    shared: Arc<Shared>,
    waiting: Receiver<Message>,
    /// A job that did not fit into the last commit.
    next: Option<Box<dyn Job>>,
    /// Whether the thread ends when the queue is empty.
    closing: bool,
}

impl WriterThread {
    fn run(mut self) {
        while let Some(jobs) = self.batch() {
            // Jobs that are dropped by a panic here answer by their dropped replies.
            if catch_unwind(AssertUnwindSafe(|| self.together(jobs))).is_err() {
                tracing::error!("the store's writer panicked and goes on");
                self.roll_back();
            }
        }
    }

    /// Waits for something to do and takes what may share a commit; `None` when it is time to end.
    fn batch(&mut self) -> Option<Vec<Box<dyn Job>>> {
        let (mut jobs, mut bytes) = (Vec::new(), 0);
        while jobs.len() < limits::COMMIT_OPERATIONS_MAX {
            let Some(job) = self.next.take().or_else(|| self.receive(jobs.is_empty())) else { break };
            bytes += job.bytes();
            if bytes > limits::COMMIT_BYTES_MAX && !jobs.is_empty() {
                self.next = Some(job);
                break;
            }
            jobs.push(job);
        }
        (!jobs.is_empty()).then_some(jobs)
    }

    /// The next job in the queue, if need be after waiting for it.
    fn receive(&mut self, wait: bool) -> Option<Box<dyn Job>> {
        loop {
            let message = if wait && !self.closing {
                self.waiting.recv().map_err(|_| TryRecvError::Disconnected)
            } else {
                self.waiting.try_recv()
            };
            match message {
                Ok(Message::Job(job)) => return Some(job),
                Ok(Message::Close) => self.closing = true,
                Err(_) => return None,
            }
        }
    }

    /// Commits jobs together, or, where that fails, each alone.
    fn together(&mut self, mut jobs: Vec<Box<dyn Job>>) {
        if self.checkpoint.is_asked_to_restart() {
            self.checkpoint.restart(&self.db);
        }
        match self.transact(&mut jobs) {
            Ok(stage) => self.answer(jobs, stage),
            Err(NotDone { error, by_jobs }) if jobs.len() == 1 || !by_jobs || !error.certainly_not_done() => {
                refuse(jobs, &error);
            }
            Err(_) => {
                for job in jobs {
                    let mut alone = vec![job];
                    match self.transact(&mut alone) {
                        Ok(stage) => self.answer(alone, stage),
                        Err(NotDone { error, .. }) => refuse(alone, &error),
                    }
                }
            }
        }
    }

    /// Runs jobs in one transaction. When it fails, memory and desk are as if it had never begun; the error is what the
    /// jobs are told.
    fn transact(&mut self, jobs: &mut [Box<dyn Job>]) -> Result<Stage, NotDone> {
        // Another program may hold the write lock, and this has waited for it already.
        if let Err(trouble) = execute(&self.db, "BEGIN IMMEDIATE") {
            self.roll_back();
            return Err(NotDone { error: trouble.told(), by_jobs: false });
        }
        let links = self.shared.links.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut stage = Stage::default();
        let before = self.db.total_changes();
        let ran = catch_unwind(AssertUnwindSafe(|| run_all(&self.db, &mut self.memory, &mut stage, &links, jobs)));
        let committed = match ran.unwrap_or(Err(Trouble::Panicked)) {
            Ok(()) => execute(&self.db, "COMMIT").map_err(|trouble| trouble.told_after_commit()),
            Err(trouble) => Err(trouble.told()),
        };
        if let Err(error) = committed {
            self.roll_back();
            stage.drop_reservations(&links);
            return Err(NotDone { error, by_jobs: true });
        }
        self.memory.committed();
        if self.db.total_changes() != before {
            self.shared.commits.fetch_add(1, Ordering::Relaxed);
            self.shared.operations.fetch_add(u64::try_from(jobs.len()).unwrap_or(u64::MAX), Ordering::Relaxed);
            self.checkpoint.grown();
        }
        Ok(stage)
    }

    /// Says what is to be said after a commit, then answers: in one task for all, for waking each caller from this thread would
    /// cost a commit of many requests more than its disk does.
    fn answer(&self, jobs: Vec<Box<dyn Job>>, stage: Stage) {
        let links = self.shared.links.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if catch_unwind(AssertUnwindSafe(|| stage.publish(&links))).is_err() {
            tracing::error!("what follows a commit panicked; polling will find what it missed");
        }
        self.runtime.spawn(async move { jobs.into_iter().for_each(|job| job.answer(Ok(()))) });
    }

    fn roll_back(&mut self) {
        // SQLite may have rolled back by itself.
        if !self.db.is_autocommit()
            && let Err(trouble) = execute(&self.db, "ROLLBACK")
        {
            tracing::error!(error = ?trouble, "rolling back failed");
        }
        self.memory.rolled_back();
    }
}

/// Why a transaction did not happen.
struct NotDone {
    /// What the jobs are told.
    error: StoreError,
    /// Whether it had begun, so that one of its jobs may be at fault and the others may succeed without it.
    by_jobs: bool,
}

/// Runs jobs in the transaction that has begun.
fn run_all(
    db: &Connection,
    memory: &mut Memory,
    stage: &mut Stage,
    links: &Links,
    jobs: &mut [Box<dyn Job>],
) -> Outcome<()> {
    let mut tx = Transaction { db, memory, stage, links };
    jobs.iter_mut().try_for_each(|job| job.run(&mut tx))
}

fn execute(db: &Connection, sql: &str) -> Outcome<()> {
    db.prepare_cached(sql)?.execute([])?;
    Ok(())
}

fn refuse(jobs: Vec<Box<dyn Job>>, error: &StoreError) {
    for job in jobs {
        job.answer(Err(error.clone()));
    }
}
