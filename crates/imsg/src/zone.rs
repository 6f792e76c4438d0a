//! Times as people of the deployment's zone read and write them (row 33, decision 4): to the second, and whole days.

use std::time::Duration;

use hongyan_core::{quota::Day, time::Timestamp};
use jiff::{Span, Zoned, civil, tz::TimeZone};

/// The zone of a deployment.
pub(crate) struct Zone(TimeZone);

impl Zone {
    /// The zone of this name; UTC where there is none.
    pub(crate) fn named(name: &str) -> Self {
        Self(TimeZone::get(name).unwrap_or(TimeZone::UTC))
    }

    /// `2017-08-18 12:21:35`.
    pub(crate) fn write(&self, at: Timestamp) -> String {
        self.at(at).strftime("%Y-%m-%d %H:%M:%S").to_string()
    }

    /// The calendar day of `now`, which is longer or shorter than 24 hours where clocks change in it.
    pub(crate) fn day(&self, now: Timestamp) -> Day {
        let day = || {
            let begin = self.at(now).start_of_day().ok()?;
            let end = begin.checked_add(Span::new().days(1)).ok()?.start_of_day().ok()?;
            Some(Day { begin: moment(&begin), end: moment(&end) })
        };
        // Only beyond the years that a calendar has is there no day.
        day().unwrap_or(Day { begin: now, end: now + Duration::from_secs(24 * 60 * 60) })
    }

    /// From when to when something is that people call `2017-08-18` or `2017-08-18 12:21:35`: the second moment is the first
    /// that is not of it.
    pub(crate) fn read(&self, text: &str) -> Option<(Timestamp, Timestamp)> {
        let text = text.trim();
        let whole_day = civil::Date::strptime("%Y-%m-%d", text).ok();
        let begin = match whole_day {
            Some(date) => date.to_zoned(self.0.clone()).ok()?,
            None => text.parse::<civil::DateTime>().ok()?.to_zoned(self.0.clone()).ok()?,
        };
        let span = if whole_day.is_some() { Span::new().days(1) } else { Span::new().seconds(1) };
        Some((moment(&begin), moment(&begin.checked_add(span).ok()?)))
    }

    fn at(&self, at: Timestamp) -> Zoned {
        jiff::Timestamp::from_millisecond(at.ms()).unwrap_or(jiff::Timestamp::MAX).to_zoned(self.0.clone())
    }
}

fn moment(zoned: &Zoned) -> Timestamp {
    Timestamp::from_ms(zoned.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_ms(1_795_335_811_000);

    #[test]
    fn moments_are_written_and_read_in_the_zone() {
        let zone = Zone::named("Asia/Shanghai");
        assert_eq!(zone.write(NOW), "2026-11-22 16:23:31");
        let second = Some((NOW, NOW + Duration::from_secs(1)));
        assert_eq!(zone.read("2026-11-22 16:23:31"), second);
        assert_eq!(zone.read("2026-11-22T16:23:31"), second);
        let day = zone.day(NOW);
        assert_eq!(zone.read(" 2026-11-22 "), Some((day.begin, day.end)));
        for wrong in ["", "yesterday", "2026-13-01", "2026-11-22 25:00:00", "1795335811"] {
            assert_eq!(zone.read(wrong), None, "{wrong}");
        }
        assert_eq!(Zone::named("Nowhere/Else").write(NOW), "2026-11-22 08:23:31");
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        for (zone, now, begin, hours) in [
            ("Asia/Shanghai", "2026-11-22 16:23:31", "2026-11-22 00:00:00", 24),
            ("Asia/Shanghai", "2026-11-22 00:00:00", "2026-11-22 00:00:00", 24),
            ("Europe/Berlin", "2026-10-25 12:00:00", "2026-10-25 00:00:00", 25),
            ("Europe/Berlin", "2026-03-29 12:00:00", "2026-03-29 00:00:00", 23),
        ] {
            let zone = Zone::named(zone);
            let day = zone.day(zone.read(now).expect("a moment").0);
            assert_eq!(zone.write(day.begin), begin);
            assert_eq!(day.end.since(day.begin), Duration::from_secs(hours * 60 * 60), "{now}");
        }
    }
}
