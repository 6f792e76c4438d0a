//! A disk that is full or refuses to write: requests are refused and certainly not stored, what was accepted stays, and the
//! store goes on by itself when there is room again. And the write-ahead log, which must not fill the disk by itself.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use futures_util::future::join_all;
use hongyan_core::{
    delivery::State,
    id::{Id, IdSource},
    outcome::{Outcome, Receipts},
    setup::ChannelNo,
    store::{Deliveries, Messages, StoreError, Submitted, Upkeep},
    time::Timestamp,
};
use hongyan_store_sqlite::{Options, SqliteStore, open};
use hongyan_store_suite::{finish, sample};

const NOW: Timestamp = Timestamp::from_ms(1_800_000_000_000);
const CHANNEL: ChannelNo = ChannelNo(1);

/// Submits, several at a time, until a request is refused; answers what was accepted.
async fn fill(store: &SqliteStore, ids: &IdSource) -> Vec<Id> {
    let mut accepted = Vec::new();
    for _ in 0..10_000 {
        let batches: Vec<_> = (0..8).map(|_| sample(ids, NOW, &"text ".repeat(600)).expect("ids")).collect();
        let names: Vec<_> = batches.iter().map(|batch| batch.message.id).collect();
        let answers = join_all(batches.into_iter().map(|batch| store.submit(batch, NOW))).await;
        let mut full = false;
        for (id, answer) in names.into_iter().zip(answers) {
            match answer {
                Ok(answer) => {
                    assert_eq!(answer, Submitted::Stored);
                    accepted.push(id);
                }
                Err(error) => {
                    assert!(matches!(error, StoreError::Unavailable { certain: true, .. }), "{error}");
                    assert!(store.message_read(id).await.expect("reads").is_none(), "refused and not stored");
                    full = true;
                }
            }
        }
        if full {
            return accepted;
        }
    }
    panic!("the disk never filled");
}

async fn all_there(store: &SqliteStore, accepted: &[Id]) {
    for id in accepted {
        let record = store.message_read(*id).await.expect("reads").expect("what was accepted is there");
        assert_eq!(record.deliveries.len(), 1);
        assert_eq!(store.cargo_read(vec![*id]).await.expect("reads").len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_database_refuses_and_recovers() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("hongyan.db");
    let store = open(&file, Options { pages_max: Some(400), ..Options::default() }).await.expect("opens");
    let ids = IdSource::new(0, None);
    let accepted = fill(&store, &ids).await;
    assert!(accepted.len() > 100);
    assert!(store.ping(NOW).await.is_ok(), "what takes no room still goes");
    all_there(&store, &accepted).await;
    let waiting: u64 = store.depths().await.expect("counts").iter().map(|depth| depth.ready).sum();
    assert_eq!(waiting, accepted.len() as u64, "counters are those of what was accepted");

    for id in &accepted[..50] {
        assert_eq!(store.message_cancel(*id, NOW).await.map(|done| done.deliveries), Ok(1));
    }
    let later = NOW + Duration::from_secs(60);
    assert_eq!(store.prune(later, 50, later).await, Ok(true));
    let again = sample(&ids, NOW, "room again").expect("ids");
    assert_eq!(store.submit(again, NOW).await, Ok(Submitted::Stored));
    let leases = store.claim(CHANNEL, 10, NOW).await.expect("claims");
    let outcome = Outcome::Accepted { provider_id: String::new(), receipt: Receipts::Never };
    let changes = leases.iter().flat_map(|lease| &lease.rows).map(|row| finish(CHANNEL, row, outcome.clone(), NOW));
    let settled = store.settle(changes.collect(), NOW).await.expect("settles");
    assert!(settled.iter().all(|track| track.is_some_and(|track| track.state == State::Accepted)));
    all_there(&store, &accepted[50..]).await;
}

/// The file system itself refuses (here by a limit on the size of files, which the parent lifts later).
#[test]
fn a_disk_that_refuses_to_write_is_survived() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut child = limited_child(directory.path());
    let mut said = BufReader::new(child.stdout.take().expect("piped")).lines().map(|line| line.expect("reads"));
    let mut wait_for = |word: &str| {
        let found = said.find(|line| line.contains(word));
        assert!(found.is_some(), "the child never said {word:?}");
    };
    wait_for("refused");
    let lifted = Command::new("prlimit").args(["--fsize=unlimited", "--pid", &child.id().to_string()]).status();
    assert!(lifted.expect("prlimit runs").success());
    child.stdin.take().expect("piped").write_all(b"go on\n").expect("writes");
    wait_for("recovered");
    assert!(child.wait().expect("ends").success());
}

fn limited_child(directory: &Path) -> Child {
    let test = std::env::current_exe().expect("this test");
    // 512-byte units: 6 MB. The signal is ignored, so that writing fails instead.
    let script = "ulimit -S -f 12288; trap '' XFSZ; exec \"$0\" --exact child_on_a_small_disk --nocapture";
    Command::new("sh")
        .args(["-c", script])
        .arg(test)
        .env("HONGYAN_TEST_CHILD", directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts")
}

/// Does nothing but as the child of the test above.
#[tokio::test(flavor = "multi_thread")]
async fn child_on_a_small_disk() {
    let Some(directory) = std::env::var_os("HONGYAN_TEST_CHILD") else { return };
    let store = open(Path::new(&directory).join("hongyan.db"), Options::default()).await.expect("opens");
    let ids = IdSource::new(0, None);
    let mut accepted = fill(&store, &ids).await;
    all_there(&store, &accepted).await;
    assert!(!accepted.is_empty());
    println!("refused");
    std::io::stdin().read_line(&mut String::new()).expect("reads");
    for _ in 0..500 {
        let batch = sample(&ids, NOW, "room again").expect("ids");
        accepted.push(batch.message.id);
        assert_eq!(store.submit(batch, NOW).await, Ok(Submitted::Stored), "without a restart");
    }
    all_there(&store, &accepted).await;
    let leases = store.claim(CHANNEL, accepted.len() + 1, NOW).await.expect("claims");
    assert_eq!(leases.len(), accepted.len());
    println!("recovered");
}

/// Writers that never pause and a reader that never rests: the log starts over again and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_stays_bounded_under_load() {
    const LOG_BYTES_MAX: u64 = 4 << 20;
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("hongyan.db");
    let options =
        Options { checkpoint_every: Duration::from_millis(20), log_bytes_max: LOG_BYTES_MAX, ..Options::default() };
    let store = open(&file, options).await.expect("opens");
    let ids = Arc::new(IdSource::new(0, None));
    let log = directory.path().join("hongyan.db-wal");
    let (mut longest, mut first) = (0, None);
    let text = "text ".repeat(1_600);
    for _ in 0..100 {
        let batches: Vec<_> = (0..64).map(|_| sample(&ids, NOW, &text).expect("ids")).collect();
        first = first.or(Some(batches[0].message.id));
        let read = store.message_read(first.expect("submitted"));
        let (answers, _) = tokio::join!(join_all(batches.into_iter().map(|batch| store.submit(batch, NOW))), read);
        assert!(answers.iter().all(|answer| *answer == Ok(Submitted::Stored)));
        longest = longest.max(log.metadata().expect("there is a log").len());
    }
    let stored = file.metadata().expect("there is a database").len();
    assert!(stored > 8 * LOG_BYTES_MAX, "the load was long enough: {stored}");
    assert!(longest < 5 * LOG_BYTES_MAX, "the log grew to {longest} bytes");
    store.close().await;
    assert!(!log.exists(), "closing leaves no log");
}
