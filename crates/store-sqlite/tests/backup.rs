//! Backups beside a store that is written, and what a restore makes of them: nothing that was committed is lost, nothing that
//! may have been sent is sent again.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hongyan_core::{
    delivery::{Event, Policy, Reason, Repeat, State, Track},
    id::{Id, IdSource},
    limits,
    message::{Idempotency, MessageState},
    outcome::{Outcome, Receipts, Rejection},
    retry::{RetrySchedule, Roll},
    setup::{AppNo, ChannelNo},
    store::{
        Addressee, Batch, Change, Deliveries, Listed, Lot, Messages, NewDelivery, Page, Place as At, Recovered, Rest,
        Submitted, Upkeep, Way, Who,
    },
    time::Timestamp,
};
use hongyan_store_sqlite::{
    BackupError, Holdings, OpenError, Options, Restore, RestoreError, SqliteStore, backup, open, review,
};
use hongyan_store_suite::sample;
use tempfile::TempDir;

const NOW: Timestamp = Timestamp::from_ms(1_800_000_000_000);
const CHANNEL: ChannelNo = ChannelNo(1);
const APP: AppNo = AppNo(1);
const HOUR: Duration = Duration::from_secs(3_600);

struct Place {
    directory: TempDir,
    ids: IdSource,
}

impl Place {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().expect("a directory"), ids: IdSource::new(0, None) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    async fn store(&self, name: &str) -> Arc<SqliteStore> {
        open(self.path(name), Options::default()).await.expect("opens")
    }

    fn batch(&self) -> Batch {
        sample(&self.ids, NOW, "a report").expect("ids")
    }

    /// A backup `backup.db` of a store with `messages` messages that wait.
    async fn backed_up(&self, messages: usize) -> PathBuf {
        let store = self.store("hongyan.db").await;
        for _ in 0..messages {
            submit(&store, self.batch()).await;
        }
        store.close().await;
        let to = self.path("backup.db");
        backup(&self.path("hongyan.db"), &to).expect("backs up");
        to
    }
}

async fn submit(store: &SqliteStore, batch: Batch) -> Id {
    let id = batch.message.id;
    assert_eq!(store.submit(batch, NOW).await, Ok(Submitted::Stored));
    id
}

fn restore(from: &Path, file: &Path, now: Timestamp) -> Result<Holdings, RestoreError> {
    Restore::begin(from, file)?.finish(now)
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("lists");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name")).collect();
    names.sort();
    names
}

/// While others write, a backup has everything that was committed before it began, whole, and is consistent in itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_beside_a_busy_writer_loses_nothing() {
    let place = Arc::new(Place::new());
    let store = place.store("hongyan.db").await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut before = Vec::new();
    for _ in 0..500 {
        before.push(submit(&store, place.batch()).await);
    }
    let writers: Vec<_> = (0..4)
        .map(|_| {
            let (place, store, stop) = (Arc::clone(&place), Arc::clone(&store), Arc::clone(&stop));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    submit(&store, place.batch()).await;
                }
            })
        })
        .collect();
    for round in 0..5 {
        let (file, to) = (place.path("hongyan.db"), place.path(&format!("backup-{round}.db")));
        let held = tokio::task::spawn_blocking(move || backup(&file, &to)).await.expect("ends").expect("backs up");
        assert!(held.messages >= before.len() as u64, "{held:?}");
        assert_eq!(held.open, held.messages, "each message came with its delivery");
    }
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.expect("writes to the end");
    }
    let copy = place.store("backup-0.db").await;
    for id in before {
        let record = copy.message_read(id).await.expect("reads").expect("is in the backup");
        assert_eq!(record.deliveries.len(), 1);
        assert_eq!(copy.cargo_read(vec![id]).await.expect("reads").len(), 1, "with what it says");
    }
}

