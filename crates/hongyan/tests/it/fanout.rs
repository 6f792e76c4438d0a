//! Messages to very many people from outside: nodes that are killed in the middle, nodes that share the work, providers that are
//! down. Judged by what readers find, what a mail server was given and what a provider was told; where all of many thousands have
//! to be counted, by a look into the stopped store.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::{
    push::talk::{app, channel, inbox_channel, mail, person, provider, unread},
    support::{
        PATIENCE,
        fleet::{Fleet, Known, this, wait_for_shares},
        judge::{Judge, Temper},
        place::{Place, on_both_stores},
        push::{accepted, message, push},
        server::{Home, Server, binary, smtp},
        sink::{Manners, Sink},
        wait_for,
    },
};

on_both_stores!(a_provider_that_is_down_holds_up_nobody_else);

const BY: (&str, &str) = ("a", "s");

fn name(n: usize) -> String {
    format!("p{n:05}")
}

fn mailbox(n: usize) -> String {
    format!("{}@example.com", name(n))
}

fn phone(n: usize) -> String {
    format!("+86138{n:08}")
}

/// So many people, all of the department D, put into the directory by the command; one in `one_in` has a mailbox.
fn crowd(home: &Home, config: &Path, server: &Server, people: usize, one_in: usize) {
    let mailbox = |n: usize| if n.is_multiple_of(one_in) { mailbox(n) } else { String::new() };
    let rows = (0..people).map(|n| format!("{},{},{},D\n", name(n), mailbox(n), phone(n)));
    let users = home.write("users.csv", &(String::from("code,email,phone,departments\n") + &rows.collect::<String>()));
    let departments = home.write("departments.csv", "code,name\nD,All of them\n");
    let mut command = Command::new(binary());
    command.args(["directory", "import", "--apply", "--users"]).arg(users).arg("--departments").arg(departments);
    command.arg("--config").arg(config).arg("--server").arg(server.address.to_string());
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// What app a is answered that sends to everybody of D; the request is answered before anybody is looked for.
fn to_all_of_d(server: &Server, content: Value) -> String {
    let fields = json!({ "receiverData": { "dept": ["D"] }, "channelData": content });
    accepted(&push(server, "channel", "a", fields))
}

/// What lies in the file of a stopped store.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    /// Whether somebody is still to be found.
    expanding: bool,
    deliveries: usize,
    recipients: usize,
    items: usize,
    readers: usize,
    /// Deliveries that are not accepted.
    open: usize,
}

fn look(place: &Place) -> Found {
    let db = Connection::open(place.home().path("hongyan.db")).expect("the store's file");
    let count = |what: &str| -> usize {
        let counted = db.query_row(&format!("select count({what}"), [], |row| row.get::<_, i64>(0));
        usize::try_from(counted.unwrap_or_else(|error| panic!("{what}: {error}"))).expect("a number")
    };
    Found {
        expanding: count("*) from expansion") == 1,
        deliveries: count("*) from delivery"),
        recipients: count("distinct recipient) from delivery"),
        items: count("*) from inbox_item"),
        readers: count("distinct user) from inbox_item"),
        open: count("*) from delivery where state <> 3"),
    }
}

