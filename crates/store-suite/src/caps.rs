//! Caps: at most so many in any span of time for one key, exactly, whatever runs beside it.

use std::time::Duration;

use futures_util::future::join_all;
use hongyan_core::{
    cap::{Cap, Draw, Drawn},
    time::Timestamp,
};

use crate::{Bench, world::World};

const MINUTE: Duration = Duration::from_secs(60);
const FIVE: Cap = Cap { most: 5, span: MINUTE };

async fn draw(world: &World<'_>, caps: &[Cap], draws: &[(&str, u32)]) -> Vec<Drawn> {
    let draws =
        draws.iter().map(|(key, amount)| Draw { key: (*key).to_owned(), amount: *amount, back: None }).collect();
    world.store().caps_draw(caps.to_vec(), draws, world.now).await.expect("answers")
}

const fn no(until: Timestamp) -> Drawn {
    Drawn::No { until }
}

/// Of 64 draws at once under a cap of five, five count.
pub async fn exactly_the_cap_counts_at_once(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let draws = join_all((0..64).map(|_| draw(&world, &[FIVE], &[("member/1", 1)]))).await.concat();
    assert_eq!(draws.iter().filter(|drawn| **drawn == Drawn::Yes).count(), 5);
    assert_eq!(draws.iter().filter(|drawn| **drawn == no(world.now + MINUTE)).count(), 59);
    world.pass(MINUTE);
    assert_eq!(draw(&world, &[FIVE], &[("member/1", 5)]).await, [Drawn::Yes]);
}

/// Draws of one call are made one after the other, also under one key; one that is refused keeps no other from counting.
pub async fn a_key_may_come_twice_in_a_call(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let later = no(world.now + MINUTE);
    let drawn =
        draw(&world, &[FIVE], &[("a", 2), ("b", 5), ("a", 2), ("a", 2), ("b", 1), ("a", 1), ("c", 0), ("a", 1)]).await;
    use Drawn::Yes;
    assert_eq!(drawn, [Yes, Yes, Yes, later, later, Yes, Yes, later]);
    assert_eq!(draw(&world, &[FIVE], &[("a", 1), ("b", 1), ("c", 5)]).await, [later, later, Yes]);
    assert_eq!(draw(&world, &[FIVE], &[]).await, []);
}

/// Every cap has to have room; what is more than a cap allows at all passes where nothing else counts.
pub async fn every_cap_has_to_have_room(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let caps = [FIVE, Cap { most: 8, span: 60 * MINUTE }];
    let begin = world.now;
    assert_eq!(draw(&world, &caps, &[("a", 6)]).await, [Drawn::Yes]);
    assert_eq!(draw(&world, &caps, &[("a", 1)]).await, [no(begin + MINUTE)]);
    world.pass(MINUTE);
    assert_eq!(draw(&world, &caps, &[("a", 3)]).await, [no(begin + 60 * MINUTE)]);
    assert_eq!(draw(&world, &caps, &[("a", 2)]).await, [Drawn::Yes]);
    assert_eq!(draw(&world, &caps, &[("a", 1)]).await, [no(begin + 60 * MINUTE)]);
    world.now = begin + 60 * MINUTE;
    assert_eq!(draw(&world, &caps, &[("a", 3)]).await, [Drawn::Yes]);
}

/// What was drawn for nothing is given back, and no more than that.
pub async fn what_came_to_nothing_is_given_back(bench: &impl Bench) {
    let world = &World::begin(bench).await;
    let back = |amount| async move {
        let draws = vec![Draw { key: "a".to_owned(), amount, back: Some(world.now) }];
        world.store().caps_draw(vec![FIVE], draws, world.now).await.expect("answers")
    };
    let later = no(world.now + MINUTE);
    assert_eq!(draw(world, &[FIVE], &[("a", 3), ("a", 2), ("a", 1)]).await, [Drawn::Yes, Drawn::Yes, later]);
    assert_eq!(back(2).await, [Drawn::Yes]);
    assert_eq!(draw(world, &[FIVE], &[("a", 3), ("a", 2)]).await, [later, Drawn::Yes]);
    assert_eq!(back(99).await, [Drawn::Yes]);
    assert_eq!(draw(world, &[FIVE], &[("a", 5), ("a", 1)]).await, [Drawn::Yes, later]);
}

/// What counts is as durable as anything else, and forgotten only when it counts no more.
pub async fn what_counts_is_kept_and_then_forgotten(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let begin = world.now;
    let hour = [Cap { most: 5, span: 60 * MINUTE }];
    let keys: Vec<String> = (0..30).map(|n| format!("member/{n}")).collect();
    let short: Vec<_> = keys.iter().map(|key| (key.as_str(), 5)).collect();
    assert_eq!(draw(&world, &[FIVE], &short).await, [Drawn::Yes; 30]);
    assert_eq!(draw(&world, &hour, &[("long", 5)]).await, [Drawn::Yes]);
    world.crash().await;
    assert_eq!(draw(&world, &[FIVE], &short).await, [no(begin + MINUTE); 30]);
    for _ in 0..2 {
        while world.store().prune(begin, 7, world.now).await.expect("prunes") {}
        assert_eq!(draw(&world, &hour, &[("long", 1)]).await, [no(begin + 60 * MINUTE)]);
        world.pass(MINUTE);
    }
    assert_eq!(draw(&world, &[FIVE], &short).await, [Drawn::Yes; 30]);
    while world.store().prune(begin, 7, world.now).await.expect("prunes") {}
    assert_eq!(draw(&world, &[FIVE], &short).await, [no(world.now + MINUTE); 30]);
}
