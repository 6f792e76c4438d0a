//! How long a node waits for a client: a connection may be idle for a while between requests, as pooled ones are, but a request
//! that has begun must have its headers through in a few seconds. hyper has one timer for both; here is the second.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll},
};

use hongyan_core::limits;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

/// Nothing of the next request has arrived.
const IDLE: u8 = 0;
/// Some of its headers have.
const BEGUN: u8 = 1;
/// The request is being answered.
const BUSY: u8 = 2;

/// What the service tells the connection that it serves.
#[derive(Clone, Debug)]
pub struct Phase(Arc<AtomicU8>);

impl Default for Phase {
    /// A new connection is expected to begin at once.
    fn default() -> Self {
        Self(Arc::new(AtomicU8::new(BEGUN)))
    }
}

impl Phase {
    /// The headers are there.
    pub fn busy(&self) {
        self.0.store(BUSY, Ordering::Relaxed);
    }

    /// The answer is made; what arrives now is another request.
    pub fn idle(&self) {
        self.0.store(IDLE, Ordering::Relaxed);
    }
}

/// A connection that is given up when the headers of a request that has begun do not arrive in
/// [`limits::HEADERS_TIME_MAX`].
pub struct Patient<S> {
    stream: S,
    phase: Phase,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<S> Patient<S> {
    /// Watches `stream`; whoever answers its requests keeps `phase` up to date.
    pub fn new(stream: S, phase: Phase) -> Self {
        Self { stream, phase, deadline: None }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if read.is_ready() && buffer.filled().len() > before {
            let begins = self.phase.0.compare_exchange(IDLE, BEGUN, Ordering::Relaxed, Ordering::Relaxed);
            if begins.is_ok() {
                self.deadline = None;
            }
            return read;
        }
        if read.is_pending() && self.phase.0.load(Ordering::Relaxed) == BEGUN {
            let deadline =
                self.deadline.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + limits::HEADERS_TIME_MAX)));
            if deadline.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, duplex},
        time::timeout,
    };

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_new_connection_has_no_time_to_lose() {
        let (_client, server) = duplex(64);
        let mut server = Patient::new(server, Phase::default());
        let silent = timeout(2 * limits::HEADERS_TIME_MAX, server.read(&mut [0; 1])).await;
        assert_eq!(silent.expect("in time").expect_err("given up").kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_request_that_has_begun_is_hurried() {
        let (mut client, server) = duplex(64);
        let phase = Phase::default();
        let mut server = Patient::new(server, phase.clone());
        let mut byte = [0; 1];
        let long = 10 * limits::HEADERS_TIME_MAX;

        phase.idle();
        assert!(timeout(long, server.read(&mut byte)).await.is_err(), "an idle connection is left alone");
        client.write_all(b"P").await.expect("written");
        assert_eq!(server.read(&mut byte).await.expect("read"), 1);
        phase.busy();
        assert!(timeout(long, server.read(&mut byte)).await.is_err(), "so is one whose request is being answered");
        phase.idle();
        client.write_all(b"P").await.expect("written");
        assert_eq!(server.read(&mut byte).await.expect("read"), 1);
        let late = timeout(limits::HEADERS_TIME_MAX + Duration::from_secs(1), server.read(&mut byte)).await;
        assert_eq!(late.expect("in time").expect_err("given up").kind(), io::ErrorKind::TimedOut);
    }
}
