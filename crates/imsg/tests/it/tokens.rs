//! Decision 3 and rows 1 to 3: where a token may stand, and when it counts.

use std::time::Duration;

use hongyan_core::account::AccountChange;
use serde_json::{Value, json};

use crate::world::{USER, World, without};

#[tokio::test]
async fn the_body_comes_before_headers_and_headers_before_the_query() {
    let world = World::new().await;
    world.change(USER, AccountChange { per_hour: Some(1_000), ..Default::default() }).await;
    let send = async |headers: &[(&str, &str)], query: &str, body: Value| {
        world.post_with(&format!("send{query}"), headers, body.to_string()).await.code()
    };
    let bare = || without(world.mail(json!({})), "token");
    let (good, bearer) = (world.token.as_str(), format!("bearer {}", world.token));
    assert_eq!(send(&[], "", bare()).await, 10002);
    assert_eq!(send(&[("authorization", "Basic eA==")], "", bare()).await, 10002);
    assert_eq!(send(&[("authorization", &bearer)], "", bare()).await, 0);
    assert_eq!(send(&[("token", good)], "", bare()).await, 0);
    assert_eq!(send(&[], &format!("?token={good}"), bare()).await, 0);
    assert_eq!(send(&[("token", "x")], &format!("?token={good}"), bare()).await, 10005);
    assert_eq!(send(&[("token", good)], "", world.mail(json!({"token": "x"}))).await, 10005);
    assert_eq!(send(&[("token", good)], "", world.mail(json!({"token": null}))).await, 0);
    let bad = "?token=x";
    assert_eq!(send(&[("token", "x")], bad, world.mail(json!({}))).await, 0, "the body's is the one");
    assert_eq!(send(&[("token", good)], bad, bare()).await, 0, "a header's before the query's");
    assert_eq!(send(&[("authorization", &bearer), ("token", "x")], bad, bare()).await, 0, "Bearer before both");
    assert_eq!(send(&[("authorization", "Bearer x"), ("token", good)], "", bare()).await, 10005);
}

#[tokio::test]
async fn what_is_no_token() {
    let world = World::new().await;
    let cut = &world.token[1..];
    for token in [json!(""), json!(" "), json!(cut), json!("x".repeat(43)), json!("x".repeat(1 << 20)), json!(5)] {
        assert_eq!(world.send(json!({"token": token})).await.code(), 10005);
    }
    for token in [json!([world.token]), json!({"a": 1}), json!(true), json!(format!("{}=", world.token))] {
        assert_eq!(world.send(json!({"token": token})).await.code(), 10005, "{token}");
    }
    assert_eq!(world.store.sent().len(), 0);
}

#[tokio::test]
async fn white_space_does_not_count() {
    let world = World::new().await;
    let printed = format!("\t{}\t\t{}\r\n", &world.token[..20], &world.token[20..]);
    assert_eq!(world.send(json!({"token": printed})).await.code(), 0);
}

#[tokio::test]
async fn a_token_ends_with_its_time() {
    let world = World::new().await;
    world.clock.advance(Duration::from_millis(2_999_999));
    assert_eq!(world.send(json!({})).await.code(), 0);
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(world.send(json!({})).await.code(), 10005, "using it made it no longer");
}

#[tokio::test]
async fn a_token_lives_as_long_as_the_deployment_says() {
    let world = World::with(|plan| plan.settings.imsg_token_ttl = Duration::from_secs(1)).await;
    let reply = world.post("login", &json!({"username": USER, "password": "123456"})).await.json();
    assert_eq!(world.send(json!({"token": reply["token"]})).await.code(), 0);
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(world.send(json!({"token": reply["token"]})).await.code(), 10005);
}

#[tokio::test]
async fn a_token_ends_with_the_password_and_with_the_account() {
    let none = AccountChange::default();
    let disabled = AccountChange { enabled: Some(false), ..none.clone() };
    let password = AccountChange { password: Some("$argon2id$another".into()), ..none.clone() };
    for (change, code) in [(none, 0), (disabled, 10005), (password, 10005)] {
        let world = World::new().await;
        world.change(USER, change).await;
        assert_eq!(world.send(json!({})).await.code(), code);
    }
}
