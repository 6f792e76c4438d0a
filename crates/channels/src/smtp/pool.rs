//! Sessions kept between transactions. The last one returned is the first one taken, so that what is not needed grows idle and
//! is closed; how many there are at most is the caller's to bound, by how many calls it has in flight.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Instant,
};

use tokio::{task::JoinSet, time::sleep_until};

use super::{session::Session, settings::Settings};

/// The idle sessions of one provider.
pub(super) struct Pool {
    settings: Arc<Settings>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    idle: Vec<Session>,
    /// A task waits to close what has been idle for too long.
    is_reaped: bool,
    is_closed: bool,
}

impl Pool {
    pub(super) fn new(settings: Arc<Settings>) -> Arc<Self> {
        Arc::new(Self { settings, state: Mutex::default() })
    }

    /// A session that was used before; absent: open one.
    pub(super) fn take(&self) -> Option<Session> {
        loop {
            let session = self.state().idle.pop()?;
            if self.is_fit(&session) {
                return Some(session);
            }
            self.retire(session);
        }
    }

    /// Takes a session back.
    pub(super) fn put(self: &Arc<Self>, mut session: Session) {
        session.used = Instant::now();
        let mut state = self.state();
        if state.is_closed || !self.is_fit(&session) {
            drop(state);
            return self.retire(session);
        }
        state.idle.push(session);
        if !state.is_reaped {
            state.is_reaped = true;
            tokio::spawn(reap(Arc::downgrade(self)));
        }
    }

    /// Closes every idle session, and each of the others when it comes back. Returns once the servers have answered or the
    /// time for that is over.
    pub(super) async fn close(&self) {
        let idle = {
            let mut state = self.state();
            state.is_closed = true;
            std::mem::take(&mut state.idle)
        };
        self.quit_all(idle).await;
    }

    /// Whether a session may carry one more message.
    fn is_fit(&self, session: &Session) -> bool {
        session.messages < self.settings.messages_max
            && session.opened.elapsed() < self.settings.age_max
            && session.used.elapsed() < self.settings.idle_max
    }

    /// Says good-bye beside the caller, who is not to wait for it. Once in a session's life, not per message.
    fn retire(&self, session: Session) {
        let settings = Arc::clone(&self.settings);
        tokio::spawn(async move { session.quit(&settings.timeouts).await });
    }

    async fn quit_all(&self, sessions: Vec<Session>) {
        let timeouts = self.settings.timeouts;
        let mut leaving: JoinSet<()> =
            sessions.into_iter().map(|session| async move { session.quit(&timeouts).await }).collect();
        while leaving.join_next().await.is_some() {}
    }

    /// Removes and returns what is no longer fit, and says when the next one will be; absent: nothing is idle, and the task
    /// that asks ends.
    fn worn(&self) -> (Vec<Session>, Option<Instant>) {
        let mut state = self.state();
        let (fit, worn) = std::mem::take(&mut state.idle).into_iter().partition(|session| self.is_fit(session));
        state.idle = fit;
        let ends =
            |session: &Session| (session.used + self.settings.idle_max).min(session.opened + self.settings.age_max);
        let next = state.idle.iter().map(ends).min();
        state.is_reaped = next.is_some();
        (worn, next)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes sessions when their time is over, until none is idle or the pool is gone.
async fn reap(pool: Weak<Pool>) {
    while let Some(alive) = pool.upgrade() {
        let (worn, next) = alive.worn();
        alive.quit_all(worn).await;
        drop(alive);
        let Some(next) = next else { return };
        sleep_until(next.into()).await;
    }
}
