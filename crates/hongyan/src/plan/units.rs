//! Lengths of time and rates, as people write them.

use std::{fmt, time::Duration};

use anyhow::{Context, ensure};
use hongyan_core::cap::Cap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de};

/// A length of time: a number and `ms`, `s`, `m`, `h` or `d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

impl Span {
    /// Reads `8s`, `90d`, `500ms`.
    ///
    /// # Errors
    /// When it is no number with a unit.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let wrong = || format!("{text:?} is not a length of time such as 8s, 10m or 90d");
        let digits = text.find(|c: char| !c.is_ascii_digit()).with_context(wrong)?;
        let number: u64 = text[..digits].parse().with_context(wrong)?;
        let (_, unit_ms) = UNITS.into_iter().find(|(unit, _)| *unit == &text[digits..]).with_context(wrong)?;
        Ok(Self(Duration::from_millis(number.checked_mul(unit_ms).with_context(wrong)?)))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        let (unit, unit_ms) = UNITS.into_iter().rev().find(|(_, unit_ms)| ms % unit_ms == 0).unwrap_or(UNITS[0]);
        write!(f, "{}{unit}", ms / unit_ms)
    }
}

/// How often: a number and `/s`, `/m`, `/h` or `/d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate(pub Cap);

impl Rate {
    /// Reads `100/m`.
    ///
    /// # Errors
    /// When it is no number with a unit, or none at all.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let wrong = || format!("{text:?} is not a rate such as 10/s, 100/m or 5000/h");
        let (number, unit) = text.split_once('/').with_context(wrong)?;
        let most: u32 = number.parse().ok().filter(|most| *most > 0).with_context(wrong)?;
        ensure!(matches!(unit, "s" | "m" | "h" | "d"), wrong());
        Ok(Self(Cap { most, span: Span::parse(&format!("1{unit}"))?.0 }))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = Span(self.0.span).to_string();
        write!(f, "{}/{}", self.0.most, unit.trim_start_matches('1'))
    }
}

/// Both are texts in plans and in the stored form.
macro_rules! as_text {
    ($type:ident, $format:literal) => {
        impl Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::parse(&text).map_err(de::Error::custom)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "format": $format })
            }

            fn inline_schema() -> bool {
                true
            }
        }
    };
}

as_text!(Span, "duration");
as_text!(Rate, "rate");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_and_written() {
        for text in ["10/s", "100/m", "5000/h", "1/d"] {
            assert_eq!(Rate::parse(text).expect("a rate").to_string(), text);
        }
        assert_eq!(Rate::parse("100/m").expect("a rate").0, Cap { most: 100, span: Duration::from_secs(60) });
        for bad in ["", "100", "0/m", "-1/m", "1/ms", "1/2m", "x/m"] {
            assert!(Rate::parse(bad).is_err(), "{bad}");
        }
    }
}
