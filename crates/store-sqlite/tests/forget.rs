//! What is kept only for a while, looked at in the tables: it is gone when its time is over, also where it is damaged.

use std::{path::PathBuf, sync::Arc, time::Duration};

use hongyan_core::{
    cap::{Cap, Draw, Drawn},
    content::{Agent, Content, Notice},
    delivery::{Policy, Repeat, State},
    id::{Id, IdSource},
    retry::RetrySchedule,
    setup::ChannelNo,
    store::{Deliveries, Limits, Messages, Submitted, Upkeep},
    time::Timestamp,
};
use hongyan_store_sqlite::{Options, Restore, SqliteStore, backup, open};
use hongyan_store_suite::sample;
use rusqlite::{Connection, types::FromSql};
use tempfile::TempDir;

const NOW: Timestamp = Timestamp::from_ms(1_800_000_000_000);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);
const CAP: Cap = Cap { most: 1, span: MINUTE };

struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    async fn store(&self, name: &str) -> Arc<SqliteStore> {
        open(self.file(name), Options::default()).await.expect("opens")
    }

    /// One value of the store, read beside it.
    fn value<T: FromSql>(&self, name: &str, sql: &str) -> T {
        let db = Connection::open(self.file(name)).expect("opens");
        db.query_row(sql, [], |row| row.get(0)).expect("reads")
    }

    /// Writes into a store that is closed.
    fn damage(&self, sql: &str) {
        let db = Connection::open(self.file("hongyan.db")).expect("opens");
        assert_eq!(db.execute(sql, []).expect("damages"), 1);
    }
}

async fn draw(store: &SqliteStore, key: &str, now: Timestamp) -> Drawn {
    let draws = vec![Draw { key: key.to_owned(), amount: 1, back: None }];
    store.caps_draw(vec![CAP], draws, now).await.expect("draws").remove(0)
}

/// A message of `ids` with a secret in it.
async fn submit(store: &SqliteStore, ids: &IdSource) -> Id {
    let agent = Some(Agent { id: Some(7), secret: Some("sealed".into()) });
    let mut batch = sample(ids, NOW, "").expect("ids");
    batch.content = Arc::new(Content::Notice(Notice { heading: "h".into(), agent, ..Notice::default() }));
    let id = batch.message.id;
    assert_eq!(store.submit(batch, NOW).await, Ok(Submitted::Stored));
    id
}

#[tokio::test]
async fn tallies_are_forgotten_in_steps_when_nothing_of_them_counts() {
    let place = Place::new();
    let store = place.store("hongyan.db").await;
    for n in 0..5 {
        assert_eq!(draw(&store, &format!("old/{n}"), NOW).await, Drawn::Yes);
    }
    assert_eq!(draw(&store, "young", NOW + MINUTE / 2).await, Drawn::Yes);
    assert!(matches!(draw(&store, "young", NOW + MINUTE / 2).await, Drawn::No { .. }));
    let left = || place.value::<i64>("hongyan.db", "SELECT count(*) FROM tally");
    assert_eq!(store.prune(NOW, 2, NOW + MINUTE - Duration::from_millis(1)).await, Ok(false));
    assert_eq!(left(), 6);
    for (more, after) in [(true, 4), (true, 2), (false, 1), (false, 1)] {
        assert_eq!(store.prune(NOW, 2, NOW + MINUTE).await, Ok(more));
        assert_eq!(left(), after);
    }
    assert!(matches!(draw(&store, "young", NOW + MINUTE).await, Drawn::No { .. }));
}

#[tokio::test]
async fn a_tally_that_cannot_be_read_begins_anew() {
    let place = Place::new();
    let store = place.store("hongyan.db").await;
    assert_eq!(draw(&store, "member/1", NOW).await, Drawn::Yes);
    store.close().await;
    place.damage("UPDATE tally SET body = x'0102'");
    let store = place.store("hongyan.db").await;
    assert_eq!(draw(&store, "member/1", NOW).await, Drawn::Yes);
    assert!(matches!(draw(&store, "member/1", NOW).await, Drawn::No { .. }));
}

#[tokio::test]
async fn the_duty_to_erase_goes_with_the_secret_or_the_message() {
    let (place, ids) = (Place::new(), IdSource::new(0, None));
    let store = place.store("hongyan.db").await;
    let left = || place.value::<i64>("hongyan.db", "SELECT count(*) FROM erasure");
    let [erased, pruned] = [submit(&store, &ids).await, submit(&store, &ids).await];
    assert_eq!(store.message_cancel(erased, NOW).await.map(|done| done.deliveries), Ok(1));
    assert_eq!((left(), store.secrets_erase(9).await, left()), (2, Ok(1), 1));
    assert_eq!(store.message_cancel(pruned, NOW).await.map(|done| done.deliveries), Ok(1));
    while store.prune(NOW + DAY, 9, NOW + DAY).await.expect("prunes") {}
    assert!(store.message_read(pruned).await.expect("reads").is_none());
    assert_eq!(left(), 0);
}

/// What cannot be read may hold a secret all the same.
#[tokio::test]
async fn a_secret_is_erased_from_what_cannot_be_read() {
    let (place, ids) = (Place::new(), IdSource::new(0, None));
    let store = place.store("hongyan.db").await;
    let id = submit(&store, &ids).await;
    assert_eq!(store.message_cancel(id, NOW).await.map(|done| done.deliveries), Ok(1));
    store.close().await;
    place.damage("UPDATE content SET body = substr(body, 2)");
    let store = place.store("hongyan.db").await;
    assert_eq!((store.secrets_erase(9).await, store.secrets_erase(9).await), (Ok(1), Ok(0)));
    assert_eq!(place.value::<Vec<u8>>("hongyan.db", "SELECT body FROM content"), b"");
    assert!(store.cargo_read(vec![id]).await.is_err(), "it is as damaged as it was");
}

/// A restored store has the duty too, and what it holds for review is never sent: it is erased at once.
#[tokio::test]
async fn a_restored_store_erases_what_the_lost_one_had_to() {
    let (place, ids) = (Place::new(), IdSource::new(0, None));
    let store = place.store("hongyan.db").await;
    let id = submit(&store, &ids).await;
    assert_eq!(store.secrets_erase(9).await, Ok(0));
    store.close().await;
    backup(&place.file("hongyan.db"), &place.file("backup.db")).expect("backs up");
    let restore = Restore::begin(&place.file("backup.db"), &place.file("restored.db")).expect("begins");
    restore.finish(NOW + DAY).expect("restores");
    let store = place.store("restored.db").await;
    let policy = Arc::new(Policy { repeat: Repeat::AtMostOnce, retry: RetrySchedule::mail() });
    store.recover(Arc::new(move |_| Arc::clone(&policy)), NOW).await.expect("recovers");
    assert_eq!(store.doubts(ChannelNo(1), Timestamp::from_ms(0), None, 9).await, Ok(Vec::new()));
    assert_eq!(store.secrets_erase(9).await, Ok(1));
    let kept = store.message_read(id).await.expect("reads").expect("is there");
    assert_eq!(kept.deliveries[0].track.state, State::Unknown);
    let cargo = store.cargo_read(vec![id]).await.expect("reads");
    assert!(!cargo[0].1.content.has_secret());
}
