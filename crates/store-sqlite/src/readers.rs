//! Looking things up: a few threads, each with a read-only connection of its own, so that reading neither waits for the writer
//! nor blocks the threads that serve requests. Each look-up sees what was committed when it began.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
};

use hongyan_core::store::StoreResult;
use rusqlite::Connection;
use tokio::sync::{Semaphore, oneshot};

use crate::{
    operation::closed,
    trouble::{Outcome, Trouble},
};

/// The pool.
pub(crate) struct Readers {
    queue: Mutex<Option<SyncSender<Look>>>,
    places: Arc<Semaphore>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

type Look = Box<dyn FnOnce(&Connection) + Send>;

/// Look-ups that may wait; more wait for a place.
const QUEUE_MAX: usize = 1_024;

impl Readers {
    /// Starts a thread for each connection.
    pub(crate) fn start(connections: Vec<Connection>) -> std::io::Result<Self> {
        let (queue, waiting) = sync_channel(QUEUE_MAX);
        let waiting = Arc::new(Mutex::new(waiting));
        let start = |db| {
            let waiting = Arc::clone(&waiting);
            thread::Builder::new().name("store-reader".to_owned()).spawn(move || serve(&db, &waiting))
        };
        let threads = connections.into_iter().map(start).collect::<Result<_, _>>()?;
        Ok(Self {
            queue: Mutex::new(Some(queue)),
            places: Arc::new(Semaphore::new(QUEUE_MAX)),
            threads: Mutex::new(threads),
        })
    }

    /// Runs a look-up on one of the threads.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Connection) -> Outcome<T> + Send + 'static,
    ) -> StoreResult<T> {
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| closed())?;
        let (reply, answer) = oneshot::channel();
        let look: Look = Box::new(move |db| {
            let found = catch_unwind(AssertUnwindSafe(|| look(db))).unwrap_or(Err(Trouble::Panicked));
            drop(place);
            // Nobody may be waiting any more.
            let _ = reply.send(found.map_err(|trouble| trouble.told()));
        });
        {
            let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            queue.as_ref().and_then(|queue| queue.try_send(look).ok()).ok_or_else(closed)?;
        }
        answer.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Finishes what waits and ends the threads. Blocks.
    pub(crate) fn close(&self) {
        self.places.close();
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            if thread.thread().id() != thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.close();
    }
}

fn serve(db: &Connection, waiting: &Mutex<Receiver<Look>>) {
    loop {
        // The lock is held while waiting for the next look-up, never while doing one.
        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match next {
            Ok(look) => look(db),
            Err(_) => return,
        }
    }
}
