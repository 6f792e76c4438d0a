//! The smallest HTTP client that the demonstration needs to speak to itself: one request, one connection, on loopback.

use std::{net::SocketAddr, time::Duration};

use anyhow::Context;
use axum::body::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

/// How long a request may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Sends a request with a JSON body (POST) or without a body (GET) and answers the body of the reply.
///
/// # Errors
/// When the connection fails or the reply does not come in time.
pub async fn fetch(address: SocketAddr, path: &str, token: Option<&str>, body: Option<&str>) -> anyhow::Result<String> {
    let request = Request::builder()
        .method(if body.is_some() { "POST" } else { "GET" })
        .uri(path)
        .header(header::HOST, address.to_string())
        .header(header::CONTENT_TYPE, "application/json");
    let request = match token {
        Some(token) => request.header(header::AUTHORIZATION, format!("Bearer {token}")),
        None => request,
    };
    let request = request.body(Full::new(Bytes::from(body.unwrap_or_default().to_owned())))?;
    timeout(PATIENCE, exchange(address, request)).await.context("no reply in time")?
}

async fn exchange(address: SocketAddr, request: Request<Full<Bytes>>) -> anyhow::Result<String> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let reply = sender.send_request(request).await?.into_body().collect().await?;
    Ok(String::from_utf8(reply.to_bytes().to_vec())?)
}
