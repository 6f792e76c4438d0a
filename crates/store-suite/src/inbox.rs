//! What people find in their inbox: their own items, once each, what they do with them, and the tokens by which they read. Broadcasts
//! have [cases of their own](crate::broadcasts).

use std::{sync::Arc, time::Duration};

use hongyan_core::{
    content::Content,
    id::Id,
    inbox::{InboxFilter, InboxItem, InboxToken, Mark, Marked, NewItem, Which},
    limits::INBOX_MARKS_MAX,
    message::Label,
    setup::AppNo,
    time::Timestamp,
};

use crate::{
    Bench,
    directory::{entry, make, users},
    world::{INBOX, MAIL, Order, World, accepted, in_app, text, to},
};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

/// Every item.
pub(crate) fn all() -> InboxFilter {
    InboxFilter::default()
}

/// A message to inboxes that says `title`.
pub(crate) async fn submit_titled(world: &World<'_>, order: Order, title: &str) -> Id {
    let mut batch = world.batch(&order.channel(INBOX));
    batch.content = Arc::new(Content::InApp(in_app(title, &batch.message.label)));
    let id = batch.message.id;
    world.store().submit(batch, world.now).await.expect("stored");
    id
}

/// The item of a delivery, as its sender makes it.
async fn item(world: &World<'_>, message: Id, n: usize) -> NewItem {
    let record = world.read(message).await;
    let delivery = &record.deliveries[n];
    NewItem {
        id: delivery.id,
        user: delivery.recipient.clone(),
        message,
        app: record.message.app,
        channel: delivery.channel,
        business: record.message.label.business,
        kind: record.message.label.kind,
        at: world.now,
    }
}

pub(crate) async fn put(world: &World<'_>, items: Vec<NewItem>) {
    world.store().inbox_put(items).await.expect("puts");
}

/// A message with one item for each of these people, put now; answers the items' ids.
pub(crate) async fn deliver(world: &World<'_>, order: Order) -> Vec<Id> {
    let count = order.to.len();
    let message = submit_titled(world, order, "a title").await;
    let mut items = Vec::new();
    for n in 0..count {
        items.push(item(world, message, n).await);
    }
    let ids = items.iter().map(|item| item.id).collect();
    put(world, items).await;
    ids
}

pub(crate) async fn found(world: &World<'_>, user: &str, filter: InboxFilter) -> Vec<InboxItem> {
    world.store().inbox(user.into(), filter, None, 1_000).await.expect("lists")
}

pub(crate) async fn ids(world: &World<'_>, user: &str, filter: InboxFilter) -> Vec<Id> {
    found(world, user, filter).await.iter().map(|item| item.id).collect()
}

pub(crate) async fn unread(world: &World<'_>, user: &str) -> u64 {
    world.store().inbox_unread(user.into()).await.expect("counts")
}

/// Marks items; answers those that this changed, in order.
pub(crate) async fn mark(world: &World<'_>, user: &str, which: Which, mark: Mark) -> Vec<Marked> {
    let mut marked = world.store().inbox_mark(user.into(), which, mark, world.now).await.expect("marks");
    marked.sort_unstable_by_key(|marked| marked.id);
    marked
}

async fn mark_own(world: &World<'_>, user: &str, items: &[Id], how: Mark) -> Vec<Id> {
    let marked = mark(world, user, Which::Items(items.to_vec()), how).await;
    assert!(marked.iter().all(|marked| !marked.broadcast));
    marked.into_iter().map(|marked| marked.id).collect()
}

