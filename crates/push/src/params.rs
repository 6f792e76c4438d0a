//! Values for variables (rows 24, 25, 36 and 37): texts, numbers and truth values, in the caller's order.

use std::collections::BTreeMap;

use hongyan_core::{
    limits,
    setup::{Piece, pieces},
    text,
};
use hongyan_intake::wire::Json;

use crate::{
    fields::{self, Members},
    place::Place,
    problem::Problem,
};

/// What a value may be.
pub(crate) const SCALAR: &str = "字符串、数字或布尔值";

/// A value as text; `None` where it is not there.
pub(crate) fn scalar(value: &Json<'_>, place: &Place<'_>) -> Result<Option<String>, Problem> {
    let value = match value {
        Json::Null => return Ok(None),
        Json::Bool(value) => value.to_string(),
        Json::Int(number) => number.to_string(),
        Json::Big(number) => number.to_string(),
        Json::Float(number) => fields::exact(*number, place)?.to_string(),
        Json::Text(value) => text::clean_content(value.clone().into_owned()),
        Json::List(_) | Json::Dict(_) => return Err(Problem::must(place, SCALAR)),
    };
    fields::sized(value.len(), limits::TEXT_BYTES_MAX, place)?;
    Ok(Some(value))
}

/// Values with the order in which the caller gave them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Params {
    pub(crate) order: Vec<String>,
    pub(crate) values: BTreeMap<String, String>,
}

impl Params {
    /// Every member must be a value (row 24); of one that is there twice the last counts. Together they have a bound.
    pub(crate) fn read(members: &Members<'_>, place: &Place<'_>) -> Result<Self, Problem> {
        let (mut params, mut size) = (Self::default(), 0);
        for (name, value) in members {
            let inner = place.at(name);
            let value = scalar(value, &inner)?.ok_or_else(|| Problem::must(&inner, SCALAR))?;
            size += name.len() + value.len();
            fields::sized(size, limits::TEXT_BYTES_MAX, place)?;
            if params.values.insert(name.to_string(), value).is_none() {
                params.order.push(name.to_string());
            }
        }
        Ok(params)
    }

    /// A text with its variables filled in as they are, of at most `most` bytes: a short text can name a long value often.
    pub(crate) fn fill(&self, text: &str, most: usize, place: &Place<'_>) -> Result<String, Problem> {
        let mut filled = String::with_capacity(text.len().min(most));
        for piece in pieces(text) {
            let piece = match piece {
                Piece::Text(text) => text,
                Piece::Variable(name) => self.values.get(name).ok_or_else(|| Problem::NoValue(name.to_owned()))?,
            };
            fields::sized(filled.len() + piece.len(), most, place)?;
            filled.push_str(piece);
        }
        Ok(filled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Params, Problem> {
        let place = Place::top("paramData");
        let json = Json::parse(json).expect("JSON");
        Params::read(fields::object(&json, &place)?.unwrap_or_default(), &place)
    }

    #[test]
    fn values_become_texts_in_their_order() {
        let params =
            read(r#"{"code": "AAAb", "time": 5, "big": 18446744073709551615, "f": 1.5, "ok": true, "time": 6}"#);
        let params = params.expect("values");
        assert_eq!(params.order, ["code", "time", "big", "f", "ok"]);
        let values: Vec<_> = params.order.iter().map(|name| params.values[name].as_str()).collect();
        assert_eq!(values, ["AAAb", "6", "18446744073709551615", "1.5", "true"]);
        let fill = |text: &str| params.fill(text, 20, &Place::top("content"));
        assert_eq!(fill("${code}, ${time} ${} $time"), Ok("AAAb, 6 ${} $time".to_owned()));
        assert_eq!(fill("${nothing}"), Err(Problem::NoValue("nothing".into())));
        assert_eq!(fill(&"${code}".repeat(5)).map(|text| text.len()), Ok(20));
        assert_eq!(fill(&"${code}".repeat(6)), Err(Problem::Large("content".into(), 20)));
    }

    #[test]
    fn what_is_no_value_is_refused() {
        for json in [r#"{"a": {}}"#, r#"{"a": []}"#, r#"{"a": null}"#] {
            assert_eq!(read(json), Err(Problem::Must("paramData.a".into(), SCALAR)), "{json}");
        }
        for big in ["12345678901234567890123", "-9223372036854775809", "1e22", "9007199254740993.0"] {
            let read = read(&format!(r#"{{"n": {big}}}"#));
            assert_eq!(read, Err(Problem::Inexact("paramData.n".into())), "{big}");
        }
        let kept =
            read(r#"{"n": 0.1, "m": -9223372036854775808, "k": 1e3, "t": "12345678901234567890123"}"#).expect("values");
        let kept: Vec<_> = kept.order.iter().map(|name| kept.values[name].as_str()).collect();
        assert_eq!(kept, ["0.1", "-9223372036854775808", "1000", "12345678901234567890123"]);
        let half = "x".repeat(limits::TEXT_BYTES_MAX / 2);
        assert!(read(&format!(r#"{{"a": "{half}"}}"#)).is_ok());
        let both = read(&format!(r#"{{"a": "{half}", "b": "{half}"}}"#));
        assert_eq!(both, Err(Problem::Large("paramData".into(), limits::TEXT_BYTES_MAX)));
    }
}
