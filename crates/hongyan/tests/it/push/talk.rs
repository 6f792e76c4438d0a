//! How the tests of the push platform declare what they need and ask what became of it.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::support::{
    PATIENCE,
    client::{self, Reply},
    push::message,
    server::Server,
    wait_for,
};

pub const CHANNEL: &str = "/api/openApi/message/push/channel";
pub const TEMPLATE: &str = "/api/openApi/message/push/template";

/// An app whose code alone is enough, with the secret `s` and these keys besides.
pub fn app(code: &str, keys: &str) -> String {
    format!("[[app]]\ncode = \"{code}\"\nsecret = \"s\"\nrequire_signature = false\n{keys}\n")
}

/// A provider with these keys.
pub fn provider(code: &str, keys: &str) -> String {
    format!("[[provider]]\ncode = \"{code}\"\n{keys}\n")
}

/// A channel of one provider.
pub fn channel(code: &str, kind: &str, provider: &str) -> String {
    format!("[[channel]]\ncode = \"{code}\"\nkind = \"{kind}\"\nproviders = [\"{provider}\"]\n")
}

/// The channel 1002 with the in-app inbox behind it.
pub fn inbox_channel() -> String {
    provider("inbox", "kind = \"inbox\"") + &channel("1002", "inbox", "inbox")
}

/// A person with these keys.
pub fn person(code: &str, keys: &str) -> String {
    format!("[[user]]\ncode = \"{code}\"\n{keys}\n")
}

/// A call with these headers, the body as it is.
pub fn call(server: &Server, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
    client::request(server.address, "POST", path, headers, body.as_bytes())
}

/// What `code` and `msg` a reply has.
pub fn said(reply: &Reply) -> (i64, String) {
    let body = reply.json();
    assert_eq!(body.get("msgId").is_some(), body["code"] == 200, "{body}");
    (body["code"].as_i64().expect("a number"), body["msg"].as_str().expect("a text").to_owned())
}

/// A message once everybody is found and nothing of it is on its way any more.
pub fn settled(server: &Server, id: &str) -> Value {
    wait_for(&format!("all of {id}"), PATIENCE, || {
        let message = message(server, id);
        let is_open = |delivery: &Value| ["ready", "leased", "sending"].contains(&text(&delivery["state"]));
        (message["state"] == "expanded" && !deliveries(&message).iter().any(is_open)).then_some(message)
    })
}

pub fn deliveries(message: &Value) -> &[Value] {
    message["deliveries"].as_array().unwrap_or_else(|| panic!("no deliveries in {message}"))
}

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Who of a message stands how on a channel, with the reason if there is one.
pub fn states<'a>(message: &'a Value, channel: &str) -> BTreeMap<&'a str, (&'a str, &'a str)> {
    let on = deliveries(message).iter().filter(|delivery| delivery["channel"] == channel);
    let mut found = BTreeMap::new();
    for delivery in on {
        let state = (text(&delivery["state"]), text(&delivery["reason"]));
        let twice = found.insert(text(&delivery["recipient"]), state);
        assert_eq!(twice, None, "{} is there twice on {channel}", delivery["recipient"]);
    }
    found
}

/// What an app is answered about the inbox of one of its people.
pub fn ask_inbox(server: &Server, by: (&str, &str), path: &str, user: &str) -> Reply {
    let basic = format!("Basic {}", STANDARD.encode(format!("{}:{}", by.0, by.1)));
    let path = format!("/v1/inbox{path}?user={user}");
    client::request(server.address, "GET", &path, &[("Authorization", &basic)], b"")
}

/// What a person finds in the inbox of what this app sent, the newest first.
pub fn inbox(server: &Server, by: (&str, &str), user: &str) -> Vec<Value> {
    let reply = ask_inbox(server, by, "", user);
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()["items"].as_array().expect("items").clone()
}

/// How many items of this app's a person has not read.
pub fn unread(server: &Server, by: (&str, &str), user: &str) -> u64 {
    let reply = ask_inbox(server, by, "/unread", user).json();
    assert_eq!(reply["more"], false, "{reply}");
    reply["unread"].as_u64().unwrap_or_else(|| panic!("no number in {reply}"))
}

/// A mail that says `content`, on the channel 1003.
pub fn mail(content: &str) -> Value {
    json!({ "1003": { "title": "t", "content": content } })
}
