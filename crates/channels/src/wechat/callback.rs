//! What an official account calls us with (`contracts/providers.md` 1.5): whether a call is its own, what it says, and the words
//! that it may carry back to the follower. All of it is computed from what came; whoever listens does the rest.
//!
//! | file | what it knows |
//! |---|---|
//! | `envelope` | the encryption of the modes *compatible* and *safe* |
//! | `xml` | messages as flat XML, read without any expansion and written by type |
//!
//! A call is checked in the order of what it costs to be asked: its signature and its age by its address alone, before its body is
//! read; then the envelope, and only then the XML inside. Where a key is declared, what is not encrypted is refused: the
//! signature of a plain call says nothing of its body.

use std::{collections::HashMap, io, time::Duration};

use hongyan_core::{
    account::TAG_PREFIX,
    address::AccountId,
    setup::{Secret, WechatCallback},
    time::Timestamp,
};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use subtle::ConstantTimeEq;

use crate::error::OpenError;

mod envelope;
mod xml;

use envelope::Envelope;
pub use envelope::is_key;

/// A body, in bytes: a text of a follower has 2,048 at most, and encrypted it is a third longer.
pub const BODY_BYTES_MAX: usize = 64 * 1024;
/// How far the time of a call may be from ours, either way: what is older is a call that somebody kept.
const WINDOW: Duration = Duration::from_secs(5 * 60);
/// The entry of the menu that gives a follower their tag (`contracts/imsg.md` 2.5).
pub const MENU_KEY: &str = "get_openid";
/// What is answered where the follower is told nothing; WeChat calls again where it gets neither this nor a message.
pub const SUCCESS: &str = "success";
/// What a new follower is told.
pub const WELCOME: &str = "欢迎关注iMSG！点击菜单“获取我的openID”，即可获取您的iMSG账号。";
/// What a follower is told who asks for anything else.
pub const CANNOT_SERVE: &str = "抱歉，暂时无法提供该服务。";
/// Events that are none of the follower's asking: what became of a message, where they are, what they look at.
const TOLD: [&str; 5] = ["TEMPLATESENDJOBFINISH", "MASSSENDJOBFINISH", "LOCATION", "VIEW", "view_miniprogram"];

/// What a follower is told their tag is.
pub fn tag_words(tag: u32, is_new: bool) -> String {
    let said = if is_new { "您iMSG的账号是" } else { "您已经有iMSG账号了：" };
    format!("{said}{TAG_PREFIX}{tag}")
}

/// What stands in the address of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// Over token, timestamp and nonce.
    pub signature: String,
    /// When it was made, in seconds since 1970.
    pub timestamp: String,
    /// What makes it different from any other.
    pub nonce: String,
    /// What is to be repeated where the account checks that we are there.
    pub echostr: String,
    /// Over the encrypted message besides.
    pub msg_signature: String,
}

impl Query {
    /// Reads the part of an address behind its `?`. What is not there is empty, and what is unknown says nothing.
    pub fn parse(query: &str) -> Self {
        let mut found: HashMap<_, _> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let mut take = |name: &str| found.remove(name).unwrap_or_default();
        Self {
            signature: take("signature"),
            timestamp: take("timestamp"),
            nonce: take("nonce"),
            echostr: take("echostr"),
            msg_signature: take("msg_signature"),
        }
    }
}

/// Why a call is not taken. None of them says what came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is not the account's.
    #[error("the signature of a call is wrong: the token is another one, or somebody else calls")]
    Signature,
    /// It is too old, or from the future.
    #[error("a call was made over 5 minutes ago or in the future: somebody repeats it, or a clock is wrong")]
    Time,
    /// A key is declared, and this is not encrypted with any.
    #[error("a call is not encrypted although aes_key is declared: the account's mode is plain")]
    Plain,
    /// It is encrypted only, and no key is declared.
    #[error("a call is encrypted and no aes_key is declared: the account's mode is safe")]
    NoKey,
    /// It does not open with this key, or is for another account.
    #[error("a call cannot be decrypted: aes_key is another one, or it is for another account")]
    Envelope,
    /// It is no message.
    #[error("a call is no message of an official account")]
    Message,
}

/// What a follower did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// They ask for their tag.
    AskedForTag,
    /// They follow.
    Subscribed,
    /// They follow no longer.
    Unsubscribed,
    /// Nothing that they wait for an answer to.
    Told,
    /// Something else.
    Other,
}

/// A call, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Who did it.
    pub openid: String,
    /// What.
    pub act: Act,
    /// The account's own name.
    account: String,
    nonce: String,
    is_sealed: bool,
}

/// The calls of one official account.
pub struct Callback {
    token: Secret,
    envelope: Option<Envelope>,
}

