//! What moves with people: the directory, inboxes and broadcasts, and what waits for its time. Filled in and looked at through the
//! ports, since both sides have them.

use std::{sync::Arc, time::Duration};

use hongyan_core::{
    content::{Content, InApp},
    delivery::Track,
    directory::{DirectoryChange, GroupEntry, GroupKind, UserEntry},
    id::Id,
    inbox::{InboxFilter, Mark, NewItem, Which},
    message::{Dialect, Label, Message, MessageState, Priority},
    setup::{AppNo, ChannelNo, User},
    store::{
        Batch, Declaration, DeclarationChange, Listed, Lot, NewDelivery, Page, People, Place, Rest, ScheduledFilter,
        Store, Way, Who,
    },
    time::Timestamp,
};

const INBOX: ChannelNo = ChannelNo(2);
const MAIL: ChannelNo = ChannelNo(1);
const DAY: Duration = Duration::from_secs(86_400);
const APP: AppNo = AppNo(1);
/// Everybody of these tests: of `off` it is told too late, `ghost` is in no directory.
const PEOPLE: [&str; 4] = ["ann", "bob", "off", "ghost"];

fn way(channel: ChannelNo) -> Way {
    Way { channel, parcel_max: 7 }
}

fn label(business: &str) -> Label {
    Label {
        business: business.into(),
        kind: "notice".into(),
        sender_code: "zs".into(),
        sender_name: "张三".into(),
        template: "T1".into(),
        template_version: 3,
    }
}

/// Departments in a tree, a post and a role, and people who belong to them.
fn directory() -> DirectoryChange {
    let group = |kind, code: &str, parent: &str| GroupEntry {
        kind,
        code: code.into(),
        name: format!("部门 {code}"),
        parent: parent.into(),
    };
    let groups = vec![
        group(GroupKind::Department, "d2", "d1"),
        group(GroupKind::Department, "d1", ""),
        group(GroupKind::Post, "d1", ""),
        group(GroupKind::Role, "r", ""),
    ];
    DirectoryChange { groups, users: vec![person("ann", true), person("bob", true), person("off", true)] }
}

fn person(code: &str, enabled: bool) -> UserEntry {
    let email = format!("{code}@b.com");
    let user = User { code: code.into(), name: "李雷".into(), email, enabled, ..User::default() };
    let own = |codes: &[&str]| codes.iter().map(|code| (*code).to_owned()).collect();
    match code {
        "ann" => UserEntry { user, departments: own(&["d1", "d2"]), posts: own(&["d1"]), roles: own(&["r"]) },
        "bob" => UserEntry { user, departments: own(&["d2"]), ..UserEntry::default() },
        _ => UserEntry { user, ..UserEntry::default() },
    }
}

/// A message for inboxes, with a first page for these people, and whoever follows.
fn batch(store: &dyn Store, now: Timestamp, business: &str, to: &[&str], rest: Option<Rest>) -> Batch {
    let id = store.ids().block(1 + to.len(), 0, now).expect("ids");
    let expires = now + 9 * DAY;
    let delivery = |(n, code): (usize, &&str)| NewDelivery {
        id: id.plus(1 + n),
        recipient: (*code).into(),
        address: (*code).into(),
        track: Track::ready(now + DAY, expires),
    };
    let deliveries: Vec<_> = to.iter().enumerate().map(delivery).collect();
    let state = match &rest {
        Some(rest) if rest.due > now => MessageState::Scheduled,
        Some(_) => MessageState::Expanding,
        None => MessageState::Expanded,
    };
    let html = format!("<b>{business}</b>");
    let content = InApp { title: "通知".into(), html, website: "/x".into(), label: label(business) };
    Batch {
        message: Message {
            id,
            app: APP,
            dialect: Dialect::Push,
            operation: "push_channel".into(),
            user: String::new(),
            client: String::new(),
            priority: Priority::Middle,
            state,
            label: label(business),
            accepted: now,
            expires,
        },
        idempotency: None,
        admission: None,
        channel: INBOX,
        content: Arc::new(Content::InApp(content)),
        attachments: Arc::default(),
        page: if deliveries.is_empty() { Vec::new() } else { vec![Lot { way: way(INBOX), deliveries }] },
        rest,
    }
}

