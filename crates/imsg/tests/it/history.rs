//! Section 5 of the document, decisions 7 and 10, rows 32 and 33.

use std::{
    future::Future,
    task::{Context, Waker},
    time::Duration,
};

use axum::{body::Body, http::Request};
use hongyan_core::{account::AccountChange, delivery::Reason, store::Accounts};
use serde_json::{Value, json};

use crate::world::{USER, World};

/// The recipients of the rows of a query, in their order.
async fn to(world: &World, token: &str, query: &str) -> Vec<String> {
    let reply = world.query(token, query).await.json();
    assert_eq!(reply["errorCode"], 0, "{query}: {reply}");
    let rows = reply["total_data"].as_object().expect("an object");
    let keys: Vec<_> = rows.keys().cloned().collect();
    assert_eq!(keys, (1..=rows.len()).map(|n| n.to_string()).collect::<Vec<_>>());
    rows.values().map(|row| row["to"].as_str().expect("a text").to_owned()).collect()
}

/// A mail, an SMS and a refused notice of the user, a second apart, then a mail of the administrator.
async fn sent() -> World {
    let world = World::new().await;
    world.store.refuse("o1", Reason::NotFollowing);
    let attachment = json!({"filename": "a.txt", "file": "aGk="});
    world.send(json!({"to": "a@b.cn", "attachment": attachment})).await;
    world.clock.advance(Duration::from_secs(1));
    world.send(json!({"to": "13800000001", "method": "sms", "content": "明天下雨"})).await;
    world.clock.advance(Duration::from_secs(1));
    world.send(json!({"to": "o1", "method": "wechat", "content": "明天下雨"})).await;
    world.clock.advance(Duration::from_secs(1));
    world.send(json!({"to": "c@d.cn", "token": world.admin})).await;
    world
}

#[tokio::test]
async fn rows_as_the_original_shows_them() {
    let world = sent().await;
    let reply = world.query(&world.token, "").await.json();
    let row = |to: &str, method: &str, time: &str, content: &str, result: bool, error: &str| {
        json!({"from": USER, "ip": "192.0.2.7", "to": to, "method": method, "result": result,
            "time": format!("2026-11-22 {time}"), "content": content, "error": error})
    };
    let mail = r#"{"subject":"hello","text":"您好","attachment":["a.txt"]}"#;
    let expected = json!({"errorCode": 0, "errorMessage": "OK", "total": 3, "total_data": {
        "1": row("o1", "wechat", "16:23:33", "明天下雨", false, "用户未关注微信公众号"),
        "2": row("13800000001", "sms", "16:23:32", "明天下雨", true, "OK"),
        "3": row("a@b.cn", "smtp", "16:23:31", mail, true, "OK"),
    }});
    assert_eq!(reply, expected);
}

#[tokio::test]
async fn administrators_see_all_and_others_their_own() {
    let world = sent().await;
    let (user, admin) = (world.token.as_str(), world.admin.as_str());
    assert_eq!(to(&world, admin, "").await, ["c@d.cn", "o1", "13800000001", "a@b.cn"]);
    assert_eq!(to(&world, admin, "from=admin").await, ["c@d.cn"]);
    assert_eq!(to(&world, admin, "from=%E5%A4%A9%E5%AD%98-system-1001").await.len(), 3);
    assert_eq!(to(&world, admin, "from=nobody").await.len(), 0);
    assert_eq!(to(&world, user, "from=admin").await.len(), 0);
    assert_eq!(to(&world, user, "from=%E5%A4%A9%E5%AD%98-system-1001").await.len(), 3);
    for (token, code) in [("x", 10005), ("", 10005)] {
        assert_eq!(world.query(token, "").await.code(), code);
    }
    let request = axum::http::Request::get("/api/query").body(axum::body::Body::empty()).expect("a request");
    assert_eq!(world.request(request).await.code(), 10002);
    let request = axum::http::Request::get("/api/query").body(json!({"token": user}).to_string().into());
    assert_eq!(world.request(request.expect("a request")).await.json()["total"], 3, "the body of a GET counts too");
}

