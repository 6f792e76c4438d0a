//! Addresses: where a channel reaches someone. An [`Address`] that exists is valid, so nothing further in can be handed one that
//! would break a header, an SMTP command or a provider's list.

use std::fmt;

use crate::{
    limits,
    setup::{ChannelKind, User},
};

/// A mailbox, `local@domain`, checked by RFC 5321 section 4.1.2 with UTF-8 allowed (RFC 6531). The quoted form of the local
/// part and address literals are refused: no person's mailbox needs them, and mail systems disagree about them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EmailAddress(String);

/// Where a channel reaches someone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// By mail.
    Email(EmailAddress),
    /// By phone.
    Phone(Phone),
    /// By an id that a platform gave: a WeCom user, an openid, the code of a user of ours for the inbox.
    Account(AccountId),
}

impl Address {
    /// Reads an address of a channel of `kind`.
    ///
    /// # Errors
    /// The first rule that it breaks; [`AddressError::Form`] for kinds whose recipients have no address.
    pub fn parse(kind: ChannelKind, text: &str) -> Result<Self, AddressError> {
        match kind {
            ChannelKind::Mail => EmailAddress::parse(text).map(Self::Email),
            ChannelKind::Sms | ChannelKind::Voice => Phone::parse(text).map(Self::Phone),
            ChannelKind::Wecom | ChannelKind::Wechat | ChannelKind::Inbox => AccountId::parse(text).map(Self::Account),
            ChannelKind::Robot | ChannelKind::Webhook => Err(AddressError::Form),
        }
    }

    /// Where a channel of `kind` reaches a person of the directory.
    ///
    /// # Errors
    /// As [`Address::parse`]; [`AddressError::Form`] where the person has none.
    pub fn of(kind: ChannelKind, user: &User) -> Result<Self, AddressError> {
        let text = match kind {
            ChannelKind::Mail => &user.email,
            ChannelKind::Sms | ChannelKind::Voice => &user.phone,
            ChannelKind::Wecom => &user.wecom,
            ChannelKind::Wechat => &user.openid,
            ChannelKind::Inbox => &user.code,
            ChannelKind::Robot | ChannelKind::Webhook => "",
        };
        Self::parse(kind, text)
    }

    /// The address as it is stored and handed to a channel.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Email(address) => address.as_str(),
            Self::Phone(phone) => phone.as_str(),
            Self::Account(id) => id.as_str(),
        }
    }

    /// What two spellings of one address have in common.
    pub fn key(&self) -> String {
        match self {
            Self::Email(address) => address.key(),
            Self::Phone(phone) => phone.as_str().to_owned(),
            Self::Account(id) => id.as_str().to_owned(),
        }
    }
}

/// A phone number in the form of E.164: `+`, the country's code and the number, 15 digits at most.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Phone(String);

impl Phone {
    /// Checks a number in the form `+8613800000001`.
    ///
    /// # Errors
    /// [`AddressError`], where it is none.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let digits = text.strip_prefix('+').ok_or(AddressError::Form)?;
        if digits.starts_with('0') || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err(AddressError::Form);
        }
        if (limits::PHONE_DIGITS_MIN..=limits::PHONE_DIGITS_MAX).contains(&digits.len()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(AddressError::Length)
        }
    }

    /// A national number as it is dialled within the country, with the country's code, as `("86", "13800000001")`. A number of
    /// mainland China that begins with its country's code already keeps it.
    ///
    /// # Errors
    /// [`AddressError`], where they make no number.
    pub fn national(country: &str, number: &str) -> Result<Self, AddressError> {
        if number.is_empty() || !number.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err(AddressError::Form);
        }
        let has_country = country == MAINLAND && number.len() == 13 && number.starts_with("861");
        Self::parse(&if has_country { format!("+{number}") } else { format!("+{country}{number}") })
    }

    /// The whole number, with its `+`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its national number where it is one of mainland China (Hong Kong, Macao and Taiwan have codes of their own).
    pub fn mainland(&self) -> Option<&str> {
        self.0.strip_prefix('+')?.strip_prefix(MAINLAND)
    }

    /// All its digits, without the `+`.
    pub fn digits(&self) -> &str {
        self.0.trim_start_matches('+')
    }
}

