//! Everything that can be wrong with a request, with the code and the words of its reply, in one table (decision 1, rows 2, 3
//! and 5). Words are Chinese, as the document's.

use hongyan_core::{limits, store::StoreError};
use hongyan_intake::Refusal;

use crate::place::{Place, shown};

/// The longest `msg` (row 5), in characters.
const MSG_CHARS_MAX: usize = 100;

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// The body is no JSON object.
    NotJson,
    /// The body is nested more deeply than any may be.
    Deep,
    /// The body has more values than any may have.
    Wide,
    /// The body has a number that no program holds.
    OutOfRange,
    /// A field has a number that cannot be kept as it was written.
    Inexact(String),
    /// A field that must be there is not.
    Missing(String),
    /// A field is of another form than this.
    Must(String, &'static str),
    /// A field has nothing in it.
    Empty(String),
    /// A field has more characters than this.
    Long(String, usize),
    /// A field has more bytes than this.
    Large(String, usize),
    /// A request names more receivers than this.
    Many(usize),
    /// A field has a control character.
    Control(String),
    /// A type of message that the deployment does not list.
    UnknownKind(String),
    /// A time further ahead than the deployment allows.
    TooFar,
    /// There is no such channel.
    UnknownChannel(String),
    /// The app may not use the channel.
    ChannelNotAllowed(String),
    /// The channel takes no messages.
    ChannelDisabled(String),
    /// A channel is named by its code and by its number.
    ChannelTwice(String),
    /// Receivers for a channel on which nothing is said.
    NothingSaid(String),
    /// The app may not send to everyone.
    NoBroadcast,
    /// Nobody is left who could get it.
    Nobody,
    /// There is no such template.
    UnknownTemplate(String),
    /// The template is not in use.
    TemplateDisabled(String),
    /// The template says something on a channel that there is not.
    TemplateChannel(String),
    /// The template says nothing on any channel.
    TemplateEmpty(String),
    /// A variable without a value.
    NoValue(String),
    /// A signature that the channel's providers do not have.
    UnknownSign(String),
    /// Neither a text nor a template for an SMS.
    NoSms(String),
    /// The header of the idempotency key is none.
    BadKey,
    /// The idempotency key was used for something else.
    KeyReused,
    /// The app calls more often than it may.
    TooOften,
    /// Who calls is not known for certain.
    Stranger(Stranger),
    /// There is nothing at the path.
    Nowhere,
    /// Only POST is served (row 45).
    Method,
    /// The body is larger than any may be.
    BodyTooLarge,
    /// The body did not arrive, or is compressed.
    BodyUnread,
    /// There is no room for it now.
    Busy,
    /// The node or its store failed.
    Internal,
}

/// Why it is not known for certain who calls (rows 8, decision 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stranger {
    /// There is no such app.
    App,
    /// It may not call from there.
    Address,
    /// It has to sign and did not.
    Unsigned,
    /// The time stamp is none, or not of about now.
    Time,
    /// The nonce is none.
    Nonce,
    /// The nonce came before.
    NonceUsed,
    /// The signature is another.
    Signature,
}

impl Problem {
    /// A field that must be there is not.
    pub(crate) fn missing(place: &Place<'_>) -> Self {
        Self::Missing(place.to_string())
    }

    /// A field is of another form.
    pub(crate) fn must(place: &Place<'_>, be: &'static str) -> Self {
        Self::Must(place.to_string(), be)
    }

    /// A field has nothing in it.
    pub(crate) fn empty(place: &Place<'_>) -> Self {
        Self::Empty(place.to_string())
    }

    /// `code`.
    pub(crate) const fn code(&self) -> u16 {
        match self {
            Self::NotJson
            | Self::Deep
            | Self::Wide
            | Self::OutOfRange
            | Self::Inexact(_)
            | Self::Missing(_)
            | Self::Must(..)
            | Self::Empty(_)
            | Self::Long(..)
            | Self::Large(..)
            | Self::Many(_)
            | Self::Control(_)
            | Self::UnknownKind(_)
            | Self::TooFar
            | Self::ChannelNotAllowed(_)
            | Self::ChannelDisabled(_)
            | Self::ChannelTwice(_)
            | Self::NothingSaid(_)
            | Self::NoBroadcast
            | Self::Nobody
            | Self::TemplateDisabled(_)
            | Self::TemplateChannel(_)
            | Self::TemplateEmpty(_)
            | Self::NoValue(_)
            | Self::UnknownSign(_)
            | Self::NoSms(_)
            | Self::BadKey
            | Self::KeyReused
            | Self::TooOften
            | Self::Method
            | Self::BodyTooLarge
            | Self::BodyUnread => 400,
            Self::Stranger(_) => 401,
            Self::UnknownChannel(_) | Self::UnknownTemplate(_) | Self::Nowhere => 404,
            Self::Busy | Self::Internal => 500,
        }
    }

