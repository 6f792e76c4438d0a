//! Section 6: `send_mail`, from parameters to a letter that can be sent, in the reference's order of validation.

use std::{borrow::Cow, sync::Arc};

use hongyan_core::{
    address::{Address, Mailbox},
    content::Body,
    limits,
    setup::{App, Channel, ChannelKind, Setup},
    text,
};
use hongyan_intake::{Audience, Draft, MailDraft, Target};

use crate::{
    attachment::{self, ATTACHMENTS},
    error::{Fault, Field, Problem},
    fields::{self, Item},
    json::Json,
    params::{Name, Params},
    python,
    route::Component,
    send::Letter,
};

/// The fields of a mail form, each right in itself. Only the first error is told, in the order in which the fields are declared
/// (section 2), so that a form is filled in that order and what concerns several fields is checked once it is full.
pub(crate) struct Form<'p, 'a> {
    pub(crate) from: Option<Mailbox>,
    pub(crate) receiver: Vec<Item<'p>>,
    pub(crate) receiver_username: Vec<Item<'p>>,
    pub(crate) cc: Vec<Item<'p>>,
    pub(crate) cc_username: Vec<Item<'p>>,
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
        receiver: fields::list(params.get(Name::Receiver)),
        receiver_username: fields::list(params.get(Name::ReceiverUsername)),
        cc: fields::list(params.get(Name::Cc)),
        cc_username: fields::list(params.get(Name::CcUsername)),
        subject: subject(&TITLE.required(params.get(Name::Title))?, TITLE)?,
        content: CONTENT.required(params.get(Name::Content))?,
        is_content_base64: fields::flag(params.get(Name::IsContentBase64)),
        body_format: fields::chars(params.get(Name::BodyFormat)),
        attachments: ATTACHMENTS.array(params.get(Name::Attachments))?,
    };
    form.into_letter(channel)
}

/// The mail channel, if there is one and the app may use it (section 3, section 1).
pub(crate) fn channel(setup: &Setup, app: &App) -> Result<Option<Arc<Channel>>, Problem> {
    let Some(channel) = setup.channel_of_kind(ChannelKind::Mail) else { return Ok(None) };
    if !app.channels.is_empty() && !app.channels.contains(&channel.code) {
        return Err(Problem::NoPermission(Component::SendMail.name()));
    }
    if channel.enabled { Ok(Some(Arc::clone(channel))) } else { Err(Problem::Inactive) }
}

impl Form<'_, '_> {
    /// Section 6.1 to 6.8: what is checked once every field is right in itself.
    pub(crate) fn into_letter(self, channel: Option<Arc<Channel>>) -> Result<Letter, Problem> {
        if self.receiver.is_empty() && self.receiver_username.is_empty() {
            return Err(Problem::NoReceiver);
        }
        let attachments = attachment::read(self.attachments)?;
        let audience = audience(self.receiver, self.receiver_username, self.cc, self.cc_username)?;
        let content = content(self.content, self.is_content_base64);
        let body = if self.body_format == "Text" { Body::Text(content) } else { Body::Html(content) };
        let draft = MailDraft { from: self.from, subject: self.subject, body, attachments };
        Ok(Letter { channel, audience, draft: Draft::Mail(draft) })
    }
}

/// Section 6.7 and decision 9: what is not base64 of UTF-8 stays as it is. Decision 8: controls are dropped.
fn content(given: Cow<'_, str>, is_base64: bool) -> String {
    let decoded =
        is_base64.then(|| python::b64decode(&given).and_then(|bytes| String::from_utf8(bytes).ok())).flatten();
    text::clean_content(decoded.unwrap_or_else(|| given.into_owned()))
}