/// An item says whose it is, whence it came and what its message says; putting it again changes nothing.
pub async fn an_item_is_there_once(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let order = to(&["ann", "bob"]).app(3).business("b-1");
    let message = submit_titled(&world, order, "鸿雁").await;
    let (first, second) = (item(&world, message, 0).await, item(&world, message, 1).await);
    put(&world, vec![first.clone(), second]).await;
    let label = Label { business: "b-1".into(), ..Label::default() };
    let mut expected = InboxItem {
        id: message.plus(1),
        broadcast: false,
        message,
        app: AppNo(3),
        channel: INBOX,
        at: world.now,
        read: false,
        archived: false,
        content: Some(in_app("鸿雁", &label)),
    };
    assert_eq!(found(&world, "ann", all()).await, [expected.clone()]);
    assert_eq!(ids(&world, "bob", all()).await, [message.plus(2)]);
    assert!(found(&world, "Ann", all()).await.is_empty());
    assert_eq!(mark_own(&world, "ann", &[first.id], Mark::Read).await, [first.id]);
    world.pass(SECOND);
    let again = NewItem { at: world.now, ..first.clone() };
    put(&world, vec![again.clone(), again.clone()]).await;
    world.crash().await;
    put(&world, vec![again]).await;
    expected.read = true;
    assert_eq!(found(&world, "ann", all()).await, [expected]);
    assert_eq!((unread(&world, "ann").await, unread(&world, "bob").await), (0, 1));
    put(&world, Vec::new()).await;
}

/// Of a message of several channels the item says what the inbox's content says.
pub async fn an_item_says_what_its_channel_says(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let mut batch = world.batch(&to(&["ann"]).beside(INBOX, 1));
    let own = in_app("for the inbox", &Label::default());
    let each = [(MAIL.0, text("for mail", MAIL)), (INBOX.0, Content::InApp(own.clone()))];
    batch.content = Arc::new(Content::Each(each.into()));
    let message = batch.message.id;
    world.store().submit(batch, world.now).await.expect("stored");
    put(&world, vec![item(&world, message, 1).await]).await;
    let found = found(&world, "ann", all()).await;
    assert_eq!((found[0].id, found[0].channel, found[0].content.as_ref()), (message.plus(2), INBOX, Some(&own)));
}

/// The newest first, page by page.
pub async fn items_come_in_pages(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let mut mine = Vec::new();
    for _ in 0..11 {
        mine.push(deliver(&world, to(&["ann", "bob"])).await[0]);
        world.pass(SECOND);
    }
    mine.reverse();
    for limit in [1, 4, 11, 50] {
        assert_eq!(walked(&world, "ann", all(), limit).await, mine, "by {limit}");
    }
    assert_eq!(unread(&world, "ann").await, 11);
    assert_eq!(unread(&world, "nobody").await, 0);
}

/// Walks through an inbox, so many items at a time.
pub(crate) async fn walked(world: &World<'_>, user: &str, filter: InboxFilter, limit: usize) -> Vec<Id> {
    let mut walked: Vec<Id> = Vec::new();
    loop {
        let before = walked.last().copied();
        let page = world.store().inbox(user.into(), filter.clone(), before, limit).await.expect("lists");
        assert!(page.len() <= limit);
        if page.is_empty() {
            return walked;
        }
        walked.extend(page.iter().map(|item| item.id));
    }
}

/// What was sent first may come last, and then lies in front; a page begins behind an item whatever was done with it.
pub async fn items_lie_where_they_came(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let slow = submit_titled(&world, to(&["ann"]), "held up").await;
    world.pass(SECOND);
    let mut mine = deliver(&world, to(&["ann"])).await;
    mine.extend(deliver(&world, to(&["ann"])).await);
    world.pass(SECOND);
    let nobodys = world.ids.block(1, 0, world.now).expect("ids");
    world.pass(SECOND);
    put(&world, vec![item(&world, slow, 0).await]).await;
    mine.push(slow.plus(1));
    mine.push(deliver(&world, to(&["ann"])).await[0]);
    mine.reverse();
    for limit in [1, 2, 3, 9] {
        assert_eq!(walked(&world, "ann", all(), limit).await, mine, "by {limit}");
    }
    let behind = async |id: Id| -> Vec<Id> {
        let page = world.store().inbox("ann".into(), all(), Some(id), 9).await.expect("lists");
        page.iter().map(|item| item.id).collect()
    };
    assert_eq!(behind(nobodys).await, mine[2..], "what is gone counts as of the time in its number");
    mark_own(&world, "ann", &mine[..2], Mark::Deleted).await;
    assert_eq!(behind(mine[0]).await, mine[2..]);
    assert_eq!(behind(mine[1]).await, mine[2..]);
    let news = world.store().inbox_news(vec![("ann".into(), Timestamp::from_ms(0))], 9).await.expect("lists");
    assert_eq!(news.iter().map(|(_, item)| item.id).collect::<Vec<_>>(), [mine[3], mine[2]]);
}

