//! What follows in later pages: kept as it was said, answered when its time has come, and moved on from place to place, so that of
//! two who expand the same message one is refused.

use std::time::Duration;

use hongyan_core::{
    delivery::{State, Track},
    id::Id,
    message::MessageState,
    setup::ChannelNo,
    store::{Expansion, Listed, Lot, NewDelivery, Page, People, Place, Rest, Way, Who},
};

use crate::{
    Bench,
    pages::{expansion, expansions, later, page, page_in, place, rest},
    world::{INBOX, MAIL, SMS, World, accepted, to},
};

const MINUTE: Duration = Duration::from_secs(60);

pub(crate) fn way(channel: ChannelNo, parcel_max: usize) -> Way {
    Way { channel, parcel_max }
}

/// People of the directory, by these channels.
pub(crate) fn people(channels: &[ChannelNo]) -> Who {
    let people = People {
        everyone: false,
        users: vec!["alice".into(), "鸿雁".into()],
        departments: vec!["D1".into(), "d1".into()],
        with_below: true,
        posts: vec!["clerk".into()],
        roles: vec!["admin".into()],
    };
    Who::People { ways: channels.iter().map(|channel| way(*channel, 7)).collect(), people }
}

/// A page of people by mail in the bucket of its message, as intake makes it, from the place of the expansion on.
pub(crate) fn named(world: &World<'_>, from: &Expansion, codes: &[&str], to: Option<Place>) -> Page {
    let first = world.ids.block(codes.len(), from.message.id.bucket(), world.now).expect("ids");
    let delivery = |(n, code): (usize, &&str)| NewDelivery {
        id: first.plus(n),
        recipient: (*code).into(),
        address: format!("{code}@example.com"),
        track: Track::ready(world.now, from.message.expires),
    };
    let deliveries: Vec<_> = codes.iter().enumerate().map(delivery).collect();
    let lots = if deliveries.is_empty() { Vec::new() } else { vec![Lot { way: way(MAIL, 7), deliveries }] };
    Page { message: from.message.id, from: from.place.clone(), to, page: lots, broadcast: None }
}

pub(crate) async fn add(world: &World<'_>, page: Page) -> bool {
    world.store().page_add(page, world.now).await.expect("adds")
}

async fn state(world: &World<'_>, message: Id) -> MessageState {
    world.read(message).await.message.state
}

async fn recipients(world: &World<'_>, message: Id) -> Vec<String> {
    world.read(message).await.deliveries.into_iter().map(|delivery| delivery.recipient).collect()
}

/// Lists and people come back exactly, with the message and its place, also after a crash.
pub async fn what_follows_is_kept_as_it_was_said(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let lists = Who::Listed(vec![
        Listed { way: way(SMS, 3), addressees: rest(12) },
        Listed { way: way(MAIL, 1_000), addressees: rest(1) },
    ]);
    let everyone = Who::People { ways: vec![way(INBOX, 1)], people: People { everyone: true, ..People::default() } };
    let mut said = Vec::new();
    for (n, who) in [lists, people(&[MAIL, SMS]), everyone].into_iter().enumerate() {
        let mut order = to(&[]).channel(SMS).rest(world.now, who).business("b-1");
        order.label.sender_name = "张三".into();
        order.label.template_version = 7;
        if n == 1 {
            order.to = vec!["first".into()];
        }
        let batch = world.batch(&order);
        world.store().submit(batch.clone(), world.now).await.expect("stored");
        said.push(batch);
    }
    world.crash().await;
    let kept = expansions(&world).await;
    assert_eq!(kept.len(), 3);
    for (kept, said) in kept.iter().zip(&said) {
        assert_eq!(kept.message, said.message);
        assert_eq!((kept.channel, &kept.place), (SMS, &Place::default()));
        assert_eq!(Some(&kept.rest), said.rest.as_ref());
        assert_eq!(world.read(said.message.id).await.message, said.message);
    }
}

/// Nothing is expanded before its time; then it is: scheduled, expanding, expanded.
pub async fn waits_for_its_time_to_expand(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let due = world.now + MINUTE;
    let id = world.submit(&to(&[]).rest(due, later(3)).lives(2 * MINUTE)).await;
    assert_eq!(state(&world, id).await, MessageState::Scheduled);
    world.now = due - Duration::from_millis(1);
    assert!(expansions(&world).await.is_empty());
    world.crash_and_recover().await;
    assert!(expansions(&world).await.is_empty());
    assert_eq!(state(&world, id).await, MessageState::Scheduled);
    world.now = due;
    let next = expansion(&world).await.expect("its time has come");
    assert_eq!((next.message.id, next.rest.due), (id, due));
    assert!(add(&world, page(&world, &next, 2)).await);
    assert_eq!(state(&world, id).await, MessageState::Expanding);
    let next = expansion(&world).await.expect("somebody is left");
    assert_eq!((&next.place, &next.rest.who), (&place(2, ""), &later(3)));
    assert!(add(&world, page(&world, &next, 2)).await);
    assert_eq!((state(&world, id).await, world.depth(MAIL).await), (MessageState::Expanded, 3));
    assert!(expansions(&world).await.is_empty());
}

