//! Files on their way to a node, as one `multipart/form-data` body (RFC 7578) that is read from them while it is sent.

use std::{
    fs::File,
    io::{self, Read},
    path::PathBuf,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use axum::body::{Body, Bytes};
use http_body_util::BodyExt;
use hyper::{
    Method, Request, StatusCode,
    body::{Body as Sent, Frame},
    client::conn::http1,
    header,
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, sync::mpsc, time::timeout};
use tower::ServiceExt;

use crate::{account::desk::Desk, vault::random_token};

/// How long an import may take.
const PATIENCE: Duration = Duration::from_secs(30 * 60);
/// Bytes read from a file at once.
const PIECE: usize = 64 * 1024;
/// Pieces read ahead of what is sent.
const AHEAD: usize = 16;

/// A file of the body.
pub(super) struct Part {
    /// The name of the part.
    pub name: &'static str,
    /// Where the file is.
    pub path: PathBuf,
}

/// Sends files to `path` of a node, or of the store's own `/v1`; answers the status and the body of the reply.
///
/// # Errors
/// When a file cannot be read, or there is no reply.
pub(super) async fn send(desk: &Desk, path: String, parts: Vec<Part>) -> anyhow::Result<(StatusCode, String)> {
    let opened: Vec<_> = parts.into_iter().map(open).collect::<anyhow::Result<_>>()?;
    let boundary = random_token()?;
    let (pieces, arriving) = mpsc::channel(AHEAD);
    let kind = format!("multipart/form-data; boundary={boundary}");
    let reading = tokio::task::spawn_blocking(move || read(opened, &boundary, &pieces));
    let request = |host: &str, token: &str| {
        Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(header::HOST, host)
            .header(header::CONTENT_TYPE, kind)
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .body(Pieces(arriving))
    };
    let reply = match desk {
        Desk::Node { address, token } => {
            let exchange = exchange(TcpStream::connect(address).await?, request(&address.to_string(), token)?);
            let reply = timeout(PATIENCE, exchange).await.context("no reply in time")?;
            reply.with_context(|| format!("the node at {address} does not answer"))
        }
        Desk::Store { api, token, .. } => {
            let Ok(reply) = api.clone().oneshot(request("localhost", token)?.map(Body::new)).await;
            let status = reply.status();
            Ok((status, reply.into_body().collect().await?.to_bytes()))
        }
    };
    // What could not be read is why there is no reply, where there is none.
    reading.await??;
    let (status, body) = reply?;
    Ok((status, String::from_utf8(body.to_vec())?))
}

async fn exchange(stream: TcpStream, request: Request<Pieces>) -> anyhow::Result<(StatusCode, Bytes)> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let reply = sender.send_request(request).await?;
    let status = reply.status();
    Ok((status, reply.into_body().collect().await?.to_bytes()))
}

fn open(part: Part) -> anyhow::Result<(Part, File)> {
    let file = File::open(&part.path).with_context(|| format!("while opening {}", part.path.display()))?;
    ensure!(!file.metadata()?.is_dir(), "{} is a directory", part.path.display());
    Ok((part, file))
}

/// Reads the files one after the other. Whoever no longer listens has said why.
fn read(parts: Vec<(Part, File)>, boundary: &str, pieces: &mpsc::Sender<io::Result<Bytes>>) -> anyhow::Result<()> {
    for (Part { name, path }, mut file) in parts {
        let shown: String =
            path.display().to_string().chars().map(|c| if c == '"' || c.is_control() { '_' } else { c }).collect();
        let head = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{shown}\"\r\nContent-Type: text/csv\r\n\r\n"
        );
        drop(pieces.blocking_send(Ok(head.into())));
        loop {
            let mut piece = vec![0; PIECE];
            let size = match file.read(&mut piece) {
                Ok(0) => break,
                Ok(size) => size,
                Err(error) => {
                    // The body breaks off, so that nobody takes a part for the whole.
                    drop(pieces.blocking_send(Err(io::Error::from(error.kind()))));
                    return Err(error).with_context(|| format!("while reading {}", path.display()));
                }
            };
            piece.truncate(size);
            if pieces.blocking_send(Ok(piece.into())).is_err() {
                return Ok(());
            }
        }
        drop(pieces.blocking_send(Ok("\r\n".into())));
    }
    drop(pieces.blocking_send(Ok(format!("--{boundary}--\r\n").into())));
    Ok(())
}

/// A body of which one piece after the other is read.
struct Pieces(mpsc::Receiver<io::Result<Bytes>>);

impl Sent for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}
