//! From a host name to a connection: the look-up, then each address in its turn (RFC 5321 section 5.1), each with a limit of its
//! own, so that one dead address does not use up the time of those behind it.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};

use super::{settings::Settings, wire::WireError};

/// Connects to the provider.
pub(super) async fn connect(settings: &Settings) -> Result<TcpStream, WireError> {
    let limit = settings.timeouts.lookup;
    let lookup = timeout(limit, lookup_host((settings.host.as_str(), settings.port)));
    let addresses = match lookup.await {
        Ok(found) => found.map_err(WireError::Lookup)?,
        Err(_) => return Err(WireError::Lookup(io::Error::new(io::ErrorKind::TimedOut, late(limit)))),
    };
    let stream = first_of(addresses, settings.timeouts.connect).await?;
    // A transaction is two small writes, each awaiting replies: without this, Nagle and delayed ACKs cost 40 ms apiece.
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A connection to the first address that takes one; else why the last one did not.
async fn first_of(addresses: impl Iterator<Item = SocketAddr>, limit: Duration) -> Result<TcpStream, WireError> {
    let mut failure = WireError::Lookup(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    for address in addresses {
        let error = match timeout(limit, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => error,
            Err(_) => io::Error::new(io::ErrorKind::TimedOut, late(limit)),
        };
        failure = WireError::Unreachable { address, error };
    }
    Err(failure)
}

fn late(limit: Duration) -> String {
    format!("no answer within {limit:?}")
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    const SHORT: Duration = Duration::from_millis(300);

    /// An address that answers nothing: a listener with as many connections as it holds, and those. The kernel leaves any
    /// further one unanswered.
    async fn deaf() -> (SocketAddr, TcpListener, Vec<TcpStream>) {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(([127, 0, 0, 1], 0).into()).expect("a free port");
        let listener = socket.listen(0).expect("listening");
        let address = listener.local_addr().expect("an address");
        let mut held = Vec::new();
        while let Ok(stream) = timeout(SHORT, TcpStream::connect(address)).await {
            held.push(stream.expect("a connection"));
        }
        (address, listener, held)
    }

    /// An address at which nobody listens.
    async fn closed() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0").await.expect("a free port").local_addr().expect("an address")
    }

    #[tokio::test]
    async fn a_dead_address_takes_no_time_from_the_next() {
        let (deaf, _listener, _held) = deaf().await;
        let alive = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let alive_at = alive.local_addr().expect("an address");
        let begun = Instant::now();
        let stream = first_of([deaf, closed().await, deaf, alive_at].into_iter(), SHORT).await.expect("a connection");
        assert_eq!(stream.peer_addr().expect("an address"), alive_at);
        assert!(begun.elapsed() >= 2 * SHORT, "each has its own limit");
    }

    #[tokio::test]
    async fn the_last_failure_is_named() {
        let ((deaf, _listener, _held), closed) = (deaf().await, closed().await);
        for (addresses, why) in [
            ([deaf, closed], format!("cannot connect to {closed}: Connection refused")),
            ([closed, deaf], format!("cannot connect to {deaf}: no answer within 300ms")),
        ] {
            let error = first_of(addresses.into_iter(), SHORT).await.expect_err("no connection").to_string();
            assert!(error.starts_with(&why), "{error}");
        }
        let error = first_of([].into_iter(), SHORT).await.expect_err("no connection").to_string();
        assert_eq!(error, "the look-up of the server's name failed: the name has no address");
    }
}
