//! Stores that earlier versions of this program left behind, and how they are brought up.

use std::path::Path;

use hongyan_core::{
    account::FIRST_TAG,
    cap::{Draw, Drawn},
    id::{Id, IdSource},
    message::MessageState,
    quota::{Admission, Admitted, Day, Fit, Sums},
    setup::{ChannelNo, ProviderNo},
    store::{Declarations, Deliveries, Followers, Limits, Messages, Place, Store, Upkeep, Who},
    time::Timestamp,
};

use rusqlite::params;

use super::*;
use crate::{Options, open};

const NOW: Timestamp = Timestamp::from_ms(1_800_000_000_000);

/// What an earlier version of this program left behind: a note, two people of whom one is enabled, and a message with a delivery
/// whose outcome nobody knows, of whose two further recipients one is there.
pub(crate) fn made_by_version(version: u32, file: &Path) -> Id {
    let db = Connection::open(file).expect("opens");
    db.pragma_update(None, "page_size", PAGE_BYTES).expect("sets");
    db.pragma_update(None, "application_id", APPLICATION_ID).expect("sets");
    db.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).expect("sets");
    for sql in MIGRATIONS.iter().take(version as usize) {
        db.execute_batch(sql).expect("makes");
    }
    db.pragma_update(None, "user_version", version).expect("sets");
    db.execute("INSERT INTO note VALUES ('who', ?1)", [format!("version {version}")]).expect("writes");
    let id = IdSource::new(0, None).block(1, 0, NOW).expect("ids");
    let unknown = "INSERT INTO delivery VALUES (?1, ?1, ?1, 2, 2, 1, 9, 1, 1, 0, 5, 6, 7, 0, 'ambiguous', 'a', NULL)";
    db.execute(unknown, [id.get()]).expect("writes");
    let message = "INSERT INTO message (id, app, channel, dialect, operation, user, priority, state, accepted, expires, last, \
                   attachments) VALUES (?1, 1, 2, 'cmsi', 'send_mail', 'admin', 2, 'expanding', 5, 6, ?1, 0)";
    db.execute(message, [id.get()]).expect("writes");
    db.execute("INSERT INTO expansion VALUES (?1, 1)", [id.get()]).expect("writes");
    let rest = br#"[["a","a@x",null],["b","b@x","no_address"]]"#;
    db.execute("INSERT INTO audience VALUES (?1, ?2)", params![id.get(), rest.as_slice()]).expect("writes");
    db.execute_batch(
        "INSERT INTO person VALUES ('here', 'H', 'Here@Example.com', '+8613800000001', '', '', 1);
         INSERT INTO person VALUES ('gone', 'G', '', '', '', '', 0);",
    )
    .expect("writes");
    id
}

/// How SQLite finds what a statement asks for, step by step.
pub(crate) fn plan(db: &Connection, sql: &str) -> Vec<String> {
    let mut explain = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).expect("is SQL");
    let mut rows = explain.raw_query();
    let mut steps = Vec::new();
    while let Some(row) = rows.next().expect("explains") {
        steps.push(row.get(3).expect("is a text"));
    }
    steps
}

#[tokio::test]
async fn a_store_made_by_an_earlier_version_is_opened_and_brought_up() {
    for made_by in 1..VERSION {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("hongyan.db");
        let unknown = made_by_version(made_by, &file);
        for used in 1..=2u32 {
            let store = open(&file, Options::default()).await.expect("opens");
            let who = store.note_read("who").await.expect("reads");
            assert_eq!(who, Some(format!("version {made_by}")));
            let admission = Admission {
                account: "account/1".into(),
                id: Id::from_i64(i64::from(used)).expect("positive"),
                amount: 1,
                hour_max: 5,
                day_max: 5,
                day: Day { begin: NOW, end: Timestamp::MAX },
                fit: Fit::Whole,
            };
            let admitted = store.window_admit(admission, NOW).await;
            let sums = Sums { hour: used.into(), day: used.into() };
            assert_eq!(admitted, Ok(Admitted::Yes(sums)), "kept from one start to the next");
            let draw = Draw { key: "member/1".into(), amount: 1, back: None };
            assert_eq!(store.caps_draw(Vec::new(), vec![draw], NOW).await, Ok(vec![Drawn::Yes]));
            let doubts = store.doubts(ChannelNo(2), NOW, None, 9).await.expect("lists");
            assert_eq!(doubts.iter().map(|doubt| doubt.delivery).collect::<Vec<_>>(), [unknown]);
            let message = store.message_read(unknown).await.expect("reads").expect("is there").message;
            assert_eq!((message.user.as_str(), message.client.as_str()), ("admin", ""));
            upgraded_expansion(&*store, unknown).await;
            upgraded_people(&*store).await;
            let tagged = store.follower_tag(ProviderNo(1), "o".into()).await.expect("answers");
            assert_eq!((tagged.0.tag, tagged.1), (FIRST_TAG, used == 1));
            store.close().await;
            let db = Connection::open(&file).expect("opens");
            let version: u32 = db.query_row("PRAGMA user_version", [], |row| row.get(0)).expect("reads");
            assert_eq!(version, VERSION);
            let mut presences = db.prepare("SELECT user, since, until IS NULL FROM presence").expect("is SQL");
            let presences = presences.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
            let presences: Vec<(String, i64, bool)> =
                presences.expect("reads").map(|row| row.expect("a row")).collect();
            assert_eq!(presences, [("here".to_owned(), 0, true)]);
        }
    }
}

/// What was under way before expansions had a time goes on where it stood, by the channel of its message.
async fn upgraded_expansion(store: &dyn Messages, id: Id) {
    let expansions = store.expansions(None, 9, NOW).await.expect("lists");
    let [expansion] = expansions.as_slice() else { panic!("{expansions:?}") };
    assert_eq!((expansion.message.id, expansion.message.state), (id, MessageState::Expanding));
    assert_eq!(expansion.place, Place { step: 1, mark: String::new() });
    assert_eq!(expansion.rest.due, Timestamp::from_ms(5), "when the message was accepted");
    let Who::Listed(lists) = &expansion.rest.who else { panic!("a list") };
    assert_eq!((lists[0].way.channel, lists[0].addressees.len()), (ChannelNo(2), 2));
}

/// Who was enabled was so ever since, and is found by what reaches them.
async fn upgraded_people(store: &dyn Store) {
    let reached = store.users_reached(vec!["here@example.COM".into()], vec!["+8613800000001".into()]).await;
    let codes: Vec<_> = reached.expect("finds").into_iter().map(|user| user.code).collect();
    assert_eq!(codes, ["here"]);
    let entries = store.user_entries(vec!["here".into(), "gone".into()]).await.expect("finds");
    assert!(entries.iter().all(|entry| entry.groups().next().is_none()));
    assert_eq!(entries.iter().map(|entry| entry.user.enabled).collect::<Vec<_>>(), [true, false]);
}
