//! Damage inside a database that opens: what is damaged is dealt with alone, and everything else goes on.

use std::sync::Arc;

use hongyan_core::{
    delivery::{Reason, State},
    id::Id,
    setup::ChannelNo,
    store::{Deliveries, Messages, Submitted, Upkeep},
    time::Timestamp,
};
use hongyan_store_postgres::{Options, PostgresStore, open};
use hongyan_store_suite::{
    postgres::{shared, sql},
    sample,
};

const CHANNEL: ChannelNo = ChannelNo(1);

/// Rows as no program of ours writes them.
const DAMAGES: [&str; 2] = ["tries = -7", "lease = -7"];

fn now(store: &PostgresStore) -> Timestamp {
    store.clock().now()
}

/// A store with three messages, of which the middle one is damaged.
async fn damaged(how: &str) -> (Arc<PostgresStore>, Vec<Id>) {
    let url = shared().fresh_schema();
    let store = open(&url, Options { connections: 4, ..Options::default() }).await.expect("opens");
    let mut messages = Vec::new();
    for _ in 0..3 {
        let batch = sample(&store.ids(), now(&store), "a report").expect("ids");
        messages.push(batch.message.id);
        assert_eq!(store.submit(batch, now(&store)).await, Ok(Submitted::Stored));
    }
    let damage = format!("UPDATE delivery SET {how} WHERE message = {}", messages[1].get());
    sql(&url, &damage).expect("damages");
    (store, messages)
}

/// It is set aside: failed, on record, and out of the way of the others, which are leased and held.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_cannot_be_read_is_set_aside() {
    for how in DAMAGES {
        let (store, messages) = damaged(how).await;
        let leases = store.claim(CHANNEL, 3, now(&store)).await.expect("claims");
        let claimed: Vec<Id> = leases.iter().map(|lease| lease.message).collect();
        assert_eq!(claimed, [messages[0], messages[2]], "{how}");
        for row in leases.iter().flat_map(|lease| &lease.rows) {
            assert!(store.holds(row.id, row.track.lease), "{how}");
        }
        let kept = store.message_read(messages[1]).await.expect("reads").expect("on record");
        let track = kept.deliveries[0].track;
        assert_eq!((track.state, track.reason), (State::Failed, Some(Reason::ContentRefused)), "{how}");
        assert!(store.depths().await.expect("counts").iter().all(|depth| depth.ready == 0), "{how}: nothing waits");
        assert!(store.claim(CHANNEL, 3, now(&store)).await.expect("claims").is_empty());
    }
}

/// Cancelling passes over what it cannot read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelling_passes_over_what_cannot_be_read() {
    let (store, messages) = damaged(DAMAGES[0]).await;
    assert_eq!(store.message_cancel(messages[1], now(&store)).await.map(|cancelled| cancelled.deliveries), Ok(0));
    assert_eq!(store.message_cancel(messages[0], now(&store)).await.map(|cancelled| cancelled.deliveries), Ok(1));
    assert_eq!(store.claim(CHANNEL, 3, now(&store)).await.expect("claims").len(), 1);
}
