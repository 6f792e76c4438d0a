//! Which of a provider's templates says a text. Mainland carriers let only approved templates through, so that free text goes by
//! one that is nothing but a variable; a template of ours goes by the one that stands for it at the provider.

use std::collections::BTreeMap;

use hongyan_core::{
    content::{Content, Text},
    limits::SMS_CHARS_MAX,
    outcome::{Outcome, Rejection, Verdict},
    setup::SmsTemplate,
};

use crate::error::OpenError;

/// The templates of a provider.
pub(crate) struct Templates {
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
    pub(crate) fn new(default: &SmsTemplate, named: &BTreeMap<String, SmsTemplate>) -> Result<Self, OpenError> {
        if default.id.is_empty() || default.variables.len() != 1 {
            return Err(OpenError::key("template", "must have an id and exactly one variable, which takes the text"));
        }
        if named.values().any(|template| template.id.is_empty()) {
            return Err(OpenError::key("templates", "each must have an id"));
        }
        Ok(Self { default: default.clone(), named: named.clone() })
    }

    /// The template of `text`. A template of ours that has none here is sent as the text that it made.
    ///
    /// # Errors
    /// The verdict, where it names a template of the provider and lacks one of its variables.
    pub(crate) fn fill<'a>(&'a self, text: &'a Text) -> Result<Filled<'a>, Verdict> {
        let known = text.template.as_ref().and_then(|used| Some((used, self.named.get(&used.code)?)));
        let Some((used, template)) = known else {
            let values = self.default.variables.iter().map(|name| (name.as_str(), text.text.as_str())).collect();
            return Ok(Filled { id: &self.default.id, values });
        };
        let value = |name: &'a String| match used.values.get(name) {
            Some(value) => Ok((name.as_str(), value.as_str())),
            None => Err(rejected(format!("template {}: no value for {name}", used.code))),
        };
        let values: Vec<(&str, &str)> = template.variables.iter().map(value).collect::<Result<_, _>>()?;
        bounded(values.iter().map(|(_, value)| *value))?;
        Ok(Filled { id: &template.id, values })
    }
}

/// The short text that a parcel carries.
///
/// # Errors
/// The verdict, where it carries something else, or a text that is too long.
pub(crate) fn text_of(content: &Content) -> Result<&Text, Verdict> {
    match content {
        Content::Text(text) => bounded([text.text.as_str()]).map(|()| text),
        Content::Mail(_) | Content::Notice(_) => Err(rejected("carries short texts and nothing else")),
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
    use hongyan_core::content::{Notice, TemplateUse};

    use super::*;

    fn template(id: &str, variables: &[&str]) -> SmsTemplate {
        SmsTemplate { id: id.into(), variables: variables.iter().map(|name| (*name).to_owned()).collect() }
    }

    fn text(code: &str, values: &[(&str, &str)]) -> Text {
        let values = values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Text { text: "your code is 1234".into(), template: Some(TemplateUse { code: code.into(), values }) }
    }

    #[test]
    fn a_text_goes_by_the_template_that_stands_for_its_own() {
        let named = [("login".to_owned(), template("SMS_2", &["minutes", "code"]))].into();
        let templates = Templates::new(&template("SMS_1", &["content"]), &named).expect("sound");
        let values = [("code", "1234"), ("minutes", "5"), ("unused", "x")];
        let by_default = Filled { id: "SMS_1", values: vec![("content", "your code is 1234")] };
        let by_name = Filled { id: "SMS_2", values: vec![("minutes", "5"), ("code", "1234")] };
        assert_eq!(templates.fill(&text("login", &values)), Ok(by_name));
        assert_eq!(templates.fill(&text("unknown here", &values)).as_ref(), Ok(&by_default));
        let free = Text { template: None, ..text("", &[]) };
        assert_eq!(templates.fill(&free).as_ref(), Ok(&by_default));
        let lacking = templates.fill(&text("login", &values[..1])).expect_err("lacks a value");
        assert_eq!(lacking, rejected("template login: no value for minutes"));
        assert!(text_of(&Content::Notice(Notice::default())).is_err());
    }

    #[test]
    fn texts_are_bounded() {
        let named = [("login".to_owned(), template("SMS_2", &["a", "b"]))].into();
        let templates = Templates::new(&template("SMS_1", &["content"]), &named).expect("sound");
        let (full, half) = ("鸿".repeat(SMS_CHARS_MAX), "雁".repeat(SMS_CHARS_MAX / 2));
        let (over, over_half) = (format!("{full}x"), format!("{half}x"));
        let short = |text: &str| text_of(&Content::Text(Text { text: text.into(), template: None })).map(|_| ());
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
            Templates::new(default, &named).err().map(|error| error.to_string())
        };
        let sound = template("SMS_1", &["content"]);
        assert_eq!(refused(&sound, &[("a", template("1", &[]))]), None);
        for (default, key) in [(template("SMS_1", &[]), "template"), (template("", &["a"]), "template")] {
            assert!(refused(&default, &[]).is_some_and(|why| why.starts_with(&format!("{key}: "))), "{default:?}");
        }
        assert!(refused(&sound, &[("a", template("", &[]))]).is_some_and(|why| why.starts_with("templates: ")));
    }
}
