//! Who is let in: tokens, and apps by their secrets.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use hongyan_core::{inbox::InboxToken, store::Inboxes};
use ring::digest::{SHA256, digest};
use serde_json::json;

use crate::world::{MINE, World, basic, declared};

#[tokio::test]
async fn nobody_is_let_in_without_credentials_that_count() {
    let world = World::new().await;
    let wrong_secret = format!("Basic {}", STANDARD.encode("mine:other-secret"));
    for auth in ["", "Bearer", "Bearer x", "Basic x", "Digest x", &basic("nobody"), &wrong_secret] {
        for (method, path) in [
            ("GET", "/v1/inbox?user=anna"),
            ("GET", "/v1/inbox/unread?user=anna"),
            ("GET", "/v1/inbox/events?user=anna"),
            ("GET", "/v1/inbox/1?user=anna"),
            ("POST", "/v1/inbox/1/read?user=anna"),
            ("DELETE", "/v1/inbox/1?user=anna"),
            ("POST", "/v1/inbox/read?user=anna"),
            ("POST", "/v1/inbox/read-all?user=anna"),
            ("POST", "/v1/inbox/tokens"),
        ] {
            let (status, answer) = world.call(method, path, auth, r#"{"user":"anna"}"#).await;
            assert_eq!((status, &answer["status"]), (401, &json!(401)), "{auth:?} {method} {path}: {answer}");
        }
    }
}

#[tokio::test]
async fn an_app_names_a_person_who_is_there() {
    let world = World::new().await;
    let app = basic("mine");
    assert_eq!(world.call("GET", "/v1/inbox", &app, "").await.0, 400);
    assert_eq!(world.call("GET", "/v1/inbox?user=", &app, "").await.0, 400);
    assert_eq!(world.call("GET", "/v1/inbox?user=nobody", &app, "").await.0, 404);
    assert_eq!(world.call("GET", "/v1/inbox/events?user=nobody", &app, "").await.0, 404);
    assert_eq!(world.call("GET", "/v1/inbox/x?user=anna", &app, "").await.0, 400);
    assert_eq!(world.call("GET", "/v1/inbox/1?user=anna", &app, "").await.0, 404);
    assert_eq!(world.call("GET", "/v1/inbox/a/b/c", &app, "").await.0, 404);
    assert_eq!(world.call("PUT", "/v1/inbox", &app, "").await.0, 405);
}

#[tokio::test]
async fn a_token_is_made_for_an_enabled_person_and_a_day_at_most() {
    let world = World::new().await;
    world.person("gone", false).await;
    let asked = async |body: &str| world.call("POST", "/v1/inbox/tokens", &basic("mine"), body).await;
    for (body, status) in [
        (r#"{"user":"anna","ttl":86400}"#, 201),
        (r#"{"user":"anna","ttl":1}"#, 201),
        (r#"{"user":"anna","ttl":86401}"#, 400),
        (r#"{"user":"anna","ttl":0}"#, 400),
        (r#"{"user":"anna","ttl":-1}"#, 400),
        (r#"{"user":"anna","ttl":"1h"}"#, 400),
        (r#"{"user":"anna","who":1}"#, 400),
        (r#"{"user":"nobody"}"#, 404),
        (r#"{"user":"gone"}"#, 404),
        ("{}", 400),
        ("", 400),
    ] {
        assert_eq!(asked(body).await.0, status, "{body}");
    }
    let (before, (_, answer)) = (world.now(), asked(r#"{"user":"anna"}"#).await);
    assert_eq!((&answer["user"], answer["token"].as_str().map(str::len)), (&json!("anna"), Some(43)));
    let expires: String = answer["expires"].as_str().expect("a moment").into();
    let expires = expires.parse::<jiff::Timestamp>().expect("RFC 3339").as_millisecond() - before.ms();
    assert!((3_600_000..3_660_000).contains(&expires), "an hour, not {expires} ms");
    let person = world.token("mine", "anna").await;
    let (status, _) = world.call("POST", "/v1/inbox/tokens", &person, r#"{"user":"bert"}"#).await;
    assert_eq!(status, 401, "a person makes no tokens");
}

#[tokio::test]
async fn a_token_counts_until_its_time_its_person_or_its_app_is_gone() {
    let world = World::new().await;
    let token = world.token("mine", "anna").await;
    assert_eq!(world.call("GET", "/v1/inbox", &token, "").await.0, 200);
    assert_eq!(world.call("GET", "/v1/inbox", &format!("{token}x"), "").await.0, 401);
    world.person("anna", false).await;
    assert_eq!(world.call("GET", "/v1/inbox", &token, "").await.0, 401);
    world.person("anna", true).await;
    assert_eq!(world.call("GET", "/v1/inbox", &token, "").await.0, 200);
    world.setup.set(declared(true));
    assert_eq!(world.call("GET", "/v1/inbox", &token, "").await.0, 401);
    world.setup.set(declared(false));

    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, b"old").as_ref());
    let kept = InboxToken { user: "anna".into(), app: MINE };
    world.store.inbox_token_add(kept, hash, world.now() - Duration::from_secs(1)).await.expect("keeps");
    assert_eq!(world.call("GET", "/v1/inbox", "Bearer old", "").await.0, 401);
}
