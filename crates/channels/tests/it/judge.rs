//! An HTTP server that does what a test tells it, right or wrong, and remembers every request.

use std::{
    io,
    sync::{Arc, Mutex},
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// What a judge does once it has read a request.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    /// Answers with this status, and keeps the connection.
    Answer(&'static str),
    /// Writes this as it is, and keeps the connection.
    Say(&'static str),
    /// Writes this as it is, and closes the connection.
    SayAndClose(&'static str),
    /// Resets the connection.
    Reset,
}

/// A running judge.
pub struct Judge {
    pub port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

/// One request.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// Which connection it came by.
    pub connection: usize,
    pub request: String,
    pub body: Value,
}

impl Drop for Judge {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Judge {
    /// Does `act` at every request.
    pub async fn start(act: Act) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let task = tokio::spawn(accept(listener, act, Arc::clone(&seen)));
        Self { port, seen, task }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/judge", self.port)
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no panic").clone()
    }
}

async fn accept(listener: TcpListener, act: Act, seen: Arc<Mutex<Vec<Seen>>>) {
    let mut connection = 0;
    while let Ok((stream, _)) = listener.accept().await {
        connection += 1;
        let (connection, seen) = (connection, Arc::clone(&seen));
        tokio::spawn(async move {
            // A connection that breaks is what many tests want.
            let _ = serve(BufReader::new(stream), connection, act, &seen).await;
        });
    }
}

async fn serve(
    mut stream: BufReader<TcpStream>,
    connection: usize,
    act: Act,
    seen: &Mutex<Vec<Seen>>,
) -> io::Result<()> {
    loop {
        let (mut request, mut length) = (String::new(), 0);
        stream.read_line(&mut request).await?;
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            if line == "\r\n" {
                break;
            }
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        let body = serde_json::from_slice(&body).expect("JSON");
        seen.lock().expect("no panic").push(Seen { connection, request: request.trim_end().to_owned(), body });
        match act {
            Act::Answer(status) => {
                let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 4\r\n\r\nword");
                stream.write_all(answer.as_bytes()).await?;
            }
            Act::Say(text) => stream.write_all(text.as_bytes()).await?,
            Act::SayAndClose(text) => return stream.write_all(text.as_bytes()).await,
            Act::Reset => return stream.get_ref().set_zero_linger(),
        }
    }
}
