//! What a message may say, as far as the components have it in common (decision 8): lines of one line, contents that may be
//! base64, and bounds of both.

use std::borrow::Cow;

use hongyan_core::{content::Text, limits, text};

use crate::{
    error::{Fault, Field, Problem},
    python,
};

/// A text of one line, such as a title: line ends and TAB become a space, other controls are refused.
pub(crate) fn line(given: &str, field: Field) -> Result<String, Problem> {
    let line = text::fold_line(given).map_err(|_| field.is(Fault::Control))?;
    characters(&line, limits::SUBJECT_CHARS_MAX, field)?;
    Ok(line)
}

/// Section 6.7 and decision 9: what is not base64 of UTF-8 stays as it is. Controls are dropped.
pub(crate) fn content(given: Cow<'_, str>, is_base64: bool) -> String {
    let decoded =
        is_base64.then(|| python::b64decode(&given).and_then(|bytes| String::from_utf8(bytes).ok())).flatten();
    text::clean_content(decoded.unwrap_or_else(|| given.into_owned()))
}

/// A short text: a content with something to say, of at most [`limits::TEXT_BYTES_MAX`].
pub(crate) fn short(given: Cow<'_, str>, is_base64: bool, field: Field) -> Result<Text, Problem> {
    let text = telling(given, is_base64, field)?;
    bounded(&text.text, limits::TEXT_BYTES_MAX, field)?;
    Ok(text)
}

/// A text for a phone: a content with something to say, of at most [`limits::SMS_CHARS_MAX`].
pub(crate) fn brief(given: Cow<'_, str>, is_base64: bool, field: Field) -> Result<Text, Problem> {
    let text = telling(given, is_base64, field)?;
    characters(&text.text, limits::SMS_CHARS_MAX, field)?;
    Ok(text)
}

fn telling(given: Cow<'_, str>, is_base64: bool, field: Field) -> Result<Text, Problem> {
    let text = content(given, is_base64);
    if python::strip(&text).is_empty() { Err(field.is(Fault::Required)) } else { Ok(Text { text, ..Text::default() }) }
}

/// Refuses what is longer than `most` characters.
fn characters(text: &str, most: usize, field: Field) -> Result<(), Problem> {
    let is_long = text.len() > most && text.chars().count() > most;
    if is_long { Err(field.is(Fault::Characters(most))) } else { Ok(()) }
}

/// Refuses what is longer than `most` bytes.
pub(crate) fn bounded(text: &str, most: usize, field: Field) -> Result<(), Problem> {
    if text.len() > most { Err(field.is(Fault::Bytes(most))) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELD: Field = Field::new("email subject", "title");

    #[test]
    fn lines() {
        assert_eq!(line("a\r\n\tb", FIELD), Ok("a b".to_owned()));
        assert_eq!(line("a\0b", FIELD), Err(FIELD.is(Fault::Control)));
        assert!(line(&"鸿".repeat(limits::SUBJECT_CHARS_MAX), FIELD).is_ok());
        assert!(line(&"鸿".repeat(limits::SUBJECT_CHARS_MAX + 1), FIELD).is_err());
    }

    #[test]
    fn contents() {
        assert_eq!(content("aGk=".into(), true), "hi");
        assert_eq!(content("aGk=".into(), false), "aGk=");
        assert_eq!(content("//4=".into(), true), "//4=", "not UTF-8: stays");
        assert_eq!(content("a\0b\u{7f}".into(), false), "ab");
        assert_eq!(content("YQBi".into(), true), "ab", "controls are dropped after decoding too");
    }

    #[test]
    fn short_texts_say_something_and_have_a_bound() {
        let of = |text: &str, is_base64| short(text.to_owned().into(), is_base64, FIELD).map(|text| text.text);
        assert_eq!(of("a\0\nb", false), Ok("a\nb".to_owned()));
        for (nothing, is_base64) in [("\0", false), ("IA==", true)] {
            assert_eq!(of(nothing, is_base64), Err(FIELD.is(Fault::Required)), "{nothing:?}");
        }
        let longest = "x".repeat(limits::TEXT_BYTES_MAX);
        assert_eq!(of(&longest, false), Ok(longest.clone()));
        assert_eq!(of(&format!("{longest}x"), false), Err(FIELD.is(Fault::Bytes(limits::TEXT_BYTES_MAX))));
    }

    #[test]
    fn texts_for_a_phone_are_counted_in_characters() {
        let of = |text: &str| brief(text.to_owned().into(), false, FIELD).map(|text| text.text);
        let longest = "鸿".repeat(limits::SMS_CHARS_MAX);
        assert_eq!(of(&longest), Ok(longest.clone()));
        assert_eq!(of(&format!("{longest}x")), Err(FIELD.is(Fault::Characters(limits::SMS_CHARS_MAX))));
        assert_eq!(of("\0"), Err(FIELD.is(Fault::Required)));
    }
}
