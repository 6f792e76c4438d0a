//! The node's clock: the machine's, corrected by how far it was off the database's at the last heartbeat, so that all nodes of a
//! store mean the same by "now" (design 5).

use std::{
    sync::atomic::{AtomicBool, AtomicI64, Ordering},
    time::Duration,
};

use hongyan_core::time::{Clock, SystemClock, Timestamp};

/// An answer that took longer than this says too little about when it was given.
const TRIP_MAX: Duration = Duration::from_millis(500);

/// A clock that follows the database's.
#[derive(Debug, Default)]
pub(crate) struct DatabaseClock {
    /// How far the machine's clock runs ahead, in milliseconds.
    ahead: AtomicI64,
    is_set: AtomicBool,
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
