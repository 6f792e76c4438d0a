//! Large audiences: pages and their cursor; cancelling.

use hongyan_core::{
    delivery::{Reason, State, Track},
    id::Id,
    limits::PAGE_RECIPIENTS_MAX,
    message::MessageState,
    store::{Addressee, Cancelled, Expansion, Lot, NewDelivery, Page, Place, Rest, Way, Who},
};

use crate::{
    Bench,
    world::{MAIL, World, accepted, listed, to},
};

pub(crate) fn rest(people: usize) -> Vec<Addressee> {
    let one = |n| Addressee {
        recipient: format!("user{n}"),
        address: if n % 10 == 9 { String::new() } else { format!("user{n}@example.com") },
        skipped: (n % 10 == 9).then_some(Reason::NoAddress),
    };
    (0..people).map(one).collect()
}

/// So many people to follow by mail.
pub(crate) fn later(people: usize) -> Who {
    listed(Way { channel: MAIL, parcel_max: PAGE_RECIPIENTS_MAX }, rest(people))
}

/// The next page of explicit lists, as intake makes it, in the bucket of its message.
pub(crate) fn page(world: &World<'_>, expansion: &Expansion, size: usize) -> Page {
    page_in(world, expansion, size, expansion.message.id.bucket())
}

pub(crate) fn page_in(world: &World<'_>, expansion: &Expansion, size: usize, bucket: u8) -> Page {
    let Who::Listed(lists) = &expansion.rest.who else { panic!("explicit lists") };
    let step = expansion.place.step as usize;
    let all = lists.iter().flat_map(|list| list.addressees.iter().map(|who| (list.way, who)));
    let people: Vec<_> = all.skip(step).take(size).collect();
    let first = world.ids.block(people.len(), bucket, world.now).expect("ids");
    let expires = expansion.message.expires;
    let delivery = |n, who: &Addressee| NewDelivery {
        id: first.plus(n),
        recipient: who.recipient.clone(),
        address: who.address.clone(),
        track: match who.skipped {
            Some(reason) => Track::skipped(reason, world.now, expires),
            None => Track::ready(world.now, expires),
        },
    };
    let mut lots: Vec<Lot> = Vec::new();
    for (n, (way, who)) in people.iter().enumerate() {
        match lots.last_mut().filter(|lot| lot.way == *way) {
            Some(lot) => lot.deliveries.push(delivery(n, who)),
            None => lots.push(Lot { way: *way, deliveries: vec![delivery(n, who)] }),
        }
    }
    let (done, of) = (step + people.len(), lists.iter().map(|list| list.addressees.len()).sum::<usize>());
    Page {
        message: expansion.message.id,
        from: expansion.place.clone(),
        to: (done < of).then(|| place(done, "")),
        page: lots,
        broadcast: None,
    }
}

pub(crate) fn place(step: usize, mark: &str) -> Place {
    Place { step: u32::try_from(step).expect("few"), mark: mark.into() }
}

/// What is to be expanded now, the first of it.
pub(crate) async fn expansion(world: &World<'_>) -> Option<Expansion> {
    expansions(world).await.into_iter().next()
}

pub(crate) async fn expansions(world: &World<'_>) -> Vec<Expansion> {
    world.store().expansions(None, 100, world.now).await.expect("lists")
}

async fn submit_large(world: &World<'_>, people: usize) -> Id {
    world.submit(&to(&["alice"]).rest(world.now, later(people))).await
}

/// Page after page until the last; each page is a parcel of its own; then the message is expanded.
pub async fn expands_page_by_page(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let id = submit_large(&world, 250).await;
    assert_eq!(world.read(id).await.message.state, MessageState::Expanding);
    let mut pages = 0;
    while let Some(next) = expansion(&world).await {
        assert_eq!((next.message.id, next.channel, next.place.clone()), (id, MAIL, place(pages * 100, "")));
        assert_eq!(next.rest, Rest { due: world.now, who: later(250) });
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
    let all = expansions(&world).await;
    assert_eq!(all.iter().map(|e| e.message.id).collect::<Vec<_>>(), [second, third]);
    let next = world.store().expansions(Some((world.now, second)), 9, world.now).await.expect("lists");
    assert_eq!(next.iter().map(|e| e.message.id).collect::<Vec<_>>(), [third]);
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
    assert_eq!(world.cancel(flying).await, 0);
    assert_eq!(world.cancel(waiting).await, 2);
    assert_eq!(world.progress.take().len(), 2);
    assert_eq!(world.cancel(waiting).await, 0);
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
    let cancelled = world.store().message_cancel(id, world.now).await;
    assert_eq!(cancelled, Ok(Cancelled { deliveries: 10, unexpanded: true }));
    assert_eq!(world.cancel(id).await, 0, "nobody is to follow any more");
    assert!(expansion(&world).await.is_none());
    assert_eq!(world.store().page_add(page(&world, &next, 10), world.now).await, Ok(false));
    let record = world.read(id).await;
    assert_eq!((record.message.state, record.deliveries.len()), (MessageState::Expanded, 11));
}
