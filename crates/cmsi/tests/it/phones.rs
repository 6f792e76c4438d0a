//! Section 8: SMS and voice, in what they take, refuse, store and answer.

use hongyan_core::{limits, setup::ChannelKind};
use serde_json::{Value, json};

use crate::world::{Reply, World, by_app1, msg};

fn world() -> World {
    World::with(|plan| {
        plan.add(ChannelKind::Sms);
        plan.add(ChannelKind::Voice);
    })
}

/// Asserts that a request is refused with `text` and leaves nothing.
async fn refused(component: &str, body: Value, text: &str) -> Reply {
    let world = world();
    let reply = world.post(component, &body).await;
    reply.assert_five_keys();
    assert_eq!((reply.message().as_str(), world.store.count()), (text, 0), "{body}");
    reply
}

fn incorrect(contacts: &str) -> String {
    format!("User message failed to send. The following users contact format are incorrect: {contacts}, please check")
}

#[tokio::test]
async fn an_sms_names_the_first_field_that_is_wrong() {
    let required = "message content [content] This field is required.";
    for content in [json!(null), json!(" "), json!({}), json!("\0")] {
        let receiver = if content == json!("\0") { "138" } else { "" };
        refused("send_sms", by_app1(json!({"content": content, "receiver": receiver})), required).await;
    }
    let no_receiver = "Receiver [receiver, receiver__username] shall not be empty at the same time";
    refused("send_sms", by_app1(json!({"content": "c", "receiver": " ,; "})), no_receiver).await;
    let long = "鸿".repeat(limits::SMS_CHARS_MAX + 1);
    let too_long = "message content [content] Must not be longer than 1000 characters";
    refused("send_sms", by_app1(json!({"content": long, "receiver": "+1"})), too_long).await;
    let longest = by_app1(json!({"content": "鸿".repeat(limits::SMS_CHARS_MAX), "receiver": "138"}));
    assert_eq!(world().post("send_sms", &longest).await.message(), "OK");
    for msg_type in ["sms", "voice"] {
        let body = msg(json!({"msg_type": msg_type, "content": long}));
        refused("send_msg", body, "content [content] Must not be longer than 1000 characters").await;
    }
    for (receiver, wrong) in [
        (json!("138,+86138,1-2"), "+86138,1-2"),
        (json!(["13800000001", 138, null, "１３８", "13８"]), "138,None,１３８,13８"),
        (json!("1234567890123456"), "1234567890123456"),
        (json!("0,000"), "0,000"),
    ] {
        refused("send_sms", by_app1(json!({"content": "c", "receiver": receiver})), &incorrect(wrong)).await;
    }
}

#[tokio::test]
async fn an_sms_goes_to_numbers_of_the_mainland_or_of_people_anywhere() {
    let world = world();
    for (fields, reached) in [
        (json!({"receiver": "138;13800000001 8613800000001"}), vec!["+86138", "+8613800000001"]),
        (json!({"receiver": 13_900_000_000_i64}), vec!["+8613900000000"]),
        (json!({"receiver__username": "admin,us"}), vec!["+8613800000001", "+12025550100"]),
        (json!({"receiver": "138", "receiver__username": "nobody"}), vec!["+86138"]),
    ] {
        let mut body = by_app1(json!({"content": "5L2g5aW9", "is_content_base64": true}));
        body.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
        let reply = world.post("send_sms", &body).await;
        let data = json!({"detail": [], "errmsg": "OK", "ext": "", "result": 0, "username_check": {"invalid": []}});
        assert_eq!((reply.message().as_str(), &reply.json()["data"]), ("OK", &data));
        let (text, numbers) = world.store.last_text();
        assert_eq!((text.as_str(), numbers), ("你好", reached.iter().map(|n| (*n).to_owned()).collect()));
    }
    world.store.refuse("+12025550100");
    let to = |users: &str| by_app1(json!({"content": "c", "receiver__username": users}));
    let some = world.post("send_sms", &to("admin,us,nobody,nomail")).await;
    let why = "The following users are not blueking users: nobody;\
               The following users contact format are incorrect: nomail;The following users were refused: us";
    assert_eq!(some.message(), format!("Some users failed to send sms. {why}"));
    assert_eq!(some.json()["data"], json!({"username_check": {"invalid": ["us", "nobody", "nomail"]}}));
    let all = world.post("send_sms", &to("us,nobody")).await;
    assert_eq!((all.message().as_str(), all.invalid()), ("Failed to send sms", json!(["us", "nobody"])));
    let by_msg =
        world.post("send_msg", &msg(json!({"msg_type": "sms", "content": "aGk=", "is_content_base64": 1}))).await;
    assert_eq!((by_msg.message().as_str(), world.store.last_text().0.as_str()), ("OK", "hi"));
}

