//! Decision 4 and rows 25 and 26: what is admitted, what it counts, what is given back, and what refused calls leave behind.

use std::time::Duration;

use hongyan_core::{account::AccountChange, delivery::Reason, quota::Fit};
use serde_json::{Value, json};

use crate::world::{CLOCK, USER, World};

fn sms(to: Value) -> Value {
    json!({"method": "sms", "to": to, "content": "t"})
}

fn phones(n: usize) -> Value {
    (0..n).map(|n| format!("138000000{n:02}")).collect()
}

#[tokio::test]
async fn the_sixth_in_an_hour() {
    let world = World::new().await;
    let no = world.account(USER).await.no;
    for n in 1..=5 {
        assert_eq!(world.send(json!({})).await.code(), 0);
        assert_eq!(world.store.used(no), (n, n));
    }
    let reply = world.send(json!({})).await.json();
    assert_eq!(reply, json!({"errorCode": 10013, "errorMessage": "超出发送消息的频率限制"}));
    assert_eq!((world.store.sent().len(), world.store.used(no)), (5, (5, 5)));
}

#[tokio::test]
async fn a_list_is_admitted_whole_while_there_is_room_unless_limits_are_strict() {
    for (fit, code, used) in [(Fit::First, 0, 7), (Fit::Whole, 10013, 0)] {
        let world = World::with(|plan| plan.settings.imsg_fit = fit).await;
        assert_eq!(world.send(sms(phones(7))).await.code(), code);
        assert_eq!(world.store.used(world.account(USER).await.no), (used, used));
        let next = if fit == Fit::First { 10013 } else { 0 };
        assert_eq!(world.send(json!({})).await.code(), next);
    }
}

#[tokio::test]
async fn who_is_refused_does_not_count() {
    let world = World::new().await;
    let no = world.account(USER).await.no;
    world.store.refuse("+8613800000001", Reason::RecipientRefused);
    assert_eq!(world.send(sms(phones(3))).await.code(), 10016);
    assert_eq!(world.store.used(no), (2, 2));
    assert_eq!(world.send(sms(json!(["13800000003", "+8613800000003"]))).await.code(), 0);
    assert_eq!(world.store.used(no), (3, 3), "one person is one");
}

#[tokio::test]
async fn limits_are_an_accounts_own() {
    let world = World::new().await;
    for _ in 0..6 {
        world.send(json!({})).await;
    }
    assert_eq!(world.send(json!({"token": world.admin})).await.code(), 0);
}

#[tokio::test]
async fn the_day_is_that_of_the_zone() {
    let world = World::new().await;
    world.change(USER, AccountChange { per_day: Some(1), per_hour: Some(100), ..Default::default() }).await;
    assert_eq!(world.send(json!({})).await.code(), 0);
    // 23:59:59 in Shanghai, then midnight.
    world.clock.advance(Duration::from_secs(7 * 3_600 + 36 * 60 + 28));
    let token = world.post("login", &json!({"username": USER, "password": "123456"})).await.json()["token"].clone();
    assert_eq!(world.send(json!({"token": token})).await.code(), 10013);
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(world.send(json!({"token": token})).await.code(), 0);
}

#[tokio::test]
async fn an_account_that_may_not_send() {
    let world = World::new().await;
    world.change(USER, AccountChange { available: Some(false), ..Default::default() }).await;
    assert_eq!(world.send(json!({})).await.code(), 10013);
    assert_eq!(world.send(json!({"to": "x@"})).await.code(), 10011);
    assert_eq!((world.store.sent().len(), world.store.traces().len()), (0, 1));
    world.change(USER, AccountChange { available: Some(true), per_hour: Some(0), ..Default::default() }).await;
    assert_eq!(world.send(json!({})).await.code(), 10013, "a limit of 0 is none to send by");
}

#[tokio::test]
async fn a_refused_call_leaves_one_row_and_sixty_a_minute_at_most() {
    let world = World::new().await;
    world.change(USER, AccountChange { per_hour: Some(0), ..Default::default() }).await;
    let attachment = json!({"filename": "a.txt", "file": "aGk="});
    for _ in 0..70 {
        let call = json!({"to": ["a@b.cn", "c@d.cn"], "attachment": attachment});
        assert_eq!(world.send(call).await.code(), 10013);
    }
    let traces = world.store.traces();
    assert_eq!(traces.len(), 60);
    assert_eq!((traces[0].recipient.as_str(), traces[0].accepted), ("a@b.cn", CLOCK));
    assert!(!String::from_utf8_lossy(&traces[0].content.to_bytes()).contains("a.txt"), "without its files");
    world.clock.advance(Duration::from_secs(60));
    world.send(json!({})).await;
    assert_eq!(world.store.traces().len(), 61);
}

#[tokio::test]
async fn a_refused_call_may_be_repeated_with_its_key() {
    let world = World::new().await;
    world.change(USER, AccountChange { per_hour: Some(0), ..Default::default() }).await;
    let body = world.mail(json!({})).to_string();
    let send = async || world.post_with("send", &[("idempotency-key", "k")], body.clone()).await.code();
    assert_eq!(send().await, 10013);
    world.change(USER, AccountChange { per_hour: Some(1), ..Default::default() }).await;
    assert_eq!((send().await, send().await), (0, 0));
    assert_eq!(world.store.sent().len(), 1);
}
