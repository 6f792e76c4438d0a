//! What accounts have sent: pages, the newest first, filters, and how many rows there are.

use std::time::Duration;

use hongyan_core::{
    account::AccountNo,
    delivery::{Event, Reason, Receipt, State, Track},
    history::{COUNTED_MAX, HistoryFilter, HistoryPage, HistoryRow},
    id::Id,
    limits::PAGE_RECIPIENTS_MAX,
    outcome::{Outcome, Rejection},
    setup::ChannelNo,
    time::Timestamp,
};

use crate::{
    Bench,
    pages::{expansion, later, page},
    world::{MAIL, Order, SMS, World, accepted, change, content, to},
};

const ANN: AccountNo = AccountNo(1);
const BOB: AccountNo = AccountNo(2);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn ask(account: AccountNo, recipients: &[&str]) -> Order {
    Order { client: "192.0.2.7".into(), ..to(recipients).account(account) }
}

fn of(account: AccountNo) -> HistoryFilter {
    HistoryFilter { account: Some(account), ..HistoryFilter::default() }
}

async fn listed(world: &World<'_>, filter: &HistoryFilter, skip: usize, limit: usize) -> HistoryPage {
    world.store().history(filter.clone(), skip, limit).await.expect("lists")
}

/// The recipients of a page, and the total.
async fn recipients(world: &World<'_>, filter: &HistoryFilter, skip: usize, limit: usize) -> (Vec<String>, u64) {
    let page = listed(world, filter, skip, limit).await;
    (page.rows.into_iter().map(|row| row.recipient).collect(), page.total)
}

/// Every row by itself, in small pages, which are as many as the total says.
async fn walked(world: &World<'_>, filter: &HistoryFilter) -> Vec<Id> {
    let mut ids: Vec<Id> = Vec::new();
    loop {
        let page = listed(world, filter, ids.len(), 7).await;
        if page.rows.is_empty() {
            assert_eq!(page.total, ids.len() as u64, "{filter:?}");
            return ids;
        }
        ids.extend(page.rows.iter().map(|row| row.id));
    }
}

/// A refused request, as it is kept for its history: a row that was never to be sent.
async fn refused_call(world: &World<'_>, account: AccountNo, recipient: &str) -> Id {
    let mut batch = world.batch(&ask(account, &[recipient]));
    let track = Track::skipped(Reason::OverLimit, world.now, batch.message.expires);
    batch.page[0].deliveries[0].track = track;
    batch.page[0].deliveries[0].address.clear();
    let id = batch.message.id;
    world.store().submit(batch, world.now).await.expect("stored");
    id
}

/// A row says whose it is, whence it came, how it went and what it says, once per recipient.
pub async fn rows_say_what_happened(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let begun = world.now;
    let first = world.submit(&Order { text: "one".into(), ..ask(ANN, &["a", "b"]) }.parcel_max(1)).await;
    let leases = world.claim(MAIL, 2).await;
    world.finish(&leases[..1], &accepted()).await;
    world.finish(&leases[1..], &Outcome::Rejected(Rejection::Recipient)).await;
    world.pass(Duration::from_secs(1));
    let refused = refused_call(&world, ANN, "c").await;
    world.pass(Duration::from_secs(1));
    let waits = world.submit(&Order { client: String::new(), ..ask(BOB, &["d"]) }.channel(SMS)).await;
    world.crash_and_recover().await;
    let row = |id: Id, recipient: &str| HistoryRow {
        id,
        account: ANN,
        client: "192.0.2.7".into(),
        channel: MAIL,
        recipient: recipient.into(),
        accepted: begun,
        state: State::Accepted,
        reason: None,
        reply: "so it went".into(),
        content: content("one"),
    };
    let failed = HistoryRow { state: State::Failed, reason: Some(Reason::RecipientRefused), ..row(first.plus(2), "b") };
    let over = HistoryRow {
        state: State::Skipped,
        reason: Some(Reason::OverLimit),
        reply: String::new(),
        accepted: begun + Duration::from_secs(1),
        content: content("a report"),
        ..row(refused.plus(1), "c")
    };
    let open = HistoryRow {
        account: BOB,
        client: String::new(),
        channel: SMS,
        state: State::Ready,
        reason: None,
        accepted: world.now,
        ..over.clone()
    };
    let open = HistoryRow { id: waits.plus(1), recipient: "d".into(), ..open };
    let all = vec![open, over, failed, row(first.plus(1), "a")];
    let page = listed(&world, &HistoryFilter::default(), 0, 10).await;
    assert_eq!(page, HistoryPage { rows: all, total: 4 });
    assert_eq!(world.read(first).await.message.client, "192.0.2.7");
}

