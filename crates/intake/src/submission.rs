//! What a dialect makes of a request, and the two pure steps that follow: *resolve* (who is meant, and where do they live)
//! and *render* (what exactly will they be told).

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    sync::Arc,
};

use hongyan_core::{
    address::{Address, Mailbox},
    content::{Agent, Attachment, Body, Content, Form, InApp, Mail, Notice, Sender, Text, secret_place},
    delivery::Reason,
    id::Id,
    message::{Dialect, Idempotency, Priority},
    ports::{SealError, Sealer},
    quota::{Day, Fit},
    setup::{AppNo, Channel, ChannelKind, Secret, User},
    store::Addressee,
    time::Timestamp,
};

/// A request, understood and checked by its dialect.
#[derive(Clone, Debug)]
pub struct Submission {
    /// The calling app, or the number of an account as one.
    pub app: AppNo,
    /// The API it came by.
    pub dialect: Dialect,
    /// The operation of that API.
    pub operation: &'static str,
    /// The person in whose name the app speaks; empty where the API knows none.
    pub user: String,
    /// The channel it goes by.
    pub channel: Arc<Channel>,
    /// The address from which it called; empty where the API does not tell it again.
    pub client: String,
    /// How urgent it is.
    pub priority: Priority,
    /// The limits of the account that speaks; absent: it has none.
    pub windows: Option<Windows>,
    /// What it says.
    pub draft: Draft,
    /// The caller's key, if it sent one.
    pub idempotency: Option<Idempotency>,
}

/// The limits under which a request of an account is admitted, in the commit that stores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// Recipients in any 60 minutes.
    pub per_hour: u32,
    /// Recipients in the day.
    pub per_day: u32,
    /// The day of now.
    pub day: Day,
    /// What has to fit.
    pub fit: Fit,
}

/// Whom a request means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audience {
    /// The main recipients.
    pub to: Vec<Target>,
    /// Those who get a copy.
    pub cc: Vec<Target>,
}

/// One recipient as the caller names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A person of the directory, by code.
    User(String),
    /// Where somebody is reached, and the name under which the caller is told what became of it.
    Address {
        /// The name: the address as given, or that of a person.
        name: String,
        /// The address.
        address: Address,
    },
}

/// What a message says before its recipients are known.
#[derive(Clone, Debug)]
pub enum Draft {
    /// One mail to all.
    Mail(MailDraft),
    /// A mail to each, who sees nobody else.
    Mails(MailDraft),
    /// A short text.
    Text(Text),
    /// A notice.
    Notice(NoticeDraft),
    /// The fields of an official account's own template.
    Form(Form),
    /// An item of the in-app inbox; its label is the message's.
    InApp(InApp),
    /// Any JSON object, for a webhook.
    Object(serde_json::Map<String, serde_json::Value>),
}

/// A notice before it is stored.
#[derive(Clone, Debug)]
pub struct NoticeDraft {
    /// What it says; of the app that speaks, the number.
    pub notice: Notice,
    /// The secret of the WeCom app that speaks; absent: the provider's.
    pub agent_secret: Option<Secret>,
}

/// A mail before its recipients are known.
#[derive(Clone, Debug)]
pub struct MailDraft {
    /// From; absent: the provider's sender.
    pub from: Option<Mailbox>,
    /// The subject, control characters folded.
    pub subject: String,
    /// The text.
    pub body: Body,
    /// The attachments with their bytes.
    pub attachments: Vec<(Attachment, Vec<u8>)>,
}

/// Everyone whom a request means, each once, with their address or the reason why they have none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// The main recipients.
    pub to: Vec<Addressee>,
    /// Those who get a copy.
    pub cc: Vec<Addressee>,
    /// Others who are reached at the address of somebody above: that address, and their name.
    pub shared: Vec<(String, String)>,
}

impl Audience {
    /// The codes that have to be looked up in the directory, each once.
    pub fn user_codes(&self) -> Vec<String> {
        let mut seen = HashSet::new();
        let users = self.to.iter().chain(&self.cc).filter_map(|target| match target {
            Target::User(code) => Some(code),
            Target::Address { .. } => None,
        });
        users.filter(|code| seen.insert(*code)).cloned().collect()
    }