async fn submit(store: &dyn Store, now: Timestamp, business: &str, to: &[&str], rest: Option<Rest>) -> Id {
    let batch = batch(store, now, business, to, rest);
    let id = batch.message.id;
    store.submit(batch, now).await.expect("stored");
    id
}

/// Tells everybody at `now`.
async fn broadcast(store: &dyn Store, now: Timestamp, business: &str) -> Id {
    let people = People { everyone: true, ..People::default() };
    let who = Who::People { ways: vec![way(INBOX)], people };
    let id = submit(store, now, business, &[], Some(Rest { due: now, who })).await;
    let page = Page { message: id, from: Place::default(), to: None, page: Vec::new(), broadcast: Some(INBOX) };
    assert_eq!(store.page_add(page, now).await, Ok(true));
    id
}

/// Puts an item of a new message into each of these inboxes.
async fn put(store: &dyn Store, now: Timestamp, business: &str, to: &[&str]) -> Id {
    let message = submit(store, now, business, to, None).await;
    let item = |(n, user): (usize, &&str)| NewItem {
        id: message.plus(1 + n),
        user: (*user).into(),
        message,
        app: APP,
        channel: INBOX,
        business: business.into(),
        kind: "notice".into(),
        at: now,
    };
    store.inbox_put(to.iter().enumerate().map(item).collect()).await.expect("puts");
    message
}

async fn mark(store: &dyn Store, user: &str, item: Id, mark: Mark, now: Timestamp) {
    let marked = store.inbox_mark(user.into(), Which::Items(vec![item]), mark, now).await.expect("marks");
    assert_eq!(marked.len(), 1, "{mark:?} of {user}");
}

/// What a filled store has, and what it is to be asked about.
pub struct Filled {
    /// When the last of it was done.
    pub now: Timestamp,
    messages: Vec<Id>,
    /// What waits for people, and what waits for a list of which a page is there already.
    people: Id,
    list: Id,
}

/// Who waits for the time of `people`.
fn waiting() -> Who {
    let people =
        People { users: vec!["鸿雁".into()], departments: vec!["d1".into()], with_below: true, ..People::default() };
    Who::People { ways: vec![way(MAIL), way(INBOX)], people }
}

/// Leaves something of every kind that comes with people.
pub async fn fill(store: &dyn Store, begin: Timestamp) -> Filled {
    let at = |seconds: u64| begin + Duration::from_secs(seconds);
    let made = store.directory_change(directory(), false, at(0)).await.expect("changes");
    assert_eq!((made.groups_new, made.users_new, made.faults.len()), (4, 3, 0));
    let template = Declaration { kind: "template".into(), code: "T1".into(), no: 0, doc: "{}".into() };
    let version = store.setup_version().await.expect("reads");
    let declared = DeclarationChange { version, put: vec![template], remove: Vec::new() };
    assert_eq!(store.declare(declared).await, Ok(true));

    let mut messages = vec![put(store, at(1), "b-1", &["ann", "bob"]).await, put(store, at(2), "b-2", &["ann"]).await];
    let first = broadcast(store, at(3), "b-3").await;
    let off = DirectoryChange { groups: Vec::new(), users: vec![person("off", false)] };
    store.directory_change(off, false, at(4)).await.expect("changes");
    let second = broadcast(store, at(5), "b-1").await;
    messages.extend([first, second]);
    mark(store, "ann", messages[0].plus(1), Mark::Read, at(6)).await;
    mark(store, "ann", messages[1].plus(1), Mark::Archived, at(6)).await;
    mark(store, "bob", messages[0].plus(2), Mark::Deleted, at(6)).await;
    mark(store, "ann", first, Mark::Read, at(6)).await;
    mark(store, "bob", second, Mark::Archived, at(6)).await;
    mark(store, "bob", first, Mark::Deleted, at(6)).await;

    let people = submit(store, at(7), "b-1", &[], Some(Rest { due: at(7) + DAY, who: waiting() })).await;
    let addressees = Vec::new();
    let who = Who::Listed(vec![Listed { way: way(MAIL), addressees }]);
    let list = submit(store, at(7), "b-4", &["ann"], Some(Rest { due: at(7), who })).await;
    let to = Some(Place { step: 1, mark: "2:鸿雁".into() });
    let page = Page { message: list, from: Place::default(), to, page: Vec::new(), broadcast: None };
    assert_eq!(store.page_add(page, at(8)).await, Ok(true));
    messages.extend([people, list]);
    Filled { now: at(8), messages, people, list }
}

