//! Large bodies and slow ones: how much is taken, how long it is waited for, and what they may hold up.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    http::StatusCode,
};
use hongyan_core::limits;
use hyper::body::Frame;
use serde_json::json;
use tokio::time::{Instant, Sleep, sleep};

use crate::world::{Reply, World, mail};

/// A body that comes in pieces and does not say how long it is.
struct Pieces {
    left: VecDeque<Bytes>,
    end: End,
    /// What passes before each piece but the first, and before the end.
    pause: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
}

#[derive(Clone, Copy)]
pub enum End {
    Proper,
    CutOff,
    Never,
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Some(sleep) = &mut self.sleep {
            ready!(sleep.as_mut().poll(cx));
        }
        self.sleep = (!self.pause.is_zero()).then(|| Box::pin(sleep(self.pause)));
        match (self.left.pop_front(), self.end) {
            (Some(piece), _) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            (None, End::Proper) => Poll::Ready(None),
            (None, End::CutOff) => Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into()))),
            (None, End::Never) => Poll::Pending,
        }
    }
}

pub fn pieces(text: &str, size: usize, end: End) -> Body {
    slow(text.as_bytes().chunks(size).map(Bytes::copy_from_slice).collect(), Duration::ZERO, end)
}

fn slow(left: VecDeque<Bytes>, pause: Duration, end: End) -> Body {
    Body::new(Pieces { left, end, pause, sleep: None })
}

/// The first `start` bytes at once, then `step` bytes with every `pause`.
fn tail(text: &Bytes, start: usize, step: usize, pause: Duration) -> Body {
    let mut left = VecDeque::from([text.slice(..start)]);
    left.extend((start..text.len()).step_by(step).map(|at| text.slice(at..text.len().min(at + step))));
    slow(left, pause, End::Proper)
}

pub async fn post(world: &World, body: Body) -> Reply {
    world.post_with("send_mail", &[("Content-Type", "application/json")], body).await
}

async fn timed(world: &World, body: Body) -> (Reply, Duration) {
    let began = Instant::now();
    (post(world, body).await, began.elapsed())
}

