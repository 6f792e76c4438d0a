//! Which of a provider's templates says a text. Mainland carriers let only approved templates through, so that free text goes by
//! one that is nothing but a variable; a template of ours goes by the one that stands for it at the provider, and one that the
//! caller knows by the provider's own name goes by that (`contracts/push.md` 3, row 23).

use std::collections::BTreeMap;

use hongyan_core::{
    content::{Content, TemplateUse, Text},
    limits::SMS_CHARS_MAX,
    outcome::{Outcome, Rejection, Verdict},
    setup::SmsTemplate,
};

use crate::error::OpenError;

/// By what a provider knows the variables of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KnownBy {
    /// By their names.
    Name,
    /// By their place: the first value is the first variable's.
    Place,
}

/// The templates of a provider.
pub(crate) struct Templates {
    known_by: KnownBy,
    default: SmsTemplate,
    named: BTreeMap<String, SmsTemplate>,
}

/// A provider's template and what fills it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Filled<'a> {
    /// The provider's name for it.
    pub(crate) id: &'a str,
    /// Its variables in the provider's order, with their values.
    pub(crate) values: Vec<(&'a str, &'a str)>,
}

impl Templates {
    /// The template of texts that name none, and those that stand for ours, by our codes.
    ///
    /// # Errors
    /// When the first has not exactly one variable, or one has no name at the provider.
    pub(crate) fn new(
        known_by: KnownBy,
        default: &SmsTemplate,
        named: &BTreeMap<String, SmsTemplate>,
    ) -> Result<Self, OpenError> {
        if default.id.is_empty() || default.variables.len() != 1 {
            return Err(OpenError::key("template", "must have an id and exactly one variable, which takes the text"));
        }
        if named.values().any(|template| template.id.is_empty()) {
            return Err(OpenError::key("templates", "each must have an id"));
        }
        Ok(Self { known_by, default: default.clone(), named: named.clone() })
    }

    /// The template of `text`. A template of ours that has none here is sent as the text that it made, a foreign one by its code.
    ///
    /// # Errors
    /// The verdict, where it names a template of the provider and lacks one of its variables, or where nobody knows which value
    /// is whose.
    pub(crate) fn fill<'a>(&'a self, text: &'a Text) -> Result<Filled<'a>, Verdict> {
        let (id, values) = match &text.template {
            Some(used) => match self.named.get(&used.code) {
                Some(template) => (&template.id, in_order(used, &template.variables)?),
                None if used.foreign => (&used.code, self.foreign(used)?),
                None => return Ok(self.free(text)),
            },
            None => return Ok(self.free(text)),
        };
        bounded(values.iter().map(|(_, value)| *value))?;
        Ok(Filled { id, values })
    }

    /// What takes any text.
    fn free<'a>(&'a self, text: &'a Text) -> Filled<'a> {
        let values = self.default.variables.iter().map(|name| (name.as_str(), text.text.as_str())).collect();
        Filled { id: &self.default.id, values }
    }

    /// The values for a template of which only the caller knows the variables.
    fn foreign<'a>(&self, used: &'a TemplateUse) -> Result<Vec<(&'a str, &'a str)>, Verdict> {
        if !used.order.is_empty() {
            return in_order(used, &used.order);
        }
        if self.known_by == KnownBy::Place && used.values.len() > 1 {
            return Err(rejected(format!(
                "template {}: this provider knows variables by their place, and nobody said in which order these are; \
                 declare the template under `templates` of the provider",
                used.code
            )));
        }
        Ok(used.values.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect())
    }
}

/// The values of these variables.
fn in_order<'a>(used: &'a TemplateUse, variables: &'a [String]) -> Result<Vec<(&'a str, &'a str)>, Verdict> {
    let value = |name: &'a String| match used.values.get(name) {
        Some(value) => Ok((name.as_str(), value.as_str())),
        None => Err(rejected(format!("template {}: no value for {name}", used.code))),
    };
    variables.iter().map(value).collect()
}