/// The country code of mainland China.
pub const MAINLAND: &str = "86";

/// A user's id on a platform: visible ASCII or letters of any script, without the signs that platforms use between ids, and not
/// one that means everybody.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AccountId(String);

impl AccountId {
    /// Checks an id.
    ///
    /// # Errors
    /// [`AddressError::Length`] where it is empty or too long, else [`AddressError::Form`].
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if text.is_empty() || text.len() > limits::ACCOUNT_ID_BYTES_MAX {
            return Err(AddressError::Length);
        }
        let is_odd = |c: char| matches!(c, '|' | ',' | ';') || c.is_whitespace() || (!c.is_ascii() && !is_plain(c));
        // `@all` is everybody in a WeCom corporation: nobody is meant by it who was not named.
        if text.eq_ignore_ascii_case("@all") || crate::text::has_control(text) || text.chars().any(is_odd) {
            return Err(AddressError::Form);
        }
        Ok(Self(text.to_owned()))
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a text is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not of the form of such an address: for mail, no `@` or nothing on one side of it.
    #[error("is not of the form of such an address")]
    Form,
    /// Too long or too short: for mail, the local part is over 64 bytes or the whole over 254.
    #[error("is too long")]
    Length,
    /// A character that the local part may not hold.
    #[error("has a character that the part before @ may not hold")]
    Local,
    /// The part after `@` is no domain name.
    #[error("has no valid domain after @")]
    Domain,
}

impl EmailAddress {
    /// Checks `text` and takes it as it is.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let (local, domain) = text.rsplit_once('@').ok_or(AddressError::Form)?;
        if local.is_empty() || domain.is_empty() {
            return Err(AddressError::Form);
        }
        if text.len() > limits::ADDRESS_BYTES_MAX || local.len() > limits::LOCAL_PART_BYTES_MAX {
            return Err(AddressError::Length);
        }
        if local.starts_with('.') || local.ends_with('.') || local.contains("..") || !local.chars().all(is_atom_or_dot)
        {
            return Err(AddressError::Local);
        }
        if !domain.split('.').all(is_label) {
            return Err(AddressError::Domain);
        }
        Ok(Self(text.to_owned()))
    }

    /// The address as given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before `@`.
    pub fn local(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(local, _)| local)
    }

    /// The part after `@`.
    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, domain)| domain)
    }

    /// What two spellings of one mailbox have in common: the domain's case does not count (RFC 5321 section 2.4).
    pub fn key(&self) -> String {
        format!("{}@{}", self.local(), self.domain().to_lowercase())
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `atext` of RFC 5322 section 3.2.3, the dot, and UTF-8 beyond ASCII that is neither control nor white space.
fn is_atom_or_dot(c: char) -> bool {
    match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' => true,
        c if c.is_ascii() => "!#$%&'*+-/=?^_`{|}~.".contains(c),
        c => is_plain(c),
    }
}

/// One label of a domain name: letters, digits and inner hyphens, or UTF-8 (RFC 6531), 63 bytes at most.
fn is_label(label: &str) -> bool {
    !label.is_empty()
        && label.len() <= 63
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || (!c.is_ascii() && is_plain(c)))
}

/// Not a control, not white space, no bidirectional override, no full-width look-alike of the signs that have a meaning here.
fn is_plain(c: char) -> bool {
    !c.is_control()
        && !c.is_whitespace()
        && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '＠' | '，' | '；' | '．' | '。' | '＜' | '＞')
}

/// A name and an address, as in `Name <local@domain>` (RFC 5322 section 3.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    /// The display name; empty when there is none.
    pub name: String,
    /// The address.
    pub address: EmailAddress,
}

