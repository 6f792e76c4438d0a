//! Requests of the push platform, and what tests look up of their messages.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    PATIENCE,
    server::{CAPTURE, Server},
    wait_for,
};

/// A plan with the apps `a` and `b` (secrets `sa` and `sb`, whose code alone is enough), the people `u1` and `u2`, the channels
/// 1001 (SMS) and 1003 (mail), both captured, and `more`.
pub fn plan(more: &str) -> String {
    let app = |code: &str| {
        format!("[[app]]\ncode = \"{code}\"\nsecret = \"s{code}\"\nrequire_signature = false\nbroadcast = true\n")
    };
    let user =
        |n: u8| format!("[[user]]\ncode = \"u{n}\"\nemail = \"u{n}@example.com\"\nphone = \"+861380000000{n}\"\n");
    let channel = |code: &str, kind: &str| {
        format!("[[channel]]\ncode = \"{code}\"\nkind = \"{kind}\"\nproviders = [\"capture\"]\n")
    };
    let provider = format!("[[provider]]\ncode = \"capture\"\n{CAPTURE}\n");
    let (apps, users) = (app("a") + &app("b"), user(1) + &user(2));
    apps + &users + &provider + &channel("1001", "sms") + &channel("1003", "mail") + more
}

/// A moment so many milliseconds from now, as `sendTime`.
pub fn in_ms(ms: i64) -> i64 {
    Timestamp::now().as_millisecond() + ms
}

/// What a request of `app` to `u1` is answered, with these fields besides.
pub fn push(server: &Server, call: &str, app: &str, fields: Value) -> Value {
    let mut body = json!({ "appId": app, "receiverType": "specified", "receiverData": { "user": ["u1"] } });
    let given = fields.as_object().expect("an object").clone();
    body.as_object_mut().expect("an object").extend(given);
    let reply = server.post(&format!("/api/openApi/message/push/{call}"), &body);
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()
}

/// The id of the message that a request was answered with.
pub fn accepted(reply: &Value) -> String {
    assert_eq!(reply["code"], 200, "{reply}");
    reply["msgId"].as_str().unwrap_or_else(|| panic!("no msgId in {reply}")).to_owned()
}

/// A message as it stands.
pub fn message(server: &Server, id: &str) -> Value {
    server.get(&format!("/v1/messages/{id}")).json()
}

/// A message once each of its deliveries, of which there are some, has this state.
pub fn wait_until(server: &Server, id: &str, state: &str) -> Value {
    wait_for(&format!("{state} of {id}"), PATIENCE, || {
        let message = message(server, id);
        let deliveries = message["deliveries"].as_array().expect("deliveries");
        let all = !deliveries.is_empty() && deliveries.iter().all(|delivery| delivery["state"] == state);
        (all && message["state"] == "expanded").then_some(message)
    })
}

/// What was captured of a message: to whom, and the text.
pub fn captured(server: &Server, id: &str) -> Vec<(Vec<String>, String)> {
    let captures = server.get("/v1/captures?limit=1000").json();
    let of = captures["captures"].as_array().expect("captures").iter().filter(|capture| capture["message"] == id);
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let to = |capture: &Value| capture["recipients"].as_array().expect("recipients").iter().map(text).collect();
    of.map(|capture| (to(capture), text(&capture["body"]))).collect()
}
