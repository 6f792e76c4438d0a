//! An SMTP server that keeps what it gets, outside the node, and misbehaves where a test tells it to. It is itself judged by a
//! foreign client in `interop`.

use std::{
    io::{self, BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// A mail that was taken.
#[derive(Clone, Debug)]
pub struct Taken {
    pub sender: String,
    pub recipients: Vec<String>,
    pub data: String,
    pub at: Instant,
    /// Whether the sink hid its reply, so that the client had to take the outcome for unknown.
    pub reply_hidden: bool,
}

impl Taken {
    /// The text after the header field `name:`, unfolded.
    pub fn header(&self, name: &str) -> Option<String> {
        let head = self.data.split("\r\n\r\n").next()?.replace("\r\n ", " ").replace("\r\n\t", " ");
        let prefix = format!("{}:", name.to_lowercase());
        head.lines()
            .find(|line| line.to_lowercase().starts_with(&prefix))
            .map(|line| line[prefix.len()..].trim().to_owned())
    }
}

/// What the sink does to its clients.
#[derive(Clone, Debug, Default)]
pub struct Manners {
    /// Replies to RCPT for addresses that contain the text.
    pub refuse: Vec<(&'static str, &'static str)>,
    /// Reply to the final dot instead of taking the mail.
    pub refuse_data: Option<&'static str>,
    /// Close the connection at this command (`CONNECT`, `EHLO`, `MAIL`, `RCPT`, `DATA`, `DOT` before taking the mail).
    pub close_at: Option<&'static str>,
    /// Take every n-th mail and close without a reply.
    pub hide_every: Option<usize>,
    /// Wait so long before each reply to the final dot.
    pub delay: Duration,
}

/// A running sink.
pub struct Sink {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    taken: Mutex<Vec<Taken>>,
    manners: Mutex<Manners>,
    count: AtomicUsize,
    stopped: AtomicBool,
}

impl Sink {
    pub fn start(manners: Manners) -> Self {
        Self::start_at("127.0.0.1:0".parse().expect("an address"), manners)
    }

    pub fn start_at(address: SocketAddr, manners: Manners) -> Self {
        let listener = TcpListener::bind(address).expect("a free port");
        let address = listener.local_addr().expect("its address");
        let shared = Arc::new(Shared { manners: Mutex::new(manners), ..Shared::default() });
        let sink = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if sink.stopped.load(Ordering::SeqCst) {
                    break;
                }
                let shared = Arc::clone(&sink);
                // A client that goes away ends its session, nothing else.
                thread::spawn(move || drop(Session { shared }.run(stream)));
            }
        });
        Self { address, shared }
    }

    /// Changes its manners for what follows.
    pub fn behave(&self, manners: Manners) {
        *self.shared.manners.lock().expect("manners") = manners;
    }

    pub fn taken(&self) -> Vec<Taken> {
        self.shared.taken.lock().expect("taken").clone()
    }

    pub fn count(&self) -> usize {
        self.shared.taken.lock().expect("taken").len()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the accept loop, which then ends and frees the port.
        drop(TcpStream::connect(self.address));
    }
}

struct Session {
    shared: Arc<Shared>,
}

impl Session {
    fn manners(&self) -> Manners {
        self.shared.manners.lock().expect("manners").clone()
    }

    fn taken(&self) -> MutexGuard<'_, Vec<Taken>> {
        self.shared.taken.lock().expect("taken")
    }

    fn closes_at(&self, phase: &str) -> bool {
        self.manners().close_at == Some(phase)
    }

    fn run(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut out = stream.try_clone()?;
        let mut lines = BufReader::new(stream);
        if self.closes_at("CONNECT") {
            return Ok(());
        }
        out.write_all(b"220 sink ESMTP\r\n")?;
        let (mut sender, mut recipients) = (String::new(), Vec::new());
        let mut line = String::new();
        loop {
            line.clear();
            if lines.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let verb = line.get(..4).unwrap_or_default().to_uppercase();
            if self.closes_at(&verb) {
                return Ok(());
            }
            match verb.as_str() {
                "EHLO" => out.write_all(
                    b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 ENHANCEDSTATUSCODES\r\n",
                )?,
                "MAIL" => {
                    sender = path(&line);
                    recipients.clear();
                    out.write_all(b"250 2.1.0 Ok\r\n")?;
                }
                "RCPT" => {
                    let recipient = path(&line);
                    match self.manners().refuse.iter().find(|(text, _)| recipient.contains(text)) {
                        Some((_, reply)) => write!(out, "{reply}\r\n")?,
                        None => {
                            recipients.push(recipient);
                            out.write_all(b"250 2.1.5 Ok\r\n")?;
                        }
                    }
                }
                "DATA" if recipients.is_empty() => out.write_all(b"554 5.5.1 No valid recipients\r\n")?,
                "DATA" => {
                    out.write_all(b"354 Go ahead\r\n")?;
                    let data = data(&mut lines)?;
                    if !self.dot(&mut out, &sender, &recipients, data)? {
                        return Ok(());
                    }
                }
                "RSET" | "NOOP" => out.write_all(b"250 2.0.0 Ok\r\n")?,
                "QUIT" => return out.write_all(b"221 2.0.0 Bye\r\n"),
                _ => out.write_all(b"502 5.5.2 Unknown command\r\n")?,
            }
        }
    }

    /// The end of a mail; answers whether the session goes on.
    fn dot(&self, out: &mut TcpStream, sender: &str, recipients: &[String], data: String) -> io::Result<bool> {
        let manners = self.manners();
        if manners.close_at == Some("DOT") {
            return Ok(false);
        }
        if let Some(refusal) = manners.refuse_data {
            write!(out, "{refusal}\r\n")?;
            return Ok(true);
        }
        let n = 1 + self.shared.count.fetch_add(1, Ordering::SeqCst);
        let reply_hidden = manners.hide_every.is_some_and(|every| n.is_multiple_of(every));
        let (sender, recipients) = (sender.to_owned(), recipients.to_vec());
        self.taken().push(Taken { sender, recipients, data, at: Instant::now(), reply_hidden });
        if reply_hidden {
            return Ok(false);
        }
        if !manners.delay.is_zero() {
            slow_down(manners.delay);
        }
        out.write_all(b"250 2.0.0 Ok: queued\r\n")?;
        Ok(true)
    }
}

#[expect(clippy::disallowed_methods, reason = "being slow is what this server is told to be")]
fn slow_down(delay: Duration) {
    thread::sleep(delay);
}

fn path(line: &str) -> String {
    let start = line.find('<').map_or(0, |at| at + 1);
    line[start..].split('>').next().unwrap_or_default().to_owned()
}

fn data(lines: &mut impl BufRead) -> io::Result<String> {
    let mut data = Vec::new();
    loop {
        let start = data.len();
        if lines.read_until(b'\n', &mut data)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match &data[start..] {
            b".\r\n" => {
                data.truncate(start);
                return String::from_utf8(data).map_err(|_| io::ErrorKind::InvalidData.into());
            }
            [b'.', ..] => {
                data.remove(start);
            }
            _ => {}
        }
    }
}
