//! `[[template]]`: what messages say on each channel, with variables that the caller fills in. The same structs are the stored
//! form.

use std::collections::BTreeMap;

use anyhow::{Context, bail, ensure};
use hongyan_core::{
    limits,
    setup::{ChannelKind, Piece, Template, TemplateContent, pieces, variables},
    text::{clean_content, has_control},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[[template]]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MessageTemplatePlan {
    /// The code by which callers name it: the push platform's `templateCode`.
    pub code: String,
    /// The name shown.
    pub name: String,
    /// Whether it may be used.
    pub enabled: bool,
    /// The type of its messages, such as `notice`; empty: the push platform's default.
    pub kind: String,
    /// What it says, by the code of the channel: one table `[template.content."CODE"]` for each. `${name}` in a title, content or
    /// website is a variable: letters of any script, digits, `_`, `-` and `.`.
    pub content: BTreeMap<String, ContentPlan>,
}

/// `[template.content."CODE"]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ContentPlan {
    /// The title of a mail, of an item of the inbox, of a notice.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// The text; of a mail and of an item of the inbox, HTML.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub content: String,
    /// Where a tap leads.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub website: String,
    /// The signature of an SMS; empty: the provider's.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sign: String,
    /// The SMS provider's own name for its template; empty: the text itself is sent.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sms_template: String,
    /// The variables of the provider's template, in its order; empty: those of `content`, in the order in which they come first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sms_variables: Vec<String>,
}

impl Default for MessageTemplatePlan {
    fn default() -> Self {
        let none = String::new;
        Self { code: none(), name: none(), enabled: true, kind: none(), content: BTreeMap::new() }
    }
}

impl MessageTemplatePlan {
    /// Checks what can be known of it by itself.
    ///
    /// # Errors
    /// What is wrong with it, in words for whoever wrote it.
    pub fn check(&self) -> anyhow::Result<()> {
        for (key, name) in [("name", &self.name), ("kind", &self.kind)] {
            short(name).with_context(|| format!("its {key}"))?;
        }
        ensure!(!self.content.is_empty(), "it says nothing on any channel: give content.\"CHANNEL\"");
        ensure!(
            self.content.len() <= limits::TEMPLATE_CHANNELS_MAX,
            "it is for more than {} channels",
            limits::TEMPLATE_CHANNELS_MAX
        );
        for (channel, content) in &self.content {
            content.check().with_context(|| format!("on channel {channel:?}"))?;
        }
        let count = self.clone().template(0).variables().len();
        ensure!(
            count <= limits::TEMPLATE_VARIABLES_MAX,
            "it has {count} variables, and at most {} are allowed",
            limits::TEMPLATE_VARIABLES_MAX
        );
        Ok(())
    }

    /// Checks it against the channels that there are; `kind` answers the kind of the channel with a code.
    ///
    /// # Errors
    /// The first channel that there is not, or whose kind has no use for something in it.
    pub fn fits(&self, kind: impl Fn(&str) -> Option<ChannelKind>) -> anyhow::Result<()> {
        for (channel, content) in &self.content {
            let kind = kind(channel).with_context(|| format!("channel {channel:?} is not declared"))?;
            content.fits(kind).with_context(|| format!("channel {channel:?} is of kind {}", kind.as_str()))?;
        }
        Ok(())
    }

    /// As the program knows it, in this version.
    pub fn template(self, version: u32) -> Template {
        let Self { code, name, enabled, kind, content } = self;
        let contents = content.into_iter().map(|(channel, content)| (channel, content.content())).collect();
        Template { code, version, name, enabled, kind, contents }
    }
}

impl From<Template> for MessageTemplatePlan {
    fn from(template: Template) -> Self {
        let Template { code, version: _, name, enabled, kind, contents } = template;
        let content = contents.into_iter().map(|(channel, content)| (channel, content.into())).collect();
        Self { code, name, enabled, kind, content }
    }
}

impl From<TemplateContent> for ContentPlan {
    fn from(of: TemplateContent) -> Self {
        let TemplateContent { title, content, website, sign, sms_template, sms_variables } = of;
        Self { title, content, website, sign, sms_template, sms_variables }
    }
}

impl ContentPlan {
    fn content(self) -> TemplateContent {
        let Self { title, content, website, sign, sms_template, sms_variables } = self;
        TemplateContent { title, content, website, sign, sms_template, sms_variables }
    }