/// Own rows, and all rows, in pages; what apps send is in no history.
pub async fn accounts_see_their_own(bench: &impl Bench) {
    let world = World::begin(bench).await;
    for n in 0..10 {
        let [one, two, other] = ["a", "b", "c"].map(|who| format!("{who}{n}"));
        world.submit(&ask(ANN, &[&one, &two])).await;
        world.submit(&ask(BOB, &[&other])).await;
        world.submit(&to(&["app"])).await;
    }
    let names = |of: &str, from: std::ops::Range<usize>| -> Vec<String> {
        let each = |n: usize| of.chars().rev().map(move |who| format!("{who}{n}"));
        (0..10).rev().flat_map(each).skip(from.start).take(from.len()).collect()
    };
    for (filter, who, total) in [(of(ANN), "ab", 20), (of(BOB), "c", 10), (of(AccountNo(3)), "", 0)] {
        for (skip, limit) in [(0, 100), (0, 3), (3, 3), (7, 1), (19, 5), (20, 5), (1_000, 5), (0, 0)] {
            let expected = (names(who, skip..skip + limit), total);
            assert_eq!(recipients(&world, &filter, skip, limit).await, expected, "{filter:?} {skip} {limit}");
        }
    }
    let all = HistoryFilter::default();
    assert_eq!(recipients(&world, &all, 0, 4).await, (vec!["c9".into(), "b9".into(), "a9".into(), "c8".into()], 30));
    let every = walked(&world, &all).await;
    assert!(every.is_sorted_by(|newer, older| newer > older) && every.len() == 30);
}

/// Each filter by itself and with others.
pub async fn filters_select(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let begun = world.now;
    let second = Duration::from_secs(1);
    world.submit(&ask(ANN, &["sent", "x"]).parcel_max(1)).await;
    let leases = world.claim(MAIL, 2).await;
    world.finish(&leases[..1], &accepted()).await;
    world.finish(&leases[1..], &Outcome::Rejected(Rejection::Content)).await;
    world.pass(second);
    world.submit(&ask(ANN, &["undelivered"]).channel(SMS)).await;
    let lease = world.claim_one(SMS).await;
    world.finish(std::slice::from_ref(&lease), &accepted()).await;
    world.settle(vec![change(SMS, lease.rows[0].id, Event::Receipt(Receipt::Undelivered))]).await;
    world.pass(second);
    refused_call(&world, BOB, "x").await;
    world.pass(second);
    world.submit(&ask(BOB, &["late"]).lives(second)).await;
    world.pass(2 * second);
    assert_eq!(world.store().expire(9, world.now).await, Ok(1));
    world.submit(&ask(BOB, &["x"])).await;
    let cancelled = world.submit(&ask(ANN, &["cancelled"])).await;
    world.store().message_cancel(cancelled, world.now).await.expect("cancels");
    let all = HistoryFilter::default();
    let channels = |channels: &[ChannelNo]| Some(channels.to_vec());
    let to_x = HistoryFilter { recipient: Some("x".into()), ..all.clone() };
    let failed = HistoryFilter { failed: Some(true), ..all.clone() };
    let well = HistoryFilter { failed: Some(false), ..all.clone() };
    for (filter, expected) in [
        (all.clone(), "cancelled x late x undelivered x sent"),
        (HistoryFilter { channels: channels(&[SMS]), ..all.clone() }, "undelivered"),
        (HistoryFilter { channels: channels(&[SMS, MAIL]), ..all.clone() }, "cancelled x late x undelivered x sent"),
        (HistoryFilter { channels: channels(&[]), ..all.clone() }, ""),
        (HistoryFilter { channels: channels(&[MAIL]), ..of(ANN) }, "cancelled x sent"),
        (to_x.clone(), "x x x"),
        (HistoryFilter { account: Some(BOB), ..to_x.clone() }, "x x"),
        (HistoryFilter { recipient: Some("X".into()), ..all.clone() }, ""),
        (failed.clone(), "late x undelivered x"),
        (well.clone(), "cancelled x sent"),
        (HistoryFilter { account: Some(ANN), ..failed.clone() }, "undelivered x"),
        (HistoryFilter { recipient: Some("x".into()), ..well.clone() }, "x"),
        (HistoryFilter { since: Some(begun + second), ..all.clone() }, "cancelled x late x undelivered"),
        (HistoryFilter { before: Some(begun + second), ..all.clone() }, "x sent"),
        (HistoryFilter { since: Some(begun + second), before: Some(begun + 2 * second), ..all.clone() }, "undelivered"),
        (HistoryFilter { since: Some(begun + 2 * second), before: Some(begun + second), ..all.clone() }, ""),
        (HistoryFilter { since: Some(begun + second), before: Some(begun + 4 * second), ..of(BOB) }, "late x"),
        (HistoryFilter { since: Some(Timestamp::from_ms(0)), before: Some(Timestamp::MAX), ..of(BOB) }, "x late x"),
        (HistoryFilter { since: Some(Timestamp::MAX), ..all.clone() }, ""),
        (HistoryFilter { before: Some(Timestamp::from_ms(0)), ..all.clone() }, ""),
        (HistoryFilter { since: Some(begun), before: Some(world.now), ..failed.clone() }, "late x undelivered x"),
    ] {
        let expected: Vec<_> = expected.split_whitespace().map(String::from).collect();
        let total = expected.len() as u64;
        assert_eq!(recipients(&world, &filter, 0, 99).await, (expected.clone(), total), "{filter:?}");
        let second = expected.into_iter().skip(1).take(1).collect();
        assert_eq!(recipients(&world, &filter, 1, 1).await, (second, total), "{filter:?}");
    }
}

