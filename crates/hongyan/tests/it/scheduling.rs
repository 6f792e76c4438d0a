//! Messages that wait for their time, from outside: never early, whatever happens to the node; cancelled and sent now, one or all
//! that are meant, by administrators, by apps and by the command.

use std::process::{Command, Output};

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::support::{
    PATIENCE,
    client::{self, Reply},
    place::{Place, on_both_stores},
    push::{accepted, captured, in_ms, message, plan, push, wait_until},
    server::{Server, binary},
    wait_for,
};

on_both_stores!(
    nothing_fires_early_and_a_restart_forgets_nothing,
    one_is_cancelled_and_another_sent_now,
    all_that_are_meant_are_cancelled_or_sent_and_counted,
    an_app_looks_after_its_own,
    messages_are_found_by_what_they_are_about,
    the_command_counts_with_a_node_and_without,
);

/// A message of `app` on this channel, an hour from now.
fn later(server: &Server, app: &str, channel: &str) -> String {
    let content = json!({ "title": "t", "content": format!("on {channel}") });
    let content = if channel == "1003" { content } else { json!({ "content": content["content"] }) };
    accepted(&push(
        server,
        "channel",
        app,
        json!({ "channelData": { channel: content }, "sendTime": in_ms(3_600_000) }),
    ))
}

/// A message of `app` by the template `T`, an hour from now.
fn later_by_template(server: &Server, app: &str) -> String {
    let fields = json!({ "templateCode": "T", "channelParamData": {}, "sendTime": in_ms(3_600_000) });
    accepted(&push(server, "template", app, fields))
}

const TEMPLATE: &str = r#"
[[template]]
code = "T"
[template.content."1001"]
content = "by template"
[template.content."1003"]
content = "by template"
"#;

fn administer(server: &Server, path: &str, body: &Value) -> Reply {
    server.administer("POST", &format!("/v1/messages/{path}"), body)
}

/// The ids of what waits, as `/v1/messages/scheduled` lists them with this query.
fn waiting(server: &Server, query: &str) -> Vec<String> {
    ids(&server.get(&format!("/v1/messages/scheduled{query}")))
}

fn ids(reply: &Reply) -> Vec<String> {
    let page = reply.json();
    let messages = page["messages"].as_array().unwrap_or_else(|| panic!("no list in {reply:?}"));
    messages.iter().map(|message| message["id"].as_str().expect("an id").to_owned()).collect()
}

fn moment(value: &Value) -> Timestamp {
    value.as_str().expect("a moment").parse().expect("RFC 3339")
}

fn nothing_fires_early_and_a_restart_forgets_nothing(mut place: Place) {
    let plan = plan("");
    let server = place.start(&plan);
    let due = in_ms(4_000);
    let content = json!({ "1001": { "content": "c" }, "1003": { "content": "c" } });
    let people = json!({ "user": ["u1", "u2"] });
    let fields = json!({ "channelData": content, "receiverData": people, "sendTime": due, "businessId": "b-1" });
    let id = accepted(&push(&server, "channel", "a", fields));
    let shown = message(&server, &id);
    assert_eq!(
        (&shown["state"], &shown["deliveries"], &shown["businessId"]),
        (&json!("scheduled"), &json!([]), &json!("b-1"))
    );
    assert_eq!(moment(&shown["due"]).as_millisecond(), due);
    let listed = server.get("/v1/messages/scheduled").json()["messages"][0].clone();
    assert_eq!(
        (&listed["id"], &listed["due"], &listed["channels"]),
        (&json!(id), &shown["due"], &json!(["1001", "1003"]))
    );
    server.kill();

    let server = place.start(&plan);
    let sent = wait_until(&server, &id, "accepted");
    let deliveries = sent["deliveries"].as_array().expect("deliveries");
    let mut reached: Vec<_> = deliveries
        .iter()
        .map(|delivery| {
            let started = moment(&delivery["attempts"][0]["started"]).as_millisecond();
            assert!(started >= due, "{} ms too early: {delivery}", due - started);
            (delivery["channel"].as_str().expect("a channel"), delivery["recipient"].as_str().expect("a recipient"))
        })
        .collect();
    reached.sort_unstable();
    assert_eq!(reached, [("1001", "u1"), ("1001", "u2"), ("1003", "u1"), ("1003", "u2")]);
    assert_eq!((&sent["state"], &sent["due"]), (&json!("expanded"), &Value::Null));
    let to: usize = captured(&server, &id).iter().map(|(to, _)| to.len()).sum();
    assert_eq!(to, 4, "each once");
    assert_eq!(waiting(&server, ""), [""; 0]);
}

