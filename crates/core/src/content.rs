//! What a message says, as it is stored and handed to a channel. The stored form is JSON, so that a later version reads what
//! an earlier one wrote and an operator can look into the database; that is why these types, and no others here, are serde types.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{id::Id, message::Label, setup::ChannelNo};

/// The content of one message for one channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// An e-mail.
    Mail(Mail),
    /// A short text: an SMS, what a voice call reads out, a message of a WeCom app.
    Text(Text),
    /// A notice of WeCom or an official account.
    Notice(Notice),
    /// The fields of an official account's own template.
    Form(Form),
    /// An item of the in-app inbox.
    InApp(InApp),
    /// Any JSON object, for a webhook.
    Object(serde_json::Map<String, serde_json::Value>),
    /// Each channel's own, by its number: what is sent is [`Content::on`] the channel of the parcel.
    Each(BTreeMap<u32, Self>),
}

impl Content {
    /// The stored form.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// When the bytes are not what [`Content::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }

    /// What it says on a channel: its own content where each has one, else the whole.
    pub fn on(self: &Arc<Self>, channel: ChannelNo) -> Option<Arc<Self>> {
        match &**self {
            Self::Each(contents) => contents.get(&channel.0).cloned().map(Arc::new),
            _ => Some(Arc::clone(self)),
        }
    }

    /// Whether it holds a secret, which is erased once nothing of the message is to come.
    pub fn has_secret(&self) -> bool {
        matches!(self, Self::Notice(Notice { agent: Some(Agent { secret: Some(_), .. }), .. }))
    }

    /// Erases the secret.
    pub fn erase_secret(&mut self) {
        if let Self::Notice(Notice { agent: Some(agent), .. }) = self {
            agent.secret = None;
        }
    }
}

/// A short text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text {
    /// The text, as it is where a provider takes free text.
    pub text: String,
    /// The signature, where the caller named one; absent: the provider's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sign: Option<String>,
    /// The template that it was made from, where the caller named one: providers that know it send it by their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<TemplateUse>,
}

/// A template and what fills it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateUse {
    /// Its code: one of the provider's `templates`, or else, where `foreign`, the name that the provider itself has for it.
    pub code: String,
    /// Whether a code that the provider's settings do not know is the provider's own name for a template.
    #[serde(default, skip_serializing_if = "is_false")]
    pub foreign: bool,
    /// The variables in their order, for providers that know them by their place; empty: not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub order: Vec<String>,
    /// The value of each of its variables.
    pub values: BTreeMap<String, String>,
}

fn is_false(flag: &bool) -> bool {
    !*flag
}

/// The fields of a template of the provider's, and where a tap leads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Form {
    /// The text of each field.
    pub fields: BTreeMap<String, String>,
    /// Where a tap leads; empty for nowhere.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub url: String,
}

/// An item of the in-app inbox. Its HTML is clean: it was made so when it was accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InApp {
    /// The title; empty for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// The text, as HTML.
    pub html: String,
    /// Where its details are: an `http` or `https` address or a path; empty for nowhere.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub website: String,
    /// What the caller said of it.
    #[serde(default)]
    pub label: Label,
}

/// A notice: a heading, a text and what follows them. How they are laid out is the channel's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The heading.
    pub heading: String,
    /// The text.
    pub message: String,
    /// A date, as text for the reader; empty for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub date: String,
    /// The tail; empty for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub remark: String,
    /// Where a tap leads; empty for nowhere.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub url: String,
    /// The WeCom app that speaks; absent: the provider's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<Agent>,
}

/// A WeCom app named by the caller; what is absent is the provider's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// Its number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<i64>,
    /// Its secret, sealed for [`secret_place`] of the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

/// For which place the secret in the content of `message` is sealed.
pub fn secret_place(message: Id) -> String {
    format!("message/{message}/agent_secret")
}

