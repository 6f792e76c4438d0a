//! Row 15: the three ways to send, and the channels they go by.

use hongyan_core::{content::Content, setup::ChannelKind};

/// `method`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// A text message.
    Sms,
    /// A mail.
    Smtp,
    /// A notice of the official account.
    Wechat,
}

impl Method {
    const ALL: [Self; 3] = [Self::Sms, Self::Smtp, Self::Wechat];

    /// The name in requests and answers.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Sms => "sms",
            Self::Smtp => "smtp",
            Self::Wechat => "wechat",
        }
    }

    /// The method with exactly this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.name() == name)
    }

    /// By what kind of channel it goes.
    pub(crate) const fn kind(self) -> ChannelKind {
        match self {
            Self::Sms => ChannelKind::Sms,
            Self::Smtp => ChannelKind::Mail,
            Self::Wechat => ChannelKind::Wechat,
        }
    }

    /// By which one something was sent that says this.
    pub(crate) const fn of(content: &Content) -> Self {
        match content {
            Content::Mail(_) => Self::Smtp,
            Content::Text(_) => Self::Sms,
            // What accounts send is nothing else.
            _ => Self::Wechat,
        }
    }
}