/// Ids may run ahead of the clock: what counts is when a request was accepted.
pub async fn the_time_is_that_of_acceptance(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let second = Duration::from_secs(1);
    let begun = world.now;
    world.ids.block(600_000, 0, world.now).expect("ids");
    let early = world.submit(&ask(ANN, &["early"])).await;
    assert!(early.time() > begun + 2 * second);
    world.pass(second);
    world.submit(&ask(ANN, &["late"])).await;
    let until = HistoryFilter { before: Some(begun + second), ..of(ANN) };
    let from = HistoryFilter { since: Some(begun + second), ..of(ANN) };
    let between = HistoryFilter { before: Some(begun + 2 * second), ..from.clone() };
    for (filter, who) in [(until, "early"), (from, "late"), (between, "late")] {
        assert_eq!(recipients(&world, &filter, 0, 9).await, (vec![who.to_owned()], 1), "{filter:?}");
    }
}

/// Totals count what is there: after refusals, later pages, restarts, and when old rows are forgotten.
pub async fn totals_follow_what_is_kept(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let both = [HistoryFilter::default(), of(ANN), of(BOB)];
    let totals = async |world: &World<'_>| {
        let mut totals = Vec::new();
        for filter in &both {
            totals.push(walked(world, filter).await.len());
        }
        totals
    };
    for _ in 0..5 {
        world.submit(&ask(ANN, &["a", "b", "nobody"]).skipped(&["nobody"])).await;
        world.submit(&ask(BOB, &["c"])).await;
        refused_call(&world, BOB, "d").await;
    }
    assert_eq!(totals(&world).await, [25, 15, 10]);
    let order = ask(ANN, &["a"]).key("k", 1);
    world.submit(&order).await;
    world.store().submit(world.batch(&order), world.now).await.expect("seen");
    assert_eq!(totals(&world).await, [26, 16, 10], "a repeat has no rows of its own");
    let old = world.now + DAY;
    let leases = world.claim(MAIL, 99).await;
    world.finish(&leases, &accepted()).await;

    world.pass(3 * DAY);
    world.submit(&ask(BOB, &["e"]).lives(9 * DAY).rest(world.now, later(50))).await;
    let next = expansion(&world).await.expect("more follows");
    assert_eq!(totals(&world).await, [27, 16, 11]);
    let behind = page(&world, &next, 30);
    assert_eq!(world.store().page_add(behind.clone(), world.now).await, Ok(true));
    assert_eq!(world.store().page_add(behind, world.now).await, Ok(false));
    assert_eq!(totals(&world).await, [57, 16, 41]);
    world.crash_and_recover().await;
    assert_eq!(totals(&world).await, [57, 16, 41]);

    while world.store().prune(old, 3, world.now).await.expect("prunes") {}
    assert_eq!(totals(&world).await, [31, 0, 31]);
    let next = expansion(&world).await.expect("more follows");
    assert_eq!(world.store().page_add(page(&world, &next, 30), world.now).await, Ok(true));
    world.submit(&ask(ANN, &["a"])).await;
    assert_eq!(totals(&world).await, [52, 1, 51]);
    world.crash_and_recover().await;
    assert_eq!(totals(&world).await, [52, 1, 51]);
}

/// Selected rows are counted so far and no further.
pub async fn selected_rows_are_counted_so_far(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let everybody: Vec<_> = (0..PAGE_RECIPIENTS_MAX).map(|n| n.to_string()).collect();
    let order = Order { to: everybody.clone(), skipped: everybody, ..ask(ANN, &[]) };
    world.submit_all((0..11).map(|_| order.clone())).await;
    let failed = HistoryFilter { failed: Some(true), ..of(ANN) };
    assert_eq!(recipients(&world, &failed, 0, 1).await, (vec!["999".into()], COUNTED_MAX));
    let few = HistoryFilter { recipient: Some("7".into()), ..failed };
    assert_eq!(recipients(&world, &few, 10, 5).await, (vec!["7".into()], 11));
    assert_eq!(listed(&world, &of(ANN), 0, 0).await.total, 11_000);
}
