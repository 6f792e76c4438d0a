//! The bounds of the HTTP client: of answers, and of connections that nothing uses.

use std::time::Duration;

use hongyan_channels::http::{Http, Reached};
use reqwest::{Method, Request, Url};

use crate::{
    fake::{Act, Fake},
    sms::LIMITS,
};

fn request(fake: &Fake) -> Request {
    Request::new(Method::POST, Url::parse(&fake.url()).expect("an address"))
}

fn http() -> Http {
    Http::new(LIMITS).expect("a client")
}

#[tokio::test]
async fn answers_are_bounded() {
    const MAX: usize = 1024 * 1024;
    let body = |length| Act::Answer("200 OK", "", "x".repeat(length));
    let fake = Fake::start().await;
    fake.on("/", [body(MAX), body(MAX + 1)]);
    let http = http();
    assert_eq!(http.call(request(&fake)).await.map(|reply| reply.body.len()), Ok(MAX));
    let over = http.call(request(&fake)).await.expect_err("too long");
    assert_eq!((over.reached, over.why.as_str()), (Reached::Perhaps, "its answer is over 1048576 bytes"));
    // Without a length, and without an end.
    let endless = Fake::with("/", Act::Flood).await;
    assert_eq!(http.call(request(&endless)).await.expect_err("too long"), over);
}

#[tokio::test]
async fn connections_that_nothing_uses_are_not_kept() {
    let fake = Fake::with("/", Act::Answer("200 OK", "", String::new())).await;
    let http = http();
    for idle_s in [0, 4, 6, 0] {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(idle_s)).await;
        tokio::time::resume();
        http.call(request(&fake)).await.expect("an answer");
    }
    let connections: Vec<usize> = fake.seen().iter().map(|request| request.connection).collect();
    assert_eq!(connections, [1, 1, 2, 2]);
}