/// By their times, then by their ids, in pages; what has not yet come is not among them.
pub async fn the_first_to_come_is_expanded_first(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let begin = world.now;
    let mut expected = Vec::new();
    for minutes in [5, 2, 0, 2, 9, 0] {
        let due = begin + minutes * MINUTE;
        expected.push((due, world.submit(&to(&[]).rest(due, later(1)).lives(60 * MINUTE)).await));
    }
    expected.sort_unstable();
    world.now = begin + 5 * MINUTE;
    let came = async |after, limit, now| -> Vec<_> {
        let came = world.store().expansions(after, limit, now).await.expect("lists");
        came.iter().map(|expansion| (expansion.rest.due, expansion.message.id)).collect()
    };
    assert_eq!(came(None, 9, world.now).await, expected[..5]);
    assert_eq!(came(None, 2, world.now).await, expected[..2]);
    assert_eq!(came(Some(expected[1]), 2, world.now).await, expected[2..4]);
    assert_eq!(came(Some(expected[2]), 9, world.now).await, expected[3..5], "of two with one time the later one");
    assert_eq!(came(Some((expected[3].0, Id::lowest_at(begin))), 9, world.now).await, expected[2..5]);
    assert!(came(Some(expected[4]), 9, world.now).await.is_empty());
    assert_eq!(came(None, 9, begin).await, expected[..2]);
}

/// A page from another place than the one on record adds nobody and moves nothing, whether its step or its mark is another.
pub async fn a_page_from_another_place_is_refused(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let id = world.submit(&to(&[]).rest(world.now, people(&[MAIL]))).await;
    let begin = expansion(&world).await.expect("is being expanded");
    assert!(add(&world, named(&world, &begin, &["a", "b"], Some(place(1, "0:b")))).await);
    assert!(!add(&world, named(&world, &begin, &["a", "b"], Some(place(1, "0:b")))).await, "again");
    let here = expansion(&world).await.expect("is being expanded");
    assert_eq!(here.place, place(1, "0:b"));
    for wrong in [place(0, "0:b"), place(2, "0:b"), place(1, ""), place(1, "0:c"), place(1, "0:B")] {
        let from = Expansion { place: wrong.clone(), ..here.clone() };
        assert!(!add(&world, named(&world, &from, &["x"], None)).await, "{wrong:?}");
    }
    assert_eq!(recipients(&world, id).await, ["a", "b"]);
    assert_eq!(state(&world, id).await, MessageState::Expanding);
    assert!(add(&world, named(&world, &here, &["c"], Some(place(2, "鸿雁")))).await);
    let last = expansion(&world).await.expect("is being expanded");
    assert_eq!(last.place, place(2, "鸿雁"));
    assert!(add(&world, named(&world, &last, &["d"], None)).await);
    assert!(!add(&world, named(&world, &last, &["d"], None)).await, "it is expanded");
    assert_eq!(recipients(&world, id).await, ["a", "b", "c", "d"]);
    assert_eq!((state(&world, id).await, world.depth(MAIL).await), (MessageState::Expanded, 4));
    let nobody = Expansion {
        message: hongyan_core::message::Message { id: last.message.id.plus(77), ..last.message.clone() },
        ..last
    };
    assert!(!add(&world, named(&world, &nobody, &["x"], None)).await, "there is no such message");
    assert_eq!(world.depth(MAIL).await, 4);
}

/// A page may find nobody: the place moves on all the same, and the last one ends it.
pub async fn a_page_of_nobody_moves_the_place(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let due = world.now + MINUTE;
    let id = world.submit(&to(&[]).rest(due, people(&[MAIL, SMS]))).await;
    world.now = due;
    let begin = expansion(&world).await.expect("is being expanded");
    assert!(add(&world, named(&world, &begin, &[], Some(place(1, "z")))).await);
    assert_eq!(state(&world, id).await, MessageState::Expanding, "it has begun");
    world.crash_and_recover().await;
    let next = expansion(&world).await.expect("is being expanded");
    assert_eq!(next.place, place(1, "z"));
    assert!(add(&world, named(&world, &next, &[], None)).await);
    assert!(expansions(&world).await.is_empty());
    let record = world.read(id).await;
    assert_eq!((record.message.state, record.deliveries.len()), (MessageState::Expanded, 0));
    assert!(world.claim(MAIL, 9).await.is_empty());
}

