//! The store's connections: made as they are needed, kept while they work, and never more than a few. After a failure the next
//! attempt waits a moment, so that a database that is away is not besieged.

use std::{
    ops::Deref,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hongyan_core::store::StoreError;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use crate::{
    session::Session,
    target::Target,
    trouble::{Outcome, Trouble},
};

/// How long after a failed attempt to connect others are refused unheard.
const PAUSE: Duration = Duration::from_millis(200);

/// How long one who tries whether the database is back keeps others from trying as well, at most: hosts that are gone answer
/// nothing at all.
const TRIAL: Duration = Duration::from_secs(3);

/// Connections to one database.
pub(crate) struct Pool {
    target: Arc<Target>,
    idle: Mutex<Vec<Session>>,
    permits: Arc<Semaphore>,
    /// The last failure to connect, and until when it is the answer to everybody.
    failed: Mutex<Option<(Instant, String)>>,
}

/// A connection in use. It goes back to the pool when it is dropped outside a transaction and still works.
pub(crate) struct Lent {
    session: Option<Session>,
    pool: Arc<Pool>,
    in_transaction: AtomicBool,
    _permit: OwnedSemaphorePermit,
}

impl Pool {
    /// A pool of at most `size` connections.
    pub(crate) fn new(target: Arc<Target>, size: usize) -> Arc<Self> {
        Arc::new(Self {
            target,
            idle: Mutex::default(),
            permits: Arc::new(Semaphore::new(size)),
            failed: Mutex::default(),
        })
    }

    /// A connection; waits for one to come free.
    pub(crate) async fn lend(self: &Arc<Self>) -> Outcome<Lent> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| closed())?;
        let session = match self.idle_one() {
            Some(session) => session,
            None => self.connect().await?,
        };
        Ok(Lent {
            session: Some(session),
            pool: Arc::clone(self),
            in_transaction: AtomicBool::new(false),
            _permit: permit,
        })
    }

    /// Refuses everything new and drops what is idle.
    pub(crate) fn close(&self) {
        self.permits.close();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Forgets idle connections, which may lead to a server that is none any more.
    pub(crate) fn forget(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn idle_one(&self) -> Option<Session> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        std::iter::from_fn(|| idle.pop()).find(Session::is_usable)
    }

    async fn connect(&self) -> Outcome<Session> {
        self.may_connect()?;
        let connected = self.target.connect().await;
        let why = connected.as_ref().err().map(|trouble| match trouble.told() {
            StoreError::Unavailable { why, .. } => why,
            other => other.to_string(),
        });
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = why.map(|why| (Instant::now() + PAUSE, why));
        connected
    }
}

impl Pool {
    /// Whoever comes while the database is away is told so at once: one at a time tries whether it is back.
    fn may_connect(&self) -> Outcome<()> {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((until, why)) = failed.as_mut() else { return Ok(()) };
        if Instant::now() < *until {
            return Err(Trouble::Away(why.clone()));
        }
        *until = Instant::now() + TRIAL;
        Ok(())
    }
}

impl Lent {
    /// From now on until [`Lent::settled`] a drop closes the connection, which rolls back.
    pub(crate) fn enter(&self) {
        self.in_transaction.store(true, Ordering::Relaxed);
    }

    /// The transaction has ended.
    pub(crate) fn settled(&self) {
        self.in_transaction.store(false, Ordering::Relaxed);
    }
}

impl Deref for Lent {
    type Target = Session;

    fn deref(&self) -> &Session {
        match &self.session {
            Some(session) => session,
            None => unreachable!("only a drop takes the session"),
        }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some(session) = self.session.take() else { return };
        if !session.is_usable() {
            // The others lead to the same server: the next one who needs a connection finds out where the server is now.
            self.pool.forget();
        } else if !self.in_transaction.load(Ordering::Relaxed) && !self.pool.permits.is_closed() {
            self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner).push(session);
        }
    }
}

/// What is told to whoever asks a store that was closed.
pub(crate) fn closed() -> Trouble {
    Trouble::Away("the store is closed".to_owned())
}