    /// Finds where `people` are reached by a channel of `kind`. Who is named twice, or shares an address with somebody before,
    /// counts once and is told the same.
    pub fn resolve(self, kind: ChannelKind, people: &[User]) -> Resolved {
        let people: HashMap<&str, &User> = people.iter().map(|user| (user.code.as_str(), user)).collect();
        let (mut seen, mut shared) = (HashMap::new(), Vec::new());
        let mut resolve = |targets: Vec<Target>| -> Vec<Addressee> {
            let mut resolved = Vec::with_capacity(targets.len());
            for target in targets {
                let (key, addressee) = match target {
                    Target::Address { name, address } => addressee(name, Ok(address)),
                    Target::User(code) => {
                        let found = address_of(kind, people.get(code.as_str()).copied());
                        addressee(code, found)
                    }
                };
                match seen.entry(key) {
                    Entry::Vacant(new) => {
                        new.insert((addressee.recipient.clone(), addressee.address.clone()));
                        resolved.push(addressee);
                    }
                    Entry::Occupied(known) if known.get().0 != addressee.recipient => {
                        let other = (known.get().1.clone(), addressee.recipient);
                        if !shared.contains(&other) {
                            shared.push(other);
                        }
                    }
                    Entry::Occupied(_) => {}
                }
            }
            resolved
        };
        let (to, cc) = (resolve(self.to), resolve(self.cc));
        Resolved { to, cc, shared }
    }
}

/// Where a person of the directory is reached, or why there is no such place.
pub(crate) fn address_of(kind: ChannelKind, user: Option<&User>) -> Result<Address, Reason> {
    let user = user.filter(|user| user.enabled).ok_or(Reason::UnknownUser)?;
    Address::of(kind, user).map_err(|_| Reason::NoAddress)
}

/// An addressee, with what makes them the same as another.
pub(crate) fn addressee(recipient: String, found: Result<Address, Reason>) -> (String, Addressee) {
    match found {
        Ok(address) => (address.key(), Addressee { recipient, address: address.as_str().to_owned(), skipped: None }),
        Err(reason) => {
            (format!("\0{recipient}"), Addressee { recipient, address: String::new(), skipped: Some(reason) })
        }
    }
}

impl Resolved {
    /// Everyone, the main recipients first.
    pub fn all(&self) -> impl Iterator<Item = &Addressee> {
        self.to.iter().chain(&self.cc)
    }

    /// Whether any main recipient can be reached.
    pub fn reaches_anyone(&self) -> bool {
        self.to.iter().any(|addressee| addressee.skipped.is_none())
    }
}

impl Draft {
    /// The same for each recipient by themselves: a mail to all becomes a mail to each.
    pub(crate) fn for_each(self) -> Self {
        match self {
            Self::Mail(mail) => Self::Mails(mail),
            draft => draft,
        }
    }

    /// The content of `message` as it will be sent to everyone who can be reached, with the bytes of its attachments.
    ///
    /// # Errors
    /// When a secret cannot be sealed.
    pub(crate) fn render(
        self,
        resolved: &Resolved,
        message: Id,
        now: Timestamp,
        sealer: &dyn Sealer,
    ) -> Result<(Content, Vec<Vec<u8>>), SealError> {
        match self {
            Self::Mail(mail) => Ok(mail.render(resolved, now)),
            Self::Mails(mail) => Ok(mail.render(&Resolved::default(), now)),
            Self::Text(text) => Ok((Content::Text(text), Vec::new())),
            Self::Form(form) => Ok((Content::Form(form), Vec::new())),
            Self::InApp(item) => Ok((Content::InApp(item), Vec::new())),
            Self::Object(object) => Ok((Content::Object(object), Vec::new())),
            Self::Notice(draft) => {
                let NoticeDraft { mut notice, agent_secret } = draft;
                if let Some(secret) = agent_secret {
                    let sealed = sealer.seal(&secret_place(message), &secret)?;
                    notice.agent = Some(Agent { secret: Some(sealed), ..notice.agent.unwrap_or_default() });
                }
                Ok((Content::Notice(notice), Vec::new()))
            }
        }
    }
}

