//! Writers: clients that send mails to several nodes, as callers of a deployment do. One mail in four carries an idempotency
//! key and is sent again, to another node, until it is answered; the others are sent once.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use serde_json::json;

use super::client::{Connection, Reply, SEND_MAIL, mail};

/// How long a writer waits for an answer before it turns to another node.
const ANSWER: Duration = Duration::from_secs(5);

/// What the clients were told.
#[derive(Default)]
pub struct Told {
    /// Who was to get a mail that was answered with success, and its `request_id`.
    accepted: Mutex<HashMap<String, String>>,
    /// When each refusal came and how long it had taken.
    refused: Mutex<Vec<(Instant, Duration)>>,
    unanswered: AtomicUsize,
    next: AtomicUsize,
}

/// Writers at work.
pub struct Load {
    pub told: Arc<Told>,
    stop: Arc<AtomicBool>,
    writers: Vec<JoinHandle<()>>,
}

/// One writer.
struct Writer {
    nodes: Vec<SocketAddr>,
    /// Which of the nodes it speaks to.
    turn: usize,
    connection: Option<Connection>,
    told: Arc<Told>,
    stop: Arc<AtomicBool>,
    began: Instant,
    per_second: usize,
}

impl Told {
    pub fn accepted(&self) -> HashMap<String, String> {
        self.accepted.lock().expect("told").clone()
    }

    pub fn count(&self) -> usize {
        self.accepted.lock().expect("told").len()
    }

    /// How long each refusal that came after `since` had taken.
    pub fn refused_since(&self, since: Instant) -> Vec<Duration> {
        let refused = self.refused.lock().expect("told");
        refused.iter().filter(|(at, _)| *at >= since).map(|(_, took)| *took).collect()
    }

    /// How many requests got no answer in time.
    pub fn unanswered(&self) -> usize {
        self.unanswered.load(Ordering::SeqCst)
    }
}

impl Load {
    /// So many writers, spread over the nodes, that send no more than `per_second` mails together until they are stopped.
    pub fn start(writers: usize, nodes: &[SocketAddr], per_second: usize) -> Self {
        let (told, stop) = (Arc::new(Told::default()), Arc::new(AtomicBool::new(false)));
        let began = Instant::now();
        let writer = |turn| Writer {
            nodes: nodes.to_vec(),
            turn,
            connection: None,
            told: Arc::clone(&told),
            stop: Arc::clone(&stop),
            began,
            per_second,
        };
        let writers = (0..writers).map(writer).map(|writer| thread::spawn(move || writer.work())).collect();
        Self { told, stop, writers }
    }

    /// Lets the writers finish what they are at; answers what they were told.
    pub fn stop(self) -> Arc<Told> {
        self.stop.store(true, Ordering::SeqCst);
        self.writers.into_iter().for_each(|writer| writer.join().expect("a writer survives any answer"));
        self.told
    }
}

impl Writer {
    fn work(mut self) {
        while !self.stop.load(Ordering::SeqCst) {
            let n = self.told.next.fetch_add(1, Ordering::SeqCst);
            let due = self.began + Duration::from_micros((n * 1_000_000 / self.per_second) as u64);
            pause(due.saturating_duration_since(Instant::now()));
            self.send(n);
        }
    }

    /// Sends the n-th mail: with a key until it is accepted or nobody cares any more, without one once.
    fn send(&mut self, n: usize) {
        let recipient = format!("m{n}@b.com");
        let body = mail(json!({ "receiver": recipient })).to_string();
        let is_keyed = n.is_multiple_of(4);
        let headers: &[(&str, &str)] = if is_keyed { &[("Idempotency-Key", &recipient)] } else { &[] };
        loop {
            let began = Instant::now();
            match self.exchange(headers, body.as_bytes()).map(|reply| reply.json()) {
                Some(reply) if reply["result"] == true => {
                    let id = reply["request_id"].as_str().expect("a request_id").to_owned();
                    self.told.accepted.lock().expect("told").insert(recipient, id);
                    return;
                }
                Some(reply) => {
                    let said = reply["message"].as_str().unwrap_or_default();
                    assert!(said.starts_with("The message could not be stored"), "{reply}");
                    self.told.refused.lock().expect("told").push((Instant::now(), began.elapsed()));
                    pause(Duration::from_millis(100));
                }
                None => {
                    self.told.unanswered.fetch_add(1, Ordering::SeqCst);
                    self.turn += 1;
                }
            }
            if !is_keyed || self.stop.load(Ordering::SeqCst) {
                return;
            }
        }
    }

    /// The node's answer; none where it gave none in time, and then the connection is of no more use.
    fn exchange(&mut self, headers: &[(&str, &str)], body: &[u8]) -> Option<Reply> {
        let node = self.nodes[self.turn % self.nodes.len()];
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let opened = Connection::open_for(node, ANSWER);
                if opened.is_err() {
                    pause(Duration::from_millis(20));
                }
                opened.ok()?
            }
        };
        connection.send("POST", SEND_MAIL, headers, body).ok()?;
        let reply = connection.reply().ok()?;
        if !connection.is_over() {
            self.connection = Some(connection);
        }
        Some(reply)
    }
}

#[expect(clippy::disallowed_methods, reason = "clients that send so many a second and no more")]
fn pause(time: Duration) {
    thread::sleep(time);
}
