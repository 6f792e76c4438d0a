//! What waits for its time: it is listed, hastened and cancelled; and what is found by its businessId.

use std::time::Duration;

use hongyan_core::{
    delivery::State,
    id::Id,
    message::MessageState,
    setup::AppNo,
    store::{Cancelled, Rest, Scheduled, ScheduledFilter},
    time::Timestamp,
};

use crate::{
    Bench,
    expand::{add, named, people},
    pages::{expansion, expansions, later, page, place},
    world::{INBOX, MAIL, Order, SMS, World, accepted, deferred, to},
};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// What waits, for everybody.
fn all() -> ScheduledFilter {
    ScheduledFilter::default()
}

async fn scheduled(world: &World<'_>, filter: ScheduledFilter) -> Vec<Id> {
    let listed = world.store().scheduled(filter, None, 100, world.now).await.expect("lists");
    listed.iter().map(|scheduled| scheduled.message.id).collect()
}

/// To people, from `due` on.
fn at(due: Timestamp) -> Order {
    to(&[]).rest(due, people(&[MAIL])).lives(9 * DAY)
}

async fn hasten(world: &World<'_>, id: Id) -> bool {
    world.store().message_hasten(id, world.now).await.expect("hastens")
}

/// Each with its message, channels and time, the first to come first; what has fired or has no time is not among them.
pub async fn lists_what_waits_for_its_time(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let begin = world.now;
    let mut expected = Vec::new();
    for minutes in [7, 3, 3, 1] {
        let batch = world.batch(&at(begin + minutes * MINUTE).business("b"));
        world.store().submit(batch.clone(), world.now).await.expect("stored");
        expected.push(Scheduled { message: batch.message, channels: vec![MAIL], due: begin + minutes * MINUTE });
    }
    world.submit(&at(begin)).await;
    world.submit(&to(&["a"]).due_in(MINUTE)).await;
    expected.sort_by_key(|scheduled| (scheduled.due, scheduled.message.id));
    let list = async |world: &World<'_>, after: Option<&Scheduled>, limit: usize| {
        let after = after.map(|last| (last.due, last.message.id));
        world.store().scheduled(all(), after, limit, world.now).await.expect("lists")
    };
    assert_eq!(list(&world, None, 9).await, expected);
    world.crash().await;
    assert_eq!(list(&world, None, 2).await, expected[..2]);
    assert_eq!(list(&world, Some(&expected[1]), 9).await, expected[2..], "of two with one time the later one");
    assert!(list(&world, Some(&expected[3]), 9).await.is_empty());
    world.now = begin + MINUTE;
    assert_eq!(list(&world, None, 9).await, expected[1..], "its time has come");
    world.now = begin + 7 * MINUTE;
    assert!(list(&world, None, 9).await.is_empty());
}

/// By app, template and channel, each alone and together, in pages.
pub async fn filters_select_what_waits(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let mut ids = Vec::new();
    for n in 0_u32..12 {
        let channels = if n % 3 == 0 { vec![SMS, MAIL] } else { vec![MAIL, INBOX] };
        let mut order = to(&[]).rest(world.now + (1 + n) * MINUTE, people(&channels)).app(1 + n % 2);
        order.channel = channels[0];
        order.label.template = if n % 4 == 0 { "T1".into() } else { String::new() };
        ids.push(world.submit(&order).await);
    }
    let lists = to(&[]).rest(world.now + 99 * MINUTE, later(2)).app(7);
    let listed = world.submit(&lists).await;
    let (app, template) = (|no| Some(AppNo(no)), |code: &str| Some(code.to_owned()));
    for (filter, of) in [
        (ScheduledFilter { app: app(2), ..all() }, vec![1, 3, 5, 7, 9, 11]),
        (ScheduledFilter { template: template("T1"), ..all() }, vec![0, 4, 8]),
        (ScheduledFilter { template: template("t1"), ..all() }, vec![]),
        (ScheduledFilter { channel: Some(SMS), ..all() }, vec![0, 3, 6, 9]),
        (ScheduledFilter { channel: Some(INBOX), ..all() }, vec![1, 2, 4, 5, 7, 8, 10, 11]),
        (ScheduledFilter { app: app(1), template: template("T1"), channel: Some(INBOX) }, vec![4, 8]),
        (ScheduledFilter { app: app(2), template: template("T1"), channel: None }, vec![]),
    ] {
        let expected: Vec<Id> = of.into_iter().map(|n: usize| ids[n]).collect();
        assert_eq!(scheduled(&world, filter.clone()).await, expected, "{filter:?}");
        let mut walked = Vec::new();
        let mut after = None;
        loop {
            let some = world.store().scheduled(filter.clone(), after, 2, world.now).await.expect("lists");
            let Some(last) = some.last() else { break };
            assert!(some.len() <= 2);
            after = Some((last.due, last.message.id));
            walked.extend(some.iter().map(|scheduled| scheduled.message.id));
        }
        assert_eq!(walked, expected, "{filter:?}, in pages");
    }
    assert_eq!(scheduled(&world, ScheduledFilter { app: app(7), channel: Some(MAIL), ..all() }).await, [listed]);
    let first = world.store().scheduled(all(), None, 1, world.now).await.expect("lists");
    let mut channels = first[0].channels.clone();
    channels.sort_unstable();
    assert_eq!(channels, [MAIL, SMS]);
}

