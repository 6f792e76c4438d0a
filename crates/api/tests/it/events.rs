//! Streams of what is new.

use std::time::Duration;

use hongyan_api::InboxPace;
use hongyan_core::{inbox::InboxToken, limits::INBOX_STREAMS_PER_PERSON_MAX, store::Inboxes};
use ring::digest::{SHA256, digest};
use serde_json::json;

use crate::world::{MINE, OTHER, World, basic, titled};

const EVENTS: &str = "/v1/inbox/events";

#[tokio::test]
async fn what_comes_is_told_and_so_is_what_is_unread() {
    let world = World::new().await;
    let before = world.send(MINE, "anna", titled("before")).await;
    let token = world.token("mine", "anna").await;
    let mut stream = world.stream(EVENTS, &token, None).await;
    assert_eq!(stream.any().await.expect("a first event").data, json!({"unread": 1, "more": false}));
    world.send(MINE, "bert", titled("not for anna")).await;
    let id = world.send(MINE, "anna", titled("new")).await;
    let told = stream.any().await.expect("an event");
    assert_eq!((told.name.as_str(), told.id), ("item", id.to_string()), "{}", told.data);
    assert_eq!(told.data, world.get(&format!("/v1/inbox/{id}"), &token).await);
    assert_eq!(stream.any().await.expect("an event").data["unread"], 2);
    world.mark(&format!("/v1/inbox/{before}/read"), &token, "").await;
    assert_eq!(stream.any().await.expect("an event").data["unread"], 1);
    let all = world.broadcast(MINE, titled("all")).await;
    assert_eq!(stream.next("item").await.data["id"], all.to_string());
}

#[tokio::test]
async fn a_stream_goes_on_behind_the_last_event() {
    let world = World::new().await;
    let token = world.token("mine", "anna").await;
    let mut stream = world.stream(EVENTS, &token, None).await;
    let mut ids = Vec::new();
    for title in ["a", "b"] {
        ids.push(world.send(MINE, "anna", titled(title)).await.to_string());
    }
    assert_eq!(stream.next("item").await.data["id"], *ids[0]);
    let last = stream.next("item").await;
    assert_eq!((&last.data["id"], &last.id), (&json!(ids[1]), &format!("{},{}", ids[1], ids[0])));
    drop(stream);
    for title in ["c", "d"] {
        ids.push(world.send(MINE, "anna", titled(title)).await.to_string());
    }
    let mut stream = world.stream(EVENTS, &token, Some(&last.id)).await;
    for id in &ids[2..] {
        assert_eq!(stream.next("item").await.data["id"], **id);
    }
    // Behind one of which nobody says what was told before it: what is near it is told again, and it is not.
    let mut stream = world.stream(EVENTS, &token, Some(&ids[1])).await;
    for id in [&ids[0], &ids[2], &ids[3]] {
        assert_eq!(stream.next("item").await.data["id"], **id);
    }
    let mut fresh = world.stream(EVENTS, &token, Some("no id")).await;
    let next = world.send(MINE, "anna", titled("e")).await;
    assert_eq!(fresh.next("item").await.data["id"], next.to_string(), "what is no id of ours is none");
}

#[tokio::test]
async fn an_app_hears_of_its_own_items_only() {
    let world = World::new().await;
    let mut mine = world.stream("/v1/inbox/events?user=anna", &basic("mine"), None).await;
    let mut all = world.stream("/v1/inbox/events?user=anna", &basic("trusted"), None).await;
    let others = world.send(OTHER, "anna", titled("other")).await.to_string();
    let own = world.send(MINE, "anna", titled("mine")).await.to_string();
    assert_eq!(mine.next("item").await.data["id"], *own);
    assert_eq!(mine.next("unread").await.data["unread"], 1);
    assert_eq!(all.next("item").await.data["id"], *others);
    assert_eq!(all.next("item").await.data["id"], *own);
}

#[tokio::test]
async fn a_stream_ends_with_its_token_and_with_the_node() {
    let world = World::new().await;
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, b"short").as_ref());
    let kept = InboxToken { user: "anna".into(), app: MINE };
    world.store.inbox_token_add(kept, hash, world.now() + Duration::from_secs(1)).await.expect("keeps");
    let short = world.stream(EVENTS, "Bearer short", None).await;
    short.end().await;

    let token = world.token("mine", "anna").await;
    let disabled = world.stream(EVENTS, &token, None).await;
    world.person("anna", false).await;
    disabled.end().await;

    let stopped = world.stream("/v1/inbox/events?user=bert", &basic("mine"), None).await;
    world.inbox.close();
    stopped.end().await;
    assert_eq!(world.call("GET", "/v1/inbox/events?user=bert", &basic("mine"), "").await.0, 503);
}

#[tokio::test]
async fn a_stream_shows_that_it_is_there() {
    let pace = InboxPace { heartbeat: Duration::from_millis(50), ..InboxPace::default() };
    let world = World::paced(pace).await;
    let mut stream = world.stream("/v1/inbox/events?user=anna", &basic("mine"), None).await;
    assert_eq!(stream.comment().await, "heartbeat");
}

#[tokio::test]
async fn streams_are_bounded_and_one_that_ends_makes_room() {
    let world = World::new().await;
    let path = "/v1/inbox/events?user=anna";
    let mut streams = Vec::new();
    for _ in 0..INBOX_STREAMS_PER_PERSON_MAX {
        streams.push(world.stream(path, &basic("mine"), None).await);
    }
    assert_eq!(world.call("GET", path, &basic("mine"), "").await.0, 503);
    streams.pop();
    world.stream(path, &basic("mine"), None).await;
}
