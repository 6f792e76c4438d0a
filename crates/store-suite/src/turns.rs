//! Whose turn it is: priorities share capacity 70/25/5, apps of one priority take turns, and a queue that is longer than
//! memory keeps its order.

use std::{collections::HashMap, time::Duration};

use hongyan_core::{limits, message::Priority, setup::AppNo, store::Lease};

use crate::{
    Bench,
    world::{MAIL, SMS, World, accepted, to},
};

async fn claim_many(world: &World<'_>, parcels: usize, at_a_time: usize) -> Vec<Lease> {
    let mut leases = Vec::new();
    while leases.len() < parcels {
        let more = world.claim(MAIL, at_a_time.min(parcels - leases.len())).await;
        assert!(!more.is_empty(), "{} of {parcels} were claimed", leases.len());
        leases.extend(more);
    }
    leases
}

fn count(leases: &[Lease], priority: Priority) -> usize {
    leases.iter().filter(|lease| lease.priority == priority).count()
}

/// Over 1,000 parcels the shares are exact, whatever the size of the claims.
pub async fn priorities_share_70_25_5(bench: &impl Bench) {
    let world = World::begin(bench).await;
    for priority in [Priority::Low, Priority::Middle, Priority::High] {
        world.submit_all((0..1_000).map(|_| to(&["a"]).priority(priority))).await;
    }
    let leases = claim_many(&world, 1_000, 37).await;
    assert_eq!(Priority::ALL.map(|priority| count(&leases, priority)), [700, 250, 50]);
}

/// What one priority does not use goes to the others, the most urgent first.
pub async fn unused_shares_spill_over(bench: &impl Bench) {
    let world = World::begin(bench).await;
    for priority in [Priority::Low, Priority::Middle] {
        world.submit_all((0..1_000).map(|_| to(&["a"]).priority(priority))).await;
    }
    let leases = claim_many(&world, 1_000, 50).await;
    assert_eq!(Priority::ALL.map(|priority| count(&leases, priority)), [0, 950, 50]);
    let rest = claim_many(&world, 1_000, 200).await;
    assert_eq!(Priority::ALL.map(|priority| count(&rest, priority)), [0, 50, 950]);
    assert!(world.claim(MAIL, 1).await.is_empty());
}

/// An app with a long queue delays the others by one turn each.
pub async fn apps_take_turns(bench: &impl Bench) {
    let world = World::begin(bench).await;
    world.submit_all((0..5_000).map(|_| to(&["a"]))).await;
    world.submit_all((0..10).flat_map(|_| [to(&["a"]).app(2), to(&["a"]).app(7)])).await;
    let leases = world.claim(MAIL, 30).await;
    let of = |app| leases.iter().filter(|lease| lease.app == AppNo(app)).count();
    assert_eq!([of(1), of(2), of(7)], [10, 10, 10]);
    let rest = claim_many(&world, 4_990, 256).await;
    assert!(rest.iter().all(|lease| lease.app == AppNo(1)));
    assert!(rest.is_sorted_by_key(|lease| lease.parcel));
}

/// More than memory holds comes out in order, each once, also while more comes in behind it.
pub async fn long_queues_keep_their_order(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let rows = limits::READY_IN_MEMORY_MAX + 1_500;
    let mut ids = world.submit_all((0..rows).map(|_| to(&["a"]))).await;
    let mut leases = claim_many(&world, 1_000, 256).await;
    ids.extend(world.submit_all((0..500).map(|_| to(&["a"]))).await);
    leases.extend(claim_many(&world, ids.len() - 1_000, 1_000).await);
    assert!(world.claim(MAIL, 1).await.is_empty());
    assert_eq!(leases.iter().map(|lease| lease.message).collect::<Vec<_>>(), ids);
    assert_eq!(world.depth(MAIL).await, 0);
}

/// 25,000 deliveries of three apps; rows that become ready with an earlier time than what is in memory come first, nothing
/// is lost or handed out twice.
pub async fn early_rows_move_the_place_back(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let secs = Duration::from_secs;
    for (app, rows) in [(1, 18_000), (2, 3_000), (3, 3_000)] {
        world.submit_all((0..rows).map(|n| to(&["a"]).app(app).due_in(secs(10 + n % 7)))).await;
    }
    world.pass(secs(20));
    let first = claim_many(&world, 1_500, 256).await;
    // Earlier than all that waits: by giving back, by a new request of an earlier time, and of an app not seen before.
    world.give_back(&first[..600]).await;
    world.pass(secs(0));
    let now = world.now;
    world.now = now - secs(15);
    world.submit_all((0..1_000).map(|n| to(&["a"]).app(1 + n % 4))).await;
    world.now = now;
    let mut seen: HashMap<_, u32> = HashMap::new();
    let mut last: HashMap<AppNo, (i64, i64)> = HashMap::new();
    let mut rest = 0;
    loop {
        let leases = world.claim(MAIL, 256).await;
        if leases.is_empty() {
            break;
        }
        for lease in &leases {
            let key = (lease.rows[0].track.due.ms(), lease.parcel.get());
            let last = last.entry(lease.app).or_insert(key);
            assert!(*last <= key, "app {:?} is handed out in order", lease.app);
            *last = key;
            *seen.entry(lease.parcel).or_default() += 1;
        }
        rest += leases.len();
        world.finish(&leases, &accepted()).await;
    }
    assert_eq!(rest, 24_000 - 1_500 + 600 + 1_000);
    assert!(seen.values().all(|times| *times == 1));
    assert_eq!(world.depth(MAIL).await, 0);
}

/// What waits on one channel is nothing to another.
pub async fn channels_are_apart(bench: &impl Bench) {
    let world = World::begin(bench).await;
    world.submit(&to(&["a"])).await;
    let sms = world.submit(&to(&["b"]).channel(SMS)).await;
    let leases = world.claim(SMS, 9).await;
    assert_eq!(leases.iter().map(|lease| lease.message).collect::<Vec<_>>(), [sms]);
    assert_eq!((world.depth(MAIL).await, world.depth(SMS).await), (1, 0));
    world.desk.open(SMS, 1);
    world.submit(&to(&["c"]).channel(SMS)).await;
    assert_eq!(world.desk.len(), 1);
}
