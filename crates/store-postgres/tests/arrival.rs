//! A store that arrives from elsewhere: where it may, what becomes of a move that does not end, what is there afterwards.

use std::{sync::Arc, time::Duration};

use hongyan_core::{
    account::{self, AccountAdded, AccountChange, AccountNo, Follower, Profile, Role},
    content::{Agent, Content, Notice},
    delivery::{Policy, Reason, Repeat, State, Track},
    directory::{DirectoryChange, Group, GroupEntry, GroupKind, GroupNo},
    history::HistoryFilter,
    id::{Id, IdSource},
    inbox::{InboxFilter, NewItem},
    message::{Dialect, Label, Message, MessageState, Priority},
    pace::Meter,
    quota::{Account, Day, Entry},
    retry::RetrySchedule,
    setup::{AppNo, ChannelNo, ProviderNo, User},
    store::{
        Accounts, Attempt, Capture, Captures, Declaration, Declarations, Deliveries, Depth, Directory, Followers,
        Inboxes, Messages, People, Place, Recovered, Rest, Upkeep, Way, Who,
    },
    time::{Clock, SystemClock, Timestamp},
    transfer::{
        MovedAttachment, MovedBroadcast, MovedDelivery, MovedExpansion, MovedItem, MovedKey, MovedMessage, MovedPage,
        Presence, Rows,
    },
};
use hongyan_store_postgres::{Arrival, ArrivalError, OpenError, Options, PostgresStore, open};
use hongyan_store_suite::postgres::{shared, sql};

const MAIL: ChannelNo = ChannelNo(1);
const INBOX: ChannelNo = ChannelNo(2);
const APP: AppNo = AppNo(7);

async fn begin(url: &str, start_over: bool) -> Result<Arrival, ArrivalError> {
    Arrival::begin(url, 1, start_over).await
}

fn message(id: Id, now: Timestamp) -> MovedMessage {
    let message = Message {
        id,
        app: APP,
        dialect: Dialect::Cmsi,
        operation: "send_mail".to_owned(),
        user: "admin".to_owned(),
        client: "192.0.2.7".to_owned(),
        priority: Priority::Middle,
        state: MessageState::Expanded,
        label: Label { business: "order 7".to_owned(), template: "MSG1".to_owned(), ..Label::default() },
        accepted: now,
        expires: now + Duration::from_secs(3_600),
    };
    MovedMessage { message, channel: MAIL, last: id.plus(3), attachments: 1, content: b"{}".to_vec() }
}

fn delivery(message: Id, n: usize, state: State, now: Timestamp) -> MovedDelivery {
    let reply = "250 taken\0".to_owned();
    let attempt = Attempt { provider: ProviderNo(1), started: now, took_ms: 3, outcome: "accepted".to_owned(), reply };
    let reason = (state == State::Failed).then_some(Reason::RecipientRefused);
    let track = Track { state, reason, lease: 2, tries: 1, ..Track::ready(now, now + Duration::from_secs(3_600)) };
    MovedDelivery {
        id: message.plus(n),
        message,
        parcel: message.plus(n),
        channel: MAIL,
        // What failed is an account's.
        app: if state == State::Failed { AccountNo(9).as_app() } else { APP },
        priority: Priority::Middle,
        track,
        recipient: "who".to_owned(),
        address: "who@example.com".to_owned(),
        attempts: vec![attempt; n],
    }
}

fn caller(name: &str, phone: &str) -> account::Account {
    let profile = Profile {
        password: "hash".to_owned(),
        role: Role::Admin,
        per_hour: u32::MAX,
        per_day: 0,
        available: true,
        enabled: true,
        contacts: [phone.to_owned(), String::new(), String::new()],
    };
    account::Account { no: AccountNo(9), name: name.to_owned(), created: two_days_ago(), profile }
}

fn follower(tag: u32, subscribed: bool) -> Follower {
    Follower { tag, openid: "openid".to_owned(), subscribed }
}

/// How far the message is expanded.
fn place() -> Place {
    Place { step: 3, mark: "behind".to_owned() }
}

