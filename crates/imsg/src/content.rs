//! What a message says (rows 16 and 17), and by which channel of text that becomes what kind of draft.

use hongyan_core::{
    content::{Body, Notice, Text},
    limits, text,
};
use hongyan_intake::{Draft, MailDraft, NoticeDraft, wire::Json};

use crate::{attachment, code::Code, method::Method};

/// The heading and the date of a notice, which a caller does not say.
pub(crate) struct Frame<'f> {
    /// Who sends it.
    pub(crate) from: &'f str,
    /// Now, as its reader's clock shows it.
    pub(crate) date: String,
}

/// What is said, and with what attached: 10010 where both are wrong (decision 2). Only a mail has attachments; what is attached
/// to anything else is not looked at (row 18).
pub(crate) fn draft(
    method: Method,
    content: &Json<'_>,
    attachment: &Json<'_>,
    frame: Frame<'_>,
) -> Result<Draft, Code> {
    match method {
        Method::Smtp => {
            let attachments = attachment::read(attachment)?;
            let Json::Dict(_) = content else { return Err(Code::Content) };
            let subject = text::fold_line(&plain(content.get("subject"))?).map_err(|_| Code::Content)?;
            if subject.chars().count() > limits::SUBJECT_CHARS_MAX {
                return Err(Code::Content);
            }
            let text = plain(content.get("text"))?;
            let body = match content.get("html") {
                Json::Null => Body::Text(text::clean_content(text)),
                html => Body::Html(text::clean_content(plain(html)?)),
            };
            Ok(Draft::Mails(MailDraft { from: None, subject, body, attachments }))
        }
        Method::Sms => Ok(Draft::Text(Text { text: short(content)?, ..Text::default() })),
        Method::Wechat => {
            let heading = frame.from.to_owned();
            let notice = Notice { heading, message: short(content)?, date: frame.date, ..Notice::default() };
            Ok(Draft::Notice(NoticeDraft { notice, agent_secret: None }))
        }
    }
}

/// The same without its attachments, for the record of a call that was refused.
pub(crate) fn trace(draft: &Draft) -> Draft {
    match draft {
        Draft::Mails(mail) => Draft::Mails(MailDraft {
            from: mail.from.clone(),
            subject: mail.subject.clone(),
            body: mail.body.clone(),
            attachments: Vec::new(),
        }),
        other => other.clone(),
    }
}

/// A text that says something.
fn plain(value: &Json<'_>) -> Result<String, Code> {
    match value {
        Json::Text(text) if text.chars().any(|c| !c.is_whitespace() && !c.is_control()) => {
            Ok(text.clone().into_owned())
        }
        _ => Err(Code::Content),
    }
}

/// A text that a short message can hold.
fn short(value: &Json<'_>) -> Result<String, Code> {
    let text = text::clean_content(plain(value)?);
    if text.len() > limits::TEXT_BYTES_MAX { Err(Code::Content) } else { Ok(text) }
}
