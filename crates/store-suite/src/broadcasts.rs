//! Items for everybody: one row each, in the inbox of whoever was there and enabled when it fired.

use std::time::Duration;

use hongyan_core::{
    id::Id,
    inbox::{InboxFilter, InboxItem, Mark, Marked, Which},
    message::{Label, MessageState},
    setup::AppNo,
    store::{Page, People, Place, Who},
    time::Timestamp,
};

use crate::{
    Bench,
    directory::{entry, make, users},
    expand::{add, named, way},
    inbox::{all, deliver, found, ids, mark, submit_titled, unread, walked},
    pages::{expansions, place},
    world::{INBOX, MAIL, Order, World, in_app, to},
};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

fn everyone() -> Who {
    let people = People { everyone: true, ..People::default() };
    Who::People { ways: vec![way(INBOX, 1)], people }
}

/// A page without deliveries that is a broadcast.
async fn fire(world: &World<'_>, message: Id, then: Option<Place>) -> bool {
    let from = expansions(world).await.into_iter().find(|expansion| expansion.message.id == message);
    let from = from.expect("its time has come");
    let page = Page { broadcast: Some(INBOX), ..named(world, &from, &[], then) };
    add(world, page).await
}

/// Tells everybody now, a second after whatever was before, and a second before whatever follows.
async fn broadcast(world: &mut World<'_>, order: Order) -> Id {
    world.pass(SECOND);
    let id = submit_titled(world, order.rest(world.now, everyone()), "to all").await;
    assert!(fire(world, id, None).await);
    world.pass(SECOND);
    id
}

async fn enable(world: &World<'_>, code: &str, enabled: bool) {
    let mut person = entry(code, &[], &[], &[]);
    person.user.enabled = enabled;
    make(world, users(&[person])).await;
}

/// One row for everybody: what it says, and whence it came; nothing is delivered for it.
pub async fn a_broadcast_is_in_every_inbox(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    for code in ["ann", "bob"] {
        enable(&world, code, true).await;
    }
    let id = broadcast(&mut world, to(&[]).app(3).business("b-1")).await;
    let label = Label { business: "b-1".into(), ..Label::default() };
    let expected = InboxItem {
        id,
        broadcast: true,
        message: id,
        app: AppNo(3),
        channel: INBOX,
        at: world.now - SECOND,
        read: false,
        archived: false,
        content: Some(in_app("to all", &label)),
    };
    world.crash_and_recover().await;
    for code in ["ann", "bob"] {
        assert_eq!(found(&world, code, all()).await, std::slice::from_ref(&expected));
        assert_eq!(unread(&world, code).await, 1);
    }
    let record = world.read(id).await;
    assert_eq!((record.message.state, record.deliveries.len()), (MessageState::Expanded, 0));
    assert!(expansions(&world).await.is_empty() && world.claim(INBOX, 9).await.is_empty());
    assert!(found(&world, "ghost", all()).await.is_empty(), "whom the directory does not know");
}

/// Whoever was there and enabled at that moment sees it, whatever was before and comes after.
pub async fn who_was_there_sees_a_broadcast(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    for (code, enabled) in
        [("always", true), ("left", true), ("back", true), ("off", false), ("late", false), ("gap", true)]
    {
        enable(&world, code, enabled).await;
    }
    world.pass(SECOND);
    enable(&world, "gap", false).await;
    let first = broadcast(&mut world, to(&[])).await;
    enable(&world, "left", false).await;
    enable(&world, "back", false).await;
    enable(&world, "late", true).await;
    enable(&world, "gap", true).await;
    enable(&world, "new", true).await;
    world.pass(SECOND);
    enable(&world, "back", true).await;
    // Saying of somebody what they are already neither begins nor ends anything.
    enable(&world, "always", true).await;
    let second = broadcast(&mut world, to(&[])).await;
    for (code, seen) in [
        ("always", vec![second, first]),
        ("back", vec![second, first]),
        ("off", vec![]),
        ("late", vec![second]),
        ("gap", vec![second]),
        ("new", vec![second]),
    ] {
        assert_eq!(ids(&world, code, all()).await, seen, "{code}");
        assert_eq!(unread(&world, code).await, seen.len() as u64, "{code}");
    }
    enable(&world, "left", true).await;
    world.crash().await;
    assert_eq!(ids(&world, "left", all()).await, [first], "who comes back finds what was theirs");
}