fn one_is_cancelled_and_another_sent_now(mut place: Place) {
    let server = place.start(&plan(""));
    let (cancelled, sent) = (later(&server, "a", "1003"), later(&server, "a", "1003"));
    let reply = administer(&server, &format!("{cancelled}/cancel"), &json!({}));
    assert_eq!(reply.json(), json!({ "id": cancelled, "deliveries": 0, "unexpanded": true }));
    assert_eq!(administer(&server, &format!("{sent}/send-now"), &json!({})).json(), json!({ "id": sent }));
    wait_until(&server, &sent, "accepted");
    assert_eq!(message(&server, &cancelled)["deliveries"], json!([]));
    assert_eq!(captured(&server, &sent).len(), 1);
    for (path, status) in [
        (format!("{cancelled}/cancel"), 409),
        (format!("{cancelled}/send-now"), 409),
        (format!("{sent}/send-now"), 409),
        ("1/cancel".to_owned(), 404),
        ("1/send-now".to_owned(), 404),
        ("x/cancel".to_owned(), 400),
    ] {
        assert_eq!(administer(&server, &path, &json!({})).status, status, "{path}");
    }
    assert_eq!(waiting(&server, ""), [""; 0]);
    assert_eq!(captured(&server, &cancelled).len(), 0);
}

fn all_that_are_meant_are_cancelled_or_sent_and_counted(mut place: Place) {
    let server = place.start(&plan(TEMPLATE));
    let by_template: Vec<_> = (0..3).map(|_| later_by_template(&server, "a")).collect();
    let mails: Vec<_> = (0..2).map(|_| later(&server, "b", "1003")).collect();
    let texts: Vec<_> = (0..2).map(|_| later(&server, "a", "1001")).collect();
    let all: Vec<_> = by_template.iter().chain(&mails).chain(&texts).cloned().collect();
    assert_eq!(waiting(&server, ""), all, "the first to come first");
    assert_eq!(waiting(&server, "?app=b"), mails);
    assert_eq!(waiting(&server, "?channel=1001"), [&by_template[..], &texts].concat());
    assert_eq!(waiting(&server, "?template=T&app=b"), [""; 0]);
    let mut walked = Vec::new();
    let mut query = "?limit=3".to_owned();
    loop {
        let page = server.get(&format!("/v1/messages/scheduled{query}"));
        walked.extend(ids(&page));
        match page.json()["next"].as_str() {
            Some(next) => query = format!("?limit=3&after={next}"),
            None => break,
        }
    }
    assert_eq!(walked, all, "in pages");

    for (body, status) in [
        (json!({}), 400),
        (json!({ "id": "1" }), 400),
        (json!({ "app": "nobody" }), 404),
        (json!({ "channel": "9" }), 404),
    ] {
        for deed in ["cancel", "send-now"] {
            assert_eq!(administer(&server, deed, &body).status, status, "{deed} {body}");
        }
    }
    assert_eq!(waiting(&server, "").len(), all.len(), "what is refused does nothing");

    let count = |deed: &str, body: Value| administer(&server, deed, &body).json();
    assert_eq!(count("cancel", json!({ "template": "T", "app": "b" })), json!({ "matched": 0, "cancelled": 0 }));
    assert_eq!(count("cancel", json!({ "template": "T" })), json!({ "matched": 3, "cancelled": 3 }));
    assert_eq!(count("cancel", json!({ "template": "T" })), json!({ "matched": 0, "cancelled": 0 }));
    assert_eq!(count("send-now", json!({ "app": "b", "channel": "1003" })), json!({ "matched": 2, "hastened": 2 }));
    for id in &mails {
        wait_until(&server, id, "accepted");
    }
    assert_eq!(waiting(&server, ""), texts, "the others still wait");
    for id in by_template.iter().chain(&texts) {
        assert_eq!(captured(&server, id).len(), 0);
    }
}

fn an_app_looks_after_its_own(mut place: Place) {
    let server = place.start(&plan(""));
    let (own, other) = (later(&server, "a", "1003"), later(&server, "b", "1003"));
    let by = |credentials: &str, method: &str, path: &str, body: Value| {
        let basic = format!("Basic {}", STANDARD.encode(credentials));
        let path = format!("/v1/messages{path}");
        client::request(server.address, method, &path, &[("Authorization", &basic)], body.to_string().as_bytes())
    };
    assert_eq!(ids(&by("a:sa", "GET", "/scheduled", json!({}))), [own.as_str()]);
    assert_eq!(by("a:wrong", "GET", "/scheduled", json!({})).status, 401);
    assert_eq!(by("a:sa", "GET", "/scheduled?app=b", json!({})).status, 400);
    for path in [format!("/{other}/cancel"), format!("/{other}/send-now")] {
        assert_eq!(by("a:sa", "POST", &path, json!({})).status, 404, "{path}");
    }
    assert_eq!(by("a:sa", "GET", &format!("/{other}"), json!({})).status, 404);
    assert_eq!(by("a:sa", "POST", "/cancel", json!({})).status, 400, "not without a word");
    assert_eq!(by("a:sa", "POST", "/cancel", json!({ "app": "b" })).status, 400);
    let sent = by("a:sa", "POST", "/send-now", json!({ "channel": "1003" }));
    assert_eq!(sent.json(), json!({ "matched": 1, "hastened": 1 }));
    wait_until(&server, &own, "accepted");
    let shown = by("a:sa", "GET", &format!("/{own}"), json!({})).json();
    assert_eq!(
        (&shown["deliveries"][0]["recipient"], &shown["deliveries"][0]["address"]),
        (&json!("u1"), &Value::Null)
    );
    assert_eq!(message(&server, &own)["deliveries"][0]["address"], "u1@example.com");
    assert_eq!(waiting(&server, ""), [other]);
    let token = [("Authorization", "Basic YTpzYQ==")];
    assert_eq!(client::request(server.address, "GET", "/v1/captures", &token, b"").status, 401, "nothing but messages");
}

