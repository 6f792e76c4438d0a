//! Design 7: the same key and body is the same message, whatever became of it.

use axum::http::StatusCode;
use serde_json::json;

use crate::world::{Plan, Reply, World, by_app1, mail, msg};

async fn send(world: &World, key: &str, body: &serde_json::Value) -> Reply {
    world.post_with("send_mail", &[("Idempotency-Key", key)], body.to_string()).await
}

#[tokio::test]
async fn a_repeat_gets_the_same_bytes_and_sends_nothing() {
    let world = World::new();
    let first = send(&world, "k1", &mail(json!({}))).await;
    assert_eq!(first.code(), json!(0));
    for _ in 0..3 {
        assert_eq!(send(&world, "k1", &mail(json!({}))).await.bytes, first.bytes);
    }
    assert_eq!(world.store.count(), 1);
    let id = format!("{:016x}", world.store.last().0.id.get());
    assert!(first.json()["request_id"].as_str().expect("a text").ends_with(&id), "the second half is the message id");
    assert_eq!(send(&world, "k2", &mail(json!({}))).await.code(), json!(0));
    assert_eq!(world.post("send_mail", &mail(json!({}))).await.code(), json!(0));
    assert_eq!(world.store.count(), 3, "another key or none is another message");
}

#[tokio::test]
async fn another_request_under_the_key_is_refused() {
    let world = World::with(|plan| plan.apps[1].trusted = true);
    send(&world, "k", &mail(json!({}))).await;
    let other = send(&world, "k", &mail(json!({"content": "d"}))).await;
    assert_eq!((other.status, other.code()), (StatusCode::OK, json!(1_306_406)));
    assert!(other.message().contains("Idempotency-Key"));
    let other = world.post_with("send_msg", &[("Idempotency-Key", "k")], msg(json!({})).to_string()).await;
    assert_eq!(other.code(), json!(1_306_406), "another component");
    assert_eq!(world.store.count(), 1);
    let app2 = mail(json!({"bk_app_code": "app2", "bk_app_secret": "sec2"}));
    assert_eq!(send(&world, "k", &app2).await.code(), json!(0), "keys are an app's own");
}

#[tokio::test]
async fn a_partial_failure_is_repeated_too() {
    let world = World::new();
    world.store.refuse("us@bk.com");
    let body = mail(json!({"receiver": null, "receiver__username": "admin,nobody,us,nomail"}));
    let first = send(&world, "k", &body).await;
    assert_eq!(first.invalid(), json!(["nobody", "us", "nomail"]));
    assert_eq!(send(&world, "k", &body).await.bytes, first.bytes);
    assert_eq!(world.store.count(), 1);
}

#[tokio::test]
async fn every_component_repeats_its_answer() {
    let world = World::with(Plan::add_all);
    world.store.refuse("+12025550100");
    let notice = json!({"receiver": "wx1", "data": {"heading": "h", "message": "m"}});
    for (component, body) in [
        ("send_weixin", notice.clone()),
        ("send_mp_weixin", notice),
        ("send_qy_weixin", json!({"receiver": "wx1", "content": "c"})),
        ("send_sms", json!({"receiver__username": "admin,us,nobody", "content": "c"})),
        ("send_voice_msg", json!({"receiver__username": "admin,us,nobody", "auto_read_message": "m"})),
    ] {
        let (before, body) = (world.store.count(), by_app1(body).to_string());
        let key = [("Idempotency-Key", component)];
        let first = world.post_with(component, &key, body.clone()).await;
        assert_eq!(world.post_with(component, &key, body).await.bytes, first.bytes, "{component}");
        assert_eq!(world.store.count(), before + 1, "{component}");
    }
}

#[tokio::test]
async fn a_request_that_stored_nothing_leaves_the_key_free() {
    let world = World::new();
    assert_eq!(send(&world, "k", &mail(json!({"title": ""}))).await.code(), json!(1_306_000));
    let nobody = mail(json!({"receiver": null, "receiver__username": "nobody"}));
    let first = send(&world, "k", &nobody).await;
    let second = send(&world, "k", &nobody).await;
    assert_eq!((first.message(), first.invalid()), (second.message(), second.invalid()));
    assert_ne!(first.json()["request_id"], second.json()["request_id"]);
    assert_eq!(send(&world, "k", &mail(json!({}))).await.code(), json!(0));
    assert_eq!(world.store.count(), 1);
}

#[tokio::test]
async fn what_is_no_key_is_refused() {
    let world = World::new();
    for bad in ["", "a b", "a\tb", &"k".repeat(256)] {
        let reply = send(&world, bad, &mail(json!({}))).await;
        assert_eq!(reply.code(), json!(1_306_406), "{bad:?}");
        reply.assert_five_keys();
    }
    let two = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")];
    assert_eq!(world.post_with("send_mail", &two, mail(json!({})).to_string()).await.code(), json!(1_306_406));
    assert_eq!(world.store.count(), 0);
    assert_eq!(send(&world, &"k".repeat(255), &mail(json!({}))).await.code(), json!(0));
}
