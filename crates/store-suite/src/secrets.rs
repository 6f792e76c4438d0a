//! Secrets in what a message says: there while anything of it is to come, erased afterwards, and nothing else with them.

use std::{sync::Arc, time::Duration};

use hongyan_core::{
    content::{Agent, Content, Notice},
    delivery::{Event, State},
    id::Id,
    store::Submitted,
};

use crate::{
    Bench,
    pages::{expansion, later, page},
    world::{MAIL, Order, SMS, World, accepted, change, content, deferred, to},
};

/// A notice of an app whose secret came with the request.
fn notice(secret: Option<&str>) -> Content {
    let agent = Some(Agent { id: Some(1_000_002), secret: secret.map(str::to_owned) });
    Content::Notice(Notice { heading: "鸿雁".into(), message: "disk full".into(), agent, ..Notice::default() })
}

async fn submit(world: &World<'_>, order: &Order) -> Id {
    let mut batch = world.batch(order);
    batch.content = Arc::new(notice(Some("sealed")));
    let id = batch.message.id;
    assert_eq!(world.store().submit(batch, world.now).await, Ok(Submitted::Stored));
    id
}

async fn erase(world: &World<'_>) -> usize {
    world.store().secrets_erase(100).await.expect("erases")
}

async fn kept(world: &World<'_>, message: Id) -> Content {
    let cargo = world.store().cargo_read(vec![message]).await.expect("reads");
    Content::clone(&cargo[0].1.content)
}

/// While one delivery waits, is leased or is being sent, nothing is erased; after the last the secret is, and only that.
pub async fn a_secret_is_erased_after_the_last_delivery(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    assert_eq!(erase(&world).await, 0, "there is nothing to erase");
    let mut order = to(&["a", "b"]).channel(SMS).parcel_max(1);
    order.attachments = vec![vec![1, 2, 3]];
    let id = submit(&world, &order).await;
    assert_eq!(erase(&world).await, 0);
    let leases = world.claim(SMS, 9).await;
    assert_eq!(erase(&world).await, 0);
    world.finish(&leases[..1], &accepted()).await;
    assert_eq!(erase(&world).await, 0);
    world.finish(&leases[1..], &deferred(Duration::from_secs(5))).await;
    assert_eq!(erase(&world).await, 0, "it is tried again");
    world.pass(Duration::from_secs(5));
    let lease = world.claim_one(SMS).await;
    world.settle(vec![change(SMS, lease.rows[0].id, Event::Intend { lease: 2 })]).await;
    assert_eq!((erase(&world).await, kept(&world, id).await), (0, notice(Some("sealed"))));
    world.finish(&[lease], &accepted()).await;
    assert_eq!(erase(&world).await, 1);
    assert_eq!(kept(&world, id).await, notice(None));
    let cargo = world.store().cargo_read(vec![id]).await.expect("reads");
    assert_eq!(*cargo[0].1.attachments, order.attachments);
    assert_eq!(world.read(id).await.deliveries.len(), 2);
    assert_eq!(erase(&world).await, 0, "once is enough");
}

/// However a delivery ends: nothing is to come of it.
pub async fn every_end_erases_secrets(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let sent = submit(&world, &to(&["a"]).channel(SMS)).await;
    let lease = world.claim_one(SMS).await;
    world.settle(vec![change(SMS, lease.rows[0].id, Event::Intend { lease: 1 })]).await;
    assert_eq!(world.crash_and_recover().await.unknown, 1);
    let cancelled = submit(&world, &to(&["b", "c"])).await;
    assert_eq!(world.cancel(cancelled).await, 2);
    let expired = submit(&world, &to(&["d"]).lives(Duration::from_secs(1))).await;
    let mut order = to(&["ghost"]);
    order.skipped = order.to.clone();
    let skipped = submit(&world, &order).await;
    let waits = submit(&world, &to(&["e"])).await;
    world.pass(Duration::from_secs(2));
    assert_eq!(world.store().expire(100, world.now).await, Ok(1));
    assert_eq!(erase(&world).await, 4);
    for id in [sent, cancelled, expired, skipped] {
        assert_eq!(kept(&world, id).await, notice(None));
    }
    assert_eq!(world.states(sent).await, [State::Unknown]);
    assert_eq!(kept(&world, waits).await, notice(Some("sealed")));
}

/// A message of several pages keeps its secret until the last of them is done.
pub async fn every_page_has_to_be_done(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let id = submit(&world, &to(&["a"]).rest(world.now, later(5))).await;
    let first = world.claim_one(MAIL).await;
    world.finish(&[first], &accepted()).await;
    assert_eq!(erase(&world).await, 0, "others follow");
    let next = expansion(&world).await.expect("is being expanded");
    assert_eq!(world.store().page_add(page(&world, &next, 5), world.now).await, Ok(true));
    assert_eq!(erase(&world).await, 0);
    let second = world.claim_one(MAIL).await;
    assert_eq!(*second.cargo.as_ref().expect("travels along").content, notice(Some("sealed")));
    assert_eq!(erase(&world).await, 0);
    world.finish(&[second], &accepted()).await;
    assert_eq!((erase(&world).await, kept(&world, id).await), (1, notice(None)));
}

/// At most as many as asked for at once, all in the end, also after a crash; what has no secret is left alone.
pub async fn secrets_are_erased_in_steps(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let mut ids = Vec::new();
    for _ in 0..7 {
        ids.push(submit(&world, &to(&["a"])).await);
    }
    let plain = world.submit(&to(&["a"])).await;
    let leases = world.claim(MAIL, 9).await;
    world.finish(&leases, &accepted()).await;
    world.crash_and_recover().await;
    let mut erased = Vec::new();
    while erased.iter().sum::<usize>() < 7 && erased.len() < 100 {
        erased.push(world.store().secrets_erase(3).await.expect("erases"));
    }
    assert!(erased.iter().all(|n| *n <= 3) && erased.iter().sum::<usize>() == 7, "{erased:?}");
    for id in ids {
        assert_eq!(kept(&world, id).await, notice(None));
    }
    assert_eq!(kept(&world, plain).await, content("a report"));
}

/// A request that was not stored leaves nothing to erase, and neither does history that is forgotten.
pub async fn what_is_gone_has_no_secrets(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let id = submit(&world, &to(&["a"]).key("k", 1)).await;
    let mut again = world.batch(&to(&["a"]).key("k", 1));
    again.content = Arc::new(notice(Some("sealed")));
    assert_eq!(world.store().submit(again, world.now).await, Ok(Submitted::Seen(id)));
    let lease = world.claim_one(MAIL).await;
    world.finish(&[lease], &accepted()).await;
    world.pass(Duration::from_secs(3 * 86_400));
    let before = world.now - Duration::from_secs(86_400);
    while world.store().prune(before, 7, world.now).await.expect("prunes") {}
    assert!(world.store().message_read(id).await.expect("reads").is_none());
    assert_eq!(erase(&world).await, 0);
}
