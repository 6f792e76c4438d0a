//! Section 5: `send_msg`, which checks its own form first and is then one of the other components.

use std::sync::Arc;

use hongyan_core::setup::{App, Setup};

use crate::{
    attachment::ATTACHMENTS,
    error::{Field, Problem},
    fields,
    mail::{self, Form},
    params::{Name, Params},
    send::Letter,
};

const MSG_TYPE: Field = Field::new("msg type", "msg_type");
const RECEIVER: Field = Field::new("recipients", "receiver__username");
const TITLE: Field = Field::new("subject", "title");
const CONTENT: Field = Field::new("content", "content");

/// `send_msg`. `receiver` and `cc` do not count here. A mail's sender and title are checked in their turn, before the type as
/// all fields are; other types have no use for a sender, and what they may call a title is theirs to say.
pub(crate) fn send_msg(setup: &Setup, app: &Arc<App>, params: &Params<'_>) -> Result<Letter, Problem> {
    let msg_type = MSG_TYPE.required(params.get(Name::MsgType))?;
    let is_mail = msg_type == "mail";
    let title = || TITLE.required(params.get(Name::Title));
    let form = Form {
        receiver: Vec::new(),
        receiver_username: RECEIVER.required_list(params.get(Name::ReceiverUsername))?,
        from: if is_mail { mail::sender(params, app)? } else { None },
        cc: Vec::new(),
        cc_username: fields::list(params.get(Name::CcUsername)),
        subject: if is_mail { mail::subject(&title()?, TITLE)? } else { title()?.into_owned() },
        content: CONTENT.required(params.get(Name::Content))?,
        body_format: fields::chars(params.get(Name::BodyFormat)),
        attachments: ATTACHMENTS.array(params.get(Name::Attachments))?,
        is_content_base64: fields::flag(params.get(Name::IsContentBase64)),
    };
    match &*msg_type {
        "mail" => form.into_letter(mail::channel(setup, app)?),
        // No channel of these kinds can be sent by yet (decision 3).
        "weixin" | "sms" | "voice" => Err(Problem::Unfinished),
        _ => Err(Problem::UnsupportedType),
    }
}
