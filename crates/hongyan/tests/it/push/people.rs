//! Who gets a message of the push platform: everyone, or people by what they are and belong to; each once, and on record where it
//! was not possible.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::talk::{app, ask_inbox, channel, deliveries, inbox, inbox_channel, mail, person, provider, settled, states};
use crate::support::{
    place::{Place, on_both_stores},
    push::{accepted, push},
    server::{Server, smtp},
    sink::{Manners, Sink},
};

on_both_stores!(everyone_is_who_is_there_and_enabled, whoever_is_meant_in_many_ways_gets_it_once);

const BY: (&str, &str) = ("a", "s");
/// More than a page holds.
const EVERYONE: usize = 1_100;

fn name(n: usize) -> String {
    format!("p{n:04}")
}

/// One in a hundred has no mailbox, and one in a hundred is disabled.
fn crowd() -> String {
    let keys = |n: usize| match n % 100 {
        7 => String::new(),
        9 => format!("email = \"{}@example.com\"\nenabled = false", name(n)),
        _ => format!("email = \"{}@example.com\"", name(n)),
    };
    (0..EVERYONE).map(|n| person(&name(n), &keys(n))).collect()
}

fn plan(sink: &Sink, more: &str) -> String {
    let mail = provider("sink", &smtp(sink.address)) + &channel("1003", "mail", "sink");
    app("a", "broadcast = true") + &mail + &inbox_channel() + more
}

/// Who got how many mails.
fn mailboxes(sink: &Sink) -> Vec<String> {
    let mut boxes: Vec<_> = sink.taken().into_iter().flat_map(|mail| mail.recipients).collect();
    boxes.sort_unstable();
    boxes
}

fn to_everyone(server: &Server) -> String {
    let mut content = mail("c");
    content["1002"] = json!({ "title": "to all", "content": "<p>hello</p>" });
    accepted(&push(
        server,
        "channel",
        "a",
        json!({ "receiverType": "all", "receiverData": null, "channelData": content }),
    ))
}

fn everyone_is_who_is_there_and_enabled(mut place: Place) {
    let sink = Sink::start(Manners::default());
    let server = place.start(&plan(&sink, &crowd()));
    let id = to_everyone(&server);
    let message = settled(&server, &id);
    let wanted: Vec<_> =
        (0..EVERYONE).filter(|n| ![7, 9].contains(&(n % 100))).map(|n| name(n) + "@example.com").collect();
    assert_eq!(mailboxes(&sink), wanted, "each one mail, and nobody else");
    assert_eq!(message["tally"], json!({ "accepted": wanted.len(), "skipped": 11 }));
    let found = states(&message, "1003");
    assert_eq!(found["p0007"], ("skipped", "no_address"));
    assert!(!found.contains_key("p0009"), "who is disabled is not even left out");
    assert_eq!(states(&message, "1002").len(), 0, "the inbox has one row, and no deliveries");

    let sample = || (0..EVERYONE).step_by(37).filter(|n| n % 100 != 9).map(name).chain(["p0007".to_owned()]);
    for user in sample() {
        let items = inbox(&server, BY, &user);
        assert_eq!(items.len(), 1, "{user}: {items:?}");
        assert_eq!((&items[0]["message"], &items[0]["broadcast"]), (&json!(id), &json!(true)));
        assert_eq!((&items[0]["title"], &items[0]["html"]), (&json!("to all"), &json!("<p>hello</p>")));
    }
    assert_eq!(inbox(&server, BY, "p0009").len(), 0, "who was disabled then");
    assert_eq!(ask_inbox(&server, BY, "", "late").status, 404);

    let put = |user: &str, body: Value| {
        let reply = server.administer("PUT", &format!("/v1/directory/users/{user}"), &body);
        assert!([200, 201].contains(&reply.status), "{reply:?}");
    };
    put("late", json!({ "email": "late@example.com" }));
    put("p0009", json!({ "email": "p0009@example.com", "enabled": true }));
    put("p0001", json!({ "email": "p0001@example.com", "enabled": false }));
    for user in ["late", "p0009"] {
        assert_eq!(inbox(&server, BY, user).len(), 0, "{user} came after it");
    }
    let second = to_everyone(&server);
    settled(&server, &second);
    for (user, wanted) in [("late", vec![&second]), ("p0009", vec![&second]), ("p0000", vec![&second, &id])] {
        let messages: Vec<_> = inbox(&server, BY, user).into_iter().map(|item| item["message"].clone()).collect();
        assert_eq!(messages, wanted.into_iter().map(|id| json!(id)).collect::<Vec<_>>(), "{user}");
    }
    let count = |user: &str| mailboxes(&sink).iter().filter(|found| **found == format!("{user}@example.com")).count();
    assert_eq!(["late", "p0009", "p0001", "p0000"].map(count), [1, 1, 1, 2]);
}

