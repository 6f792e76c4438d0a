//! Design 7: the same key and body is the same message and the same answer.

use std::time::Duration;

use hongyan_core::directory::{DirectoryChange, UserEntry};
use serde_json::json;

use crate::world::{CHANNEL, CLOCK, Reply, TEMPLATE, World, from_template, message, over};

async fn keyed(world: &World, key: &str, body: &serde_json::Value) -> Reply {
    world.post_with(CHANNEL, &[("Idempotency-Key", key)], body.to_string()).await
}

#[tokio::test]
async fn a_repeat_is_answered_as_the_first_was() {
    let world = World::new().await;
    let body = over(message(), json!({"receiverData": {"user": ["USER001", "USER005"]}}));
    let first = keyed(&world, "k1", &body).await;
    assert_eq!(first.json()["invalid"], json!({"user": ["USER005"]}));
    let mut entry = UserEntry::default();
    entry.user.code = "USER005".into();
    entry.user.enabled = true;
    let change = DirectoryChange { users: vec![entry], ..DirectoryChange::default() };
    world.store.directory_change(change, false, CLOCK).await.expect("is there");
    assert_eq!(keyed(&world, "k1", &body).await.bytes, first.bytes, "whatever the directory says by now");
    // Also where the request could not be accepted any more.
    world.setup.set({
        let setup = world.setup.get();
        let app = (**setup.app("102343444").expect("is there")).clone();
        hongyan_core::setup::Setup::new(2, setup.settings.clone(), vec![app], vec![], vec![])
    });
    assert_eq!(keyed(&world, "k1", &body).await.bytes, first.bytes);
}

#[tokio::test]
async fn a_key_is_of_one_body_one_call_and_one_app() {
    let world = World::new().await;
    let first = keyed(&world, "k1", &message()).await;
    let reused = json!({"code": 400, "msg": "参数有误：Idempotency-Key已用于另一请求"});
    let other = over(message(), json!({"businessId": "x"}));
    assert_eq!(keyed(&world, "k1", &other).await.json(), reused);
    let template = world.post_with(TEMPLATE, &[("Idempotency-Key", "k1")], from_template().to_string()).await;
    assert_eq!(template.json(), reused);
    let app = over(message(), json!({"appId": "limited"}));
    assert_ne!(keyed(&world, "k1", &app).await.id(), first.id());
    assert_ne!(keyed(&world, "k2", &message()).await.id(), first.id());
    assert_ne!(world.send(json!({})).await.id(), world.send(json!({})).await.id(), "without a key");
}

#[tokio::test]
async fn at_the_same_time_one_is_stored() {
    let world = World::new().await;
    let body = message();
    let replies = tokio::join!(keyed(&world, "k", &body), keyed(&world, "k", &body), keyed(&world, "k", &body));
    assert_eq!((replies.0.id(), replies.1.id()), (replies.1.id(), replies.2.id()));
}

#[tokio::test]
async fn what_was_refused_may_be_mended_under_its_key() {
    let world = World::new().await;
    let wrong = over(message(), json!({"receiverData": {"user": ["nobody"]}}));
    assert_eq!(keyed(&world, "k1", &wrong).await.code(), 400);
    assert_eq!(keyed(&world, "k1", &message()).await.code(), 200);
    for key in ["", "a b", "鸿", &"x".repeat(256)] {
        let reply = keyed(&world, key, &message()).await;
        assert_eq!(
            reply.json(),
            json!({"code": 400, "msg": "参数有误：Idempotency-Key应为1至255个可见ASCII字符"}),
            "{key}"
        );
    }
}

#[tokio::test]
async fn a_key_is_forgotten_after_a_day() {
    let world = World::new().await;
    let first = keyed(&world, "k1", &message()).await;
    world.clock.advance(Duration::from_secs(25 * 60 * 60));
    assert_ne!(keyed(&world, "k1", &message()).await.id(), first.id());
}
