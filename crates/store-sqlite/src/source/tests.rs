//! A store that is read whole: every row once, in bounded pages, and nothing written.

use std::{fs, path::Path};

use hongyan_core::{
    setup::ChannelNo,
    store::{Place, Upkeep, Who},
    time::Timestamp,
    transfer::{MovedItem, Presence, Rows},
};
use rusqlite::params;
use tempfile::TempDir;

use super::*;
use crate::{Options, open, place::beside, schema};

const MESSAGES: i64 = 2_300;
/// A number of a message's own, so that its delivery follows it.
const STEP: i64 = 1 << 10;

/// A store with history: one delivery each, every third with two attempts; what is of one kind only besides.
async fn filled(directory: &TempDir) -> PathBuf {
    let file = directory.path().join("hongyan.db");
    open(&file, Options::default()).await.expect("opens").close().await;
    let mut db = Connection::open(&file).expect("opens");
    let all = db.transaction().expect("begins");
    for n in 1..=MESSAGES {
        let id = n * STEP;
        let state = if n == 7 { 1 } else { 3 };
        let message = "INSERT INTO message VALUES (?1, 1, 2, 'cmsi', 'send_mail', 'admin', 2, 'expanded', 5, 6, ?2, 1, '192.0.2.7', '', '')";
        all.execute(message, [id, id + 64]).expect("writes");
        all.execute("INSERT INTO content VALUES (?1, ?2)", params![id, vec![b'c'; 10]]).expect("writes");
        all.execute("INSERT INTO attachment VALUES (?1, 0, ?2)", params![id, vec![0u8; 20_000]]).expect("writes");
        let delivery =
            "INSERT INTO delivery VALUES (?1, ?2, ?1, 2, 2, 1, ?3, 1, 1, 0, 5, 6, NULL, 0, NULL, 'a@b.com', NULL)";
        all.execute(delivery, [id + 64, id, state]).expect("writes");
        for no in 0..if n % 3 == 0 { 2 } else { 0 } {
            all.execute("INSERT INTO attempt VALUES (?1, ?2, 1, 5, 6, 'accepted', '250')", [id + 64, no])
                .expect("writes");
        }
        all.execute("INSERT INTO idempotency VALUES (?2, ?1, x'00', ?1, 9, '{}')", [n, n % 3]).expect("writes");
    }
    all.execute_batch(
        "INSERT INTO page VALUES (1024, 9000064, 9000128); INSERT INTO expansion VALUES (1024, 1, 'D1', 7, '2');
         INSERT INTO audience VALUES (1024, CAST('[[\"a\",\"a@b.com\",null]]' AS BLOB));
         INSERT INTO declaration VALUES ('app', 'a', 1, '{}'); INSERT INTO numbering VALUES ('app', 3);
         UPDATE setup SET version = 4, plan = 'hash'; INSERT INTO person VALUES ('p', 'P', '', '', '', '', 1);
         INSERT INTO presence VALUES ('p', 0, 4), ('p', 6, NULL);
         INSERT INTO directory_group VALUES (1, 'department', 'D', 'd', NULL), (2, 'department', 'E', 'e', 1);
         INSERT INTO directory_member VALUES (2, 'p'), (2, 'q'), (1, 'r');
         INSERT INTO inbox_item VALUES (1088, 'p', 1024, 1, 2, 'b', 'k', 7, 1, 0, 0), (1089, 'q', 1024, 1, 2, '', '', 7, 0, 1, 1);
         INSERT INTO broadcast VALUES (2048, 1, 2, 'b', 'k', 8); INSERT INTO broadcast_mark VALUES ('p', 2048, 1, 0, 0), ('p', 4096, 1, 0, 0);
         INSERT INTO note VALUES ('k', 'v'); INSERT INTO capture VALUES (1, 11, 1024, 'c', 5, 's', '[\"r\"]', x'00');
         INSERT INTO quota_account VALUES ('account/1', 5, 1, 1, 0, 9); INSERT INTO quota_entry VALUES ('account/1', 3, 5, 0, 1);
         INSERT INTO meter VALUES ('m', 5, 6);
         INSERT INTO account VALUES (2, 'a', 5, 'hash', 'admin', 5, 20, 1, 1, '', 'a@b.com', '', 3);
         INSERT INTO account_token VALUES (x'00', 2, 3, 9);
         INSERT INTO follower VALUES (10001, 7, 'o1', 1), (10002, 7, 'o2', 0);",
    )
    .expect("writes");
    all.commit().expect("commits");
    file
}

