//! Accounts over three nodes: what they may send is exact whichever node is asked, what fails is given back once whoever says so,
//! tags and numbers have no gaps and no twins, and a history shows each row once while rows move.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures_util::future::{join_all, join3};
use hongyan_core::{
    account::{AccountAdded, AccountChange, AccountNo, FIRST_TAG, Profile, Role},
    delivery::{Event, Reason, State, Track},
    history::HistoryFilter,
    id::Id,
    message::Idempotency,
    outcome::{Outcome, Rejection},
    quota::{Admission, Day, Fit, Refusal, Sums, Window},
    setup::{ChannelNo, ProviderNo},
    store::{
        Accounts, Batch, Change, Declaration, Declarations, Deliveries, Followers, Lease, Limits, Messages,
        NewDelivery, PlanChange, Submitted, Upkeep,
    },
    time::Timestamp,
};
use hongyan_store_postgres::{Options, PostgresStore, open};
use hongyan_store_suite::{
    finish,
    postgres::{shared, sql},
    sample,
};

const MAIL: ChannelNo = ChannelNo(1);
const DAY: Duration = Duration::from_secs(86_400);

async fn three_nodes() -> (String, [Arc<PostgresStore>; 3]) {
    let url = shared().fresh_schema();
    let options = || Options { connections: 4, ..Options::default() };
    let node = || async { open(&url, options()).await.expect("opens") };
    let nodes = [node().await, node().await, node().await];
    (url, nodes)
}

fn day(now: Timestamp) -> Day {
    Day { begin: now - DAY, end: now + DAY }
}

/// A request of an account to so many, under a limit an hour.
fn ask(node: &PostgresStore, account: AccountNo, recipients: usize, per_hour: u32, now: Timestamp) -> Batch {
    let mut batch = sample(&node.ids(), now, "x").expect("ids");
    let id = node.ids().block(1 + recipients, account.bucket(), now).expect("ids");
    let lot = &mut batch.page[0];
    let one = lot.deliveries.remove(0);
    lot.deliveries = (1..=recipients).map(|n| NewDelivery { id: id.plus(n), ..one.clone() }).collect();
    lot.way.parcel_max = 1;
    batch.message.id = id;
    batch.message.app = account.as_app();
    let amount = u32::try_from(recipients).expect("few");
    let (account, day, fit) = (account.windows(), day(now), Fit::Whole);
    batch.admission = Some(Admission { account, id, amount, hour_max: per_hour, day_max: 1_000_000, day, fit });
    batch
}

async fn used(node: &PostgresStore, account: AccountNo, now: Timestamp) -> u64 {
    let Sums { hour, day } = node.window_used(account.windows(), day(now), now).await.expect("answers");
    assert_eq!(hour, day, "all of it is of the last hour and of today");
    hour
}

fn own(account: AccountNo) -> HistoryFilter {
    HistoryFilter { account: Some(account), ..HistoryFilter::default() }
}

fn refused() -> Outcome {
    Outcome::Rejected(Rejection::Recipient)
}

