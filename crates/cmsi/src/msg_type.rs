//! Section 8 and decision 11: `get_msg_type`, the four types with labels in the caller's language.

use axum::http::HeaderMap;
use hongyan_core::setup::{Channel, ChannelKind, Setup};

use crate::icon::{self, Icon};

/// The language of labels; anything but exactly `en` means Chinese.
const HEADER: &str = "blueking-language";

/// A type of message.
struct MsgType {
    name: &'static str,
    label: &'static str,
    label_zh: &'static str,
    kinds: &'static [ChannelKind],
    active: Icon,
    inactive: Icon,
}

/// The list of types, with its icons drawn.
pub(crate) struct TypeList([MsgType; 4]);

impl TypeList {
    /// The four types in the reference's order.
    pub(crate) fn new() -> Self {
        let list = |name, label_zh, kinds, picture| MsgType {
            name,
            label: name,
            label_zh,
            kinds,
            active: icon::draw(picture, icon::ACTIVE),
            inactive: icon::draw(picture, icon::INACTIVE),
        };
        Self([
            list("weixin", "微信", &[ChannelKind::Wecom, ChannelKind::Wechat], &icon::BUBBLE),
            list("mail", "邮件", &[ChannelKind::Mail], &icon::ENVELOPE),
            list("sms", "短信", &[ChannelKind::Sms], &icon::PHONE),
            list("voice", "语音", &[ChannelKind::Voice], &icon::SPEAKER),
        ])
    }

    /// The list as JSON. Nothing in it needs escaping.
    pub(crate) fn of(&self, setup: &Setup, headers: &HeaderMap) -> String {
        let is_english = headers.get(HEADER).is_none_or(|language| matches!(language.as_bytes(), b"" | b"en"));
        let items = self.0.iter().map(|item| {
            let MsgType { name, label, label_zh, .. } = item;
            let label = if is_english { label } else { label_zh };
            let is_active = channel(setup, item.kinds).is_some_and(|channel| channel.enabled);
            let icon = if is_active { &item.active } else { &item.inactive };
            format!(r#"{{"type":"{name}","icon":"{icon}","label":"{label}","is_active":{is_active}}}"#)
        });
        format!("[{}]", items.collect::<Vec<_>>().join(","))
    }
}

/// The channel that a type means: of its kinds the first, unless another is the default (decision 11).
fn channel<'s>(setup: &'s Setup, kinds: &[ChannelKind]) -> Option<&'s Channel> {
    let channels = || kinds.iter().filter_map(|kind| setup.channel_of_kind(*kind)).map(|channel| &**channel);
    channels().find(|channel| channel.default).or_else(|| channels().next())
}
