//! What is SQLite's own of messages to people: expansions across kill -9, and what backups, restores and retention make of the
//! directory, of inboxes and of what waits for its time.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use hongyan_core::{
    delivery::{Reason, State, Track},
    directory::{DirectoryChange, GroupEntry, GroupKind, UserEntry},
    id::{Id, IdSource},
    inbox::{InboxFilter, InboxToken, Mark, Marked, NewItem, Which},
    message::MessageState,
    setup::{AppNo, ChannelNo, User},
    store::{
        Batch, Directory, Expansion, Inboxes, Lot, Messages, NewDelivery, Page, People, Place, Rest, ScheduledFilter,
        Submitted, Upkeep, Way, Who,
    },
    time::Timestamp,
};
use hongyan_store_sqlite::{Options, Restore, SqliteStore, backup, open, review};
use hongyan_store_suite::sample;
use rusqlite::Connection;
use tempfile::TempDir;

const NOW: Timestamp = Timestamp::from_ms(1_800_000_000_000);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
const MAIL: Way = Way { channel: ChannelNo(1), parcel_max: 7 };
const SMS: Way = Way { channel: ChannelNo(2), parcel_max: 1 };
const INBOX: ChannelNo = ChannelNo(3);
const APP: AppNo = AppNo(1);

/// People of the page number `step` of an expansion, each on both channels.
const PEOPLE: usize = 25;

fn file(directory: &TempDir, name: &str) -> PathBuf {
    directory.path().join(name)
}

async fn store(directory: &TempDir, name: &str) -> Arc<SqliteStore> {
    open(file(directory, name), Options::default()).await.expect("opens")
}

/// A message without a first page to people of the directory, from `due` on.
fn to_people(ids: &IdSource, people: People, due: Timestamp) -> Batch {
    let who = Who::People { ways: vec![MAIL, SMS], people };
    let batch = sample(ids, NOW, "to people").expect("ids");
    Batch { page: Vec::new(), rest: Some(Rest { due, who }), ..batch }
}

async fn submit(store: &SqliteStore, batch: Batch) -> Id {
    let id = batch.message.id;
    assert_eq!(store.submit(batch, NOW).await, Ok(Submitted::Stored));
    id
}

fn mark_of(step: u32) -> String {
    format!("person {step}")
}

/// The page behind the place of an expansion, in a bucket of its own.
fn next_page(ids: &IdSource, expansion: &Expansion) -> Page {
    let step = expansion.place.step;
    let first = ids.block(2 * PEOPLE, (step % 64) as u8, NOW).expect("ids");
    let lot = |n: usize, way| {
        let delivery = |i: usize| {
            let who = format!("{step}-{i}");
            let track = Track::ready(NOW, expansion.message.expires);
            NewDelivery { id: first.plus(n * PEOPLE + i), recipient: who.clone(), address: who, track }
        };
        Lot { way, deliveries: (0..PEOPLE).map(delivery).collect() }
    };
    let to = Some(Place { step: step + 1, mark: mark_of(step + 1) });
    let page = vec![lot(0, MAIL), lot(1, SMS)];
    Page { message: expansion.message.id, from: expansion.place.clone(), to, page, broadcast: None }
}

/// A process that is killed while it expands a message leaves whole pages: what it was told is there, the place is behind it,
/// and the next process goes on there, so that each person is there once on each channel.
#[tokio::test(flavor = "multi_thread")]
async fn an_expansion_goes_on_after_kill_9() {
    let directory = tempfile::tempdir().expect("a directory");
    let ids = IdSource::new(0, None);
    let first = store(&directory, "hongyan.db").await;
    let id = submit(&first, to_people(&ids, People { everyone: true, ..People::default() }, NOW)).await;
    first.close().await;
    let mut told = 0;
    for round in 1..=3 {
        told = killed_child(directory.path(), told + 10 * round);
        let store = store(&directory, "hongyan.db").await;
        let expansion = store.expansions(None, 9, NOW).await.expect("lists").remove(0);
        let step = expansion.place.step;
        // The last page may have been stored without having been told.
        assert!(step == told || step == told + 1, "{step} pages are there, {told} were told");
        assert_eq!((expansion.message.id, expansion.place.mark.as_str()), (id, mark_of(step).as_str()));
        let record = store.message_read(id).await.expect("reads").expect("is there");
        assert_eq!(record.message.state, MessageState::Expanding);
        let each: BTreeSet<_> =
            record.deliveries.iter().map(|delivery| (delivery.channel.0, delivery.recipient.clone())).collect();
        let expected = (0..step).flat_map(|page| (0..PEOPLE).map(move |i| format!("{page}-{i}")));
        let expected: BTreeSet<_> = expected.flat_map(|who| [(1, who.clone()), (2, who)]).collect();
        assert_eq!(record.deliveries.len(), expected.len());
        assert!(each == expected, "each once");
        store.close().await;
        told = step;
    }
}