fn rest(now: Timestamp) -> Rest {
    let people = People { departments: vec!["d".to_owned()], with_below: true, ..People::default() };
    let ways = [INBOX, MAIL].map(|channel| Way { channel, parcel_max: 9 });
    Rest { due: now, who: Who::People { ways: ways.to_vec(), people } }
}

fn group(no: u32, code: &str, parent: Option<u32>) -> Group {
    let (code, name) = (code.to_owned(), format!("the {code}"));
    Group { no: GroupNo(no), kind: GroupKind::Department, code, name, parent: parent.map(GroupNo) }
}

/// An own item, or what somebody did with a broadcast.
fn item(message: Id, id: Id, at: Timestamp) -> MovedItem {
    let item = NewItem {
        id,
        user: "p".to_owned(),
        message,
        app: APP,
        channel: INBOX,
        business: "order 7".to_owned(),
        kind: "notice".to_owned(),
        at,
    };
    MovedItem { item, broadcast: id == message, read: id == message, archived: false, deleted: false }
}

/// The directory, and an inbox with an item and a broadcast.
fn people(id: Id, now: Timestamp) -> Vec<Rows> {
    let user = User { code: "p".to_owned(), email: "p@b.com".to_owned(), enabled: true, ..User::default() };
    let presence = |since, until| Presence { user: "p".to_owned(), since, until };
    let until = now + Duration::from_secs(1);
    let broadcast = MovedBroadcast {
        message: id,
        app: APP,
        channel: INBOX,
        business: "order 7".to_owned(),
        kind: "notice".to_owned(),
        at: now,
    };
    vec![
        Rows::People(vec![user]),
        Rows::Presences(vec![
            presence(Timestamp::from_ms(0), Some(until)),
            presence(until + Duration::from_secs(1), None),
        ]),
        Rows::Groups(vec![group(4, "d", None), group(6, "e", Some(4))]),
        Rows::Members(vec![("p".to_owned(), GroupNo(6))]),
        Rows::Items(vec![item(id, id.plus(1), now), item(id, id, now)]),
        Rows::Broadcasts(vec![broadcast]),
    ]
}

/// A row or a few of each kind; the message is the second of two, and of two days ago.
fn everything(id: Id, now: Timestamp) -> Vec<Rows> {
    let deliveries =
        [State::Ready, State::Leased, State::Failed].iter().zip(1..).map(|(state, n)| delivery(id, n, *state, now));
    let day = Day { begin: now, end: Timestamp::MAX };
    let name = || "account/1".to_owned();
    let capture = Capture {
        id: id.plus(9),
        message: id,
        provider: "c".to_owned(),
        at: now,
        sender: "s".to_owned(),
        recipients: vec!["r".to_owned()],
        body: b"body".to_vec(),
    };
    let key = MovedKey {
        app: APP,
        key: "k".to_owned(),
        fingerprint: vec![7; 32],
        message: id,
        expires: now + Duration::from_secs(3_600),
        answer: Some("{}".to_owned()),
    };
    let declaration = Declaration { kind: "app".to_owned(), code: "a".to_owned(), no: 7, doc: "{}".to_owned() };
    let mut rows = vec![
        Rows::Messages(vec![message(id, now)]),
        Rows::Attachments(vec![MovedAttachment { message: id, no: 0, body: b"bytes".to_vec() }]),
        Rows::Deliveries(deliveries.collect()),
        Rows::Pages(vec![MovedPage { message: id, first: id.plus(300), last: id.plus(301) }]),
        Rows::Expansions(vec![MovedExpansion { message: id, place: place(), rest: rest(now) }]),
        Rows::Keys(vec![key]),
        Rows::Declarations(vec![declaration]),
        Rows::Numberings(vec![
            ("app".to_owned(), 9),
            ("account".to_owned(), 17),
            ("follower".to_owned(), 10_002),
            ("group".to_owned(), 8),
        ]),
        Rows::Setup { version: 4, plan: "hash".to_owned() },
        Rows::Notes(vec![("check".to_owned(), "value".to_owned())]),
        Rows::Captures(vec![capture]),
        Rows::Accounts(vec![(name(), Account::new(day, now))]),
        Rows::Entries(vec![(name(), id, Entry { at: now, day: now, amount: 3 })]),
        Rows::Meters(vec![("pace".to_owned(), Meter::new(now))]),
        Rows::Callers(vec![caller("天存", "138")]),
        Rows::Followers(vec![(ProviderNo(1), follower(10_001, true)), (ProviderNo(2), follower(10_002, false))]),
    ];
    rows.extend(people(id, now));
    rows
}