/// A later page by several channels: each lot goes its own way.
pub async fn later_pages_go_by_several_channels(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let who = Who::Listed(vec![
        Listed { way: way(MAIL, 2), addressees: rest(3) },
        Listed { way: way(SMS, 1), addressees: rest(4) },
    ]);
    let id = world.submit(&to(&["first"]).beside(SMS, 1).rest(world.now, who)).await;
    let first = (world.claim(MAIL, 9).await, world.claim(SMS, 9).await);
    assert_eq!((first.0.len(), first.1.len()), (1, 1));
    let next = expansion(&world).await.expect("is being expanded");
    assert!(add(&world, page(&world, &next, 5)).await);
    let next = expansion(&world).await.expect("is being expanded");
    assert!(add(&world, page(&world, &next, 5)).await);
    let channels: Vec<_> = world.read(id).await.deliveries.iter().map(|row| row.channel).collect();
    assert_eq!(channels, [MAIL, SMS, MAIL, MAIL, MAIL, SMS, SMS, SMS, SMS]);
    assert_eq!((world.depth(MAIL).await, world.depth(SMS).await), (3, 4));
    let (mail, sms) = (world.claim(MAIL, 9).await, world.claim(SMS, 9).await);
    assert_eq!(mail.iter().map(|lease| lease.rows.len()).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(sms.iter().map(|lease| lease.rows.len()).collect::<Vec<_>>(), [1; 4]);
    assert!(mail.iter().chain(&sms).all(|lease| lease.message == id && lease.cargo.is_some()));
}

/// Pages lie in buckets of their own choice: all of them are found, claimed, counted, and end with their message.
pub async fn pages_of_any_bucket_belong_to_their_message(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let id = world.submit(&to(&["alice"]).rest(world.now, later(64 * 3)).lives(2 * MINUTE)).await;
    let first = world.claim_one(MAIL).await;
    world.finish(&[first], &accepted()).await;
    let mut bucket = 0;
    while let Some(next) = expansion(&world).await {
        let (from, page) = (next.place.clone(), page_in(&world, &next, 3, bucket));
        assert!(page.deliveries().all(|delivery| delivery.id.bucket() == bucket) && page.from == from);
        assert!(add(&world, page).await);
        bucket += 1;
    }
    assert_eq!(bucket, 64);
    let expected = rest(64 * 3).into_iter().map(|who| who.recipient);
    assert_eq!(recipients(&world, id).await, std::iter::once("alice".to_owned()).chain(expected).collect::<Vec<_>>());
    world.crash_and_recover().await;
    let waiting = 64 * 3 - 19;
    assert_eq!(world.depth(MAIL).await, waiting);
    let leases = world.claim(MAIL, 30).await;
    assert!(leases.len() == 30 && leases.iter().all(|lease| lease.message == id));
    let sent: usize = leases.iter().map(|lease| lease.rows.len()).sum();
    world.finish(&leases, &accepted()).await;
    assert_eq!(world.cancel(id).await, usize::try_from(waiting).expect("few") - sent);
    let states = world.states(id).await;
    assert_eq!(states.iter().filter(|state| **state == State::Accepted).count(), 1 + sent);
    assert_eq!(states.iter().filter(|state| state.is_open()).count(), 0);
}

/// A crash between any two pages of people loses nobody and repeats nobody, wherever the marks lie.
pub async fn people_are_expanded_once_across_crashes(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let id = world.submit(&to(&[]).rest(world.now, people(&[MAIL]))).await;
    let all: Vec<String> = (0..23).map(|n| format!("u{n:02}")).collect();
    while let Some(next) = expansion(&world).await {
        let left: Vec<&str> = all.iter().map(String::as_str).filter(|code| *code > next.place.mark.as_str()).collect();
        let codes = &left[..left.len().min(4)];
        let to = (left.len() > 4).then(|| place(next.place.step as usize + 1, codes[codes.len() - 1]));
        let page = named(&world, &next, codes, to);
        let unheard = page.clone();
        assert!(add(&world, page).await);
        world.crash_and_recover().await;
        assert!(!add(&world, unheard).await, "who did not hear that it was stored tries again in vain");
    }
    assert_eq!(recipients(&world, id).await, all);
    assert_eq!(world.depth(MAIL).await, 23);
}

/// Who expands the same page at once: one of them does.
pub async fn one_of_many_adds_a_page(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let id = world.submit(&to(&[]).rest(world.now, people(&[MAIL]))).await;
    let begin = expansion(&world).await.expect("is being expanded");
    let pages: Vec<_> = (0..8).map(|_| named(&world, &begin, &["a"], Some(place(1, "a")))).collect();
    let added = futures_util::future::join_all(pages.into_iter().map(|page| add(&world, page))).await;
    assert_eq!(added.into_iter().filter(|added| *added).count(), 1);
    assert_eq!(recipients(&world, id).await, ["a"]);
}

/// The rest of a request that was seen before, or was refused, is not expanded.
pub async fn a_repeat_is_not_expanded(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let due = world.now;
    let id = world.submit(&to(&[]).rest(due, later(3)).key("k", 1)).await;
    for fingerprint in [1, 2] {
        let again = world.batch(&to(&[]).rest(due, later(3)).key("k", fingerprint));
        world.store().submit(again, world.now).await.expect("answers");
    }
    let all = expansions(&world).await;
    assert_eq!(all.iter().map(|expansion| expansion.message.id).collect::<Vec<_>>(), [id]);
    assert_eq!(all[0].rest, Rest { due, who: later(3) });
}
