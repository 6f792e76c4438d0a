//! Mail addresses: the only addresses of this version. An [`EmailAddress`] that exists is valid, so nothing further in can be
//! handed one that would break a header or an SMTP command.

use std::fmt;

use crate::limits;

/// A mailbox, `local@domain`, checked by RFC 5321 section 4.1.2 with UTF-8 allowed (RFC 6531). The quoted form of the local
/// part and address literals are refused: no person's mailbox needs them, and mail systems disagree about them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EmailAddress(String);

/// Why a text is no mail address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// No `@`, or nothing on one side of it.
    #[error("is not of the form local@domain")]
    Form,
    /// The local part is over 64 bytes or the whole over 254.
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