/// An e-mail, addressed to all its recipients at once. Every text has been checked at the edge: no control characters in
/// names and the subject, valid addresses only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    /// The From header, `Name <address>` or `address`; absent: the provider's sender.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Sender>,
    /// The addresses of the To header; empty: whoever the parcel that is sent goes to, so that nobody sees the others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<String>,
    /// The addresses of the Cc header.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cc: Vec<String>,
    /// The subject, without control characters.
    pub subject: String,
    /// The text.
    pub body: Body,
    /// The attachments, in order; their bytes are stored beside the content, once per message.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
    /// The Date header, in milliseconds since the Unix epoch: fixed at acceptance, so that every try sends the same bytes.
    pub date: i64,
}

/// Who a mail says it is from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sender {
    /// The display name; empty for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The address.
    pub address: String,
}

/// The text of a mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    /// HTML; a plain-text alternative is made from it when it is sent.
    Html(String),
    /// Plain text.
    Text(String),
}

/// One attachment, without its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// The file name, without directories.
    pub filename: String,
    /// The MIME type, `type/subtype`.
    pub mime: String,
    /// Inline (shown in the text) or not.
    #[serde(default)]
    pub inline: bool,
    /// The Content-ID without its brackets, by which HTML refers to it as `cid:…`; empty for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub content_id: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stored_form_is_stable() {
        let mail = Content::Mail(Mail {
            from: None,
            to: vec!["a@b.com".into()],
            cc: vec![],
            subject: "鸿雁".into(),
            body: Body::Html("<b>x</b>".into()),
            attachments: vec![],
            date: 1_800_000_000_000,
        });
        let stored = r#"{"mail":{"to":["a@b.com"],"subject":"鸿雁","body":{"html":"<b>x</b>"},"date":1800000000000}}"#;
        assert_eq!(String::from_utf8(mail.to_bytes()).expect("JSON"), stored);
        assert_eq!(Content::from_bytes(stored.as_bytes()).expect("JSON"), mail);
        let text = Content::Text(Text { text: "hi".into(), ..Text::default() });
        let stored = r#"{"text":{"text":"hi"}}"#;
        assert_eq!(String::from_utf8(text.to_bytes()).expect("JSON"), stored);
        let agent = Some(Agent { id: Some(1_000_002), secret: Some("sealed".into()) });
        let notice = Notice { heading: "h".into(), message: "m".into(), agent, ..Notice::default() };
        let stored = r#"{"notice":{"heading":"h","message":"m","agent":{"id":1000002,"secret":"sealed"}}}"#;
        assert_eq!(String::from_utf8(Content::Notice(notice).to_bytes()).expect("JSON"), stored);
        assert_eq!(Content::from_bytes(stored.as_bytes()).expect("JSON").to_bytes(), stored.as_bytes());
    }

    #[test]
    fn each_channel_has_its_own() {
        let text = |text: &str| Content::Text(Text { text: text.into(), ..Text::default() });
        let each = Arc::new(Content::Each([(1, text("a")), (7, text("b"))].into()));
        let stored = r#"{"each":{"1":{"text":{"text":"a"}},"7":{"text":{"text":"b"}}}}"#;
        assert_eq!(String::from_utf8(each.to_bytes()).expect("JSON"), stored);
        assert_eq!(Content::from_bytes(stored.as_bytes()).expect("JSON"), *each);
        assert_eq!(each.on(ChannelNo(7)).as_deref(), Some(&text("b")));
        assert_eq!(each.on(ChannelNo(2)), None);
        let one = Arc::new(text("c"));
        assert_eq!(one.on(ChannelNo(2)), Some(one));
    }

    #[test]
    fn a_secret_is_erased_and_nothing_else() {
        let mut notice = Notice { heading: "h".into(), message: "m".into(), ..Notice::default() };
        assert!(!Content::Notice(notice.clone()).has_secret());
        notice.agent = Some(Agent { id: Some(7), secret: Some("sealed".into()) });
        let mut content = Content::Notice(notice.clone());
        assert!(content.has_secret());
        content.erase_secret();
        assert!(!content.has_secret());
        notice.agent = Some(Agent { id: Some(7), secret: None });
        assert_eq!(content, Content::Notice(notice));
    }
}