#[tokio::test]
async fn a_backup_is_private_and_leaves_nothing_else_behind() {
    let place = Place::new();
    let to = place.backed_up(3).await;
    assert_eq!(fs::metadata(&to).expect("is there").permissions().mode() & 0o777, 0o600);
    let error = backup(&place.path("hongyan.db"), &to).expect_err("is there already");
    assert!(matches!(error, BackupError::Taken { .. }), "{error}");
    let nowhere = place.path("missing/backup.db");
    let error = backup(&place.path("hongyan.db"), &nowhere).expect_err("no such directory");
    assert!(error.to_string().contains("missing/backup.db"), "{error}");
    let error = backup(&place.path("other.db"), &place.path("second.db")).expect_err("no store");
    assert!(matches!(error, BackupError::Absent { .. }), "{error}");
    fs::write(place.path("letter.db"), "To whom it may concern\n".repeat(1_000)).expect("writes");
    let error = backup(&place.path("letter.db"), &place.path("second.db")).expect_err("a letter");
    assert!(matches!(error, BackupError::Store(OpenError::Foreign { .. })), "{error}");
    assert!(!names(place.directory.path()).iter().any(|name| name.contains(".new") || name.starts_with("second")));
    assert!(!names(place.directory.path()).iter().any(|name| name.starts_with("backup.db-")));
}

/// A store whose node was killed is backed up with what only its log has, and stays as it is.
#[tokio::test]
async fn the_log_of_a_dead_node_is_part_of_the_backup() {
    let place = Place::new();
    let store = place.store("hongyan.db").await;
    let id = submit(&store, place.batch()).await;
    // As a kill leaves it: the log as it is now beside the database as it is now.
    let killed = place.path("killed");
    fs::create_dir(&killed).expect("makes");
    for suffix in ["", "-wal"] {
        let name = format!("hongyan.db{suffix}");
        fs::copy(place.path(&name), killed.join(&name)).expect("copies");
    }
    let held = backup(&killed.join("hongyan.db"), &place.path("backup.db")).expect("backs up");
    assert_eq!((held.messages, held.open), (1, 1));
    let error = Restore::begin(&killed.join("hongyan.db"), &place.path("new.db")).err().expect("not a backup");
    assert!(matches!(error, RestoreError::NotABackup { .. }), "{error}");
    let copy = place.store("backup.db").await;
    assert!(copy.message_read(id).await.expect("reads").is_some());
}

#[tokio::test]
async fn a_restore_replaces_nothing_and_needs_a_free_place() {
    let place = Place::new();
    let from = place.backed_up(1).await;
    let file = place.path("hongyan.db");
    let kept = fs::read(&file).expect("reads");
    let error = restore(&from, &file, NOW).expect_err("a store is there");
    assert!(matches!(error, RestoreError::Occupied { .. }), "{error}");
    assert!(error.to_string().contains("move it away"), "{error}");
    assert_eq!(fs::read(&file).expect("reads"), kept);

    let store = place.store("hongyan.db").await;
    for gone in [false, true] {
        if gone {
            fs::remove_file(&file).expect("removes");
            fs::remove_file(place.path("hongyan.db-wal")).expect("removes");
        }
        let error = restore(&from, &file, NOW).expect_err("a node runs");
        assert!(matches!(error, RestoreError::Store(OpenError::InUse { .. })), "{error}");
    }
    store.close().await;
    assert!(matches!(restore(&place.path("none.db"), &file, NOW), Err(RestoreError::Absent { .. })));
    fs::write(&file, "To whom it may concern\n".repeat(100)).expect("writes");
    let error = restore(&from, &file, NOW).expect_err("a letter is there");
    assert!(matches!(error, RestoreError::Store(OpenError::Foreign { .. })), "{error}");
    assert!(!names(place.directory.path()).iter().any(|name| name.contains(".new")));
}