/// Own items and broadcasts in one order, page by page, under the same filters.
pub async fn broadcasts_lie_among_own_items(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    enable(&world, "ann", true).await;
    let mut mine = Vec::new();
    for n in 0_u32..9 {
        let mut order =
            to(if n % 3 == 0 { &[] } else { &["ann"] }).app(1 + n % 2).business(if n < 5 { "b" } else { "" });
        order.label.kind = if n % 4 == 0 { "notice".into() } else { "reminder".into() };
        mine.push(if n % 3 == 0 { broadcast(&mut world, order).await } else { deliver(&world, order).await[0] });
        world.pass(SECOND);
    }
    let own = InboxFilter { app: Some(AppNo(1)), business: Some("b".into()), ..all() };
    let notices = InboxFilter { kind: Some("notice".into()), ..all() };
    for (filter, of) in [(all(), vec![8, 7, 6, 5, 4, 3, 2, 1, 0]), (own, vec![4, 2, 0]), (notices, vec![8, 4, 0])] {
        let expected: Vec<Id> = of.into_iter().map(|n: usize| mine[n]).collect();
        for limit in [1, 2, 4, 99] {
            let mut walked: Vec<InboxItem> = Vec::new();
            loop {
                let before = walked.last().map(|item| item.id);
                let page = world.store().inbox("ann".into(), filter.clone(), before, limit).await.expect("lists");
                assert!(page.len() <= limit);
                if page.is_empty() {
                    break;
                }
                walked.extend(page);
            }
            assert_eq!(walked.iter().map(|item| item.id).collect::<Vec<_>>(), expected, "{filter:?} by {limit}");
            assert!(walked.iter().all(|item| item.broadcast == (item.id == item.message)));
        }
    }
}

/// What was scheduled lies where it fired, although its number is that of the time when it was asked for: in the list, from page to
/// page, in news, and in what came until a moment.
pub async fn what_was_scheduled_lies_where_it_fired(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    enable(&world, "ann", true).await;
    let begin = world.now;
    let scheduled = submit_titled(&world, to(&[]).rest(begin + 60 * SECOND, everyone()), "to all").await;
    let mut order = Vec::new();
    for _ in 0..3 {
        world.pass(SECOND);
        order.extend(deliver(&world, to(&["ann"])).await);
    }
    world.now = begin + 61 * SECOND;
    assert!(fire(&world, scheduled, None).await);
    order.push(scheduled);
    order.extend(deliver(&world, to(&["ann"])).await);
    world.pass(SECOND);
    order.extend(deliver(&world, to(&["ann"])).await);
    assert!(order.iter().all(|id| *id >= scheduled), "by number it would be the oldest");
    let news = world.store().inbox_news(vec![("ann".into(), begin)], 5).await.expect("lists");
    assert_eq!(news.iter().map(|(_, item)| item.id).collect::<Vec<_>>(), order[..5]);
    order.reverse();
    for limit in [1, 2, 3, 4, 9] {
        assert_eq!(walked(&world, "ann", all(), limit).await, order, "by {limit}");
    }
    let item = world.store().inbox_read("ann".into(), scheduled).await.expect("reads");
    assert_eq!(item.as_ref(), found(&world, "ann", all()).await.get(2));
    assert_eq!(world.store().inbox_read("ghost".into(), scheduled).await, Ok(None));
    // Before it fired, what came until then is read.
    world.now = begin + 60 * SECOND;
    assert_eq!(mark(&world, "ann", Which::All(all()), Mark::Read).await.len(), 3);
    let left = InboxFilter { unread: true, ..all() };
    assert_eq!((unread(&world, "ann").await, walked(&world, "ann", left.clone(), 1).await), (3, order[..3].to_vec()));
    world.now = begin + 61 * SECOND;
    assert_eq!(mark(&world, "ann", Which::All(left.clone()), Mark::Archived).await.len(), 2);
    for how in [Mark::Read, Mark::Deleted] {
        mark(&world, "ann", Which::Items(vec![scheduled]), how).await;
        let page = world.store().inbox("ann".into(), all(), Some(scheduled), 2).await.expect("lists");
        assert_eq!(page.iter().map(|item| item.id).collect::<Vec<_>>(), order[3..5], "behind what is {how:?}");
    }
    assert_eq!(world.store().inbox_read("ann".into(), scheduled).await, Ok(None), "it was deleted");
}

