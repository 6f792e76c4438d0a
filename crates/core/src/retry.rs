//! When the next try is due: a schedule of waits with jitter, so that what failed together does not come back together
//! (`guides/reliability.md` A4.5).

use std::time::Duration;

/// A schedule of waits. The last one repeats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetrySchedule {
    waits: Vec<Duration>,
}

/// How far jitter moves a wait: ±20 %.
const JITTER: f64 = 0.2;
/// How much later than it must something comes back that was told when.
const LATER_MAX: Duration = Duration::from_secs(60);

impl RetrySchedule {
    /// Mail: 30 s, 2 m, 10 m, 30 m, 1 h, 2 h, 4 h, then every 4 h.
    pub fn mail() -> Self {
        Self { waits: [30, 120, 600, 1_800, 3_600, 7_200, 14_400].map(Duration::from_secs).to_vec() }
    }

    /// A schedule of these waits; an empty one waits a minute.
    pub fn of(waits: impl IntoIterator<Item = Duration>) -> Self {
        Self { waits: waits.into_iter().collect() }
    }

    /// The wait after `tries` tries (1 after the first), moved by `roll`.
    pub fn wait(&self, tries: u16, roll: Roll) -> Duration {
        let index = usize::from(tries.saturating_sub(1)).min(self.waits.len().saturating_sub(1));
        roll.jitter(self.waits.get(index).copied().unwrap_or(Duration::from_secs(60)))
    }
}

/// One throw of the dice, made at the edge, so that rules stay functions of their arguments.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Roll(f64);

impl Roll {
    /// No jitter.
    pub const NONE: Self = Self(0.5);

    /// A roll from a number in `0.0..=1.0`; anything else is clamped.
    pub fn new(unit: f64) -> Self {
        Self(if unit.is_nan() { 0.5 } else { unit.clamp(0.0, 1.0) })
    }

    /// `wait` moved by up to 20 % to either side.
    pub fn jitter(self, wait: Duration) -> Duration {
        wait.mul_f64(1.0 - JITTER + 2.0 * JITTER * self.0)
    }

    /// `wait` made longer, for half of all rolls by up to 20 %, but a minute at most: who was told when to come back is never early.
    pub fn no_earlier(self, wait: Duration) -> Duration {
        wait + wait.mul_f64(JITTER).min(LATER_MAX).mul_f64((2.0 * self.0 - 1.0).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn follows_the_schedule_and_repeats_its_end() {
        let mail = RetrySchedule::mail();
        let waits = [1, 2, 3, 7, 8, 99].map(|tries| mail.wait(tries, Roll::NONE).as_secs());
        assert_eq!(waits, [30, 120, 600, 14_400, 14_400, 14_400]);
        assert_eq!(RetrySchedule::of([]).wait(3, Roll::NONE).as_secs(), 60);
    }

    proptest! {
        #[test]
        fn jitter_stays_within_a_fifth(unit in 0.0f64..=1.0, tries in 0u16..20) {
            let mail = RetrySchedule::mail();
            let (plain, moved) = (mail.wait(tries, Roll::NONE), mail.wait(tries, Roll::new(unit)));
            prop_assert!(moved >= plain.mul_f64(0.799) && moved <= plain.mul_f64(1.201));
            let later = Roll::new(unit).no_earlier(plain);
            prop_assert!(later >= plain && later <= plain.mul_f64(1.201) && later <= plain + LATER_MAX);
        }
    }
}
