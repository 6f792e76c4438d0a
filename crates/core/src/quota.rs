//! Quotas: how much an account may send in any 60 minutes and on a calendar day (design 8, `contracts/imsg.md` 1.4), as
//! arithmetic that a store runs inside one transaction.
//!
//! An account is one row of sums ([`Account`]) and one row per admission ([`Entry`]). Admitting moves the sums on to now
//! (what is an hour old leaves the hour's sum, a new day begins at zero), tests both limits, and adds. An entry counts in the
//! hour while less than 60 minutes have passed since `at`, and in the day in which it was admitted; a refund lowers each sum
//! only while the entry counts in it. So no operation reads more entries than leave the hour with it, and none counts rows.
//!
//! What a store does for an admission, with the account locked:
//!
//! 1. load the account, or begin one ([`Account::new`]), and add up the entries that are [`Account::retiring`];
//! 2. [`Account::moved_on`], then, unless an entry with that id is on record already, [`Account::admit`];
//! 3. write the account whatever the answer, the entry if there is one, and delete some entries that are
//!    [`Account::outdated`]; for a refusal ask when enough has left the hour ([`Shortage::hour_excess`]).

use std::time::Duration;

use crate::{id::Id, time::Timestamp};

/// The rolling window.
pub const HOUR: Duration = Duration::from_secs(60 * 60);

/// Entries that one admission deletes at most; as each adds one, all that are outdated go in the end.
pub const OUTDATED_DELETED_MAX: usize = 64;

/// A calendar day as the deployment's zone has it: from `begin` on, and before `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Day {
    /// Its first moment.
    pub begin: Timestamp,
    /// The first moment after it.
    pub end: Timestamp,
}

/// What has to fit under a limit for a request to pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// All of it: `used + amount <= limit`.
    Whole,
    /// Its first unit: `used < limit`; the rest may go over (the rule of iMSG unless `imsg.limits = "strict"`).
    First,
}

/// A request to be admitted, whole or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admission {
    /// The account, such as `17/account`.
    pub account: String,
    /// What is admitted. The same id again is admitted again and counts once, so that a doubtful commit may be repeated.
    pub id: Id,
    /// Units: recipients.
    pub amount: u32,
    /// Units in any 60 minutes.
    pub hour_max: u32,
    /// Units in the day.
    pub day_max: u32,
    /// The day of now.
    pub day: Day,
    /// What has to fit.
    pub fit: Fit,
}

/// What an account has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// In the last 60 minutes.
    pub hour: u64,
    /// In the day.
    pub day: u64,
}

/// One of the two windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// The rolling 60 minutes.
    Hour,
    /// The calendar day.
    Day,
}

/// What became of an admission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// It counts; this is what is used with it.
    Yes(Sums),
    /// Nothing of it counts.
    No(Refusal),
}

/// Why nothing was admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The window that is full; the day where both are.
    pub window: Window,
    /// What is left of its limit.
    pub left: u64,
    /// When the same request would pass if nothing else came and nothing were given back; absent: never.
    pub again: Option<Timestamp>,
}

/// The sums of an account, as they were when it was last asked to admit something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// The latest moment that any admission has named; time never goes back behind it.
    pub seen: Timestamp,
    /// What was admitted after `seen` less an hour and not given back.
    pub hour: u64,
    /// What was admitted in `today` and not given back.
    pub day: u64,
    /// The day of the day's sum.
    pub today: Day,
}

/// One admission on record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When it was admitted, by the account's time.
    pub at: Timestamp,
    /// The beginning of the day in which it counts.
    pub day: Timestamp,
    /// What has not been given back of it.
    pub amount: u32,
}

/// Entries with `after < at <= until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Not this moment, but what follows it.
    pub after: Timestamp,
    /// This moment included.
    pub until: Timestamp,
}

/// What stands in the way of an admission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shortage {
    window: Window,
    left: u64,
    hour_excess: u64,
    not_before: Timestamp,
    fits_ever: bool,
}