/// What is not a backup of ours, is newer, is damaged anywhere or comes from the future is refused and leaves the place free.
#[tokio::test]
async fn a_restore_refuses_what_is_foreign_newer_damaged_or_of_the_future() {
    let place = Place::new();
    let from = place.backed_up(200).await;
    let whole = fs::read(&from).expect("reads");
    let file = place.path("new/hongyan.db");
    let refused = || {
        let error = restore(&from, &file, NOW).expect_err("refused");
        assert!(error.to_string().contains("backup.db"), "{error}");
        assert!(!names(&place.path("new")).iter().any(|name| name != "hongyan.db.lock"), "nothing is left");
        error
    };
    fs::create_dir(place.path("new")).expect("makes");

    fs::write(&from, "To whom it may concern\n".repeat(1_000)).expect("writes");
    assert!(matches!(refused(), RestoreError::Store(OpenError::Foreign { .. })));
    for version in [99u32, u32::MAX] {
        let mut newer = whole.clone();
        newer[60..64].copy_from_slice(&version.to_be_bytes());
        fs::write(&from, newer).expect("writes");
        assert!(matches!(refused(), RestoreError::Store(OpenError::Newer { .. })));
    }
    fs::write(&from, &whole[..whole.len() / 2]).expect("writes");
    assert!(matches!(refused(), RestoreError::Damaged { .. }));
    for page in 1..whole.len() / 8_192 {
        let mut damaged = whole.clone();
        damaged[page * 8_192..page * 8_192 + 512].fill(0xA5);
        fs::write(&from, damaged).expect("writes");
        assert!(matches!(refused(), RestoreError::Damaged { .. }), "page {page}");
    }

    fs::write(&from, &whole).expect("writes");
    let early = NOW - limits::ID_BORROW_MAX - Duration::from_secs(60);
    let error = restore(&from, &file, early).expect_err("the clock is behind");
    assert!(matches!(error, RestoreError::ClockBehind { behind_secs: 70, .. }), "{error}");
    assert!(error.to_string().contains("set the clock"), "{error}");
    let ahead = NOW - limits::ID_BORROW_MAX + Duration::from_secs(1);
    restore(&from, &file, ahead).expect("ids may be ahead");
}

fn policy() -> Arc<Policy> {
    Arc::new(Policy { repeat: Repeat::AtMostOnce, retry: RetrySchedule::mail() })
}

/// Claims everything that is due and does this to all of it.
async fn claim_and(store: &SqliteStore, event: impl Fn(u32) -> Option<Event>) {
    for lease in store.claim(CHANNEL, 10, NOW).await.expect("claims") {
        for row in &lease.rows {
            let Some(event) = event(row.track.lease) else { continue };
            let change = Change { delivery: row.id, event, policy: policy(), attempt: None };
            store.settle(vec![change], NOW).await.expect("settles");
        }
    }
}

fn rest(people: usize) -> Vec<Addressee> {
    let one = |n| Addressee {
        recipient: format!("user{n}"),
        address: if n % 10 == 9 { String::new() } else { format!("user{n}@example.com") },
        skipped: (n % 10 == 9).then_some(Reason::NoAddress),
    };
    (0..people).map(one).collect()
}

/// A message to one and 2,500 more, of which the first page is there, and the second where `begun`.
async fn expanding(place: &Place, store: &SqliteStore, begun: bool) -> Id {
    let way = Way { channel: CHANNEL, parcel_max: 1_000 };
    let who = Who::Listed(vec![Listed { way, addressees: rest(2_500) }]);
    let batch = Batch { rest: Some(Rest { due: NOW, who }), ..place.batch() };
    let (expires, id) = (batch.message.expires, submit(store, batch).await);
    if begun {
        let first = place.ids.block(1_000, 0, NOW).expect("ids");
        let delivery = |(n, who): (usize, Addressee)| NewDelivery {
            id: first.plus(n),
            recipient: who.recipient,
            address: who.address,
            track: who.skipped.map_or(Track::ready(NOW, expires), |why| Track::skipped(why, NOW, expires)),
        };
        let deliveries = rest(1_000).into_iter().enumerate().map(delivery).collect();
        let to = Some(At { step: 1_000, mark: String::new() });
        let page = vec![Lot { way, deliveries }];
        let page = Page { message: id, from: At::default(), to, page, broadcast: None };
        assert_eq!(store.page_add(page, NOW).await, Ok(true));
    }
    id
}

