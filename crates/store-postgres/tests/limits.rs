//! Limits over three nodes: whatever is asked of whichever node, also when one of them dies or loses its connections in the
//! middle, no window and no pace is exceeded, nothing admitted is lost and nothing counts twice.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use hongyan_core::{
    id::Id,
    pace::{self, Tokens},
    quota::{Admission, Admitted, Day, Fit, HOUR, Sums, Window},
    store::{Limits, StoreError, StoreResult},
    time::Timestamp,
};
use hongyan_store_postgres::{Options, PostgresStore, open};
use hongyan_store_suite::postgres::{shared, sql};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};

/// The beginning of a day.
const MIDNIGHT: Timestamp = Timestamp::from_ms(1_799_971_200_000);
const DAY: Day = Day { begin: MIDNIGHT, end: Timestamp::from_ms(MIDNIGHT.ms() + 24 * 60 * 60 * 1_000) };
const MINUTE_MS: i64 = 60_000;

async fn node(url: &str) -> Arc<PostgresStore> {
    let options = Options { connections: 4, ..Options::default() };
    open(url, options).await.expect("opens")
}

async fn three_nodes() -> (String, [Arc<PostgresStore>; 3]) {
    let url = shared().fresh_schema();
    let nodes = [node(&url).await, node(&url).await, node(&url).await];
    (url, nodes)
}

fn id(n: usize) -> Id {
    Id::from_i64(i64::try_from(n).expect("small") + 1).expect("positive")
}

fn asked(account: &str, n: usize, amount: u32, hour_max: u32) -> Admission {
    Admission { account: account.to_owned(), id: id(n), amount, hour_max, day_max: 100_000, day: DAY, fit: Fit::Whole }
}

fn is_yes(answer: &StoreResult<Admitted>) -> bool {
    matches!(answer, Ok(Admitted::Yes(_)))
}

/// What is on record: ids with what is left of them.
fn entries(url: &str, account: &str) -> BTreeMap<i64, u32> {
    let rows = sql(url, &format!("SELECT id, amount FROM quota_entry WHERE account = '{account}'")).expect("reads");
    let entry = |row: &str| {
        let (id, amount) = row.split_once('|').expect("two columns");
        (id.parse().expect("an id"), amount.parse().expect("an amount"))
    };
    rows.lines().map(entry).collect()
}

/// The account's sums are those of its entries, all of which are of the last hour.
async fn agrees(url: &str, nodes: &[Arc<PostgresStore>], account: &str, now: Timestamp) -> u64 {
    let sum: u64 = entries(url, account).values().map(|amount| u64::from(*amount)).sum();
    for node in nodes {
        let used = node.window_used(account.to_owned(), DAY, now).await;
        assert_eq!(used, Ok(Sums { hour: sum, day: sum }), "{account}");
    }
    sum
}

/// Of accounts, too, of which nobody has heard before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_64_at_once_over_three_nodes_exactly_the_limit_passes() {
    let (url, nodes) = three_nodes().await;
    let now = MIDNIGHT + HOUR;
    for round in 0..30 {
        let account = format!("account/{round}");
        let requests = (0..64).map(|n| nodes[n % 3].window_admit(asked(&account, n, 1, 20), now));
        let answers = join_all(requests).await;
        let sums = answers.iter().filter_map(|answer| match answer {
            Ok(Admitted::Yes(sums)) => Some(sums.hour),
            Ok(Admitted::No(refusal)) => {
                assert_eq!((refusal.window, refusal.left, refusal.again), (Window::Hour, 0, Some(now + HOUR)));
                None
            }
            Err(trouble) => panic!("{trouble}"),
        });
        let mut sums: Vec<u64> = sums.collect();
        sums.sort_unstable();
        assert_eq!(sums, (1..=20).collect::<Vec<_>>());
        assert_eq!(agrees(&url, &nodes, &account, now).await, 20);
    }
}

/// A step of time in minutes, also back, as clocks of nodes do; and how many ask at once then.
type Round = (i64, usize);

const LIMIT_OF_WINDOW: u32 = 10;

