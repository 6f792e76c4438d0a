//! Several nodes that expand, change the directory and look into inboxes at once, and how long what waits is kept.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures_util::future::join_all;
use hongyan_core::{
    content::{Content, InApp},
    delivery::{State, Track},
    directory::{DirectoryChange, GroupEntry, GroupKind, UserEntry},
    id::{Id, IdSource},
    inbox::{InboxFilter, Mark, NewItem, Which},
    message::MessageState,
    setup::{AppNo, ChannelNo, User},
    store::{
        Deliveries, Directory, Inboxes, Lot, Messages, NewDelivery, Page, People, Place, Rest, Submitted, Upkeep, Way,
        Who,
    },
    time::Timestamp,
};
use hongyan_store_postgres::{Options, PostgresStore, open};
use hongyan_store_suite::{
    postgres::{shared, sql},
    sample,
};
use tokio_postgres::NoTls;

const MAIL: ChannelNo = ChannelNo(1);
const INBOX: ChannelNo = ChannelNo(2);
const DAY: Duration = Duration::from_secs(86_400);

async fn three_nodes() -> (String, [Arc<PostgresStore>; 3]) {
    let url = shared().fresh_schema();
    let hour = Duration::from_secs(3_600);
    let options =
        || Options { connections: 4, heartbeat: hour, lease: 3 * hour, trust: Duration::ZERO, ..Options::default() };
    let node = async || open(&url, options()).await.expect("opens");
    let nodes = [node().await, node().await, node().await];
    (url, nodes)
}

fn now(node: &PostgresStore) -> Timestamp {
    node.clock().now()
}

fn everyone(due: Timestamp) -> Rest {
    let people = People { everyone: true, ..People::default() };
    let ways = [MAIL, INBOX].map(|channel| Way { channel, parcel_max: 2 });
    Rest { due, who: Who::People { ways: ways.to_vec(), people } }
}

/// Stores a message to people, in `bucket`, accepted at `accepted`.
async fn submit(node: &PostgresStore, id: Id, accepted: Timestamp, rest: Option<Rest>) {
    let mut batch = sample(&node.ids(), accepted, "x").expect("ids");
    (batch.message.id, batch.message.accepted) = (id, accepted);
    batch.page[0].deliveries.clear();
    batch.content = Arc::new(Content::InApp(InApp { html: "<p>x</p>".to_owned(), ..InApp::default() }));
    batch.rest = rest;
    assert_eq!(node.submit(batch, accepted).await, Ok(Submitted::Stored));
}

/// The page behind `from`: three people, each by mail and in their inbox, in a bucket that moves on.
fn page(node: &PostgresStore, message: Id, from: &Place, last: u32) -> Page {
    let now = now(node);
    let bucket = u8::try_from((u32::from(message.bucket()) + 7 * from.step) % 64).expect("a bucket");
    let first = node.ids().block(6, bucket, now).expect("ids");
    let delivery = |n: usize| NewDelivery {
        id: first.plus(n),
        recipient: format!("user{}", 3 * from.step as usize + n % 3),
        address: "somebody@example.com".to_owned(),
        track: Track::ready(now, now + DAY),
    };
    let lot = |channel, range: std::ops::Range<usize>| Lot {
        way: Way { channel, parcel_max: 2 },
        deliveries: range.map(delivery).collect(),
    };
    let to = Place { step: from.step + 1, mark: format!("user{}", 3 * from.step + 2) };
    Page {
        message,
        from: from.clone(),
        to: (from.step + 1 < last).then_some(to),
        page: vec![lot(MAIL, 0..3), lot(INBOX, 3..6)],
        broadcast: None,
    }
}