/// 64 at once, of one account and of several, with and without keys.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_64_senders_over_three_nodes_exactly_those_that_fit_are_stored() {
    let (url, nodes) = three_nodes().await;
    let now = nodes[0].clock().now();
    for round in 0..6u32 {
        let accounts = if round % 2 == 0 { 1 } else { 4 };
        let account = |n: usize| AccountNo(10 * round + (n % accounts) as u32);
        let asked = (0..64usize * accounts).map(|n| {
            let mut batch = ask(&nodes[n % 3], account(n), 1, 5, now);
            if round > 1 {
                let fingerprint = [(n / 2) as u8; 32];
                batch.idempotency = Some(Idempotency { key: format!("{round}/{}", n / 2), fingerprint });
            }
            let (node, id) = (Arc::clone(&nodes[n % 3]), batch.message.id);
            async move { (n, id, node.submit(batch, now).await) }
        });
        let mut stored: BTreeMap<AccountNo, BTreeSet<Id>> = BTreeMap::new();
        let mut seen = Vec::new();
        for (n, id, answer) in join_all(asked).await {
            match answer.expect("answers") {
                Submitted::Stored => drop(stored.entry(account(n)).or_default().insert(id)),
                Submitted::Seen(first) => seen.push((account(n), first)),
                Submitted::OverLimit(Refusal { window, left, .. }) => {
                    assert_eq!((window, left), (Window::Hour, 0));
                    assert!(nodes[(n + 1) % 3].message_read(id).await.expect("reads").is_none());
                }
                Submitted::KeyReused => panic!("each key comes with one request"),
            }
        }
        for (account, first) in seen {
            assert!(stored[&account].contains(&first), "a repeat is of what was stored");
        }
        assert_eq!(stored.len(), accounts);
        for (account, ids) in &stored {
            assert_eq!(ids.len(), 5);
            assert_eq!(used(&nodes[round as usize % 3], *account, now).await, 5);
            let listed = nodes[2].history(own(*account), 0, 99).await.expect("lists");
            let listed_ids: BTreeSet<Id> = listed.rows.iter().map(|row| row.id).collect();
            assert_eq!((listed.total, listed_ids), (5, ids.iter().map(|id| id.plus(1)).collect()));
        }
        if round > 1 {
            let kept = sql(&url, &format!("SELECT count(*) FROM idempotency WHERE key LIKE '{round}/%'"));
            assert_eq!(kept, Ok((5 * accounts).to_string()), "a refusal keeps no key");
        }
    }
}

fn told(lease: &Lease, outcome: Outcome, now: Timestamp) -> Vec<Change> {
    lease.rows.iter().map(|row| finish(MAIL, row, outcome.clone(), now)).collect()
}

/// Three nodes settle what they claimed, each also what another holds, a fourth cancels, and others go on sending: what is used
/// in the end is what did not come to nothing, and never was there room for more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_is_given_back_once_whoever_says_so() {
    const LIMIT: u32 = 60;
    let (_, nodes) = three_nodes().await;
    let now = nodes[0].clock().now();
    let accounts = [AccountNo(1), AccountNo(2)];
    for account in accounts {
        for n in 0..12 {
            let node = &nodes[n % 3];
            assert_eq!(node.submit(ask(node, account, 5, LIMIT, now), now).await, Ok(Submitted::Stored));
        }
        assert_eq!(used(&nodes[0], account, now).await, u64::from(LIMIT));
    }
    let mut leases: Vec<(usize, Lease)> = Vec::new();
    for (n, node) in nodes.iter().enumerate() {
        leases.extend(node.claim(MAIL, 30, now).await.expect("claims").into_iter().map(|lease| (n, lease)));
    }
    assert_eq!(leases.len(), 90, "the others are cancelled");
    let messages: BTreeSet<Id> = leases.iter().map(|(_, lease)| lease.message).collect();
    let settling = leases.iter().enumerate().flat_map(|(n, (holder, lease))| {
        let outcome = if n % 3 == 0 { Outcome::Unknown } else { refused() };
        // Whoever holds it says so, and so does somebody else.
        [*holder, (*holder + 1) % 3].map(|node| nodes[node].settle(told(lease, outcome.clone(), now), now))
    });
    let cancelling = messages.iter().map(|message| nodes[2].message_cancel(*message, now));
    let sending = (0..60).map(|n| {
        let node = &nodes[n % 3];
        node.submit(ask(node, accounts[n % 2], 1, LIMIT, now), now)
    });
    let (settled, cancelled, sent) = join3(join_all(settling), join_all(cancelling), join_all(sending)).await;
    assert!(settled.iter().all(Result::is_ok) && cancelled.iter().all(Result::is_ok), "{settled:?} {cancelled:?}");
    assert!(sent.iter().all(|answer| matches!(answer, Ok(Submitted::Stored | Submitted::OverLimit(_)))), "{sent:?}");
    // Mail may be repeated, so what nobody knows waits; a late refusal ends it.
    let late = leases.iter().map(|(n, lease)| nodes[(n + 2) % 3].settle(told(lease, refused(), now), now));
    assert!(join_all(late).await.iter().all(Result::is_ok));
    for account in accounts {
        let page = nodes[1].history(own(account), 0, 1_000).await.expect("lists");
        let is_nothing = |state| matches!(state, State::Failed | State::Cancelled | State::Expired);
        let lasting = page.rows.iter().filter(|row| !is_nothing(row.state)).count();
        assert_eq!(used(&nodes[1], account, now).await, lasting as u64);
        assert!(page.rows.len() > LIMIT as usize && lasting <= LIMIT as usize, "{} {lasting}", page.rows.len());
        assert_eq!(page.total, page.rows.len() as u64);
        assert!(page.rows.is_sorted_by(|newer, older| newer.id > older.id));
    }
}