/// The signature of a text: its own, else the provider's.
pub(crate) fn sign_of<'a>(text: &'a Text, providers: &'a str) -> &'a str {
    text.sign.as_deref().filter(|sign| !sign.is_empty()).unwrap_or(providers)
}

/// The short text that a parcel carries.
///
/// # Errors
/// The verdict, where it carries something else, or a text that is too long.
pub(crate) fn text_of(content: &Content) -> Result<&Text, Verdict> {
    match content {
        Content::Text(text) => bounded([text.text.as_str()]).map(|()| text),
        _ => Err(rejected("carries short texts and nothing else")),
    }
}

/// Whether these together are no longer than a text may be.
fn bounded<'a>(parts: impl IntoIterator<Item = &'a str>) -> Result<(), Verdict> {
    let length: usize = parts.into_iter().map(|part| part.chars().count()).sum();
    if length > SMS_CHARS_MAX {
        return Err(rejected(format!("{length} characters, of which a text may have {SMS_CHARS_MAX}")));
    }
    Ok(())
}

fn rejected(why: impl Into<String>) -> Verdict {
    Verdict::new(Outcome::Rejected(Rejection::Content), why)
}

#[cfg(test)]
mod tests {
    use hongyan_core::content::{Form, InApp, Mail, Notice};

    use super::*;

    fn template(id: &str, variables: &[&str]) -> SmsTemplate {
        SmsTemplate { id: id.into(), variables: variables.iter().map(|name| (*name).to_owned()).collect() }
    }

    fn text(code: &str, values: &[(&str, &str)]) -> Text {
        let values = values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let template = TemplateUse { code: code.into(), foreign: false, order: vec![], values };
        Text { text: "your code is 1234".into(), sign: None, template: Some(template) }
    }

    #[test]
    fn a_text_goes_by_the_template_that_stands_for_its_own() {
        let named = [("login".to_owned(), template("SMS_2", &["minutes", "code"]))].into();
        let templates = Templates::new(KnownBy::Name, &template("SMS_1", &["content"]), &named).expect("sound");
        let values = [("code", "1234"), ("minutes", "5"), ("unused", "x")];
        let by_default = Filled { id: "SMS_1", values: vec![("content", "your code is 1234")] };
        let by_name = Filled { id: "SMS_2", values: vec![("minutes", "5"), ("code", "1234")] };
        assert_eq!(templates.fill(&text("login", &values)), Ok(by_name));
        assert_eq!(templates.fill(&text("unknown here", &values)).as_ref(), Ok(&by_default));
        let free = Text { template: None, ..text("", &[]) };
        assert_eq!(templates.fill(&free).as_ref(), Ok(&by_default));
        let lacking = templates.fill(&text("login", &values[..1])).expect_err("lacks a value");
        assert_eq!(lacking, rejected("template login: no value for minutes"));
    }

    #[test]
    fn a_foreign_template_goes_by_its_own_name() {
        let named = [("login".to_owned(), template("SMS_2", &["minutes", "code"]))].into();
        let templates = |known_by| Templates::new(known_by, &template("SMS_1", &["content"]), &named).expect("sound");
        let (name, place) = (templates(KnownBy::Name), templates(KnownBy::Place));
        let foreign = |code: &str, order: &[&str], values: &[(&str, &str)]| {
            let mut text = text(code, values);
            let used = text.template.as_mut().expect("one is named");
            (used.foreign, used.order) = (true, order.iter().map(|name| (*name).to_owned()).collect());
            text
        };
        let values = [("code", "1234"), ("minutes", "5")];
        let unordered = foreign("T100101", &[], &values);
        let filled = |values: &[(&'static str, &'static str)]| Filled { id: "T100101", values: values.to_vec() };
        assert_eq!(name.fill(&unordered), Ok(filled(&values)));
        let why = place.fill(&unordered).expect_err("nobody knows which is which").reply;
        assert!(why.starts_with("template T100101: this provider knows variables by their place"), "{why}");
        let ordered = foreign("T100101", &["minutes", "code"], &values);
        for templates in [&name, &place] {
            assert_eq!(templates.fill(&ordered), Ok(filled(&[("minutes", "5"), ("code", "1234")])));
            assert_eq!(templates.fill(&foreign("T100101", &[], &[])), Ok(filled(&[])));
            assert_eq!(templates.fill(&foreign("T100101", &[], &values[..1])), Ok(filled(&values[..1])));
            let lacking = templates.fill(&foreign("T100101", &["code", "time"], &values)).map(drop);
            assert_eq!(lacking, Err(rejected("template T100101: no value for time")));
            // What the deployment declares stands over what the caller says.
            assert_eq!(templates.fill(&foreign("login", &["code"], &values)).expect("declared").id, "SMS_2");
            let long = "x".repeat(SMS_CHARS_MAX + 1);
            assert!(templates.fill(&foreign("T100101", &["a"], &[("a", &long)])).is_err());
        }
    }

