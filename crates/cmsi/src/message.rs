//! Section 5: `send_msg`, which checks its own form first and is then one of the other components.

use std::sync::Arc;

use hongyan_core::setup::{App, Setup};

use crate::{
    attachment::ATTACHMENTS,
    error::{Field, Problem},
    fields,
    mail::{self, Form, Mail},
    params::{Name, Params},
};

const MSG_TYPE: Field = Field::new("msg type", "msg_type");
const RECEIVER: Field = Field::new("recipients", "receiver__username");
const TITLE: Field = Field::new("subject", "title");
const CONTENT: Field = Field::new("content", "content");

/// `send_msg`. `receiver` and `cc` do not count here.
pub(crate) fn send_msg(setup: &Setup, app: &Arc<App>, params: &Params<'_>) -> Result<Mail, Problem> {
    let msg_type = MSG_TYPE.required(params.get(Name::MsgType))?;
    let form = Form {
        receiver_username: RECEIVER.required_list(params.get(Name::ReceiverUsername))?,
        title: TITLE.required(params.get(Name::Title))?,
        content: CONTENT.required(params.get(Name::Content))?,
        attachments: ATTACHMENTS.array(params.get(Name::Attachments))?,
        sender: fields::chars(params.get(Name::Sender)),
        receiver: Vec::new(),
        cc: Vec::new(),
        cc_username: fields::list(params.get(Name::CcUsername)),
        is_content_base64: fields::flag(params.get(Name::IsContentBase64)),
        body_format: fields::chars(params.get(Name::BodyFormat)),
        title_field: TITLE,
    };
    match &*msg_type {
        "mail" => form.into_mail(app, mail::channel(setup, app)?),
        // No channel of these kinds can be sent by yet (decision 3).
        "weixin" | "sms" | "voice" => Err(Problem::Unfinished),
        _ => Err(Problem::UnsupportedType),
    }
}