/// All the answers, the requests being there at the same time.
async fn together(posts: impl Iterator<Item = impl Future<Output = (Reply, Duration)>>) -> Vec<(Reply, Duration)> {
    let mut posts: Vec<_> = posts.map(Box::pin).collect();
    let mut answers: Vec<_> = posts.iter().map(|_| None).collect();
    std::future::poll_fn(|cx| {
        for (post, answer) in posts.iter_mut().zip(&mut answers).filter(|(_, answer)| answer.is_none()) {
            if let Poll::Ready(ready) = post.as_mut().poll(cx) {
                *answer = Some(ready);
            }
        }
        if answers.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    answers.into_iter().flatten().collect()
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

fn assert_too_slow(reply: &Reply) {
    reply.assert_five_keys();
    assert_eq!((reply.status, reply.closes), (StatusCode::BAD_REQUEST, true));
    assert_eq!(reply.message(), "Request body did not arrive in time");
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

/// A second later, a 200 kB mail and a small one are sent without any wait.
async fn assert_prompt(world: &World) {
    sleep(Duration::from_secs(1)).await;
    for size in [200_000, 300] {
        let (reply, took) = timed(world, pieces(&sized(size), 50_000, End::Proper)).await;
        assert_eq!((reply.code(), took), (json!(0), Duration::ZERO), "{size}");
    }
}

#[tokio::test(start_paused = true)]
async fn large_bodies_that_stop_arriving_hold_up_nobody_and_are_soon_given_up() {
    let world = World::new();
    let large = sized(limits::BODY_BYTES_MAX);
    let stuck = together((0..20).map(|_| timed(&world, pieces(&large[..100_000], 50_000, End::Never))));
    let (stuck, ()) = tokio::join!(stuck, assert_prompt(&world));
    for (reply, took) in stuck {
        assert_too_slow(&reply);
        assert_eq!(took.as_secs(), 5);
    }
    // However much was sent before: all the room is in use, and free again as soon.
    let stuck = together((0..7).map(|_| timed(&world, pieces(&large[..9_500_000], 1_000_000, End::Never))));
    let later = async {
        sleep(Duration::from_secs(1)).await;
        timed(&world, sized(200_000).into()).await
    };
    let (_, (reply, took)) = tokio::join!(stuck, later);
    assert_eq!((reply.code(), took.as_secs()), (json!(0), 4));
}

#[tokio::test(start_paused = true)]
async fn the_rest_of_a_body_that_is_too_large_holds_no_room() {
    let world = World::new();
    let larger = Bytes::from(sized(limits::BODY_BYTES_MAX + 1));
    let halves = || VecDeque::from([larger.slice(..limits::BODY_BYTES_MAX), larger.slice(limits::BODY_BYTES_MAX..)]);
    let stuck = together((0..7).map(|_| timed(&world, slow(halves(), Duration::ZERO, End::Never))));
    let (stuck, ()) = tokio::join!(stuck, assert_prompt(&world));
    for (reply, took) in stuck {
        assert_too_large(&reply);
        assert_eq!(took, limits::BODY_TIME_MAX);
    }
}

#[tokio::test(start_paused = true)]
async fn a_large_body_must_keep_a_pace() {
    let world = World::new();
    let large = Bytes::from(sized(300_000));
    let second = Duration::from_secs(1);
    let (reply, took) = timed(&world, tail(&large, 70_000, 20_000, second)).await;
    assert_eq!((reply.code(), took.as_secs()), (json!(0), 13));
    // At half the pace, what is allowed to be behind is used up in twice its time.
    let (reply, took) = timed(&world, tail(&large, 70_000, 8_192, second)).await;
    assert_too_slow(&reply);
    assert!((8..=11).contains(&took.as_secs()), "{took:?}");
    // A small one holds no room and may take its time.
    let (reply, took) = timed(&world, tail(&Bytes::from(sized(1_000)), 500, 30, second)).await;
    assert_eq!((reply.code(), took.as_secs()), (json!(0), 18));
}

#[tokio::test(start_paused = true)]
async fn large_bodies_that_come_at_the_same_time_do_not_wait_for_each_other_for_ever() {
    let world = World::new();
    let large = Bytes::from(sized(limits::BODY_BYTES_MAX));
    let body = || tail(&large, 1 << 19, 1 << 19, Duration::from_millis(100));
    for (reply, took) in together((0..12).map(|_| timed(&world, body()))).await {
        assert_eq!(reply.code(), json!(0), "{} after {took:?}", reply.message());
    }
    assert_eq!(world.store.count(), 12);
}

#[tokio::test(start_paused = true)]
async fn a_large_body_that_gets_no_room_is_told_to_come_back_later() {
    let world = World::new();
    let large = Bytes::from(sized(limits::BODY_BYTES_MAX));
    // Six with all that is shared, and one that may grow.
    let body = || tail(&large, 9 << 20, 1 << 16, Duration::from_secs(3));
    let holders = together((0..7).map(|_| timed(&world, body())));
    let later = async {
        sleep(Duration::from_secs(1)).await;
        let (reply, took) = timed(&world, pieces(&sized(200_000), 50_000, End::Proper)).await;
        reply.assert_five_keys();
        assert_eq!((reply.status, reply.code()), (StatusCode::OK, json!(1_306_000)));
        assert_eq!(reply.message(), "The message could not be stored, please try again later");
        assert_eq!(took.as_secs(), 10);
        assert_eq!(world.store.count(), 0);
        assert_eq!(post(&world, mail(json!({})).to_string().into()).await.code(), json!(0), "small ones never wait");
    };
    tokio::join!(holders, later);
    assert_eq!(post(&world, large.into()).await.code(), json!(0), "the room is given back");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stops_arriving_is_given_up() {
    let world = World::new();
    for (first, length) in [("{\"title\"", None), ("", None), ("{", Some("1000"))] {
        let began = Instant::now();
        let headers: Vec<_> = length.map(|length| ("Content-Length", length)).into_iter().collect();
        assert_too_slow(&world.post_with("send_mail", &headers, pieces(first, 3, End::Never)).await);
        assert_eq!(began.elapsed().as_secs(), limits::BODY_TIME_MAX.as_secs());
    }
    let reply = post(&world, pieces("{\"title\"", 3, End::CutOff)).await;
    assert_eq!((reply.message().as_str(), reply.closes), ("Request body did not arrive whole", true));
    assert_eq!(world.store.count(), 0);
}