/// One item by its number, of whoever has it.
pub async fn one_item_is_read(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let both = deliver(&world, to(&["ann", "bob"])).await;
    world.pass(60 * SECOND);
    deliver(&world, to(&["ann"])).await;
    let one = async |user: &str, id: Id| world.store().inbox_read(user.into(), id).await.expect("reads");
    mark_own(&world, "ann", &both[..1], Mark::Archived).await;
    let item = one("ann", both[0]).await.expect("is there");
    assert_eq!(Some(&item), found(&world, "ann", all()).await.get(1));
    assert!(item.archived && item.content.is_some_and(|content| content.title == "a title"));
    assert_eq!(one("bob", both[1]).await.map(|item| item.id), Some(both[1]));
    assert_eq!((one("bob", both[0]).await, one("ann", both[1]).await), (None, None), "another's");
    assert_eq!((one("ann", both[0].plus(70)).await, one("ghost", both[0]).await), (None, None));
    mark_own(&world, "ann", &both[..1], Mark::Deleted).await;
    assert_eq!(one("ann", both[0]).await, None, "it was deleted");
}

/// Each filter by itself and together.
pub async fn filters_select_items(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let mut mine = Vec::new();
    for n in 0_u32..12 {
        let mut order = to(&["ann"]).app(1 + n % 2).business(if n % 3 == 0 { "b" } else { "" });
        order.label.kind = if n % 4 == 0 { "notice" } else { "reminder" }.into();
        mine.push(deliver(&world, order).await[0]);
    }
    mark_own(&world, "ann", &mine[..2], Mark::Read).await;
    mark_own(&world, "ann", &[mine[0], mine[5]], Mark::Archived).await;
    mark_own(&world, "ann", &[mine[11]], Mark::Deleted).await;
    let business = || Some("b".to_owned());
    let kind = |kind: &str| Some(kind.to_owned());
    for (filter, of) in [
        (all(), vec![10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0]),
        (InboxFilter { unread: true, ..all() }, vec![10, 9, 8, 7, 6, 5, 4, 3, 2]),
        (InboxFilter { archived: Some(true), ..all() }, vec![5, 0]),
        (InboxFilter { archived: Some(false), ..all() }, vec![10, 9, 8, 7, 6, 4, 3, 2, 1]),
        (InboxFilter { app: Some(AppNo(2)), ..all() }, vec![9, 7, 5, 3, 1]),
        (InboxFilter { business: business(), ..all() }, vec![9, 6, 3, 0]),
        (InboxFilter { kind: kind("notice"), ..all() }, vec![8, 4, 0]),
        (InboxFilter { unread: true, archived: Some(true), ..all() }, vec![5]),
        (InboxFilter { app: Some(AppNo(1)), business: business(), ..all() }, vec![6, 0]),
        (
            InboxFilter { app: Some(AppNo(1)), business: business(), kind: kind("notice"), unread: true, ..all() },
            vec![],
        ),
        (InboxFilter { kind: kind("Notice"), ..all() }, vec![]),
        (InboxFilter { app: Some(AppNo(9)), ..all() }, vec![]),
    ] {
        let expected: Vec<Id> = of.into_iter().map(|n: usize| mine[n]).collect();
        assert_eq!(ids(&world, "ann", filter.clone()).await, expected, "{filter:?}");
        let page = world.store().inbox("ann".into(), filter.clone(), Some(mine[8]), 2).await.expect("lists");
        let expected: Vec<_> = expected.into_iter().filter(|id| *id < mine[8]).take(2).collect();
        assert_eq!(page.iter().map(|item| item.id).collect::<Vec<_>>(), expected, "{filter:?}, a page");
    }
    assert_eq!(unread(&world, "ann").await, 8, "neither what is put away nor what is deleted counts");
}