    fn check(&self) -> anyhow::Result<()> {
        ensure!(!self.content.trim().is_empty() || !self.sms_template.is_empty(), "it has no content");
        for (key, text) in [("title", &self.title), ("content", &self.content), ("website", &self.website)] {
            well_formed(text).with_context(|| format!("its {key}"))?;
        }
        ensure!(!has_control(&self.title), "its title has a line break or another control character");
        ensure!(
            self.title.chars().count() <= limits::SUBJECT_CHARS_MAX,
            "its title is longer than {} characters",
            limits::SUBJECT_CHARS_MAX
        );
        ensure!(clean_content(self.content.clone()) == self.content, "its content has a control character");
        ensure!(
            self.content.len() <= limits::TEMPLATE_TEXT_BYTES_MAX,
            "its content is longer than {} bytes",
            limits::TEMPLATE_TEXT_BYTES_MAX
        );
        website(&self.website)?;
        for (key, name) in [("sign", &self.sign), ("sms_template", &self.sms_template)] {
            short(name).with_context(|| format!("its {key}"))?;
        }
        ensure!(
            self.sms_variables.is_empty() || !self.sms_template.is_empty(),
            "sms_variables are those of sms_template, which is missing"
        );
        for (n, name) in self.sms_variables.iter().enumerate() {
            ensure!(is_variable(name), "{name:?} of sms_variables is no name of a variable");
            ensure!(!self.sms_variables[..n].contains(name), "{name:?} is twice in sms_variables");
        }
        Ok(())
    }

    /// What has no use on a channel of this kind is refused, for whoever wrote it meant something by it.
    fn fits(&self, kind: ChannelKind) -> anyhow::Result<()> {
        let (has_title, has_website, text_max) = match kind {
            ChannelKind::Mail => (true, false, limits::TEMPLATE_TEXT_BYTES_MAX),
            ChannelKind::Inbox => (true, true, limits::TEMPLATE_TEXT_BYTES_MAX),
            ChannelKind::Wechat | ChannelKind::Wecom | ChannelKind::Robot => (true, true, limits::TEXT_BYTES_MAX),
            ChannelKind::Sms | ChannelKind::Voice => (false, false, limits::TEXT_BYTES_MAX),
            ChannelKind::Webhook => bail!("a webhook takes an object of the caller's own, which no template can say"),
        };
        ensure!(has_title || self.title.is_empty(), "it has no title there");
        ensure!(has_website || self.website.is_empty(), "it has no website there");
        ensure!(
            kind == ChannelKind::Sms || self.sign.is_empty() && self.sms_template.is_empty(),
            "sign and sms_template are of sms alone"
        );
        hongyan_intake::template::check(&self.content, kind).context("its content")?;
        ensure!(self.content.len() <= text_max, "its content is longer there than {text_max} bytes");
        if !has_title {
            let most = limits::SMS_CHARS_MAX;
            ensure!(self.content.chars().count() <= most, "its content is longer there than {most} characters");
        }
        Ok(())
    }
}

/// Refuses a `${` that begins no variable: somebody meant one.
fn well_formed(text: &str) -> anyhow::Result<()> {
    for piece in pieces(text) {
        if let Piece::Text(text) = piece
            && let Some(at) = text.find("${")
        {
            let shown: String = text[at..].chars().take(20).collect();
            bail!("{shown:?} is no variable: ${{name}} has letters, digits, _, - and . between its braces");
        }
    }
    let long = variables(text).find(|name| name.len() > limits::TEMPLATE_NAME_BYTES_MAX);
    ensure!(long.is_none(), "a variable's name is longer than {} bytes", limits::TEMPLATE_NAME_BYTES_MAX);
    Ok(())
}

fn is_variable(name: &str) -> bool {
    let text = format!("${{{name}}}");
    let mut pieces = pieces(&text);
    name.len() <= limits::TEMPLATE_NAME_BYTES_MAX && pieces.next() == Some(Piece::Variable(name))
}

/// An `http` or `https` address, or a path; what begins with a variable is seen only when it is filled in.
fn website(website: &str) -> anyhow::Result<()> {
    ensure!(!has_control(website) && !website.contains(' '), "its website has a space or a control character");
    ensure!(website.len() <= limits::URL_BYTES_MAX, "its website is longer than {} bytes", limits::URL_BYTES_MAX);
    let head = website.split("${").next().unwrap_or_default();
    let lower = head.to_ascii_lowercase();
    let is_address = lower.starts_with("http://") || lower.starts_with("https://");
    let is_path = head.starts_with('/') && !head.starts_with("//");
    ensure!(head.is_empty() || is_address || is_path, "its website begins with http://, https:// or /");
    Ok(())
}