/// Each node makes the next page at the same time, again and again; each page is stored once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_three_nodes_one_adds_each_page() {
    const PAGES: u32 = 12;
    let (url, nodes) = three_nodes().await;
    let id = nodes[0].ids().block(1, 9, now(&nodes[0])).expect("ids");
    submit(&nodes[0], id, now(&nodes[0]), Some(everyone(now(&nodes[0])))).await;
    let mut place = Place::default();
    for step in 0..PAGES {
        let pages: Vec<Page> = nodes.iter().map(|node| page(node, id, &place, PAGES)).collect();
        let next = pages[0].to.clone();
        let added = join_all(nodes.iter().zip(pages).map(|(node, page)| node.page_add(page, now(node)))).await;
        let added: Vec<bool> = added.into_iter().map(|added| added.expect("answers")).collect();
        assert_eq!(added.iter().filter(|added| **added).count(), 1, "page {step}: {added:?}");
        place = next.unwrap_or(place);
    }
    let record = nodes[2].message_read(id).await.expect("reads").expect("is there");
    assert_eq!((record.message.state, record.deliveries.len()), (MessageState::Expanded, 6 * PAGES as usize));
    let who: BTreeSet<_> = record.deliveries.iter().map(|one| (one.channel.0, one.recipient.clone())).collect();
    assert_eq!(who.len(), record.deliveries.len(), "nobody twice by one channel");
    let parcels: BTreeSet<_> = record.deliveries.iter().map(|one| (one.parcel, one.channel.0)).collect();
    assert_eq!(parcels.len(), 4 * PAGES as usize, "no parcel crosses channels");
    let buckets = sql(&url, "select count(distinct bucket) from delivery").expect("counts");
    assert_eq!(buckets, PAGES.to_string(), "every page in a bucket of its own");
    let depths = nodes[1].depths().await.expect("counts");
    let ready: Vec<_> = depths.iter().map(|depth| (depth.channel, depth.ready)).collect();
    assert_eq!(ready, [(MAIL, 36), (INBOX, 36)]);
}

/// What one node hastens is expanded by whoever looks after it; what it cancels by nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_is_hastened_and_cancelled_from_any_node() {
    let (url, nodes) = three_nodes().await;
    let now = now(&nodes[0]);
    let ids: Vec<Id> = (0..64).map(|bucket| nodes[0].ids().block(1, bucket, now).expect("ids")).collect();
    for id in &ids {
        submit(&nodes[0], *id, now, Some(everyone(now + DAY))).await;
    }
    assert_eq!(nodes[1].scheduled(Default::default(), None, 99, now).await.expect("lists").len(), 64);
    for (n, id) in ids.iter().enumerate() {
        match n % 2 {
            0 => assert_eq!(nodes[1].message_hasten(*id, now).await, Ok(true)),
            _ => assert!(nodes[2].message_cancel(*id, now).await.expect("cancels").unexpanded),
        }
    }
    let mut found = BTreeSet::new();
    for node in &nodes {
        let expansions = node.expansions(None, 99, now).await.expect("lists");
        found.extend(expansions.into_iter().map(|expansion| expansion.message.id));
    }
    assert_eq!(found, ids.iter().copied().step_by(2).collect());
    assert!(nodes[0].scheduled(Default::default(), None, 99, now).await.expect("lists").is_empty());
    assert_eq!(sql(&url, "select count(*) from expansion").as_deref(), Ok("32"));
}

fn person(code: &str) -> UserEntry {
    let user = User { code: code.to_owned(), enabled: true, ..User::default() };
    UserEntry { user, ..UserEntry::default() }
}

fn role(code: &str) -> GroupEntry {
    GroupEntry { kind: GroupKind::Role, code: code.to_owned(), name: String::new(), parent: String::new() }
}

/// Somebody who holds the directory for longer than any lock is waited for otherwise does not make the next fail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_the_directory_waits_for_another() {
    let (url, nodes) = three_nodes().await;
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.expect("connects");
    tokio::spawn(connection);
    client.batch_execute("BEGIN; SELECT last FROM group_numbering FOR UPDATE").await.expect("holds it");
    let changes = nodes.iter().flat_map(|node| {
        (0..4).map(move |n| {
            let change =
                DirectoryChange { groups: vec![role(&format!("r{n}"))], users: vec![person(&format!("u{n}"))] };
            node.directory_change(change, false, now(node))
        })
    });
    let release = async {
        // Longer than `lock_timeout`: nothing else says that it waits on.
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert_eq!(sql(&url, "select count(*) from people_group").as_deref(), Ok("0"));
        client.batch_execute("COMMIT").await.expect("lets go");
    };
    let (reports, ()) = tokio::join!(join_all(changes), release);
    let made: u64 = reports
        .into_iter()
        .map(|report| report.expect("changes"))
        .map(|report| report.groups_new + report.users_new)
        .sum();
    assert_eq!(made, 8, "each made once, whoever came first");
    let numbers = "select count(distinct no), max(no), (select last from group_numbering) from people_group";
    assert_eq!(sql(&url, numbers).as_deref(), Ok("4|4|4"));
}