#[test]
fn two_kills_in_the_middle_lose_nobody_and_repeat_nobody() {
    const PEOPLE: usize = 50_000;
    let mut place = Place::embedded();
    let plan = app("a", "") + &inbox_channel();
    let server = place.start(&plan);
    crowd(place.home(), &place.config(), &server, PEOPLE, 1);
    let began = Instant::now();
    let id = to_all_of_d(&server, json!({ "1002": { "title": "t", "content": "c" } }));
    let took = began.elapsed();
    assert!(took < Duration::from_secs(2), "it is accepted before people are looked for, not after {took:?}");

    let mut server = server;
    let mut before = 0;
    for enough in [1.0, 8_000.0] {
        wait_for("some items", PATIENCE, || (server.metric("hongyan_delivered_total") >= enough).then_some(()));
        server.kill();
        let found = look(&place);
        assert!(found.expanding, "it was killed too late to prove anything: {found:?}");
        // What was put and not recorded is put again, so that there need not be more than before.
        assert!(found.items >= before.max(1) && found.items < PEOPLE, "{found:?} after {before} items");
        assert_eq!((found.recipients, found.readers), (found.deliveries, found.items), "nobody twice");
        before = found.items;
        server = place.start(&plan);
    }
    wait_for("everybody", PATIENCE, || {
        let is_last_reached = unread(&server, BY, &name(PEOPLE - 1)) == 1;
        (is_last_reached && server.metric("hongyan_queue_depth") == 0.0).then_some(())
    });
    for user in (0..PEOPLE).step_by(997).map(name) {
        assert_eq!(unread(&server, BY, &user), 1, "{user}");
    }
    assert_eq!(message(&server, &id)["tally"], json!({ "accepted": PEOPLE }));
    assert!(server.terminate().success());
    let all =
        Found { expanding: false, deliveries: PEOPLE, recipients: PEOPLE, items: PEOPLE, readers: PEOPLE, open: 0 };
    assert_eq!(look(&place), all);
}

/// How many mails each mailbox got from the `from`-th mail on.
fn mails(sink: &Sink, from: usize) -> BTreeMap<String, usize> {
    let mut mails = BTreeMap::new();
    for taken in &sink.taken()[from..] {
        assert_eq!(taken.recipients.len(), 1, "{taken:?}");
        *mails.entry(taken.recipients[0].clone()).or_default() += 1;
    }
    mails
}

#[test]
fn three_nodes_share_a_fan_out_and_two_end_what_the_third_began() {
    // Enough pages that some fall to each node, and few enough mails that it does not take long.
    const PEOPLE: usize = 30_000;
    const ONE_IN: usize = 5;
    const MAILS: usize = PEOPLE / ONE_IN;
    // So slow that it is not over before the other nodes look, and that who has a share is in the middle of it for a while.
    let sink = Sink::start(Manners { delay: Duration::from_millis(30), ..Manners::default() });
    let plan = app("a", "") + &provider("sink", &smtp(sink.address)) + &channel("1003", "mail", "sink");
    let fleet = Fleet::new(hongyan_store_suite::postgres::shared().fresh_schema(), plan);
    let mut nodes = fleet.start(3);
    wait_for_shares(&nodes[0], 3);
    crowd(&fleet.home, &fleet.home.path("node0.toml"), &nodes[0], PEOPLE, ONE_IN);
    let everyone: BTreeSet<String> = (0..PEOPLE).step_by(ONE_IN).map(mailbox).collect();

    let id = to_all_of_d(&nodes[0], mail("to all"));
    wait_for("each of them to have a mail", PATIENCE, || (sink.count() >= MAILS).then_some(()));
    let ended = |id: &str| {
        wait_for("the queue to be empty", PATIENCE, || {
            (fleet.sql("select count(*) from delivery") == "0").then_some(())
        });
        let done = format!(
            "select state, count(*), count(distinct recipient) from done where message = {id} group by state order by state"
        );
        let skipped = PEOPLE - MAILS;
        let all = format!("3|{MAILS}|{MAILS}\n10|{skipped}|{skipped}");
        assert_eq!(fleet.sql(&done), all, "each is accepted or skipped, and once on record");
    };
    ended(&id);
    let first = mails(&sink, 0);
    assert!(first.values().all(|mails| *mails == 1), "each exactly one");
    assert_eq!(first.into_keys().collect::<BTreeSet<_>>(), everyone);
    let shares: Vec<f64> = nodes.iter().map(|node| node.metric("hongyan_delivered_total")).collect();
    assert_eq!(shares.iter().sum::<f64>(), MAILS as f64, "{shares:?}");
    assert!(shares.iter().all(|share| *share >= MAILS as f64 / 50.0), "each has its share: {shares:?}");

    let from = sink.count();
    let id = to_all_of_d(&nodes[0], mail("to all once more"));
    let names: Vec<Known> = nodes.iter().map(this).collect();
    let victim = wait_for("a node in the middle of its share", PATIENCE, || {
        names.iter().position(|node| fleet.held_by(node) >= 16 && sink.count() >= from + MAILS / 20)
    });
    let dead = &names[victim];
    nodes.remove(victim).kill();
    let held = format!(
        "select recipient from delivery where node = {} and epoch = {} and state in (1, 2)",
        dead.number, dead.epoch
    );
    let held = fleet.sql(&held);
    let held: HashSet<String> = held.lines().map(|code| format!("{code}@example.com")).collect();
    assert!(!held.is_empty() && sink.count() < from + MAILS, "it was killed too late to prove anything");
    wait_for("each to have the second mail", PATIENCE, || {
        (sink.count() >= from + MAILS && mails(&sink, from).len() == MAILS).then_some(())
    });
    ended(&id);
    let second = mails(&sink, from);
    assert_eq!(second.keys().cloned().collect::<BTreeSet<_>>(), everyone);
    for (mailbox, mails) in second {
        assert!(mails == 1 || mails == 2 && held.contains(&mailbox), "{mailbox} got {mails}, held were {}", held.len());
    }
}