/// Every mark and its reverse, once; only one's own; and nothing brings a deleted item back.
pub async fn marks_change_what_they_say(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let both = deliver(&world, to(&["ann", "bob"])).await;
    let (a, b) = (both[0], both[1]);
    let c = deliver(&world, to(&["ann"])).await[0];
    let look = async |world: &World<'_>| -> Vec<(Id, bool, bool)> {
        found(world, "ann", all()).await.iter().map(|item| (item.id, item.read, item.archived)).collect()
    };
    assert_eq!(look(&world).await, [(c, false, false), (a, false, false)]);
    for (how, changes, then) in [
        (Mark::Unread, vec![], (false, false)),
        (Mark::Read, vec![a], (true, false)),
        (Mark::Read, vec![], (true, false)),
        (Mark::Archived, vec![a], (true, true)),
        (Mark::Archived, vec![], (true, true)),
        (Mark::Unread, vec![a], (false, true)),
        (Mark::Unarchived, vec![a], (false, false)),
        (Mark::Unarchived, vec![], (false, false)),
    ] {
        let nobody = a.plus(70);
        assert_eq!(mark_own(&world, "ann", &[nobody, b, a, a], how).await, changes, "{how:?}");
        assert_eq!(look(&world).await, [(c, false, false), (a, then.0, then.1)], "{how:?}");
    }
    world.crash().await;
    assert_eq!(mark_own(&world, "ann", &[a], Mark::Deleted).await, [a]);
    for how in [Mark::Deleted, Mark::Read, Mark::Unread, Mark::Archived, Mark::Unarchived] {
        assert!(mark_own(&world, "ann", &[a], how).await.is_empty(), "{how:?} of what is deleted");
    }
    let message = found(&world, "bob", all()).await[0].message;
    put(&world, vec![item(&world, message, 0).await]).await;
    assert_eq!((look(&world).await, unread(&world, "ann").await), (vec![(c, false, false)], 1));
    let bobs = found(&world, "bob", all()).await;
    assert_eq!((bobs[0].id, bobs[0].read, unread(&world, "bob").await), (b, false, 1), "bob's was left alone");
    let several = deliver(&world, to(&["ann"])).await[0];
    assert_eq!(mark_own(&world, "ann", &[several, c], Mark::Read).await, [c, several]);
}

/// All that came until now and that the filter selects, and nobody else's.
pub async fn all_are_marked_until_now(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let mut mine = Vec::new();
    for n in 0_u32..6 {
        mine.push(deliver(&world, to(&["ann", "bob"]).business(if n < 3 { "b" } else { "" })).await[0]);
    }
    let now = world.now;
    world.pass(SECOND);
    let later = deliver(&world, to(&["ann"]).business("b")).await[0];
    world.now = now;
    mark_own(&world, "ann", &mine[..1], Mark::Read).await;
    let of = |filter: InboxFilter| Which::All(filter);
    let marked = async |which: Which, how| -> Vec<Id> {
        mark(&world, "ann", which, how).await.into_iter().map(|marked| marked.id).collect()
    };
    let business = InboxFilter { business: Some("b".into()), ..all() };
    assert_eq!(marked(of(business.clone()), Mark::Read).await, mine[1..3], "what comes later is not meant");
    assert_eq!(marked(of(business.clone()), Mark::Read).await, []);
    assert_eq!(marked(of(InboxFilter { unread: true, ..all() }), Mark::Archived).await, mine[3..]);
    assert_eq!(marked(of(InboxFilter { archived: Some(true), ..all() }), Mark::Deleted).await, mine[3..]);
    assert_eq!(marked(of(all()), Mark::Unread).await, mine[..3]);
    assert_eq!(ids(&world, "ann", all()).await, [later, mine[2], mine[1], mine[0]]);
    assert_eq!((unread(&world, "ann").await, unread(&world, "bob").await), (4, 6));
    assert_eq!(marked(of(InboxFilter { app: Some(AppNo(2)), ..all() }), Mark::Read).await, []);
}

