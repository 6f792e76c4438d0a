//! A queue of jobs that share commits: bounded in number and bytes, emptied in batches by a few workers. Whoever would overfill
//! it is refused or waits; what is in it is finished whether or not anybody still waits for the answer.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use hongyan_core::{limits, store::StoreResult};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, TryAcquireError};

use crate::{pool::closed, trouble::Trouble};

/// A job in a queue.
pub(crate) trait Job: Send {
    /// How many bytes it brings, roughly.
    fn bytes(&self) -> usize;
}

/// The room that a job takes; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Room {
    _place: OwnedSemaphorePermit,
    _bytes: Option<OwnedSemaphorePermit>,
}

/// The queue.
pub(crate) struct Queue<J> {
    waiting: Mutex<VecDeque<J>>,
    filled: Notify,
    places: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    closed: AtomicBool,
}

impl<J: Job> Queue<J> {
    /// An empty queue.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            waiting: Mutex::default(),
            filled: Notify::new(),
            places: Arc::new(Semaphore::new(limits::WRITE_QUEUE_MAX)),
            bytes: Arc::new(Semaphore::new(limits::WRITE_QUEUE_BYTES_MAX)),
            closed: AtomicBool::new(false),
        })
    }

    /// Puts a job of so many bytes into the queue, or refuses it when there is no room.
    pub(crate) fn push_or_refuse(&self, bytes: usize, job: impl FnOnce(Room) -> J) -> StoreResult<()> {
        let refused = |error| match error {
            TryAcquireError::Closed => closed().told(),
            TryAcquireError::NoPermits => Trouble::Busy("too many requests wait to be written").told(),
        };
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(refused)?;
        let bytes = match permits(bytes) {
            0 => None,
            n => Some(Arc::clone(&self.bytes).try_acquire_many_owned(n).map_err(refused)?),
        };
        self.put(job(Room { _place: place, _bytes: bytes }));
        Ok(())
    }

    /// Puts a job of so many bytes into the queue, after waiting for room.
    pub(crate) async fn push(&self, bytes: usize, job: impl FnOnce(Room) -> J) -> StoreResult<()> {
        let gone = |_| closed().told();
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(gone)?;
        let bytes = match permits(bytes) {
            0 => None,
            n => Some(Arc::clone(&self.bytes).acquire_many_owned(n).await.map_err(gone)?),
        };
        self.put(job(Room { _place: place, _bytes: bytes }));
        Ok(())
    }

    /// What may share a commit, after waiting for something; `look` sees it before anybody else can take what follows. `None`
    /// when the queue is closed and empty.
    pub(crate) async fn take(&self, look: impl Fn(&mut [J])) -> Option<Vec<J>> {
        loop {
            let filled = self.filled.notified();
            if let Some(jobs) = self.take_now(&look) {
                return Some(jobs);
            }
            if self.closed.load(Ordering::Acquire) {
                return None;
            }
            filled.await;
        }
    }

    fn take_now(&self, look: impl Fn(&mut [J])) -> Option<Vec<J>> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut count, mut bytes) = (0, 0);
        for job in waiting.iter().take(limits::COMMIT_OPERATIONS_MAX) {
            bytes += job.bytes();
            if bytes > limits::COMMIT_BYTES_MAX && count > 0 {
                break;
            }
            count += 1;
        }
        if count == 0 {
            return None;
        }
        let mut jobs: Vec<J> = waiting.drain(..count).collect();
        look(&mut jobs);
        if !waiting.is_empty() {
            self.filled.notify_one();
        }
        Some(jobs)
    }

    /// Refuses everything new; workers end when the queue is empty.
    pub(crate) fn close(&self) {
        self.places.close();
        self.bytes.close();
        self.closed.store(true, Ordering::Release);
        self.filled.notify_waiters();
        // For a worker that is about to wait.
        self.filled.notify_one();
    }

    /// What is left in it, for whoever closes it without finishing.
    pub(crate) fn rest(&self) -> VecDeque<J> {
        std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn put(&self, job: J) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push_back(job);
        self.filled.notify_one();
    }
}

/// The permits for so many bytes; what is larger than the whole queue takes the whole queue.
fn permits(bytes: usize) -> u32 {
    u32::try_from(bytes.min(limits::WRITE_QUEUE_BYTES_MAX)).unwrap_or(u32::MAX)
}
