//! A way to the database that breaks where a test says: it hands bytes to and fro and reads along.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::AbortHandle,
};

/// Where it breaks, on the connection on which the mark was sent.
#[derive(Clone, Copy, Debug)]
pub enum Cut {
    /// Before the server sees the mark.
    AtTheMark,
    /// Before the server sees the COMMIT that follows.
    BeforeCommit,
    /// When the server has committed, before it is heard.
    AfterCommit,
}

type Armed = Arc<Mutex<Option<(Vec<u8>, Cut)>>>;

/// The way.
pub struct Proxy {
    /// Where it listens on 127.0.0.1.
    pub port: u16,
    armed: Armed,
    accepting: AbortHandle,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Proxy {
    /// A way to the server on this port.
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let own = listener.local_addr().expect("an address").port();
        let armed = Armed::default();
        let rule = Arc::clone(&armed);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let rule = Arc::clone(&rule);
                tokio::spawn(async move {
                    if let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await {
                        // Whichever side ends, both do.
                        drop(carry(client, server, rule).await);
                    }
                });
            }
        });
        Self { port: own, armed, accepting: accepting.abort_handle() }
    }

    /// Breaks once, on the connection that carries `mark`.
    pub fn cut(&self, mark: &str, cut: Cut) {
        *self.armed.lock().unwrap_or_else(PoisonError::into_inner) = Some((mark.as_bytes().to_vec(), cut));
    }

    /// Whether it has broken since.
    pub fn has_cut(&self) -> bool {
        self.armed.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }
}

async fn carry(mut client: TcpStream, mut server: TcpStream, armed: Armed) -> std::io::Result<()> {
    let (mut asked, mut said) = (vec![0; 65_536], vec![0; 65_536]);
    let mut marked = None;
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let asked = &asked[..read?];
                if asked.is_empty() {
                    return Ok(());
                }
                if marked.is_none() {
                    marked = marked_by(asked, &armed);
                }
                match (marked, position(asked, b"COMMIT\0")) {
                    (Some(Cut::AtTheMark), _) => return Ok(()),
                    (Some(Cut::BeforeCommit), Some(commit)) => {
                        // A message begins with a letter and its length.
                        server.write_all(&asked[..commit - 5]).await?;
                        return server.flush().await;
                    }
                    (Some(Cut::AfterCommit), Some(_)) => {
                        server.write_all(asked).await?;
                        return until_committed(server).await;
                    }
                    _ => server.write_all(asked).await?,
                }
            }
            read = server.read(&mut said) => {
                let said = &said[..read?];
                if said.is_empty() {
                    return Ok(());
                }
                client.write_all(said).await?;
            }
        }
    }
}

/// What is to happen, once.
fn marked_by(asked: &[u8], armed: &Armed) -> Option<Cut> {
    let mut armed = armed.lock().unwrap_or_else(PoisonError::into_inner);
    let is_marked = armed.as_ref().is_some_and(|(mark, _)| position(asked, mark).is_some());
    if is_marked { armed.take().map(|(_, cut)| cut) } else { None }
}

async fn until_committed(mut server: TcpStream) -> std::io::Result<()> {
    let mut heard = Vec::new();
    while position(&heard, b"COMMIT\0").is_none() {
        if server.read_buf(&mut heard).await? == 0 {
            break;
        }
    }
    Ok(())
}

fn position(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}
