//! What is said around a message (decisions 4, 5 and 8, rows 29 to 33): what it is about, who sends it, how urgent it is, when.

use hongyan_core::{
    message::{Label, Priority},
    setup::{Settings, Template},
    text,
    time::Timestamp,
};
use hongyan_intake::wire::Json;

use crate::{call::Call, fields, place::Place, problem::Problem, send_time};

/// Characters of a message's type.
pub const KIND_CHARS_MAX: usize = 64;
/// Characters of a `businessId`, of a sender's code and of a sender's name.
const NAME_CHARS_MAX: usize = 128;
/// The types that the document has.
const KINDS: [&str; 2] = ["notice", "reminder"];

/// Whether `name` can be a message's type.
pub fn is_kind(name: &str) -> bool {
    !name.is_empty() && name.trim() == name && !text::has_control(name) && name.chars().nth(KIND_CHARS_MAX).is_none()
}

/// What is said around a message.
pub(crate) struct Envelope {
    pub(crate) label: Label,
    pub(crate) priority: Priority,
    /// When it is to be sent; absent: now.
    pub(crate) due: Option<Timestamp>,
}

impl Envelope {
    /// That of a call; the type of a message from a template is the template's (row 41).
    pub(crate) fn read(
        call: &Call<'_>,
        settings: &Settings,
        template: Option<&Template>,
        now: Timestamp,
    ) -> Result<Self, Problem> {
        let name = |field| -> Result<String, Problem> {
            let name = fields::name(call.get(field), &Place::top(field), NAME_CHARS_MAX)?;
            Ok(name.unwrap_or_default().into_owned())
        };
        let label = Label {
            business: name("businessId")?,
            kind: match template {
                Some(template) if template.kind.is_empty() => settings.push_kind.clone(),
                Some(template) => template.kind.clone(),
                None => kind(call.get("msgType"), settings)?,
            },
            sender_code: name("senderCode")?,
            sender_name: fields::line(call.get("senderName"), &Place::top("senderName"), NAME_CHARS_MAX)?,
            template: template.map(|template| template.code.clone()).unwrap_or_default(),
            template_version: template.map_or(0, |template| template.version),
        };
        let priority = priority(call.get("priority"))?;
        let place = Place::top("sendTime");
        let due = send_time::read(call.get("sendTime"), &place, &settings.time_zone, now, settings.push_ahead)?;
        Ok(Self { label, priority, due })
    }
}

/// Row 30: the type; one that the deployment does not list is refused where it lists any.
fn kind(value: &Json<'_>, settings: &Settings) -> Result<String, Problem> {
    let kind = fields::line(value, &Place::top("msgType"), KIND_CHARS_MAX)?;
    if kind.is_empty() {
        return Ok(settings.push_kind.clone());
    }
    let kinds = &settings.push_kinds;
    let is_known = kinds.is_empty() || KINDS.contains(&&*kind) || kind == settings.push_kind || kinds.contains(&kind);
    if is_known { Ok(kind) } else { Err(Problem::UnknownKind(kind)) }
}

/// Decision 4: 3 is high, 2 middle and the default, 1 low; 0 is low too.
fn priority(value: &Json<'_>) -> Result<Priority, Problem> {
    let number = match value {
        Json::Null => return Ok(Priority::default()),
        Json::Text(text) if text.trim().is_empty() => return Ok(Priority::default()),
        Json::Text(text) => match text.trim() {
            "3" => 3,
            "2" => 2,
            "1" => 1,
            "0" => 0,
            _ => -1,
        },
        Json::Int(number) => *number,
        _ => -1,
    };
    let priority = u8::try_from(number).ok().and_then(|number| Priority::from_number(number.max(1)));
    priority.ok_or_else(|| Problem::must(&Place::top("priority"), "3、2、1或0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_scale_of_priorities() {
        let of = |json: &str| priority(&Json::parse(json).expect("JSON"));
        for (json, is) in [
            ("null", Priority::Middle),
            (r#""""#, Priority::Middle),
            (r#"" ""#, Priority::Middle),
            ("3", Priority::High),
            (r#""3""#, Priority::High),
            (r#"" 2 ""#, Priority::Middle),
            ("2", Priority::Middle),
            ("1", Priority::Low),
            (r#""1""#, Priority::Low),
            ("0", Priority::Low),
            (r#""0""#, Priority::Low),
        ] {
            assert_eq!(of(json), Ok(is), "{json}");
        }
        for wrong in
            ["4", "-1", r#""-1""#, r#""high""#, r#""03""#, "2.0", "true", "[]", "{}", "18446744073709551615", "257"]
        {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn types_are_any_until_some_are_listed() {
        let of = |json: &str, kinds: &[&str]| {
            let kinds = kinds.iter().map(|kind| (*kind).to_owned()).collect();
            let settings = Settings { push_kind: "news".into(), push_kinds: kinds, ..Settings::default() };
            kind(&Json::parse(json).expect("JSON"), &settings)
        };
        for (json, kinds, is) in [
            ("null", &[][..], "news"),
            (r#""""#, &[], "news"),
            (r#""whatever""#, &[], "whatever"),
            (r#""notice""#, &["alarm"], "notice"),
            (r#""reminder""#, &["alarm"], "reminder"),
            (r#""news""#, &["alarm"], "news"),
            (r#"" alarm ""#, &["alarm"], "alarm"),
        ] {
            assert_eq!(of(json, kinds), Ok(is.to_owned()), "{json}");
        }
        assert_eq!(of(r#""Alarm""#, &["alarm"]), Err(Problem::UnknownKind("Alarm".into())));
        assert!(is_kind("待办") && !is_kind("") && !is_kind(" a") && !is_kind("a\n") && !is_kind(&"x".repeat(65)));
    }
}