    /// `msg`, at most a hundred characters.
    pub(crate) fn msg(&self) -> String {
        let said = match self {
            Self::NotJson => "请求体不是有效的JSON对象".to_owned(),
            Self::Deep => format!("请求体嵌套超过{}层", limits::JSON_DEPTH_MAX),
            Self::Wide => format!("请求体超过{}个值", limits::JSON_VALUES_MAX),
            Self::OutOfRange => "请求体中有超出范围的数字".to_owned(),
            Self::Inexact(field) => format!("{field}的数字过大，无法精确保留，请改用字符串"),
            Self::Missing(field) => format!("缺少{field}"),
            Self::Must(field, be) => format!("{field}应为{be}"),
            Self::Empty(field) => format!("{field}不能为空"),
            Self::Long(field, most) => format!("{field}超过{most}个字符"),
            Self::Large(field, most) => format!("{field}超过{most}字节"),
            Self::Many(most) => format!("接收目标超过{most}个"),
            Self::Control(field) => format!("{field}含有控制字符"),
            Self::UnknownKind(kind) => format!("msgType{}未配置", quoted(kind)),
            Self::TooFar => "sendTime超出允许的定时范围".to_owned(),
            Self::UnknownChannel(key) => format!("渠道{}不存在", quoted(key)),
            Self::ChannelNotAllowed(key) => format!("应用无权使用渠道{}", quoted(key)),
            Self::ChannelDisabled(key) => format!("渠道{}已停用", quoted(key)),
            Self::ChannelTwice(key) => format!("渠道{}重复", quoted(key)),
            Self::NothingSaid(key) => format!("receiverData中的渠道{}没有消息内容", quoted(key)),
            Self::NoBroadcast => "应用无权广播".to_owned(),
            Self::Nobody => "没有有效的接收目标".to_owned(),
            Self::UnknownTemplate(code) => format!("消息模板{}不存在", quoted(code)),
            Self::TemplateDisabled(code) => format!("消息模板{}已停用", quoted(code)),
            Self::TemplateChannel(key) => format!("消息模板的渠道{}不存在", quoted(key)),
            Self::TemplateEmpty(code) => format!("消息模板{}没有内容", quoted(code)),
            Self::NoValue(name) => format!("缺少变量{}", quoted(name)),
            Self::UnknownSign(field) => format!("{field}不是该渠道的短信签名"),
            Self::NoSms(place) => format!("{place}需要content或templateData.templateId"),
            Self::BadKey => "Idempotency-Key应为1至255个可见ASCII字符".to_owned(),
            Self::KeyReused => "Idempotency-Key已用于另一请求".to_owned(),
            Self::Method => "仅支持POST请求".to_owned(),
            Self::BodyTooLarge => "请求体超过10MB".to_owned(),
            Self::BodyUnread => "请求体未能读取".to_owned(),
            Self::Nowhere => "请求的地址不存在".to_owned(),
            Self::TooOften => return "请求过于频繁，请稍后再试".to_owned(),
            Self::Stranger(why) => return format!("身份验证失败：{}", why.said()),
            Self::Busy => return "服务器繁忙，请稍后再试".to_owned(),
            Self::Internal => return "服务器内部错误".to_owned(),
        };
        format!("参数有误：{said}").chars().take(MSG_CHARS_MAX).collect()
    }
}

impl Stranger {
    const fn said(self) -> &'static str {
        match self {
            Self::App => "appId无效",
            Self::Address => "来源地址不允许",
            Self::Unsigned => "缺少签名",
            Self::Time => "X-Timestamp无效或已过期",
            Self::Nonce => "X-Nonce应为8至64个可见ASCII字符",
            Self::NonceUsed => "X-Nonce已使用",
            Self::Signature => "签名不正确",
        }
    }
}

fn quoted(name: &str) -> String {
    format!("“{}”", shown(name))
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::warn!(%error, "the store did not answer a caller of the push platform");
        Self::Internal
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::KeyReused => Self::KeyReused,
            error => {
                tracing::warn!(%error, "a message could not be accepted");
                Self::Internal
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_words_are_longer_than_the_document_allows() {
        let long = "鸿".repeat(500);
        let data = Place::top("channelData");
        let channel = data.at(&long);
        let inner = channel.at("templateData");
        let params = inner.at("paramData");
        for problem in [
            Problem::must(&params.at(&long), "字符串、数字或布尔值"),
            Problem::UnknownChannel(long.clone()),
            Problem::NoValue(long.clone()),
            Problem::UnknownTemplate(long.clone()),
        ] {
            let msg = problem.msg();
            assert!(msg.chars().count() <= MSG_CHARS_MAX, "{msg}");
            assert!(msg.starts_with("参数有误："), "{msg}");
        }
        assert_eq!(Problem::UnknownChannel("a\nb".into()).msg(), "参数有误：渠道“a?b”不存在");
    }
}