/// However many are selected, one call changes some of them, and by calling again all are.
pub async fn all_are_marked_in_steps(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let begin = world.now;
    let message = submit_titled(&world, to(&["ann"]), "a title").await;
    let first = item(&world, message, 0).await;
    let numbers = world.ids.block(INBOX_MARKS_MAX, 7, world.now).expect("ids");
    let many =
        (0..INBOX_MARKS_MAX).map(|n| NewItem { id: numbers.plus(n), at: begin + n as u32 * SECOND, ..first.clone() });
    let mut items: Vec<NewItem> = many.collect();
    items.push(first.clone());
    put(&world, items).await;
    world.pass(INBOX_MARKS_MAX as u32 * SECOND);
    let several = InboxFilter { business: Some(first.business), kind: Some(first.kind), app: Some(first.app), ..all() };
    for (how, filter) in [
        (Mark::Read, InboxFilter { unread: true, ..all() }),
        (Mark::Unread, all()),
        (Mark::Read, several),
        (Mark::Archived, InboxFilter { archived: Some(false), ..all() }),
        (Mark::Unarchived, all()),
        (Mark::Archived, all()),
        (Mark::Unarchived, InboxFilter { archived: Some(true), ..all() }),
        (Mark::Deleted, all()),
    ] {
        let mut marked = mark(&world, "ann", Which::All(filter.clone()), how).await;
        assert_eq!(marked.len(), INBOX_MARKS_MAX, "{how:?} of {filter:?}");
        let rest = mark(&world, "ann", Which::All(filter.clone()), how).await;
        assert_eq!(rest.len(), 1, "{how:?} of {filter:?}, again");
        marked.extend(rest);
        marked.sort_unstable_by_key(|marked| marked.id);
        marked.dedup();
        assert_eq!(marked.len(), INBOX_MARKS_MAX + 1, "each once");
        assert!(mark(&world, "ann", Which::All(filter), how).await.is_empty(), "{how:?}: all are marked");
    }
    assert!(ids(&world, "ann", all()).await.is_empty());
    let own = deliver(&world, to(&["ann"])).await;
    for (how, filter) in [
        (Mark::Unread, InboxFilter { unread: true, ..all() }),
        (Mark::Archived, InboxFilter { archived: Some(true), ..all() }),
        (Mark::Unarchived, InboxFilter { archived: Some(false), ..all() }),
    ] {
        assert!(mark(&world, "ann", Which::All(filter), how).await.is_empty(), "{how:?}: it is so");
    }
    assert_eq!(ids(&world, "ann", InboxFilter { unread: true, archived: Some(false), ..all() }).await, own);
}