/// D1 has D2 below it, that one D3.
const TREE: &str = r#"
[[department]]
code = "D3"
parent = "D2"
[[department]]
code = "D1"
[[department]]
code = "D2"
parent = "D1"
[[department]]
code = "E"
[[post]]
code = "P"
[[role]]
code = "R"
[[role]]
code = "EMPTY"
"#;

fn people() -> String {
    let with_mail = |code: &str, keys: &str| person(code, &format!("email = \"{code}@example.com\"\n{keys}"));
    TREE.to_owned()
        + &with_mail("every", "departments = [\"D1\", \"D3\"]\nposts = [\"P\"]\nroles = [\"R\"]")
        + &with_mail("top", "departments = [\"D1\"]")
        + &with_mail("middle", "departments = [\"D2\", \"E\"]")
        + &with_mail("bottom", "departments = [\"D3\"]\nroles = [\"R\"]")
        + &with_mail("post", "posts = [\"P\"]")
        + &with_mail("role", "roles = [\"R\"]")
        + &with_mail("other", "departments = [\"E\"]")
        + &with_mail("away", "departments = [\"D1\"]\nposts = [\"P\"]\nenabled = false")
        + &with_mail("gone", "enabled = false")
        + &person("silent", "departments = [\"D3\"]")
        + &person("mute", "")
}

fn whoever_is_meant_in_many_ways_gets_it_once(mut place: Place) {
    let sink = Sink::start(Manners::default());
    let server = place.start(&plan(&sink, &people()));
    let to = json!({
        "user": ["every", "gone", "nobody", "mute", " every ", "role"],
        "dept": ["D1", "D3", "D9"], "post": ["P"], "role": ["R", "EMPTY", "R9"],
    });
    let reply = push(&server, "channel", "a", json!({ "receiverData": to, "channelData": mail("c") }));
    let invalid = json!({ "user": ["gone", "nobody"], "dept": ["D9"], "role": ["R9"] });
    assert_eq!(reply["invalid"], invalid, "{reply}");
    let message = settled(&server, &accepted(&reply));
    let reached: BTreeSet<&str> = ["every", "top", "middle", "bottom", "post", "role"].into();
    let mut wanted: Vec<_> = reached.iter().map(|code| format!("{code}@example.com")).collect();
    wanted.sort_unstable();
    assert_eq!(mailboxes(&sink), wanted, "one mail each, {message}");
    let found = states(&message, "1003");
    for code in &reached {
        assert_eq!(found[code], ("accepted", ""), "{code}: {message}");
    }
    let skipped = [
        ("silent", "no_address"),
        ("mute", "no_address"),
        ("gone", "unknown_user"),
        ("nobody", "unknown_user"),
        ("D9", "unknown_group"),
        ("R9", "unknown_group"),
    ];
    for (code, reason) in skipped {
        assert_eq!(found[code], ("skipped", reason), "{code}: {message}");
    }
    assert_eq!(found.len(), reached.len() + skipped.len(), "who is away is left out: {message}");
    assert!(deliveries(&message).iter().all(|delivery| delivery["maybe_duplicate"] == false), "{message}");

    for (data, msg) in [
        (json!({ "user": ["gone", "nobody"] }), "没有有效的接收目标"),
        (json!({ "role": ["EMPTY"] }), "没有有效的接收目标"),
        (json!({ "dept": ["D9"] }), "没有有效的接收目标"),
    ] {
        let reply = push(&server, "channel", "a", json!({ "receiverData": data, "channelData": mail("c") }));
        assert_eq!((&reply["code"], &reply["msg"]), (&json!(400), &json!(format!("参数有误：{msg}"))), "{data}");
    }
    assert_eq!(sink.count(), wanted.len());

    server.kill();
    let alone = "[settings]\npush.sub_departments = false\n";
    let server = place.start(&(alone.to_owned() + &plan(&sink, &people())));
    let to = json!({ "dept": ["D2"] });
    let reply = push(&server, "channel", "a", json!({ "receiverData": to, "channelData": mail("c") }));
    let message = settled(&server, &accepted(&reply));
    assert_eq!(states(&message, "1003").keys().collect::<Vec<_>>(), [&"middle"], "without those below");
    assert_eq!(sink.count(), wanted.len() + 1);
}