/// Every moment of a random day the window holds what the limit allows, not more and not less.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_window_is_full_and_never_over() {
    let (_, nodes) = three_nodes().await;
    let rounds = prop::collection::vec((prop_oneof![4 => 0i64..25, 1 => 60i64..90, 1 => -9i64..0], 1usize..24), 1..16);
    let account = AtomicUsize::new(0);
    let config = Config { cases: 24, max_shrink_iters: 200, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&rounds, |rounds| {
        let account = format!("account/{}", account.fetch_add(1, Ordering::Relaxed));
        let history = a_day(&nodes, &account, rounds);
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(history));
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

async fn a_day(nodes: &[Arc<PostgresStore>], account: &str, rounds: Vec<Round>) {
    let (mut now, mut seen, mut asked_before) = (MIDNIGHT, MIDNIGHT, 0);
    // When each unit was admitted, the oldest first.
    let mut model: Vec<Timestamp> = Vec::new();
    for (step, count) in rounds {
        now = Timestamp::from_ms(now.ms() + step * MINUTE_MS).max(MIDNIGHT);
        seen = seen.max(now);
        let requests = (asked_before..asked_before + count)
            .map(|n| nodes[n % 3].window_admit(asked(account, n, 1, LIMIT_OF_WINDOW), now));
        let answers = join_all(requests).await;
        asked_before += count;
        model.retain(|at| seen < *at + HOUR);
        let free = LIMIT_OF_WINDOW as usize - model.len();
        model.extend(std::iter::repeat_n(seen, free.min(count)));
        assert_eq!(answers.iter().filter(|answer| is_yes(answer)).count(), free.min(count));
        for answer in answers {
            if let Admitted::No(refusal) = answer.expect("answers") {
                assert_eq!((refusal.left, refusal.again), (0, Some(model[0] + HOUR)));
            }
        }
        let used = nodes[asked_before % 3].window_used(account.to_owned(), DAY, now).await.expect("answers");
        assert_eq!(used.hour, model.len() as u64);
    }
}

/// Nodes whose clocks differ a little take from one pace: never above rate times span and a burst, wherever one looks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_over_three_nodes_stay_under_the_ceiling() {
    const RATE: f64 = 200.0;
    const BURST: u32 = 20;
    const SKEW: Duration = Duration::from_millis(2);
    let (_, nodes) = three_nodes().await;
    let mut now = MIDNIGHT;
    let mut rounds: Vec<(Timestamp, u32)> = Vec::new();
    let mut places: Vec<Tokens> = Vec::new();
    for round in 0u32..40 {
        let takers = (0u32..9).map(|n| {
            let now = now + Duration::from_millis(u64::from(n % 3));
            nodes[n as usize % 3].tokens_take("provider/a".into(), RATE, BURST, 1 + (n * 5 + round) % 9, now)
        });
        let took = join_all(takers).await.into_iter().collect::<StoreResult<Vec<_>>>().expect("takes");
        rounds.push((now, took.iter().map(|took| took.granted).sum()));
        places.extend(took.into_iter().filter(|took| took.granted > 0));
        now = now + Duration::from_millis(u64::from(7 * round % 90));
    }
    for (n, (from, _)) in rounds.iter().enumerate() {
        let mut sum = 0;
        for (until, granted) in &rounds[n..] {
            sum += granted;
            let span = (until.since(*from) + SKEW).as_secs_f64();
            assert!(f64::from(sum) <= RATE * span + f64::from(BURST), "{sum} in {span} s");
        }
    }
    let total: u32 = rounds.iter().map(|(_, granted)| granted).sum();
    assert!(
        f64::from(total) >= RATE * (now.since(MIDNIGHT).as_secs_f64() - 0.5),
        "{total}: nothing of the rate is lost"
    );
    places.sort_by_key(|took| took.start);
    for pair in places.windows(2) {
        assert!(pair[0].start + pace::interval(RATE) * pair[0].granted <= pair[1].start, "{pair:?}");
    }
}

/// Who asked a node that died asks another under the same id.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_dies_in_the_middle_loses_and_doubles_nothing() {
    const LIMIT: u32 = 100;
    let (url, [one, two, _]) = three_nodes().await;
    let now = MIDNIGHT + HOUR;
    for (round, answered_before) in [0usize, 1, 5, 20].into_iter().enumerate() {
        let account = format!("account/{round}");
        let dying = node(&url).await;
        let ask = |node: &Arc<PostgresStore>, n: usize| {
            let (node, account) = (Arc::clone(node), account.clone());
            tokio::spawn(async move { node.window_admit(asked(&account, n, 1, LIMIT), now).await })
        };
        let mut lost: Vec<_> = (0..50).map(|n| ask(&dying, n)).collect();
        let living: Vec<_> = (50..150).map(|n| (n, ask([&one, &two][n % 2], n))).collect();
        for asking in lost.drain(..answered_before) {
            assert!(asking.await.expect("runs").is_ok());
        }
        for asking in lost {
            asking.abort();
            drop(asking.await);
        }
        drop(dying);
        let mut answers = BTreeMap::new();
        for (n, asking) in living {
            answers.insert(n, asking.await.expect("runs"));
        }
        for n in 0..50 {
            answers.insert(n, one.window_admit(asked(&account, n, 1, LIMIT), now).await);
        }
        let passed: BTreeSet<i64> = answers.iter().filter(|(_, a)| is_yes(a)).map(|(n, _)| id(*n).get()).collect();
        assert_eq!(passed, entries(&url, &account).into_keys().collect(), "what was said is what counts");
        assert_eq!(agrees(&url, &[Arc::clone(&one), Arc::clone(&two)], &account, now).await, u64::from(LIMIT));
    }
}