/// What came after a moment, the oldest first, for several readers at once.
pub async fn news_come_after_a_moment(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let begin = world.now;
    let mut anns = Vec::new();
    for n in 0..5 {
        let order = if n == 2 { to(&["ann", "bob"]) } else { to(&["ann"]) };
        anns.push(deliver(&world, order).await);
        world.pass(SECOND);
    }
    let news = async |readers: &[(&str, Timestamp)], limit: usize| -> Vec<(String, Id)> {
        let readers = readers.iter().map(|(user, after)| ((*user).to_owned(), *after)).collect();
        let news = world.store().inbox_news(readers, limit).await.expect("lists");
        let mut news: Vec<_> = news.into_iter().map(|(user, item)| (user, item.id)).collect();
        news.sort_by(|a, b| a.0.cmp(&b.0));
        news
    };
    let anns_from = |n: usize| -> Vec<_> { anns[n..].iter().map(|ids| ("ann".to_owned(), ids[0])).collect() };
    assert_eq!(news(&[("ann", begin - SECOND)], 9).await, anns_from(0));
    assert_eq!(news(&[("ann", begin + SECOND)], 9).await, anns_from(2), "after the moment, not at it");
    assert_eq!(news(&[("ann", begin + SECOND)], 2).await, anns_from(2)[..2], "the oldest of them");
    assert!(news(&[("ann", world.now), ("cy", begin)], 9).await.is_empty());
    let mut expected = anns_from(4);
    expected.push(("bob".to_owned(), anns[2][1]));
    assert_eq!(news(&[("bob", begin), ("cy", begin), ("ann", begin + 3 * SECOND)], 9).await, expected);
    mark_own(&world, "ann", &[anns[3][0]], Mark::Deleted).await;
    assert_eq!(news(&[("ann", begin + 2 * SECOND)], 9).await, anns_from(4), "what is deleted is no news");
    assert!(news(&[], 9).await.is_empty());
}

/// A token is its owner's while it counts and the person is enabled.
pub async fn tokens_open_one_inbox(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    make(&world, users(&[entry("ann", &[], &[], &[]), entry("bob", &[], &[], &[])])).await;
    let token = |user: &str, app: u32| InboxToken { user: user.into(), app: AppNo(app) };
    let expires = world.now + 60 * SECOND;
    for (n, token) in [token("ann", 1), token("ann", 2), token("bob", 1), token("ghost", 1)].into_iter().enumerate() {
        world.store().inbox_token_add(token, [n as u8; 32], expires).await.expect("keeps");
    }
    world.crash().await;
    let find =
        async |world: &World<'_>, n: u8| world.store().inbox_token_find([n; 32], world.now).await.expect("finds");
    assert_eq!(find(&world, 0).await, Some(token("ann", 1)));
    assert_eq!(find(&world, 1).await, Some(token("ann", 2)));
    assert_eq!(find(&world, 2).await, Some(token("bob", 1)));
    assert_eq!((find(&world, 3).await, find(&world, 4).await), (None, None), "nobody's, and none");
    let mut off = entry("bob", &[], &[], &[]);
    off.user.enabled = false;
    make(&world, users(&[off])).await;
    assert_eq!(find(&world, 2).await, None, "bob is disabled");
    make(&world, users(&[entry("bob", &[], &[], &[])])).await;
    world.pass(59 * SECOND);
    assert_eq!(find(&world, 2).await, Some(token("bob", 1)));
    world.pass(SECOND);
    assert_eq!((find(&world, 0).await, find(&world, 2).await), (None, None), "their time is over");
}

/// Items go with their message, and no others.
pub async fn items_go_with_their_message(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let old = deliver(&world, to(&["ann", "bob"])).await;
    mark_own(&world, "ann", &old[..1], Mark::Archived).await;
    let leases = world.claim(INBOX, 9).await;
    world.finish(&leases, &accepted()).await;
    let open = deliver(&world, to(&["ann"]).lives(90 * DAY)).await[0];
    world.pass(5 * DAY);
    let young = deliver(&world, to(&["ann"])).await[0];
    let before = world.now - DAY;
    while world.store().prune(before, 7, world.now).await.expect("prunes") {}
    let left = ids(&world, "ann", all()).await;
    assert!(left[0] == young && left.contains(&open), "what may still be tried stays, and with it its message");
    let lease = world.claim(INBOX, 9).await;
    world.finish(&lease, &accepted()).await;
    while world.store().prune(before, 7, world.now).await.expect("prunes") {}
    assert_eq!(ids(&world, "ann", all()).await, [young]);
    assert!(ids(&world, "bob", all()).await.is_empty());
    assert_eq!((unread(&world, "ann").await, unread(&world, "bob").await), (1, 0));
}
