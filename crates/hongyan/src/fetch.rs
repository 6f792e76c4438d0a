//! The smallest HTTP client that the program needs to speak to a node: one request, one connection, no TLS.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use anyhow::Context;
use axum::body::Bytes;
use base64::{Engine, engine::general_purpose::STANDARD};
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, StatusCode, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::{net::TcpStream, time::timeout};

/// How long a request may take, unless it says otherwise.
const PATIENCE: Duration = Duration::from_secs(60);

/// A request to a node.
#[derive(Clone)]
pub struct Call {
    method: Method,
    path: String,
    kind: &'static str,
    authorization: Option<String>,
    body: String,
    patience: Duration,
}

impl Call {
    /// A request without a body.
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        let path = path.into();
        Self { method, path, kind: "application/json", authorization: None, body: String::new(), patience: PATIENCE }
    }

    /// A look-up.
    pub fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    /// A request with a JSON body.
    pub fn post(path: impl Into<String>, body: impl Into<String>) -> Self {
        Self::new(Method::POST, path).with(body)
    }

    /// With this body.
    pub fn with(self, body: impl Into<String>) -> Self {
        Self { body: body.into(), ..self }
    }

    /// With a body of another kind, and patience for it.
    pub fn of_kind(self, kind: &'static str, patience: Duration) -> Self {
        Self { kind, patience, ..self }
    }

    /// With the administrator's token.
    pub fn by(self, token: &str) -> Self {
        Self { authorization: Some(format!("Bearer {token}")), ..self }
    }

    /// By the app with this code and secret.
    pub fn by_app(self, code: &str, secret: &str) -> Self {
        let credentials = STANDARD.encode(format!("{code}:{secret}"));
        Self { authorization: Some(format!("Basic {credentials}")), ..self }
    }

    /// As it goes to `host`.
    ///
    /// # Errors
    /// When the path is none.
    pub fn request(self, host: &str) -> anyhow::Result<Request<Full<Bytes>>> {
        let request = Request::builder()
            .method(self.method)
            .uri(self.path)
            .header(header::HOST, host)
            .header(header::CONTENT_TYPE, self.kind);
        let request = match self.authorization {
            Some(authorization) => request.header(header::AUTHORIZATION, authorization),
            None => request,
        };
        Ok(request.body(Full::new(Bytes::from(self.body)))?)
    }
}

/// Sends a request and answers the status and body of the reply.
///
/// # Errors
/// When the connection fails or the reply does not come in time.
pub async fn fetch(address: SocketAddr, call: Call) -> anyhow::Result<(StatusCode, String)> {
    let patience = call.patience;
    let request = call.request(&address.to_string())?;
    timeout(patience, exchange(address, request)).await.context("no reply in time")?
}

async fn exchange(address: SocketAddr, request: Request<Full<Bytes>>) -> anyhow::Result<(StatusCode, String)> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let reply = sender.send_request(request).await?;
    let status = reply.status();
    let body = reply.into_body().collect().await?;
    Ok((status, String::from_utf8(body.to_bytes().to_vec())?))
}

/// The address that `--server` names: `HOST:PORT`, with or without `http://` before it.
///
/// # Errors
/// When it names none.
pub async fn resolve(server: &str) -> anyhow::Result<SocketAddr> {
    let host = server.strip_prefix("http://").unwrap_or(server).trim_end_matches('/');
    let mut found =
        tokio::net::lookup_host(host).await.with_context(|| format!("--server {server:?} is not HOST:PORT"))?;
    found.next().with_context(|| format!("--server {server:?} has no address"))
}

/// Where a node that listens on `listen` is reached from its own machine.
pub fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// `text` as a part of a path, whatever is in it.
pub fn path_segment(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_node_is_found_where_it_can_be_reached() {
        let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
        assert_eq!(reachable(address("0.0.0.0:8080")), address("127.0.0.1:8080"));
        assert_eq!(reachable(address("[::]:8080")), address("[::1]:8080"));
        assert_eq!(reachable(address("10.1.2.3:8080")), address("10.1.2.3:8080"));
        assert_eq!(resolve("http://127.0.0.1:81/").await.expect("an address"), address("127.0.0.1:81"));
        assert!(resolve("nonsense").await.is_err());
    }

    #[test]
    fn any_name_is_a_part_of_a_path() {
        assert_eq!(path_segment("存 a/b..c%?1"), "%E5%AD%98%20a%2Fb%2E%2Ec%25%3F1");
    }
}