/// A delivery that kills whoever has it comes to nothing in the end, by the hand of another node.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dead_node_held_is_given_back_by_who_takes_over() {
    let url = shared().fresh_schema();
    let options = || Options { connections: 4, trust: Duration::ZERO, ..Options::default() };
    let account = AccountNo(7);
    let living = open(&url, options()).await.expect("opens");
    let now = living.clock().now();
    let batch = ask(&living, account, 1, 5, now);
    let message = batch.message.id;
    living.submit(batch, now).await.expect("stores");
    let policy = Arc::new(hongyan_core::delivery::Policy {
        repeat: hongyan_core::delivery::Repeat::AtLeastOnce,
        retry: hongyan_core::retry::RetrySchedule::mail(),
    });
    for crashes in 1..=4 {
        let dying = open(&url, options()).await.expect("opens");
        assert_eq!(dying.claim(MAIL, 1, now).await.expect("claims").len(), 1);
        drop(dying);
        let ends = "UPDATE node SET lease_until = clock_timestamp() - interval '1 s' \
            WHERE number = (SELECT max(number) FROM node WHERE ended IS NULL) AND ended IS NULL";
        sql(&url, ends).expect("its lease ends");
        let policy = Arc::clone(&policy);
        living.recover(Arc::new(move |_| Arc::clone(&policy)), now).await.expect("recovers");
        assert_eq!(used(&living, account, now).await, u64::from(crashes < 4), "after {crashes}");
    }
    let record = living.message_read(message).await.expect("reads").expect("is there");
    assert_eq!(record.deliveries[0].track.state, State::Failed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tags_over_three_nodes_have_no_gaps_and_no_twins() {
    const FOLLOWERS: usize = 60;
    let (url, nodes) = three_nodes().await;
    let provider = |n: usize| ProviderNo((n % 2) as u32);
    let given = join_all((0..4 * FOLLOWERS).map(|n| {
        let who = n % FOLLOWERS;
        nodes[n % 3].follower_tag(provider(who), format!("openid{}", who / 2))
    }));
    let mut tags: BTreeMap<usize, u32> = BTreeMap::new();
    let mut new = 0;
    for (n, answer) in given.await.into_iter().enumerate() {
        let (follower, is_new) = answer.expect("answers");
        new += usize::from(is_new);
        let tag = *tags.entry(n % FOLLOWERS).or_insert(follower.tag);
        assert_eq!((tag, follower.subscribed), (follower.tag, true));
    }
    let all: BTreeSet<u32> = tags.values().copied().collect();
    assert_eq!((new, all), (FOLLOWERS, (FIRST_TAG..FIRST_TAG + FOLLOWERS as u32).collect()));
    // A transaction that fails takes no number with it.
    sql(&url, "ALTER TABLE follower ADD CONSTRAINT none CHECK (openid <> 'refused')").expect("altered");
    assert!(nodes[0].follower_tag(provider(0), "refused".into()).await.is_err());
    let next = nodes[1].follower_tag(provider(0), "next".into()).await.expect("answers").0;
    assert_eq!(next.tag, FIRST_TAG + FOLLOWERS as u32);
}

fn profile() -> Profile {
    let contacts = Default::default();
    Profile {
        password: "0".into(),
        role: Role::User,
        per_hour: 5,
        per_day: 20,
        available: true,
        enabled: true,
        contacts,
    }
}

/// While plans are applied, which give numbers too, also by a program that writes back all that it has read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_number_is_given_twice_and_no_change_is_lost() {
    let (_, nodes) = three_nodes().await;
    let now = nodes[0].clock().now();
    let adding = (0..45).map(|n| nodes[n % 3].account_add(format!("account {}", n / 3), profile(), now));
    let applying = (0..12).map(|n| {
        let kind = || "app".to_owned();
        let declared = Declaration { kind: kind(), code: format!("app {n}"), no: 0, doc: "{}".to_owned() };
        let plan = PlanChange { hash: n.to_string(), declarations: vec![declared], ..PlanChange::default() };
        nodes[n % 3].plan_apply(plan)
    });
    let (added, applied) = futures_util::future::join(join_all(adding), join_all(applying)).await;
    assert!(applied.iter().all(|answer| *answer == Ok(true)));
    let mut numbers = BTreeSet::new();
    for answer in added {
        match answer.expect("answers") {
            AccountAdded::Yes(account) => assert!(numbers.insert(account.no), "{account:?}"),
            AccountAdded::NameTaken => {}
            AccountAdded::ContactTaken => panic!("nobody has any"),
        }
    }
    assert_eq!(numbers, (1..=15).map(AccountNo).collect());
    let (_, declared) = nodes[0].declarations().await.expect("reads");
    assert_eq!(declared.iter().map(|one| one.no).collect::<BTreeSet<_>>(), (1..=12).collect());

    let changes = (0..30u32).map(|n| {
        let change = match n % 3 {
            0 => AccountChange { per_hour: Some(n), ..AccountChange::default() },
            1 => AccountChange { per_day: Some(n), ..AccountChange::default() },
            _ => AccountChange { role: Some(Role::Admin), ..AccountChange::default() },
        };
        nodes[n as usize % 3].account_change("account 1".into(), change)
    });
    let mut last = None;
    for changed in join_all(changes).await {
        let profile = changed.expect("changes").expect("is there").profile;
        assert_eq!((profile.password.as_str(), profile.available), ("0", true));
        last = Some(profile);
    }
    let profile = nodes[0].account_find("account 1".into()).await.expect("finds").expect("is there").profile;
    assert_eq!(profile.role, Role::Admin);
    assert!(profile.per_hour % 3 == 0 && profile.per_day % 3 == 1, "{profile:?} {last:?}");
}

