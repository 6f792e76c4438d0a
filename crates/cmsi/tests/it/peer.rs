//! Another service of the deployment, played by a real HTTP server: it keeps what it was asked, and answers as the test says,
//! which may be nothing at all.

use std::{
    io,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde_json::Value;
use tokio::{net::TcpListener, sync::Notify};

/// A question.
#[derive(Clone, Debug)]
pub struct Seen {
    pub path: String,
    /// The query, decoded.
    pub query: Vec<(String, String)>,
    pub headers: HeaderMap,
}

impl Seen {
    /// A parameter of the query; empty where it is not there.
    pub fn query(&self, name: &str) -> String {
        self.query.iter().find(|(n, _)| n == name).map_or_else(String::new, |(_, value)| value.clone())
    }

    /// A header; empty where it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub enum Answer {
    Json(Value),
    /// Any status and body.
    Raw(StatusCode, String),
    /// A redirect.
    Elsewhere(String),
    /// The beginning of an answer, and then the connection ends.
    Cut,
    /// None, until whoever waits for it gives up. Time is made to run for that, so that nothing waits for real.
    Never,
    /// As the inner one, once the test says so.
    Held(Arc<Notify>, Value),
}

type Answering = dyn Fn(&Seen) -> Answer + Send + Sync;

struct Inner {
    seen: Mutex<Vec<Seen>>,
    came: Notify,
    answering: Box<Answering>,
}

/// The service.
pub struct Peer {
    pub url: String,
    inner: Arc<Inner>,
}

impl Peer {
    /// A service that answers like this.
    pub async fn answering(answering: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        let inner = Arc::new(Inner { seen: Mutex::default(), came: Notify::new(), answering: Box::new(answering) });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let router = Router::new().fallback(answer).with_state(Arc::clone(&inner));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, inner }
    }

    /// A service that always answers this.
    pub async fn always(answer: Answer) -> Self {
        Self::answering(move |_| answer.clone()).await
    }

    /// An address where nobody listens.
    pub async fn nobody() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        format!("http://{}", listener.local_addr().expect("its address"))
    }

    /// What it was asked.
    pub fn seen(&self) -> Vec<Seen> {
        self.inner.seen.lock().expect("no panic").clone()
    }

    /// Waits until it was asked.
    pub async fn asked(&self) {
        self.inner.came.notified().await;
    }
}

async fn answer(State(peer): State<Arc<Inner>>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let query = form_urlencoded::parse(parts.uri.query().unwrap_or("").as_bytes()).into_owned().collect();
    let seen = Seen { path: parts.uri.path().to_owned(), query, headers: parts.headers };
    let answer = (peer.answering)(&seen);
    peer.seen.lock().expect("no panic").push(seen);
    peer.came.notify_one();
    match answer {
        Answer::Json(json) => json_of(json),
        Answer::Raw(status, body) => (status, body).into_response(),
        Answer::Elsewhere(url) => (StatusCode::FOUND, [(header::LOCATION, url)]).into_response(),
        Answer::Cut => {
            let beginning = stream::once(async { Ok(Bytes::from_static(b"{\"result\": true")) });
            let end = stream::once(async {
                // The beginning is on its way by then.
                tokio::task::yield_now().await;
                Err(io::Error::other("cut"))
            });
            Body::from_stream(beginning.chain(end)).into_response()
        }
        Answer::Never => {
            tokio::time::pause();
            std::future::pending().await
        }
        Answer::Held(until, json) => {
            until.notified().await;
            json_of(json)
        }
    }
}

fn json_of(json: Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], json.to_string()).into_response()
}
