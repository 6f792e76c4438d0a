//! What may be said on a channel of each kind (decision 3, rows 21 to 28), by the caller's own words or by a template's: both are
//! held to the same bounds.

use std::sync::Arc;

use hongyan_core::{
    content::{Body, Form, InApp, Notice, Text},
    limits,
    setup::{App, Channel, ChannelKind, Setup},
};
use hongyan_intake::{Draft, MailDraft, NoticeDraft, html, template::Filled, wire::Json};
use serde_json::{Map, Value};

use crate::{fields, params, place::Place, problem::Problem, sms, website};

/// What is said on one channel.
pub(crate) struct Part {
    /// The channel as the caller, or the template, names it.
    pub(crate) key: String,
    pub(crate) channel: Arc<Channel>,
    pub(crate) draft: Draft,
}

/// For whom, in which deployment, something is said.
pub(crate) struct Speaker<'s> {
    pub(crate) setup: &'s Setup,
    pub(crate) app: &'s App,
}

impl Speaker<'_> {
    /// What a caller says on `channel`.
    pub(crate) fn read(&self, channel: &Channel, value: &Json<'_>, place: &Place<'_>) -> Result<Draft, Problem> {
        let members = fields::object(value, place)?.ok_or_else(|| Problem::must(place, "JSON对象"))?;
        match channel.kind {
            ChannelKind::Webhook => {
                let object = plain_members(members, place)?;
                let size = serde_json::to_vec(&object).map_or(0, |json| json.len());
                fields::sized(size, limits::OBJECT_BYTES_MAX, place)?;
                Ok(Draft::Object(object))
            }
            ChannelKind::Wechat => form(value, place),
            ChannelKind::Sms => self.draft(channel, sms::read(value, place)?, place),
            ChannelKind::Mail | ChannelKind::Inbox | ChannelKind::Wecom | ChannelKind::Robot | ChannelKind::Voice => {
                let filled = Filled {
                    title: text(value, place, "title")?,
                    content: fields::telling(value.get("content"), &place.at("content"))?,
                    website: text(value, place, "website")?,
                    ..Filled::default()
                };
                self.draft(channel, filled, place)
            }
        }
    }

    /// What is said on `channel`.
    pub(crate) fn draft(&self, channel: &Channel, filled: Filled, place: &Place<'_>) -> Result<Draft, Problem> {
        let title = fields::folded(&filled.title, &place.at("title"), limits::SUBJECT_CHARS_MAX)?;
        let content_place = place.at("content");
        let said = |content: String| fields::said(content, &content_place);
        match channel.kind {
            ChannelKind::Mail => {
                let subject = if title.is_empty() { self.app.shown_name().to_owned() } else { title };
                let body = Body::Html(said(filled.content)?);
                Ok(Draft::Mails(MailDraft { from: None, subject, body, attachments: Vec::new() }))
            }
            ChannelKind::Inbox => {
                let content = said(filled.content)?;
                fields::sized(content.len(), limits::INBOX_HTML_BYTES_MAX, &content_place)?;
                let html = said(html::clean(&content))?;
                let website = website::checked(&filled.website, &place.at("website"))?;
                Ok(Draft::InApp(InApp { title, html, website, ..InApp::default() }))
            }
            ChannelKind::Sms => {
                let filled = Filled { sign: sms::bare_sign(filled.sign), ..filled };
                sms::check(self.setup, channel, &filled, place)?;
                let text = hongyan_core::text::clean_content(filled.content);
                fields::bounded(&text, limits::SMS_CHARS_MAX, &content_place)?;
                Ok(Draft::Text(Text { text, sign: filled.sign, template: filled.template }))
            }
            ChannelKind::Voice => {
                let text = said(filled.content)?;
                fields::bounded(&text, limits::SMS_CHARS_MAX, &content_place)?;
                Ok(Draft::Text(Text { text, ..Text::default() }))
            }
            ChannelKind::Wecom | ChannelKind::Robot | ChannelKind::Wechat => {
                let message = said(filled.content)?;
                fields::sized(message.len(), limits::TEXT_BYTES_MAX, &content_place)?;
                let url = website::checked(&filled.website, &place.at("website"))?;
                if title.is_empty() && url.is_empty() && channel.kind != ChannelKind::Wechat {
                    return Ok(Draft::Text(Text { text: message, ..Text::default() }));
                }
                let notice = Notice { heading: title, message, url, ..Notice::default() };
                Ok(Draft::Notice(NoticeDraft { notice, agent_secret: None }))
            }
            ChannelKind::Webhook => {
                let members = [("title", title), ("content", said(filled.content)?), ("website", filled.website)];
                let members = members.into_iter().filter(|(_, text)| !text.is_empty());
                Ok(Draft::Object(members.map(|(name, text)| (name.to_owned(), text.into())).collect()))
            }
        }
    }
}

fn text(value: &Json<'_>, place: &Place<'_>, name: &str) -> Result<String, Problem> {
    Ok(fields::text(value.get(name), &place.at(name))?.unwrap_or_default().to_owned())
}

/// A message of an official account: the fields of its template, each a text or, as WeChat itself has it, an object with a
/// `value`, and where a tap leads.
fn form(value: &Json<'_>, place: &Place<'_>) -> Result<Draft, Problem> {
    let data = place.at("data");
    let members = fields::object(value.get("data"), &data)?.ok_or_else(|| Problem::missing(&data))?;
    let mut form = Form::default();
    for (name, given) in members {
        let place = data.at(name);
        let given = if matches!(given, Json::Dict(_)) { given.get("value") } else { given };
        let text = params::scalar(given, &place)?.ok_or_else(|| Problem::must(&place, params::SCALAR))?;
        form.fields.insert(name.to_string(), text);
    }
    if form.fields.is_empty() {
        return Err(Problem::empty(&data));
    }
    let size = form.fields.iter().map(|(name, text)| name.len() + text.len()).sum();
    fields::sized(size, limits::TEXT_BYTES_MAX, &data)?;
    let url = fields::text(value.get("url"), &place.at("url"))?.unwrap_or_default();
    form.url = website::checked(url, &place.at("url"))?;
    Ok(Draft::Form(form))
}

fn plain_members(members: &fields::Members<'_>, place: &Place<'_>) -> Result<Map<String, Value>, Problem> {
    members.iter().map(|(name, value)| Ok((name.to_string(), plain(value, &place.at(name))?))).collect()
}

/// A value as it is handed on.
fn plain(value: &Json<'_>, place: &Place<'_>) -> Result<Value, Problem> {
    Ok(match value {
        Json::Null => Value::Null,
        Json::Bool(value) => (*value).into(),
        Json::Int(number) => (*number).into(),
        Json::Big(number) => (*number).into(),
        Json::Float(number) => fields::exact(*number, place)?.into(),
        Json::Text(text) => text.clone().into_owned().into(),
        Json::List(items) => Value::Array(items.iter().map(|item| plain(item, place)).collect::<Result<_, Problem>>()?),
        Json::Dict(members) => Value::Object(plain_members(members, place)?),
    })
}
