//! The forms of fields: names, lines, texts, lists of names (rows 10, 15 and 18), each with its bound.

use std::borrow::Cow;

use hongyan_core::text;
use hongyan_intake::wire::Json;

use crate::{
    place::{Place, shown},
    problem::Problem,
};

/// A text, or nothing where it is null or not there.
pub(crate) fn text<'j>(value: &'j Json<'_>, place: &Place<'_>) -> Result<Option<&'j str>, Problem> {
    match value {
        Json::Null => Ok(None),
        Json::Text(text) => Ok(Some(text)),
        _ => Err(Problem::must(place, "字符串")),
    }
}

/// A name of one line, which programs also write as a number; white space around it does not count, and a blank one is none.
pub(crate) fn name<'j>(value: &'j Json<'_>, place: &Place<'_>, most: usize) -> Result<Option<Cow<'j, str>>, Problem> {
    let name = match value {
        Json::Null => return Ok(None),
        Json::Text(text) => Cow::Borrowed(text.trim()),
        Json::Int(number) => Cow::Owned(number.to_string()),
        Json::Big(number) => Cow::Owned(number.to_string()),
        _ => return Err(Problem::must(place, "字符串")),
    };
    if text::has_control(&name) {
        return Err(Problem::Control(place.to_string()));
    }
    bounded(&name, most, place)?;
    Ok(Some(name).filter(|name| !name.is_empty()))
}

/// A name that must be there.
pub(crate) fn required<'j>(value: &'j Json<'_>, place: &Place<'_>, most: usize) -> Result<Cow<'j, str>, Problem> {
    match name(value, place, most)? {
        Some(name) => Ok(name),
        None if *value == Json::Null => Err(Problem::missing(place)),
        None => Err(Problem::empty(place)),
    }
}

/// A text of one line: line ends and TAB become a space, other controls are refused. Empty where it is not there.
pub(crate) fn line(value: &Json<'_>, place: &Place<'_>, most: usize) -> Result<String, Problem> {
    folded(text(value, place)?.unwrap_or_default(), place, most)
}

/// The same of a text that is known to be one.
pub(crate) fn folded(given: &str, place: &Place<'_>, most: usize) -> Result<String, Problem> {
    let line = text::fold_line(given.trim()).map_err(|_| Problem::Control(place.to_string()))?;
    bounded(&line, most, place)?;
    Ok(line)
}

/// A text that must say something. Controls other than line ends and TAB are dropped.
pub(crate) fn telling(value: &Json<'_>, place: &Place<'_>) -> Result<String, Problem> {
    let given = text(value, place)?.ok_or_else(|| Problem::missing(place))?;
    said(given.to_owned(), place)
}

/// The same of a text that is known to be one.
pub(crate) fn said(given: String, place: &Place<'_>) -> Result<String, Problem> {
    let said = text::clean_content(given);
    if said.trim().is_empty() { Err(Problem::empty(place)) } else { Ok(said) }
}

/// Refuses what has more characters.
pub(crate) fn bounded(text: &str, most: usize, place: &Place<'_>) -> Result<(), Problem> {
    let is_long = text.len() > most && text.chars().nth(most).is_some();
    if is_long { Err(Problem::Long(place.to_string(), most)) } else { Ok(()) }
}

/// Refuses what has more bytes.
pub(crate) fn sized(bytes: usize, most: usize, place: &Place<'_>) -> Result<(), Problem> {
    if bytes > most { Err(Problem::Large(place.to_string(), most)) } else { Ok(()) }
}

/// Above this not every whole number is one of a float's, and what was written is not what was read.
const WHOLE_MAX: f64 = 9_007_199_254_740_991.0;

/// Refuses what cannot be told from other numbers that a caller could have written.
pub(crate) fn exact(number: f64, place: &Place<'_>) -> Result<f64, Problem> {
    if number.abs() > WHOLE_MAX { Err(Problem::Inexact(place.to_string())) } else { Ok(number) }
}

/// The members of an object, in the caller's order.
pub(crate) type Members<'a> = [(Cow<'a, str>, Json<'a>)];

/// An object's members.
pub(crate) fn object<'j, 'a>(value: &'j Json<'a>, place: &Place<'_>) -> Result<Option<&'j Members<'a>>, Problem> {
    match value {
        Json::Null => Ok(None),
        Json::Dict(members) => Ok(Some(members)),
        _ => Err(Problem::must(place, "JSON对象")),
    }
}

/// The names of a list.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    /// Those that are names, each once, in their order.
    pub(crate) good: Vec<String>,
    /// Those that can be nobody's, too long or with control characters, as they can be shown.
    pub(crate) odd: Vec<String>,
}

