//! The pace of a provider across all nodes: tokens by the generic cell rate algorithm (`guides/reliability.md` B5). What is
//! kept per provider is how far its theoretical arrival time lies ahead of the last call: the [`Meter`]. Tokens are places on
//! one line of time, one interval apart: nodes that use each not before its own moment call evenly between them all.

use std::time::Duration;

use crate::time::Timestamp;

/// The slowest rate, in tokens a second; anything below counts as this.
pub const RATE_MIN: f64 = 0.001;
/// The fastest rate, in tokens a second; anything above counts as this.
pub const RATE_MAX: f64 = 1e6;
/// The largest burst, in tokens.
pub const BURST_MAX: u32 = 1_000_000;

/// The time between two tokens at `rate` tokens a second, rounded up so that the rate is never exceeded.
pub fn interval(rate: f64) -> Duration {
    // Of numbers that are none, the careful reading.
    let rate = if rate.is_nan() { RATE_MIN } else { rate.clamp(RATE_MIN, RATE_MAX) };
    Duration::from_nanos((1e9 / rate).ceil() as u64)
}

/// Tokens that were taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// How many; none where it is too early.
    pub granted: u32,
    /// From when the first may be used. Each further one follows an [`interval`] after the one before.
    pub start: Timestamp,
    /// When the next one would be granted, if nobody else took any.
    pub next: Timestamp,
}

/// What is kept of a provider's pace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meter {
    /// The latest moment that any caller has named; time never goes back behind it.
    pub seen: Timestamp,
    /// How far the theoretical arrival time lies after `seen`: the time for which tokens are given out already.
    pub ahead: Duration,
}

impl Meter {
    /// A meter of which nothing was ever taken.
    pub const fn new(now: Timestamp) -> Self {
        Self { seen: now, ahead: Duration::ZERO }
    }

    /// Takes up to `want` tokens, of `rate` a second and `burst` (one at least) at once: in any span of time no more are
    /// granted than `rate * span + burst`. A rate that was lower before leaves no longer debt than a burst at the new one.
    pub fn take(&mut self, rate: f64, burst: u32, want: u32, now: Timestamp) -> Tokens {
        let interval = interval(rate);
        let reach = interval * burst.clamp(1, BURST_MAX);
        let now = self.seen.max(now);
        let ahead = self.ahead.saturating_sub(now.since(self.seen)).min(reach);
        let free = (reach - ahead).as_nanos() / interval.as_nanos();
        let granted = want.min(u32::try_from(free).unwrap_or(u32::MAX));
        *self = Self { seen: now, ahead: ahead + interval * granted };
        let next = now + whole_ms((self.ahead + interval).saturating_sub(reach));
        Tokens { granted, start: now + whole_ms(ahead), next }
    }
}

/// Rounds up to milliseconds, which is how fine a [`Timestamp`] is.
fn whole_ms(span: Duration) -> Duration {
    span + Duration::from_nanos(999_999)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const T0: Timestamp = Timestamp::from_ms(1_800_000_000_000);

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    /// What is taken at each moment (in milliseconds): granted, start, next.
    fn check(rate: f64, burst: u32, takes: &[(u64, u32, [u64; 3])]) {
        let mut meter = Meter::new(T0);
        for (at, want, [granted, start, next]) in takes {
            let tokens = meter.take(rate, burst, *want, T0 + ms(*at));
            let expected = Tokens {
                granted: u32::try_from(*granted).expect("small"),
                start: T0 + ms(*start),
                next: T0 + ms(*next),
            };
            assert_eq!(tokens, expected, "at {at} ms, rate {rate}, burst {burst}");
        }
    }

    #[test]
    fn grants_places_on_a_line() {
        // Ten a second, three at once; the fourth when the first interval is over.
        check(
            10.0,
            3,
            &[(0, 5, [3, 0, 100]), (50, 1, [0, 300, 100]), (100, 1, [1, 300, 200]), (250, 9, [1, 400, 300])],
        );
        // A pause fills the burst and no more.
        check(10.0, 3, &[(0, 3, [3, 0, 100]), (60_000, 9, [3, 60_000, 60_100])]);
        // What is left is granted at once.
        check(10.0, 3, &[(0, 1, [1, 0, 0]), (0, 1, [1, 100, 0]), (0, 1, [1, 200, 100]), (0, 0, [0, 300, 100])]);
        // No token is less than a millisecond early.
        check(3.0, 1, &[(0, 1, [1, 0, 334]), (333, 1, [0, 334, 334]), (334, 1, [1, 334, 668])]);
        // A burst of none would let nothing through.
        check(1.0, 0, &[(0, 1, [1, 0, 1_000])]);
        check(0.001, 1, &[(0, 1, [1, 0, 1_000_000])]);
        // A clock that is behind grants nothing early.
        check(10.0, 1, &[(500, 1, [1, 500, 600]), (100, 1, [0, 600, 600]), (600, 1, [1, 600, 700])]);
    }

    #[test]
    fn odd_rates_are_bounded() {
        assert_eq!(interval(f64::NAN), Duration::from_secs(1_000));
        assert_eq!(interval(-3.0), Duration::from_secs(1_000));
        assert_eq!(interval(f64::INFINITY), Duration::from_micros(1));
        let mut meter = Meter::new(T0);
        assert_eq!(meter.take(0.0, u32::MAX, u32::MAX, T0).granted, BURST_MAX);
        assert!(i64::try_from(meter.ahead.as_nanos()).is_ok(), "a store can keep it as 63 bits of nanoseconds");
    }

    #[test]
    fn a_rate_that_was_raised_counts_at_once() {
        let mut meter = Meter::new(T0);
        assert_eq!(meter.take(0.001, 1, 1, T0).next, T0 + ms(1_000_000));
        assert_eq!(meter.take(100.0, 1, 1, T0 + ms(1)), Tokens { granted: 0, start: T0 + ms(11), next: T0 + ms(11) });
    }

    proptest! {
        /// Whoever asks whenever, also by clocks that disagree: no span has more than its share, no place is given twice, and
        /// who comes at `next` is granted something.
        #[test]
        fn never_above_the_ceiling(
            rate in prop_oneof![0.5f64..50.0, 50.0f64..5_000.0],
            burst in 1u32..40,
            steps in prop::collection::vec((-20i64..200, 0u32..60), 1..60),
        ) {
            let (mut meter, mut at, mut grants, mut taken) = (Meter::new(T0), T0.ms(), Vec::new(), T0);
            for (step, want) in steps {
                at += step;
                let tokens = meter.take(rate, burst, want, Timestamp::from_ms(at));
                if want > tokens.granted {
                    prop_assert!(tokens.next > meter.seen);
                    prop_assert_eq!({ meter }.take(rate, burst, 1, tokens.next).granted, 1);
                }
                if tokens.granted > 0 {
                    prop_assert!(tokens.start >= taken.max(meter.seen));
                    taken = tokens.start + (interval(rate) * tokens.granted).saturating_sub(ms(1));
                }
                grants.push((meter.seen, tokens.granted));
            }
            for (n, (from, _)) in grants.iter().enumerate() {
                let mut sum = 0;
                for (until, granted) in &grants[n..] {
                    sum += granted;
                    let ceiling = rate * until.since(*from).as_secs_f64() + f64::from(burst);
                    prop_assert!(f64::from(sum) <= ceiling + 1e-6, "{sum} in {:?}", until.since(*from));
                }
            }
        }
    }
}
