//! The arithmetic of window accounts on a ledger that does what a store does, by tables and against a recount of everything.

use proptest::prelude::*;

use super::*;

/// The midnight at which day 0 begins.
const MIDNIGHT: i64 = 1_800_000_000_000;
const MINUTE: i64 = 60_000;
const DAY_MS: i64 = 24 * 60 * MINUTE;

fn at(minutes: i64) -> Timestamp {
    Timestamp::from_ms(MIDNIGHT + minutes * MINUTE)
}

/// The day of `now` in UTC.
fn day(now: Timestamp) -> Day {
    let begin = MIDNIGHT + (now.ms() - MIDNIGHT).div_euclid(DAY_MS) * DAY_MS;
    Day { begin: Timestamp::from_ms(begin), end: Timestamp::from_ms(begin + DAY_MS) }
}

fn id(n: usize) -> Id {
    Id::from_i64(i64::try_from(n).expect("small") + 1).expect("positive")
}

/// One account and its entries, in memory.
struct Ledger {
    account: Option<Account>,
    entries: Vec<(Id, Entry)>,
    hour_max: u32,
    day_max: u32,
    fit: Fit,
}

impl Ledger {
    fn new(hour_max: u32, day_max: u32, fit: Fit) -> Self {
        Self { account: None, entries: Vec::new(), hour_max, day_max, fit }
    }

    fn moved_on(&self, now: Timestamp) -> Account {
        let account = self.account.unwrap_or(Account::new(day(now), now));
        let Span { after, until } = account.retiring(now);
        let retiring = self.entries.iter().filter(|(_, entry)| after < entry.at && entry.at <= until);
        account.moved_on(retiring.map(|(_, entry)| u64::from(entry.amount)).sum(), day(now), now)
    }

    fn admit(&mut self, id: Id, amount: u32, now: Timestamp) -> Admitted {
        let mut account = self.moved_on(now);
        let (hour_max, day_max) = (self.hour_max, self.day_max);
        let asked =
            Admission { account: "account/1".into(), id, amount, hour_max, day_max, day: day(now), fit: self.fit };
        let answer = match account.admit(&asked) {
            Ok(entry) => {
                self.entries.push((id, entry));
                Admitted::Yes(account.sums())
            }
            Err(shortage) => {
                let hour = self.entries.iter().filter(|(_, entry)| entry.at > account.seen - HOUR);
                let mut freed = 0;
                let last = hour.map(|(_, entry)| *entry).find(|entry| {
                    freed += u64::from(entry.amount);
                    freed >= shortage.hour_excess()
                });
                Admitted::No(shortage.refused(last.filter(|_| shortage.hour_excess() > 0).map(|entry| entry.at)))
            }
        };
        self.account = Some(account);
        self.entries.retain(|(_, entry)| !account.outdated(entry));
        answer
    }

    fn refund(&mut self, id: Id, amount: u32, now: Timestamp) -> u32 {
        let account = self.account.as_mut().expect("something was admitted");
        match self.entries.iter_mut().find(|(known, _)| *known == id) {
            Some((_, entry)) => account.refund(entry, amount, now),
            None => 0,
        }
    }
}

fn yes(hour: u64, day: u64) -> Admitted {
    Admitted::Yes(Sums { hour, day })
}

fn no(window: Window, left: u64, again: Option<i64>) -> Admitted {
    Admitted::No(Refusal { window, left, again: again.map(at) })
}

/// Admissions as (minute, amount, answer).
fn check(hour_max: u32, day_max: u32, fit: Fit, rows: &[(i64, u32, Admitted)]) {
    let mut ledger = Ledger::new(hour_max, day_max, fit);
    for (n, (minute, amount, answer)) in rows.iter().enumerate() {
        assert_eq!(ledger.admit(id(n), *amount, at(*minute)), *answer, "row {n}: {amount} at minute {minute}");
    }
}

#[test]
fn the_hour_rolls() {
    let full = |left, again| no(Window::Hour, left, Some(again));
    check(
        5,
        100,
        Fit::Whole,
        &[
            (600, 3, yes(3, 3)),
            (630, 2, yes(5, 5)),
            (640, 1, full(0, 660)),
            (640, 4, full(0, 690)),
            (659, 1, full(0, 660)),
            (660, 4, full(3, 690)),
            (660, 3, yes(5, 8)),
            (700, 9, no(Window::Hour, 2, None)),
        ],
    );
}

#[test]
fn the_day_turns() {
    check(
        5,
        6,
        Fit::Whole,
        &[
            (1_370, 4, yes(4, 4)),
            (1_400, 1, yes(5, 5)),
            // Both are full: the day is named, the later of both is told.
            (1_410, 2, no(Window::Day, 1, Some(1_440))),
            (1_439, 1, yes(2, 6)),
            (1_439, 1, no(Window::Day, 0, Some(1_440))),
            // What was sent before midnight counts in the hour still.
            (1_440, 4, no(Window::Hour, 3, Some(1_460))),
            (1_440, 3, yes(5, 3)),
        ],
    );
    check(5, 6, Fit::Whole, &[(1_430, 5, yes(5, 5)), (1_435, 5, no(Window::Day, 1, Some(1_490)))]);
}

#[test]
fn the_first_unit_decides_where_a_list_may_go_over() {
    check(
        5,
        20,
        Fit::First,
        &[(600, 4, yes(4, 4)), (601, 7, yes(11, 11)), (602, 1, no(Window::Hour, 0, Some(661))), (661, 1, yes(1, 12))],
    );
    check(0, 20, Fit::First, &[(600, 1, no(Window::Hour, 0, None))]);
    check(5, 0, Fit::Whole, &[(600, 1, no(Window::Day, 0, None)), (600, 0, yes(0, 0))]);
}

