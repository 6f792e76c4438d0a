//! Decision 5 and row 33: when a message is to be sent. `yyyy-MM-dd HH:mm:ss` in the deployment's zone, ISO 8601 with an offset or
//! without, or milliseconds since 1970. What is past is now.

use std::time::Duration;

use hongyan_core::time::Timestamp;
use hongyan_intake::wire::Json;
use jiff::{civil::DateTime, tz::TimeZone};

use crate::{place::Place, problem::Problem};

const FORM: &str = "yyyy-MM-dd HH:mm:ss、ISO 8601或毫秒时间戳";
/// Below this a number is no moment of this century in milliseconds, but in seconds, or a date in digits: taken as milliseconds it
/// would be long past, and what was meant for later would be sent at once.
const MILLISECONDS_FROM: i64 = 100_000_000_000;

/// When; `None` for now.
pub(crate) fn read(
    value: &Json<'_>,
    place: &Place<'_>,
    zone: &str,
    now: Timestamp,
    ahead: Duration,
) -> Result<Option<Timestamp>, Problem> {
    let wrong = || Problem::must(place, FORM);
    let due = match value {
        Json::Null => return Ok(None),
        Json::Int(number) => milliseconds(*number),
        Json::Text(text) if text.trim().is_empty() => return Ok(None),
        Json::Text(text) => written(text.trim(), zone),
        // Beyond what a number of ours holds lies no time that anybody means.
        Json::Big(_) => return Err(Problem::TooFar),
        _ => None,
    }
    .ok_or_else(wrong)?;
    if due > now + ahead {
        return Err(Problem::TooFar);
    }
    Ok(Some(due).filter(|due| *due > now))
}

fn milliseconds(number: i64) -> Option<Timestamp> {
    (number == 0 || number.unsigned_abs() >= MILLISECONDS_FROM.unsigned_abs()).then(|| Timestamp::from_ms(number))
}

fn written(text: &str, zone: &str) -> Option<Timestamp> {
    if let Ok(number) = text.parse() {
        return milliseconds(number);
    }
    // A day alone is no time, and the name of a zone would not be looked at.
    if !text.contains(':') || text.contains('[') || !is_on_the_clock(text) {
        return None;
    }
    let at = match text.parse::<jiff::Timestamp>() {
        Ok(at) => at,
        Err(_) => {
            let (zone, at) = (TimeZone::get(zone).unwrap_or(TimeZone::UTC), text.parse::<DateTime>().ok()?);
            match at.to_zoned(zone) {
                Ok(at) => at.timestamp(),
                // The last day of the calendar, or the first.
                Err(_) if at.year() > 0 => return Some(Timestamp::MAX),
                Err(_) => return Some(Timestamp::from_ms(0)),
            }
        }
    };
    Some(Timestamp::from_ms(at.as_millisecond()))
}

/// The furthest that a zone is from UTC, either way (ISO 8601 has no bound, the zones that there are keep far within this): `hhmmss`.
const OFFSET_MAX: u32 = 18_00_00;

