//! What is listed, to whom, and what marks do.

use std::time::Duration;

use hongyan_core::{
    content::InApp,
    delivery::State,
    inbox::{InboxFilter, NewItem},
    limits::INBOX_MARKS_MAX,
    message::Label,
    store::{Inboxes, Upkeep},
};
use hongyan_intake::html::clean;
use serde_json::json;

use crate::world::{MINE, OTHER, TRUSTED, World, about, basic, titled};

#[tokio::test]
async fn an_item_is_shown_with_all_that_is_known_of_it() {
    let world = World::new().await;
    let label = Label {
        business: "B-1".into(),
        kind: "notice".into(),
        sender_code: "zhangsan".into(),
        sender_name: "张三".into(),
        ..Label::default()
    };
    let content = InApp { title: "发工资了".into(), html: "<b>x</b>".into(), website: "/pay".into(), label };
    let id = world.send(MINE, "anna", content).await.to_string();
    let token = world.token("mine", "anna").await;
    let page = world.get("/v1/inbox", &token).await;
    let item = &page["items"][0];
    let expected = json!({
        "id": id, "broadcast": false, "message": item["message"], "app": "mine", "channel": "1002", "time": item["time"],
        "title": "发工资了", "html": "<b>x</b>", "website": "/pay", "msgType": "notice", "businessId": "B-1",
        "senderCode": "zhangsan", "senderName": "张三", "read": false, "archived": false,
    });
    assert_eq!((item, &page["next"]), (&expected, &json!(null)));
    assert!(item["time"].as_str().is_some_and(|time| time.len() == 24 && time.ends_with('Z')), "{item}");
    assert_eq!(world.get(&format!("/v1/inbox/{id}"), &token).await, expected);
    assert_eq!(world.listed("/v1/inbox?user=anna", &basic("mine")).await, [id]);
}

#[tokio::test]
async fn lists_are_filtered_and_paged() {
    let world = World::new().await;
    let mut ids = Vec::new();
    for (business, kind) in [("B-1", "notice"), ("B-1", "reminder"), ("B-2", "notice")] {
        ids.push(world.send(MINE, "anna", about(business, kind)).await.to_string());
    }
    let token = world.token("mine", "anna").await;
    let [first, second, third] = [&ids[0], &ids[1], &ids[2]];
    assert_eq!(world.mark(&format!("/v1/inbox/{first}/read"), &token, "").await, 1);
    assert_eq!(world.mark(&format!("/v1/inbox/{second}/archive"), &token, "").await, 1);
    for (query, expected) in [
        ("", vec![third, first]),
        ("?archived=all", vec![third, second, first]),
        ("?archived=true", vec![second]),
        ("?archived=false&unread=true", vec![third]),
        ("?archived=all&businessId=B-1", vec![second, first]),
        ("?msgType=notice", vec![third, first]),
        ("?archived=all&limit=2", vec![third, second]),
        (&format!("?archived=all&before={second}"), vec![first]),
        ("?businessId=B-9", vec![]),
    ] {
        assert_eq!(
            world.listed(&format!("/v1/inbox{query}"), &token).await.iter().collect::<Vec<_>>(),
            expected,
            "{query}"
        );
    }
    let page = world.get("/v1/inbox?archived=all&limit=2", &token).await;
    assert_eq!(page["next"], **second);
    for query in ["?limit=0", "?limit=101", "?before=x", "?archived=maybe", "?unknown=1", "?unread=perhaps"] {
        assert_eq!(world.call("GET", &format!("/v1/inbox{query}"), &token, "").await.0, 400, "{query}");
    }
}