/// Runs an expander until it has told so many pages, then kills it; answers how many it told.
fn killed_child(directory: &Path, until: u32) -> u32 {
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "child_that_expands", "--nocapture"])
        .env("HONGYAN_TEST_CHILD", directory)
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut said = BufReader::new(child.stdout.take().expect("piped"));
    let (mut told, mut line, mut killed) = (0, String::new(), false);
    while said.read_line(&mut line).expect("reads") > 0 {
        // A line that was cut off says nothing.
        if line.ends_with('\n')
            && let Some(step) = line.strip_prefix("page ")
        {
            told = step.trim_end().parse().expect("a number");
        }
        line.clear();
        if told >= until && !killed {
            child.kill().expect("kills");
            killed = true;
        }
    }
    assert!(killed, "the child ended by itself");
    child.wait().expect("ends");
    told
}

/// Does nothing but as the child of the test above.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_that_expands() {
    let Some(directory) = std::env::var_os("HONGYAN_TEST_CHILD") else { return };
    let store = open(Path::new(&directory).join("hongyan.db"), Options::default()).await.expect("opens");
    let ids = store.ids();
    loop {
        let expansion = store.expansions(None, 1, NOW).await.expect("lists").remove(0);
        let page = next_page(&ids, &expansion);
        let step = page.to.as_ref().expect("goes on").step;
        assert_eq!(store.page_add(page, NOW).await, Ok(true));
        // Whoever listens may be gone, as may we in a moment.
        let _ = std::io::stdout().lock().write_all(format!("page {step}\n").as_bytes());
    }
}

fn person(code: &str) -> UserEntry {
    let user = User { code: code.into(), email: format!("{code}@example.com"), enabled: true, ..User::default() };
    UserEntry { user, departments: vec!["D".into()], ..UserEntry::default() }
}

async fn make_people(store: &SqliteStore, codes: &[&str]) {
    let group = GroupEntry { kind: GroupKind::Department, code: "D".into(), name: "D".into(), parent: String::new() };
    let users = codes.iter().map(|code| person(code)).collect();
    let report = store.directory_change(DirectoryChange { groups: vec![group], users }, false, NOW).await;
    assert_eq!(report.expect("makes").users_new, codes.len() as u64);
}

/// An item of a message in somebody's inbox.
async fn put(store: &SqliteStore, ids: &IdSource, user: &str) -> (Id, Id) {
    let message = submit(store, sample(ids, NOW, "an item").expect("ids")).await;
    let id = message.plus(1);
    let [business, kind] = [String::new(), String::new()];
    let item = NewItem { id, user: user.into(), message, app: APP, channel: INBOX, business, kind, at: NOW };
    store.inbox_put(vec![item]).await.expect("puts");
    (message, id)
}

/// A message that is a broadcast and nothing else.
async fn broadcast(store: &SqliteStore, ids: &IdSource) -> Id {
    let people = People { everyone: true, ..People::default() };
    let id = submit(store, to_people(ids, people, NOW)).await;
    let page = Page { message: id, from: Place::default(), to: None, page: Vec::new(), broadcast: Some(INBOX) };
    assert_eq!(store.page_add(page, NOW).await, Ok(true));
    id
}

async fn inbox(store: &SqliteStore, user: &str) -> Vec<(Id, bool)> {
    let items = store.inbox(user.into(), InboxFilter::default(), None, 9).await.expect("lists");
    items.iter().map(|item| (item.id, item.read)).collect()
}

/// What people belong to and find is in a backup, and a restored store has it as it stood.
#[tokio::test]
async fn people_and_inboxes_are_restored_as_they_stood() {
    let (directory, ids) = (tempfile::tempdir().expect("a directory"), IdSource::new(0, None));
    let store_before = store(&directory, "hongyan.db").await;
    make_people(&store_before, &["ann", "bob"]).await;
    let (_, own) = put(&store_before, &ids, "ann").await;
    let all = broadcast(&store_before, &ids).await;
    let marked = store_before.inbox_mark("ann".into(), Which::Items(vec![all]), Mark::Read, NOW).await;
    assert_eq!(marked, Ok(vec![Marked { id: all, broadcast: true }]));
    let token = InboxToken { user: "ann".into(), app: APP };
    store_before.inbox_token_add(token.clone(), [7; 32], NOW + HOUR).await.expect("keeps");
    backup(&file(&directory, "hongyan.db"), &file(&directory, "backup.db")).expect("backs up");
    store_before.close().await;

    let restore = Restore::begin(&file(&directory, "backup.db"), &file(&directory, "new.db")).expect("begins");
    restore.finish(NOW).expect("restores");
    let store = store(&directory, "new.db").await;
    assert_eq!(inbox(&store, "ann").await, [(all, true), (own, false)]);
    assert_eq!(inbox(&store, "bob").await, [(all, false)]);
    assert_eq!((store.inbox_unread("ann".into()).await, store.inbox_unread("bob".into()).await), (Ok(1), Ok(1)));
    let entries = store.user_entries(vec!["bob".into()]).await.expect("finds");
    assert_eq!(entries, [person("bob")]);
    assert_eq!(store.inbox_token_find([7; 32], NOW).await, Ok(Some(token)));
    // Numbers go on where they stood.
    let groups = vec![GroupEntry { kind: GroupKind::Post, code: "P".into(), name: "P".into(), parent: String::new() }];
    let more = DirectoryChange { groups, users: Vec::new() };
    assert_eq!(store.directory_change(more, false, NOW).await.expect("makes").groups_new, 1);
    let found = store.groups_find(GroupKind::Post, vec!["P".into()]).await.expect("finds");
    assert_eq!(found[0].no.0, 2);
}