/// Whether what stands behind the day is a time that every clock shows, which a leap second (second 60) is not, and its offset one
/// that a zone can have. The rest of its form is looked at elsewhere.
fn is_on_the_clock(text: &str) -> bool {
    let digits = |part: &str| part.chars().filter(char::is_ascii_digit).collect::<String>();
    let time = text.split_once(['T', 't', ' ']).map_or("", |(_, time)| time);
    let (clock, offset) = time.split_at(time.find(['+', '-', '\u{2212}']).unwrap_or(time.len()));
    let clock = digits(clock.split(['.', ',']).next().unwrap_or_default());
    let offset = format!("{:0<6}", digits(offset)).parse::<u32>();
    !(clock.len() == 6 && clock.ends_with("60")) && offset.is_ok_and(|offset| offset <= OFFSET_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-22 16:23:31 in Shanghai.
    const NOW: Timestamp = Timestamp::from_ms(1_795_335_811_000);
    const PLACE: Place<'static> = Place::top("sendTime");
    const YEAR: Duration = Duration::from_secs(365 * 86_400);

    fn of(json: &str) -> Result<Option<i64>, Problem> {
        of_zone(json, "Asia/Shanghai")
    }

    fn of_zone(json: &str, zone: &str) -> Result<Option<i64>, Problem> {
        let value = Json::parse(json).expect("JSON");
        read(&value, &PLACE, zone, NOW, YEAR).map(|due| due.map(Timestamp::ms))
    }

    #[test]
    fn times() {
        let hour = NOW.ms() + 3_600_000;
        for later in [
            r#""2026-11-22 17:23:31""#,
            r#"" 2026-11-22 17:23:31 ""#,
            r#""2026-11-22T17:23:31""#,
            r#""2026-11-22T17:23:31.000""#,
            r#""2026-11-22T17:23:31+08:00""#,
            r#""2026-11-22T10:23:31+01:00""#,
            r#""2026-11-22T09:23:31Z""#,
            r#""2026-11-22 09:23:31Z""#,
            "1795339411000",
            r#""1795339411000""#,
        ] {
            assert_eq!(of(later), Ok(Some(hour)), "{later}");
        }
        for (written, zone) in [
            (r#""2026-11-22 04:23:31""#, "America/New_York"),
            (r#""2026-11-22T14:53:31""#, "Asia/Kolkata"),
            (r#""2026-11-22T17:23:31+08:00""#, "America/New_York"),
        ] {
            assert_eq!(of_zone(written, zone), Ok(Some(hour)), "{written} {zone}");
        }
        assert_eq!(of(r#""2026-11-23T03:23:31+18:00""#), Ok(Some(hour)));
        assert_eq!(of(r#""2026-11-21T15:23:31.000-1800""#), Ok(Some(hour)));
        for now in [
            "null",
            r#""""#,
            r#"" ""#,
            "0",
            r#""0""#,
            r#""2026-11-22 16:23:31""#,
            r#""2023-08-04 12:15:12""#,
            r#""1900-01-01 00:00:00""#,
            "-2208988800000",
            "1700000000000",
        ] {
            assert_eq!(of(now), Ok(None), "{now}");
        }
    }

    #[test]
    fn what_is_no_time_and_what_is_too_far() {
        for wrong in [
            r#""2023-08-06 08:30:77""#,
            r#""2026-11-22 17:23:60""#,
            r#""2016-12-31T23:59:60Z""#,
            r#""2026-11-22T172360+08:00""#,
            r#""2026-11-22T17:23:60.5""#,
            r#""2026-11-23T03:24:31+18:01""#,
            r#""2026-11-23T04:23:31+19:00""#,
            r#""2026-11-21T15:22:31-18:01""#,
            r#""2026-13-01 00:00:00""#,
            r#""2026-02-30 00:00:00""#,
            r#""2026-11-22 24:00:01""#,
            r#""2026-11-22""#,
            r#""20261122""#,
            r#""tomorrow""#,
            r#""16:23:31""#,
            r#""2026-11-22T17:23:31[Europe/Berlin]""#,
            r#""2026/11/22 17:23:31""#,
            "1795339411",
            r#""1795339411""#,
            "1",
            "1.5",
            "true",
            "[]",
            "{}",
            r#"["2026-11-22 17:23:31"]"#,
        ] {
            assert_eq!(of(wrong), Err(Problem::must(&PLACE, FORM)), "{wrong}");
        }
        let year = (NOW + YEAR).ms();
        assert_eq!(of(&year.to_string()), Ok(Some(year)));
        let after = (year + 1).to_string();
        for far in [&*after, r#""9999-12-31 23:59:59""#, "9223372036854775807", "18446744073709551615"] {
            assert_eq!(of(far), Err(Problem::TooFar), "{far}");
        }
    }
}
