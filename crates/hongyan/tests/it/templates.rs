//! Templates from outside: declared by plans, kept over `/v1`, used by the push platform; what was accepted keeps what it says.

use std::thread;

use serde_json::{Value, json};

use crate::support::{
    PATIENCE,
    client::{self, Reply},
    place::{Place, on_both_stores},
    push::{accepted, captured, in_ms, message, plan, push, wait_until},
    server::{ADMIN, Server},
    wait_for,
};

on_both_stores!(
    a_queued_message_keeps_what_its_template_said,
    a_template_is_put_changed_and_removed,
    of_changes_at_once_each_has_a_version_of_its_own,
    what_is_wrong_with_a_template_is_said,
    only_an_enabled_template_sends,
    a_preview_shows_each_channel,
    plans_declare_templates_and_keep_count_of_their_versions,
);

const TEMPLATE: &str = r#"
[[template]]
code = "T"
[template.content."1003"]
title = "For ${name}"
content = "<p>first ${name}</p>"
"#;

fn put(server: &Server, code: &str, body: &Value) -> Reply {
    server.administer("PUT", &format!("/v1/templates/{code}"), body)
}

/// Sends by a template, and answers what is answered.
fn send(server: &Server, fields: Value) -> Value {
    let mut body = json!({ "templateCode": "T", "channelParamData": { "name": "N" } });
    body.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
    push(server, "template", "a", body)
}

/// The template, put so that it says this, once the node has heard of it: requests are checked against what the node knows.
fn say(server: &Server, content: &str) -> u64 {
    let reply = put(server, "T", &json!({ "content": { "1003": { "title": "t", "content": content } } }));
    assert_eq!(reply.status, 200, "{reply:?}");
    let version = reply.json()["version"].as_u64().expect("a version");
    wait_for("the node to hear of the template", PATIENCE, || {
        let id = accepted(&send(server, json!({ "sendTime": in_ms(3_600_000) })));
        let is_known = message(server, &id)["template"]["version"] == version;
        let cancelled = server.administer("POST", &format!("/v1/messages/{id}/cancel"), &json!({}));
        assert_eq!(cancelled.status, 200, "{cancelled:?}");
        is_known.then_some(version)
    })
}

fn a_queued_message_keeps_what_its_template_said(mut place: Place) {
    let server = place.start(&plan(TEMPLATE));
    let waiting = accepted(&send(&server, json!({ "sendTime": in_ms(3_600_000) })));
    assert_eq!(message(&server, &waiting)["template"], json!({ "code": "T", "version": 1 }));
    assert_eq!(say(&server, "<p>second ${name}</p>"), 2);
    let fresh = accepted(&send(&server, json!({})));
    let disabled = server.administer("POST", "/v1/templates/T/disable", &json!({}));
    assert_eq!(disabled.json()["enabled"], false, "{disabled:?}");
    assert_eq!(wait_until(&server, &fresh, "accepted")["template"]["version"], 2);
    let sent = server.administer("POST", &format!("/v1/messages/{waiting}/send-now"), &json!({}));
    assert_eq!(sent.status, 200, "{sent:?}");
    assert_eq!(wait_until(&server, &waiting, "accepted")["template"]["version"], 1);
    let says = |id: &str| captured(&server, id).into_iter().map(|(_, text)| text).collect::<String>();
    assert!(says(&waiting).contains("first N") && !says(&waiting).contains("second"), "{}", says(&waiting));
    assert!(says(&fresh).contains("second N") && !says(&fresh).contains("first"), "{}", says(&fresh));
}