/// What somebody does with a broadcast is theirs alone: every mark and its reverse, once.
pub async fn marks_on_broadcasts_are_ones_own(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    for code in ["ann", "bob"] {
        enable(&world, code, true).await;
    }
    let id = broadcast(&mut world, to(&[])).await;
    enable(&world, "late", true).await;
    let own = deliver(&world, to(&["ann"])).await[0];
    let whole = [Marked { id, broadcast: true }];
    for (how, changes, then) in [
        (Mark::Unread, &[][..], (false, false)),
        (Mark::Read, &whole, (true, false)),
        (Mark::Read, &[], (true, false)),
        (Mark::Archived, &whole, (true, true)),
        (Mark::Unread, &whole, (false, true)),
        (Mark::Unarchived, &whole, (false, false)),
        (Mark::Unarchived, &[], (false, false)),
        (Mark::Read, &whole, (true, false)),
    ] {
        assert_eq!(mark(&world, "ann", Which::Items(vec![id]), how).await, changes, "{how:?}");
        let item = &found(&world, "ann", all()).await[1];
        assert_eq!((item.id, item.read, item.archived), (id, then.0, then.1), "{how:?}");
        assert!(mark(&world, "late", Which::Items(vec![id]), how).await.is_empty(), "not in that inbox");
        assert!(mark(&world, "ghost", Which::Items(vec![id]), how).await.is_empty());
    }
    world.crash().await;
    assert_eq!((unread(&world, "ann").await, unread(&world, "bob").await, unread(&world, "late").await), (1, 1, 0));
    assert_eq!(ids(&world, "ann", InboxFilter { unread: true, ..all() }).await, [own]);
    assert_eq!(ids(&world, "bob", InboxFilter { unread: true, ..all() }).await, [id]);
    let both = [Marked { id, broadcast: true }, Marked { id: own, broadcast: false }];
    assert_eq!(mark(&world, "ann", Which::All(InboxFilter::default()), Mark::Archived).await, both);
    assert_eq!(ids(&world, "ann", InboxFilter { archived: Some(true), ..all() }).await, [own, id]);
    assert_eq!(mark(&world, "ann", Which::Items(vec![id]), Mark::Deleted).await, whole);
    for how in [Mark::Deleted, Mark::Read, Mark::Unread, Mark::Archived, Mark::Unarchived] {
        assert!(mark(&world, "ann", Which::Items(vec![id]), how).await.is_empty(), "{how:?} of what is deleted");
    }
    assert_eq!((ids(&world, "ann", all()).await, ids(&world, "bob", all()).await), (vec![own], vec![id]));
}

