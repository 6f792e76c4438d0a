//! Decision 13: what a reference ESB posts to its `dest_url`, taken at the hook of an app and nowhere else.

use std::time::Duration;

use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use hongyan_cmsi::ClientAddress;
use hongyan_core::{
    cap::Cap,
    content,
    setup::{ChannelKind, Secret},
};
use serde_json::{Value, json};

use crate::{
    peer::{Answer, Peer},
    vectors,
    world::{Plan, Reply, World},
};

const REFUSED: &str = "Hook verification failed, please confirm that the address of the hook is the APP's";

fn with_hook(plan: &mut Plan) {
    plan.apps[0].hook = Some(Secret::new("hook-token"));
    plan.add_all();
}

async fn post(world: &World, path: &str, body: &str) -> Reply {
    let request = Request::post(format!("/api/c/compapi/cmsi/hook/{path}")).header("Content-Type", "application/json");
    world.request(request.body(Body::from(body.to_owned())).expect("a request")).await
}

/// What the observed reference posted for a request by addresses.
fn for_addresses() -> String {
    posted("mail: dest_url not json")
}

/// What it posted in a case, word for word.
fn posted(case: &str) -> String {
    let (outgoing, _) = vectors::relayed(case);
    assert_eq!((outgoing.len(), &outgoing[0]["method"]), (1, &json!("POST")), "{case}");
    outgoing[0]["data"].as_str().expect("a text").to_owned()
}

/// What the reference makes of an answer to what it posted, by `body` (section 6.11).
fn passed_on(answer: &Value, body: &Value) -> (Value, Value) {
    let extra = body["_extra_user_error_msg"].as_str().unwrap_or("");
    let message = match answer["result"] == json!(true) && !extra.is_empty() {
        true => json!(format!("Some users failed to send email. {extra}")),
        false => answer["message"].clone(),
    };
    let mut data = answer["data"].clone();
    data["username_check"] = json!({"invalid": body.get("_invalid_usernames").cloned().unwrap_or_else(|| json!([]))});
    (message, data)
}

#[tokio::test]
async fn what_the_reference_posts_is_sent_and_its_callers_are_answered_as_observed() {
    let world = World::with(with_hook);
    let observed = vectors::relayed("mail: dest_url ok + unknown").1;
    let observed = (observed["message"].clone(), observed["data"].clone());
    let sent = (json!("OK"), json!({"username_check": {"invalid": []}}));
    for (case, to, expected) in [
        ("mail: dest_url ok + unknown", "admin@bk.com", observed),
        // There it asked somebody who does not answer in JSON.
        ("mail: dest_url not json", "a@b.com", sent),
    ] {
        for path in ["app1/hook-token/send_mail", "app1/hook-token/send_mail/"] {
            let reply = post(&world, path, &posted(case)).await;
            reply.assert_five_keys();
            assert_eq!((reply.code(), reply.invalid()), (json!(0), json!([])), "{}", reply.message());
            let body = serde_json::from_str(&posted(case)).expect("JSON");
            assert_eq!(passed_on(&reply.json(), &body), expected, "{case}");
            let (message, mail, reached, _) = world.store.last();
            assert_eq!((message.user.as_str(), message.app.0, message.operation.as_str()), ("admin", 1, "send_mail"));
            assert_eq!((reached, mail.subject.as_str()), (vec![to.to_owned()], "t"));
            assert_eq!(mail.body, content::Body::Html("c".into()));
            assert_eq!(mail.from.expect("the sender").address, "d@e");
        }
    }
    assert_eq!(world.store.count(), 4);
    let (outgoing, _) = vectors::relayed("mail: dest_url with attachment");
    assert!(outgoing.is_empty(), "attachments never come this way");
}

