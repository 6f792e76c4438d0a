//! As little HTTP as the measurement needs: a kept connection that posts ready-made bytes, and a GET.

use anyhow::{Context, Result, bail};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// An answer never has more bytes than this.
const ANSWER_MAX: usize = 1 << 20;

/// A connection that is used for one request after the other.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects to a port of loopback.
    pub async fn open(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.context("cannot connect")?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(4096) })
    }

    /// Sends the bytes of a request and returns the status and the body of the answer.
    pub async fn exchange(&mut self, request: &[u8]) -> Result<(u16, &[u8])> {
        self.stream.write_all(request).await.context("cannot send")?;
        self.buffer.clear();
        let (mut head, mut length) = (0, 0);
        while head == 0 || self.buffer.len() < head + length {
            if self.stream.read_buf(&mut self.buffer).await.context("cannot read the answer")? == 0 {
                bail!("the server closed the connection");
            }
            if head == 0
                && let Some(end) = find(&self.buffer, b"\r\n\r\n")
            {
                head = end + 4;
                length = content_length(&self.buffer[..end]).context("an answer without Content-Length")?;
            }
            if self.buffer.len() > ANSWER_MAX {
                bail!("an endless answer");
            }
        }
        if self.buffer.len() > head + length {
            bail!("more bytes than one answer");
        }
        let status = status(&self.buffer).context("no status line")?;
        Ok((status, &self.buffer[head..]))
    }
}

/// The status and the body of a page.
pub async fn get(port: u16, path: &str) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.context("cannot connect")?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await?;
    let head = find(&bytes, b"\r\n\r\n").context("no head")?;
    let status = status(&bytes).context("no status line")?;
    Ok((status, String::from_utf8_lossy(&bytes[head + 4..]).into_owned()))
}

/// Whether an answer says that the message was accepted.
pub fn is_success(status: u16, body: &[u8]) -> bool {
    status == 200 && (find(body, b"\"result\":true").is_some() || find(body, b"\"result\": true").is_some())
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn status(answer: &[u8]) -> Option<u16> {
    std::str::from_utf8(answer.get(9..12)?).ok()?.parse().ok()
}

fn content_length(head: &[u8]) -> Option<usize> {
    let head = std::str::from_utf8(head).ok()?;
    head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read() {
        let head = b"HTTP/1.1 200 OK\r\ncontent-type: a\r\nCONTENT-LENGTH:  17\r\ndate: b";
        assert_eq!(status(head), Some(200));
        assert_eq!(content_length(head), Some(17));
        assert_eq!(content_length(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked"), None);
    }

    #[test]
    fn only_a_true_result_is_a_success() {
        assert!(is_success(200, b"{\"code\":0,\"result\":true}"));
        assert!(!is_success(200, b"{\"code\":1,\"result\":false}"));
        assert!(!is_success(500, b"{\"result\":true}"));
    }
}