fn a_provider_that_is_down_holds_up_nobody_else(mut place: Place) {
    const PEOPLE: usize = 6_000;
    let judge = Judge::start(Temper::default());
    let down = Sink::start(Manners::default());
    let address = down.address;
    drop(down);
    let plan = app("a", "")
        + &app("b", "")
        + &person("other", "phone = \"+8613900000000\"")
        + &provider("mail", &smtp(address))
        + &provider("sms", &judge.provider(16, Duration::ZERO))
        + &channel("1003", "mail", "mail")
        + &channel("1001", "sms", "sms");
    let server = place.start(&plan);
    crowd(place.home(), &place.config(), &server, PEOPLE, 1);
    let mut content = mail("c");
    content["1001"] = json!({ "content": "c" });
    let big = to_all_of_d(&server, content);
    let delivered = || server.metric("hongyan_delivered_total");
    wait_for("some texts", PATIENCE, || (delivered() >= 200.0).then_some(()));

    let fields = json!({ "receiverData": { "user": ["other"] }, "channelData": { "1001": { "content": "c" } } });
    let began = Instant::now();
    accepted(&push(&server, "channel", "b", fields));
    wait_for("the small one", PATIENCE, || judge.arrived().contains_key("+8613900000000").then_some(()));
    let (took, so_far) = (began.elapsed(), judge.arrived().len());
    assert!(so_far < PEOPLE, "the large one was over before the small one was looked at");
    assert!(took < Duration::from_secs(10), "the small one waited {took:?} while {so_far} others went");

    wait_for("all texts", PATIENCE, || (delivered() >= PEOPLE as f64 + 1.0).then_some(()));
    let arrived = judge.arrived();
    assert!(arrived.values().all(|deliveries| deliveries.len() == 1), "each once");
    assert_eq!(arrived.len(), PEOPLE + 1);
    assert!((0..PEOPLE).all(|n| arrived.contains_key(&phone(n))), "and everybody");
    assert!(server.metric("hongyan_breaker_open") >= 1.0, "the mail server is still away");

    let sink = Sink::start_at(address, Manners::default());
    wait_for("all mails", 2 * PATIENCE, || (sink.count() >= PEOPLE).then_some(()));
    let shown = wait_for("all to be recorded", PATIENCE, || {
        let shown = message(&server, &big);
        (shown["tally"] == json!({ "accepted": 2 * PEOPLE })).then_some(shown)
    });
    assert_eq!(shown["state"], "expanded");
    let mails = mails(&sink, 0);
    assert!(mails.values().all(|mails| *mails == 1), "each once");
    assert_eq!(mails.into_keys().collect::<BTreeSet<_>>(), (0..PEOPLE).map(mailbox).collect());
}
