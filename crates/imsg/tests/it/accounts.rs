//! Decisions 5, 6 and 10: who may register, log in and change limits, and how often they may guess.

use std::time::Duration;

use axum::http::Request;
use hongyan_core::account::{AccountChange, Role};
use hongyan_intake::{PER_DAY, PER_HOUR};
use serde_json::{Value, json};

use crate::world::{USER, World, over, without};

/// What a caller is told beside a code.
fn details(reply: &Value) -> &str {
    reply["details"].as_str().unwrap_or("")
}

#[tokio::test]
async fn the_documents_login() {
    let world = World::new().await;
    let reply = world.post("login", &json!({"username": USER, "password": "123456"})).await;
    let reply = reply.json();
    assert_eq!(reply["errorMessage"], "OK");
    let keys: Vec<_> = reply.as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["errorCode", "errorMessage", "token"]);
    assert_eq!(world.send(json!({"token": reply["token"]})).await.code(), 0);
    assert_eq!(world.send(json!({})).await.code(), 0, "a second login leaves the first token");
}

#[tokio::test]
async fn logins_that_are_none() {
    let world = World::new().await;
    let right = json!({"username": USER, "password": "123456"});
    for (changes, code) in [
        (json!({"username": null}), 10002),
        (json!({"password": null}), 10002),
        (json!({"username": null, "password": 1}), 10002),
        (json!({"username": 1}), 10017),
        (json!({"username": ["admin"]}), 10017),
        (json!({"password": 123456}), 10017),
        (json!({"password": {}}), 10017),
        (json!({"username": ""}), 10006),
        (json!({"username": "a\u{0}b"}), 10006),
        (json!({"username": "x".repeat(65)}), 10006),
        (json!({"password": ""}), 10007),
        (json!({"password": "1".repeat(100_000)}), 10007),
        (json!({"username": format!(" {USER} ")}), 0),
    ] {
        let reply = world.post("login", &over(right.clone(), changes.clone())).await;
        assert_eq!(reply.code(), code, "{changes}");
    }
    for name in ["username", "password"] {
        assert_eq!(world.post("login", &without(right.clone(), name)).await.code(), 10002, "{name}");
    }
}

#[tokio::test]
async fn a_disabled_account_is_told_so_by_the_right_password_alone() {
    let world = World::new().await;
    world.change(USER, AccountChange { enabled: Some(false), ..AccountChange::default() }).await;
    let login = async |password: &str| world.post("login", &json!({"username": USER, "password": password})).await;
    assert_eq!(login("1").await.code(), 10007);
    let reply = login("123456").await;
    assert_eq!((reply.code(), details(&reply.json())), (10016, "账号已停用"));
}

#[tokio::test]
async fn guessing_is_slowed_down_and_logging_in_is_not() {
    let world = World::new().await;
    let login = async |name: &str, password: &str| {
        world.post("login", &json!({"username": name, "password": password})).await.json()
    };
    for _ in 0..15 {
        assert_eq!(login(USER, "123456").await["errorCode"], 0);
    }
    for _ in 0..10 {
        assert_eq!(login(USER, "1").await["errorCode"], 10007);
    }
    let reply = login(USER, "1").await;
    assert_eq!((&reply["errorCode"], details(&reply)), (&json!(10016), "请稍后再试"));
    assert_eq!(login(USER, "123456").await["errorCode"], 10016, "the right one too");
    assert_eq!(login("admin", "123").await["errorCode"], 0, "another name");
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(login(USER, "123456").await["errorCode"], 0, "and again after a minute");
}

#[tokio::test]
async fn guessing_elsewhere_keeps_nobody_out_before_a_hundred() {
    let world = World::new().await;
    let login = async |client: &str, password: &str| {
        let body = json!({"username": USER, "password": password}).to_string();
        let request = Request::post("/api/login").body(body.into()).expect("a request");
        world.request_from(client, request).await.code()
    };
    for n in 1..=10 {
        let client = format!("198.51.100.{n}");
        for _ in 0..10 {
            assert_eq!(login(&client, "1").await, 10007, "{client}");
        }
        assert_eq!(login(&client, "1").await, 10016, "{client}");
        assert_eq!(login(&client, "123456").await, 10016, "{client}");
        assert_eq!(login("192.0.2.7", "123456").await, 0, "its owner after {n} others");
    }
    assert_eq!(login("192.0.2.7", "1").await, 10016, "the hundred and first");
    assert_eq!(login("192.0.2.7", "123456").await, 10016);
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(login("192.0.2.7", "123456").await, 0);
}

#[tokio::test]
async fn guessing_many_names_is_slowed_down_too() {
    let world = World::new().await;
    let mut codes = Vec::new();
    for n in 0..21 {
        codes.push(world.post("login", &json!({"username": n.to_string(), "password": "1"})).await.code());
    }
    assert_eq!((codes[19], codes[20]), (10006, 10016));
    assert_eq!(world.post("login", &json!({"username": "admin", "password": "123"})).await.code(), 10016);
}

