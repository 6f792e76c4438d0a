//! kill -9 at random, forty times, with writers in front and a sink behind. Judged by what the clients were told and what the
//! sink got, never by our own tables: everything answered with success arrives; twice only where the sink hid its reply or a
//! kill lay between the two.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::json;

use crate::support::{
    PATIENCE,
    client::{Connection, SEND_MAIL, mail},
    server::{Home, plan, smtp},
    sink::{Manners, Sink, Taken},
    wait_for,
};

const ROUNDS: usize = 40;
const WRITERS: usize = 6;

/// What the clients know.
#[derive(Default)]
struct Told {
    /// Subjects whose request was answered with success.
    accepted: Mutex<Vec<String>>,
    /// Requests that got no answer: the subject, which is its idempotency key too.
    unanswered: Mutex<Vec<String>>,
    next: AtomicUsize,
}

#[test]
fn forty_kills_lose_nothing_and_repeat_only_what_they_made_doubtful() {
    let seed = rand::random();
    let mut random = StdRng::seed_from_u64(seed);
    let sink = Sink::start(Manners { hide_every: Some(97), ..Manners::default() });
    let home = Home::new();
    let plan = plan("cmsi.wait = \"300ms\"", &smtp(sink.address));
    let told = Arc::new(Told::default());
    let mut kills = Vec::new();
    for _ in 0..ROUNDS {
        let server = home.start(&plan);
        let stop = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..WRITERS).map(|_| writer(server.address, &told, &stop)).collect();
        let enough = told.next.load(Ordering::SeqCst) + random.random_range(1..150);
        wait_for("some requests", PATIENCE, || (told.next.load(Ordering::SeqCst) >= enough).then_some(()));
        server.kill();
        kills.push(Instant::now());
        stop.store(true, Ordering::SeqCst);
        writers.into_iter().for_each(|writer| writer.join().expect("a writer fails only with the connection"));
    }

    sink.behave(Manners::default());
    let _server = home.start(&plan);
    let accepted = told.accepted.lock().expect("told").clone();
    let arrived = wait_for(&format!("everything accepted (seed {seed})"), 2 * PATIENCE, || {
        let arrived = by_subject(sink.taken());
        accepted.iter().all(|subject| arrived.contains_key(subject)).then_some(arrived)
    });
    assert!(accepted.len() > ROUNDS, "{} accepted: the test would prove nothing", accepted.len());
    for (subject, copies) in &arrived {
        for pair in copies.windows(2) {
            // Settled within the second, unless the node died first.
            let killed =
                |dead: &Instant| pair[0].at <= *dead && dead.duration_since(pair[0].at) < Duration::from_secs(1);
            let doubtful = pair[0].reply_hidden || kills.iter().any(killed);
            assert!(doubtful, "{subject} came twice without a reason (seed {seed})");
            assert_eq!(pair[0].data, pair[1].data, "{subject}: the same bytes again");
        }
    }
}

/// Sends until the server dies or the round is over. Requests that got no answer are sent again under their key by whoever
/// comes next.
fn writer(address: std::net::SocketAddr, told: &Arc<Told>, stop: &Arc<AtomicBool>) -> thread::JoinHandle<()> {
    let (told, stop) = (Arc::clone(told), Arc::clone(stop));
    thread::spawn(move || {
        let Ok(mut connection) = Connection::open(address) else { return };
        while !stop.load(Ordering::SeqCst) {
            let repeated = told.unanswered.lock().expect("told").pop();
            let subject = repeated.unwrap_or_else(|| format!("kill-{}", told.next.fetch_add(1, Ordering::SeqCst)));
            let body = mail(json!({ "receiver": "a@b.com", "title": subject })).to_string();
            let sent = connection.send("POST", SEND_MAIL, &[("Idempotency-Key", &subject)], body.as_bytes());
            match sent.and_then(|()| connection.reply()) {
                Ok(reply) => {
                    assert_eq!(reply.json()["result"], true, "{reply:?}");
                    told.accepted.lock().expect("told").push(subject);
                }
                Err(_) => {
                    told.unanswered.lock().expect("told").push(subject);
                    return;
                }
            }
        }
    })
}

fn by_subject(taken: Vec<Taken>) -> HashMap<String, Vec<Taken>> {
    let mut arrived: HashMap<String, Vec<Taken>> = HashMap::new();
    for one in taken {
        arrived.entry(one.header("Subject").expect("a subject")).or_default().push(one);
    }
    arrived
}

/// A process that is stopped for a while and goes on is no crash: nothing is lost, nothing comes twice.
#[test]
fn a_frozen_node_goes_on_where_it_was() {
    let sink = Sink::start(Manners { delay: Duration::from_millis(20), ..Manners::default() });
    let home = Home::new();
    let server = home.start(&plan("cmsi.wait = \"0s\"", &smtp(sink.address)));
    for n in 0..100 {
        assert_eq!(server.send_mail(json!({ "receiver": format!("r{n}@b.com") }))["result"], true);
        if n == 50 {
            crate::support::server::signal(server.pid(), "STOP");
            // Two seconds without anything new at the sink: longer than any call takes.
            let (mut last, mut since) = (sink.count(), Instant::now());
            wait_for("the node to stand still", PATIENCE, || {
                if sink.count() != last {
                    (last, since) = (sink.count(), Instant::now());
                }
                (since.elapsed() > Duration::from_secs(2)).then_some(())
            });
            crate::support::server::signal(server.pid(), "CONT");
        }
    }
    wait_for("all of them", PATIENCE, || (sink.count() >= 100).then_some(()));
    wait_for("an empty queue", PATIENCE, || (server.metric("hongyan_delivered_total") >= 100.0).then_some(()));
    assert_eq!(sink.count(), 100);
}
