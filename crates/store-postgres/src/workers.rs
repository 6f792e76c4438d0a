//! The tasks that empty a queue. They end when the queue is closed and empty, or at once when the store is dropped.

use std::{
    panic::AssertUnwindSafe,
    sync::{Mutex, PoisonError},
};

use futures_util::FutureExt;
use tokio_util::task::AbortOnDropHandle;

use crate::{
    queue::{Job, Queue},
    trouble::{Outcome, Trouble},
};

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

/// Works on what comes through a queue until it is closed and empty; `look` sees what is taken. Work that panics is the end of
/// what it was about, whose callers lose their answers, and not of the worker: nobody would ever be answered again.
pub(crate) async fn work_on<J: Job, F: Future<Output = ()>>(
    queue: &Queue<J>,
    look: impl Fn(&mut [J]),
    work: impl Fn(Vec<J>) -> F,
) {
    loop {
        let batch = async {
            match queue.take(&look).await {
                Some(jobs) => {
                    work(jobs).await;
                    true
                }
                None => false,
            }
        };
        match AssertUnwindSafe(batch).catch_unwind().await {
            Ok(true) => {}
            Ok(false) => return,
            Err(_) => tracing::error!("a worker of the store panicked; what it was at has no certain outcome"),
        }
    }
}

/// Does something for many; a panic is a trouble like others, with an outcome that nobody knows.
pub(crate) async fn guarded<T>(work: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    let done = AssertUnwindSafe(work).catch_unwind().await;
    done.unwrap_or_else(|_| Err(Trouble::Unconfirmed("the store panicked".to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Number(u8);

    impl Job for Number {
        fn bytes(&self) -> usize {
            1
        }
    }

    #[tokio::test]
    async fn a_panic_ends_its_batch_and_not_the_worker() {
        let queue = Queue::new();
        let done = Mutex::new(Vec::new());
        let worker = work_on(
            &queue,
            |jobs: &mut [Number]| assert!(jobs.iter().all(|job| job.0 != 1), "a look that panics"),
            async |jobs: Vec<Number>| {
                assert!(jobs.iter().all(|job| job.0 != 2), "work that panics");
                done.lock().expect("works").extend(jobs.into_iter().map(|job| job.0));
            },
        );
        let feed = async {
            for number in 1..=3 {
                queue.push(1, |_| Number(number)).await.expect("has room");
                tokio::task::yield_now().await;
            }
            queue.close();
        };
        tokio::join!(worker, feed);
        assert_eq!(*done.lock().expect("works"), [3]);
    }
}
