//! Moments as the clouds write them, and the windows of China's time (UTC+8, never shifted) that their limits end with.

use hongyan_core::time::Timestamp;
use jiff::tz::TimeZone;

/// How far China's time is ahead.
const CHINA_HOURS: i64 = 8;
const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

/// A fixed window of China's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Window {
    /// A minute.
    Minute,
    /// An hour.
    Hour,
    /// A day.
    Day,
}

impl Window {
    /// When the window ends that `now` lies in.
    pub(crate) fn end(self, now: Timestamp) -> Timestamp {
        let length = match self {
            Self::Minute => 60_000,
            Self::Hour => HOUR,
            Self::Day => DAY,
        };
        next(now, length, 0)
    }
}

/// The next 08:00 in China.
pub(crate) fn morning(now: Timestamp) -> Timestamp {
    next(now, DAY, 8 * HOUR)
}

/// The next multiple of `length` in China's time, moved on by `shift`.
fn next(now: Timestamp, length: i64, shift: i64) -> Timestamp {
    let ahead = CHINA_HOURS * HOUR - shift;
    let begun = (now.ms() + ahead).div_euclid(length);
    Timestamp::from_ms((begun + 1) * length - ahead)
}

/// The day in UTC, `2026-07-31`.
pub(crate) fn utc_day(at: Timestamp) -> String {
    shown(at, "%Y-%m-%d")
}

/// The second in UTC, `2026-07-31T08:00:00Z`.
pub(crate) fn utc_second(at: Timestamp) -> String {
    shown(at, "%Y-%m-%dT%H:%M:%SZ")
}

/// Whole seconds since the epoch.
pub(crate) fn seconds(at: Timestamp) -> i64 {
    at.ms().div_euclid(1_000)
}

/// The days in China from one moment to another, both included.
pub(crate) fn china_days(from: Timestamp, to: Timestamp) -> impl Iterator<Item = String> {
    let day = |at: Timestamp| (at.ms() + CHINA_HOURS * HOUR).div_euclid(DAY);
    (day(from)..=day(to)).map(|day| shown(Timestamp::from_ms(day * DAY), "%Y%m%d"))
}

fn shown(at: Timestamp, format: &str) -> String {
    let at = jiff::Timestamp::from_millisecond(at.ms()).unwrap_or(jiff::Timestamp::MAX);
    at.to_zoned(TimeZone::UTC).strftime(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Milliseconds of a moment in UTC.
    fn at(text: &str) -> Timestamp {
        Timestamp::from_ms(text.parse::<jiff::Timestamp>().expect("a moment").as_millisecond())
    }

    #[test]
    fn windows_end_by_the_clock_of_china() {
        for (window, now, end) in [
            (Window::Minute, "2026-07-31T08:00:00Z", "2026-07-31T08:01:00Z"),
            (Window::Minute, "2026-07-31T08:00:59.999Z", "2026-07-31T08:01:00Z"),
            (Window::Hour, "2026-07-31T08:59:59Z", "2026-07-31T09:00:00Z"),
            (Window::Day, "2026-07-31T15:59:59Z", "2026-07-31T16:00:00Z"),
            (Window::Day, "2026-07-31T16:00:00Z", "2026-08-01T16:00:00Z"),
        ] {
            assert_eq!(window.end(at(now)), at(end), "{window:?} {now}");
        }
    }

    #[test]
    fn mornings_are_at_eight_in_china() {
        for (now, end) in [
            ("2026-07-31T23:59:59Z", "2026-08-01T00:00:00Z"),
            ("2026-08-01T00:00:00Z", "2026-08-02T00:00:00Z"),
            ("2026-07-31T14:30:00Z", "2026-08-01T00:00:00Z"),
        ] {
            assert_eq!(morning(at(now)), at(end), "{now}");
        }
    }

    #[test]
    fn moments_are_written() {
        let late = at("2026-07-31T15:58:07.999Z");
        assert_eq!(utc_second(late), "2026-07-31T15:58:07Z");
        assert_eq!(utc_day(late), "2026-07-31");
        assert_eq!(utc_day(at("2026-07-31T23:59:59Z")), "2026-07-31");
        assert_eq!(seconds(late), 1_785_513_487);
    }

    #[test]
    fn days_are_those_of_china() {
        for (from, to, days) in [
            ("2026-07-31T15:59:59.999Z", "2026-07-31T15:59:59.999Z", &["20260731"][..]),
            ("2026-07-31T16:00:00Z", "2026-08-01T15:59:59.999Z", &["20260801"]),
            ("2026-07-30T16:00:00Z", "2026-08-01T16:00:00Z", &["20260731", "20260801", "20260802"]),
            ("2026-07-31T16:00:00Z", "2026-07-31T15:59:59.999Z", &[]),
        ] {
            assert_eq!(china_days(at(from), at(to)).collect::<Vec<_>>(), days, "{from} {to}");
        }
    }
}
