//! kill -9 in the middle of everything: what the dead process was told is on disk, and nothing is there by half.

use std::{
    collections::HashSet,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use futures_util::future::join_all;
use hongyan_core::{
    delivery::{Policy, Repeat, State},
    id::Id,
    outcome::{Outcome, Receipts},
    retry::RetrySchedule,
    setup::ChannelNo,
    store::{Deliveries, Messages, Upkeep},
    time::Timestamp,
};
use hongyan_store_sqlite::{Options, SqliteStore, open};
use hongyan_store_suite::{finish, sample};

const NOW: Timestamp = Timestamp::from_ms(1_800_000_000_000);
const CHANNEL: ChannelNo = ChannelNo(1);
const ROUNDS: u32 = 5;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_kill_9() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut stored, mut settled) = (HashSet::new(), HashSet::new());
    for round in 0..ROUNDS {
        let lines = killed_child(directory.path(), 300 + 400 * round as usize);
        for line in lines {
            let (word, id) = line.split_once(' ').expect("a word and an id");
            let set = if word == "stored" { &mut stored } else { &mut settled };
            set.insert(id.parse::<Id>().expect("an id"));
        }
        let store = open(directory.path().join("hongyan.db"), Options::default()).await.expect("opens after a kill");
        check(&store, &stored, &settled).await;
        store.close().await;
    }
    assert!(stored.len() > 1_000 && !settled.is_empty(), "{} stored, {} settled", stored.len(), settled.len());
}

async fn check(store: &SqliteStore, stored: &HashSet<Id>, settled: &HashSet<Id>) {
    let policy = Arc::new(Policy { repeat: Repeat::AtLeastOnce, retry: RetrySchedule::mail() });
    store.recover(Arc::new(move |_| Arc::clone(&policy)), NOW).await.expect("recovers");
    let mut waiting = 0;
    for id in stored {
        let record = store.message_read(*id).await.expect("reads").expect("what was acknowledged is there");
        assert_eq!(record.deliveries.len(), 1, "whole");
        let delivery = &record.deliveries[0];
        match delivery.track.state {
            State::Accepted => assert_eq!(delivery.attempts.len(), 1, "with its try"),
            State::Ready => waiting += 1,
            other => panic!("delivery {} is {other} after recovery", delivery.id),
        }
        if settled.contains(&delivery.id) {
            assert_eq!(delivery.track.state, State::Accepted, "what was settled is not sent again");
        }
    }
    for ids in stored.iter().copied().collect::<Vec<_>>().chunks(500) {
        assert_eq!(store.cargo_read(ids.to_vec()).await.expect("reads").len(), ids.len(), "with their content");
    }
    let ready: u64 = store.depths().await.expect("counts").iter().map(|depth| depth.ready).sum();
    // Beside the acknowledged ones there may be a few whose acknowledgement died with the process.
    assert!(ready >= waiting, "{ready} are ready, at least {waiting} should be");
}

/// Runs a writer until it has said so many lines, then kills it; answers its whole lines.
fn killed_child(directory: &Path, after: usize) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "child_that_writes", "--nocapture"])
        .env("HONGYAN_TEST_CHILD", directory)
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut said = BufReader::new(child.stdout.take().expect("piped"));
    let (mut lines, mut line) = (Vec::new(), String::new());
    let mut killed = false;
    while said.read_line(&mut line).expect("reads") > 0 {
        // A line that was cut off says nothing.
        if line.ends_with('\n') && (line.starts_with("stored ") || line.starts_with("settled ")) {
            lines.push(line.trim_end().to_owned());
        }
        line.clear();
        if lines.len() >= after && !killed {
            child.kill().expect("kills");
            killed = true;
        }
    }
    assert!(killed, "the child ended by itself");
    child.wait().expect("ends");
    lines
}

/// Does nothing but as the child of the test above: writers, and one who claims and settles; each says what it was told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_that_writes() {
    let Some(directory) = std::env::var_os("HONGYAN_TEST_CHILD") else { return };
    let options = Options { checkpoint_every: Duration::from_millis(10), log_bytes_max: 1 << 20, ..Options::default() };
    let store = open(Path::new(&directory).join("hongyan.db"), options).await.expect("opens");
    let ids = store.ids();
    let writer = async || loop {
        let batch = sample(&ids, NOW, &"text ".repeat(300)).expect("ids");
        let id = batch.message.id;
        store.submit(batch, NOW).await.expect("stored");
        say("stored", [id]);
    };
    let deliverer = async {
        loop {
            let leases = store.claim(CHANNEL, 7, NOW).await.expect("claims");
            let outcome = Outcome::Accepted { provider_id: String::new(), receipt: Receipts::Never };
            let rows = || leases.iter().flat_map(|lease| &lease.rows);
            let changes = rows().map(|row| finish(CHANNEL, row, outcome.clone(), NOW)).collect();
            store.settle(changes, NOW).await.expect("settles");
            say("settled", rows().map(|row| row.id));
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(join_all((0..32).map(|_| writer())), deliverer);
}

fn say(word: &str, ids: impl IntoIterator<Item = Id>) {
    let lines: String = ids.into_iter().map(|id| format!("{word} {id}\n")).collect();
    // Whoever listens may be gone, as may we in a moment.
    let _ = std::io::stdout().lock().write_all(lines.as_bytes());
}