/// A message that is hastened fires now, and only once; what is due already, done or unknown is not hastened.
pub async fn a_scheduled_message_is_hastened(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let accepted = world.now;
    let (id, other) = (world.submit(&at(accepted + DAY)).await, world.submit(&at(accepted + DAY)).await);
    assert_eq!(world.read(id).await.due, Some(accepted + DAY), "whoever looks it up sees when it fires");
    world.pass(MINUTE);
    assert!(hasten(&world, id).await);
    let hastened = world.read(id).await;
    assert_eq!((hastened.message.state, hastened.due), (MessageState::Expanding, None));
    assert_eq!(scheduled(&world, all()).await, [other]);
    assert!(!hasten(&world, id).await, "it fires already");
    world.crash_and_recover().await;
    let [next] = &expansions(&world).await[..] else { panic!("one fires") };
    assert_eq!((next.message.id, &next.place), (id, &place(0, "")));
    assert_eq!(next.rest, Rest { due: accepted, who: people(&[MAIL]) });
    assert!(add(&world, named(&world, next, &["a"], None)).await);
    assert!(!hasten(&world, id).await, "it has fired");
    assert!(!hasten(&world, id.plus(55)).await, "there is none");
    assert_eq!(world.claim_one(MAIL).await.message, id);
    world.now = accepted + DAY;
    assert_eq!(expansions(&world).await.len(), 1, "the other has its time");
    assert!(!hasten(&world, other).await, "which has come");
}