fn a_template_is_put_changed_and_removed(mut place: Place) {
    let server = place.start(&plan(""));
    let says = |text: &str, name: &str| json!({ "name": name, "content": { "1003": { "content": text } } });
    for code in ["B", "A", "患者/1"] {
        let path = code.replace('/', "%2F").replace("患者", "%E6%82%A3%E8%80%85");
        let reply = put(&server, &path, &says("${x} ${y}", ""));
        assert_eq!(reply.status, 200, "{reply:?}");
        let shown = reply.json();
        assert_eq!((&shown["code"], &shown["version"], &shown["enabled"]), (&json!(code), &json!(1), &json!(true)));
        assert_eq!(shown["variables"], json!(["x", "y"]));
    }
    let page = server.get("/v1/templates?limit=2").json();
    let codes = |page: &Value| -> Vec<String> {
        let templates = page["templates"].as_array().expect("a list").iter();
        templates.map(|template| template["code"].as_str().expect("a code").to_owned()).collect()
    };
    assert_eq!((codes(&page), &page["next"]), (vec!["A".to_owned(), "B".to_owned()], &json!("B")));
    let rest = server.get("/v1/templates?limit=2&after=B").json();
    assert_eq!((codes(&rest), &rest["next"]), (vec!["患者/1".to_owned()], &Value::Null));

    assert_eq!(put(&server, "A", &says("${x} ${y}", "named")).json()["version"], 1, "a name is not what it says");
    assert_eq!(put(&server, "A", &says("${x}", "named")).json()["version"], 2);
    let token = format!("Bearer {ADMIN}");
    let at = |method: &str, version: &str| {
        let headers = [("Authorization", token.as_str()), ("If-Match", version)];
        client::request(server.address, method, "/v1/templates/A", &headers, says("z", "").to_string().as_bytes())
    };
    assert_eq!(at("PUT", "\"1\"").status, 412);
    assert_eq!(server.get("/v1/templates/A").json()["content"]["1003"]["content"], "${x}");
    assert_eq!(at("PUT", "\"2\"").json()["version"], 3);
    assert_eq!(at("DELETE", "\"2\"").status, 412);
    assert_eq!(at("DELETE", "\"3\"").status, 204);
    assert_eq!(server.get("/v1/templates/A").status, 404);
    assert_eq!(server.administer("DELETE", "/v1/templates/A", &json!({})).status, 404);
    assert_eq!(server.administer("POST", "/v1/templates/A/enable", &json!({})).status, 404);
    assert_eq!(client::request(server.address, "GET", "/v1/templates", &[], b"").status, 401);
}

fn of_changes_at_once_each_has_a_version_of_its_own(mut place: Place) {
    let server = place.start(&plan(""));
    let mut versions: Vec<u64> = thread::scope(|scope| {
        let write = |n: usize| {
            let server = &server;
            scope.spawn(move || {
                let reply = put(server, "T", &json!({ "content": { "1003": { "content": format!("text {n}") } } }));
                assert_eq!(reply.status, 200, "{reply:?}");
                reply.json()["version"].as_u64().expect("a version")
            })
        };
        let writers: Vec<_> = (0..8).map(write).collect();
        writers.into_iter().map(|writer| writer.join().expect("answered")).collect()
    });
    versions.sort_unstable();
    assert_eq!(versions, (1..=8).collect::<Vec<u64>>());
}

fn what_is_wrong_with_a_template_is_said(mut place: Place) {
    let server = place.start(&plan(""));
    for (body, words) in [
        (json!({}), "it says nothing on any channel"),
        (json!({ "content": { "9": { "content": "x" } } }), "channel \"9\" is not declared"),
        (json!({ "content": { "1003": { "content": "${a b}" } } }), "\"${a b}\" is no variable"),
        (json!({ "content": { "1003": { "content": "x", "sign": "y" } } }), "sign and sms_template are of sms alone"),
        (json!({ "content": { "1003": { "text": "x" } } }), "unknown field `text`"),
        (json!("x"), "the body"),
    ] {
        let reply = put(&server, "T", &body);
        assert_eq!(reply.status, 400, "{reply:?}");
        assert!(reply.json()["detail"].as_str().is_some_and(|detail| detail.contains(words)), "{words}: {reply:?}");
    }
    assert_eq!(put(&server, "%20", &json!({ "content": { "1003": { "content": "x" } } })).status, 400);
    assert_eq!(server.get("/v1/templates").json()["templates"], json!([]), "and nothing is kept");
}

