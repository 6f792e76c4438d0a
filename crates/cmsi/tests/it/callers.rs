//! What real callers send and rely on (contract, section 9), as far as it concerns mail.

use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use serde_json::{Value, json};

use crate::world::{World, mail, msg};

const HEADER: &str = "X-Bkapi-Authorization";
const APP1: &str = r#"{"bk_app_code": "app1", "bk_app_secret": "sec1", "bk_username": "admin"}"#;

fn post(path: &str, headers: &[(&str, &str)], body: &Value) -> Request<Body> {
    let mut request = Request::post(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::from(body.to_string())).expect("a request")
}

#[tokio::test]
async fn bk_hcm_reads_the_code_as_a_number() {
    let world = World::new();
    let body = json!({"title": "t", "content": "c", "receiver": "a@b.com"});
    let path = "/api/c/compapi/v2/cmsi/send_mail";
    let reply = world.request(post(path, &[(HEADER, APP1)], &body)).await;
    assert_eq!((reply.status, reply.code()), (StatusCode::OK, json!(0)));
    // As it really calls, without a user: refused, in the same form.
    let without_user = r#"{"bk_app_code": "app1", "bk_app_secret": "sec1"}"#;
    let reply = world.request(post(path, &[(HEADER, without_user)], &body)).await;
    assert!(reply.code().is_u64());
    assert!(reply.message().ends_with("such as bk_token, bk_username"));
}

#[tokio::test]
async fn bk_ci_knows_exactly_five_keys_and_sends_many_nulls() {
    let world = World::new();
    let header = r#"{"bk_app_code":"app1","bk_app_secret":"sec1","bk_token":"","bk_username":"蓝鲸助手"}"#;
    let body = json!({
        "bk_app_code": "app1", "bk_app_secret": "sec1", "bk_token": "", "bk_username": "蓝鲸助手",
        "sender": null, "title": "t", "content": "c", "receiver": null, "receiver__username": "admin,nobody",
        "cc": null, "cc__username": "", "body_format": "Html", "is_content_base64": "",
    });
    let request = Request::post("/api/c/compapi/cmsi/send_mail/")
        .header("Content-Type", "application/json; charset=utf-8")
        .header(HEADER, axum::http::HeaderValue::from_bytes(header.as_bytes()).expect("a header"));
    let reply = world.request(request.body(Body::from(body.to_string())).expect("a request")).await;
    reply.assert_five_keys();
    assert_eq!(reply.code(), json!(1_306_000));
    assert_eq!(world.store.last().0.user, "蓝鲸助手");
    for body in [json!({}), mail(json!({})), mail(json!({"title": ""})), mail(json!({"bk_app_secret": "x"}))] {
        world.post("send_mail", &body).await.assert_five_keys();
    }
}

#[tokio::test]
async fn bk_monitor_reads_who_was_not_delivered() {
    let world = World::new();
    world.store.refuse("us@bk.com");
    let body = json!({
        "bk_username": "admin", "receiver__username": "admin,nobody,us,nomail,gone", "title": "t", "content": "5L2g5aW9",
        "is_content_base64": true, "email_type": "SEND_TO_INTERNET", "bk_biz_id": 2,
        "attachments": [{"filename": "a.png", "content_id": "a.png", "content": "iVBORw0KGgo=", "type": "png",
                         "disposition": "inline"}],
    });
    let reply = world.request(post("/api/c/compapi/v2/cmsi/send_mail", &[(HEADER, APP1)], &body)).await;
    assert_eq!(reply.invalid(), json!(["nobody", "us", "nomail", "gone"]), "as named, in order");
    let unknown = "The following users are not blueking users: nobody,gone";
    let no_address = "The following users contact format are incorrect: nomail";
    let refused = "The following users were refused: us";
    assert_eq!(reply.message(), format!("Some users failed to send email. {unknown};{no_address};{refused}"));
    let (_, stored, reached, _) = world.store.last();
    assert_eq!(stored.body, hongyan_core::content::Body::Html("你好".into()));
    assert_eq!(stored.attachments[0].content_id, "a.png");
    assert_eq!(reached, ["admin@bk.com", "us@bk.com"]);
    // An empty list means that everybody has it.
    assert_eq!(world.post("send_mail", &mail(json!({}))).await.invalid(), json!([]));
}

