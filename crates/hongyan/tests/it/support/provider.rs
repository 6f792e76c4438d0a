//! The HTTP API of a provider, played by the test: a function of each request decides what is answered, and every request is
//! remembered.

use std::{
    io::{self, BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use serde_json::Value;

/// A request, as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Path and query.
    pub target: String,
    pub body: Vec<u8>,
}

impl Asked {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a body of JSON")
    }

    pub fn is_for(&self, path: &str) -> bool {
        self.target.split('?').next() == Some(path)
    }
}

/// What is answered: JSON, or nothing at all while the connection stays open.
pub type Answer = Option<Value>;

type Decide = Box<dyn Fn(&Asked) -> Answer + Send + Sync>;

/// A running provider.
pub struct Provider {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    decide: Decide,
    asked: Mutex<Vec<Asked>>,
    stopped: AtomicBool,
}

impl Provider {
    pub fn start(decide: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let shared =
            Arc::new(Shared { decide: Box::new(decide), asked: Mutex::default(), stopped: AtomicBool::new(false) });
        let provider = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if provider.stopped.load(Ordering::SeqCst) {
                    break;
                }
                let shared = Arc::clone(&provider);
                // A client that goes away ends its session, nothing else.
                thread::spawn(move || drop(shared.serve(stream)));
            }
        });
        Self { address, shared }
    }

    /// As a `base_url`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests for `path` so far.
    pub fn asked(&self, path: &str) -> Vec<Asked> {
        let asked = self.shared.asked.lock().expect("asked");
        asked.iter().filter(|asked| asked.is_for(path)).cloned().collect()
    }
}

impl Drop for Provider {
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
        while let Some(asked) = request(&mut lines)? {
            self.asked.lock().expect("asked").push(asked.clone());
            let Some(answer) = (self.decide)(&asked) else {
                // Nothing more is said; who asked gives up or dies, and that ends the session.
                return request(&mut lines).map(drop);
            };
            let body = answer.to_string();
            write!(
                out,
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )?;
        }
        Ok(())
    }
}

/// The next request; `None` at the end of the connection.
fn request(lines: &mut impl BufRead) -> io::Result<Option<Asked>> {
    let (mut target, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        if line == "\r\n" {
            break;
        }
        if target.is_empty() {
            target = line.split(' ').nth(1).unwrap_or_default().to_owned();
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().map_err(|_| io::ErrorKind::InvalidData)?;
        }
    }
    let mut body = vec![0; length];
    lines.read_exact(&mut body)?;
    Ok(Some(Asked { target, body }))
}