/// Rows move from what is open to what is done while others read: each is read once, in its place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_history_shows_each_row_once_while_rows_move() {
    let (url, nodes) = three_nodes().await;
    let now = nodes[0].clock().now();
    let accounts: Vec<AccountNo> = (1..=9).map(AccountNo).collect();
    let mut ids = BTreeSet::new();
    for (n, account) in (0..45).zip(accounts.iter().cycle()) {
        let batch = ask(&nodes[n % 3], *account, 2, 1_000, now);
        ids.extend(batch.deliveries().map(|delivery| delivery.id));
        nodes[n % 3].submit(batch, now).await.expect("stores");
    }
    let newest_first: Vec<Id> = ids.iter().rev().copied().collect();
    let moving = async {
        for node in &nodes {
            // Each knows at once of what came through it.
            loop {
                let leases = node.claim(MAIL, 4, now).await.expect("claims");
                if leases.is_empty() {
                    break;
                }
                let changes = leases.iter().flat_map(|lease| told(lease, refused(), now)).collect();
                node.settle(changes, now).await.expect("settles");
            }
        }
    };
    let reading = async {
        for n in 0..40 {
            let (skip, limit) = (n * 7 % 80, 1 + n % 20);
            let page = nodes[1 + n % 2].history(HistoryFilter::default(), skip, limit).await.expect("lists");
            let listed: Vec<Id> = page.rows.iter().map(|row| row.id).collect();
            let expected: Vec<Id> = newest_first.iter().skip(skip).take(limit).copied().collect();
            assert_eq!((page.total, listed), (90, expected));
            let failed = |failed| HistoryFilter { failed: Some(failed), ..HistoryFilter::default() };
            let page = nodes[2].history(failed(n % 2 == 0), 0, 5).await.expect("lists");
            assert!(page.total <= 90 && page.rows.len() as u64 == page.total.min(5));
        }
    };
    futures_util::future::join(moving, reading).await;
    for (n, account) in accounts.iter().enumerate() {
        let page = nodes[n % 3].history(own(*account), 0, 3).await.expect("lists");
        assert_eq!((page.total, page.rows.len()), (10, 3));
        assert!(page.rows.iter().all(|row| row.account == *account && row.reply == "so it went"));
        assert_eq!(used(&nodes[n % 3], *account, now).await, 0);
    }
    assert_eq!(sql(&url, "SELECT count(*) FROM delivery").as_deref(), Ok("0"));
    // The day is over and forgotten, and with it what was counted.
    let later = now + 3 * DAY;
    while nodes[0].prune(later, 100, later).await.expect("prunes") {}
    let page = nodes[1].history(HistoryFilter::default(), 0, 10).await.expect("lists");
    assert_eq!((page.total, page.rows.len()), (0, 0));
    assert_eq!(sql(&url, "SELECT count(*) FROM sent").as_deref(), Ok("0"));
}