/// All until now: what fires later is not meant.
pub async fn broadcasts_are_marked_until_now(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    enable(&world, "ann", true).await;
    let (first, second) = (broadcast(&mut world, to(&[]).app(2)).await, broadcast(&mut world, to(&[])).await);
    let now = world.now;
    let third = broadcast(&mut world, to(&[])).await;
    let last = world.now;
    world.now = now;
    let of = |filter: InboxFilter| Which::All(filter);
    let whole = |id| Marked { id, broadcast: true };
    assert_eq!(
        mark(&world, "ann", of(InboxFilter { app: Some(AppNo(1)), ..all() }), Mark::Read).await,
        [whole(second)]
    );
    assert_eq!(mark(&world, "ann", of(InboxFilter { unread: true, ..all() }), Mark::Deleted).await, [whole(first)]);
    world.now = last;
    assert_eq!(ids(&world, "ann", all()).await, [third, second]);
    assert_eq!(mark(&world, "ann", of(all()), Mark::Read).await, [whole(third)]);
    assert_eq!(unread(&world, "ann").await, 0);
}

/// It is news when it fires, not when it was asked for, to those who see it.
pub async fn a_broadcast_is_news_when_it_fires(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    enable(&world, "ann", true).await;
    let begin = world.now;
    let order = to(&[]).rest(begin + 60 * SECOND, everyone());
    let scheduled = submit_titled(&world, order, "to all").await;
    world.pass(SECOND);
    let own = deliver(&world, to(&["ann"])).await[0];
    assert!(expansions(&world).await.is_empty() && ids(&world, "ann", all()).await == [own]);
    world.now = begin + 61 * SECOND;
    enable(&world, "new", true).await;
    world.pass(SECOND);
    assert!(fire(&world, scheduled, Some(place(1, "x"))).await);
    let fired = world.now;
    let news = async |user: &str, after: Timestamp| -> Vec<(Id, bool, Timestamp)> {
        let news = world.store().inbox_news(vec![(user.into(), after)], 9).await.expect("lists");
        news.into_iter().map(|(_, item)| (item.id, item.broadcast, item.at)).collect()
    };
    assert_eq!(news("ann", begin).await, [(own, false, begin + SECOND), (scheduled, true, fired)]);
    assert_eq!(news("ann", begin + SECOND).await, [(scheduled, true, fired)]);
    assert_eq!(news("new", begin).await, [(scheduled, true, fired)], "who came before it fired");
    assert!(news("ann", fired).await.is_empty() && news("ghost", begin).await.is_empty());
    assert_eq!(world.read(scheduled).await.message.state, MessageState::Expanding);
    mark(&world, "ann", Which::Items(vec![scheduled]), Mark::Deleted).await;
    assert_eq!(news("ann", begin).await, [(own, false, begin + SECOND)]);
}

/// A page that is a broadcast is one on its channel and goes by its other channels like any page; again it is refused.
pub async fn a_broadcast_page_may_deliver_too(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    enable(&world, "ann", true).await;
    world.pass(SECOND);
    let id = submit_titled(&world, to(&[]).rest(world.now, everyone()), "to all").await;
    let from = expansions(&world).await.remove(0);
    let page = Page { broadcast: Some(INBOX), ..named(&world, &from, &["ann"], None) };
    assert!(add(&world, page.clone()).await);
    world.crash_and_recover().await;
    assert!(!add(&world, page).await);
    assert_eq!((ids(&world, "ann", all()).await, world.claim_one(MAIL).await.message), (vec![id], id));
}

/// A broadcast goes with its message, and what people did with it, too.
pub async fn broadcasts_go_with_their_message(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    enable(&world, "ann", true).await;
    enable(&world, "bob", true).await;
    let old = broadcast(&mut world, to(&[])).await;
    mark(&world, "ann", Which::Items(vec![old]), Mark::Read).await;
    world.pass(5 * DAY);
    let young = broadcast(&mut world, to(&[])).await;
    let before = world.now - DAY;
    while world.store().prune(before, 7, world.now).await.expect("prunes") {}
    assert!(world.store().message_read(old).await.expect("reads").is_none());
    for code in ["ann", "bob"] {
        assert_eq!(ids(&world, code, all()).await, [young]);
        assert_eq!(unread(&world, code).await, 1);
    }
    assert!(mark(&world, "bob", Which::Items(vec![old]), Mark::Read).await.is_empty());
}
