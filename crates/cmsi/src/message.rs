//! Section 5: `send_msg`, which checks its own form first and is then one of the other components.

use std::sync::Arc;

use hongyan_core::{
    setup::{App, ChannelKind, Setup},
    time::Timestamp,
};
use hongyan_intake::wire::Json;

use crate::{
    attachment::ATTACHMENTS,
    audience::Side,
    content,
    error::{Field, Problem},
    fields,
    letter::Letter,
    mail, msg_type,
    params::{Name, Params},
    route::Component,
    sms, voice,
    weixin::{self, Parts, Speaker, Way},
};

const MSG_TYPE: Field = Field::new("msg type", "msg_type");
const RECEIVER: Field = Field::new("recipients", "receiver__username");
const TITLE: Field = Field::new("subject", "title");
const CONTENT: Field = Field::new("content", "content");

/// `send_msg`. `receiver` and `cc` do not count here. A mail's sender and title are checked in their turn, before the type as
/// all fields are; other types have no use for a sender, and what they may call a title is theirs to say.
pub(crate) fn send_msg(setup: &Setup, app: &Arc<App>, params: &Params<'_>, now: Timestamp) -> Result<Letter, Problem> {
    let msg_type = MSG_TYPE.required(params.get(Name::MsgType))?;
    let to = Side::users(RECEIVER.required_list(params.get(Name::ReceiverUsername))?);
    if msg_type == "mail" {
        return send_mail(setup, app, params, to);
    }
    let heading = TITLE.required(params.get(Name::Title))?;
    let message = CONTENT.required(params.get(Name::Content))?;
    ATTACHMENTS.array(params.get(Name::Attachments))?;
    let is_base64 = fields::flag(params.get(Name::IsContentBase64));
    match msg_type::kind(setup, &msg_type).ok_or(Problem::UnsupportedType)? {
        ChannelKind::Sms => {
            let form = sms::Form { to, content: message, field: CONTENT, is_content_base64: is_base64 };
            form.into_letter(sms::channel(setup, app)?)
        }
        // The text is read out as it comes, base64 or not.
        ChannelKind::Voice => voice::to_users(voice::channel(setup, app)?, to, message, CONTENT),
        kind => {
            let parts = Parts {
                heading: content::line(&heading, TITLE)?.into(),
                message,
                is_message_base64: is_base64,
                date: fields::chars(params.get(Name::Date)),
                remark: fields::chars(params.get(Name::Remark)),
            };
            let form = weixin::Form { to, parts, speaker: Speaker::of(params), url: &Json::Null };
            form.into_letter(Way::of(kind, Component::SendWeixin, setup, app)?, setup, now)
        }
    }
}

fn send_mail(setup: &Setup, app: &Arc<App>, params: &Params<'_>, to: Side<'_>) -> Result<Letter, Problem> {
    let form = mail::Form {
        to,
        from: mail::sender(params, app)?,
        cc: Side::users(fields::list(params.get(Name::CcUsername))),
        subject: content::line(&TITLE.required(params.get(Name::Title))?, TITLE)?,
        content: CONTENT.required(params.get(Name::Content))?,
        body_format: fields::chars(params.get(Name::BodyFormat)),
        attachments: ATTACHMENTS.array(params.get(Name::Attachments))?,
        is_content_base64: fields::flag(params.get(Name::IsContentBase64)),
    };
    form.into_letter(mail::channel(setup, app)?)
}
