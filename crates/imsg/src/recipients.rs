//! Whom a message is for (rows 11 to 14, 23, 24): addresses of the method's channel, tags of the official account's followers,
//! and people of the directory. One who can be none refuses the whole call, and all such are named.

use std::collections::{HashMap, HashSet};

use hongyan_core::{
    account::{Follower, TAG_PREFIX},
    address::{AccountId, Address, EmailAddress, MAINLAND, Phone},
    delivery::Reason,
    limits,
    setup::{Channel, ProviderNo, Setup},
    store::StoreError,
    text,
};
use hongyan_intake::{Audience, Resolved, Target, wire::Json};
use serde_json::Value;

use crate::{
    code::Code,
    deps::ImsgDeps,
    method::Method,
    reply::{Reply, told},
};

/// Recipients that one call may name.
const MAX: usize = limits::PAGE_RECIPIENTS_MAX;
/// Characters of an openid, as WeChat gives them out.
const OPENID_LEN: usize = 28;
/// How much of what is no recipient is told again, in characters.
const NAMED_MAX: usize = limits::ADDRESS_BYTES_MAX;

/// Whom a call names, each once.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Recipients {
    /// As the caller wrote them, without white space around them.
    pub(crate) names: Vec<String>,
    /// Whether it was a list, whose answer says what became of each.
    pub(crate) is_list: bool,
    method: Method,
}

/// What a name is, by its form.
enum Form {
    Address(Address),
    Tag(u32),
    /// Nothing that the channel knows: perhaps somebody of the directory.
    User,
    Nothing,
}

impl Recipients {
    /// A text or a list of texts.
    pub(crate) fn read(method: Method, to: &Json<'_>) -> Result<Self, Reply> {
        let (items, is_list) = match to {
            Json::List(items) => (items.as_slice(), true),
            item => (std::slice::from_ref(item), false),
        };
        if items.is_empty() || items.len() > MAX {
            return Err(Code::Recipient.into());
        }
        let (mut names, mut seen, mut wrong) = (Vec::with_capacity(items.len()), HashSet::new(), Vec::new());
        for item in items {
            match item {
                Json::Text(name) if !matches!(form(method, name.trim()), Form::Nothing) => {
                    if seen.insert(name.trim()) {
                        names.push(name.trim().to_owned());
                    }
                }
                Json::Text(name) => wrong.push(name.clone().into_owned()),
                other => wrong.push(printed(other)),
            }
        }
        if wrong.is_empty() { Ok(Self { names, is_list, method }) } else { Err(refused(method, wrong)) }
    }

    /// Where they are reached by the channel whose tags are those of `account`, if there is one. A follower who is known to have
    /// gone is skipped.
    pub(crate) async fn resolve(&self, deps: &ImsgDeps, account: Option<ProviderNo>) -> Result<Resolved, Reply> {
        let codes = self.names.iter().filter(|name| may_be_code(self.method, name)).cloned().collect();
        let people = deps.intake.people(codes).await?;
        let known: HashSet<&str> = people.iter().map(|user| user.code.as_str()).collect();
        let mut followers = self.followers(deps, account).await?;
        let (mut to, mut wrong, mut gone) = (Vec::with_capacity(self.names.len()), Vec::new(), HashSet::new());
        for name in &self.names {
            let address = match form(self.method, name) {
                Form::Address(address) if !known.contains(name.as_str()) => Some(address),
                Form::Address(_) | Form::User => {
                    to.push(Target::User(name.clone()));
                    continue;
                }
                Form::Tag(tag) => followers.remove(&tag).and_then(|follower| {
                    if !follower.subscribed {
                        gone.insert(name.as_str());
                    }
                    AccountId::parse(&follower.openid).ok().map(Address::Account)
                }),
                Form::Nothing => None,
            };
            match address {
                Some(address) => to.push(Target::Address { name: name.clone(), address }),
                None => wrong.push(name.clone()),
            }
        }
        let audience = Audience { to, cc: Vec::new() };
        let mut resolved = audience.resolve(self.method.kind(), &people);
        let nobody = resolved.to.iter().filter(|addressee| addressee.skipped.is_some());
        wrong.extend(nobody.map(|addressee| addressee.recipient.clone()));
        if !wrong.is_empty() {
            return Err(refused(self.method, wrong));
        }
        for addressee in &mut resolved.to {
            if gone.contains(addressee.recipient.as_str()) {
                addressee.skipped = Some(Reason::NotFollowing);
            }
        }
        Ok(resolved)
    }