fn only_an_enabled_template_sends(mut place: Place) {
    let server = place.start(&plan(TEMPLATE));
    let unknown = send(&server, json!({ "templateCode": "U" }));
    assert_eq!(unknown["code"], 404, "{unknown}");
    let missing = send(&server, json!({ "channelParamData": { "other": "x" } }));
    assert_eq!(missing["code"], 400, "{missing}");
    assert!(missing["msg"].as_str().is_some_and(|msg| msg.contains("name")), "{missing}");
    let extra = send(&server, json!({ "channelParamData": { "name": "N", "other": "x" } }));
    accepted(&extra);

    let set = |deed: &str| server.administer("POST", &format!("/v1/templates/T/{deed}"), &json!({})).json();
    assert_eq!((&set("disable")["enabled"], &set("disable")["version"]), (&json!(false), &json!(1)));
    let refused = wait_for("the node to hear of it", PATIENCE, || {
        let reply = send(&server, json!({}));
        (reply["code"] != 200).then_some(reply)
    });
    assert_eq!((&refused["code"], &refused["msgId"]), (&json!(400), &Value::Null), "{refused}");
    assert_eq!(set("enable")["enabled"], true);
    wait_for("the node to hear of it", PATIENCE, || (send(&server, json!({}))["code"] == 200).then_some(()));
}

fn a_preview_shows_each_channel(mut place: Place) {
    let server = place.start(&plan(
        r#"
[[template]]
code = "T"
[template.content."1001"]
content = "${name}: ${code}"
sms_template = "SMS_1"
sms_variables = ["code", "name"]
[template.content."1003"]
title = "For ${name}"
content = "<p>${name}</p>"
"#,
    ));
    let preview = |body: Value| server.administer("POST", "/v1/templates/T/preview", &body);
    let shown = preview(json!({ "values": { "name": "<b>", "code": 7, "more": 1 } })).json();
    assert_eq!(
        shown["channels"],
        json!({
            "1001": { "kind": "sms", "content": "<b>: 7",
                      "sms_template": { "code": "SMS_1", "variables": [["code", "7"], ["name", "<b>"]] } },
            "1003": { "kind": "mail", "title": "For <b>", "content": "<p>&lt;b&gt;</p>" },
        })
    );
    let one = preview(json!({ "channel": "1003", "values": { "name": "N" } })).json();
    assert_eq!(one["channels"], json!({ "1003": { "kind": "mail", "title": "For N", "content": "<p>N</p>" } }));
    let refused = preview(json!({ "values": {} }));
    assert_eq!(refused.status, 400);
    assert_eq!(refused.json()["detail"], "these variables have no value: name, code");
    assert_eq!(server.administer("POST", "/v1/templates/U/preview", &json!({})).status, 404);
    assert_eq!(server.get("/v1/captures").json()["captures"], json!([]), "nothing is sent");
}

fn plans_declare_templates_and_keep_count_of_their_versions(mut place: Place) {
    let version = |server: &Server| server.get("/v1/templates/T").json()["version"].clone();
    let server = place.start(&plan(TEMPLATE));
    assert_eq!(version(&server), 1);
    server.kill();
    let server = place.start(&plan(&TEMPLATE.replace("code = \"T\"", "code = \"T\"\nname = \"Result\"")));
    assert_eq!(version(&server), 1, "a name is not what it says");
    server.kill();
    let server = place.start(&plan(&TEMPLATE.replace("first", "second")));
    assert_eq!(version(&server), 2);
    assert_eq!(say(&server, "third"), 3);
    server.kill();
    let server = place.start(&plan(&TEMPLATE.replace("first", "second")));
    assert_eq!(version(&server), 3, "a plan that was applied undoes no later change");
    server.kill();
    let server = place.start(&plan(""));
    assert_eq!(version(&server), 3, "what a plan does not name stays");
    assert_eq!(server.get("/v1/templates/T").json()["content"]["1003"]["content"], "third");
}