#[test]
fn a_clock_that_is_behind_neither_frees_nor_opens_yesterday() {
    check(
        2,
        3,
        Fit::Whole,
        &[
            (1_441, 2, yes(2, 2)),
            // Yesterday by the caller's clock: counts today, at the account's time.
            (1_430, 1, no(Window::Hour, 0, Some(1_501))),
            (1_501, 1, yes(1, 3)),
            (1_400, 1, no(Window::Day, 0, Some(2_880))),
        ],
    );
}

#[test]
fn what_is_given_back_is_given_back_once() {
    let mut ledger = Ledger::new(5, 9, Fit::Whole);
    assert_eq!(ledger.admit(id(0), 5, at(600)), yes(5, 5));
    assert_eq!(ledger.refund(id(0), 2, at(610)), 2);
    assert_eq!(ledger.refund(id(0), 9, at(610)), 3);
    assert_eq!(ledger.refund(id(0), 1, at(610)), 0);
    assert_eq!(ledger.refund(id(7), 1, at(610)), 0);
    assert_eq!(ledger.moved_on(at(611)).sums(), Sums::default());
    assert_eq!(ledger.admit(id(1), 5, at(611)), yes(5, 5));
    // After its hour it counts in the day alone.
    assert_eq!(ledger.refund(id(1), 1, at(671)), 1);
    assert_eq!(ledger.admit(id(2), 5, at(671)), yes(5, 9));
    // Midnight has passed although nothing was admitted since; ten minutes later so has the hour.
    assert_eq!(ledger.refund(id(2), 1, at(1_441)), 0);
    assert_eq!(ledger.moved_on(at(1_441)).sums(), Sums::default());
}

#[test]
fn a_refund_after_midnight_lowers_the_hour_only() {
    let mut ledger = Ledger::new(5, 9, Fit::Whole);
    assert_eq!(ledger.admit(id(0), 5, at(1_430)), yes(5, 5));
    assert_eq!(ledger.refund(id(0), 2, at(1_441)), 2);
    assert_eq!(ledger.admit(id(1), 2, at(1_442)), yes(5, 2));
    assert_eq!(ledger.refund(id(0), 2, at(1_443)), 2);
    assert_eq!(ledger.moved_on(at(1_443)).sums(), Sums { hour: 3, day: 2 });
    assert_eq!(ledger.entries.len(), 2);
    assert_eq!(ledger.admit(id(2), 1, at(1_490)), yes(3, 3));
    assert_eq!(ledger.entries.len(), 2, "its hour and its day are over: it is off the record");
}

/// An entry as the recount sees it.
struct Counted {
    id: Id,
    at: Timestamp,
    day: Timestamp,
    left: u32,
}

fn recount(all: &[Counted], now: Timestamp, today: Timestamp) -> Sums {
    let sum = |counts: &dyn Fn(&Counted) -> bool| all.iter().filter(|c| counts(c)).map(|c| u64::from(c.left)).sum();
    Sums { hour: sum(&|c| now.since(c.at) < HOUR), day: sum(&|c| c.day == today) }
}

proptest! {
    /// However admissions, refunds and time (which may step back) follow each other: the sums are what a recount of
    /// everything says, strict limits are never exceeded, and a refusal says truly what is left and when to come again.
    #[test]
    fn sums_agree_with_a_recount(
        hour_max in 0u32..12,
        day_max in 0u32..30,
        strict in any::<bool>(),
        acts in prop::collection::vec((prop_oneof![3 => 0i64..25, 1 => 25i64..900, 1 => -30i64..0], 0u32..7, any::<bool>(), any::<prop::sample::Index>()), 1..80),
    ) {
        let mut ledger = Ledger::new(hour_max, day_max, if strict { Fit::Whole } else { Fit::First });
        let (mut all, mut minute): (Vec<Counted>, i64) = (Vec::new(), 600);
        for (n, (step, amount, refunds, which)) in acts.into_iter().enumerate() {
            minute += step;
            let now = at(minute);
            if refunds && !all.is_empty() {
                let counted = which.get_mut(&mut all);
                let given = ledger.refund(counted.id, amount, now);
                prop_assert!(given <= amount.min(counted.left));
                counted.left -= given;
                continue;
            }
            let before = ledger.moved_on(now);
            prop_assert_eq!(before.sums(), recount(&all, before.seen, before.today.begin));
            match ledger.admit(id(n), amount, now) {
                Admitted::Yes(sums) => {
                    all.push(Counted { id: id(n), at: before.seen, day: before.today.begin, left: amount });
                    prop_assert_eq!(sums, recount(&all, before.seen, before.today.begin));
                    let over = if strict { 0 } else { u64::from(amount.saturating_sub(1)) };
                    prop_assert!(sums.hour <= u64::from(hour_max) + over && sums.day <= u64::from(day_max) + over);
                }
                Admitted::No(refusal) => {
                    let Sums { hour, day } = before.sums();
                    let (used, max) = if refusal.window == Window::Hour { (hour, hour_max) } else { (day, day_max) };
                    prop_assert_eq!(refusal.left, u64::from(max).saturating_sub(used));
                    if let Some(again) = refusal.again {
                        let asked = Admission {
                            account: String::new(), id: id(n), amount, hour_max, day_max, day: self::day(again),
                            fit: ledger.fit,
                        };
                        prop_assert!(ledger.moved_on(again).admit(&asked).is_ok());
                        let early = again - Duration::from_millis(1);
                        let asked = Admission { day: self::day(early), ..asked };
                        prop_assert!(early < before.seen || ledger.moved_on(early).admit(&asked).is_err());
                    } else {
                        let least = if strict { amount } else { 1 };
                        prop_assert!(least > hour_max.min(day_max));
                    }
                }
            }
        }
    }
}
