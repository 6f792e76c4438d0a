//! The HTTP API of a provider, scripted: it does at each path what a test tells it, right or wrong, and remembers every request
//! as it was on the wire.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use reqwest::Url;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

/// What a fake does at one request.
#[derive(Clone)]
pub enum Act {
    /// Answers 200 with this JSON.
    Json(Value),
    /// Answers with this status (`503 Service Unavailable`), these header lines (`Retry-After: 7\r\n`) and this body.
    Answer(&'static str, &'static str, String),
    /// Writes this as it is and closes the connection.
    Raw(&'static str),
    /// Answers 200 and never stops.
    Flood,
    /// Closes the connection.
    Cut,
    /// Resets the connection.
    Reset,
    /// Says nothing and keeps the connection.
    Hang,
    /// Waits for this long, and then does the other.
    After(Duration, Box<Act>),
    /// Decides by the request.
    By(Arc<dyn Fn(&Request) -> Act + Send + Sync>),
}

impl Act {
    /// Decides by the request.
    pub fn by(decide: impl Fn(&Request) -> Self + Send + Sync + 'static) -> Self {
        Self::By(Arc::new(decide))
    }
}

/// One request, as it came.
#[derive(Clone, Debug)]
pub struct Request {
    /// Which connection it came by, from 1.
    pub connection: usize,
    pub method: String,
    /// Path and query, as on the wire.
    pub target: String,
    /// The names as they were written, in order.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    fn url(&self) -> Url {
        Url::parse(&format!("http://fake{}", self.target)).expect("a target")
    }

    pub fn path(&self) -> String {
        self.url().path().to_owned()
    }

    /// The decoded value of a parameter of the query.
    pub fn query(&self, name: &str) -> Option<String> {
        self.url().query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }

    /// The value of a header, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a body of JSON")
    }
}

/// A running fake.
pub struct Fake {
    pub port: u16,
    state: Arc<State>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    scripts: Mutex<HashMap<String, Vec<Act>>>,
    seen: Mutex<Vec<Request>>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Fake {
    /// A fake that answers 404 everywhere.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let state = Arc::<State>::default();
        let task = tokio::spawn(accept(listener, Arc::clone(&state)));
        Self { port, state, task }
    }

    /// A fake that does `act` at every request for `path`.
    pub async fn with(path: &str, act: Act) -> Self {
        let fake = Self::start().await;
        fake.on(path, [act]);
        fake
    }

    /// Does these at requests for `path`, one after the other, and the last for all that follow.
    pub fn on(&self, path: &str, acts: impl IntoIterator<Item = Act>) {
        let mut acts: Vec<Act> = acts.into_iter().collect();
        acts.reverse();
        self.state.scripts.lock().expect("no panic").insert(path.to_owned(), acts);
    }

    /// Where it is, as a `base_url`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// All requests, in the order in which they were whole.
    pub fn seen(&self) -> Vec<Request> {
        self.state.seen.lock().expect("no panic").clone()
    }

    /// The requests for `path`.
    pub fn seen_at(&self, path: &str) -> Vec<Request> {
        self.seen().into_iter().filter(|request| request.path() == path).collect()
    }
}

/// An address at which nobody listens.
pub async fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    format!("http://{}", listener.local_addr().expect("an address"))
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    let (mut connection, mut serving) = (0, JoinSet::new());
    while let Ok((stream, _)) = listener.accept().await {
        connection += 1;
        let state = Arc::clone(&state);
        serving.spawn(async move {
            // A connection that breaks is what many tests want.
            let _ = serve(BufReader::new(stream), connection, &state).await;
        });
    }
}

async fn serve(mut stream: BufReader<TcpStream>, connection: usize, state: &State) -> io::Result<()> {
    while let Some(request) = read(&mut stream, connection).await? {
        let act = state.next(&request);
        state.seen.lock().expect("no panic").push(request.clone());
        match come_to(act, &request).await {
            Act::Json(body) => {
                answer(&mut stream, "200 OK", "Content-Type: application/json\r\n", &body.to_string()).await?
            }
            Act::Answer(status, headers, body) => answer(&mut stream, status, headers, &body).await?,
            Act::Raw(text) => return stream.write_all(text.as_bytes()).await,
            Act::Flood => {
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
                loop {
                    stream.write_all(&[b'x'; 4096]).await?;
                }
            }
            Act::Reset => return stream.get_ref().set_zero_linger(),
            Act::Hang => std::future::pending().await,
            Act::Cut | Act::By(_) | Act::After(..) => return Ok(()),
        }
    }
    Ok(())
}

impl State {
    fn next(&self, request: &Request) -> Act {
        let mut scripts = self.scripts.lock().expect("no panic");
        match scripts.get_mut(&request.path()) {
            Some(acts) if acts.len() > 1 => acts.pop().expect("more than one"),
            Some(acts) => acts[0].clone(),
            None => Act::Answer("404 Not Found", "", String::new()),
        }
    }
}

/// Waits and decides until there is something to do.
async fn come_to(mut act: Act, request: &Request) -> Act {
    loop {
        act = match act {
            Act::By(decide) => decide(request),
            Act::After(wait, then) => {
                tokio::time::sleep(wait).await;
                *then
            }
            done => return done,
        };
    }
}

async fn read(stream: &mut BufReader<TcpStream>, connection: usize) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.push((name.to_owned(), value.trim().to_owned())),
            None => break,
        }
    }
    let mut request = Request { connection, method, target, headers, body: Vec::new() };
    let length = request.header("content-length").map_or(0, |length| length.parse().expect("a length"));
    request.body.resize(length, 0);
    stream.read_exact(&mut request.body).await?;
    Ok(Some(request))
}

async fn answer(stream: &mut BufReader<TcpStream>, status: &str, headers: &str, body: &str) -> io::Result<()> {
    let length = body.len();
    let answer = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n{body}");
    stream.write_all(answer.as_bytes()).await
}
