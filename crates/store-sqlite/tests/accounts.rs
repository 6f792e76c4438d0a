//! Accounts, what they sent and what they have left, looked at in the tables: forgotten in time, kept by a backup, and read past
//! damage.

use std::{path::PathBuf, sync::Arc, time::Duration};

use hongyan_core::{
    account::{Account, AccountAdded, FIRST_TAG, Follower, Profile, Role},
    delivery::{Event, Policy, Receipt, Repeat, State},
    history::HistoryFilter,
    id::{Id, IdSource},
    quota::{Admission, Day, Fit, Sums},
    retry::RetrySchedule,
    setup::ProviderNo,
    store::{Accounts, Change, Deliveries, Followers, Limits, Messages, Submitted, Upkeep},
    time::Timestamp,
};
use hongyan_store_sqlite::{Options, Restore, SqliteStore, backup, open, review};
use hongyan_store_suite::sample;
use rusqlite::{Connection, types::FromSql};
use tempfile::TempDir;

const NOW: Timestamp = Timestamp::from_ms(1_800_000_000_000);
const TODAY: Day = Day { begin: NOW, end: Timestamp::MAX };
const MINUTE: Duration = Duration::from_secs(60);
const OFFICIAL: ProviderNo = ProviderNo(7);

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
}

async fn account(store: &SqliteStore, name: &str) -> Account {
    let profile = Profile {
        password: "hash".into(),
        role: Role::User,
        per_hour: 5,
        per_day: 20,
        available: true,
        enabled: true,
        contacts: Default::default(),
    };
    match store.account_add(name.into(), profile, NOW).await {
        Ok(AccountAdded::Yes(account)) => account,
        other => panic!("{other:?}"),
    }
}

async fn log_in(store: &SqliteStore, name: &str, token: u8, expires: Timestamp) {
    assert_eq!(store.account_token_add(name.into(), "hash".into(), [token; 32], expires).await, Ok(true));
}

async fn submit(store: &SqliteStore, ids: &IdSource, account: &Account) -> Id {
    let mut batch = sample(ids, NOW, "").expect("ids");
    let id = batch.message.id;
    batch.message.app = account.no.as_app();
    batch.message.client = "192.0.2.7".into();
    let (hour_max, day_max) = (account.profile.per_hour, account.profile.per_day);
    let admission =
        Admission { account: account.no.windows(), id, amount: 1, hour_max, day_max, day: TODAY, fit: Fit::Whole };
    batch.admission = Some(admission);
    assert_eq!(store.submit(batch, NOW).await, Ok(Submitted::Stored));
    id
}

async fn used(store: &SqliteStore, account: &Account) -> u64 {
    let Sums { hour, day } = store.window_used(account.no.windows(), TODAY, NOW).await.expect("reads");
    assert_eq!(hour, day);
    day
}

#[tokio::test]
async fn tokens_are_forgotten_in_steps_when_they_count_no_more() {
    let place = Place::new();
    let store = place.store("hongyan.db").await;
    for name in ["a", "gone"] {
        account(&store, name).await;
        for token in 0..3 {
            log_in(&store, name, token + 10 * name.len() as u8, NOW + MINUTE).await;
        }
    }
    log_in(&store, "a", 99, NOW + 2 * MINUTE).await;
    assert_eq!(store.account_remove("gone".into()).await, Ok(true));
    let left = || place.value::<i64>("hongyan.db", "SELECT count(*) FROM account_token");
    assert_eq!(store.prune(NOW, 4, NOW + MINUTE - Duration::from_millis(1)).await, Ok(false));
    assert_eq!(left(), 7);
    for (more, after) in [(true, 3), (false, 1), (false, 1)] {
        assert_eq!(store.prune(NOW, 4, NOW + MINUTE).await, Ok(more));
        assert_eq!(left(), after);
    }
    let speaks = store.account_token_find([99; 32], NOW + MINUTE).await.expect("reads");
    assert_eq!(speaks.map(|account| account.name), Some("a".to_owned()));
}