#[tokio::test]
async fn bk_itsm_takes_some_users_failed_for_a_success() {
    let world = World::new();
    world.store.refuse("admin@bk.com");
    let some = world.post("send_msg", &msg(json!({}))).await;
    assert!(some.message().starts_with("Some users failed"), "yunchao has it: {}", some.message());
    // So nothing may begin like that where nobody has it.
    world.store.refuse("yunchao@bk.com");
    for (to, invalid) in [("admin,yunchao", json!(["admin", "yunchao"])), ("admin,nobody", json!(["admin", "nobody"]))]
    {
        let all = world.post("send_msg", &msg(json!({"receiver__username": to}))).await;
        assert_eq!((all.message().as_str(), all.invalid()), ("Failed to send mail", invalid));
    }
    let nobody = world.post("send_msg", &msg(json!({"receiver__username": "nobody,nomail"}))).await;
    assert!(nobody.message().starts_with("All users message failed to be sent. "));
}

#[tokio::test]
async fn bk_job_reads_four_fields_of_every_type() {
    let world = World::new();
    let reply = world.request(post("/api/c/compapi/cmsi/get_msg_type", &[(HEADER, APP1)], &json!({}))).await;
    assert_eq!((reply.code(), reply.message().as_str()), (json!(0), "OK"));
    let types = reply.json()["data"].as_array().expect("a list").clone();
    let names: Vec<_> = types.iter().map(|t| t["type"].as_str().expect("a text").to_owned()).collect();
    assert_eq!(names, ["weixin", "mail", "sms", "voice"]);
    for item in types {
        assert!(item["label"].is_string() && item["is_active"].is_boolean() && item["icon"].is_string());
        assert_eq!(item.as_object().expect("an object").len(), 4);
    }
}

#[tokio::test]
async fn a_type_is_active_only_where_its_channel_is_configured_and_enabled() {
    let active = async |change: fn(&mut crate::world::Plan)| {
        let reply = World::with(change).post("get_msg_type", &mail(json!({}))).await;
        let types = reply.json()["data"].as_array().expect("a list").clone();
        types.iter().map(|t| t["is_active"] == json!(true)).collect::<Vec<_>>()
    };
    assert_eq!(active(|_| {}).await, [true, true, false, false]);
    assert_eq!(active(|plan| plan.channels.clear()).await, [false; 4]);
    assert_eq!(active(|plan| plan.channels[0].enabled = false).await, [true, false, false, false]);
    // The official account is meant where it is the default, even if it is off.
    let wechat = |plan: &mut crate::world::Plan| {
        let mut channel = plan.channels[1].clone();
        channel.no = hongyan_core::setup::ChannelNo(9);
        (channel.kind, channel.default, channel.enabled) = (hongyan_core::setup::ChannelKind::Wechat, true, false);
        plan.channels.push(channel);
    };
    assert_eq!(active(wechat).await, [false, true, false, false, true], "the last is WeCom under its own name");
}

#[tokio::test]
async fn the_new_sdk_sends_no_body_for_no_parameters_and_the_old_one_no_content_type() {
    let world = World::new();
    let empty =
        Request::post("/api/c/compapi/v2/cmsi/get_msg_type/").header(HEADER, APP1).header("Content-Length", "0");
    let reply = world.request(empty.body(Body::empty()).expect("a request")).await;
    assert_eq!(reply.code(), json!(0));
    let reply = world.post("send_mail", &mail(json!({}))).await;
    assert_eq!(reply.code(), json!(0));
    let query = "bk_app_code=app1&bk_app_secret=sec1&bk_username=admin&receiver=a%40b.com&title=%E4%BD%A0&content=c";
    let get = Request::get(format!("/api/c/compapi/cmsi/send_mail/?{query}")).body(Body::empty()).expect("a request");
    assert_eq!(world.request(get).await.code(), json!(0));
    assert_eq!(world.store.last().1.subject, "你");
    // Nothing of a POST but its signature is read from the query.
    let post = Request::post(format!("/api/c/compapi/cmsi/send_mail/?{query}")).body(Body::empty()).expect("a request");
    assert!(world.request(post).await.message().starts_with("Signature [bk_signature] and APP Secret"));
    assert_eq!(world.store.count(), 2);
}