    /// Those who are named by their tags: followers of this account.
    async fn followers(
        &self,
        deps: &ImsgDeps,
        account: Option<ProviderNo>,
    ) -> Result<HashMap<u32, Follower>, StoreError> {
        let tags: Vec<u32> = self.names.iter().filter_map(|name| tag(name)).collect();
        match account {
            Some(account) if self.method == Method::Wechat && !tags.is_empty() => {
                let found = deps.book.store().followers(account, tags).await?;
                Ok(found.into_iter().map(|follower| (follower.tag, follower)).collect())
            }
            _ => Ok(HashMap::new()),
        }
    }
}

/// Whose followers the tags are that a channel sends to: those of the provider that it sends by first. A tag, and the openid
/// behind it, mean nothing to any other official account.
pub(crate) fn account_of(setup: &Setup, channel: &Channel) -> Option<ProviderNo> {
    let is_enabled = |no: &ProviderNo| setup.provider(*no).is_some_and(|provider| provider.enabled);
    channel.providers.iter().copied().find(is_enabled)
}

/// What a name is, for a method.
fn form(method: Method, name: &str) -> Form {
    let address = match method {
        Method::Sms => phone(name).map(Address::Phone),
        Method::Smtp => EmailAddress::parse(name).ok().map(Address::Email),
        Method::Wechat if name.starts_with(TAG_PREFIX) => return tag(name).map_or(Form::Nothing, Form::Tag),
        Method::Wechat => openid(name).map(Address::Account),
    };
    let is_code = !name.is_empty() && name.len() <= limits::ADDRESS_BYTES_MAX && !text::has_control(name);
    match address {
        Some(address) => Form::Address(address),
        None if is_code => Form::User,
        None => Form::Nothing,
    }
}

/// Whether a name may be somebody of the directory: what is no address, and of what looks like an openid whatever has not the
/// length of those that WeChat gives out.
fn may_be_code(method: Method, name: &str) -> bool {
    match form(method, name) {
        Form::User => true,
        Form::Address(Address::Account(openid)) => openid.as_str().len() != OPENID_LEN,
        Form::Address(_) | Form::Tag(_) | Form::Nothing => false,
    }
}

/// A number of mainland China (row 14): eleven digits from 1 on, with spaces, hyphens and the country's code or without.
fn phone(name: &str) -> Option<Phone> {
    let national = name.strip_prefix("+86").or_else(|| name.strip_prefix("86-")).unwrap_or(name);
    let digits: String = national.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
    let is_mobile = digits.len() == 11 && digits.starts_with('1');
    Phone::national(MAINLAND, &digits).ok().filter(|_| is_mobile)
}

/// `iMSG-10001`.
fn tag(name: &str) -> Option<u32> {
    let digits = name.strip_prefix(TAG_PREFIX)?;
    let is_number = digits.bytes().all(|digit| digit.is_ascii_digit()) && !digits.starts_with('0');
    digits.parse().ok().filter(|_| is_number)
}

/// What WeChat gives out begins with an `o`; what does not may be a person of the directory, and if not is told at once.
fn openid(name: &str) -> Option<AccountId> {
    let is_one = name.len() > 1
        && name.starts_with('o')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    AccountId::parse(name).ok().filter(|_| is_one)
}

/// What is no text, in short.
fn printed(value: &Json<'_>) -> String {
    match value {
        Json::Null => "null".to_owned(),
        Json::Bool(value) => value.to_string(),
        Json::Int(number) => number.to_string(),
        Json::Big(number) => number.to_string(),
        Json::Float(number) => number.to_string(),
        Json::Text(text) => text.clone().into_owned(),
        Json::List(_) => "[…]".to_owned(),
        Json::Dict(_) => "{…}".to_owned(),
    }
}

