//! What happens around a message: bodies in pieces and of other kinds, a store that is away, a provider that takes its time.

use std::time::Duration;

use axum::http::{Request, StatusCode};
use hongyan_core::store::StoreError;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    bodies::{End, pieces, post},
    world::{World, mail},
};

#[tokio::test]
async fn a_body_in_pieces_is_put_together_and_a_compressed_one_is_refused() {
    let world = World::new();
    let body = mail(json!({"title": "鸿雁"})).to_string();
    for size in [1, 7, body.len()] {
        assert_eq!(post(&world, pieces(&body, size, End::Proper)).await.code(), json!(0));
        assert_eq!(world.store.last().1.subject, "鸿雁");
    }
    for encoding in ["gzip", "br", "identity, gzip"] {
        let reply = world.post_with("send_mail", &[("Content-Encoding", encoding)], body.clone()).await;
        reply.assert_five_keys();
        assert_eq!((reply.status, reply.code()), (StatusCode::OK, json!(1_306_406)), "{encoding}");
        assert!(reply.message().contains("Content-Encoding"));
    }
    assert_eq!(world.store.count(), 3);
    let plain = world.post_with("send_mail", &[("Content-Encoding", "identity")], body).await;
    assert_eq!(plain.code(), json!(0));
}

#[tokio::test]
async fn forms_are_read_too_and_files_in_them_are_no_parameters() {
    let world = World::new();
    let form = "application/x-www-form-urlencoded; charset=utf-8";
    let fields =
        "bk_app_code=app1&bk_app_secret=sec1&bk_username=admin&content=c&title=a&receiver=a%40b.com%3Bc%40d.com";
    let reply = world.post_with("send_mail", &[("Content-Type", form)], format!("{fields}&title=b+c")).await;
    assert_eq!(reply.code(), json!(0), "{}", reply.message());
    let (_, stored, reached, _) = world.store.last();
    assert_eq!((stored.subject.as_str(), reached), ("b c", vec!["a@b.com".to_owned(), "c@d.com".to_owned()]));
    let part =
        |name: &str, value: &str| format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    let mut body = String::new();
    for field in fields.split('&') {
        let (name, value) = field.split_once('=').expect("a pair");
        body += &part(name, &value.replace("%40", "@").replace("%3B", ";"));
    }
    body += &part("title\"; filename=\"x", "from a file");
    body += "--b--\r\n";
    let reply = world.post_with("send_mail", &[("Content-Type", "multipart/form-data; boundary=b")], body).await;
    assert_eq!(reply.code(), json!(0), "{}", reply.message());
    assert_eq!(world.store.last().1.subject, "a");
}

#[tokio::test]
async fn a_store_that_is_busy_or_away_is_told_in_the_dialects_words() {
    let world = World::new();
    let by_name = mail(json!({"receiver": null, "receiver__username": "admin"}));
    for trouble in [
        StoreError::Busy("queue".into()),
        StoreError::Unavailable { why: "disk full".into(), certain: true },
        StoreError::Unavailable { why: "no answer".into(), certain: false },
        StoreError::Corrupt("x".into()),
    ] {
        world.store.fail(Some(trouble));
        for body in [&mail(json!({})), &by_name] {
            let reply = world.post("send_mail", body).await;
            reply.assert_five_keys();
            assert_eq!((reply.status, reply.code()), (StatusCode::OK, json!(1_306_000)));
            assert_eq!(reply.message(), "The message could not be stored, please try again later");
            assert_eq!(reply.json()["data"], Value::Null);
        }
    }
    world.store.fail(None);
    assert_eq!(world.post("send_mail", &by_name).await.code(), json!(0), "it recovers without a restart");
    assert_eq!(world.store.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn at_the_deadline_the_answer_is_success_because_the_message_is_durable() {
    for wait in [Duration::ZERO, Duration::from_secs(8)] {
        let world = World::with(|plan| plan.settings.cmsi_wait = wait);
        world.store.stop_delivering();
        let began = Instant::now();
        let reply = world.post("send_mail", &mail(json!({}))).await;
        assert_eq!((reply.code(), reply.invalid()), (json!(0), json!([])));
        assert_eq!(began.elapsed().as_secs(), wait.as_secs());
    }
}

#[tokio::test]
async fn a_channel_that_is_off_or_missing_takes_nothing() {
    let world = World::with(|plan| plan.channels[0].enabled = false);
    let reply = world.post("send_mail", &mail(json!({}))).await;
    assert_eq!((reply.code(), reply.message().as_str()), (json!(1_306_405), "Not found, inactive channel"));
    reply.assert_five_keys();
    assert_eq!(world.store.count(), 0);
    let world = World::with(|plan| plan.channels.clear());
    let reply = world.post("send_mail", &mail(json!({"cc": "c@d.com"}))).await;
    assert_eq!(reply.message(), "Unfinished interface shall be improved by the component developer");
    assert_eq!(reply.invalid(), json!(["a@b.com", "c@d.com"]), "nobody was delivered");
    assert_eq!(world.store.count(), 0);
}

#[tokio::test]
async fn addresses_are_given_once_and_copies_count_like_receivers() {
    let world = World::new();
    world.store.refuse("c@d.com");
    let body = mail(json!({"receiver": "a@b.com,a@B.com,c@d.com", "cc": "a@b.com;x@y.cn"}));
    let reply = world.post("send_mail", &body).await;
    assert_eq!(reply.message(), "Some users failed to send email. The following users were refused: c@d.com");
    assert_eq!(reply.invalid(), json!(["c@d.com"]));
    let (_, stored, reached, _) = world.store.last();
    assert_eq!(reached, ["a@b.com", "c@d.com", "x@y.cn"]);
    assert_eq!((stored.to.len(), stored.cc.len()), (2, 1));
}

#[tokio::test]
async fn a_get_reads_its_query_and_nothing_else() {
    let world = World::new();
    let path = "/api/c/compapi/cmsi/send_mail/?bk_app_code=app1&bk_app_secret=sec1&bk_username=admin&title=t&content=c";
    let body = pieces(&mail(json!({})).to_string(), 9, End::Never);
    let reply = world.request(Request::get(path).body(body).expect("a request")).await;
    assert_eq!(reply.message(), "Receiver [receiver, receiver__username] shall not be empty at the same time");
}
