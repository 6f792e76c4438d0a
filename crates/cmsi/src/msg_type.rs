//! Section 8 and decision 11: `get_msg_type`, the types of message with labels in the caller's language, and what each means.

use axum::http::HeaderMap;
use hongyan_core::setup::{ChannelKind, Setup};

use crate::icon::{self, Icon};

/// The language of labels; anything but exactly `en` means Chinese.
const HEADER: &str = "blueking-language";

/// A type of message.
struct MsgType {
    name: &'static str,
    label: &'static str,
    label_zh: &'static str,
    /// What it means; absent: one of two kinds, by [`weixin`].
    kind: Option<ChannelKind>,
    active: Icon,
    inactive: Icon,
}

/// The list of types, with its icons drawn.
pub(crate) struct TypeList {
    /// The four that are always listed, in the reference's order.
    always: [MsgType; 4],
    /// Those that are listed where the operator switched them on and none of the four means them.
    further: [MsgType; 2],
}

impl TypeList {
    /// Every type of this dialect.
    pub(crate) fn new() -> Self {
        let list = |name, label_zh, kind, picture| MsgType {
            name,
            label: name,
            label_zh,
            kind,
            active: icon::draw(picture, icon::ACTIVE),
            inactive: icon::draw(picture, icon::INACTIVE),
        };
        Self {
            always: [
                list("weixin", "微信", None, &icon::BUBBLE),
                list("mail", "邮件", Some(ChannelKind::Mail), &icon::ENVELOPE),
                list("sms", "短信", Some(ChannelKind::Sms), &icon::PHONE),
                list("voice", "语音", Some(ChannelKind::Voice), &icon::SPEAKER),
            ],
            further: [
                list("wecom", "企业微信", Some(ChannelKind::Wecom), &icon::BUBBLE),
                list("wechat", "微信公众号", Some(ChannelKind::Wechat), &icon::BUBBLE),
            ],
        }
    }

    /// The list as JSON. Nothing in it needs escaping.
    pub(crate) fn of(&self, setup: &Setup, headers: &HeaderMap) -> String {
        let is_english = headers.get(HEADER).is_none_or(|language| matches!(language.as_bytes(), b"" | b"en"));
        let further = self.further.iter().filter(|item| kind(setup, item.name).is_some());
        let items = self.always.iter().chain(further).map(|item| {
            let MsgType { name, label, label_zh, .. } = item;
            let label = if is_english { label } else { label_zh };
            let is_active = is_on(setup, item.kind.unwrap_or_else(|| weixin(setup)));
            let icon = if is_active { &item.active } else { &item.inactive };
            format!(r#"{{"type":"{name}","icon":"{icon}","label":"{label}","is_active":{is_active}}}"#)
        });
        format!("[{}]", items.collect::<Vec<_>>().join(","))
    }
}

/// What the type `weixin` means: WeCom, unless there is an official account and no WeCom, or it is the default (decision 11).
pub(crate) fn weixin(setup: &Setup) -> ChannelKind {
    let channels =
        || [ChannelKind::Wecom, ChannelKind::Wechat].into_iter().filter_map(|kind| setup.channel_of_kind(kind));
    channels().find(|channel| channel.default).or_else(|| channels().next()).map_or(ChannelKind::Wecom, |c| c.kind)
}

/// The kind of channel that the type `name` means, if it is one that [`TypeList`] may list.
pub(crate) fn kind(setup: &Setup, name: &str) -> Option<ChannelKind> {
    let further = |kind| (weixin(setup) != kind && is_on(setup, kind)).then_some(kind);
    match name {
        "weixin" => Some(weixin(setup)),
        "mail" => Some(ChannelKind::Mail),
        "sms" => Some(ChannelKind::Sms),
        "voice" => Some(ChannelKind::Voice),
        "wecom" => further(ChannelKind::Wecom),
        "wechat" => further(ChannelKind::Wechat),
        _ => None,
    }
}

/// Whether a channel of `kind` is configured and enabled.
fn is_on(setup: &Setup, kind: ChannelKind) -> bool {
    setup.channel_of_kind(kind).is_some_and(|channel| channel.enabled)
}
