//! The node's clock: the machine's, corrected by how far it was off the database's at the last heartbeat, so that all nodes of a
//! store mean the same by "now" (design 5).

use std::sync::atomic::{AtomicI64, Ordering};

use hongyan_core::time::{Clock, SystemClock, Timestamp};

/// A clock that follows the database's.
#[derive(Debug, Default)]
pub(crate) struct DatabaseClock {
    /// How far the machine's clock runs ahead, in milliseconds.
    ahead: AtomicI64,
}

impl DatabaseClock {
    /// The database said `there` between `before` and `after` by the machine's clock.
    pub(crate) fn measured(&self, there: Timestamp, before: Timestamp, after: Timestamp) {
        let here = i64::midpoint(before.ms(), after.ms());
        self.ahead.store(here - there.ms(), Ordering::Relaxed);
    }

    /// How far the machine's clock runs ahead of the database's, in milliseconds.
    pub(crate) fn ahead_ms(&self) -> i64 {
        self.ahead.load(Ordering::Relaxed)
    }
}

impl Clock for DatabaseClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_ms(SystemClock.now().ms() - self.ahead_ms())
    }
}