    #[test]
    fn a_text_may_have_a_signature_of_its_own() {
        let signed = |sign: Option<&str>| Text { sign: sign.map(str::to_owned), ..Text::default() };
        assert_eq!(sign_of(&signed(None), "鸿雁"), "鸿雁");
        assert_eq!(sign_of(&signed(Some("")), "鸿雁"), "鸿雁");
        assert_eq!(sign_of(&signed(Some("东华医为")), "鸿雁"), "东华医为");
    }

    #[test]
    fn nothing_but_texts_is_carried() {
        let mail = Mail {
            from: None,
            to: vec![],
            cc: vec![],
            subject: String::new(),
            body: hongyan_core::content::Body::Text(String::new()),
            attachments: vec![],
            date: 0,
        };
        for content in [
            Content::Mail(mail),
            Content::Notice(Notice::default()),
            Content::Form(Form::default()),
            Content::InApp(InApp::default()),
            Content::Object(serde_json::Map::new()),
            Content::Each(BTreeMap::new()),
        ] {
            assert_eq!(text_of(&content), Err(rejected("carries short texts and nothing else")), "{content:?}");
        }
    }

    #[test]
    fn texts_are_bounded() {
        let named = [("login".to_owned(), template("SMS_2", &["a", "b"]))].into();
        let templates = Templates::new(KnownBy::Name, &template("SMS_1", &["content"]), &named).expect("sound");
        let (full, half) = ("鸿".repeat(SMS_CHARS_MAX), "雁".repeat(SMS_CHARS_MAX / 2));
        let (over, over_half) = (format!("{full}x"), format!("{half}x"));
        let short = |text: &str| text_of(&Content::Text(Text { text: text.into(), ..Text::default() })).map(|_| ());
        assert_eq!(short(&full), Ok(()));
        let too_long = rejected("1001 characters, of which a text may have 1000");
        assert_eq!(short(&over), Err(too_long.clone()));
        assert!(templates.fill(&text("login", &[("a", &half), ("b", &half), ("unused", &over)])).is_ok());
        assert_eq!(templates.fill(&text("login", &[("a", &half), ("b", &over_half)])), Err(too_long));
    }

    #[test]
    fn templates_that_cannot_work_are_refused() {
        let refused = |default: &SmsTemplate, named: &[(&str, SmsTemplate)]| {
            let named = named.iter().map(|(code, template)| ((*code).to_owned(), template.clone())).collect();
            Templates::new(KnownBy::Name, default, &named).err().map(|error| error.to_string())
        };
        let sound = template("SMS_1", &["content"]);
        assert_eq!(refused(&sound, &[("a", template("1", &[]))]), None);
        for (default, key) in [(template("SMS_1", &[]), "template"), (template("", &["a"]), "template")] {
            assert!(refused(&default, &[]).is_some_and(|why| why.starts_with(&format!("{key}: "))), "{default:?}");
        }
        assert!(refused(&sound, &[("a", template("", &[]))]).is_some_and(|why| why.starts_with("templates: ")));
    }
}