/// A list of names, or a single one (row 15). Blank ones are left out. What is left of `room` for receivers becomes less by all that
/// are there. One that can be nobody's name fails alone (row 14), what is of another type is a mistake of the program.
pub(crate) fn names(value: &Json<'_>, place: &Place<'_>, most: usize, room: &mut Room) -> Result<Names, Problem> {
    let items = match value {
        Json::Null => return Ok(Names::default()),
        Json::List(items) => items.as_slice(),
        Json::Text(_) | Json::Int(_) | Json::Big(_) => std::slice::from_ref(value),
        _ => return Err(Problem::must(place, "字符串数组")),
    };
    room.take(items.len())?;
    let (mut names, mut seen) = (Names::default(), std::collections::HashSet::new());
    for item in items {
        if *item == Json::Null {
            return Err(Problem::must(place, "字符串数组"));
        }
        match (name(item, place, most), item) {
            (Ok(Some(name)), _) if seen.insert(name.clone()) => names.good.push(name.into_owned()),
            (Ok(_), _) => {}
            (Err(_), Json::Text(text)) => names.odd.push(shown(text.trim())),
            (Err(_), _) => return Err(Problem::must(place, "字符串数组")),
        }
    }
    Ok(names)
}

/// How many receivers a request may still name (row 48).
pub(crate) struct Room {
    left: usize,
    most: usize,
}

impl Room {
    /// Room for so many.
    pub(crate) const fn new(most: usize) -> Self {
        Self { left: most, most }
    }

    fn take(&mut self, n: usize) -> Result<(), Problem> {
        self.left = self.left.checked_sub(n).ok_or(Problem::Many(self.most))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place<'static> = Place::top("x");

    fn of(json: &str) -> Json<'_> {
        Json::parse(json).expect("JSON")
    }

    #[test]
    fn names_are_numbers_too_and_single_and_each_once() {
        for (json, names) in [
            (r#"["USER001", " USER002 ", "USER001", ""]"#, Ok(&["USER001", "USER002"][..])),
            (r#"[1001, 18446744073709551615, -5]"#, Ok(&["1001", "18446744073709551615", "-5"][..])),
            (r#""USER001""#, Ok(&["USER001"][..])),
            ("7", Ok(&["7"][..])),
            ("null", Ok(&[][..])),
            ("[]", Ok(&[][..])),
            ("true", Err("参数有误：x应为字符串数组")),
            ("1.5", Err("参数有误：x应为字符串数组")),
            ("{}", Err("参数有误：x应为字符串数组")),
            ("[null]", Err("参数有误：x应为字符串数组")),
            ("[1.5]", Err("参数有误：x应为字符串数组")),
            ("[[]]", Err("参数有误：x应为字符串数组")),
            (r#"["a", "b", "c", "d", "e"]"#, Err("参数有误：接收目标超过4个")),
        ] {
            let read = super::names(&of(json), &PLACE, 20, &mut Room::new(4));
            let read = read.map(|names| names.good).map_err(|problem| problem.msg());
            assert_eq!(
                read,
                names.map(|n| n.iter().map(|n| (*n).to_owned()).collect()).map_err(str::to_owned),
                "{json}"
            );
        }
        let odd = super::names(&of(r#"["a", "012345678901234567890", "a\u0000b"]"#), &PLACE, 20, &mut Room::new(4));
        let odd = odd.expect("the others are named");
        assert_eq!((odd.good, odd.odd), (vec!["a".to_owned()], vec!["012345678901234567890".into(), "a?b".into()]));
    }

    #[test]
    fn lines_and_texts() {
        assert_eq!(line(&of(r#"" a\r\n\tb ""#), &PLACE, 3), Ok("a b".to_owned()));
        assert_eq!(line(&Json::Null, &PLACE, 3), Ok(String::new()));
        assert_eq!(line(&of(r#""鸿雁鸿雁""#), &PLACE, 3), Err(Problem::Long("x".into(), 3)));
        assert_eq!(line(&of(r#""a\u0000""#), &PLACE, 3), Err(Problem::Control("x".into())));
        assert_eq!(line(&of("5"), &PLACE, 3), Err(Problem::must(&PLACE, "字符串")));
        assert_eq!(telling(&of(r#""a\u0000\n""#), &PLACE), Ok("a\n".to_owned()));
        assert_eq!(telling(&of(r#"" \u0007""#), &PLACE), Err(Problem::empty(&PLACE)));
        assert_eq!(telling(&Json::Null, &PLACE), Err(Problem::missing(&PLACE)));
        assert_eq!(required(&of(r#"" ""#), &PLACE, 3), Err(Problem::empty(&PLACE)));
    }
}