/// Marks that are made at once by several nodes are all kept, on items and on broadcasts, of which none has a row before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn marks_made_at_once_are_all_kept() {
    let (_, nodes) = three_nodes().await;
    let node = &nodes[0];
    let now = now(node);
    let change = DirectoryChange { users: vec![person("ann"), person("bob")], ..DirectoryChange::default() };
    node.directory_change(change, false, now).await.expect("changes");
    let mut broadcasts = Vec::new();
    for bucket in 0..8 {
        let id = node.ids().block(1, bucket, now).expect("ids");
        submit(node, id, now, Some(everyone(now))).await;
        let page = Page { message: id, from: Place::default(), to: None, page: Vec::new(), broadcast: Some(INBOX) };
        assert_eq!(node.page_add(page, now).await, Ok(true));
        broadcasts.push(id);
    }
    let own = node.ids().block(1, 5, now).expect("ids");
    let item = |user: &str| NewItem {
        id: own,
        user: user.to_owned(),
        message: broadcasts[0],
        app: AppNo(1),
        channel: INBOX,
        business: String::new(),
        kind: String::new(),
        at: now,
    };
    let puts = join_all(nodes.iter().map(|node| node.inbox_put(vec![item("ann"), item("ann")]))).await;
    assert!(puts.iter().all(Result::is_ok), "{puts:?}");
    assert_eq!(join_all(nodes.iter().map(|node| node.inbox_unread("ann".to_owned()))).await, [Ok(9), Ok(9), Ok(9)]);
    let all: Vec<Id> = broadcasts.iter().copied().chain([own]).collect();
    let mark = |node: usize, which, mark| nodes[node].inbox_mark("ann".to_owned(), which, mark, now);
    let (read, archived, again) = tokio::join!(
        mark(0, Which::Items(all.clone()), Mark::Read),
        mark(1, Which::All(InboxFilter::default()), Mark::Archived),
        mark(2, Which::Items(all.clone()), Mark::Read),
    );
    assert_eq!(archived.expect("marks").len(), 9);
    assert_eq!(read.expect("marks").len() + again.expect("marks").len(), 9, "each is read once");
    let found = nodes[2].inbox("ann".to_owned(), InboxFilter::default(), None, 99).await.expect("lists");
    assert_eq!(found.iter().map(|item| item.id).collect::<BTreeSet<_>>(), all.into_iter().collect());
    assert!(found.iter().all(|item| item.read && item.archived && item.content.is_some()), "{found:?}");
    assert_eq!(nodes[1].inbox_unread("bob".to_owned()).await, Ok(8), "what another does is their own");
}

/// A message that waits for a far day keeps its own day, and none of those that follow; what is in inboxes of a day goes with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_keeps_its_own_day_alone() {
    let (url, nodes) = three_nodes().await;
    let node = &nodes[0];
    let now = now(node);
    let on_day = |ago: u32| IdSource::new(200, None).block(2, 9, now - ago * DAY).expect("ids");
    let [over, waits, later, kept] = [12, 10, 8, 2].map(on_day);
    for (id, ago) in [(over, 12), (waits, 10), (later, 8), (kept, 2)] {
        let rest = (id == waits).then(|| everyone(now + 30 * DAY));
        submit(node, id, now - ago * DAY, rest).await;
        let item = NewItem {
            id: id.plus(1),
            user: "ann".to_owned(),
            message: id,
            app: AppNo(1),
            channel: INBOX,
            business: String::new(),
            kind: String::new(),
            at: now - ago * DAY,
        };
        node.inbox_put(vec![item]).await.expect("puts");
        sql(&url, &format!("insert into broadcast values ({id}, 1, 2, '', '', 1)")).expect("fired");
    }
    let mut rounds = 0;
    while node.prune(now - 5 * DAY, 1, now).await.expect("prunes") {
        rounds += 1;
        assert!(rounds < 200, "it comes to an end");
    }
    let mut found = Vec::new();
    for id in [over, waits, later, kept] {
        found.push(node.message_read(id).await.expect("reads").map(|record| record.message.state));
    }
    assert_eq!(found, [None, Some(MessageState::Scheduled), None, Some(MessageState::Expanded)]);
    let items = node.inbox("ann".to_owned(), InboxFilter::default(), None, 9).await.expect("lists");
    assert_eq!(items.iter().map(|item| item.message).collect::<Vec<_>>(), [kept, waits]);
    assert_eq!(sql(&url, "select count(*) from broadcast").as_deref(), Ok("2"));
    // It fires in the end, and is whole.
    assert_eq!(node.message_hasten(waits, now).await, Ok(true));
    assert_eq!(node.page_add(page(node, waits, &Place::default(), 1), now).await, Ok(true));
    let record = node.message_read(waits).await.expect("reads").expect("is there");
    assert!(record.deliveries.len() == 6 && record.deliveries.iter().all(|one| one.track.state == State::Ready));
}