fn messages_are_found_by_what_they_are_about(mut place: Place) {
    let server = place.start(&plan(""));
    let send = |app: &str, business: &str| {
        let fields = json!({ "channelData": { "1003": { "content": "c" } }, "businessId": business, "msgType": "reminder",
                             "senderCode": "zs", "senderName": "张三" });
        accepted(&push(&server, "channel", app, fields))
    };
    let mut own: Vec<_> = (0..3).map(|_| send("a", "order 1")).collect();
    let (_, _) = (send("a", "order 2"), send("b", "order 1"));
    own.reverse();
    let find = |query: &str| server.get(&format!("/v1/messages?{query}"));
    assert_eq!(ids(&find("app=a&businessId=order%201")), own, "the newest first");
    let page = find("app=a&businessId=order%201&limit=2");
    assert_eq!(ids(&page), own[..2]);
    let next = page.json()["next"].as_str().expect("there is more").to_owned();
    assert_eq!(ids(&find(&format!("app=a&businessId=order%201&limit=2&before={next}"))), own[2..]);
    assert_eq!(ids(&find("app=a&businessId=none")), [""; 0]);
    assert_eq!(find("businessId=order%201").status, 400);
    let shown = wait_until(&server, &own[0], "accepted");
    let label =
        ["businessId", "msgType", "senderCode", "senderName"].map(|key| shown[key].as_str().unwrap_or_default());
    assert_eq!(label, ["order 1", "reminder", "zs", "张三"]);
}

fn the_command_counts_with_a_node_and_without(mut place: Place) {
    let server = place.start(&plan(TEMPLATE));
    let config = place.config();
    let run = |server: Option<&Server>, arguments: &[&str]| -> Output {
        let mut command = Command::new(binary());
        command.arg("messages").args(arguments).arg("--config").arg(&config);
        if let Some(server) = server {
            command.arg("--server").arg(server.address.to_string());
        }
        command.output().expect("it runs")
    };
    let done = |output: Output| -> String {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    let (first, second) = (later(&server, "a", "1003"), later_by_template(&server, "a"));
    let (third, fourth) = (later(&server, "b", "1003"), later(&server, "b", "1001"));
    let listed = done(run(Some(&server), &["scheduled", "--app", "a"]));
    let rows: Vec<Vec<&str>> = listed.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows.len(), 3, "{listed}");
    assert_eq!((rows[1][0], rows[1][3], rows[2][0], rows[2][4]), (first.as_str(), "1003", second.as_str(), "T"));
    assert_eq!(done(run(Some(&server), &["cancel", &first])), format!("id {first}\ndeliveries 0\nunexpanded true\n"));
    let again = run(Some(&server), &["cancel", &first]);
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("waits any more"));
    assert_eq!(done(run(Some(&server), &["cancel", "--template", "T"])), "matched 1\ncancelled 1\n");
    assert_eq!(done(run(Some(&server), &["send-now", "--app", "b", "--channel", "1001"])), "matched 1\nhastened 1\n");
    wait_until(&server, &fourth, "accepted");
    assert_eq!(run(Some(&server), &["cancel"]).status.code(), Some(2), "it says which");

    assert!(server.terminate().success());
    let json: Value = serde_json::from_str(&done(run(None, &["scheduled", "--json"]))).expect("JSON");
    assert_eq!(json[0]["id"], third.as_str());
    assert_eq!(done(run(None, &["send-now", &third])), format!("id {third}\n"));
    let server = place.start(&plan(TEMPLATE));
    wait_for("it to be sent", PATIENCE, || (captured(&server, &third).len() == 1).then_some(()));
    assert_eq!(captured(&server, &first).len() + captured(&server, &second).len(), 0, "what is cancelled stays so");
}
