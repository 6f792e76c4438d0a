//! Where accounts are reached (row 17): an address of the channel itself first, else a person of the directory by their code, and
//! in the inbox also by their phone or mail address. Who is none of these fails alone.

use std::collections::HashMap;

use hongyan_core::{
    address::{AccountId, Address, EmailAddress, MAINLAND, Phone},
    setup::{Channel, ChannelKind, User},
    store::{Addressee, StoreError},
};
use hongyan_intake::{Audience, Intake, Target};

/// Characters of an openid, as WeChat gives them out; it begins with an `o`.
const OPENID_LEN: usize = 28;

/// What the directory knows of the accounts of a request.
#[derive(Default)]
pub(crate) struct Known {
    people: Vec<User>,
    /// Where each is among them.
    codes: HashMap<String, usize>,
    /// Who has a phone number or mail address, as [`contact`] writes it.
    contacts: HashMap<String, User>,
}

/// What an account is, by its form.
enum Form {
    /// An address of the channel.
    Address(Address),
    /// An address of the channel, unless it is the code of somebody with another: the two look alike.
    Either(Address),
    /// Perhaps the code of somebody.
    Code,
}

impl Known {
    /// Looks up all that may be in the directory of these accounts of channels.
    pub(crate) async fn of<'a>(
        intake: &Intake,
        lists: impl IntoIterator<Item = (&'a Channel, &'a [String])>,
    ) -> Result<Self, StoreError> {
        let (mut codes, mut emails, mut phones) = (Vec::new(), Vec::new(), Vec::new());
        for (channel, names) in lists {
            for name in names {
                if !matches!(form(channel.kind, name), Form::Address(_)) {
                    codes.push(name.clone());
                }
                if channel.kind == ChannelKind::Inbox {
                    match contact(name) {
                        Some(Address::Email(email)) => emails.push(email.as_str().to_owned()),
                        Some(Address::Phone(phone)) => phones.push(phone.as_str().to_owned()),
                        Some(Address::Account(_)) | None => {}
                    }
                }
            }
        }
        for list in [&mut codes, &mut emails, &mut phones] {
            list.sort_unstable();
            list.dedup();
        }
        let people = intake.people(codes).await?;
        let mut reached = intake.users_reached(emails, phones).await?;
        // Of several with one contact the first who is enabled, always the same.
        reached.sort_by(|a, b| (!a.enabled, &a.code).cmp(&(!b.enabled, &b.code)));
        let mut contacts = HashMap::new();
        for user in reached {
            for contact in [user.email.to_lowercase(), user.phone.clone()] {
                contacts.entry(contact).or_insert_with(|| user.clone());
            }
        }
        let codes = people.iter().enumerate().map(|(at, user)| (user.code.clone(), at)).collect();
        Ok(Self { people, codes, contacts })
    }

    /// Everyone on a list of a channel, each once, with their address or why they have none.
    pub(crate) fn resolve(&self, kind: ChannelKind, names: Vec<String>) -> Vec<Addressee> {
        let to = names.into_iter().map(|name| self.target(kind, name)).collect();
        Audience { to, cc: Vec::new() }.resolve(kind, &self.people).to
    }

    fn target(&self, kind: ChannelKind, name: String) -> Target {
        let user = self.codes.get(&name).map(|at| &self.people[*at]);
        match form(kind, &name) {
            Form::Address(address) => Target::Address { name, address },
            Form::Either(address) => match user {
                Some(user) if !user.enabled || Address::of(kind, user).is_ok() => Target::User(name),
                _ => Target::Address { name, address },
            },
            Form::Code if kind == ChannelKind::Inbox && user.is_none() => match self.by_contact(&name) {
                Some(address) => Target::Address { name, address },
                None => Target::User(name),
            },
            Form::Code => Target::User(name),
        }
    }

    /// The inbox of whoever has this phone number or mail address.
    fn by_contact(&self, name: &str) -> Option<Address> {
        let user = self.contacts.get(&key(&contact(name)?)).filter(|user| user.enabled)?;
        Address::of(ChannelKind::Inbox, user).ok()
    }
}

