//! Decision 13: what a reference ESB posts to the address that a channel of its has as `dest_url` (section 6.11): the
//! component's parameters after its own form has worked on them. It has found the people, and decoded what was base64 without
//! taking back the flag that said so. It adds to our answer those whom it did not find, so that nothing here looks at
//! `_invalid_usernames` and `_extra_user_error_msg`; the tokens of its caller, should they be there, are not looked at either.

use std::borrow::Cow;

use hongyan_core::address::MAINLAND;
use hongyan_intake::wire::Json;

use crate::{
    params::{Name, Params},
    python,
};

/// Makes parameters as an ESB posts them into those that its caller could have given.
pub(crate) fn adapt(params: &mut Params<'_>) {
    *params.get_mut(Name::IsContentBase64) = Json::Null;
    if let Json::Dict(data) = params.get_mut(Name::Data) {
        data.retain(|(name, _)| name != "is_message_base64");
    }
    // Of `send_sms`: {"telephone": …, "nation_code": …}, the second absent where its caller gave the number.
    if let Json::List(items) = params.get_mut(Name::Receiver) {
        for item in items.iter_mut().filter(|item| matches!(item, Json::Dict(_))) {
            *item = phone(item, "telephone");
        }
    }
    // Of `send_voice_msg`: {"username": …, "mobile_phone": …, "nation_code": …}.
    if let Json::List(people) = params.get_mut(Name::UserListInformation) {
        for person in people {
            let phone = phone(person, "mobile_phone");
            if let Json::Dict(members) = person {
                members.push((Cow::Borrowed("mobile_phone"), phone));
            }
        }
    }
}

/// The phone number of an object, as it is dialled in mainland China.
fn phone<'a>(item: &Json<'_>, name: &str) -> Json<'a> {
    let country = python::text(item.get("nation_code"));
    let number = item.get(name);
    if !python::is_true(number) {
        return Json::Null;
    }
    let number = python::text(number);
    let is_foreign = python::is_true(item.get("nation_code")) && country != MAINLAND;
    Json::Text(Cow::Owned(if is_foreign { format!("00{country}{number}") } else { number.into_owned() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapted(body: &str, name: Name) -> String {
        let mut params = Params::from_json(body.as_bytes()).expect("JSON");
        adapt(&mut params);
        python::text(params.get(name)).into_owned()
    }

    #[test]
    fn what_the_esb_has_decoded_is_not_decoded_again() {
        assert_eq!(adapted(r#"{"is_content_base64": true}"#, Name::IsContentBase64), "None");
        let data = r#"{"data": {"message": "m", "is_message_base64": true, "date": null}}"#;
        assert_eq!(adapted(data, Name::Data), "{'message': 'm', 'date': None}");
    }

    #[test]
    fn phones() {
        for (receiver, text) in [
            (r#"[{"telephone": "138"}]"#, "['138']"),
            (r#"[{"nation_code": "86", "telephone": "138"}]"#, "['138']"),
            (r#"[{"nation_code": null, "telephone": 138}]"#, "['138']"),
            (r#"[{"nation_code": "1", "telephone": "2025550100"}]"#, "['0012025550100']"),
            (r#"[{"nation_code": 1}, "a@b.cn"]"#, "[None, 'a@b.cn']"),
            (r#"[{"telephone": 0}]"#, "[None]"),
            (r#""a@b.cn""#, "a@b.cn"),
        ] {
            assert_eq!(adapted(&format!("{{\"receiver\": {receiver}}}"), Name::Receiver), text, "{receiver}");
        }
        let people = r#"{"user_list_information":
            [{"username": "us", "mobile_phone": "2025550100", "nation_code": "1"}, {"username": "a"}, "x"]}"#;
        let mut params = Params::from_json(people.as_bytes()).expect("JSON");
        adapt(&mut params);
        let Json::List(people) = params.get(Name::UserListInformation) else { panic!("a list") };
        assert_eq!(*people[0].get("mobile_phone"), Json::Text("0012025550100".into()));
        assert_eq!((people[1].get("mobile_phone"), &people[2]), (&Json::Null, &Json::Text("x".into())));
    }
}
