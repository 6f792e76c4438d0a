//! The tasks that empty a queue. They end when the queue is closed and empty, or at once when the store is dropped.

use std::sync::{Mutex, PoisonError};

use tokio_util::task::AbortOnDropHandle;

/// Tasks of the store.
#[derive(Debug, Default)]
pub(crate) struct Workers(Mutex<Vec<AbortOnDropHandle<()>>>);

impl Workers {
    /// Starts `count` workers.
    pub(crate) fn start<F: Future<Output = ()> + Send + 'static>(count: i16, work: impl Fn(i16) -> F) -> Self {
        Self(Mutex::new((0..count).map(|n| AbortOnDropHandle::new(tokio::spawn(work(n)))).collect()))
    }

    /// Waits until they have ended.
    pub(crate) async fn ended(&self) {
        let workers = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for worker in workers {
            // One that panicked has nothing more to finish.
            drop(worker.await);
        }
    }
}
