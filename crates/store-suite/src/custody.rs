//! Custody of access tokens: of all who ask one fetches, and what it fetched is everybody's.

use std::time::Duration;

use futures_util::future::join_all;
use hongyan_core::{
    time::Timestamp,
    token::{KeptToken, TURN, TokenTurn},
};

use crate::{Bench, world::World};

const MINUTE: Duration = Duration::from_secs(60);
const KEY: &str = "wecom/1";

async fn ask(world: &World<'_>, key: &str, failed: Option<u64>) -> TokenTurn {
    world.store().token_ask(key.into(), failed, world.now).await.expect("answers")
}

async fn keep(world: &World<'_>, turn: u64, sealed: &str, expires: Timestamp) -> Option<KeptToken> {
    world.store().token_keep(KEY.into(), turn, sealed.into(), expires).await.expect("answers")
}

async fn fail(world: &World<'_>, turn: u64, until: Timestamp) {
    world.store().token_fail(KEY.into(), turn, until).await.expect("answers");
}

fn token(version: u64, sealed: &str, expires: Timestamp) -> KeptToken {
    KeptToken { version, sealed: sealed.into(), expires }
}

/// One has the turn and the other waits; what was fetched serves both until it is old or refused.
pub async fn one_fetches_a_token_for_all(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    assert_eq!(ask(&world, KEY, None).await, TokenTurn::Mine(1));
    assert_eq!(ask(&world, KEY, None).await, TokenTurn::Theirs { until: world.now + TURN });
    let expires = world.now + 10 * MINUTE;
    let kept = token(1, "sealed", expires);
    assert_eq!(keep(&world, 1, "sealed", expires).await, Some(kept.clone()));
    assert_eq!(ask(&world, KEY, None).await, TokenTurn::Kept(kept.clone()));
    assert_eq!(ask(&world, KEY, Some(0)).await, TokenTurn::Kept(kept.clone()), "an older one was refused");
    assert_eq!(ask(&world, KEY, Some(1)).await, TokenTurn::Mine(2), "this one was refused");
    assert_eq!(ask(&world, KEY, Some(1)).await, TokenTurn::Theirs { until: world.now + TURN });
    assert_eq!(ask(&world, KEY, None).await, TokenTurn::Kept(kept), "who knows nothing bad of it uses it");
    let kept = token(2, "another", expires);
    assert_eq!(keep(&world, 2, "another", expires).await, Some(kept.clone()));
    world.now = expires - Duration::from_millis(1);
    assert_eq!(ask(&world, KEY, Some(1)).await, TokenTurn::Kept(kept));
    world.now = expires;
    assert_eq!(ask(&world, KEY, None).await, TokenTurn::Mine(3), "it is old");
    assert_eq!(ask(&world, "wecom/2", None).await, TokenTurn::Mine(1), "another key is another token");
}

/// Thirty-two ask at once: one has the turn.
pub async fn one_of_many_has_the_turn(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let answers = join_all((0..32).map(|_| ask(&world, KEY, None))).await;
    assert_eq!(answers.iter().filter(|answer| **answer == TokenTurn::Mine(1)).count(), 1);
    let theirs = TokenTurn::Theirs { until: world.now + TURN };
    assert_eq!(answers.iter().filter(|answer| **answer == theirs).count(), 31);
}

/// Who took too long has no say any more, whether it fetched something or not; a turn that nobody had has none either.
pub async fn a_turn_that_has_passed_keeps_nothing(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let expires = world.now + 10 * MINUTE;
    assert_eq!(keep(&world, 7, "nobody's", expires).await, None);
    assert_eq!(ask(&world, KEY, None).await, TokenTurn::Mine(1));
    world.pass(TURN);
    assert_eq!(ask(&world, KEY, None).await, TokenTurn::Mine(2));
    assert_eq!(keep(&world, 1, "late", expires).await, None);
    fail(&world, 1, world.now).await;
    assert_eq!(ask(&world, KEY, None).await, TokenTurn::Theirs { until: world.now + TURN });
    assert_eq!(keep(&world, 2, "in time", expires).await, Some(token(2, "in time", expires)));
    assert_eq!(ask(&world, KEY, None).await, TokenTurn::Kept(token(2, "in time", expires)));
}

/// After a failure nobody tries for a while, and then one does.
pub async fn a_failure_is_waited_out(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    assert_eq!(ask(&world, KEY, None).await, TokenTurn::Mine(1));
    let until = world.now + 2 * MINUTE;
    fail(&world, 1, until).await;
    world.pass(MINUTE);
    assert_eq!(ask(&world, KEY, None).await, TokenTurn::Theirs { until });
    world.pass(MINUTE);
    assert_eq!(ask(&world, KEY, None).await, TokenTurn::Mine(2));
}

/// What serves nobody any more is forgotten, a day later, and nothing else is.
pub async fn tokens_of_no_use_are_forgotten(bench: &impl Bench) {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let mut world = World::begin(bench).await;
    let begin = world.now;
    for key in ["one", "two", "three", KEY] {
        assert_eq!(ask(&world, key, None).await, TokenTurn::Mine(1));
    }
    let kept = token(1, "sealed", begin + 3 * DAY);
    assert_eq!(keep(&world, 1, "sealed", begin + 3 * DAY).await, Some(kept.clone()));
    for (pause, number) in [(DAY - TURN, 2), (DAY + TURN, 1)] {
        world.now = world.now + pause;
        while world.store().prune(begin - DAY, 2, world.now).await.expect("prunes") {}
        assert_eq!(ask(&world, "one", None).await, TokenTurn::Mine(number));
    }
    assert_eq!(ask(&world, KEY, None).await, TokenTurn::Kept(kept));
}

/// Tokens and turns are as durable as anything else.
pub async fn tokens_survive_a_crash(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let (begin, expires) = (world.now, world.now + 10 * MINUTE);
    assert_eq!(ask(&world, KEY, None).await, TokenTurn::Mine(1));
    assert!(keep(&world, 1, "sealed", expires).await.is_some());
    assert_eq!(ask(&world, "wecom/2", None).await, TokenTurn::Mine(1));
    world.crash().await;
    assert_eq!(ask(&world, KEY, None).await, TokenTurn::Kept(token(1, "sealed", expires)));
    assert_eq!(ask(&world, "wecom/2", None).await, TokenTurn::Theirs { until: begin + TURN });
    world.pass(TURN);
    assert_eq!(ask(&world, "wecom/2", None).await, TokenTurn::Mine(2));
    assert_eq!(ask(&world, KEY, Some(1)).await, TokenTurn::Mine(2));
}