/// A message's deliveries as they stand, for comparing.
async fn deliveries(store: &SqliteStore, id: Id) -> String {
    format!("{:?}", store.message_read(id).await.expect("reads").expect("is there").deliveries)
}

/// Messages in every state.
struct History {
    /// What is over, and how it stood.
    over: Vec<(Id, String)>,
    /// Open, each with one delivery: sending, leased, ready, not yet due.
    open: [Id; 4],
    /// Being expanded: none and one of the later pages are there.
    large: [Id; 2],
}

async fn history(place: &Place, store: &SqliteStore, key: &Idempotency) -> History {
    let mut over = Vec::new();
    for outcome in [
        Outcome::Accepted { provider_id: "250".into(), receipt: Receipts::Never },
        Outcome::Rejected(Rejection::Recipient),
        Outcome::Unknown,
    ] {
        let id = submit(store, place.batch()).await;
        let roll = Roll::NONE;
        claim_and(store, |lease| Some(Event::Finish { lease, outcome: outcome.clone(), roll })).await;
        over.push((id, deliveries(store, id).await));
    }
    let sending = submit(store, place.batch()).await;
    claim_and(store, |lease| Some(Event::Intend { lease })).await;
    let leased = submit(store, place.batch()).await;
    claim_and(store, |_| None).await;
    let ready = submit(store, Batch { idempotency: Some(key.clone()), ..place.batch() }).await;
    let mut later = place.batch();
    later.page[0].deliveries[0].track.due = NOW + HOUR;
    let later = submit(store, later).await;
    let large = [expanding(place, store, false).await, expanding(place, store, true).await];
    History { over, open: [sending, leased, ready, later], large }
}

/// Everything open is held, whatever it waited for; what was over stays as it was; nothing is left to claim or to recover.
#[tokio::test]
async fn what_was_open_is_held_and_what_was_over_stays() {
    let (place, key) = (Place::new(), Idempotency { key: "k".into(), fingerprint: [7; 32] });
    let store = place.store("hongyan.db").await;
    let History { over, open, large } = history(&place, &store, &key).await;
    store.answer_keep(APP, "k".into(), "so it was".into()).await.expect("keeps");
    let holdings = backup(&place.path("hongyan.db"), &place.path("backup.db")).expect("backs up");
    assert_eq!(holdings, Holdings { messages: 9, open: 4 + 2 * (1 + 2_250) });
    store.close().await;

    let new = place.path("new/hongyan.db");
    assert_eq!(restore(&place.path("backup.db"), &new, NOW).expect("restores"), holdings);
    assert_eq!(names(&place.path("new")), ["hongyan.db", "hongyan.db.lock"]);
    let listed = review(&new).expect("lists");
    assert_eq!(listed.iter().map(|held| held.message).collect::<Vec<_>>(), [&open[..], &large[..]].concat());
    assert_eq!(listed.iter().map(|held| held.recipients).sum::<u64>(), holdings.open);
    assert_eq!((listed[0].accepted.as_str(), listed[0].channel.as_str()), ("2027-01-15T08:00:00.000Z", "1"));

    let store = place.store("new/hongyan.db").await;
    for (id, stood) in over {
        assert_eq!(deliveries(&store, id).await, stood);
    }
    for id in open {
        let record = store.message_read(id).await.expect("reads").expect("is there");
        let track = record.deliveries[0].track;
        assert_eq!((track.state, track.reason), (State::Unknown, Some(Reason::Restored)));
    }
    let late = NOW + 2 * HOUR;
    assert!(store.claim(CHANNEL, 100, late).await.expect("claims").is_empty());
    assert!(store.expansions(None, 10, NOW).await.expect("lists").is_empty());
    assert!(store.depths().await.expect("counts").is_empty());
    let recovered = store.recover(Arc::new(|_| policy()), late).await.expect("recovers");
    assert_eq!(recovered, Recovered::default());
    assert_eq!(store.answer_read(APP, "k".into()).await, Ok(Some("so it was".into())));
    let again = Batch { idempotency: Some(key), ..place.batch() };
    assert_eq!(store.submit(again, NOW).await, Ok(Submitted::Seen(open[2])), "the key is known");
}