impl Mailbox {
    /// Reads `local@domain`, `Name <local@domain>` or `"Name" <local@domain>`. The name may hold no control characters.
    ///
    /// # Errors
    /// [`AddressError`] for the address; a control character in the name is [`AddressError::Form`].
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let text = text.trim_matches(' ');
        if crate::text::has_control(text) {
            return Err(AddressError::Form);
        }
        match text.strip_suffix('>').and_then(|rest| rest.rsplit_once('<')) {
            None => Ok(Self { name: String::new(), address: EmailAddress::parse(text)? }),
            Some((name, address)) => {
                let name = name.trim_matches(' ');
                let name = name.strip_prefix('"').and_then(|n| n.strip_suffix('"')).unwrap_or(name);
                if name.contains(['<', '>']) {
                    return Err(AddressError::Form);
                }
                Ok(Self {
                    name: name.replace("\\\"", "\"").replace("\\\\", "\\"),
                    address: EmailAddress::parse(address)?,
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for good in
            ["a@b.com", "a.b+c@x-y.cn", "a@localhost", "用户@例子.中国", "-oQ/tmp@x.cn", "o'neil@b.ie", "123@qq.com"]
        {
            assert!(EmailAddress::parse(good).is_ok(), "{good}");
        }
        let long_local = format!("{}@b.cn", "a".repeat(65));
        let long = format!("a@{}", "b.".repeat(130));
        for bad in [
            "",
            "@",
            "a",
            "a@",
            "@b",
            "a@b@c",
            "<a@b>",
            "a@b,c@d",
            "a@b\tc@d",
            "a b@c",
            "a@b ",
            " a@b",
            "a@[127.0.0.1]",
            "\"a b\"@x.cn",
            "a@b.",
            "a@.b",
            "a@-b",
            "a..b@c",
            ".a@b",
            "a@b\r\nRCPT TO:<c@d>",
            "a＠b.cn",
            "a@b\0",
            "a@b\u{202e}c",
            &long_local,
            &long,
        ] {
            assert!(EmailAddress::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn phones() {
        for (country, number, whole) in [
            ("86", "13800000001", "+8613800000001"),
            ("86", "8613800000001", "+8613800000001"),
            ("1", "2025550100", "+12025550100"),
            ("86", "138", "+86138"),
        ] {
            assert_eq!(Phone::national(country, number).expect("a number").as_str(), whole);
        }
        for (country, number) in
            [("86", ""), ("86", "+8613800000001"), ("86", "138 0000"), ("", "0138"), ("86", "1234567890123456")]
        {
            assert!(Phone::national(country, number).is_err(), "{country} {number}");
        }
        assert_eq!(Phone::parse("+8613800000001").expect("valid").mainland(), Some("13800000001"));
        assert_eq!(Phone::parse("+85291234567").expect("valid").mainland(), None);
        for bad in ["13800000001", "+", "+1", "+0861", "+86-138", "+８６１３８"] {
            assert!(Phone::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ids_of_platforms() {
        for good in ["zhangsan", "wx_admin", "张三", "a@b", "oABC-_1"] {
            assert!(AccountId::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "@all", "@ALL", "a|b", "a,b", "a b", "a\n", "a\u{202e}b", &"x".repeat(129)] {
            assert!(AccountId::parse(bad).is_err(), "{bad:?}");
        }
        let user = User { wecom: "w".into(), email: "a@b.cn".into(), ..User::default() };
        assert_eq!(Address::of(ChannelKind::Wecom, &user).expect("has one").as_str(), "w");
        assert!(Address::of(ChannelKind::Sms, &user).is_err() && Address::of(ChannelKind::Robot, &user).is_err());
    }

    #[test]
    fn mailboxes() {
        let named = Mailbox::parse("BK <me@x.com>").expect("valid");
        assert_eq!((named.name.as_str(), named.address.as_str()), ("BK", "me@x.com"));
        assert_eq!(Mailbox::parse("\"鸿 雁\" <me@x.com>").expect("valid").name, "鸿 雁");
        assert_eq!(Mailbox::parse("me@x.com").expect("valid").name, "");
        for bad in ["<a@b", "x <a@b> y", "a\r\nBcc: x <a@b>", "<<a@b>>", "a@b, c@d", ""] {
            assert!(Mailbox::parse(bad).is_err(), "{bad:?}");
        }
    }
}
