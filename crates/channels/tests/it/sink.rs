//! An SMTP server that does what a test tells it, right or wrong, and remembers everything that it was sent.

use std::{
    io,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};

/// What a sink does.
#[derive(Clone)]
pub struct Script {
    /// What it says first.
    pub greeting: Act,
    /// The keywords of its EHLO reply.
    pub keywords: Vec<&'static str>,
    /// What it does at a command, the first that fits: the beginning of the line, with `#2` for its second time in a
    /// connection. `.` is the end of a message, `data-block` its first byte.
    pub acts: Vec<(&'static str, Act)>,
    /// Its certificate, where it speaks TLS.
    pub tls: Option<Arc<ServerConfig>>,
    /// TLS from the first byte.
    pub is_implicit: bool,
}

/// What a sink does at one command.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    /// Says this line, or these.
    Say(&'static str),
    /// The same, byte by byte.
    Drip(&'static str),
    /// Sends this over and over.
    Flood(&'static str),
    /// Closes the connection.
    Close,
    /// Says this and closes the connection.
    SayAndClose(&'static str),
    /// Says this, and then reads no more and keeps the connection.
    SayAndStall(&'static str),
    /// Says nothing and keeps the connection.
    Silence,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            greeting: Act::Say("220 sink.example.com ESMTP"),
            keywords: vec!["PIPELINING", "SIZE 10240000", "8BITMIME", "ENHANCEDSTATUSCODES"],
            acts: vec![],
            tls: None,
            is_implicit: false,
        }
    }
}

impl Script {
    pub fn acts(acts: &[(&'static str, Act)]) -> Self {
        Self { acts: acts.to_vec(), ..Self::default() }
    }

    pub fn without(mut self, keyword: &str) -> Self {
        self.keywords.retain(|kept| *kept != keyword);
        self
    }

    pub fn with(mut self, keyword: &'static str) -> Self {
        self.keywords.push(keyword);
        self
    }
}

/// What a sink has seen.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub connections: usize,
    pub open_connections: usize,
    /// Each command line, of all connections, in the order of arrival; in TLS with `* ` before it.
    pub commands: Vec<String>,
    /// Each message, dots unstuffed, without the final dot.
    pub messages: Vec<Vec<u8>>,
    /// How many commands came in each read.
    pub reads: Vec<usize>,
    /// Commands that came before the answer to the one before, although PIPELINING was not offered.
    pub early: usize,
}

impl Seen {
    /// Whether a command begins so.
    pub fn has(&self, command: &str) -> bool {
        self.commands.iter().any(|seen| seen.trim_start_matches("* ").starts_with(command))
    }
}

/// A running sink.
pub struct Sink {
    pub port: u16,
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Sink {
    pub async fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let task = tokio::spawn(accept(listener, script, Arc::clone(&seen)));
        Self { port, seen, task }
    }

    pub fn seen(&self) -> Seen {
        self.seen.lock().expect("no panic").clone()
    }
}

async fn accept(listener: TcpListener, script: Script, seen: Arc<Mutex<Seen>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (script, seen) = (script.clone(), Arc::clone(&seen));
        tokio::spawn(async move {
            let count = |open: isize| {
                let mut seen = seen.lock().expect("no panic");
                seen.connections += usize::from(open > 0);
                seen.open_connections = seen.open_connections.saturating_add_signed(open);
            };
            count(1);
            // A connection that breaks is what many tests want.
            let _ = serve(Box::new(stream), &script, &seen).await;
            count(-1);
        });
    }
}

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Why a conversation goes on in another way.
#[derive(PartialEq)]
enum Next {
    End,
    Tls,
}

async fn serve(stream: Box<dyn Io>, script: &Script, seen: &Mutex<Seen>) -> io::Result<()> {
    let mut stream = stream;
    let mut is_encrypted = false;
    if script.is_implicit {
        stream = encrypt(stream, script).await?;
        is_encrypted = true;
    }
    let mut talk = Talk::new(stream, script, seen, is_encrypted);
    if !talk.act(script.greeting).await? {
        return Ok(());
    }
    if talk.run().await? == Next::Tls {
        let stream = encrypt(talk.stream, script).await?;
        Talk::new(stream, script, seen, true).run().await?;
    }
    Ok(())
}

async fn encrypt(stream: Box<dyn Io>, script: &Script) -> io::Result<Box<dyn Io>> {
    let config = script.tls.clone().expect("a certificate");
    Ok(Box::new(TlsAcceptor::from(config).accept(stream).await?))
}

struct Talk<'a> {
    stream: Box<dyn Io>,
    script: &'a Script,
    seen: &'a Mutex<Seen>,
    is_encrypted: bool,
    input: Vec<u8>,
    /// Commands of this connection.
    commands: Vec<String>,
}

impl<'a> Talk<'a> {
    fn new(stream: Box<dyn Io>, script: &'a Script, seen: &'a Mutex<Seen>, is_encrypted: bool) -> Self {
        Self { stream, script, seen, is_encrypted, input: vec![], commands: vec![] }
    }

    async fn run(&mut self) -> io::Result<Next> {
        let is_pipelined = self.script.keywords.contains(&"PIPELINING");
        while let Some(line) = self.line().await? {
            if !is_pipelined && !self.input.is_empty() {
                self.seen.lock().expect("no panic").early += 1;
            }
            let shown = if self.is_encrypted { format!("* {line}") } else { line.clone() };
            self.seen.lock().expect("no panic").commands.push(shown);
            self.commands.push(line.clone());
            let act = self.scripted(&line);
            let is_tls = line == "STARTTLS" && act.is_none();
            let act = act.unwrap_or_else(|| self.usual(&line));
            if !self.act(act).await? {
                return Ok(Next::End);
            }
            if is_tls {
                return Ok(Next::Tls);
            }
            if line == "QUIT" {
                return Ok(Next::End);
            }
            let is_data = line == "DATA" && matches!(act, Act::Say(text) if text.starts_with("354"));
            if is_data && !self.data().await? {
                return Ok(Next::End);
            }
        }
        Ok(Next::End)
    }

    /// The message behind DATA, and the answer to it.
    async fn data(&mut self) -> io::Result<bool> {
        if let Some(act) = self.scripted("data-block") {
            self.fill().await?;
            return self.act(act).await;
        }
        let mut message = Vec::new();
        loop {
            let Some(line) = self.raw_line().await? else { return Ok(false) };
            if line == b".\r\n" {
                break;
            }
            message.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
        }
        self.seen.lock().expect("no panic").messages.push(message);
        self.commands.push(".".to_owned());
        self.act(self.scripted(".").unwrap_or(Act::Say("250 2.0.0 Ok: queued as 4F2B91C0A8"))).await
    }

    fn usual(&self, line: &str) -> Act {
        match line.split([' ', ':']).next().unwrap_or_default() {
            "EHLO" => Act::Say("ehlo"),
            "STARTTLS" => Act::Say("220 2.0.0 Ready to start TLS"),
            "MAIL" | "RCPT" | "RSET" | "HELO" => Act::Say("250 2.0.0 Ok"),
            "DATA" if self.is_anybody_taken() => Act::Say("354 End data with <CR><LF>.<CR><LF>"),
            "DATA" => Act::Say("554 5.5.1 Error: no valid recipients"),
            "QUIT" => Act::Say("221 2.0.0 Bye"),
            "AUTH" => Act::Say("235 2.7.0 Authentication successful"),
            _ => Act::Say("502 5.5.2 Error: command not recognized"),
        }
    }

    fn is_anybody_taken(&self) -> bool {
        let current = self.commands.iter().rposition(|line| line.starts_with("MAIL")).unwrap_or(0);
        self.commands[current..].iter().any(|line| line.starts_with("RCPT") && !self.is_refused(line))
    }

    fn is_refused(&self, line: &str) -> bool {
        matches!(self.scripted(line), Some(Act::Say(text)) if !text.starts_with('2'))
    }

    fn scripted(&self, line: &str) -> Option<Act> {
        self.script.acts.iter().find_map(|(when, act)| {
            let (start, time) = when.split_once('#').unwrap_or((when, ""));
            let times = self.commands.iter().filter(|seen| seen.starts_with(start)).count();
            let is_time = time.is_empty() || time.parse() == Ok(times);
            (line.starts_with(start) && is_time).then_some(*act)
        })
    }

    /// Does it; whether the conversation goes on.
    async fn act(&mut self, act: Act) -> io::Result<bool> {
        match act {
            Act::Say("ehlo") => {
                let mut reply = "250-sink.example.com greets you\r\n".to_owned();
                let keywords = self.script.keywords.iter().filter(|k| !(self.is_encrypted && **k == "STARTTLS"));
                keywords.for_each(|keyword| reply.push_str(&format!("250-{keyword}\r\n")));
                reply.push_str("250 HELP\r\n");
                self.write(reply.as_bytes()).await?;
            }
            Act::Say(text) => self.write(format!("{text}\r\n").as_bytes()).await?,
            Act::Drip(text) => {
                for byte in format!("{text}\r\n").bytes() {
                    self.write(&[byte]).await?;
                    tokio::task::yield_now().await;
                }
            }
            Act::Flood(text) => loop {
                self.write(text.as_bytes()).await?;
            },
            Act::Close => return Ok(false),
            Act::SayAndClose(text) => {
                self.write(format!("{text}\r\n").as_bytes()).await?;
                return Ok(false);
            }
            Act::SayAndStall(text) => {
                self.write(format!("{text}\r\n").as_bytes()).await?;
                std::future::pending::<()>().await;
            }
            Act::Silence => while self.fill().await? {},
        }
        Ok(true)
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    async fn line(&mut self) -> io::Result<Option<String>> {
        let line = self.raw_line().await?;
        Ok(line.map(|line| String::from_utf8_lossy(&line).trim_end_matches("\r\n").to_owned()))
    }

    /// A line with its CRLF; nothing else ends one.
    async fn raw_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(at) = self.input.windows(2).position(|pair| pair == b"\r\n") {
                return Ok(Some(self.input.drain(..at + 2).collect()));
            }
            if !self.fill().await? {
                return Ok(None);
            }
        }
    }

    async fn fill(&mut self) -> io::Result<bool> {
        let mut buffer = vec![0; 256 * 1024];
        let read = self.stream.read(&mut buffer).await?;
        let lines = buffer[..read].iter().filter(|b| **b == b'\n').count();
        self.seen.lock().expect("no panic").reads.push(lines);
        self.input.extend_from_slice(&buffer[..read]);
        Ok(read > 0)
    }
}
