//! What a message says, as it is stored and handed to a channel. The stored form is JSON, so that a later version reads what
//! an earlier one wrote and an operator can look into the database; that is why these types, and no others here, are serde types.

use serde::{Deserialize, Serialize};

/// The content of one message for one channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// An e-mail.
    Mail(Mail),
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
}

/// An e-mail, addressed to all its recipients at once. Every text has been checked at the edge: no control characters in
/// names and the subject, valid addresses only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    /// The From header, `Name <address>` or `address`; absent: the provider's sender.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Sender>,
    /// The addresses of the To header.
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
    }
}