fn short(name: &str) -> anyhow::Result<()> {
    let most = limits::TEMPLATE_NAME_BYTES_MAX;
    ensure!(name.len() <= most, "is longer than {most} bytes");
    ensure!(!has_control(name), "has a control character");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The template of a plan's text, as far as it passes its checks on channels `m` (mail), `i` (inbox), `s` (sms), `v` (voice) and
    /// `h` (webhook).
    fn checked(text: &str) -> Result<Template, String> {
        let plan: MessageTemplatePlan = toml::from_str(text).map_err(|error| error.to_string())?;
        let kind = |code: &str| match code {
            "m" => Some(ChannelKind::Mail),
            "i" => Some(ChannelKind::Inbox),
            "s" => Some(ChannelKind::Sms),
            "v" => Some(ChannelKind::Voice),
            "h" => Some(ChannelKind::Webhook),
            _ => None,
        };
        let checked = plan.check().and_then(|()| plan.fits(kind));
        checked.map(|()| plan.template(1)).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn a_template_says_what_its_plan_does() {
        let template = checked(
            r#"
            code = "T"
            name = "Result"
            kind = "reminder"
            [content.i]
            title = "For ${name}"
            content = "<p>${code}</p>"
            website = "https://example.com/${code}"
            [content.s]
            content = "${name}: ${code}"
            sign = "Hospital"
            sms_template = "SMS_1"
            sms_variables = ["code", "患者.1"]
            "#,
        )
        .expect("is right");
        assert_eq!(
            (template.code.as_str(), template.name.as_str(), template.kind.as_str()),
            ("T", "Result", "reminder")
        );
        assert!(template.enabled, "unless the plan says otherwise");
        assert_eq!(template.variables().into_iter().collect::<Vec<_>>(), ["code", "name", "患者.1"]);
        let sms = &template.contents["s"];
        assert_eq!((sms.sign.as_str(), sms.sms_template.as_str()), ("Hospital", "SMS_1"));
        let again = MessageTemplatePlan::from(template.clone());
        let stored = serde_json::to_string(&again).expect("JSON");
        assert_eq!(serde_json::from_str::<MessageTemplatePlan>(&stored).expect("JSON"), again);
        assert_eq!(again.template(1), template);
    }

    #[test]
    fn what_is_wrong_is_said_where_it_is() {
        let long = format!("content = \"{}\"", "x".repeat(1_001));
        for (channel, text, words) in [
            ("x", "content = \"a\"", "channel \"x\" is not declared"),
            ("m", "title = \"a\"", "on channel \"m\": it has no content"),
            ("m", "content = \"${a b}\"", "its content: \"${a b}\" is no variable"),
            ("m", "content = \"a ${} b\"", "its content: \"${} b\" is no variable"),
            ("m", "content = \"a\"\ntitle = \"${a\"", "its title: \"${a\" is no variable"),
            ("m", "content = \"a\"\ntitle = \"a\\nb\"", "its title has a line break"),
            ("m", "content = \"a\\u0000\"", "its content has a control character"),
            ("m", "content = \"<p title=${a}>\"", "the variable \"a\" stands where no value is safe"),
            ("m", "content = \"a\"\nsign = \"b\"", "of kind mail: sign and sms_template are of sms alone"),
            ("m", "content = \"a\"\nwebsite = \"/a\"", "of kind mail: it has no website there"),
            ("i", "content = \"a\"\nwebsite = \"javascript:alert(1)\"", "its website begins with http://"),
            ("i", "content = \"a\"\nwebsite = \"//evil.example\"", "its website begins with http://"),
            ("i", "content = \"a\"\nwebsite = \"java${x}\"", "its website begins with http://"),
            ("s", "content = \"a\"\ntitle = \"b\"", "of kind sms: it has no title there"),
            ("s", &long, "longer there than 1000 characters"),
            ("s", "content = \"a\"\nsms_variables = [\"b\"]", "sms_template, which is missing"),
            ("s", "sms_template = \"S\"\nsms_variables = [\"a b\"]", "\"a b\" of sms_variables is no name"),
            ("s", "sms_template = \"S\"\nsms_variables = [\"a\", \"a\"]", "\"a\" is twice in sms_variables"),
            ("v", "content = \"a\"\nsms_template = \"S\"", "of kind voice: sign and sms_template"),
            ("h", "content = \"a\"", "a webhook takes an object"),
        ] {
            let said = checked(&format!("code = \"T\"\n[content.{channel}]\n{text}")).expect_err(words);
            assert!(said.contains(words), "{said:?} has no {words:?}");
        }
        assert!(checked("code = \"T\"").expect_err("says nothing").contains("it says nothing on any channel"));
        assert!(checked("code = \"T\"\nname = \"a\\tb\"\n[content.m]\ncontent = \"a\"").is_err());
        let many: String = (0..=limits::TEMPLATE_VARIABLES_MAX).map(|n| format!("${{v{n}}}")).collect();
        assert!(checked(&format!("[content.m]\ncontent = \"{many}\"")).expect_err("many").contains("101 variables"));
        let wide = "x".repeat(limits::TEMPLATE_TEXT_BYTES_MAX + 1);
        assert!(checked(&format!("[content.m]\ncontent = \"{wide}\"")).expect_err("long").contains("65536 bytes"));
    }

    #[test]
    fn what_is_right_passes() {
        for (channel, text) in [
            ("m", "content = \"costs $5 {a} $${a}\""),
            ("s", "sms_template = \"SMS_1\""),
            ("i", "content = \"a\"\nwebsite = \"${link}\""),
            ("i", "content = \"a\"\nwebsite = \"/orders/${id}\""),
            ("v", "content = \"a\""),
        ] {
            let right = checked(&format!("[content.{channel}]\n{text}"));
            assert!(right.is_ok(), "{text}: {right:?}");
        }
    }
}
