//! `POST /v1/templates/{code}/preview`: what a template would say with these values, on each of its channels or one. Nothing is
//! sent. Texts are cleaned and held to their bounds as a send does it; what depends on who sends, and where a website may lead, is not
//! looked at. Values are read as the push platform reads `channelParamData` (`contracts/push.md` section 3, 36 and 37).

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{Path, State},
};
use hongyan_core::{
    content::TemplateUse,
    limits,
    setup::{ChannelKind, Setup, Template},
    text,
};
use hongyan_intake::{
    html,
    template::{Filled, fill},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::find;
use crate::{
    Api,
    body::{Body, parsed},
    problem::Problem,
};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Asked {
    /// The value of each variable; under the code of a channel, those that this channel has otherwise.
    values: Map<String, Value>,
    /// The one channel that is asked for; absent: all of them.
    channel: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct PreviewView {
    code: String,
    version: u32,
    /// What it says, by the code of the channel.
    channels: BTreeMap<String, FilledView>,
}

#[derive(Debug, Serialize)]
struct FilledView {
    kind: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    title: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    content: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    website: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sign: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sms_template: Option<UseView>,
}

/// The SMS provider's template, and its variables in its order, each with its value.
#[derive(Debug, Serialize)]
struct UseView {
    code: String,
    variables: Vec<(String, String)>,
}

pub(super) async fn preview(
    State(api): State<Api>,
    Path(code): Path<String>,
    body: Body,
) -> Result<Json<PreviewView>, Problem> {
    let asked: Asked = parsed(body)?;
    let template = find(&api, &code).await?;
    let channels = previewed(&template, &asked, &api.setup.get()).map_err(Problem::bad_request)?;
    Ok(Json(PreviewView { code, version: template.version, channels }))
}

/// What a template says, or what is wrong with the question.
fn previewed(template: &Template, asked: &Asked, setup: &Setup) -> Result<BTreeMap<String, FilledView>, String> {
    let is_asked = |code: &str| asked.channel.as_ref().is_none_or(|asked| asked == code);
    let contents: Vec<_> = template.contents.iter().filter(|(code, _)| is_asked(code)).collect();
    if contents.is_empty() {
        return Err(format!("the template says nothing on channel {:?}", asked.channel.as_deref().unwrap_or_default()));
    }
    let (mut filled, mut missing) = (Vec::new(), Vec::new());
    for (code, content) in contents {
        let channel = setup.channels().iter().find(|channel| channel.code == *code);
        let kind = channel.ok_or_else(|| format!("channel {code:?} is not declared any more"))?.kind;
        let mut values = values(&asked.values, template, code)?;
        // Each missing variable is found by giving it a value.
        let said = loop {
            match fill(content, kind, &values) {
                Ok(said) => break said,
                Err(variable) => {
                    values.insert(variable.0.clone(), String::new());
                    if !missing.contains(&variable.0) {
                        missing.push(variable.0);
                    }
                }
            }
        };
        filled.push((code, kind, said));
    }
    if !missing.is_empty() {
        return Err(format!("these variables have no value: {}", missing.join(", ")));
    }
    let views = filled.into_iter().map(|(code, kind, filled)| {
        let said = said(kind, filled).map_err(|why| format!("on channel {code:?} {why}"))?;
        Ok((code.clone(), view(kind.as_str(), said)))
    });
    views.collect()
}

/// The texts as a send makes them (`contracts/push.md` section 3, 21 to 28), or why it refuses them.
fn said(kind: ChannelKind, filled: Filled) -> Result<Filled, String> {
    let title = text::fold_line(filled.title.trim()).map_err(|_| "the title has a control character".to_owned())?;
    if title.chars().count() > limits::SUBJECT_CHARS_MAX {
        return Err(format!("the title is longer than {} characters", limits::SUBJECT_CHARS_MAX));
    }
    let content = text::clean_content(filled.content);
    let bytes_max = match kind {
        ChannelKind::Inbox => limits::INBOX_HTML_BYTES_MAX,
        ChannelKind::Wecom | ChannelKind::Robot | ChannelKind::Wechat => limits::TEXT_BYTES_MAX,
        ChannelKind::Mail | ChannelKind::Sms | ChannelKind::Voice | ChannelKind::Webhook => usize::MAX,
    };
    if content.len() > bytes_max {
        return Err(format!("the content is longer than {bytes_max} bytes"));
    }
    let is_short = matches!(kind, ChannelKind::Sms | ChannelKind::Voice);
    if is_short && content.chars().count() > limits::SMS_CHARS_MAX {
        return Err(format!("the content is longer than {} characters", limits::SMS_CHARS_MAX));
    }
    let content = if kind == ChannelKind::Inbox { html::clean(&content) } else { content };
    if content.trim().is_empty() && filled.template.is_none() {
        return Err("nothing is said".to_owned());
    }
    Ok(Filled { title, content, website: filled.website.trim().to_owned(), ..filled })
}

/// The values for one channel: those for all, and before them those under its code.
fn values(given: &Map<String, Value>, template: &Template, channel: &str) -> Result<BTreeMap<String, String>, String> {
    let mut values = BTreeMap::new();
    let own = given.get(channel).and_then(Value::as_object);
    let common = given.iter().filter(|(name, value)| !(value.is_object() && template.contents.contains_key(*name)));
    for (name, value) in common.chain(own.into_iter().flatten()) {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(is_so) => is_so.to_string(),
            Value::Null | Value::Array(_) | Value::Object(_) => {
                return Err(format!("the value of {name:?} is no text, number or truth value"));
            }
        };
        values.insert(name.clone(), text);
    }
    Ok(values)
}

fn view(kind: &'static str, filled: Filled) -> FilledView {
    let Filled { title, content, website, sign, template } = filled;
    let sms_template = template.map(|TemplateUse { code, order, mut values, .. }| UseView {
        code,
        variables: order.into_iter().filter_map(|name| values.remove_entry(&name)).collect(),
    });
    FilledView { kind, title, content, website, sign, sms_template }
}

#[cfg(test)]
mod tests {
    use hongyan_core::setup::{Channel, ChannelKind, ChannelNo, Settings, TemplateContent};
    use serde_json::json;

    use super::*;

    fn asked(text: Value) -> Result<Value, String> {
        let content = |content: &str, sms: &str| TemplateContent {
            content: content.into(),
            sms_template: sms.into(),
            sms_variables: if sms.is_empty() { vec![] } else { vec!["code".into(), "name".into()] },
            ..TemplateContent::default()
        };
        let contents = [("1001", content("${name}: ${code}", "SMS_1")), ("1003", content("<p>${name} ${day}</p>", ""))];
        let contents = contents.into_iter().map(|(code, content)| (code.to_owned(), content)).collect();
        let template = Template { contents, ..Template::default() };
        let channel = |no, code: &str, kind| Channel {
            no: ChannelNo(no),
            code: code.into(),
            kind,
            providers: vec![],
            enabled: true,
            paused: false,
            default: false,
        };
        let channels = vec![channel(1, "1001", ChannelKind::Sms), channel(2, "1003", ChannelKind::Mail)];
        let setup = Setup::new(1, Settings::default(), vec![], channels, vec![]);
        let asked: Asked = serde_json::from_value(text).expect("a question");
        previewed(&template, &asked, &setup).map(|said| serde_json::to_value(said).expect("JSON"))
    }

    #[test]
    fn each_channel_says_its_own() {
        let said =
            asked(json!({ "values": { "name": "<a>", "code": 7, "day": true, "more": "x" } })).expect("all there");
        assert_eq!(
            said,
            json!({
                "1001": { "kind": "sms", "content": "<a>: 7",
                          "sms_template": { "code": "SMS_1", "variables": [["code", "7"], ["name", "<a>"]] } },
                "1003": { "kind": "mail", "content": "<p>&lt;a&gt; true</p>" },
            })
        );
        let values = json!({ "name": "n", "code": 1, "day": "d", "1001": { "name": "short" } });
        let said = asked(json!({ "values": values })).expect("all there");
        assert_eq!((&said["1001"]["content"], &said["1003"]["content"]), (&json!("short: 1"), &json!("<p>n d</p>")));
        let said = asked(json!({ "channel": "1003", "values": { "name": "n", "day": "d" } })).expect("all there");
        assert_eq!(said, json!({ "1003": { "kind": "mail", "content": "<p>n d</p>" } }));
    }

    #[test]
    fn texts_are_what_a_send_makes_of_them() {
        let told = |kind, title: &str, content: &str| {
            let filled = Filled { title: title.into(), content: content.into(), ..Filled::default() };
            said(kind, filled).map(|said| (said.title, said.content))
        };
        let right = |title: &str, content: &str| Ok((title.to_owned(), content.to_owned()));
        let html = "<b onclick=\"x()\">a</b><script>x()</script>";
        assert_eq!(told(ChannelKind::Inbox, " t ", html), right("t", "<b>a</b>"));
        assert_eq!(told(ChannelKind::Mail, "", html), right("", html));
        assert_eq!(told(ChannelKind::Sms, "", "a<b\u{7}"), right("", "a<b"));
        let long = "x".repeat(limits::SMS_CHARS_MAX + 1);
        assert!(told(ChannelKind::Mail, "", &long).is_ok());
        for (kind, title, content, words) in [
            (ChannelKind::Sms, "", long.as_str(), "1000 characters"),
            (ChannelKind::Voice, "", &long, "1000 characters"),
            (ChannelKind::Inbox, "", &"x".repeat(limits::INBOX_HTML_BYTES_MAX + 1), "bytes"),
            (ChannelKind::Wecom, "", &"x".repeat(limits::TEXT_BYTES_MAX + 1), "bytes"),
            (ChannelKind::Mail, &"x".repeat(limits::SUBJECT_CHARS_MAX + 1), "c", "the title is longer"),
            (ChannelKind::Inbox, "", "<script>x()</script>", "nothing is said"),
            (ChannelKind::Mail, "", " ", "nothing is said"),
        ] {
            let why = told(kind, title, content).expect_err(words);
            assert!(why.contains(words), "{why}");
        }
        assert!(
            asked(json!({ "values": { "name": "n", "code": long, "day": "d" } }))
                .is_err_and(|why| why.contains("1001"))
        );
    }

    #[test]
    fn what_is_missing_is_named_whole() {
        assert_eq!(asked(json!({})).expect_err("missing"), "these variables have no value: name, code, day");
        let one = asked(json!({ "values": { "1001": { "name": "n" }, "code": 1, "day": 1 } })).expect_err("missing");
        assert_eq!(one, "these variables have no value: name", "what one channel has, another has not");
        for (question, words) in [
            (json!({ "channel": "9" }), "says nothing on channel \"9\""),
            (json!({ "values": { "name": ["a"] } }), "the value of \"name\" is no text"),
            (json!({ "values": { "name": { "1001": "a" } } }), "the value of \"name\" is no text"),
        ] {
            let said = asked(question).expect_err(words);
            assert!(said.contains(words), "{said}");
        }
    }
}
