//! An SMTP sink that reads the time at which each mail was sent from its subject, and keeps how long it was on its way.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::mail;

/// The sink. It ends when dropped.
pub struct StampSink {
    /// Where it listens.
    pub port: u16,
    delays: Arc<Delays>,
    _acceptor: JoinSet<()>,
}

struct Delays {
    origin: Instant,
    /// Microseconds, in the order of arrival; nothing for a mail without a token.
    list: Mutex<Vec<Option<u64>>>,
}

/// How long mails were on their way.
#[derive(Clone, Copy, Debug)]
pub struct Latency {
    /// Half of them were faster, in milliseconds.
    pub p50: f64,
    /// One in a hundred was slower.
    pub p99: f64,
}

impl StampSink {
    /// Listens on a free port; times count from `origin`.
    pub async fn start(origin: Instant) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("cannot listen on loopback")?;
        let port = listener.local_addr()?.port();
        let delays = Arc::new(Delays { origin, list: Mutex::new(Vec::new()) });
        let mut acceptor = JoinSet::new();
        acceptor.spawn(accept(listener, delays.clone()));
        Ok(Self { port, delays, _acceptor: acceptor })
    }

    /// How many mails have arrived.
    pub fn count(&self) -> u64 {
        self.delays.with(|list| list.len() as u64)
    }

    /// The latencies of what has arrived since the last call.
    pub fn take(&self) -> Result<Latency> {
        latency(self.delays.with(std::mem::take))
    }
}

impl Delays {
    fn with<T>(&self, act: impl FnOnce(&mut Vec<Option<u64>>) -> T) -> T {
        act(&mut self.list.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn arrived(&self, mail: &[u8]) {
        let now = u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX);
        let delay = mail::find_token(mail).map(|sent| now.saturating_sub(sent));
        self.with(|list| list.push(delay));
    }
}

fn latency(list: Vec<Option<u64>>) -> Result<Latency> {
    let total = list.len();
    let mut known: Vec<u64> = list.into_iter().flatten().collect();
    if known.is_empty() || known.len() < total {
        bail!("{} of {total} mails arrived with their stamp", known.len());
    }
    known.sort_unstable();
    let at = |share: f64| known[((known.len() - 1) as f64 * share) as usize] as f64 / 1000.0;
    Ok(Latency { p50: at(0.50), p99: at(0.99) })
}

async fn accept(listener: TcpListener, delays: Arc<Delays>) {
    let mut sessions = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let delays = delays.clone();
        sessions.spawn(async move {
            let mut session = Session { delays, data: false, done: false, input: Vec::new(), output: Vec::new() };
            session.run(stream).await.ok() // a client that goes away ends its session
        });
    }
}

/// One SMTP session; commands may come pipelined.
struct Session {
    delays: Arc<Delays>,
    data: bool,
    done: bool,
    input: Vec<u8>,
    output: Vec<u8>,
}

impl Session {
    async fn run(&mut self, mut stream: TcpStream) -> Result<()> {
        stream.set_nodelay(true)?;
        self.output.extend_from_slice(b"220 stamps ESMTP\r\n");
        while !self.done {
            stream.write_all(&self.output).await?;
            self.output.clear();
            if tokio::time::timeout(Duration::from_secs(300), stream.read_buf(&mut self.input)).await?? == 0 {
                return Ok(());
            }
            while self.step() {}
        }
        stream.write_all(&self.output).await?;
        Ok(())
    }

    /// Takes one command or one mail from the input; whether there was a whole one.
    fn step(&mut self) -> bool {
        let (end, rest) = if self.data {
            let Some(end) = end_of_mail(&self.input) else { return false };
            self.delays.arrived(&self.input[..end]);
            self.data = false;
            self.output.extend_from_slice(b"250 2.0.0 Ok\r\n");
            (end, 0)
        } else {
            let Some(end) = self.input.iter().position(|byte| *byte == b'\n') else { return false };
            let verb = self.input[..end.min(4)].to_ascii_uppercase();
            self.command(&verb);
            (end, 1)
        };
        self.input.drain(..end + rest);
        true
    }

    fn command(&mut self, verb: &[u8]) {
        let reply: &[u8] = match verb {
            b"EHLO" => b"250-stamps\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n",
            b"HELO" | b"MAIL" | b"RCPT" | b"RSET" | b"NOOP" => b"250 2.0.0 Ok\r\n",
            b"DATA" => {
                self.data = true;
                b"354 End data with <CR><LF>.<CR><LF>\r\n"
            }
            b"QUIT" => {
                self.done = true;
                b"221 2.0.0 Bye\r\n"
            }
            _ => b"502 5.5.2 Command not recognised\r\n",
        };
        self.output.extend_from_slice(reply);
    }
}

/// Where a mail ends, its final dot included.
fn end_of_mail(input: &[u8]) -> Option<usize> {
    if input.starts_with(b".\r\n") {
        return Some(3);
    }
    input.windows(5).position(|window| window == b"\r\n.\r\n").map(|at| at + 5)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn talk(port: u16, lines: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.write_all(lines.as_bytes()).await.unwrap();
        let mut replies = String::new();
        stream.read_to_string(&mut replies).await.unwrap();
        replies
    }

    #[tokio::test]
    async fn a_pipelined_session_is_answered_and_its_mail_timed() {
        let origin = Instant::now();
        let sink = StampSink::start(origin).await.unwrap();
        let mail = format!("Subject: {}\r\n\r\nline\r\n..dot\r\n.\r\n", mail::token(0));
        let session = format!("EHLO a\r\nMAIL FROM:<a>\r\nRCPT TO:<b>\r\nDATA\r\n{mail}QUIT\r\n");
        let replies = talk(sink.port, &session).await;
        let codes: Vec<&str> = replies.lines().map(|line| &line[..3]).collect();
        assert_eq!(codes, ["220", "250", "250", "250", "250", "250", "250", "354", "250", "221"]);
        assert_eq!(sink.count(), 1);
        let taken = sink.take().unwrap();
        assert!(taken.p50 <= origin.elapsed().as_secs_f64() * 1000.0 && taken.p50 == taken.p99);
        assert_eq!(sink.count(), 0);
    }

    #[test]
    fn percentiles_are_taken_from_the_sorted_list() {
        let list: Vec<_> = (1..=101).rev().map(|ms| Some(ms * 1000)).collect();
        let Latency { p50, p99 } = latency(list).unwrap();
        assert_eq!((p50, p99), (51.0, 100.0));
    }

    #[test]
    fn a_mail_without_a_stamp_is_an_error() {
        assert!(latency(vec![Some(1), None]).is_err());
        assert!(latency(Vec::new()).is_err());
    }

    #[test]
    fn mails_end_at_the_dot_alone() {
        assert_eq!(end_of_mail(b"a\r\n.\r\nQUIT"), Some(6));
        assert_eq!(end_of_mail(b".\r\n"), Some(3));
        assert_eq!(end_of_mail(b"a\r\n..\r\n."), None);
    }
}