/// Of a large audience nobody is missing or there twice; ids go on above those that the restore itself has given out.
#[tokio::test]
async fn a_restore_finishes_expansions() {
    let place = Place::new();
    let store = place.store("hongyan.db").await;
    let large = [expanding(&place, &store, false).await, expanding(&place, &store, true).await];
    store.close().await;
    backup(&place.path("hongyan.db"), &place.path("backup.db")).expect("backs up");
    // After the backup the lost store went on.
    let lost = place.ids.block(1, 0, NOW).expect("ids");
    let at = NOW + Duration::from_secs(1);
    restore(&place.path("backup.db"), &place.path("new.db"), at).expect("restores");

    let store = place.store("new.db").await;
    let mut highest = None;
    for id in large {
        let record = store.message_read(id).await.expect("reads").expect("is there");
        assert_eq!(record.message.state, MessageState::Expanded);
        let people: Vec<_> = record.deliveries.iter().skip(1).map(|delivery| delivery.recipient.clone()).collect();
        assert_eq!(people, rest(2_500).into_iter().map(|who| who.recipient).collect::<Vec<_>>());
        for delivery in &record.deliveries {
            let skipped = delivery.recipient.starts_with("user") && delivery.recipient.ends_with('9');
            let (state, reason) =
                if skipped { (State::Skipped, Reason::NoAddress) } else { (State::Unknown, Reason::Restored) };
            assert_eq!((delivery.track.state, delivery.track.reason), (state, Some(reason)));
        }
        highest = highest.max(record.deliveries.iter().map(|delivery| delivery.id).max());
    }
    let next = store.ids().block(1, 0, at).expect("ids");
    assert!(next > lost && Some(next) > highest, "above everything");
}

/// A row and an audience that no program of ours wrote keep nobody from the rest, and nothing of them is sent.
#[tokio::test]
async fn damaged_rows_are_held_too() {
    let place = Place::new();
    let store = place.store("hongyan.db").await;
    let [bad, good] = [submit(&store, place.batch()).await, submit(&store, place.batch()).await];
    let large = expanding(&place, &store, false).await;
    store.close().await;
    let db = rusqlite::Connection::open(place.path("hongyan.db")).expect("opens");
    db.execute("UPDATE delivery SET reason = 'nonsense' WHERE message = ?1", [bad.get()]).expect("damages");
    db.execute("UPDATE audience SET rest = x'00' WHERE message = ?1", [large.get()]).expect("damages");
    drop(db);
    let holdings = backup(&place.path("hongyan.db"), &place.path("backup.db")).expect("backs up");
    assert_eq!(holdings.open, 3);
    restore(&place.path("backup.db"), &place.path("new.db"), NOW).expect("restores");
    let store = place.store("new.db").await;
    for id in [bad, good, large] {
        let record = store.message_read(id).await.expect("reads").expect("is there");
        assert_eq!(record.message.state, MessageState::Expanded);
        let track = record.deliveries[0].track;
        assert_eq!((track.state, track.reason), (State::Unknown, Some(Reason::Restored)));
    }
    assert!(store.expansions(None, 10, NOW).await.expect("lists").is_empty());
}
