//! Whom a form means: by address or by name, each side of it one or the other (section 6.2 and 6.3, decisions 3 and 7).

use hongyan_core::{
    address::{Address, AddressError, MAINLAND, Phone},
    limits,
    setup::ChannelKind,
    text,
};
use hongyan_intake::{Audience, Target};

use crate::{
    error::Problem,
    fields::{self, Item},
    params::{Name, Params},
};

/// The recipients of one side of a form.
#[derive(Clone, Debug, Default)]
pub(crate) struct Side<'p> {
    /// Where they are reached. Where there are any, names do not count, and are not even looked up.
    pub(crate) addresses: Vec<Item<'p>>,
    /// Who they are.
    pub(crate) users: Vec<Item<'p>>,
}

impl<'p> Side<'p> {
    /// What two fields say.
    pub(crate) fn of(params: &'p Params<'_>, addresses: Name, users: Name) -> Self {
        Self { addresses: fields::list(params.get(addresses)), users: fields::list(params.get(users)) }
    }

    /// Named ones alone.
    pub(crate) const fn users(users: Vec<Item<'p>>) -> Self {
        Self { addresses: Vec::new(), users }
    }

    /// Addresses alone.
    pub(crate) const fn addresses(addresses: Vec<Item<'p>>) -> Self {
        Self { addresses, users: Vec::new() }
    }

    /// Whether it names nobody.
    pub(crate) fn is_empty(&self) -> bool {
        self.addresses.is_empty() && self.users.is_empty()
    }

    fn targets(self, kind: ChannelKind) -> Result<Vec<Target>, Problem> {
        if self.addresses.is_empty() {
            targets(self.users, |item| user(&item.text))
        } else {
            targets(self.addresses, |item| {
                let address = address(kind, &item.text).ok();
                address.map(|address| Target::Address { name: item.text.clone().into_owned(), address })
            })
        }
    }

    fn len(&self) -> usize {
        if self.addresses.is_empty() { self.users.len() } else { self.addresses.len() }
    }
}

/// Everybody a form means, of whom a channel of `kind` reaches the addresses.
pub(crate) fn audience(kind: ChannelKind, to: Side<'_>, cc: Side<'_>) -> Result<Audience, Problem> {
    check_number(to.len() + cc.len())?;
    Ok(Audience { to: to.targets(kind)?, cc: cc.targets(kind)? })
}

/// Refuses more recipients than a request may name.
pub(crate) const fn check_number(recipients: usize) -> Result<(), Problem> {
    if recipients > limits::REQUEST_RECIPIENTS_MAX { Err(Problem::TooManyRecipients) } else { Ok(()) }
}

/// Every one that cannot be an address or a name is told, and nothing is sent. What is no text is neither.
fn targets(items: Vec<Item<'_>>, target: impl Fn(&Item<'_>) -> Option<Target>) -> Result<Vec<Target>, Problem> {
    let mut wrong = Vec::new();
    let mut targets = Vec::with_capacity(items.len());
    for item in items {
        match Some(&item).filter(|item| item.is_text).and_then(&target) {
            Some(target) => targets.push(target),
            None => wrong.push(item.text.into_owned()),
        }
    }
    if wrong.is_empty() { Ok(targets) } else { Err(Problem::BadContacts(wrong)) }
}

/// A person of the directory, if it can be one.
pub(crate) fn user(name: &str) -> Option<Target> {
    is_username(name).then(|| Target::User(name.to_owned()))
}

/// An address as callers write it: phone numbers are digits alone (section 8).
pub(crate) fn address(kind: ChannelKind, text: &str) -> Result<Address, AddressError> {
    match kind {
        ChannelKind::Sms | ChannelKind::Voice => phone(text).map(Address::Phone),
        kind => Address::parse(kind, text),
    }
}

/// A number as it is dialled in mainland China: from 00 on it begins with a country's code. Zeros alone are none.
fn phone(text: &str) -> Result<Phone, AddressError> {
    if text.bytes().all(|digit| digit == b'0') {
        return Err(AddressError::Form);
    }
    match text.strip_prefix("00") {
        Some(abroad) => Phone::parse(&format!("+{abroad}")),
        None => Phone::national(MAINLAND, text),
    }
}

/// Whether a text can be an identifier of somebody (decision 8); none is longer than a mail address.
pub(crate) fn is_username(name: &str) -> bool {
    name.len() <= limits::ADDRESS_BYTES_MAX && !text::has_control(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(texts: &[&'static str]) -> Vec<Item<'static>> {
        texts.iter().map(|text| Item { text: (*text).into(), is_text: true }).collect()
    }

    #[test]
    fn addresses_beat_usernames_on_each_side() {
        let to = Side { addresses: items(&["a@b.cn"]), users: items(&["x\0"]) };
        let both = audience(ChannelKind::Mail, to, Side::users(items(&["u"]))).expect("valid");
        assert!(matches!((&both.to[..], &both.cc[..]), ([Target::Address { .. }], [Target::User(_)])));
        let wrong = Side::addresses(items(&["a@b.cn", "@", "a@b.cn\tc@d.cn"]));
        let wrong = audience(ChannelKind::Mail, wrong, Side::default());
        assert_eq!(wrong, Err(Problem::BadContacts(vec!["@".into(), "a@b.cn\tc@d.cn".into()])));
        let many = || Side::users(vec![items(&["u"])[0].clone(); limits::REQUEST_RECIPIENTS_MAX]);
        assert!(audience(ChannelKind::Mail, many(), Side::default()).is_ok());
        let one_more = audience(ChannelKind::Mail, many(), Side::users(items(&["u"])));
        assert_eq!(one_more, Err(Problem::TooManyRecipients));
    }

    fn address_of(kind: ChannelKind, text: &str) -> Result<String, AddressError> {
        address(kind, text).map(|address| address.as_str().to_owned())
    }

    #[test]
    fn every_kind_has_addresses_of_its_own() {
        let wrong = |kind, texts: &[&'static str]| match audience(kind, Side::addresses(items(texts)), Side::default())
        {
            Err(Problem::BadContacts(wrong)) => wrong,
            other => panic!("{other:?}"),
        };
        assert_eq!(wrong(ChannelKind::Sms, &["138", "+86138", "1-2", "１３８"]), ["+86138", "1-2", "１３８"]);
        assert_eq!(wrong(ChannelKind::Wecom, &["wx1", "@all", "a|b"]), ["@all", "a|b"]);
        assert_eq!(wrong(ChannelKind::Wechat, &["oA-1", "o 1"]), ["o 1"]);
        let phone = audience(ChannelKind::Voice, Side::addresses(items(&["13800000001"])), Side::default());
        let Target::Address { name, address } = &phone.expect("valid").to[0] else { panic!("an address") };
        assert_eq!((name.as_str(), address.as_str()), ("13800000001", "+8613800000001"));
        for (text, number) in [("0012025550100", "+12025550100"), ("008613800000001", "+8613800000001")] {
            assert_eq!(address_of(ChannelKind::Sms, text), Ok(number.to_owned()), "{text}");
        }
        for wrong in ["", "0", "00", "00+1", "000123", "00 1"] {
            assert!(address_of(ChannelKind::Sms, wrong).is_err(), "{wrong}");
        }
    }
}
