//! The node's clock: it goes steadily, whatever is done to the machine's, and is set by the database's at each heartbeat, so that
//! all nodes of a store mean the same by "now" (design 5) and a machine whose clock is moved harms nobody.

use std::{
    sync::atomic::{AtomicBool, AtomicI64, Ordering},
    time::Duration,
};

use hongyan_core::time::{Clock, SystemClock, Timestamp};
use tokio::time::Instant;

/// An answer that took longer than this says too little about when it was given.
const TRIP_MAX: Duration = Duration::from_millis(500);

/// A clock that follows the database's.
#[derive(Debug)]
pub(crate) struct DatabaseClock {
    /// When this clock began, and what the machine's said then, in milliseconds.
    begun: (Instant, i64),
    /// How far the steady time since then runs ahead of the database's, in milliseconds.
    steady_ahead: AtomicI64,
    /// How far the machine's clock did when it was last compared.
    ahead: AtomicI64,
    is_set: AtomicBool,
}

impl Default for DatabaseClock {
    fn default() -> Self {
        Self {
            begun: (Instant::now(), SystemClock.now().ms()),
            steady_ahead: AtomicI64::new(0),
            ahead: AtomicI64::new(0),
            is_set: AtomicBool::new(false),
        }
    }
}

impl DatabaseClock {
    /// The database said `there` between `before` and `after` by the machine's clock.
    pub(crate) fn measured(&self, there: Timestamp, before: Timestamp, after: Timestamp) {
        let is_exact = after >= before && after.since(before) <= TRIP_MAX;
        if self.is_set.swap(true, Ordering::Relaxed) && !is_exact {
            return;
        }
        let here = i64::midpoint(before.ms(), after.ms());
        self.ahead.store(here - there.ms(), Ordering::Relaxed);
        let moved = SystemClock.now().ms() - self.steady();
        self.steady_ahead.store(here - moved - there.ms(), Ordering::Relaxed);
    }

    /// Milliseconds that go on steadily from what the machine's clock said at first.
    fn steady(&self) -> i64 {
        let (at, ms) = self.begun;
        ms.saturating_add(i64::try_from(at.elapsed().as_millis()).unwrap_or(i64::MAX))
    }

    /// How far the machine's clock runs ahead of the database's, in milliseconds.
    pub(crate) fn ahead_ms(&self) -> i64 {
        self.ahead.load(Ordering::Relaxed)
    }
}

impl Clock for DatabaseClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_ms(self.steady() - self.steady_ahead.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_exact_answers_and_takes_a_late_one_only_for_want_of_a_better() {
        let ms = Timestamp::from_ms;
        let clock = DatabaseClock::default();
        clock.measured(ms(1_000), ms(5_000), ms(9_000));
        assert_eq!(clock.ahead_ms(), 6_000);
        clock.measured(ms(2_000), ms(4_990), ms(5_010));
        assert_eq!(clock.ahead_ms(), 3_000);
        clock.measured(ms(2_000), ms(5_000), ms(9_000));
        clock.measured(ms(2_000), ms(5_000), ms(4_000));
        assert_eq!(clock.ahead_ms(), 3_000);
    }
}