#[tokio::test]
async fn a_voice_message_names_the_first_field_that_is_wrong() {
    let with = |fields: Value| {
        let mut body = by_app1(json!({"auto_read_message": "m"}));
        body.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
        body
    };
    let list = |items: Value| with(json!({"user_list_information": items, "receiver__username": "admin"}));
    let required = "auto voice reading info [auto_read_message] This field is required.";
    refused("send_voice_msg", by_app1(json!({"user_list_information": "x"})), required).await;
    let long = "x".repeat(limits::SMS_CHARS_MAX + 1);
    let too_long = "auto voice reading info [auto_read_message] Must not be longer than 1000 characters";
    for to in [json!({"receiver__username": "admin"}), json!({"user_list_information": [{"username": "admin"}]})] {
        let mut body = with(to);
        body["auto_read_message"] = json!(long);
        refused("send_voice_msg", body, too_long).await;
    }
    let no_receiver =
        "The parameters [user_list_information and receiver__username] shall not be empty at the same time";
    for empty in [json!({}), json!({"user_list_information": [{}, null]}), json!({"receiver__username": " "})] {
        refused("send_voice_msg", with(empty), no_receiver).await;
    }
    let digits = "Mobile phone [mobile_phone] of the person notified must be a number";
    for (items, text) in [
        (json!("admin"), "user list [user_list_information] Must be the specified parameter data type list"),
        (json!(["admin"]), "user list [user_list_information] Must be the specified parameter data type dict"),
        (json!([{"username": "admin"}, {"mobile_phone": "1"}]), "person notified [username] This field is required."),
        (json!([{"username": "admin", "mobile_phone": "+86138"}]), digits),
        (json!([{"username": "admin", "mobile_phone": "１３８"}]), digits),
        (
            json!([{"username": "u", "mobile_phone": "1234567890123456"}, {"username": "a\u{1}b"}]),
            &incorrect("1234567890123456,a\u{1}b"),
        ),
        (json!([{"username": "admin", "mobile_phone": "0"}]), &incorrect("0")),
    ] {
        refused("send_voice_msg", list(items), text).await;
    }
    let all = with(json!({"receiver__username": "nobody,nomail"}));
    let why = "The following users are not blueking users: nobody;\
               The following users contact format are incorrect: nomail";
    let reply = refused("send_voice_msg", all, &format!("All users contact information failed to get, {why}")).await;
    assert_eq!(reply.invalid(), json!(["nobody", "nomail"]));
}

/// The usernames of a list of calls.
fn names(reply: &Reply, list: &str) -> Vec<String> {
    let calls = reply.json()["data"][list].as_array().expect("a list").clone();
    calls.iter().map(|call| call["username"].as_str().expect("a text").to_owned()).collect()
}

