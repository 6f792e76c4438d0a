//! What a notice or a form says in the fields of a template, and the request that carries it to one follower.

use std::collections::HashSet;

use hongyan_core::{content::Content, id::Id, setup::NoticeFields};
use serde_json::{Map, Value, json};

/// How many characters a field holds whose name begins so and ends in a number (`thing36`), by WeChat's page on the parameters
/// of template and subscription messages. What is longer is refused, for a notice cut in silence says something else.
const TYPES: [(&str, usize); 10] = [
    ("thing", 20),
    ("const", 20),
    ("name", 20),
    ("phrase", 5),
    ("character_string", 32),
    ("number", 32),
    ("letter", 32),
    ("symbol", 5),
    ("phone_number", 17),
    ("car_number", 8),
];

/// What a template is filled with.
#[derive(Debug)]
pub(super) struct Data<'a> {
    fields: Vec<(&'a str, &'a str)>,
    url: &'a str,
}

/// A text that is too long for its field.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the field {field} holds at most {max} characters, and the text has {chars}")]
pub(super) struct TooLong {
    field: String,
    max: usize,
    chars: usize,
}

/// Who gets a message.
pub(super) struct To<'a> {
    pub(super) openid: &'a str,
    pub(super) delivery: Id,
}

/// What `content` says in these fields; absent where it is of another kind.
pub(super) fn data<'a>(content: &'a Content, names: &'a NoticeFields) -> Option<Result<Data<'a>, TooLong>> {
    let named = |texts: [&'a str; 4]| -> Vec<(&'a str, &'a str)> {
        names_of(names).into_iter().zip(texts).filter(|(name, _)| !name.is_empty()).collect()
    };
    let (fields, url) = match content {
        Content::Text(text) => (named(["", &text.text, "", ""]), ""),
        Content::Notice(notice) => {
            (named([&notice.heading, &notice.message, &notice.date, &notice.remark]), notice.url.as_str())
        }
        Content::Form(form) => {
            (form.fields.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect(), form.url.as_str())
        }
        _ => return None,
    };
    let too_long = |(name, text): &(&str, &str)| {
        let (max, chars) = (chars_max(name)?, text.chars().count());
        (chars > max).then(|| TooLong { field: (*name).to_owned(), max, chars })
    };
    Some(fields.iter().find_map(too_long).map_or(Ok(Data { fields, url }), Err))
}

/// Whether one field is to hold two parts of a notice.
pub(super) fn names_twice(names: &NoticeFields) -> bool {
    let mut seen = HashSet::new();
    names_of(names).into_iter().any(|name| !name.is_empty() && !seen.insert(name))
}

fn names_of(names: &NoticeFields) -> [&str; 4] {
    [&names.heading, &names.message, &names.date, &names.remark]
}

fn chars_max(field: &str) -> Option<usize> {
    let kind = field.trim_end_matches(|c: char| c.is_ascii_digit());
    TYPES.iter().find(|(name, _)| *name == kind && kind != field).map(|(_, max)| *max)
}

/// The request.
pub(super) fn body(to: &To<'_>, template: &str, data: &Data<'_>) -> Value {
    let fields: Map<String, Value> =
        data.fields.iter().map(|(name, text)| ((*name).to_owned(), json!({"value": text}))).collect();
    let mut body = json!({"touser": to.openid, "template_id": template});
    if !data.url.is_empty() {
        body["url"] = data.url.into();
    }
    body["client_msg_id"] = to.delivery.to_string().into();
    body["data"] = fields.into();
    body
}