fn two_days_ago() -> Timestamp {
    SystemClock.now() - Duration::from_secs(2 * 86_400)
}

fn an_id(at: Timestamp) -> Id {
    IdSource::new(0, None).block(400, 0, at).expect("ids")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_arrives_is_a_store_afterwards() {
    let url = shared().fresh_schema();
    let (now, arrival) = (two_days_ago(), begin(&url, false).await.expect("an empty database"));
    let id = an_id(now);
    for rows in everything(id, now) {
        arrival.take(&rows).await.unwrap_or_else(|error| panic!("{rows:?}: {error}"));
    }
    let counts = arrival.counts().await.expect("counts");
    let expected = [
        ("accounts", 1),
        ("admissions", 1),
        ("attachment_bytes", 5),
        ("attachments", 1),
        ("attempts", 6),
        ("broadcasts", 1),
        ("callers", 1),
        ("captures", 1),
        ("content_bytes", 2),
        ("declarations", 1),
        ("deliveries_failed", 1),
        ("deliveries_leased", 1),
        ("deliveries_ready", 1),
        ("expansions", 1),
        ("followers", 2),
        ("groups", 2),
        ("items", 2),
        ("keys", 1),
        ("members", 1),
        ("messages", 1),
        ("meters", 1),
        ("notes", 1),
        ("pages", 1),
        ("people", 1),
        ("presences", 2),
    ];
    assert_eq!(counts.beside(&counts).map(|(kind, count, _)| (kind, count)).collect::<Vec<_>>(), expected);
    arrival.finish().await.expect("finishes");

    let node = open(&url, Options::default()).await.expect("a store");
    let (two_days, now) = (now, node.clock().now());
    let depths = node.depths().await.expect("reads");
    assert_eq!(depths.iter().map(|Depth { channel, ready, .. }| (*channel, *ready)).collect::<Vec<_>>(), [(MAIL, 1)]);
    let policy = Arc::new(Policy { repeat: Repeat::AtLeastOnce, retry: RetrySchedule::mail() });
    let recovered = node.recover(Arc::new(move |_| Arc::clone(&policy)), now).await.expect("recovers");
    assert_eq!(recovered, Recovered { ready: 1, ..Recovered::default() }, "what the old store's node held");
    let record = node.message_read(id).await.expect("reads").expect("is there");
    assert_eq!(record.message.state, MessageState::Expanding);
    let deliveries: Vec<_> = record.deliveries.iter().map(|d| (d.id, d.track.state, d.attempts.len())).collect();
    let stands = |n, state| (id.plus(n), state, n);
    assert_eq!(deliveries, [stands(1, State::Ready), stands(2, State::Ready), stands(3, State::Failed)]);
    assert_eq!(record.deliveries[0].attempts[0].reply, "250 taken ");
    assert_eq!((record.deliveries[1].track.crashes, record.deliveries[1].track.maybe_duplicate), (1, true));
    let [expansion] = &node.expansions(None, 9, now).await.expect("reads")[..] else { panic!("one is being expanded") };
    assert_eq!((&expansion.place, &expansion.rest), (&place(), &rest(two_days)));
    let [found] = node.messages_of_business(APP, "order 7".to_owned(), None, 9).await.expect("finds")[..] else {
        panic!("one is about it")
    };
    assert_eq!((found, &record.message.label), (id, &message(id, now).message.label));
    assert_eq!(node.answer_read(APP, "k".to_owned()).await, Ok(Some("{}".to_owned())));
    assert_eq!(node.note_read("check").await, Ok(Some("value".to_owned())));
    assert_eq!(node.note_read("migration").await, Ok(None));
    let (version, declared) = node.declarations().await.expect("reads");
    assert_eq!((version, declared[0].no), (4, 7));
    assert_eq!(node.users_find(vec!["p".to_owned()]).await.expect("reads")[0].email, "p@b.com");
    assert_eq!(node.captures(None, 9).await.expect("reads")[0].body, b"body");
    assert_eq!(sql(&url, "select captures, bytes from captured").as_deref(), Ok("1|4"));
    accounts_are_there(&node).await;
    people_are_there(&node, id).await;
    node.close().await;
}

/// The directory, and what lies in an inbox; numbers of groups go on behind the last.
async fn people_are_there(node: &PostgresStore, id: Id) {
    let d = node.groups_find(GroupKind::Department, vec!["d".to_owned()]).await.expect("finds");
    assert_eq!(d, [group(4, "d", None)]);
    assert_eq!(node.groups_below(vec![GroupNo(4)]).await, Ok(vec![GroupNo(4), GroupNo(6)]));
    let found = node.members(vec![GroupNo(6)], None, 9).await.expect("finds");
    assert_eq!(found.iter().map(|member| member.user.code.as_str()).collect::<Vec<_>>(), ["p"]);
    let entry = GroupEntry { kind: GroupKind::Role, code: "r".to_owned(), name: String::new(), parent: String::new() };
    let change = DirectoryChange { groups: vec![entry], ..DirectoryChange::default() };
    node.directory_change(change, false, node.clock().now()).await.expect("changes");
    let r = node.groups_find(GroupKind::Role, vec!["r".to_owned()]).await.expect("finds");
    assert_eq!(r.iter().map(|group| group.no).collect::<Vec<_>>(), [GroupNo(9)]);
    let inbox = node.inbox("p".to_owned(), InboxFilter::default(), None, 9).await.expect("lists");
    let found: Vec<_> = inbox.iter().map(|item| (item.id, item.broadcast, item.read)).collect();
    assert_eq!(found, [(id.plus(1), false, false), (id, true, true)]);
    assert_eq!(node.inbox_unread("p".to_owned()).await, Ok(1));
}

/// Accounts, what they sent, and followers; what follows goes on from there.
async fn accounts_are_there(node: &PostgresStore) {
    let now = node.clock().now();
    let kept = node.account_find("天存".to_owned()).await.expect("reads").expect("is there");
    assert_eq!((kept.no, &kept.profile), (AccountNo(9), &caller("", "138").profile));
    let add = |name: &str, phone: &str| node.account_add(name.to_owned(), caller("", phone).profile, now);
    assert_eq!(add("b", "138").await, Ok(AccountAdded::ContactTaken));
    let Ok(AccountAdded::Yes(added)) = add("b", "139").await else { panic!("is added") };
    assert_eq!(added.no, AccountNo(18));
    let password = AccountChange { password: Some("other".to_owned()), ..AccountChange::default() };
    assert!(node.account_token_add("天存".to_owned(), "hash".to_owned(), [1; 32], Timestamp::MAX).await.expect("adds"));
    assert!(node.account_token_find([1; 32], now).await.expect("finds").is_some());
    node.account_change("天存".to_owned(), password).await.expect("changes");
    assert_eq!(node.account_token_find([1; 32], now).await, Ok(None));
    let history = node.history(HistoryFilter::default(), 0, 9).await.expect("lists");
    assert_eq!((history.total, history.rows.len()), (1, 1));
    assert_eq!((history.rows[0].account, history.rows[0].client.as_str()), (AccountNo(9), "192.0.2.7"));
    let tag = |provider, openid: &str| node.follower_tag(ProviderNo(provider), openid.to_owned());
    assert_eq!(tag(2, "openid").await, Ok((follower(10_002, false), false)));
    assert_eq!(node.followers(ProviderNo(1), vec![10_001, 10_002]).await, Ok(vec![follower(10_001, true)]));
    assert_eq!(tag(2, "other").await.expect("answers").0.tag, 10_003);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_not_empty_is_left_untouched() {
    let url = shared().fresh_schema();
    let node = open(&url, Options::default()).await.expect("opens");
    let refused = begin(&url, false).await.err().expect("a node lives");
    assert!(matches!(refused, ArrivalError::InUse { nodes: 1 }), "{refused}");
    node.stopping().await.expect("says so");
    assert_eq!(sql(&url, "select stopping from node where ended is null").as_deref(), Ok("t"));
    let refused = begin(&url, false).await.err().expect("it has not left yet");
    assert!(matches!(refused, ArrivalError::InUse { nodes: 1 }), "{refused}");
    node.note_once("check", "value").await.expect("writes");
    node.close().await;
    for start_over in [false, true] {
        let refused = begin(&url, start_over).await.err().expect("it has a note").to_string();
        assert!(refused.contains("notes") && refused.contains("left untouched"), "{refused}");
    }
    assert_eq!(sql(&url, "select key from note").as_deref(), Ok("check"));
    sql(&url, "delete from note").expect("emptied");
    begin(&url, false).await.expect("empty now");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_that_does_not_end_leaves_no_store_and_is_begun_anew() {
    let url = shared().fresh_schema();
    let (now, first) = (two_days_ago(), begin(&url, false).await.expect("an empty database"));
    let id = an_id(now);
    for rows in everything(id, now) {
        first.take(&rows).await.expect("takes");
    }
    let refused = open(&url, Options::default()).await.err().expect("no store yet");
    assert!(matches!(refused, OpenError::Unfinished) && refused.to_string().contains("hongyan migrate"), "{refused}");
    assert_eq!(sql(&url, "select count(*) from node where ended is null").as_deref(), Ok("0"));
    let refused = begin(&url, false).await.err().expect("another may be under way");
    assert!(matches!(refused, ArrivalError::Unfinished), "{refused}");
    let second = begin(&url, true).await.expect("begins anew");
    for kind in ["messages", "notes", "deliveries_ready", "meters", "keys", "callers", "followers", "groups", "items"] {
        assert_eq!(second.counts().await.expect("counts").get(kind), 0, "{kind}");
    }
    for rows in everything(id, now) {
        let refused = first.take(&rows).await.expect_err("its time is over");
        assert!(matches!(refused, ArrivalError::Overtaken), "{refused}");
        second.take(&rows).await.expect("takes");
    }
    assert!(matches!(first.finish().await, Err(ArrivalError::Overtaken)));
    second.finish().await.expect("finishes");
    let node = open(&url, Options::default()).await.expect("a store");
    assert_eq!(node.depths().await.expect("reads")[0].ready, 1, "counted once");
    node.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_arrives_is_erased_in_the_end() {
    let url = shared().fresh_schema();
    let (now, arrival) = (two_days_ago(), begin(&url, false).await.expect("an empty database"));
    let ids = [an_id(now), an_id(now + Duration::from_secs(1))];
    let agent = Some(Agent { id: Some(7), secret: Some("sealed".to_owned()) });
    let content = Content::Notice(Notice { agent, ..Notice::default() }).to_bytes();
    let messages = ids.map(|id| MovedMessage { content: content.clone(), attachments: 0, ..message(id, now) });
    let ends = [(ids[0], State::Failed), (ids[1], State::Ready)].map(|(id, state)| delivery(id, 1, state, now));
    for rows in [Rows::Messages(messages.to_vec()), Rows::Deliveries(ends.to_vec())] {
        arrival.take(&rows).await.expect("is taken");
    }
    arrival.finish().await.expect("finishes");
    let node = open(&url, Options::default()).await.expect("a store");
    assert_eq!(node.secrets_erase(9).await, Ok(1));
    let cargo = node.cargo_read(ids.to_vec()).await.expect("reads");
    let has_secret = |id| cargo.iter().find(|(of, _)| *of == id).expect("is there").1.content.has_secret();
    assert_eq!(ids.map(has_secret), [false, true], "the other is still to be sent");
    node.close().await;
}
