//! A provider's breaker: after [`limits::BREAKER_FAULTS`] faults in a row (or one of its configuration) nothing is sent; when
//! its wait is over one call probes; a success closes it, a fault doubles the wait. Pure: given the time, it only remembers.

use std::time::Duration;

use hongyan_core::{limits, time::Timestamp};

/// The memory of a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Breaker {
    /// Calls may be made; so many faults in a row so far.
    Closed { faults: u32 },
    /// No calls until then; the wait that led there.
    Open { until: Timestamp, wait: Duration },
    /// One call is out to probe; the wait that led here.
    Probing { wait: Duration },
}

/// What a breaker allows now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Permission {
    /// Any number of calls.
    Flow,
    /// One call, to see.
    Probe,
    /// None, until then.
    Wait(Timestamp),
    /// None, until the probe is back.
    Hold,
}

impl Default for Breaker {
    fn default() -> Self {
        Self::Closed { faults: 0 }
    }
}

impl Breaker {
    /// What is allowed at `now`.
    pub(crate) fn permission(self, now: Timestamp) -> Permission {
        match self {
            Self::Closed { .. } => Permission::Flow,
            Self::Open { until, .. } if until <= now => Permission::Probe,
            Self::Open { until, .. } => Permission::Wait(until),
            Self::Probing { .. } => Permission::Hold,
        }
    }

    /// A call goes out that [`Permission::Probe`] allowed.
    pub(crate) fn probe(&mut self) {
        if let Self::Open { wait, .. } = *self {
            *self = Self::Probing { wait };
        }
    }

    /// The probe came to nothing: it was not sent after all.
    pub(crate) fn probe_lost(&mut self, now: Timestamp) {
        if let Self::Probing { wait } = *self {
            *self = Self::Open { until: now, wait };
        }
    }

    /// A call ended well, or in a way that says nothing about the provider. While the breaker is open this was a call from
    /// before: it takes back neither the faults that opened it nor the silence that the provider asked for.
    pub(crate) fn success(&mut self) {
        if !matches!(self, Self::Open { .. }) {
            *self = Self::default();
        }
    }

    /// Whether calls flow.
    pub(crate) const fn is_closed(self) -> bool {
        matches!(self, Self::Closed { .. })
    }

    /// A call ended in a fault of the provider; `misconfigured` ones open the breaker at once.
    pub(crate) fn fault(&mut self, misconfigured: bool, now: Timestamp) {
        let (first, most) = limits::BREAKER_WAIT;
        *self = match *self {
            Self::Closed { faults } if faults + 1 < limits::BREAKER_FAULTS && !misconfigured => {
                Self::Closed { faults: faults + 1 }
            }
            Self::Closed { .. } => Self::Open { until: now + first, wait: first },
            Self::Probing { wait } => {
                let wait = (wait * 2).min(most);
                Self::Open { until: now + wait, wait }
            }
            // Calls that were out when it opened.
            open @ Self::Open { .. } => open,
        };
    }

    /// The provider asked for silence until then.
    pub(crate) fn pause(&mut self, until: Timestamp) {
        let wait = match *self {
            Self::Closed { .. } => limits::BREAKER_WAIT.0,
            Self::Open { wait, .. } | Self::Probing { wait } => wait,
        };
        *self = Self::Open { until, wait };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_ms(1_800_000_000_000);

    fn opened() -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 0..limits::BREAKER_FAULTS {
            assert_eq!(breaker.permission(NOW), Permission::Flow);
            breaker.fault(false, NOW);
        }
        breaker
    }

    #[test]
    fn opens_after_five_faults_in_a_row_and_not_after_four() {
        let mut breaker = Breaker::default();
        for _ in 0..4 {
            breaker.fault(false, NOW);
        }
        breaker.success();
        for _ in 0..4 {
            breaker.fault(false, NOW);
        }
        assert_eq!(breaker.permission(NOW), Permission::Flow);
        assert_eq!(opened().permission(NOW), Permission::Wait(NOW + limits::BREAKER_WAIT.0));
    }

    #[test]
    fn one_probe_at_a_time_and_longer_waits_after_each_that_fails() {
        let mut breaker = opened();
        let mut now = NOW;
        for wait in [2, 4, 8, 16, 30, 30] {
            let wait = Duration::from_secs(wait);
            assert_eq!(breaker.permission(now), Permission::Wait(now + wait));
            now = now + wait;
            assert_eq!(breaker.permission(now), Permission::Probe);
            breaker.probe();
            assert_eq!(breaker.permission(now), Permission::Hold);
            breaker.fault(false, now);
        }
        now = now + Duration::from_secs(30);
        breaker.probe();
        breaker.success();
        assert_eq!(breaker.permission(now), Permission::Flow);
    }

    #[test]
    fn wrong_settings_open_at_once_and_a_lost_probe_is_tried_again() {
        let mut breaker = Breaker::default();
        breaker.fault(true, NOW);
        let later = NOW + limits::BREAKER_WAIT.0;
        assert_eq!(breaker.permission(later), Permission::Probe);
        breaker.probe();
        breaker.probe_lost(later);
        assert_eq!(breaker.permission(later), Permission::Probe);
    }

    #[test]
    fn a_provider_may_ask_for_silence_and_gets_it() {
        let mut breaker = Breaker::default();
        breaker.pause(NOW + Duration::from_secs(60));
        breaker.success();
        assert_eq!(breaker.permission(NOW), Permission::Wait(NOW + Duration::from_secs(60)));
    }
}