/// Everything in the store, page by page, each page held to its bounds; counted as it came. All messages came from `client`.
fn read_all(source: &mut Source, client: &str) -> Counts {
    let mut counts = Counts::default();
    while let Some(rows) = source.next_rows().expect("reads") {
        assert!(rows.len() <= 1_000, "a page is bounded");
        match &rows {
            Rows::Messages(rows) => {
                assert!(rows.iter().all(|row| row.message.client == client));
                counts.add("messages", rows.len() as u64);
                counts.add("content_bytes", rows.iter().map(|row| row.content.len() as u64).sum());
            }
            Rows::Attachments(rows) => {
                assert!(rows.len() < 250, "bytes are bounded, too: {}", rows.len());
                counts.add("attachments", rows.len() as u64);
                counts.add("attachment_bytes", rows.iter().map(|row| row.body.len() as u64).sum());
            }
            Rows::Deliveries(rows) => {
                for row in rows {
                    counts.add_deliveries(row.track.state, 1);
                    counts.add("attempts", row.attempts.len() as u64);
                }
            }
            Rows::Pages(rows) => counts.add("pages", rows.len() as u64),
            Rows::Expansions(rows) => {
                // At its place and time; in the store of an older version there is neither a mark nor a time of its own.
                let [mark, due] = if client.is_empty() { ["", "5"] } else { ["D1", "7"] };
                let place = Place { step: 1, mark: mark.into() };
                assert!(rows.iter().all(|row| row.place == place && row.rest.due.ms().to_string() == due));
                counts.add("expansions", rows.len() as u64);
            }
            Rows::Keys(rows) => counts.add("keys", rows.len() as u64),
            Rows::Declarations(rows) => counts.add("declarations", rows.len() as u64),
            Rows::Numberings(rows) => assert_eq!(rows, &[("app".to_owned(), 3)]),
            Rows::Setup { version, plan } => assert!(*version >= 0 && plan.len() <= 4),
            Rows::People(rows) => counts.add("people", rows.len() as u64),
            Rows::Presences(rows) => counts.add("presences", rows.len() as u64),
            Rows::Groups(rows) => counts.add("groups", rows.len() as u64),
            Rows::Members(rows) => counts.add("members", rows.len() as u64),
            Rows::Items(rows) => {
                let is_marked = |row: &MovedItem| (row.broadcast, row.read, row.archived, row.deleted);
                let marks: Vec<_> = rows.iter().map(is_marked).collect();
                let own = [(false, true, false, false), (false, false, true, true)];
                assert!(marks == own || marks == [(true, true, false, false)], "{rows:?}");
                counts.add("items", rows.len() as u64);
            }
            Rows::Broadcasts(rows) => counts.add("broadcasts", rows.len() as u64),
            Rows::Notes(rows) => counts.add("notes", rows.len() as u64),
            Rows::Captures(rows) => counts.add("captures", rows.len() as u64),
            Rows::Accounts(rows) => counts.add("accounts", rows.len() as u64),
            Rows::Entries(rows) => counts.add("admissions", rows.len() as u64),
            Rows::Meters(rows) => counts.add("meters", rows.len() as u64),
            Rows::Callers(rows) => counts.add("callers", rows.len() as u64),
            Rows::Followers(rows) => counts.add("followers", rows.len() as u64),
        }
    }
    counts
}

fn bytes_of(file: &Path) -> Vec<Option<Vec<u8>>> {
    [file.to_owned(), beside(file, "-wal")].iter().map(|file| fs::read(file).ok().filter(|b| !b.is_empty())).collect()
}

#[tokio::test]
async fn every_row_comes_once_and_the_store_stays_as_it_is() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = filled(&directory).await;
    let before = bytes_of(&file);
    let mut source = Source::open(&file).expect("opens");
    assert!(matches!(open(&file, Options::default()).await, Err(OpenError::InUse { .. })), "the store is taken");
    let there = source.counts().expect("counts");
    assert_eq!(source.parcels_held().expect("counts"), 1);
    let came = read_all(&mut source, "192.0.2.7");
    let different: Vec<_> = there.beside(&came).filter(|(_, there, came)| there != came).collect();
    assert_eq!(different, []);
    assert_eq!((there.get("messages"), there.get("keys"), there.get("deliveries_leased")), (2_300, 2_300, 1));
    drop(source);
    assert!(bytes_of(&file) == before, "nothing was written");
    open(&file, Options::default()).await.expect("opens").close().await;
}

#[tokio::test]
async fn a_store_in_use_or_absent_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("hongyan.db");
    assert!(matches!(Source::open(&file), Err(SourceError::Absent { .. })));
    assert!(matches!(Source::open(&directory.path().join("no/such.db")), Err(SourceError::Absent { .. })));
    assert!(fs::read_dir(directory.path()).expect("reads").next().is_none(), "nothing was made");
    let store = open(&file, Options::default()).await.expect("opens");
    assert!(matches!(Source::open(&file), Err(SourceError::Store(OpenError::InUse { .. }))));
    store.close().await;
}

#[test]
fn a_store_of_the_first_version_has_neither_limits_nor_accounts_to_move() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("hongyan.db");
    schema::tests::made_by_version(1, &file);
    let mut source = Source::open(&file).expect("opens");
    let came = read_all(&mut source, "");
    assert_eq!((came.get("notes"), came.get("messages")), (1, 1));
    assert_eq!(source.counts().expect("counts").get("notes"), 1);
}

#[test]
fn people_of_an_older_store_were_there_ever_since() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("hongyan.db");
    let id = schema::tests::made_by_version(4, &file).get();
    let mut source = Source::open(&file).expect("opens");
    let mut presences = Vec::new();
    let mut expansions = Vec::new();
    while let Some(rows) = source.next_rows().expect("reads") {
        match rows {
            Rows::Presences(rows) => presences.extend(rows),
            Rows::Expansions(rows) => expansions.extend(rows),
            _ => {}
        }
    }
    let since = Timestamp::from_ms(0);
    assert_eq!(presences, [Presence { user: "here".into(), since, until: None }]);
    assert_eq!(source.counts().expect("counts").get("presences"), 1);
    let [expansion] = expansions.as_slice() else { panic!("{expansions:?}") };
    assert_eq!((expansion.message.get(), expansion.place.step), (id, 1));
    // When the message was accepted, by the channel of the message.
    assert_eq!(expansion.rest.due, Timestamp::from_ms(5));
    let Who::Listed(lists) = &expansion.rest.who else { panic!("a list") };
    assert_eq!((lists[0].way.channel, lists[0].addressees.len()), (ChannelNo(2), 2));
}