#[tokio::test]
async fn administrators_register() {
    let world = World::new().await;
    let li = json!({"token": world.admin, "username": " 李 ", "password": "p", "email": "li@163.com",
        "per_day": 7, "per_hour": 0, "available": false});
    assert_eq!(world.post("register", &li).await.code(), 0);
    let profile = world.account("李").await.profile;
    assert_eq!((profile.per_day, profile.per_hour, profile.available, profile.role), (7, 0, false, Role::User));
    for (changes, code) in [
        (json!({}), 10004),
        (json!({"username": "wang"}), 10003),
        (json!({"username": "wang", "email": null, "wechat": ""}), 0),
        (json!({"username": null}), 10002),
        (json!({"password": null}), 10002),
        (json!({"username": 5}), 10017),
        (json!({"username": ""}), 10017),
        (json!({"username": "x".repeat(65)}), 10017),
        (json!({"username": "a\nb"}), 10017),
        (json!({"password": ""}), 10017),
        (json!({"password": true}), 10017),
        (json!({"phone": 13_800_000_001_i64}), 10017),
        (json!({"per_day": -1}), 10017),
        (json!({"per_hour": true}), 10017),
        (json!({"available": 1}), 10017),
        (json!({"token": world.token}), 10016),
        (json!({"token": "x"}), 10005),
        (json!({"token": null}), 10002),
    ] {
        let reply = world.post("register", &over(li.clone(), changes.clone())).await;
        assert_eq!(reply.code(), code, "{changes}: {}", reply.json());
    }
}

#[tokio::test]
async fn anybody_registers_where_it_is_open_and_not_without_end() {
    let world = World::with(|plan| plan.settings.imsg_open_register = true).await;
    let register = async |name: &str| {
        let body = json!({"username": name, "password": "p", "per_day": 1_000_000, "available": false});
        world.post("register", &body).await
    };
    assert_eq!(register("li").await.code(), 0);
    let profile = world.account("li").await.profile;
    let is_default = (profile.per_day, profile.per_hour, profile.available) == (PER_DAY, PER_HOUR, true);
    assert!(is_default, "limits are an administrator's to give");
    for n in 1..20 {
        assert_eq!(register(&n.to_string()).await.code(), 0);
    }
    let reply = register("20").await;
    assert_eq!((reply.code(), details(&reply.json())), (10016, "请稍后再试"));
    let admin = json!({"username": "20", "password": "p", "token": world.admin});
    assert_eq!(world.post("register", &admin).await.code(), 0);
    let stale = json!({"username": "21", "password": "p", "token": "x"});
    assert_eq!(world.post("register", &stale).await.code(), 10005);
}

#[tokio::test]
async fn limits_are_changed_whole_or_not_at_all() {
    let world = World::new().await;
    let path = "modify/%E5%A4%A9%E5%AD%98-system-1001";
    let right = json!({"token": world.admin, "per_day": 30, "per_hour": 7});
    for (changes, code) in [
        (json!({"per_day": null}), 10002),
        (json!({"per_hour": null}), 10002),
        (json!({"per_day": "30"}), 10017),
        (json!({"per_day": 30.0}), 10017),
        (json!({"per_day": true}), 10017),
        (json!({"per_day": [30]}), 10017),
        (json!({"per_hour": {}}), 10017),
        (json!({"per_hour": -1}), 10017),
        (json!({"per_hour": 4_294_967_296_i64}), 10017),
        (json!({"available": "true"}), 10017),
        (json!({"available": 0}), 10017),
        (json!({"available": false, "per_day": null}), 10002),
        (json!({"available": "x", "per_day": null}), 10017),
        (json!({"token": null}), 10002),
        (json!({"token": "x"}), 10005),
        (json!({"token": world.token}), 10016),
    ] {
        let reply = world.post(path, &over(right.clone(), changes.clone())).await;
        assert_eq!(reply.code(), code, "{changes}");
        let profile = world.account(USER).await.profile;
        assert_eq!((profile.per_day, profile.per_hour, profile.available), (20, 5, true), "{changes}");
    }
    assert_eq!(world.post(path, &right).await.code(), 0);
    let profile = world.account(USER).await.profile;
    assert_eq!((profile.per_day, profile.per_hour, profile.available), (30, 7, true));
    assert_eq!(world.post(path, &over(right.clone(), json!({"available": false}))).await.code(), 0);
    assert!(!world.account(USER).await.profile.available);
    assert_eq!(world.post("modify/nobody", &right).await.code(), 10006);
    assert_eq!(world.post("modify/a%00b", &right).await.code(), 10006);
    assert_eq!(world.post("modify", &right).await.code(), 0, "the caller's own");
    assert_eq!(world.account("admin").await.profile.per_day, 30);
}

#[tokio::test]
async fn users_change_their_own_limits_only_where_they_may() {
    for (may, code) in [(false, 10016), (true, 0)] {
        let world = World::with(|plan| plan.settings.imsg_self_modify = may).await;
        let body = json!({"token": world.token, "per_day": 1, "per_hour": 1});
        for path in ["modify", "modify/", "modify/%E5%A4%A9%E5%AD%98-system-1001"] {
            assert_eq!(world.post(path, &body).await.code(), code, "{path}");
        }
        for path in ["modify/admin", "modify/nobody"] {
            let reply = world.post(path, &body).await;
            assert_eq!((reply.code(), details(&reply.json())), (10016, "无权修改"), "{path}");
        }
    }
}
