//! Caps and access tokens over three nodes: whatever is drawn or asked for on whichever node at the same time, no cap is exceeded
//! and nothing of it is lost, and of all nodes one at a time fetches a token.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use hongyan_core::{
    cap::{Cap, Draw, Drawn},
    store::{AccessTokens, Limits, Upkeep},
    time::Timestamp,
    token::{TURN, TokenTurn},
};
use hongyan_store_postgres::{Options, PostgresStore, open};
use hongyan_store_suite::postgres::{shared, sql};

const NOW: Timestamp = Timestamp::from_ms(1_800_000_000_000);
const MINUTE: Duration = Duration::from_secs(60);
const FIVE: Cap = Cap { most: 5, span: MINUTE };

async fn three_nodes() -> (String, [Arc<PostgresStore>; 3]) {
    let url = shared().fresh_schema();
    let node = || async { open(&url, Options { connections: 4, ..Options::default() }).await.expect("opens") };
    let nodes = [node().await, node().await, node().await];
    (url, nodes)
}

fn draws(keys: impl IntoIterator<Item = usize>) -> Vec<Draw> {
    keys.into_iter().map(|n| Draw { key: format!("{n}/zhangsan"), amount: 1, back: None }).collect()
}

async fn drawn(node: &PostgresStore, draws: &[Draw], now: Timestamp) -> Vec<Drawn> {
    node.caps_draw(vec![FIVE], draws.to_vec(), now).await.expect("answers")
}

/// Of keys, too, from which nobody has drawn before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_64_draws_at_once_over_three_nodes_exactly_the_cap_counts() {
    let (_, nodes) = three_nodes().await;
    for round in 0..20 {
        for (now, again) in [(NOW, NOW + MINUTE), (NOW + MINUTE, NOW + 2 * MINUTE)] {
            let one = draws([round]);
            let answers = join_all((0..64).map(|n| drawn(&nodes[n % 3], &one, now))).await.concat();
            assert_eq!(answers.iter().filter(|answer| **answer == Drawn::Yes).count(), 5);
            assert_eq!(answers.iter().filter(|answer| **answer == Drawn::No { until: again }).count(), 59);
        }
    }
}

/// Calls with many members each, which name them in different orders: they hold each other up, and no more than that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_with_many_members_do_not_lock_each_other_out() {
    const MEMBERS: usize = 300;
    let (url, nodes) = three_nodes().await;
    let calls = (0..18).map(|call| {
        let node = Arc::clone(&nodes[call % 3]);
        // A step that has no divisor in common with their number passes through all.
        let members = draws((0..MEMBERS).map(|n| (n * [1, 7, 11, 299][call % 4] + 17 * call) % MEMBERS));
        tokio::spawn(async move { (drawn(&node, &members, NOW).await, members) })
    });
    let mut counted = std::collections::BTreeMap::new();
    for call in join_all(calls).await {
        let (answers, members) = call.expect("runs");
        for (member, answer) in members.iter().zip(answers) {
            *counted.entry(member.key.clone()).or_insert(0) += u32::from(answer == Drawn::Yes);
        }
    }
    assert_eq!(counted.len(), MEMBERS);
    assert!(counted.values().all(|count| *count == FIVE.most), "{counted:?}");
    let buckets = sql(&url, "SELECT count(*), count(DISTINCT bucket) > 50 FROM tally");
    assert_eq!(buckets.as_deref(), Ok("300|t"), "they are spread over the buckets");
}

/// Tallies that count nowhere any more are forgotten while others draw from them anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_forgotten_while_it_is_drawn_from_counts_exactly() {
    let (url, nodes) = three_nodes().await;
    for round in 0u32..10 {
        let now = NOW + round * 60 * MINUTE;
        let members = draws(0..40);
        let drawing = join_all((0..12).map(|n| drawn(&nodes[n % 3], &members, now)));
        let forgetting = async {
            for n in 0..12 {
                nodes[n % 3].prune(Timestamp::from_ms(0), 10, now).await.expect("prunes");
            }
        };
        let (answers, ()) = tokio::join!(drawing, forgetting);
        for member in 0..members.len() {
            assert_eq!(answers.iter().filter(|answer| answer[member] == Drawn::Yes).count(), 5);
        }
    }
    let later = NOW + 20 * 60 * MINUTE;
    while nodes[0].prune(Timestamp::from_ms(0), 10, later).await.expect("prunes") {}
    assert_eq!(sql(&url, "SELECT count(*) FROM tally").as_deref(), Ok("0"));
}

/// The versions of turns that were given out.
fn mine(answers: Vec<TokenTurn>) -> Vec<u64> {
    let mine = |answer| match answer {
        TokenTurn::Mine(turn) => Some(turn),
        TokenTurn::Kept(_) | TokenTurn::Theirs { .. } => None,
    };
    answers.into_iter().filter_map(mine).collect()
}

/// What each of many who ask for a token at once is told.
async fn asked(nodes: &[Arc<PostgresStore>; 3], key: &str, failed: Option<u64>, now: Timestamp) -> Vec<TokenTurn> {
    let asking = (0..24).map(|n| nodes[n % 3].token_ask(key.to_owned(), failed, now));
    join_all(asking).await.into_iter().map(|answer| answer.expect("answers")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_three_nodes_one_at_a_time_fetches_a_token() {
    let (_, nodes) = three_nodes().await;
    for round in 0..10 {
        let (key, expires) = (format!("wecom/{round}"), NOW + 60 * MINUTE);
        assert_eq!(mine(asked(&nodes, &key, None, NOW).await), [1]);
        let late = NOW + TURN;
        assert_eq!(mine(asked(&nodes, &key, None, late).await), [2], "the first has taken too long");
        let keep = |turn| nodes[turn as usize].token_keep(key.clone(), turn, format!("token {turn}"), expires);
        let (first, second) = tokio::join!(keep(1), keep(2));
        assert_eq!(first, Ok(None));
        let kept = second.expect("answers").expect("its turn");
        assert_eq!(asked(&nodes, &key, Some(1), late).await, vec![TokenTurn::Kept(kept); 24]);
        assert_eq!(mine(asked(&nodes, &key, Some(2), late).await), [3], "it was refused");
        nodes[0].token_fail(key.clone(), 3, late + MINUTE).await.expect("is known");
        assert_eq!(asked(&nodes, &key, Some(2), late).await, vec![TokenTurn::Theirs { until: late + MINUTE }; 24]);
        assert_eq!(mine(asked(&nodes, &key, Some(2), late + MINUTE).await), [4]);
    }
}
