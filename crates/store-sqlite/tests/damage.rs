//! Damage inside a store that opens: what is damaged is dealt with alone, and everything else goes on.

use std::{path::Path, sync::Arc};

use hongyan_core::{
    delivery::{Policy, Reason, Repeat, State},
    id::{Id, IdSource},
    retry::RetrySchedule,
    setup::ChannelNo,
    store::{Batch, Deliveries, Messages, People, Rest, Submitted, Upkeep, Way, Who},
    time::Timestamp,
};
use hongyan_store_sqlite::{Options, SqliteStore, open};
use hongyan_store_suite::sample;
use rusqlite::Connection;

const NOW: Timestamp = Timestamp::from_ms(1_800_000_000_000);
const CHANNEL: ChannelNo = ChannelNo(1);
const WAY: Way = Way { channel: CHANNEL, parcel_max: 1 };

async fn opened(directory: &Path) -> Arc<SqliteStore> {
    open(directory.join("hongyan.db"), Options::default()).await.expect("opens")
}

/// A store with three messages to somebody and then to everyone, of which `claimed` are held; then the middle one is damaged by `sql`, which names it `?1`.
async fn damaged(directory: &Path, claimed: usize, sql: &str) -> (Arc<SqliteStore>, Vec<Id>) {
    let store = opened(directory).await;
    let ids = IdSource::new(0, None);
    let mut messages = Vec::new();
    for _ in 0..3 {
        let people = Who::People { ways: vec![WAY], people: People { everyone: true, ..People::default() } };
        let rest = Some(Rest { due: NOW, who: people });
        let batch = Batch { rest, ..sample(&ids, NOW, "a report").expect("ids") };
        messages.push(batch.message.id);
        assert_eq!(store.submit(batch, NOW).await, Ok(Submitted::Stored));
    }
    if claimed > 0 {
        assert_eq!(store.claim(CHANNEL, claimed, NOW).await.expect("claims").len(), claimed);
    }
    store.close().await;
    let db = Connection::open(directory.join("hongyan.db")).expect("opens");
    assert_eq!(db.execute(sql, [messages[1].get()]).expect("damages"), 1);
    drop(db);
    (opened(directory).await, messages)
}

/// The content is gone: the parcel is leased all the same, so that whoever sends it sees that it is gone and rejects it.
#[tokio::test]
async fn a_message_without_content_stops_nobody() {
    for sql in ["DELETE FROM content WHERE message = ?1", "DELETE FROM message WHERE id = ?1"] {
        let directory = tempfile::tempdir().expect("a directory");
        let (store, messages) = damaged(directory.path(), 0, sql).await;
        let leases = store.claim(CHANNEL, 10, NOW).await.expect("claims");
        assert_eq!(leases.iter().map(|lease| lease.message).collect::<Vec<_>>(), messages, "{sql}");
        if sql.contains("content") {
            assert_eq!(leases.iter().map(|lease| lease.cargo.is_some()).collect::<Vec<_>>(), [true, false, true]);
            assert!(store.cargo_read(vec![messages[1]]).await.expect("reads").is_empty(), "it is gone");
        }
    }
}

#[tokio::test]
async fn an_audience_that_cannot_be_read_holds_up_no_other() {
    let directory = tempfile::tempdir().expect("a directory");
    let (store, messages) = damaged(directory.path(), 0, "UPDATE audience SET rest = x'7b' WHERE message = ?1").await;
    let expansions = store.expansions(None, 10, NOW).await.expect("reads");
    let found: Vec<_> = expansions.iter().map(|expansion| expansion.message.id).collect();
    assert_eq!(found, [messages[0], messages[2]]);
}

/// A row that no program of ours wrote is set aside: failed, on record, and out of the way of the others for good.
#[tokio::test]
async fn a_row_that_cannot_be_read_is_set_aside() {
    for sql in [
        "UPDATE delivery SET reason = 'nonsense' WHERE message = ?1",
        "UPDATE delivery SET lease = -1 WHERE message = ?1",
        "UPDATE delivery SET crashes = 300 WHERE message = ?1",
    ] {
        let directory = tempfile::tempdir().expect("a directory");
        let (store, messages) = damaged(directory.path(), 0, sql).await;
        let mut claimed = Vec::new();
        // One that must be alone, as it seems, is looked at in a turn of its own.
        for _ in 0..2 {
            claimed.extend(store.claim(CHANNEL, 10, NOW).await.expect("claims"));
        }
        let of: Vec<_> = claimed.iter().map(|lease| lease.message).collect();
        assert_eq!(of, [messages[0], messages[2]], "{sql}");
        let kept = store.message_read(messages[1]).await.expect("reads").expect("on record");
        assert_eq!(kept.deliveries[0].track.state, State::Failed);
        assert_eq!(kept.deliveries[0].track.reason, Some(Reason::ContentRefused));
        assert!(store.depths().await.expect("counts").is_empty(), "nothing waits");
    }
}

/// A row that cannot be read neither keeps a node from starting nor others from expiring.
#[tokio::test]
async fn recovery_and_expiry_pass_by_a_row_that_cannot_be_read() {
    let sql = "UPDATE delivery SET reason = 'nonsense' WHERE message = ?1";
    let policy = Arc::new(Policy { repeat: Repeat::AtLeastOnce, retry: RetrySchedule::mail() });
    let directory = tempfile::tempdir().expect("a directory");
    let (store, messages) = damaged(directory.path(), 3, sql).await;
    let recovered = store.recover(Arc::new(move |_| Arc::clone(&policy)), NOW).await.expect("recovers");
    assert_eq!((recovered.ready, recovered.unknown), (2, 1));
    let kept = store.message_read(messages[1]).await.expect("reads").expect("on record");
    assert_eq!(kept.deliveries[0].track.state, State::Unknown);

    let directory = tempfile::tempdir().expect("a directory");
    let (store, _) = damaged(directory.path(), 0, sql).await;
    let over = NOW + std::time::Duration::from_secs(90_000);
    assert_eq!(store.expire(10, over).await, Ok(2));
}