#[tokio::test]
async fn every_call_is_told() {
    let world = world();
    let people = json!([
        {"username": "admin", "mobile_phone": 13_900_000_000_i64}, {"username": "us"}, {"username": "stranger", "mobile_phone": "139"},
    ]);
    let body = by_app1(json!({
        "auto_read_message": "aGk=", "user_list_information": people, "receiver__username": "nobody",
        "is_content_base64": true,
    }));
    let reply = world.post("send_voice_msg", &body).await;
    let call = |username: &str, phone: &str, country: &str| {
        json!({
            "username": username, "mobile_phone": phone, "nation_code": country, "result": 0, "errmsg": "OK",
            "callid": "", "ext": "",
        })
    };
    let calls = [call("admin", "13900000000", "86"), call("us", "2025550100", "1"), call("stranger", "139", "86")];
    let data = json!({"successed": calls, "failed": [], "username_check": {"invalid": []}});
    assert_eq!((reply.message().as_str(), &reply.json()["data"]), ("OK", &data));
    let (text, reached) = world.store.last_text();
    assert_eq!(text, "aGk=", "read out as it comes");
    assert_eq!(reached, ["+8613900000000", "+12025550100", "+86139"]);

    world.store.refuse("+12025550100");
    let to = |users: &str| msg(json!({"msg_type": "voice", "content": "c", "receiver__username": users}));
    let some = world.post("send_msg", &to("admin,us,nobody")).await;
    let why = "The following users are not blueking users: nobody;The following users were refused: us";
    assert_eq!(some.message(), format!("Some users failed to send voice. {why}"));
    assert_eq!((names(&some, "successed"), names(&some, "failed")), (vec!["admin".into()], vec!["us".into()]));
    assert_eq!(some.invalid(), json!(["us", "nobody"]));
    let all = world.post("send_msg", &to("us")).await;
    assert_eq!((all.message().as_str(), names(&all, "failed")), ("Failed to send voice", vec!["us".into()]));
    assert_eq!((names(&all, "successed").len(), all.invalid()), (0, json!(["us"])));
    // What is still to come counts as made.
    let later = World::with(|plan| {
        plan.add(ChannelKind::Voice);
        plan.settings.cmsi_wait = std::time::Duration::ZERO;
    });
    later.store.stop_delivering();
    let reply = later.post("send_msg", &to("admin")).await;
    assert_eq!((reply.message().as_str(), names(&reply, "successed")), ("OK", vec!["admin".into()]));
}

#[tokio::test]
async fn a_person_with_two_numbers_is_told_of_each() {
    let world = world();
    world.store.refuse("+8613800000011");
    let people = json!([
        {"username": "zhao", "mobile_phone": "13800000010"}, {"username": "zhao", "mobile_phone": "13800000011"},
        {"username": "qian", "mobile_phone": "13800000010"}, {"username": "sun", "mobile_phone": "13800000011"},
    ]);
    let body = by_app1(json!({"auto_read_message": "m", "user_list_information": people}));
    let reply = world.post("send_voice_msg", &body).await;
    let calls = |list: &str| -> Vec<Value> {
        let calls = reply.json()["data"][list].as_array().expect("a list").clone();
        calls.iter().map(|call| json!([call["username"], call["mobile_phone"]])).collect()
    };
    assert_eq!(calls("successed"), [json!(["zhao", "13800000010"]), json!(["qian", "13800000010"])]);
    assert_eq!(calls("failed"), [json!(["zhao", "13800000011"]), json!(["sun", "13800000011"])]);
    assert_eq!(reply.invalid(), json!(["zhao", "sun"]));
    assert_eq!(reply.message(), "Some users failed to send voice. The following users were refused: zhao,sun");
    assert_eq!(world.store.last_text().1, ["+8613800000010", "+8613800000011"], "nobody is called twice");
}

#[tokio::test]
async fn the_number_0_is_none_and_the_directory_is_asked() {
    let world = world();
    let people = json!([{"username": "admin", "mobile_phone": 0}]);
    let body = by_app1(json!({"auto_read_message": "m", "user_list_information": people}));
    assert_eq!(world.post("send_voice_msg", &body).await.message(), "OK");
    assert_eq!(world.store.last_text().1, ["+8613800000001"]);
}