/// Whose answer was lost asks again until there is one.
async fn admit_at_last(node: &PostgresStore, admission: &Admission, now: Timestamp) -> bool {
    for _ in 0..200 {
        match node.window_admit(admission.clone(), now).await {
            Ok(answer) => return matches!(answer, Admitted::Yes(_)),
            Err(StoreError::Unavailable { .. }) => tokio::time::sleep(Duration::from_millis(20)).await,
            Err(trouble) => panic!("{trouble}"),
        }
    }
    panic!("no answer");
}

/// Connections that break at any moment, before, in and after commits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_connections_lose_and_double_nothing() {
    const LIMIT: u32 = 150;
    let (url, [one, two, _]) = three_nodes().await;
    let unlucky = node(&format!("{url}&application_name=unlucky")).await;
    let now = MIDNIGHT + HOUR;
    let nodes = [one, two, unlucky];
    let ask = |n: usize| {
        let node = Arc::clone(&nodes[n % 3]);
        tokio::spawn(async move { admit_at_last(&node, &asked("account/1", n, 1, LIMIT), now).await })
    };
    let mut passed = BTreeSet::new();
    for wave in 0..8 {
        let asking: Vec<_> = (0..24).map(|n| (n + 24 * wave, ask(n + 24 * wave))).collect();
        let url = url.clone();
        let breaking = tokio::task::spawn_blocking(move || {
            sql(&url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'unlucky'")
        });
        for (n, asking) in asking {
            if asking.await.expect("runs") {
                passed.insert(id(n).get());
            }
        }
        breaking.await.expect("runs").expect("breaks");
    }
    assert_eq!(passed, entries(&url, "account/1").into_keys().collect(), "what was said is what counts");
    assert_eq!(agrees(&url, &nodes, "account/1", now).await, u64::from(LIMIT));
}

/// Every node hears of the same failure and gives the same units back, while others are admitted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_three_nodes_give_back_at_once_is_given_back_once() {
    const LIMIT: u32 = 60;
    let (url, nodes) = three_nodes().await;
    let now = MIDNIGHT + HOUR;
    for n in 0..20 {
        assert!(is_yes(&nodes[n % 3].window_admit(asked("account/1", n, 3, LIMIT), now).await));
    }
    let refunds = join_all((0..60).map(|n| nodes[n % 3].window_refund("account/1".into(), id(n / 3), 2, now)));
    let admissions = join_all((100..130).map(|n| nodes[n % 3].window_admit(asked("account/1", n, 1, LIMIT), now)));
    let (refunded, admitted) = tokio::join!(refunds, admissions);
    for of_one in refunded.chunks(3) {
        assert_eq!(of_one.iter().map(|given| given.as_ref().expect("answers")).sum::<u32>(), 3);
    }
    let admitted = admitted.iter().filter(|answer| is_yes(answer)).count();
    assert_eq!(agrees(&url, &nodes, "account/1", now).await, admitted as u64);
    // Whoever is not in time for a refund comes again.
    for n in 200..200 + LIMIT as usize - admitted {
        assert!(is_yes(&nodes[n % 3].window_admit(asked("account/1", n, 1, LIMIT), now).await));
    }
    assert!(!is_yes(&nodes[0].window_admit(asked("account/1", 300, 1, LIMIT), now).await));
}

/// Many accounts, of which nobody has heard before, are asked of on all nodes at the same time: they hold each other up, and no
/// more than that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_new_accounts_at_once_do_not_lock_each_other_out() {
    let (url, nodes) = three_nodes().await;
    let now = MIDNIGHT + HOUR;
    for round in 0..20 {
        let asking = (0..192).map(|n| {
            let admission = asked(&format!("account/{round}/{}", n * 7 % 16), n, 1, 5);
            let node = Arc::clone(&nodes[n % 3]);
            tokio::spawn(async move { node.window_admit(admission, now).await })
        });
        let answers = join_all(asking).await;
        let passed = answers.iter().filter(|answer| is_yes(answer.as_ref().expect("runs"))).count();
        assert_eq!(passed, 16 * 5);
    }
    let astray = sql(&url, "SELECT account, count(*) FROM quota_entry GROUP BY account HAVING count(*) <> 5");
    assert_eq!(astray.as_deref(), Ok(""));
}