/// How many rows of each kind that is.
pub const COUNTS: [(&str, u64); 9] = [
    ("people", 3),
    ("presences", 3),
    ("groups", 4),
    ("members", 5),
    ("items", 6),
    ("broadcasts", 2),
    ("expansions", 2),
    ("messages", 6),
    ("deliveries_ready", 4),
];

/// What the store answers, line by line.
pub async fn seen(store: &dyn Store, filled: &Filled) -> Vec<String> {
    let mut seen = Vec::new();
    let mut groups = Vec::new();
    for kind in GroupKind::ALL {
        let of = store.groups_page(kind, None, 100).await.expect("lists");
        groups.extend(of.iter().map(|group| group.no));
        seen.push(format!("{of:?}"));
    }
    for mut member in store.members(groups, None, 100).await.expect("lists") {
        member.groups.sort_unstable();
        seen.push(format!("{member:?}"));
    }
    seen.push(format!("{:?}", store.users_page(None, 100).await));
    seen.push(format!("{:?}", store.declarations().await));
    for id in &filled.messages {
        let record = store.message_read(*id).await.expect("reads").expect("is there");
        seen.push(format!("{record:?}"));
    }
    seen.push(format!("{:?}", store.messages_of_business(APP, "b-1".into(), None, 9).await));
    seen.push(format!("{:?}", store.scheduled(ScheduledFilter::default(), None, 9, filled.now).await));
    seen.extend(inboxes(store).await);
    seen
}

/// What everybody finds in their inbox.
async fn inboxes(store: &dyn Store) -> Vec<String> {
    let mut seen = Vec::new();
    for user in PEOPLE {
        for item in store.inbox(user.into(), InboxFilter::default(), None, 99).await.expect("lists") {
            seen.push(format!("{user} {item:?}"));
        }
        seen.push(format!("{user} {:?}", store.inbox_unread(user.into()).await));
    }
    seen
}

/// The new store goes on where the old one was: whose inbox a broadcast is in, which numbers are given, who is still to follow.
pub async fn goes_on(store: &dyn Store, filled: &Filled) {
    let now = filled.now + Duration::from_secs(10);
    let before = inboxes(store).await;
    assert_eq!(before.iter().filter(|line| line.contains("broadcast: true")).count(), 4, "{before:?}");
    let back = DirectoryChange {
        groups: vec![GroupEntry { kind: GroupKind::Role, code: "new".into(), name: "n".into(), parent: String::new() }],
        users: vec![person("off", true)],
    };
    let made = store.directory_change(back, false, now).await.expect("changes");
    assert_eq!((made.groups_new, made.users_changed), (1, 1), "{made:?}");
    assert_eq!(inboxes(store).await, before, "who comes back finds what was theirs");
    let fresh = store.groups_find(GroupKind::Role, vec!["new".into()]).await.expect("finds")[0].no;
    for kind in GroupKind::ALL {
        let groups = store.groups_page(kind, None, 99).await.expect("lists");
        assert!(groups.iter().all(|group| group.no < fresh || group.code == "new"), "a number is given once");
    }
    let told = broadcast(store, now + Duration::from_secs(1), "b-9").await;
    for user in ["ann", "bob", "off"] {
        let found = store.inbox(user.into(), InboxFilter::default(), None, 1).await.expect("lists");
        assert_eq!(found.first().map(|item| item.id), Some(told), "{user}");
    }
    assert_eq!(store.message_hasten(filled.people, now).await, Ok(true));
    let due = store.expansions(None, 9, now).await.expect("lists");
    let due: Vec<_> = due.into_iter().map(|next| (next.message.id, next.place, next.rest.who)).collect();
    let list = Who::Listed(vec![Listed { way: way(MAIL), addressees: Vec::new() }]);
    let half = Place { step: 1, mark: "2:鸿雁".into() };
    assert_eq!(due, [(filled.people, Place::default(), waiting()), (filled.list, half, list)]);
}
