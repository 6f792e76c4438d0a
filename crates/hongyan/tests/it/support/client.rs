//! HTTP/1.1 by hand, so that tests can also send what no client library would.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::{Value, json};

/// A reply.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub body: String,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {:?}", self.body))
    }
}

/// A keep-alive connection.
pub struct Connection {
    address: SocketAddr,
    stream: BufReader<TcpStream>,
    /// The server has said that it closes.
    is_over: bool,
}

impl Connection {
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        Self::open_for(address, Duration::from_secs(60))
    }

    /// A connection on which an answer is waited for so long.
    pub fn open_for(address: SocketAddr, patience: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, patience)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(patience))?;
        Ok(Self { address, stream: BufReader::new(stream), is_over: false })
    }

    /// Whether the server has said that it closes.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    pub fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> io::Result<()> {
        let mut request =
            format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n", self.address, body.len());
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        request += "\r\n";
        let mut bytes = request.into_bytes();
        bytes.extend_from_slice(body);
        self.stream.get_mut().write_all(&bytes)
    }

    pub fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    pub fn reply(&mut self) -> io::Result<Reply> {
        let mut head = String::new();
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if line == "\r\n" {
                break;
            }
            head += &line.to_lowercase();
        }
        self.is_over |= head.lines().any(|line| line == "connection: close");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let length =
            head.lines().find_map(|line| line.strip_prefix("content-length:")).and_then(|n| n.trim().parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        self.stream.read_exact(&mut body)?;
        let text = String::from_utf8(body).map_err(|_| io::ErrorKind::InvalidData)?;
        Ok(Reply { status: status.ok_or(io::ErrorKind::InvalidData)?, body: text })
    }
}

/// A request on a connection of its own.
pub fn request(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
    let mut connection = Connection::open(address).expect("the server listens");
    connection.send(method, path, headers, body).expect("the request is taken");
    connection.reply().expect("a reply")
}

pub const SEND_MAIL: &str = "/api/c/compapi/cmsi/send_mail/";

/// A `send_mail` of the test's app with these fields besides.
pub fn mail(fields: Value) -> Value {
    let mut body =
        json!({ "bk_app_code": "app1", "bk_app_secret": "sec1", "bk_username": "admin", "title": "t", "content": "c" });
    let given = fields.as_object().expect("an object").clone();
    body.as_object_mut().expect("an object").extend(given);
    body
}
