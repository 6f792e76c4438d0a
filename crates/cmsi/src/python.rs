//! What Python and Django make of values, where callers can see it (section 2): how a value becomes text, which values count
//! as empty or true, what `strip` removes, and how `base64.b64decode` reads text that is not quite base64.

use std::{borrow::Cow, collections::HashMap};

use base64::{Engine, engine::general_purpose::STANDARD};

use hongyan_intake::wire::Json;

/// Django's empty values: null, `""`, `[]`, `{}`.
pub(crate) fn is_empty(value: &Json<'_>) -> bool {
    match value {
        Json::Null => true,
        Json::Text(text) => text.is_empty(),
        Json::List(items) => items.is_empty(),
        Json::Dict(pairs) => pairs.is_empty(),
        Json::Bool(_) | Json::Int(_) | Json::Big(_) | Json::Float(_) => false,
    }
}

/// `bool(value)`.
pub(crate) fn is_true(value: &Json<'_>) -> bool {
    match value {
        Json::Bool(value) => *value,
        Json::Int(number) => *number != 0,
        Json::Big(_) => true,
        Json::Float(number) => *number != 0.0,
        Json::Null | Json::Text(_) | Json::List(_) | Json::Dict(_) => !is_empty(value),
    }
}

/// `str(value)`.
pub(crate) fn text<'p>(value: &'p Json<'_>) -> Cow<'p, str> {
    match value {
        Json::Text(text) => Cow::Borrowed(text),
        other => {
            let mut written = String::new();
            repr(other, &mut written);
            Cow::Owned(written)
        }
    }
}

/// `text.strip()`: Unicode white space and the four separators that Python counts too.
pub(crate) fn strip(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c))
}

/// [`text`] and [`strip`] in one, without a copy where the value is a text.
pub(crate) fn stripped<'p>(value: &'p Json<'_>) -> Cow<'p, str> {
    match text(value) {
        Cow::Borrowed(text) => Cow::Borrowed(strip(text)),
        Cow::Owned(text) => Cow::Owned(strip(&text).to_owned()),
    }
}

/// `repr(value)`.
fn repr(value: &Json<'_>, into: &mut String) {
    match value {
        Json::Null => into.push_str("None"),
        Json::Bool(true) => into.push_str("True"),
        Json::Bool(false) => into.push_str("False"),
        Json::Int(number) => into.push_str(&number.to_string()),
        Json::Big(number) => into.push_str(&number.to_string()),
        Json::Float(number) => into.push_str(&float(*number)),
        Json::Text(text) => repr_text(text, into),
        Json::List(items) => {
            into.push('[');
            for (n, item) in items.iter().enumerate() {
                into.push_str(if n == 0 { "" } else { ", " });
                repr(item, into);
            }
            into.push(']');
        }
        Json::Dict(pairs) => {
            // A repeated key stands once, at its first place with its last value.
            let mut last: HashMap<_, _> = pairs.iter().map(|(key, value)| (key, value)).collect();
            let mut separator = "";
            into.push('{');
            for (key, value) in pairs.iter().filter_map(|(key, _)| last.remove_entry(key)) {
                into.push_str(separator);
                separator = ", ";
                repr_text(key, into);
                into.push_str(": ");
                repr(value, into);
            }
            into.push('}');
        }
    }
}

fn repr_text(text: &str, into: &mut String) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    into.push(quote);
    for c in text.chars() {
        match c {
            '\n' => into.push_str("\\n"),
            '\r' => into.push_str("\\r"),
            '\t' => into.push_str("\\t"),
            '\\' => into.push_str("\\\\"),
            c if c == quote => into.extend(['\\', c]),
            c if c.is_control() => into.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => into.push(c),
        }
    }
    into.push(quote);
}

/// `repr` of a float: Rust's shortest digits, with Python's form of the exponent.
fn float(number: f64) -> String {
    let written = format!("{number:?}");
    match written.split_once('e') {
        None => written,
        Some((digits, exponent)) => {
            let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |e| ('-', e));
            format!("{digits}e{sign}{exponent:0>2}")
        }
    }
}

/// What Django's `IntegerField` makes of a stripped text: `int(text)`, zeros after a point being none.
pub(crate) fn whole_number(text: &str) -> Option<i64> {
    let whole = match text.rsplit_once('.') {
        Some((whole, zeros)) if zeros.bytes().all(|digit| digit == b'0') => whole,
        _ => text,
    };
    whole.parse().ok()
}

/// `base64.b64decode(text)`: characters outside the alphabet are skipped, padding ends the text where it fits, and bits left
/// over at the end are an error (decision 9, section 6.7).
pub(crate) fn b64decode(text: &str) -> Option<Vec<u8>> {
    if let Ok(bytes) = STANDARD.decode(text) {
        return Some(bytes);
    }
    if !text.is_ascii() {
        return None;
    }
    let (mut bytes, mut bits, mut held, mut place) = (Vec::with_capacity(text.len() / 4 * 3), 0u32, 0u32, 0u8);
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'=' {
            let ends =
                place == 3 || (place == 2 && rest.clone().find(|b| *b == b'=' || sextet(*b).is_some()) == Some(b'='));
            if ends {
                held = 0;
                break;
            }
            continue;
        }
        let Some(six) = sextet(byte) else { continue };
        place = (place + 1) % 4;
        bits = bits << 6 | u32::from(six);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held & 0xff) as u8);
            bits &= (1 << held) - 1;
        }
    }
    (held == 0).then_some(bytes)
}

const fn sextet(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(json: &str) -> String {
        text(&Json::parse(json).expect("JSON")).into_owned()
    }

    #[test]
    fn texts_as_python_writes_them() {
        for (json, python) in [
            ("5", "5"),
            ("0", "0"),
            ("true", "True"),
            ("false", "False"),
            ("18446744073709551615", "18446744073709551615"),
            ("null", "None"),
            ("1.0", "1.0"),
            ("1e16", "1e+16"),
            ("1.5e300", "1.5e+300"),
            ("1e15", "1000000000000000.0"),
            ("0.00001", "1e-05"),
            ("0.0001", "0.0001"),
            ("-0.0", "-0.0"),
            (r#"{"a": 1, "b": [null, "x"], "a": "it's"}"#, r#"{'a': "it's", 'b': [None, 'x']}"#),
            (r#"["\n\\\u0000 '\" 你"]"#, r#"['\n\\\x00 \'" 你']"#),
            (r#"" x ""#, " x "),
        ] {
            assert_eq!(text_of(json), python, "{json}");
        }
    }

    #[test]
    fn strip_removes_what_python_calls_space() {
        assert_eq!(strip("\u{1c} \u{3000}\u{a0}a b\u{1f}\r\n"), "a b");
    }

    #[test]
    fn base64_as_python_reads_it() {
        for (given, read) in [
            ("aGk=", Some("hi")),
            ("aG\nk=\n", Some("hi")),
            ("aGk", None),
            ("abcde", None),
            ("__-_", Some("")),
            ("====", Some("")),
            ("", Some("")),
            ("a=Gk=", Some("hi")),
            ("aG=k=", Some("hi")),
            ("YR==", Some("a")),
            ("eA==garbage", Some("x")),
            ("你好", None),
        ] {
            assert_eq!(b64decode(given).as_deref(), read.map(str::as_bytes), "{given}");
        }
    }
}