#[tokio::test]
async fn pages_and_filters() {
    let world = sent().await;
    let user = world.token.as_str();
    for (query, rows) in [
        ("size=2", vec!["o1", "13800000001"]),
        ("size=2&page=2", vec!["a@b.cn"]),
        ("page=2", vec![]),
        ("size=5000", vec!["o1", "13800000001", "a@b.cn"]),
        ("method=sms", vec!["13800000001"]),
        ("to=a%40b.cn", vec!["a@b.cn"]),
        ("to=a%00", vec![]),
        ("result=true", vec!["13800000001", "a@b.cn"]),
        ("result=False", vec!["o1"]),
        ("result=0&method=smtp", vec![]),
        ("start=2026-11-22+16:23:32", vec!["o1", "13800000001"]),
        ("end=2026-11-22T16:23:32", vec!["13800000001", "a@b.cn"]),
        ("start=2026-11-22%2016:23:32&end=2026-11-22%2016:23:32", vec!["13800000001"]),
        ("start=2026-11-22&end=2026-11-22", vec!["o1", "13800000001", "a@b.cn"]),
        ("end=2026-11-21", vec![]),
        ("unknown=1", vec!["o1", "13800000001", "a@b.cn"]),
    ] {
        assert_eq!(to(&world, user, query).await, rows, "{query}");
    }
    assert_eq!(world.query(user, "size=1").await.json()["total"], 3, "of all, not of the page");
    for (query, code) in [
        ("size=0", 10017),
        ("size=x", 10017),
        ("page=-1", 10017),
        ("page=1.5", 10017),
        ("method=mail", 10008),
        ("result=maybe", 10017),
        ("start=yesterday", 10017),
        ("end=", 10017),
    ] {
        assert_eq!(world.query(user, query).await.code(), code, "{query}");
    }
}

#[tokio::test]
async fn refused_calls_are_rows_that_failed() {
    let world = World::new().await;
    world.change(USER, AccountChange { per_hour: Some(0), ..Default::default() }).await;
    world.send(json!({"to": ["a@b.cn", "c@d.cn"]})).await;
    let reply: Value = world.query(&world.token, "").await.json();
    let row = &reply["total_data"]["1"];
    assert_eq!(
        (&reply["total"], &row["result"], &row["error"]),
        (&json!(1), &json!(false), &json!("超出发送消息的频率限制"))
    );
}

#[tokio::test]
async fn what_did_not_arrive_is_false() {
    let world = World::new().await;
    assert_eq!(world.send(json!({"to": "a@b.cn"})).await.code(), 0);
    world.store.come_back();
    let row = world.query(&world.token, "").await.json()["total_data"]["1"].clone();
    assert_eq!((&row["result"], &row["error"]), (&json!(false), &json!("系统内部错误")));
}

#[tokio::test]
async fn who_was_removed_is_a_number() {
    let world = sent().await;
    let no = world.account(USER).await.no.0;
    assert_eq!(world.store.account_remove(USER.to_owned()).await, Ok(true));
    let rows = world.query(&world.admin, "").await.json()["total_data"].clone();
    assert_eq!((&rows["1"]["from"], &rows["2"]["from"]), (&json!("admin"), &json!(format!("#{no}"))));
}

#[tokio::test]
async fn one_filtered_query_of_an_account_runs_at_a_time() {
    let world = sent().await;
    let user = world.token.as_str();
    world.store.hold_history(true);
    let running = |query: &str| {
        let request = Request::get(format!("/api/query?{query}")).header("token", user).body(Body::empty());
        let mut running = Box::pin(world.request(request.expect("a request")));
        assert!(running.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        running
    };
    let plain = running("size=1");
    let filtered = running("method=sms");
    world.store.hold_history(false);
    let reply = world.query(user, "method=smtp").await.json();
    assert_eq!((&reply["errorCode"], &reply["details"]), (&json!(10016), &json!("请稍后再试")));
    assert_eq!(world.query(user, "page=1").await.code(), 0, "what is not filtered waits for nobody");
    assert_eq!(world.query(&world.admin, "method=smtp").await.code(), 0, "another account");
    drop(filtered);
    assert_eq!(world.query(user, "method=smtp").await.code(), 0, "whoever went away holds nobody up");
    assert_eq!(world.query(user, "method=smtp").await.code(), 0);
    drop(plain);
}