impl Account {
    /// An account that has used nothing.
    pub const fn new(day: Day, now: Timestamp) -> Self {
        Self { seen: now, hour: 0, day: 0, today: day }
    }

    /// The entries that leave the hour's sum when the account moves on to `now`.
    pub fn retiring(&self, now: Timestamp) -> Span {
        Span { after: self.seen - HOUR, until: self.seen.max(now) - HOUR }
    }

    /// The account at `now`, whose day is `day`, when entries of `retired` in all were [`Account::retiring`]. The day turns
    /// when it is over by the account's time, and never back: a caller whose clock is behind does not open yesterday again.
    pub fn moved_on(self, retired: u64, day: Day, now: Timestamp) -> Self {
        let seen = self.seen.max(now);
        let hour = self.hour.saturating_sub(retired);
        if seen >= self.today.end && day.begin > self.today.begin {
            return Self { seen, hour, day: 0, today: day };
        }
        Self { seen, hour, ..self }
    }

    /// What is used.
    pub const fn sums(&self) -> Sums {
        Sums { hour: self.hour, day: self.day }
    }

    /// Admits a request whole, to be kept as this entry, or nothing of it. The account must have moved on before.
    ///
    /// # Errors
    /// What stands in the way.
    pub fn admit(&mut self, asked: &Admission) -> Result<Entry, Shortage> {
        let least = match asked.fit {
            Fit::Whole => u64::from(asked.amount),
            Fit::First => 1,
        };
        let [hour_max, day_max] = [asked.hour_max, asked.day_max].map(u64::from);
        let hour_excess = (self.hour + least).saturating_sub(hour_max);
        let is_over_day = self.day + least > day_max;
        if is_over_day || hour_excess > 0 {
            return Err(Shortage {
                window: if is_over_day { Window::Day } else { Window::Hour },
                left: if is_over_day { day_max.saturating_sub(self.day) } else { hour_max.saturating_sub(self.hour) },
                hour_excess,
                not_before: if is_over_day { self.today.end } else { self.seen },
                fits_ever: least <= hour_max.min(day_max),
            });
        }
        self.hour += u64::from(asked.amount);
        self.day += u64::from(asked.amount);
        Ok(Entry { at: self.seen, day: self.today.begin, amount: asked.amount })
    }

    /// Gives back up to `amount` of an entry, at most what has not been given back before, while it counts in a window still;
    /// answers how much. The account need not move on for it, so neither time nor the day is changed.
    pub fn refund(&mut self, entry: &mut Entry, amount: u32, now: Timestamp) -> u32 {
        let is_of_today = entry.day == self.today.begin;
        let now = self.seen.max(now);
        if entry.at <= now - HOUR && !(is_of_today && now < self.today.end) {
            return 0;
        }
        let given = amount.min(entry.amount);
        entry.amount -= given;
        // What the sums hold is what they held at `seen`, whatever the time is now.
        if entry.at > self.seen - HOUR {
            self.hour = self.hour.saturating_sub(u64::from(given));
        }
        if is_of_today {
            self.day = self.day.saturating_sub(u64::from(given));
        }
        given
    }

    /// Whether an entry counts in no window any more and never will. Entries grow outdated in the order of `at`.
    pub fn outdated(&self, entry: &Entry) -> bool {
        entry.at <= self.seen - HOUR && entry.day < self.today.begin
    }
}

impl Shortage {
    /// How much has to leave the hour before the request fits it; zero where the hour is not in the way.
    pub const fn hour_excess(&self) -> u64 {
        self.hour_excess
    }

    /// The refusal. `last` is the time of that entry in the hour with which, the oldest first, [`Shortage::hour_excess`] is
    /// reached; absent where there is no excess, or not so much on record.
    pub fn refused(self, last: Option<Timestamp>) -> Refusal {
        let opens = last.map_or(self.not_before, |at| self.not_before.max(at + HOUR));
        Refusal { window: self.window, left: self.left, again: self.fits_ever.then_some(opens) }
    }
}

#[cfg(test)]
mod tests;
