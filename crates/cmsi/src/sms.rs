//! Section 8: `send_sms`.

use std::{borrow::Cow, sync::Arc};

use hongyan_core::setup::{App, Channel, ChannelKind, Setup};
use hongyan_intake::Draft;

use crate::{
    audience::{self, Side},
    content,
    error::{Field, Problem},
    fields,
    letter::{self, Letter},
    params::{Name, Params},
    route::Component,
};

const CONTENT: Field = Field::new("message content", "content");

/// The fields of an SMS, each there if it must be.
pub(crate) struct Form<'p> {
    pub(crate) to: Side<'p>,
    pub(crate) content: Cow<'p, str>,
    /// The field that the content came in.
    pub(crate) field: Field,
    pub(crate) is_content_base64: bool,
}

/// `send_sms`; no receiver at all is told as for mail (decision 3).
pub(crate) fn send_sms(setup: &Setup, app: &Arc<App>, params: &Params<'_>) -> Result<Letter, Problem> {
    let channel = channel(setup, app)?;
    let form = Form {
        to: Side::of(params, Name::Receiver, Name::ReceiverUsername),
        content: CONTENT.required(params.get(Name::Content))?,
        field: CONTENT,
        is_content_base64: fields::flag(params.get(Name::IsContentBase64)),
    };
    if form.to.is_empty() {
        return Err(Problem::NoReceiver);
    }
    form.into_letter(channel)
}

/// The channel of SMS, if there is one and the app may use it.
pub(crate) fn channel(setup: &Setup, app: &App) -> Result<Option<Arc<Channel>>, Problem> {
    letter::permitted(setup.channel_of_kind(ChannelKind::Sms), app, Component::SendSms)
}

impl Form<'_> {
    /// What is checked once every field is there.
    pub(crate) fn into_letter(self, channel: Option<Arc<Channel>>) -> Result<Letter, Problem> {
        let kind = ChannelKind::Sms;
        let text = content::brief(self.content, self.is_content_base64, self.field)?;
        let audience = audience::audience(kind, self.to, Side::default())?;
        Ok(Letter { kind, channel, audience, draft: Draft::Text(text) })
    }
}
