//! Stores that earlier versions of this program left behind, and how they are brought up.

use std::path::Path;

use hongyan_core::{
    account::FIRST_TAG,
    cap::{Draw, Drawn},
    id::{Id, IdSource},
    quota::{Admission, Admitted, Day, Fit, Sums},
    setup::{ChannelNo, ProviderNo},
    store::{Declarations, Deliveries, Followers, Limits, Messages, Upkeep},
    time::Timestamp,
};

use super::*;
use crate::{Options, open};

const NOW: Timestamp = Timestamp::from_ms(1_800_000_000_000);

/// What an earlier version of this program left behind, with a note in it, a message and a delivery whose outcome nobody knows.
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
    let message = "INSERT INTO message VALUES (?1, 1, 2, 'cmsi', 'send_mail', 'admin', 2, 'expanded', 5, 6, ?1, 0)";
    db.execute(message, [id.get()]).expect("writes");
    id
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
            let tagged = store.follower_tag(ProviderNo(1), "o".into()).await.expect("answers");
            assert_eq!((tagged.0.tag, tagged.1), (FIRST_TAG, used == 1));
            store.close().await;
            let db = Connection::open(&file).expect("opens");
            let version: u32 = db.query_row("PRAGMA user_version", [], |row| row.get(0)).expect("reads");
            assert_eq!(version, VERSION);
        }
    }
}