fn form(kind: ChannelKind, name: &str) -> Form {
    let account = || AccountId::parse(name).ok().map(Address::Account);
    match kind {
        ChannelKind::Mail => EmailAddress::parse(name).ok().map(Address::Email).map(Form::Address),
        ChannelKind::Sms | ChannelKind::Voice => phone(name).map(Address::Phone).map(Form::Address),
        ChannelKind::Wechat => account()
            .filter(|_| name.starts_with('o'))
            .map(|openid| if name.len() == OPENID_LEN { Form::Address(openid) } else { Form::Either(openid) }),
        ChannelKind::Wecom => account().map(Form::Either),
        ChannelKind::Inbox | ChannelKind::Robot | ChannelKind::Webhook => None,
    }
    .unwrap_or(Form::Code)
}

/// A phone number or mail address.
fn contact(name: &str) -> Option<Address> {
    let email = || EmailAddress::parse(name).ok().map(Address::Email);
    phone(name).map(Address::Phone).or_else(email)
}

/// As the directory's are compared.
fn key(contact: &Address) -> String {
    contact.as_str().to_lowercase()
}

/// A number with its country's code, or a mobile number of mainland China with it or without, spaces and hyphens left out.
fn phone(name: &str) -> Option<Phone> {
    let bare: String = name.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
    let national = bare.strip_prefix("+86").or_else(|| name.strip_prefix("86-").map(|_| &bare[2..])).unwrap_or(&bare);
    if national.len() == 11 && national.starts_with('1') {
        return Phone::national(MAINLAND, national).ok();
    }
    Phone::parse(&bare).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phones() {
        for (name, is) in [
            ("13800000001", Some("+8613800000001")),
            ("+8613800000001", Some("+8613800000001")),
            ("86-138 0000 0001", Some("+8613800000001")),
            ("+86 138-0000-0001", Some("+8613800000001")),
            ("+85291234567", Some("+85291234567")),
            ("8613800000001", None),
            ("23800000001", None),
            ("USER001", None),
            ("1380000000x", None),
            ("+86", None),
            ("", None),
        ] {
            assert_eq!(phone(name).as_ref().map(Phone::as_str), is, "{name}");
        }
    }

    fn known() -> Known {
        let user = |code: &str, wecom: &str, openid: &str, enabled| User {
            code: code.into(),
            email: format!("{code}@A.cn"),
            phone: "+8613800000001".into(),
            wecom: wecom.into(),
            openid: openid.into(),
            enabled,
            ..User::default()
        };
        let people = vec![user("u1", "wx1", "o_1", true), user("u2", "", "", true), user("off", "wx3", "o_3", false)];
        let codes = people.iter().enumerate().map(|(at, user)| (user.code.clone(), at)).collect();
        let contacts = [("u1@a.cn".to_owned(), people[0].clone()), ("off@a.cn".to_owned(), people[2].clone())];
        Known { people, codes, contacts: contacts.into() }
    }

    #[test]
    fn an_address_first_then_a_code_then_in_the_inbox_a_contact() {
        let long = format!("o{}", "x".repeat(27));
        for (kind, name, address) in [
            (ChannelKind::Mail, "x@y.cn", "x@y.cn"),
            (ChannelKind::Mail, "u1", "u1@A.cn"),
            (ChannelKind::Mail, "nobody", ""),
            (ChannelKind::Sms, "13900000001", "+8613900000001"),
            (ChannelKind::Sms, "u2", "+8613800000001"),
            (ChannelKind::Voice, "off", ""),
            (ChannelKind::Wechat, &long, &long),
            (ChannelKind::Wechat, "u1", "o_1"),
            (ChannelKind::Wechat, "u2", ""),
            (ChannelKind::Wecom, "u1", "wx1"),
            (ChannelKind::Wecom, "u2", "u2"),
            (ChannelKind::Wecom, "stranger", "stranger"),
            (ChannelKind::Wecom, "off", ""),
            (ChannelKind::Wecom, "@all", ""),
            (ChannelKind::Inbox, "u1", "u1"),
            (ChannelKind::Inbox, "U1@a.CN", "u1"),
            (ChannelKind::Inbox, "off@a.cn", ""),
            (ChannelKind::Inbox, "stranger", ""),
            (ChannelKind::Webhook, "u1", ""),
        ] {
            let found = known().resolve(kind, vec![name.to_owned()]);
            assert_eq!((found[0].recipient.as_str(), found[0].address.as_str()), (name, address), "{kind:?}");
            assert_eq!(found[0].skipped.is_some(), address.is_empty(), "{kind:?} {name}");
        }
        let twice = ["u1", "+8613800000001", "u2"].map(str::to_owned).to_vec();
        assert_eq!(known().resolve(ChannelKind::Sms, twice).len(), 1, "one phone, one message");
    }
}
