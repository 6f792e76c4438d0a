//! Sections 7 and 8: the components whose channels do not exist yet. Their forms are checked, so that a caller learns what is
//! wrong with its request, and a request that is right is told that the interface is unfinished (decision 3).

use crate::{
    error::{Fault, Field, Problem},
    fields,
    json::Json,
    params::{Name, Params},
};

const DATA: Field = Field::new("message data", "data");
const HEADING: Field = Field::new("notification header text", "heading");
const MESSAGE: Field = Field::new("notification text", "message");
const SMS_CONTENT: Field = Field::new("message content", "content");
const WEIXIN_RECEIVER: Field = Field::new("wechat receiver", "receiver");
const VOICE_MESSAGE: Field = Field::new("auto voice reading info", "auto_read_message");
const VOICE_USERS: Field = Field::new("user list information", "user_list_information");
const VOICE_USER: Field = Field::new("person notified", "username");
const VOICE_PHONE: Field = Field::new("Mobile phone", "mobile_phone");

fn nothing(params: &Params<'_>, names: [Name; 2]) -> bool {
    names.into_iter().all(|name| fields::list(params.get(name)).is_empty())
}

/// What every one of them ends in.
fn unfinished(checked: Result<(), Problem>) -> Problem {
    checked.err().unwrap_or(Problem::Unfinished)
}

/// `send_weixin`: the receivers are checked before the data's content.
pub(crate) fn send_weixin(params: &Params<'_>) -> Problem {
    let check = || {
        let data = DATA.required_dict(params.get(Name::Data))?;
        if nothing(params, [Name::Receiver, Name::ReceiverUsername]) {
            return Err(Problem::NoWeixinReceiver);
        }
        check_data(data)
    };
    unfinished(check())
}

fn check_data(data: &Json<'_>) -> Result<(), Problem> {
    HEADING.required(data.get("heading"))?;
    MESSAGE.required(data.get("message"))?;
    Ok(())
}

/// `send_mp_weixin`.
pub(crate) fn send_mp_weixin(params: &Params<'_>) -> Problem {
    let check = || {
        WEIXIN_RECEIVER.required_list(params.get(Name::Receiver))?;
        check_data(DATA.required_dict(params.get(Name::Data))?)
    };
    unfinished(check())
}

/// `send_qy_weixin`.
pub(crate) fn send_qy_weixin(params: &Params<'_>) -> Problem {
    let check = || {
        WEIXIN_RECEIVER.required_list(params.get(Name::Receiver))?;
        SMS_CONTENT.required(params.get(Name::Content))?;
        Ok(())
    };
    unfinished(check())
}

/// `send_sms`; no receiver at all is told as for mail (decision 3).
pub(crate) fn send_sms(params: &Params<'_>) -> Problem {
    let check = || {
        SMS_CONTENT.required(params.get(Name::Content))?;
        if nothing(params, [Name::Receiver, Name::ReceiverUsername]) {
            return Err(Problem::NoReceiver);
        }
        Ok(())
    };
    unfinished(check())
}

/// `send_voice_msg`.
pub(crate) fn send_voice_msg(params: &Params<'_>) -> Problem {
    let check = || {
        VOICE_MESSAGE.required(params.get(Name::AutoReadMessage))?;
        let people = VOICE_USERS.array(params.get(Name::UserListInformation))?;
        if people.is_empty() && fields::list(params.get(Name::ReceiverUsername)).is_empty() {
            return Err(Problem::NoVoiceReceiver);
        }
        for person in people {
            VOICE_USER.required(person.get("username"))?;
            if !fields::chars(person.get("mobile_phone")).bytes().all(|digit| digit.is_ascii_digit()) {
                return Err(VOICE_PHONE.is(Fault::PhoneNumber));
            }
        }
        Ok(())
    };
    unfinished(check())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::Language::English;

    type Component = fn(&Params<'_>) -> Problem;

    #[test]
    fn wrong_requests_are_told_what_is_wrong_and_right_ones_that_nothing_is_sent() {
        let unfinished = "Unfinished interface shall be improved by the component developer";
        let cases: [(Component, &str, &str); 14] = [
            (send_weixin, "{}", "message data [data] This field is required."),
            (send_weixin, r#"{"data": "x"}"#, "message data [data] Must be the specified parameter data type dict"),
            (
                send_weixin,
                r#"{"data": {"x": 1}}"#,
                "WeChat receiver [receiver, receiver__username] shall not be empty at the same time",
            ),
            (
                send_weixin,
                r#"{"receiver": "a", "data": {"heading": "h"}}"#,
                "notification text [message] This field is required.",
            ),
            (send_weixin, r#"{"receiver": "a", "data": {"heading": "h", "message": "m"}}"#, unfinished),
            (send_mp_weixin, "{}", "wechat receiver [receiver] This field is required."),
            (send_qy_weixin, r#"{"receiver": "a"}"#, "message content [content] This field is required."),
            (send_qy_weixin, r#"{"receiver": "a", "content": "c"}"#, unfinished),
            (
                send_sms,
                r#"{"content": "c"}"#,
                "Receiver [receiver, receiver__username] shall not be empty at the same time",
            ),
            (send_sms, r#"{"content": "c", "receiver": "1"}"#, unfinished),
            (send_voice_msg, "{}", "auto voice reading info [auto_read_message] This field is required."),
            (
                send_voice_msg,
                r#"{"auto_read_message": "m"}"#,
                "The parameters [user_list_information and receiver__username] shall not be empty at the same time",
            ),
            (
                send_voice_msg,
                r#"{"auto_read_message": "m", "user_list_information": [{"username": "a", "mobile_phone": "+1"}]}"#,
                "Mobile phone [mobile_phone] of the person notified must be a number",
            ),
            (send_voice_msg, r#"{"auto_read_message": "m", "receiver__username": "a"}"#, unfinished),
        ];
        for (component, body, text) in cases {
            let params = Params::from_json(body.as_bytes()).expect("JSON");
            assert_eq!(component(&params).text(English), text, "{body}");
        }
    }
}