/// Where one bucket has most of what a filter selects, it is counted as far as where each has its share.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_filter_selects_is_counted_wherever_it_lies() {
    let (_, nodes) = three_nodes().await;
    let now = nodes[0].clock().now();
    let rows = |account: u32| if account == 1 { 7_500 } else { 2 };
    for (n, account) in [1, 2, 3].into_iter().enumerate() {
        for begin in (0..rows(account)).step_by(750) {
            let mut batch = ask(&nodes[n], AccountNo(account), (rows(account) - begin).min(750), 0, now);
            batch.admission = None;
            for delivery in &mut batch.page[0].deliveries {
                delivery.track = Track::skipped(Reason::OverLimit, now, batch.message.expires);
            }
            assert_eq!(nodes[n].submit(batch, now).await, Ok(Submitted::Stored));
        }
    }
    let buckets: BTreeSet<u8> = (1..=3).map(|account| AccountNo(account).bucket()).collect();
    assert_eq!(buckets.len(), 3, "each lies apart");
    let all = HistoryFilter { failed: Some(true), ..HistoryFilter::default() };
    let page = nodes[0].history(all.clone(), 0, 3).await.expect("lists");
    assert_eq!((page.total, page.rows.len()), (7_504, 3));
    let deep = nodes[1].history(all, 7_503, 9).await.expect("lists");
    assert_eq!((deep.total, deep.rows.len()), (7_504, 1));
}

/// Who comes late with the truth about what was cancelled changes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_changes_nothing_gives_nothing_back() {
    let (_, nodes) = three_nodes().await;
    let (now, account) = (nodes[0].clock().now(), AccountNo(3));
    let batch = ask(&nodes[0], account, 2, 5, now);
    let deliveries: Vec<Id> = batch.deliveries().map(|delivery| delivery.id).collect();
    nodes[0].submit(batch.clone(), now).await.expect("stores");
    let cancelled = join_all((0..9).map(|n| nodes[n % 3].message_cancel(batch.message.id, now))).await;
    assert_eq!(cancelled.into_iter().map(|count| count.expect("cancels").deliveries).sum::<usize>(), 2);
    let policy = Arc::new(hongyan_core::delivery::Policy {
        repeat: hongyan_core::delivery::Repeat::AtMostOnce,
        retry: hongyan_core::retry::RetrySchedule::mail(),
    });
    for event in [Event::Expire, Event::Cancel] {
        let change = |delivery: &Id| Change {
            delivery: *delivery,
            event: event.clone(),
            policy: Arc::clone(&policy),
            attempt: None,
        };
        let changes: Vec<Change> = deliveries.iter().map(change).collect();
        for settled in join_all(nodes.iter().map(|node| node.settle(changes.clone(), now))).await {
            assert_eq!(settled, Ok(vec![None, None]));
        }
    }
    assert_eq!(used(&nodes[1], account, now).await, 0);
}
