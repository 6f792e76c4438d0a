//! What happens around a message: bodies that are too large, too slow or cut off, a store that is away, a provider that takes
//! its time.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    http::{Request, StatusCode},
};
use hongyan_core::{limits, store::StoreError};
use hyper::body::Frame;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::world::{Reply, World, mail};

/// A body that comes in pieces and does not say how long it is.
struct Pieces {
    left: VecDeque<Bytes>,
    end: End,
}

#[derive(Clone, Copy)]
enum End {
    Proper,
    CutOff,
    Never,
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match (self.left.pop_front(), self.end) {
            (Some(piece), _) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            (None, End::Proper) => Poll::Ready(None),
            (None, End::CutOff) => Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into()))),
            (None, End::Never) => Poll::Pending,
        }
    }
}

fn pieces(text: &str, size: usize, end: End) -> Body {
    let left = text.as_bytes().chunks(size).map(Bytes::copy_from_slice).collect();
    Body::new(Pieces { left, end })
}

async fn post(world: &World, body: Body) -> Reply {
    world.post_with("send_mail", &[("Content-Type", "application/json")], body).await
}

/// A right mail of exactly `size` bytes.
fn sized(size: usize) -> String {
    let frame = mail(json!({"content": "x"})).to_string().len() - 1;
    mail(json!({"content": "x".repeat(size - frame)})).to_string()
}

fn assert_too_large(reply: &Reply) {
    reply.assert_five_keys();
    assert_eq!((reply.status, reply.code()), (StatusCode::BAD_REQUEST, json!(1_306_406)));
    assert_eq!((reply.message().as_str(), reply.closes), ("Request body exceeds 10 MiB", true));
}

#[tokio::test]
async fn ten_mebibytes_are_taken_and_a_byte_more_is_not() {
    let world = World::new();
    let largest = sized(limits::BODY_BYTES_MAX);
    assert_eq!(post(&world, largest.clone().into()).await.code(), json!(0));
    assert_eq!(post(&world, pieces(&largest, 60_000, End::Proper)).await.code(), json!(0));
    assert_eq!(world.store.count(), 2);
    let larger = sized(limits::BODY_BYTES_MAX + 1);
    assert_too_large(&post(&world, larger.clone().into()).await);
    assert_too_large(&post(&world, pieces(&larger, 60_000, End::Proper)).await);
    assert_too_large(&post(&world, pieces(&larger, larger.len(), End::Proper)).await);
    // A client that asks first, or announces far too much, is answered without its body.
    let asks = [("Content-Length", "10485761"), ("Expect", "100-continue")];
    assert_too_large(&world.post_with("send_mail", &asks, pieces("", 1, End::Never)).await);
    let announces = [("Content-Length", "99999999999")];
    assert_too_large(&world.post_with("send_mail", &announces, pieces("", 1, End::Never)).await);
    assert_eq!(world.store.count(), 2);
}

#[tokio::test]
async fn the_memory_for_bodies_is_given_back() {
    let world = World::new();
    let body = sized(limits::BODY_BYTES_MAX);
    let rounds = 2 * limits::BODIES_IN_MEMORY_BYTES_MAX / limits::BODY_BYTES_MAX;
    for _ in 0..rounds {
        assert_eq!(post(&world, body.clone().into()).await.code(), json!(0));
    }
}

#[tokio::test(start_paused = true)]
async fn large_bodies_that_stop_arriving_do_not_hold_up_small_ones() {
    let world = World::new();
    let (large, small) = (sized(limits::BODY_BYTES_MAX), mail(json!({})).to_string());
    let stuck = fill_the_room(&world, &large);
    let quick = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let began = Instant::now();
        assert_eq!(post(&world, small.into()).await.code(), json!(0));
        assert_eq!(began.elapsed(), Duration::ZERO);
        // A large one waits until they are given up, and no longer.
        assert_eq!(post(&world, large.clone().into()).await.code(), json!(0));
        assert_eq!(began.elapsed().as_secs(), limits::BODY_TIME_MAX.as_secs() - 1);
    };
    tokio::join!(stuck, quick);
}

/// As many large bodies as there is room for; each stops after 100 KB.
async fn fill_the_room(world: &World, large: &str) {
    let stuck = || post(world, pieces(&large[..100_000], 50_000, End::Never));
    tokio::join!(stuck(), stuck(), stuck(), stuck(), stuck(), stuck());
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stops_arriving_is_given_up() {
    let world = World::new();
    for (first, length) in [("{\"title\"", None), ("", None), ("{", Some("1000"))] {
        let began = Instant::now();
        let headers: Vec<_> = length.map(|length| ("Content-Length", length)).into_iter().collect();
        let reply = world.post_with("send_mail", &headers, pieces(first, 3, End::Never)).await;
        reply.assert_five_keys();
        assert_eq!((reply.status, reply.closes), (StatusCode::BAD_REQUEST, true));
        assert_eq!(reply.message(), "Request body did not arrive in time");
        assert_eq!(began.elapsed().as_secs(), limits::BODY_TIME_MAX.as_secs());
    }
    let reply = post(&world, pieces("{\"title\"", 3, End::CutOff)).await;
    assert_eq!((reply.message().as_str(), reply.closes), ("Request body did not arrive whole", true));
    assert_eq!(world.store.count(), 0);
}

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
