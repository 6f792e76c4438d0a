//! An HTTP server that is told of every delivery by a provider of the kind `test`. It counts, outside the nodes, what arrives and
//! how often, and is slow or refuses where its test says so.

use std::{
    collections::HashMap,
    io::{self, BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use serde_json::Value;

/// What the judge does to those who tell it.
#[derive(Clone, Debug, Default)]
pub struct Temper {
    /// Recipients whose address contains the text are refused for good.
    pub refuse: Option<&'static str>,
    /// Recipients whose address contains the text are answered so late.
    pub delay: Option<(&'static str, Duration)>,
}

/// A running judge.
pub struct Judge {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    temper: Temper,
    /// The deliveries that arrived, by recipient, in their order.
    arrived: Mutex<HashMap<String, Vec<String>>>,
    stopped: AtomicBool,
}

impl Judge {
    pub fn start(temper: Temper) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let shared = Arc::new(Shared { temper, ..Shared::default() });
        let judge = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if judge.stopped.load(Ordering::SeqCst) {
                    break;
                }
                let shared = Arc::clone(&judge);
                // A client that goes away ends its session, nothing else.
                thread::spawn(move || drop(shared.serve(stream)));
            }
        });
        Self { address, shared }
    }

    /// Keys of a provider that tells this judge and never repeats what may have arrived.
    pub fn provider(&self, max_in_flight: u32, delay: Duration) -> String {
        format!(
            "kind = \"test\"\nurl = \"http://{}/\"\nrepeat = \"at_most_once\"\nmax_in_flight = {max_in_flight}\ndelay = \"{}ms\"",
            self.address,
            delay.as_millis()
        )
    }

    /// The deliveries that arrived, by recipient.
    pub fn arrived(&self) -> HashMap<String, Vec<String>> {
        self.shared.arrived.lock().expect("arrived").clone()
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the accept loop, which then ends and frees the port.
        drop(TcpStream::connect(self.address));
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut out = stream.try_clone()?;
        let mut lines = BufReader::new(stream);
        while let Some(body) = request(&mut lines)? {
            let told: Value = serde_json::from_slice(&body)?;
            let text = |key: &str| told[key].as_str().unwrap_or_default().to_owned();
            let recipient = text("recipient");
            let is_refused = self.temper.refuse.is_some_and(|refused| recipient.contains(refused));
            if !is_refused {
                let mut arrived = self.arrived.lock().expect("arrived");
                arrived.entry(recipient.clone()).or_default().push(text("delivery"));
            }
            if let Some((slow, delay)) = self.temper.delay
                && recipient.contains(slow)
            {
                slow_down(delay);
            }
            let status = if is_refused { "422 Refused" } else { "200 OK" };
            write!(out, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n")?;
        }
        Ok(())
    }
}

/// The body of the next request; `None` at the end of the connection.
fn request(lines: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        if line == "\r\n" {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().map_err(|_| io::ErrorKind::InvalidData)?;
        }
    }
    let mut body = vec![0; length];
    lines.read_exact(&mut body)?;
    Ok(Some(body))
}

#[expect(clippy::disallowed_methods, reason = "being slow is what this server is told to be")]
fn slow_down(delay: Duration) {
    thread::sleep(delay);
}