/// 10011, naming everyone who is none (row 13); for WeChat the last of them as the original does (row 23).
fn refused(method: Method, wrong: Vec<String>) -> Reply {
    let short: Vec<String> = wrong.iter().map(|name| name.chars().take(NAMED_MAX).collect()).collect();
    let details: Vec<Value> = short.iter().map(|name| told(name, Code::Recipient)).collect();
    let reply = Reply::details(Code::Recipient, details);
    match (method, short.last()) {
        (Method::Wechat, Some(last)) => reply.with("Details", format!("微信用户{last}不存在")),
        _ => reply,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(method: Method, name: &str) -> String {
        match form(method, name) {
            Form::Address(address) => address.as_str().to_owned(),
            Form::Tag(tag) => format!("tag {tag}"),
            Form::User => "user".to_owned(),
            Form::Nothing => "nothing".to_owned(),
        }
    }

    #[test]
    fn forms() {
        let whole = "+8613800000001";
        for (method, name, form) in [
            (Method::Sms, "13800000001", whole),
            (Method::Sms, "+8613800000001", whole),
            (Method::Sms, "+86 138-0000-0001", whole),
            (Method::Sms, "86-13800000001", whole),
            (Method::Sms, "13800000000abc", "user"),
            (Method::Sms, "23800000001", "user"),
            (Method::Sms, "１３８００００００１", "user"),
            (Method::Sms, "+85291234567", "user"),
            (Method::Sms, "a@x.org", "user"),
            (Method::Smtp, "a@x.org", "a@x.org"),
            (Method::Smtp, "a@b@c", "user"),
            (Method::Smtp, "天存", "user"),
            (Method::Smtp, "a\u{0}@b", "nothing"),
            (Method::Smtp, "", "nothing"),
            (Method::Wechat, "iMSG-10001", "tag 10001"),
            (Method::Wechat, "iMSG-", "nothing"),
            (Method::Wechat, "iMSG-010001", "nothing"),
            (Method::Wechat, "iMSG-+1", "nothing"),
            (Method::Wechat, "iMSG-99999999999", "nothing"),
            (Method::Wechat, "imsg-10001", "user"),
            (Method::Wechat, "o6_bmjrPTlm6_2sgVt7hMZOPfL2M", "o6_bmjrPTlm6_2sgVt7hMZOPfL2M"),
            (Method::Wechat, "zhangsan", "user"),
            (Method::Wechat, "o b", "user"),
        ] {
            assert_eq!(is(method, name), form, "{method:?} {name:?}");
        }
        let long = "x".repeat(255);
        assert_eq!(is(Method::Sms, &long), "nothing");
    }

    #[test]
    fn each_once_and_all_or_nobody() {
        let read = |json: &str| Recipients::read(Method::Sms, &Json::parse(json).expect("JSON"));
        let names = |names: &[&str], is_list| {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            Ok(Recipients { names, is_list, method: Method::Sms })
        };
        assert_eq!(read(r#"" 13800000001 ""#), names(&["13800000001"], false));
        assert_eq!(read(r#"["13800000001", "b", "13800000001 "]"#), names(&["13800000001", "b"], true));
        let many = |n: usize| format!("[{}]", vec![r#""13800000001""#; n].join(","));
        assert!(read(&many(MAX)).is_ok());
        for wrong in ["[]", "1", "true", "{}", r#""""#, &many(MAX + 1)] {
            assert_eq!(read(wrong).map_err(|reply| reply.code), Err(Code::Recipient), "{wrong}");
        }
        let named = |wrong: &[&str]| {
            let details: Vec<Value> = wrong.iter().map(|name| told(name, Code::Recipient)).collect();
            Err(Reply::details(Code::Recipient, details))
        };
        assert_eq!(read(r#"["13800000001", 5, null, [], " ", "a\nb"]"#), named(&["5", "null", "[…]", " ", "a\nb"]));
    }
}