/// What a backup holds of accounts is there again. What was open is held for review: it may have been sent, so it counts until it
/// is known that it was not.
#[tokio::test]
async fn a_backup_keeps_accounts_and_what_they_sent() {
    let (place, ids) = (Place::new(), IdSource::new(0, None));
    let store = place.store("hongyan.db").await;
    let [ann, gone] = [account(&store, "天存-system-1001").await, account(&store, "gone").await];
    assert_eq!(store.account_remove("gone".into()).await, Ok(true));
    log_in(&store, &ann.name, 1, NOW + MINUTE).await;
    store.follower_tag(OFFICIAL, "o1".into()).await.expect("tags");
    let sent = [submit(&store, &ids, &ann).await, submit(&store, &ids, &ann).await];
    assert_eq!(store.message_cancel(sent[0], NOW).await.map(|done| done.deliveries), Ok(1));
    store.close().await;
    backup(&place.file("hongyan.db"), &place.file("backup.db")).expect("backs up");
    let restore = Restore::begin(&place.file("backup.db"), &place.file("restored.db")).expect("begins");
    restore.finish(NOW + MINUTE).expect("restores");

    let held: Vec<_> =
        review(&place.file("restored.db")).expect("lists").into_iter().map(|held| held.message).collect();
    assert_eq!(held, [sent[1]]);
    let store = place.store("restored.db").await;
    assert_eq!(store.account_find(ann.name.clone()).await, Ok(Some(ann.clone())));
    assert_eq!(store.account_token_find([1; 32], NOW).await, Ok(Some(ann.clone())));
    assert!(account(&store, "gone").await.no > gone.no, "no number is given again");
    let follower = Follower { tag: FIRST_TAG, openid: "o1".into(), subscribed: true };
    assert_eq!(store.follower_tag(OFFICIAL, "o1".into()).await, Ok((follower, false)));
    assert_eq!(store.follower_tag(OFFICIAL, "o2".into()).await.map(|(new, _)| new.tag), Ok(FIRST_TAG + 1));
    let page = store.history(HistoryFilter::default(), 0, 9).await.expect("lists");
    let rows: Vec<_> = page.rows.iter().map(|row| (row.id, row.account, row.client.as_str(), row.state)).collect();
    let row = |message: Id, state| (message.plus(1), ann.no, "192.0.2.7", state);
    assert_eq!((rows, page.total), (vec![row(sent[1], State::Unknown), row(sent[0], State::Cancelled)], 2));
    assert_eq!(used(&store, &ann).await, 1);
    let policy = Arc::new(Policy { repeat: Repeat::AtMostOnce, retry: RetrySchedule::mail() });
    let event = Event::Receipt(Receipt::Refused);
    let truth = Change { delivery: sent[1].plus(1), event, policy, attempt: None };
    assert!(store.settle(vec![truth], NOW).await.expect("settles")[0].is_some());
    assert_eq!(used(&store, &ann).await, 0);
}

/// A row that no program of ours wrote keeps nobody from the others.
#[tokio::test]
async fn a_damaged_row_of_history_is_left_out() {
    let (place, ids) = (Place::new(), IdSource::new(0, None));
    let store = place.store("hongyan.db").await;
    let ann = account(&store, "a").await;
    let mut sent = Vec::new();
    for _ in 0..4 {
        sent.push(submit(&store, &ids, &ann).await);
    }
    store.close().await;
    let db = Connection::open(place.file("hongyan.db")).expect("opens");
    db.execute("UPDATE delivery SET reason = 'nonsense' WHERE message = ?1", [sent[0].get()]).expect("damages");
    db.execute("UPDATE content SET body = x'00' WHERE message = ?1", [sent[1].get()]).expect("damages");
    db.execute("DELETE FROM content WHERE message = ?1", [sent[3].get()]).expect("damages");
    drop(db);
    let store = place.store("hongyan.db").await;
    let page = store.history(HistoryFilter::default(), 0, 9).await.expect("lists");
    assert_eq!(page.rows.iter().map(|row| row.id).collect::<Vec<_>>(), [sent[2].plus(1)]);
    assert_eq!(page.total, 4, "they are there");
}
