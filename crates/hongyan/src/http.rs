//! Listening, and which part of the node answers which path. Connections, headers and bodies have limits in size and time,
//! so that nobody can hold a node up by being slow ([`limits`]).

use std::{io, net::IpAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request, header},
    response::{IntoResponse, Response},
};
use hongyan_api::Problem;
use hongyan_cmsi::{ClientAddress, Cmsi};
use hongyan_core::limits;
use hongyan_imsg::Imsg;
use hongyan_push::Push;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use ipnet::IpNet;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::{
    patience::{Patient, Phase},
    status::Status,
};

/// How long a stopping node waits for requests that are being answered.
const STOP_WAIT: Duration = Duration::from_secs(10);
/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4_096;

/// The parts that answer.
pub struct Parts {
    /// `/healthz`, `/readyz`, `/metrics`.
    pub status: Arc<Status>,
    /// `/api/c/compapi/…`
    pub cmsi: Cmsi,
    /// `/api/openApi/…`
    pub push: Push,
    /// The rest of `/api/…`
    pub imsg: Imsg,
    /// `/v1/inbox/…`
    pub inbox: Router,
    /// The rest of `/v1/…`
    pub api: Router,
    /// `/callbacks/…` and `/weixin/bind`.
    pub callbacks: Router,
    /// Whose word counts about where a request comes from.
    pub proxies: Vec<IpNet>,
}

impl Parts {
    async fn answer(&self, request: Request<Incoming>) -> Response {
        let path = request.uri().path();
        if path.starts_with("/api/c/compapi") {
            return self.cmsi.handle(request).await;
        }
        if path == "/api/openApi" || path.starts_with("/api/openApi/") {
            return self.push.handle(request).await;
        }
        if path == "/api" || path.starts_with("/api/") {
            return self.imsg.handle(request).await;
        }
        if path == "/v1/inbox" || path.starts_with("/v1/inbox/") {
            let Ok(response) = self.inbox.clone().oneshot(request.map(Body::new)).await;
            return response;
        }
        if path.starts_with("/v1/") {
            let Ok(response) = self.api.clone().oneshot(request.map(Body::new)).await;
            return response;
        }
        if path.starts_with("/callbacks/") || path == "/weixin/bind" {
            let Ok(response) = self.callbacks.clone().oneshot(request.map(Body::new)).await;
            return response;
        }
        match self.status.answer(path).await {
            Some(response) => response,
            None => Problem::not_found("there is nothing at this path").into_response(),
        }
    }
}

/// Listens on `address`.
///
/// # Errors
/// When the address cannot be had: it is in use or not of this machine.
pub fn listen(address: std::net::SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// How many connections may be open at a time: half of the files that the process may open, so that clients cannot take those
/// that sending and storing need. The system's soft limit is raised as far as it may be.
fn connections_max() -> usize {
    let files = rlimit::increase_nofile_limit(4 * limits::HTTP_CONNECTIONS_MAX as u64).unwrap_or(1_024);
    usize::try_from(files / 2).unwrap_or(usize::MAX).clamp(16, limits::HTTP_CONNECTIONS_MAX)
}

/// Serves until `stop`, then lets the requests that are being answered end.
pub async fn serve(listener: TcpListener, parts: Arc<Parts>, stop: CancellationToken) {
    let connections = Arc::new(Semaphore::new(connections_max()));
    let graceful = GracefulShutdown::new();
    loop {
        let permit = tokio::select! {
            permit = Arc::clone(&connections).acquire_owned() => permit,
            () = stop.cancelled() => break,
        };
        let stream = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        match stream {
            Ok((stream, peer)) => {
                let serving = graceful.watch(connection(stream, peer.ip(), Arc::clone(&parts)));
                tokio::spawn(async move {
                    if let Err(error) = serving.await {
                        tracing::debug!(%error, "a connection ended early");
                    }
                    drop(permit);
                });
            }
            Err(error) => {
                // No file descriptors left, most likely: wait for some rather than spin.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(STOP_WAIT, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests were still being answered when the node stopped");
    }
}

fn connection(
    stream: TcpStream,
    peer: IpAddr,
    parts: Arc<Parts>,
) -> http1::Connection<
    TokioIo<Patient<TcpStream>>,
    impl hyper::service::HttpService<Incoming, ResBody = Body, Error = std::convert::Infallible, Future: Send>,
> {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection keeps its delay");
    }
    let phase = Phase::default();
    let stream = Patient::new(stream, phase.clone());
    let service = service_fn(move |mut request: Request<Incoming>| {
        let (parts, phase) = (Arc::clone(&parts), phase.clone());
        async move {
            phase.busy();
            let client = ClientAddress(client(peer, request.headers(), &parts.proxies));
            request.extensions_mut().insert(client);
            let mut response = parts.answer(request).await;
            response
                .headers_mut()
                .entry(header::X_CONTENT_TYPE_OPTIONS)
                .or_insert(header::HeaderValue::from_static("nosniff"));
            phase.idle();
            Ok(response)
        }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::IDLE_TIME_MAX)
        .max_headers(100)
        .max_buf_size(64 * 1024)
        .serve_connection(TokioIo::new(stream), service)
}

/// Where a request comes from: the address of its connection, or if that is a proxy of ours, the last address in what it and the
/// proxies before it say that is none.
fn client(peer: IpAddr, headers: &HeaderMap, proxies: &[IpNet]) -> IpAddr {
    let is_proxy = |address: &IpAddr| proxies.iter().any(|proxy| proxy.contains(address));
    let peer = peer.to_canonical();
    if !is_proxy(&peer) {
        return peer;
    }
    let said: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|v| v.split(','))
        .collect();
    let mut client = peer;
    for text in said.into_iter().rev() {
        // What is no address was written by somebody whom no proxy of ours knows.
        let Ok(address) = text.trim().parse::<IpAddr>() else { break };
        client = address.to_canonical();
        if !is_proxy(&client) {
            break;
        }
    }
    client
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_word_of_our_proxies_counts() {
        let proxies = ["10.0.0.0/8", "127.0.0.1/32"].map(|net| net.parse().expect("a network"));
        for (peer, said, is) in [
            ("192.0.2.1", "198.51.100.7", "192.0.2.1"),
            ("127.0.0.1", "", "127.0.0.1"),
            ("127.0.0.1", "198.51.100.7", "198.51.100.7"),
            ("::ffff:127.0.0.1", "198.51.100.7", "198.51.100.7"),
            ("127.0.0.1", "203.0.113.9, 198.51.100.7, 10.1.2.3", "198.51.100.7"),
            ("127.0.0.1", "198.51.100.7, unknown", "127.0.0.1"),
            ("127.0.0.1", "10.1.2.3", "10.1.2.3"),
            ("127.0.0.1", "2001:db8::1", "2001:db8::1"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("x-forwarded-for", said.parse().expect("a header"));
            let found = client(peer.parse().expect("an address"), &headers, &proxies);
            assert_eq!(found.to_string(), is, "{peer} says {said}");
        }
    }

    #[tokio::test]
    async fn an_address_in_use_is_an_error() {
        let first = listen("127.0.0.1:0".parse().expect("an address")).expect("a free port");
        assert!(listen(first.local_addr().expect("its address")).is_err());
    }
}
