//! Section 6: `send_mail`, from parameters to a letter that can be sent, in the reference's order of validation.

use std::{borrow::Cow, sync::Arc};

use hongyan_core::{
    address::Mailbox,
    content::Body,
    limits,
    setup::{App, Channel, ChannelKind, Setup},
};
use hongyan_intake::{Draft, MailDraft, wire::Json};

use crate::{
    attachment::{self, ATTACHMENTS},
    audience::{self, Side},
    content,
    error::{Fault, Field, Problem},
    fields,
    letter::{self, Letter},
    params::{Name, Params},
    route::Component,
};

/// The fields of a mail form, each right in itself. Only the first error is told, in the order in which the fields are declared
/// (section 2), so that a form is filled in that order and what concerns several fields is checked once it is full.
pub(crate) struct Form<'p, 'a> {
    pub(crate) from: Option<Mailbox>,
    pub(crate) to: Side<'p>,
    pub(crate) cc: Side<'p>,
    pub(crate) subject: String,
    pub(crate) content: Cow<'p, str>,
    pub(crate) is_content_base64: bool,
    pub(crate) body_format: Cow<'p, str>,
    pub(crate) attachments: &'p [Json<'a>],
}

const TITLE: Field = Field::new("email subject", "title");
const CONTENT: Field = Field::new("email content", "content");
/// Decision 3 gives this label for both components.
const SENDER: Field = Field::new("mail sender", "sender");

/// `send_mail`.
pub(crate) fn send_mail(setup: &Setup, app: &Arc<App>, params: &Params<'_>) -> Result<Letter, Problem> {
    let channel = channel(setup, app)?;
    let form = Form {
        from: sender(params, app)?,
        to: Side::of(params, Name::Receiver, Name::ReceiverUsername),
        cc: Side::of(params, Name::Cc, Name::CcUsername),
        subject: content::line(&TITLE.required(params.get(Name::Title))?, TITLE)?,
        content: CONTENT.required(params.get(Name::Content))?,
        is_content_base64: fields::flag(params.get(Name::IsContentBase64)),
        body_format: fields::chars(params.get(Name::BodyFormat)),
        attachments: ATTACHMENTS.array(params.get(Name::Attachments))?,
    };
    form.into_letter(channel)
}

/// The mail channel, if there is one and the app may use it.
pub(crate) fn channel(setup: &Setup, app: &App) -> Result<Option<Arc<Channel>>, Problem> {
    letter::permitted(setup.channel_of_kind(ChannelKind::Mail), app, Component::SendMail)
}

impl Form<'_, '_> {
    /// Section 6.1 to 6.8: what is checked once every field is right in itself.
    pub(crate) fn into_letter(self, channel: Option<Arc<Channel>>) -> Result<Letter, Problem> {
        if self.to.is_empty() {
            return Err(Problem::NoReceiver);
        }
        let attachments = attachment::read(self.attachments)?;
        let audience = audience::audience(ChannelKind::Mail, self.to, self.cc)?;
        let content = content::content(self.content, self.is_content_base64);
        let body = if self.body_format == "Text" { Body::Text(content) } else { Body::Html(content) };
        let draft = MailDraft { from: self.from, subject: self.subject, body, attachments };
        Ok(Letter { kind: ChannelKind::Mail, channel, audience, draft: Draft::Mail(draft) })
    }
}

/// Decision 7: the From header, of which an app with a list may only name those on it.
pub(crate) fn sender(params: &Params<'_>, app: &App) -> Result<Option<Mailbox>, Problem> {
    mailbox(&fields::chars(params.get(Name::Sender)), app)
}

fn mailbox(given: &str, app: &App) -> Result<Option<Mailbox>, Problem> {
    if given.is_empty() {
        return Ok(None);
    }
    let mailbox = Mailbox::parse(given).map_err(|_| SENDER.is(Fault::Email))?;
    if mailbox.name.len() > limits::FILE_NAME_BYTES_MAX {
        return Err(SENDER.is(Fault::Bytes(limits::FILE_NAME_BYTES_MAX)));
    }
    let is_allowed = app.senders.is_empty() || app.senders.contains(&mailbox.address.as_str().to_lowercase());
    if is_allowed { Ok(Some(mailbox)) } else { Err(Problem::SenderNotAllowed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(senders: &[&str]) -> App {
        App {
            no: hongyan_core::setup::AppNo(1),
            code: "app1".into(),
            name: String::new(),
            enabled: true,
            secrets: vec![],
            trusted: true,
            channels: vec![],
            senders: senders.iter().map(|s| (*s).to_owned()).collect(),
            components: vec![],
            ips: vec![],
            rate: None,
            broadcast: false,
            require_signature: true,
            receivers_max: None,
            hook: None,
        }
    }

    #[test]
    fn senders() {
        assert_eq!(mailbox("", &app(&["a@b.cn"])), Ok(None));
        assert!(mailbox("BK <Me@x.com>", &app(&["me@x.com"])).is_ok());
        assert_eq!(mailbox("you@x.com", &app(&["me@x.com"])), Err(Problem::SenderNotAllowed));
        for bad in ["CEO", "a\r\nBcc: v@e.cn <a@b.cn>", "a@b.cn, c@d.cn", "a@b\n.cn"] {
            assert_eq!(mailbox(bad, &app(&[])), Err(SENDER.is(Fault::Email)), "{bad}");
        }
        let long = format!("{} <a@b.cn>", "x".repeat(limits::FILE_NAME_BYTES_MAX + 1));
        assert!(mailbox(&long, &app(&[])).is_err());
    }
}