#[tokio::test]
async fn marks_change_what_they_say_and_nothing_else() {
    let world = World::new().await;
    let id = world.send(MINE, "anna", titled("a")).await;
    let token = world.token("mine", "anna").await;
    let count = async || world.get("/v1/inbox/unread?user=anna", &basic("trusted")).await["unread"].clone();
    assert_eq!(count().await, 1);
    let path = |mark: &str| format!("/v1/inbox/{id}/{mark}");
    assert_eq!(world.mark(&path("read"), &token, "").await, 1);
    assert_eq!(world.state("anna", id).await, State::Read, "its message knows");
    assert_eq!(world.mark(&path("read"), &token, "").await, 0, "it was read already");
    assert_eq!(count().await, 0);
    assert_eq!(world.mark(&path("unread"), &token, "").await, 1);
    assert_eq!(count().await, 1);
    assert_eq!(world.mark(&path("archive"), &token, "").await, 1);
    assert_eq!(count().await, 0, "what is put away is not counted");
    assert_eq!(world.mark(&path("unarchive"), &token, "").await, 1);
    assert_eq!(world.call("POST", &path("burn"), &token, "").await.0, 404);
    assert_eq!(world.call("GET", &path("read"), &token, "").await.0, 405);
    assert_eq!(world.call("DELETE", &format!("/v1/inbox/{id}"), &token, "").await, (200, json!({"marked": 1})));
    assert_eq!(world.call("POST", &path("unread"), &token, "").await.0, 404, "nothing brings it back");
    assert_eq!(world.listed("/v1/inbox?archived=all", &token).await, [""; 0]);
}