impl Callback {
    /// The calls that are known by `keys`, of the account `app_id`.
    ///
    /// # Errors
    /// When `aes_key` is no key.
    pub fn new(app_id: &str, keys: &WechatCallback) -> Result<Self, OpenError> {
        let envelope = |key: &Secret| {
            Envelope::new(key.expose(), app_id).ok_or_else(|| OpenError::key("aes_key", "it is no EncodingAESKey"))
        };
        Ok(Self { token: keys.token.clone(), envelope: keys.aes_key.as_ref().map(envelope).transpose()? })
    }

    /// Checks that a call is the account's own and made now, by its address alone.
    ///
    /// # Errors
    /// [`Refused::Signature`], [`Refused::Time`].
    pub fn admit(&self, query: &Query, now: Timestamp) -> Result<(), Refused> {
        if !self.is_signed(&query.signature, &[&query.timestamp, &query.nonce]) {
            return Err(Refused::Signature);
        }
        let made = query.timestamp.parse::<u32>().map_err(|_| Refused::Time)?;
        let made = Timestamp::from_ms(i64::from(made) * 1_000);
        if now.since(made).max(made.since(now)) > WINDOW { Err(Refused::Time) } else { Ok(()) }
    }

    /// Reads the body of a call that is admitted.
    ///
    /// # Errors
    /// Every other [`Refused`], and [`Refused::Signature`] where the message is not the one that was signed.
    pub fn read(&self, query: &Query, body: &[u8]) -> Result<Event, Refused> {
        let outer = fields(body)?;
        let sealed = outer.get("Encrypt").map(|text| text.trim());
        let inner = match (&self.envelope, sealed) {
            (None, _) => outer,
            (Some(_), None) => return Err(Refused::Plain),
            (Some(envelope), Some(sealed)) => {
                if !self.is_signed(&query.msg_signature, &[&query.timestamp, &query.nonce, sealed]) {
                    return Err(Refused::Signature);
                }
                fields(&envelope.open(sealed).ok_or(Refused::Envelope)?)?
            }
        };
        let text = |name: &str| inner.get(name).map(|text| text.trim()).unwrap_or_default();
        // In the mode *safe* everything but the account's name is in the envelope.
        if self.envelope.is_none() && sealed_only(&inner) {
            return Err(Refused::NoKey);
        }
        let openid = AccountId::parse(text("FromUserName")).map_err(|_| Refused::Message)?;
        if text("MsgType").is_empty() {
            return Err(Refused::Message);
        }
        Ok(Event {
            openid: openid.as_str().to_owned(),
            act: act(text("MsgType"), text("Event"), text("EventKey")),
            account: text("ToUserName").to_owned(),
            nonce: query.nonce.clone(),
            is_sealed: self.envelope.is_some(),
        })
    }

    /// The message that tells the follower of `event` a text, encrypted where the call was. `random` is used once.
    ///
    /// # Errors
    /// Never: memory takes what is written.
    pub fn reply(&self, event: &Event, text: &str, now: Timestamp, random: [u8; 16]) -> io::Result<String> {
        let seconds = (now.ms() / 1_000).to_string();
        let message = xml::written(&[
            ("ToUserName", &event.openid),
            ("FromUserName", &event.account),
            ("CreateTime", &seconds),
            ("MsgType", "text"),
            ("Content", text),
        ])?;
        let Some(envelope) = self.envelope.as_ref().filter(|_| event.is_sealed) else { return Ok(message) };
        let sealed = envelope.seal(&message, random);
        xml::written(&[
            ("Encrypt", &sealed),
            ("MsgSignature", &signature(&[self.token.expose(), &seconds, &event.nonce, &sealed])),
            ("TimeStamp", &seconds),
            ("Nonce", &event.nonce),
        ])
    }

    fn is_signed(&self, said: &str, parts: &[&str]) -> bool {
        let right = signature(&[&[self.token.expose()], parts].concat());
        right.as_bytes().ct_eq(said.as_bytes()).into()
    }
}

/// The signature over `parts`: SHA-1 of them, sorted, as hex.
fn signature(parts: &[&str]) -> String {
    let mut parts = parts.to_vec();
    parts.sort_unstable();
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, parts.concat().as_bytes());
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn fields(body: &[u8]) -> Result<HashMap<String, String>, Refused> {
    let text = std::str::from_utf8(body).map_err(|_| Refused::Message)?;
    xml::read(text).ok_or(Refused::Message)
}

fn sealed_only(fields: &HashMap<String, String>) -> bool {
    fields.contains_key("Encrypt") && !fields.contains_key("FromUserName")
}

fn act(message: &str, event: &str, key: &str) -> Act {
    match (message, event) {
        ("event", "CLICK") if key == MENU_KEY => Act::AskedForTag,
        ("event", "subscribe") => Act::Subscribed,
        ("event", "unsubscribe") => Act::Unsubscribed,
        // So end those by which WeChat reports on subscription messages and certification.
        ("event", event) if TOLD.contains(&event) || event.ends_with("_event") => Act::Told,
        _ => Act::Other,
    }
}

#[cfg(test)]
mod tests;