/// Decision 8: line ends and TAB become a space, other controls are refused.
pub(crate) fn subject(title: &str, field: Field) -> Result<String, Problem> {
    let subject = text::fold_line(title).map_err(|_| field.is(Fault::Control))?;
    let is_long = subject.len() > limits::SUBJECT_CHARS_MAX && subject.chars().count() > limits::SUBJECT_CHARS_MAX;
    if is_long { Err(field.is(Fault::Characters(limits::SUBJECT_CHARS_MAX))) } else { Ok(subject) }
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

/// Section 6.2: addresses beat usernames, for receivers and copies each.
fn audience(
    receiver: Vec<Item<'_>>,
    receiver_username: Vec<Item<'_>>,
    cc: Vec<Item<'_>>,
    cc_username: Vec<Item<'_>>,
) -> Result<Audience, Problem> {
    let pick = |addresses: Vec<_>, users| if addresses.is_empty() { (users, false) } else { (addresses, true) };
    let (to, to_is_addresses) = pick(receiver, receiver_username);
    let (cc, cc_is_addresses) = pick(cc, cc_username);
    if to.len() + cc.len() > limits::REQUEST_RECIPIENTS_MAX {
        return Err(Problem::TooManyRecipients);
    }
    Ok(Audience { to: targets(to, to_is_addresses)?, cc: targets(cc, cc_is_addresses)? })
}

/// Section 6.3 and decision 7: every one that cannot be an address or a name is told, and nothing is sent.
fn targets(items: Vec<Item<'_>>, are_addresses: bool) -> Result<Vec<Target>, Problem> {
    let mut wrong = Vec::new();
    let mut targets = Vec::with_capacity(items.len());
    for item in items {
        let target = match (item.is_text, are_addresses) {
            (false, _) => None,
            (true, true) => {
                let address = Address::parse(ChannelKind::Mail, &item.text).ok();
                address.map(|address| Target::Address { name: item.text.clone().into_owned(), address })
            },
            (true, false) => is_username(&item.text).then(|| Target::User((*item.text).to_owned())),
        };
        match target {
            Some(target) => targets.push(target),
            None => wrong.push(item.text.into_owned()),
        }
    }
    if wrong.is_empty() { Ok(targets) } else { Err(Problem::BadContacts(wrong)) }
}

/// Whether a text can be an identifier of somebody (decision 8); none is longer than a mail address.
pub(crate) fn is_username(name: &str) -> bool {
    name.len() <= limits::ADDRESS_BYTES_MAX && !text::has_control(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(senders: &[&str]) -> App {
        App {
            no: hongyan_core::setup::AppNo(1),
            code: "app1".into(),
            secrets: vec![],
            trusted: true,
            channels: vec![],
            senders: senders.iter().map(|s| (*s).to_owned()).collect(),
            components: vec![],
            ips: vec![],
            rate: None,
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

    #[test]
    fn subjects() {
        assert_eq!(subject("a\r\n\tb", TITLE), Ok("a b".to_owned()));
        assert_eq!(subject("a\0b", TITLE), Err(TITLE.is(Fault::Control)));
        assert!(subject(&"鸿".repeat(limits::SUBJECT_CHARS_MAX), TITLE).is_ok());
        assert!(subject(&"鸿".repeat(limits::SUBJECT_CHARS_MAX + 1), TITLE).is_err());
    }

    #[test]
    fn contents() {
        assert_eq!(content("aGk=".into(), true), "hi");
        assert_eq!(content("aGk=".into(), false), "aGk=");
        assert_eq!(content("//4=".into(), true), "//4=", "not UTF-8: stays");
        assert_eq!(content("a\0b\u{7f}".into(), false), "ab");
        assert_eq!(content("YQBi".into(), true), "ab", "controls are dropped after decoding too");
    }

    #[test]
    fn addresses_beat_usernames_on_each_side() {
        let items = |texts: &[&'static str]| {
            texts.iter().map(|text| Item { text: (*text).into(), is_text: true }).collect::<Vec<_>>()
        };
        let both = audience(items(&["a@b.cn"]), items(&["x\0"]), items(&[]), items(&["u"])).expect("valid");
        assert!(matches!((&both.to[..], &both.cc[..]), ([Target::Address { .. }], [Target::User(_)])));
        let wrong = audience(items(&["a@b.cn", "@", "a@b.cn\tc@d.cn"]), vec![], vec![], vec![]);
        assert_eq!(wrong, Err(Problem::BadContacts(vec!["@".into(), "a@b.cn\tc@d.cn".into()])));
        let many = vec![items(&["u"])[0].clone(); limits::REQUEST_RECIPIENTS_MAX];
        assert!(audience(vec![], many.clone(), vec![], vec![]).is_ok());
        assert_eq!(audience(vec![], many, vec![], items(&["u"])), Err(Problem::TooManyRecipients));
    }
}