#[tokio::test]
async fn many_are_read_at_once() {
    let world = World::new().await;
    let mut ids = Vec::new();
    for (business, kind) in [("B-1", "notice"), ("B-1", "reminder"), ("B-2", "notice"), ("B-3", "reminder")] {
        ids.push(world.send(MINE, "anna", about(business, kind)).await);
    }
    let bert = world.send(MINE, "bert", about("B-1", "notice")).await;
    let token = world.token("mine", "anna").await;
    assert_eq!(world.call("POST", "/v1/inbox/read", &token, "{}").await.0, 400, "nothing is not all");
    assert_eq!(world.call("POST", "/v1/inbox/read", &token, "").await.0, 400);
    assert_eq!(world.call("POST", "/v1/inbox/read-all", &token, "{\"business\":\"x\"}").await.0, 400);
    assert_eq!(world.mark("/v1/inbox/read", &token, r#"{"businessId":"B-1"}"#).await, 2);
    assert_eq!(world.mark("/v1/inbox/read-all", &token, r#"{"msgType":"reminder"}"#).await, 1);
    assert_eq!(world.state("anna", ids[3]).await, State::Read);
    assert_eq!(world.state("anna", ids[2]).await, State::Accepted);
    assert_eq!(world.mark("/v1/inbox/read-all", &token, "").await, 1);
    assert_eq!(world.get("/v1/inbox/unread", &token).await, json!({"unread": 0, "more": false}));
    assert_eq!(world.state("bert", bert).await, State::Accepted, "nobody else's");
}

/// More than one commit marks.
#[tokio::test]
async fn any_number_is_read_at_once() {
    let world = World::new().await;
    world.send(MINE, "anna", titled("t")).await;
    let filter = InboxFilter::default();
    let sent = world.store.inbox("anna".into(), filter, None, 1).await.expect("reads").remove(0);
    let numbers = world.store.ids().block(2 * INBOX_MARKS_MAX, 0, world.now()).expect("ids");
    let item = |n: usize| NewItem {
        id: numbers.plus(n),
        user: "anna".into(),
        message: sent.message,
        app: MINE,
        channel: sent.channel,
        business: String::new(),
        kind: String::new(),
        at: sent.at - Duration::from_secs(1),
    };
    world.store.inbox_put((0..2 * INBOX_MARKS_MAX).map(item).collect()).await.expect("puts");
    let token = world.token("mine", "anna").await;
    assert_eq!(world.mark("/v1/inbox/read-all", &token, "").await, 2 * INBOX_MARKS_MAX as u64 + 1);
    assert_eq!(world.get("/v1/inbox/unread", &token).await, json!({"unread": 0, "more": false}));
    assert_eq!(world.state("anna", sent.id).await, State::Read);
}

#[tokio::test]
async fn nobody_reaches_into_another_inbox() {
    let world = World::new().await;
    let id = world.send(MINE, "bert", titled("b")).await;
    let token = world.token("mine", "anna").await;
    assert_eq!(world.call("GET", &format!("/v1/inbox/{id}"), &token, "").await.0, 404);
    for mark in ["read", "unread", "archive", "unarchive", "delete"] {
        assert_eq!(world.call("POST", &format!("/v1/inbox/{id}/{mark}"), &token, "").await.0, 404, "{mark}");
    }
    assert_eq!(world.call("DELETE", &format!("/v1/inbox/{id}"), &token, "").await.0, 404);
    assert_eq!(world.call("GET", "/v1/inbox?user=bert", &token, "").await.0, 400);
    assert_eq!(world.state("bert", id).await, State::Accepted);
    assert_eq!(world.listed("/v1/inbox?user=anna", &token).await, [""; 0], "one's own name does no harm");
}

#[tokio::test]
async fn an_app_sees_and_marks_what_it_sent_and_a_trusted_one_everything() {
    let world = World::new().await;
    let mine = world.send(MINE, "anna", about("B-1", "notice")).await.to_string();
    let others = world.send(OTHER, "anna", about("B-1", "notice")).await;
    let (app, of_app, all) = (basic("mine"), world.token("mine", "anna").await, world.token("trusted", "anna").await);
    for auth in [&app, &of_app] {
        assert_eq!(world.listed("/v1/inbox?user=anna", auth).await, std::slice::from_ref(&mine));
        assert_eq!(world.get("/v1/inbox/unread?user=anna", auth).await["unread"], 1);
        for (method, path) in [("GET", ""), ("DELETE", ""), ("POST", "/read")] {
            let path = format!("/v1/inbox/{others}{path}?user=anna");
            assert_eq!(world.call(method, &path, auth, "").await.0, 404, "{method} {path}");
        }
    }
    assert_eq!(world.mark("/v1/inbox/read-all?user=anna", &app, "").await, 1);
    assert_eq!(world.mark("/v1/inbox/read?user=anna", &of_app, r#"{"businessId":"B-1"}"#).await, 0);
    assert_eq!(world.state("anna", others).await, State::Accepted);
    for auth in [&basic("trusted"), &all] {
        assert_eq!(world.listed("/v1/inbox?user=anna", auth).await, [others.to_string(), mine.clone()]);
    }
    let _third = world.send(TRUSTED, "anna", titled("t")).await;
    assert_eq!(world.mark("/v1/inbox/read-all?user=anna", &basic("trusted"), "").await, 2);
    assert_eq!(world.state("anna", others).await, State::Read);
}

#[tokio::test]
async fn a_broadcast_is_everyones_and_each_reads_it_alone() {
    let world = World::new().await;
    let id = world.broadcast(MINE, titled("all")).await.to_string();
    let (anna, bert) = (world.token("mine", "anna").await, world.token("mine", "bert").await);
    let item = world.get(&format!("/v1/inbox/{id}"), &anna).await;
    assert_eq!((&item["broadcast"], &item["message"], &item["title"]), (&json!(true), &json!(id), &json!("all")));
    assert_eq!(world.mark(&format!("/v1/inbox/{id}/read"), &anna, "").await, 1);
    assert_eq!(world.get("/v1/inbox/unread", &anna).await["unread"], 0);
    assert_eq!(world.get("/v1/inbox/unread", &bert).await["unread"], 1);
    assert_eq!(world.mark("/v1/inbox/read-all", &bert, "").await, 1);
    world.person("late", true).await;
    assert_eq!(world.listed("/v1/inbox?user=late", &basic("mine")).await, [""; 0]);
}

#[tokio::test]
async fn hostile_html_is_inert_when_it_is_read() {
    let world = World::new().await;
    let html = clean("<p onclick=alert(1)>x<script>alert(1)</script><a href=\"javascript:alert(1)\">y</a></p>");
    let id = world.send(MINE, "anna", InApp { html, ..titled("t") }).await;
    let item = world.get(&format!("/v1/inbox/{id}?user=anna"), &basic("mine")).await;
    assert_eq!(item["html"], "<p>x<a target=\"_blank\" rel=\"noopener noreferrer\">y</a></p>");
}
