//! Bytes to and from an SMTP server: one buffer in, one out, both kept for the life of the connection; every wait has an end.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::client::TlsStream;

use super::{
    reply::{LINE_BYTES_MAX, Partial, Reply, ReplyError},
    tls::Encryption,
};

/// What is read at a time. A line must fit.
const INPUT_BYTES: usize = 4 * 1024;
/// What an output buffer may keep allocated between messages.
const OUTPUT_BYTES_KEPT: usize = 256 * 1024;

const _: () = assert!(LINE_BYTES_MAX < INPUT_BYTES);

/// Why a connection is of no more use.
#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
    #[error("the look-up of the server's name failed: {0}")]
    Lookup(io::Error),
    #[error("cannot connect to {address}: {error}")]
    Unreachable { address: SocketAddr, error: io::Error },
    #[error("the server closed the connection")]
    Closed,
    #[error("the server did not answer within {0:?}")]
    Silent(Duration),
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Reply(#[from] ReplyError),
    #[error("the server answered out of turn: {0}")]
    OutOfTurn(String),
    #[error("the server sent something in the clear behind its answer to STARTTLS")]
    Injected,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer).await,
            Self::Tls(stream) => stream.read(buffer).await,
        }
    }

    async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.write_all(bytes).await,
            Self::Tls(stream) => {
                stream.write_all(bytes).await?;
                stream.flush().await
            }
        }
    }
}

/// A connection.
pub(super) struct Wire {
    stream: Stream,
    input: Box<[u8]>,
    /// What of `input` has been read and not yet used.
    start: usize,
    end: usize,
    /// What is to be written next.
    pub(super) output: Vec<u8>,
}

impl Wire {
    pub(super) fn plain(stream: TcpStream) -> Self {
        Self::over(Stream::Plain(stream))
    }

    fn over(stream: Stream) -> Self {
        Self { stream, input: vec![0; INPUT_BYTES].into(), start: 0, end: 0, output: Vec::with_capacity(INPUT_BYTES) }
    }

    /// The same connection under TLS, from its first byte or after STARTTLS.
    ///
    /// # Errors
    /// [`WireError::Injected`] when something is left that was read in the clear (the STARTTLS injection of CVE-2011-0411);
    /// what the handshake says.
    pub(super) async fn encrypted(self, encryption: &Encryption, limit: Duration) -> Result<Self, WireError> {
        if self.start != self.end {
            return Err(WireError::Injected);
        }
        let Stream::Plain(stream) = self.stream else { return Ok(self) };
        let handshake = encryption.connector.connect(encryption.name.clone(), stream);
        let stream = timeout(limit, handshake).await.map_err(|_| WireError::Silent(limit))??;
        Ok(Self::over(Stream::Tls(Box::new(stream))))
    }

    pub(super) const fn is_encrypted(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
    }

    /// Adds a command line to what is to be written.
    pub(super) fn command(&mut self, parts: &[&str]) {
        for part in parts {
            self.output.extend_from_slice(part.as_bytes());
        }
        self.output.extend_from_slice(b"\r\n");
    }

    /// Writes everything that waits in `output`, in one piece.
    pub(super) async fn flush(&mut self, limit: Duration) -> Result<(), WireError> {
        let written = timeout(limit, self.stream.write_all(&self.output)).await;
        self.output.clear();
        self.output.shrink_to(OUTPUT_BYTES_KEPT);
        written.map_err(|_| WireError::Silent(limit))?.map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => {
                WireError::Closed
            }
            _ => WireError::Io(error),
        })
    }

    /// One reply; `limit` is for all of it, not for each byte.
    pub(super) async fn reply(&mut self, limit: Duration) -> Result<Reply, WireError> {
        self.reply_lines(limit, |_| {}).await
    }

    /// One reply, whose lines are also shown to `each`, without their codes.
    pub(super) async fn reply_lines(
        &mut self,
        limit: Duration,
        mut each: impl FnMut(&[u8]) + Send,
    ) -> Result<Reply, WireError> {
        let read = async {
            let mut partial = Partial::default();
            loop {
                let (text, is_last) = partial.line(self.line().await?)?;
                each(text);
                if is_last {
                    return Ok(partial.finish()?);
                }
            }
        };
        timeout(limit, read).await.map_err(|_| WireError::Silent(limit))?
    }

    /// The next line without its line end.
    async fn line(&mut self) -> Result<&[u8], WireError> {
        let mut searched = self.start;
        let newline = loop {
            if let Some(at) = self.input[searched..self.end].iter().position(|b| *b == b'\n') {
                break searched + at;
            }
            if self.end - self.start > LINE_BYTES_MAX {
                return Err(ReplyError::LineTooLong.into());
            }
            if self.start > 0 {
                self.input.copy_within(self.start..self.end, 0);
                (self.start, self.end) = (0, self.end - self.start);
            }
            searched = self.end;
            match self.stream.read(&mut self.input[self.end..]).await {
                Ok(0) => return Err(WireError::Closed),
                Ok(read) => self.end += read,
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Err(WireError::Closed),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(WireError::Closed),
                Err(error) => return Err(error.into()),
            }
        };
        if newline - self.start > LINE_BYTES_MAX {
            return Err(ReplyError::LineTooLong.into());
        }
        let line = &self.input[self.start..newline];
        self.start = newline + 1;
        Ok(line.strip_suffix(b"\r").unwrap_or(line))
    }
}