impl MailDraft {
    /// The mail as it will be sent to everyone who can be reached, with the bytes of its attachments.
    fn render(self, resolved: &Resolved, now: Timestamp) -> (Content, Vec<Vec<u8>>) {
        let addresses =
            |list: &[Addressee]| list.iter().filter(|a| a.skipped.is_none()).map(|a| a.address.clone()).collect();
        let (attachments, bytes) = self.attachments.into_iter().unzip();
        let mail = Mail {
            from: self.from.map(|from| Sender { name: from.name, address: from.address.to_string() }),
            to: addresses(&resolved.to),
            cc: addresses(&resolved.cc),
            subject: self.subject,
            body: self.body,
            attachments,
            date: now.ms(),
        };
        (Content::Mail(mail), bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(code: &str, email: &str, enabled: bool) -> User {
        User { code: code.into(), email: email.into(), enabled, ..User::default() }
    }

    fn address(text: &str) -> Target {
        let address = Address::parse(ChannelKind::Mail, text).expect("valid");
        Target::Address { name: text.to_owned(), address }
    }

    #[test]
    fn everyone_once_with_the_reason_where_they_have_no_mailbox() {
        let people =
            [user("admin", "admin@bk.com", true), user("nomail", "", true), user("gone", "gone@bk.com", false)];
        let audience = Audience {
            to: ["admin", "nobody", "nomail", "gone", "admin"].map(|code| Target::User(code.into())).to_vec(),
            cc: vec![address("Admin@bk.com"), address("admin@BK.com"), address("x@y.cn")],
        };
        assert_eq!(audience.user_codes(), ["admin", "nobody", "nomail", "gone"]);
        let resolved = audience.resolve(ChannelKind::Mail, &people);
        let to: Vec<_> = resolved.to.iter().map(|a| (a.recipient.as_str(), a.address.as_str(), a.skipped)).collect();
        assert_eq!(
            to,
            [
                ("admin", "admin@bk.com", None),
                ("nobody", "", Some(Reason::UnknownUser)),
                ("nomail", "", Some(Reason::NoAddress)),
                ("gone", "", Some(Reason::UnknownUser)),
            ]
        );
        let cc: Vec<_> = resolved.cc.iter().map(|a| a.recipient.as_str()).collect();
        assert_eq!(cc, ["Admin@bk.com", "x@y.cn"], "only the domain's case does not count");
        assert_eq!(resolved.shared, [("admin@bk.com".to_owned(), "admin@BK.com".to_owned())]);
        assert!(resolved.reaches_anyone());
    }

    #[test]
    fn people_are_reached_where_the_channel_reaches_them() {
        let person = User { phone: "+8613800000001".into(), wecom: "wx".into(), ..user("admin", "admin@bk.com", true) };
        for (kind, address) in [
            (ChannelKind::Mail, Ok("admin@bk.com")),
            (ChannelKind::Voice, Ok("+8613800000001")),
            (ChannelKind::Wecom, Ok("wx")),
            (ChannelKind::Wechat, Err(Reason::NoAddress)),
        ] {
            let audience = Audience { to: vec![Target::User("admin".into())], cc: vec![] };
            let resolved = audience.resolve(kind, std::slice::from_ref(&person));
            let found = &resolved.to[0];
            assert_eq!(found.skipped.map_or(Ok(found.address.as_str()), Err), address);
        }
    }

    struct Reversed;

    impl Sealer for Reversed {
        fn seal(&self, place: &str, secret: &Secret) -> Result<String, SealError> {
            Ok(format!("{place}:{}", secret.expose().chars().rev().collect::<String>()))
        }

        fn open(&self, _: &str, _: &str) -> Result<Secret, SealError> {
            Err(SealError("not here".into()))
        }
    }

    #[test]
    fn a_secret_is_stored_sealed_for_its_message() {
        let message = Id::from_i64(7).expect("positive");
        let notice = Notice { agent: Some(Agent { id: Some(9), secret: None }), ..Notice::default() };
        let draft = Draft::Notice(NoticeDraft { notice, agent_secret: Some(Secret::new("abc")) });
        let (content, _) =
            draft.render(&Resolved::default(), message, Timestamp::from_ms(5), &Reversed).expect("seals");
        let Content::Notice(Notice { agent: Some(agent), .. }) = content else { panic!("a notice with an agent") };
        assert_eq!(agent, Agent { id: Some(9), secret: Some("message/7/agent_secret:cba".into()) });
    }

    #[test]
    fn the_mail_names_only_who_gets_it() {
        let resolved =
            Audience { to: vec![Target::User("nobody".into()), address("a@b.cn")], cc: vec![address("c@d.cn")] }
                .resolve(ChannelKind::Mail, &[]);
        let draft = MailDraft { from: None, subject: "s".into(), body: Body::Text("t".into()), attachments: vec![] };
        let (Content::Mail(mail), _) = draft.render(&resolved, Timestamp::from_ms(5)) else { panic!("a mail") };
        assert_eq!((mail.to, mail.cc, mail.date), (vec!["a@b.cn".to_owned()], vec!["c@d.cn".to_owned()], 5));
    }
}
