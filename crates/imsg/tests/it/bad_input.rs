//! Row 6 and decision 2: every field of a send missing, null and of each wrong type, alone and together, and nothing of it is
//! stored or counted.

use serde_json::{Value, json};

use crate::world::{USER, World, over, without};

/// A value of each type of JSON, by its name.
fn values() -> Vec<Value> {
    vec![json!(true), json!(0), json!(1.5), json!(""), json!(" "), json!([]), json!([[]]), json!({}), json!({"a": 1})]
}

async fn assert_nothing(world: &World) {
    assert_eq!(world.store.sent().len(), 0, "something was stored");
    assert_eq!(world.store.used(world.account(USER).await.no), (0, 0), "something was counted");
    assert_eq!(world.store.traces().len(), 0, "something was recorded");
}

#[tokio::test]
async fn bodies_that_are_no_object() {
    let world = World::new().await;
    let token = format!("?token={}", world.token);
    for path in ["send", "login", "register", "modify", "modify/zhang"] {
        for body in ["", " ", "{", "null", "[]", "1", "\"x\"", "{}x", "{'a': 1}", "token=x", "{\"a\": NaN}", "\u{0}"] {
            let reply = world.post_with(&format!("{path}{token}"), &[], body).await;
            assert_eq!(reply.code(), 10001, "{path}: {body}");
        }
        let deep = format!("{{\"a\": {}{}}}", "[".repeat(10_000), "]".repeat(10_000));
        let many = format!("{{\"a\": [{}1]}}", "1,".repeat(200_000));
        for body in [b"{\"a\": \"\xff\"}".to_vec(), b"{\"a\": \"\\ud800\"}".to_vec(), deep.into(), many.into()] {
            assert_eq!(world.post_with(path, &[], body).await.code(), 10001, "{path}");
        }
        assert_eq!(world.post_with(path, &[], "{}").await.code(), 10002, "{path}");
    }
    assert_nothing(&world).await;
}

#[tokio::test]
async fn every_field_of_a_send() {
    let world = World::new().await;
    for (field, code) in [("token", 10005), ("to", 10011), ("method", 10008), ("content", 10009)] {
        for value in values() {
            assert_eq!(world.send(json!({field: value})).await.code(), code, "{field} {value}");
        }
        assert_eq!(world.send(json!({field: null})).await.code(), 10002, "{field}");
        assert_eq!(world.post("send", &without(world.mail(json!({})), field)).await.code(), 10002, "{field}");
    }
    for value in values().into_iter().filter(|value| *value != json!([])) {
        assert_eq!(world.send(json!({"attachment": value})).await.code(), 10010, "{value}");
    }
    assert_nothing(&world).await;
    for nothing in [json!(null), json!([])] {
        assert_eq!(world.send(json!({"attachment": nothing})).await.code(), 0, "{nothing}");
    }
}

#[tokio::test]
async fn contents() {
    let world = World::new().await;
    let wrong_mails = [
        json!({"subject": "s"}),
        json!({"text": "t"}),
        json!({"subject": "s", "html": "<b>"}),
        json!({"subject": null, "text": "t"}),
        json!({"subject": "", "text": "t"}),
        json!({"subject": "s", "text": " \n"}),
        json!({"subject": "a\u{0}b", "text": "t"}),
        json!({"subject": ["s"], "text": "t"}),
        json!({"subject": "s", "text": 5}),
        json!({"subject": "s", "text": "t", "html": 5}),
        json!({"subject": "s", "text": "t", "html": ""}),
        json!({"subject": "s".repeat(2_001), "text": "t"}),
        json!("text"),
        json!([{"subject": "s", "text": "t"}]),
    ];
    for content in wrong_mails {
        assert_eq!(world.send(json!({"content": content})).await.code(), 10009, "{content}");
    }
    for (method, to) in [("sms", "13800000001"), ("wechat", "oABC")] {
        let long = json!("x".repeat(40_001));
        let object = json!({"subject": "s", "text": "t"});
        for content in values().into_iter().chain([object, long, json!("\u{0}")]) {
            let reply = world.send(json!({"method": method, "to": to, "content": content})).await;
            assert_eq!(reply.code(), 10009, "{method} {content}");
        }
    }
    assert_nothing(&world).await;
}

#[tokio::test]
async fn methods_and_recipients() {
    let world = World::new().await;
    for method in ["SMS", "sms ", "mail", "email", "weixin", "voice", ""] {
        assert_eq!(world.send(json!({"method": method})).await.code(), 10008, "{method}");
    }
    for (method, to) in [
        ("sms", json!("138")),
        ("sms", json!("13800000000abc")),
        ("sms", json!("a@x.org")),
        ("sms", json!(13_800_000_001_i64)),
        ("sms", json!(["13800000001", 13_800_000_002_i64])),
        ("sms", json!(["13800000001", null])),
        ("sms", json!(vec!["13800000001"; 1_001])),
        ("sms", json!("mailonly")),
        ("smtp", json!("a@")),
        ("smtp", json!("a@b.cn, c@d.cn")),
        ("smtp", json!("a@b.cn\r\nBcc: c@d.cn")),
        ("smtp", json!("Zhang <a@b.cn>")),
        ("smtp", json!(["a@b.cn", "13800000001"])),
        ("smtp", json!("nobody")),
        ("smtp", json!("gone")),
        ("wechat", json!("iMSG-10001")),
        ("wechat", json!(["oABC", "iMSG-"])),
        ("wechat", json!("zhang163")),
        ("wechat", json!("a|b")),
    ] {
        let content = if method == "smtp" { json!({"subject": "s", "text": "t"}) } else { json!("t") };
        let reply = world.send(json!({"method": method, "to": to, "content": content})).await;
        assert_eq!(reply.code(), 10011, "{method} {to}: {}", reply.json());
    }
    assert_nothing(&world).await;
}

#[tokio::test]
async fn of_several_errors_one_is_told() {
    let world = World::new().await;
    let (to, content) = (json!("x@"), json!("text"));
    let attachment = json!({"filename": "a", "file": "!"});
    let all = json!({"to": to, "content": content, "attachment": attachment});
    let next = |name: &str| without(all.clone(), name);
    for (changes, code) in [
        (over(all.clone(), json!({"token": "x", "method": null})), 10005),
        (over(all.clone(), json!({"method": null})), 10002),
        (over(all.clone(), json!({"content": null, "method": "x"})), 10002),
        (over(all.clone(), json!({"method": "x"})), 10008),
        (all.clone(), 10010),
        (next("attachment"), 10009),
        (over(next("content"), json!({})), 10010),
        (without(next("attachment"), "content"), 10011),
    ] {
        assert_eq!(world.send(changes.clone()).await.code(), code, "{changes}");
    }
    // Before the limits come all of these.
    let none = hongyan_core::account::AccountChange { per_hour: Some(0), ..Default::default() };
    world.change(USER, none).await;
    assert_eq!(world.send(json!({"to": "x@"})).await.code(), 10011);
    assert_eq!(world.send(json!({"to": "nobody"})).await.code(), 10011);
    assert_nothing(&world).await;
    assert_eq!(world.send(json!({})).await.code(), 10013);
}
