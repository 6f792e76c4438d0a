//! Large audiences: pages and their cursor; cancelling.

use hongyan_core::{
    delivery::{Reason, State, Track},
    id::Id,
    limits::PAGE_RECIPIENTS_MAX,
    message::MessageState,
    store::{Addressee, Expansion, NewDelivery, Page},
};

use crate::{
    Bench,
    world::{MAIL, World, accepted, to},
};

pub(crate) fn rest(people: usize) -> Vec<Addressee> {
    let one = |n| Addressee {
        recipient: format!("user{n}"),
        address: if n % 10 == 9 { String::new() } else { format!("user{n}@example.com") },
        skipped: (n % 10 == 9).then_some(Reason::NoAddress),
    };
    (0..people).map(one).collect()
}

/// The next page of an expansion, as intake makes it.
pub(crate) fn page(world: &World<'_>, expansion: &Expansion, size: usize) -> Page {
    let people: Vec<_> = expansion.rest.iter().skip(expansion.cursor).take(size).collect();
    let first = world.ids.block(people.len(), expansion.message.id.bucket(), world.now).expect("ids");
    let expires = expansion.message.expires;
    let deliveries = people.iter().enumerate().map(|(n, who)| NewDelivery {
        id: first.plus(n),
        recipient: who.recipient.clone(),
        address: who.address.clone(),
        track: match who.skipped {
            Some(reason) => Track::skipped(reason, world.now, expires),
            None => Track::ready(world.now, expires),
        },
    });
    Page {
        message: expansion.message.id,
        cursor: expansion.cursor,
        deliveries: deliveries.collect(),
        parcel_max: PAGE_RECIPIENTS_MAX,
        last: expansion.cursor + people.len() == expansion.rest.len(),
    }
}

pub(crate) async fn expansion(world: &World<'_>) -> Option<Expansion> {
    world.store().expansions(None, 1).await.expect("lists").into_iter().next()
}

async fn submit_large(world: &World<'_>, people: usize) -> Id {
    let mut order = to(&["alice"]);
    order.rest = rest(people);
    world.submit(&order).await
}

/// Page after page until the last; each page is a parcel of its own; then the message is expanded.
pub async fn expands_page_by_page(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let id = submit_large(&world, 250).await;
    assert_eq!(world.read(id).await.message.state, MessageState::Expanding);
    let mut pages = 0;
    while let Some(next) = expansion(&world).await {
        assert_eq!((next.message.id, next.channel, next.cursor), (id, MAIL, pages * 100));
        assert_eq!(next.rest, rest(250));
        assert_eq!(world.store().page_add(page(&world, &next, 100), world.now).await, Ok(true));
        pages += 1;
    }
    assert_eq!(pages, 3);
    let record = world.read(id).await;
    assert_eq!((record.message.state, record.deliveries.len()), (MessageState::Expanded, 251));
    for (delivery, who) in record.deliveries.iter().skip(1).zip(rest(250)) {
        assert_eq!((&delivery.recipient, &delivery.address), (&who.recipient, &who.address));
        assert_eq!(delivery.track.state == State::Skipped, who.skipped.is_some());
    }
    let leases = world.claim(MAIL, 9).await;
    assert_eq!(leases.iter().map(|lease| lease.rows.len()).collect::<Vec<_>>(), [1, 90, 90, 45]);
    world.finish(&leases, &accepted()).await;
    assert_eq!(world.depth(MAIL).await, 0);
    let second = submit_large(&world, 5).await;
    let third = submit_large(&world, 5).await;
    let listed = world.store().expansions(None, 9).await.expect("lists");
    assert_eq!(listed.iter().map(|e| e.message.id).collect::<Vec<_>>(), [second, third]);
    let listed = world.store().expansions(Some(second), 9).await.expect("lists");
    assert_eq!(listed.iter().map(|e| e.message.id).collect::<Vec<_>>(), [third]);
}

/// Of two who expand the same message the slower one is told so, and adds nothing.
pub async fn a_page_behind_the_cursor_is_refused(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let id = submit_large(&world, 20).await;
    let next = expansion(&world).await.expect("is being expanded");
    let (faster, slower) = (page(&world, &next, 10), page(&world, &next, 20));
    assert_eq!(world.store().page_add(faster, world.now).await, Ok(true));
    assert_eq!(world.store().page_add(slower, world.now).await, Ok(false));
    assert_eq!(world.read(id).await.deliveries.len(), 11);
    let next = expansion(&world).await.expect("is being expanded");
    assert_eq!(world.store().page_add(page(&world, &next, 10), world.now).await, Ok(true));
    assert_eq!(world.store().page_add(page(&world, &next, 10), world.now).await, Ok(false), "nothing is left");
    assert_eq!(world.read(id).await.deliveries.len(), 21);
}

/// A crash between pages loses nobody and serves nobody twice.
pub async fn nobody_is_lost_or_twice_after_a_crash(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let id = submit_large(&world, 500).await;
    while let Some(next) = expansion(&world).await {
        assert_eq!(world.store().page_add(page(&world, &next, 130), world.now).await, Ok(true));
        world.crash_and_recover().await;
    }
    let record = world.read(id).await;
    let people: Vec<_> = record.deliveries.iter().skip(1).map(|delivery| delivery.recipient.clone()).collect();
    assert_eq!(people, rest(500).into_iter().map(|who| who.recipient).collect::<Vec<_>>());
    assert_eq!(world.depth(MAIL).await, 451);
}

/// What waits is cancelled; what is in flight or done is not.
pub async fn cancels_what_waits(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let flying = world.submit(&to(&["a"])).await;
    let lease = world.claim_one(MAIL).await;
    let waiting = world.submit(&to(&["b", "c"])).await;
    world.progress.take();
    assert_eq!(world.store().message_cancel(flying, world.now).await, Ok(0));
    assert_eq!(world.store().message_cancel(waiting, world.now).await, Ok(2));
    assert_eq!(world.progress.take().len(), 2);
    assert_eq!(world.store().message_cancel(waiting, world.now).await, Ok(0));
    assert_eq!(
        (world.states(flying).await, world.states(waiting).await),
        (vec![State::Leased], vec![State::Cancelled; 2])
    );
    assert!(world.claim(MAIL, 9).await.is_empty());
    assert_eq!(world.depth(MAIL).await, 0);
    assert_eq!(world.finish(&[lease], &accepted()).await[0].map(|track| track.state), Some(State::Accepted));
}

/// Nobody follows in later pages of a cancelled message.
pub async fn cancelling_ends_the_expansion(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let id = submit_large(&world, 30).await;
    let next = expansion(&world).await.expect("is being expanded");
    world.store().page_add(page(&world, &next, 10), world.now).await.expect("adds");
    let next = expansion(&world).await.expect("is being expanded");
    assert_eq!(world.store().message_cancel(id, world.now).await, Ok(10));
    assert!(expansion(&world).await.is_none());
    assert_eq!(world.store().page_add(page(&world, &next, 10), world.now).await, Ok(false));
    let record = world.read(id).await;
    assert_eq!((record.message.state, record.deliveries.len()), (MessageState::Expanded, 11));
}