/// Deliveries that wait for their time and were never tried become due now, on every channel, and nothing else does.
pub async fn waiting_deliveries_are_hastened(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let order = to(&["a", "b", "c"]).parcel_max(2).beside(SMS, 1).due_in(DAY).lives(2 * DAY);
    let (id, other) = (world.submit(&order).await, world.submit(&order).await);
    let later = world.now + DAY;
    world.pass(MINUTE);
    let wakes = world.desk.wakes.load(std::sync::atomic::Ordering::SeqCst);
    assert!(hasten(&world, id).await);
    assert!(world.desk.wakes.load(std::sync::atomic::Ordering::SeqCst) > wakes, "somebody is to look after them");
    for delivery in world.read(id).await.deliveries {
        assert_eq!((delivery.track.state, delivery.track.due), (State::Ready, world.now));
    }
    assert!(world.read(other).await.deliveries.iter().all(|delivery| delivery.track.due == later));
    assert!(!hasten(&world, id).await, "all of it is due");
    let (mail, sms) = (world.claim(MAIL, 9).await, world.claim(SMS, 9).await);
    assert!(mail.iter().chain(&sms).all(|lease| lease.message == id));
    assert_eq!(mail.iter().map(|lease| lease.rows.len()).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(sms.len(), 3);
    for channel in [MAIL, SMS] {
        assert_eq!(world.store().next_due(channel, world.now).await, Ok(Some(later)));
        assert_eq!(world.depth(channel).await, 3);
    }
    world.finish(&mail, &deferred(DAY)).await;
    world.finish(&sms, &accepted()).await;
    let again = world.now + DAY;
    assert!(!hasten(&world, id).await, "it was tried");
    assert!(world.claim(MAIL, 9).await.is_empty());
    assert_eq!(world.read(id).await.deliveries[0].track.due, again);
    assert!(hasten(&world, other).await);
    world.crash_and_recover().await;
    assert_eq!(world.claim(MAIL, 9).await.len(), 2, "on disk, too");
}

/// A message that is cancelled before its time never fires.
pub async fn a_scheduled_message_is_cancelled(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let due = world.now + DAY;
    let (id, other) = (world.submit(&at(due)).await, world.submit(&at(due)).await);
    let now = world.now;
    let cancelled = world.store().message_cancel(id, now).await;
    assert_eq!(cancelled, Ok(Cancelled { deliveries: 0, unexpanded: true }));
    assert_eq!(world.cancel(id).await, 0);
    assert_eq!(world.store().message_cancel(id.plus(55), now).await, Ok(Cancelled::default()));
    assert_eq!(world.read(id).await.message.state, MessageState::Expanded);
    assert!(!hasten(&world, id).await);
    assert_eq!(scheduled(&world, all()).await, [other]);
    world.crash_and_recover().await;
    world.now = due;
    let fired = expansions(&world).await;
    assert_eq!(fired.iter().map(|expansion| expansion.message.id).collect::<Vec<_>>(), [other]);
    let mut late = named(&world, &fired[0], &["a"], None);
    late.message = id;
    assert!(!add(&world, late).await, "a page that comes too late");
    assert!(world.read(id).await.deliveries.is_empty());
    assert!(world.claim(MAIL, 9).await.is_empty());
}

/// History is forgotten, but not what is still to fire; when it is done, it goes, too.
pub async fn what_waits_outlives_retention(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let due = world.now + 5 * DAY;
    let (id, done) = (world.submit(&at(due).business("b")).await, world.submit(&to(&["x"]).business("b")).await);
    let lease = world.claim_one(MAIL).await;
    world.finish(&[lease], &accepted()).await;
    world.pass(4 * DAY);
    let prune = async |world: &World<'_>| {
        let before = world.now - DAY;
        while world.store().prune(before, 7, world.now).await.expect("prunes") {}
    };
    prune(&world).await;
    assert_eq!(scheduled(&world, all()).await, [id]);
    assert_eq!(world.read(id).await.message.state, MessageState::Scheduled);
    world.now = due;
    prune(&world).await;
    let next = expansion(&world).await.expect("it fires");
    assert!(add(&world, named(&world, &next, &["a"], None)).await);
    let lease = world.claim_one(MAIL).await;
    assert!(lease.cargo.is_some(), "what it says is there, too");
    world.finish(&[lease], &accepted()).await;
    world.pass(3 * DAY);
    prune(&world).await;
    for gone in [id, done] {
        assert!(world.store().message_read(gone).await.expect("reads").is_none());
    }
    assert_eq!(world.store().messages_of_business(AppNo(1), "b".into(), None, 9).await, Ok(Vec::new()));
}

/// By app and businessId, the newest first, page by page, however each message goes.
pub async fn messages_are_found_by_business(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let mut ids = Vec::new();
    for n in 0_u32..7 {
        let order = to(&["a"]).business("order-1");
        ids.push(world.submit(&if n % 2 == 0 { order } else { at(world.now + DAY).business("order-1") }).await);
        world.submit(&to(&["a"]).business("order-1").app(2)).await;
        world.submit(&to(&["a"]).business("order-10")).await;
        world.submit(&to(&["a"])).await;
        world.pass(MINUTE);
    }
    ids.reverse();
    world.crash().await;
    let find = async |app: u32, business: &str, before: Option<Id>, limit: usize| {
        world.store().messages_of_business(AppNo(app), business.into(), before, limit).await.expect("finds")
    };
    assert_eq!(find(1, "order-1", None, 100).await, ids);
    assert_eq!(find(1, "order-1", None, 3).await, ids[..3]);
    assert_eq!(find(1, "order-1", Some(ids[2]), 3).await, ids[3..6]);
    assert!(find(1, "order-1", Some(ids[6]), 3).await.is_empty());
    assert_eq!(find(2, "order-1", None, 100).await.len(), 7);
    for (app, business) in [(1, "ORDER-1"), (1, "order"), (3, "order-1")] {
        assert!(find(app, business, None, 9).await.is_empty(), "{app} {business}");
    }
}

/// A page that was added to a message that had been hastened goes out like any other.
pub async fn lists_are_hastened_too(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let id = world.submit(&to(&[]).rest(world.now + DAY, later(3)).lives(2 * DAY)).await;
    assert!(hasten(&world, id).await);
    let next = expansion(&world).await.expect("it fires");
    assert!(add(&world, page(&world, &next, 9)).await);
    assert_eq!(world.claim_one(MAIL).await.rows.len(), 3);
}