/// What waits for its time may have been cancelled or hastened since: nothing of it fires by itself after a restore, and it is seen
/// who was meant.
#[tokio::test]
async fn what_was_scheduled_is_held_for_review() {
    let (directory, ids) = (tempfile::tempdir().expect("a directory"), IdSource::new(0, None));
    let before = store(&directory, "hongyan.db").await;
    let some = People {
        users: vec!["ann".into(), "bob".into()],
        departments: vec!["D".into()],
        with_below: true,
        roles: vec!["R".into()],
        ..People::default()
    };
    let everyone = People { everyone: true, ..People::default() };
    let scheduled = submit(&before, to_people(&ids, some, NOW + DAY)).await;
    let begun = submit(&before, to_people(&ids, everyone, NOW)).await;
    let expansion = before.expansions(None, 9, NOW).await.expect("lists").remove(0);
    assert_eq!(expansion.message.id, begun);
    assert_eq!(before.page_add(next_page(&ids, &expansion), NOW).await, Ok(true));
    before.close().await;
    let held = backup(&file(&directory, "hongyan.db"), &file(&directory, "backup.db")).expect("backs up");
    let open = (2 * 4 + 2 * PEOPLE + 2) as u64;
    assert_eq!((held.messages, held.open), (2, open));

    let restore = Restore::begin(&file(&directory, "backup.db"), &file(&directory, "new.db")).expect("begins");
    restore.finish(NOW + HOUR).expect("restores");
    let listed = review(&file(&directory, "new.db")).expect("lists");
    assert_eq!(
        listed.iter().map(|held| (held.message, held.recipients)).collect::<Vec<_>>(),
        [(scheduled, 8), (begun, open - 8)]
    );
    let store = store(&directory, "new.db").await;
    let late = NOW + 2 * DAY;
    assert!(store.expansions(None, 9, late).await.expect("lists").is_empty());
    let waiting = store.scheduled(ScheduledFilter::default(), None, 9, NOW).await;
    assert_eq!(waiting, Ok(Vec::new()));
    let record = store.message_read(scheduled).await.expect("reads").expect("is there");
    assert_eq!(record.message.state, MessageState::Expanded);
    let names: Vec<_> = record.deliveries.iter().map(|delivery| delivery.recipient.as_str()).collect();
    let named = ["ann", "bob", "department D", "role R"];
    assert_eq!(names, [named, named].concat());
    for delivery in &record.deliveries {
        assert_eq!((delivery.track.state, delivery.track.reason), (State::Unknown, Some(Reason::Restored)));
    }
}

/// Retention takes items and broadcasts with their messages; of a broadcast that very many have marked not all at once, and its
/// message stays until they are gone.
#[tokio::test]
async fn very_many_marks_are_forgotten_in_steps() {
    let (directory, ids) = (tempfile::tempdir().expect("a directory"), IdSource::new(0, None));
    let first = store(&directory, "hongyan.db").await;
    make_people(&first, &["ann"]).await;
    let (message, _) = put(&first, &ids, "ann").await;
    first.message_cancel(message, NOW).await.expect("cancels");
    let id = broadcast(&first, &ids).await;
    first.close().await;
    let db = Connection::open(file(&directory, "hongyan.db")).expect("opens");
    let many = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 20500) \
                INSERT INTO broadcast_mark SELECT 'person ' || n, ?1, 1, 0, 0 FROM n";
    assert_eq!(db.execute(many, [id.get()]).expect("writes"), 20_500);
    let count = |table: &str| -> i64 {
        db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).expect("counts")
    };
    let store = store(&directory, "hongyan.db").await;
    for (more, left, messages) in [(true, 10_500, 1), (true, 500, 1), (false, 0, 0), (false, 0, 0)] {
        assert_eq!(store.prune(NOW + DAY, 9, NOW + DAY).await, Ok(more));
        assert_eq!((count("broadcast_mark"), count("broadcast"), count("message")), (left, messages, messages));
        assert_eq!(count("inbox_item"), 0);
    }
    assert!(inbox(&store, "ann").await.is_empty());
}