#[tokio::test]
async fn nobody_is_told_whether_the_app_or_the_token_is_wrong() {
    let world = World::with(|plan| {
        with_hook(plan);
        plan.apps[1].hook = None;
    });
    let mut answers = Vec::new();
    for path in [
        "app1/wrong/send_mail",
        "app1/hook-token2/send_mail",
        "app1/HOOK-TOKEN/send_mail",
        "app1/sec1/send_mail",
        "app2/hook-token/send_mail",
        "app2/sec2/send_mail",
        "nope/hook-token/send_mail",
    ] {
        let reply = post(&world, path, &for_addresses()).await;
        reply.assert_five_keys();
        let mut answer = reply.json();
        answer["request_id"] = Value::Null;
        answers.push(answer);
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!((&answers[0]["message"], &answers[0]["code"]), (&json!(REFUSED), &json!(1_306_000)));
    assert_eq!(world.store.count(), 0);
    // An empty token opens nothing, even where one was declared.
    let world = World::with(|plan| plan.apps[0].hook = Some(Secret::new("")));
    for path in ["app1//send_mail", "app1/%20/send_mail"] {
        assert_ne!(post(&world, path, &for_addresses()).await.json()["result"], json!(true));
    }
}

#[tokio::test]
async fn only_posts_for_components_that_send_are_hooks() {
    let world = World::with(with_hook);
    for path in ["app1/hook-token/get_msg_type/", "app1/hook-token/nothing/", "app1/hook-token/", "app1/send_mail/"] {
        assert_eq!(post(&world, path, &for_addresses()).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    for path in [
        "/api/c/compapi/cmsi/hook/app1/hook-token/send_mail/",
        "/api/c/compapi/v2/cmsi/hook/app1/hook-token/send_mail/",
    ] {
        let get = Request::get(path).body(Body::empty()).expect("a request");
        assert_eq!(world.request(get).await.status, StatusCode::NOT_FOUND);
    }
    // The token opens no other door.
    let body = r#"{"bk_app_code": "app1", "bk_app_secret": "hook-token", "bk_username": "admin"}"#;
    assert!(world.post_with("get_msg_type", &[], body).await.message().contains("verification failed"));
}

#[tokio::test]
async fn the_callers_token_is_neither_used_nor_kept_and_the_user_is_whom_the_reference_names() {
    let login = Peer::always(Answer::Json(json!({"result": true, "data": {"username": "boss"}}))).await;
    let world = World::with(|plan| {
        with_hook(plan);
        plan.apps[0].trusted = false;
        plan.settings.cmsi_login_url = login.url.clone();
    });
    let canary = "canary-bk-token";
    for (changes, user) in [
        (json!({"bk_token": canary}), "admin"),
        (json!({"bk_token": canary, "bk_username": null}), ""),
        (json!({"bk_access_token": canary, "access_token": canary, "bk_username": "a\u{0}b"}), ""),
        (json!({"bk_app_code": "app2", "bk_app_secret": "wrong"}), "admin"),
    ] {
        let mut body: Value = serde_json::from_str(&for_addresses()).expect("JSON");
        body.as_object_mut().expect("an object").extend(changes.as_object().expect("an object").clone());
        let reply = post(&world, "app1/hook-token/send_mail", &body.to_string()).await;
        assert_eq!(reply.code(), json!(0), "{changes}: {}", reply.message());
        assert_eq!((world.store.last().0.user.as_str(), world.store.last().0.app.0), (user, 1));
    }
    assert!(login.seen().is_empty());
    assert!(!format!("{:?}", world.store.batches()).contains(canary));
}

#[tokio::test]
async fn what_the_reference_has_decoded_is_not_decoded_again() {
    let world = World::with(with_hook);
    let body = for_addresses()
        .replace(r#""is_content_base64": false"#, r#""is_content_base64": true"#)
        .replace(r#""content": "c""#, r#""content": "aGVsbG8=""#);
    assert_eq!(post(&world, "app1/hook-token/send_mail", &body).await.code(), json!(0));
    assert_eq!(world.store.last().1.body, content::Body::Html("aGVsbG8=".into()));
    let body = r#"{"bk_username": "admin", "receiver": ["wx_admin"], "receiver__username": null,
        "data": {"heading": "h", "message": "aGVsbG8=", "date": "", "remark": "", "is_message_base64": true}}"#;
    assert_eq!(post(&world, "app1/hook-token/send_weixin", body).await.code(), json!(0));
    assert!(format!("{:?}", world.store.last_notice()).contains("aGVsbG8="));
}

#[tokio::test]
async fn phones_come_with_their_country() {
    let world = World::with(with_hook);
    let sms = |receiver: &str| format!(r#"{{"content": "c", "is_content_base64": false, "receiver": {receiver}}}"#);
    for (receiver, phone) in [
        (r#"[{"telephone": "13800000001"}]"#, "+8613800000001"),
        (r#"[{"nation_code": "86", "telephone": "13800000002"}]"#, "+8613800000002"),
        (r#"[{"nation_code": "1", "telephone": "2025550100"}]"#, "+12025550100"),
    ] {
        let reply = post(&world, "app1/hook-token/send_sms/", &sms(receiver)).await;
        assert_eq!(reply.code(), json!(0), "{}", reply.message());
        assert_eq!(world.store.last_text(), ("c".to_owned(), vec![phone.to_owned()]));
    }
    let wrong = post(&world, "app1/hook-token/send_sms/", &sms(r#"[{"telephone": "138-1"}, {}]"#)).await;
    assert!(wrong.message().contains("contact format are incorrect: 138-1"), "{}", wrong.message());
    let voice = r#"{"auto_read_message": "m", "receiver__username": ["us", "admin"], "_extra_user_error_msg": "",
        "user_list_information": [{"username": "us", "mobile_phone": "2025550100", "nation_code": "1"},
                                  {"username": "admin", "mobile_phone": "13800000001", "nation_code": null}]}"#;
    let reply = post(&world, "app1/hook-token/send_voice_msg/", voice).await;
    assert_eq!(reply.code(), json!(0), "{}", reply.message());
    assert_eq!(world.store.last_text().1, ["+12025550100", "+8613800000001"]);
}

#[tokio::test]
async fn the_apps_limits_hold_here_too() {
    let world = World::with(|plan| {
        with_hook(plan);
        let app = &mut plan.apps[0];
        app.components = vec!["send_mail".into(), "send_sms".into()];
        app.ips = vec!["192.0.2.7/32".parse().expect("a net")];
        app.rate = Some(Cap { most: 3, span: Duration::from_secs(60) });
        app.channels = vec![ChannelKind::Sms.as_str().into()];
        app.senders = vec!["me@x.com".into()];
    });
    let from = async |address: &str, component: &str| {
        let mut request = Request::post(format!("/api/c/compapi/cmsi/hook/app1/hook-token/{component}"))
            .body(Body::from(for_addresses()))
            .expect("a request");
        request.extensions_mut().insert(ClientAddress(address.parse().expect("an address")));
        world.request(request).await
    };
    for (address, component, code, text) in [
        ("192.0.2.8", "send_mail", 1_306_403, "may not call from this address"),
        ("192.0.2.7", "send_weixin", 1_306_403, "no permission to access the component (send_weixin)"),
        ("192.0.2.7", "send_mail", 1_306_403, "no permission to access the component (send_mail)"),
        ("192.0.2.7", "send_sms", 1_306_000, "contact format are incorrect: a@b.com"),
        ("192.0.2.7", "send_sms", 1_306_000, "contact format are incorrect: a@b.com"),
        ("192.0.2.7", "send_sms", 1_306_429, "the frequency limit is [3/m]"),
    ] {
        let reply = from(address, component).await;
        assert_eq!(reply.code(), json!(code), "{}", reply.message());
        assert!(reply.message().contains(text), "{}", reply.message());
    }
    assert_eq!(world.store.count(), 0);
}

#[tokio::test]
async fn a_failure_is_told_in_words_that_the_reference_can_pass_on() {
    let world = World::with(with_hook);
    world.store.refuse("a@b.com");
    let reply = post(&world, "app1/hook-token/send_mail", &for_addresses()).await;
    reply.assert_five_keys();
    assert_eq!((reply.message().as_str(), reply.invalid()), ("Failed to send mail", json!(["a@b.com"])));
    for body in ["", "[]", "{broken", "x=1"] {
        let reply = post(&world, "app1/hook-token/send_mail", body).await;
        reply.assert_five_keys();
        assert_eq!(reply.json()["result"], json!(false), "{body}");
    }
}
