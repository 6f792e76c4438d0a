//! The field types of the reference's forms (section 2): what each makes of a value, and when it complains.

use std::borrow::Cow;

use hongyan_intake::wire::Json;

use crate::{
    error::{Fault, Field, Problem},
    python,
};

impl Field {
    /// A `CharField` that must not be empty.
    pub(crate) fn required<'p>(self, value: &'p Json<'_>) -> Result<Cow<'p, str>, Problem> {
        let text = chars(value);
        if text.is_empty() { Err(self.is(Fault::Required)) } else { Ok(text) }
    }

    /// A `ListField` that must not be empty.
    pub(crate) fn required_list<'p>(self, value: &'p Json<'_>) -> Result<Vec<Item<'p>>, Problem> {
        let items = list(value);
        if items.is_empty() { Err(self.is(Fault::Required)) } else { Ok(items) }
    }

    /// A `TypeCheckField` of lists.
    pub(crate) fn array<'p, 'a>(self, value: &'p Json<'a>) -> Result<&'p [Json<'a>], Problem> {
        match value {
            Json::List(items) => Ok(items),
            value if python::is_empty(value) => Ok(&[]),
            _ => Err(self.is(Fault::List)),
        }
    }

    /// A `TypeCheckField` of objects that must not be empty.
    pub(crate) fn required_dict<'p, 'a>(self, value: &'p Json<'a>) -> Result<&'p Json<'a>, Problem> {
        match value {
            value if python::is_empty(value) => Err(self.is(Fault::Required)),
            Json::Dict(_) => Ok(value),
            _ => Err(self.is(Fault::Dict)),
        }
    }
}

/// A `CharField`: anything becomes text, without white space around it.
pub(crate) fn chars<'p>(value: &'p Json<'_>) -> Cow<'p, str> {
    if python::is_empty(value) { Cow::Borrowed("") } else { python::stripped(value) }
}

/// An item of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item<'p> {
    /// What it says, as Python would print it.
    pub(crate) text: Cow<'p, str>,
    /// Whether it was a text; everything else is no recipient.
    pub(crate) is_text: bool,
}

/// A `ListField`: a list as it is, a text that holds a JSON list as that list, and else the pieces of the text between commas,
/// semicolons, spaces and line ends (not TAB).
pub(crate) fn list<'p>(value: &'p Json<'_>) -> Vec<Item<'p>> {
    let item = |item: &'p Json<'_>| Item { text: python::text(item), is_text: matches!(item, Json::Text(_)) };
    match value {
        Json::List(items) => items.iter().map(item).collect(),
        Json::Text(text) => {
            if text.trim_start().starts_with('[')
                && let Ok(Json::List(items)) = Json::parse(text)
            {
                return items
                    .iter()
                    .map(|i| Item { text: item_text(i), is_text: matches!(i, Json::Text(_)) })
                    .collect();
            }
            pieces(text).map(|piece| Item { text: Cow::Borrowed(piece), is_text: true }).collect()
        }
        other => {
            let text = python::stripped(other);
            let text = if python::is_empty(other) { "" } else { &text };
            pieces(text).map(|piece| Item { text: Cow::Owned(piece.to_owned()), is_text: true }).collect()
        }
    }
}

/// The text of an item that does not outlive the list it was parsed from.
fn item_text<'p>(item: &Json<'_>) -> Cow<'p, str> {
    Cow::Owned(python::text(item).into_owned())
}

fn pieces(text: &str) -> impl Iterator<Item = &str> {
    python::strip(text).split([',', ';', ' ', '\n', '\r']).filter(|piece| !piece.is_empty())
}

/// A `DefaultBooleanField`: empty, "0" and "false" are false, every other text is true.
pub(crate) fn flag(value: &Json<'_>) -> bool {
    match value {
        Json::Text(text) => {
            let text = python::strip(text);
            !text.is_empty() && text != "0" && !text.eq_ignore_ascii_case("false")
        }
        other => python::is_true(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(json: &str) -> Vec<(String, bool)> {
        let value = Json::parse(json).expect("JSON");
        list(&value).into_iter().map(|item| (item.text.into_owned(), item.is_text)).collect()
    }

    #[test]
    fn lists() {
        let texts = |texts: &[&str]| texts.iter().map(|t| ((*t).to_owned(), true)).collect::<Vec<_>>();
        assert_eq!(items(r#""a@b.com;c@d.com e@f.com\ng@h.com,,i@j.com""#).len(), 5);
        assert_eq!(items(r#""a\tb，c""#), texts(&["a\tb，c"]));
        assert_eq!(items(r#"" ,; ""#), []);
        assert_eq!(items(r#"["a,b", " c "]"#), texts(&["a,b", " c "]));
        assert_eq!(items(r#"" [\"a,b\"] ""#), texts(&["a,b"]));
        assert_eq!(items(r#""[a""#), texts(&["[a"]));
        assert_eq!(items("[1, null]"), [("1".to_owned(), false), ("None".to_owned(), false)]);
        assert_eq!(items("123"), texts(&["123"]));
        assert_eq!(items("false"), texts(&["False"]));
        for empty in ["null", "\"\"", "[]", "{}", "\"[]\"", "\"  \""] {
            assert_eq!(items(empty), [], "{empty}");
        }
    }

    #[test]
    fn flags() {
        for (json, is_true) in [
            ("null", false),
            ("\"\"", false),
            ("\"  \"", false),
            ("\"0\"", false),
            ("\" FALSE \"", false),
            ("\"no\"", true),
            ("\"true\"", true),
            ("true", true),
            ("false", false),
            ("0", false),
            ("2", true),
            ("0.0", false),
            ("[]", false),
            ("[0]", true),
        ] {
            assert_eq!(flag(&Json::parse(json).expect("JSON")), is_true, "{json}");
        }
    }

    #[test]
    fn chars_of_anything() {
        let text = |json: &str| chars(&Json::parse(json).expect("JSON")).into_owned();
        assert_eq!(text("\"  x \\n\""), "x");
        assert_eq!(text("false"), "False");
        assert_eq!(text("{\"a\": 1}"), "{'a': 1}");
        for empty in ["null", "\"\"", "\"  \"", "[]", "{}"] {
            assert_eq!(text(empty), "", "{empty}");
        }
    }
}
