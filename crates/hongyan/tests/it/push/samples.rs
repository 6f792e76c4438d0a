//! The document's three samples as printed, on the demonstration's plan, with a mail server of the test's own: who got what by
//! which channel, and that the same key is the same message.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;

use super::talk::{CHANNEL, TEMPLATE, call, inbox, provider, said, settled, states};
use crate::support::{
    place::{Place, on_both_stores},
    push::{accepted, captured},
    server::{Server, smtp},
    sink::{Manners, Sink, Taken},
};

on_both_stores!(the_samples_reach_whom_they_mean, the_same_key_is_the_same_message);

const DEMO: &str = include_str!("../../../src/demo/plan.toml");
const SPECIFIED: &str = include_str!("../../../src/demo/push_channel.json");
const CUSTOM: &str = include_str!("../../../src/demo/push_custom.json");
const BY_TEMPLATE: &str = include_str!("../../../src/demo/push_template.json");

const APP: (&str, &str) = ("102343444", "demo-push-secret");
/// Whom the samples with departments, posts and roles mean, with their mailboxes and phones.
const PEOPLE: [(&str, &str, &str); 6] = [
    ("USER001", "zhangsan@example.com", "+8618660886275"),
    ("USER002", "lisi@example.com", "+8618660886834"),
    ("USER003", "wangwu@example.com", "+8613800000003"),
    ("USER004", "zhaoli@126.com", "+8613800000004"),
    ("USER005", "sunqi@example.com", "+8613800000005"),
    ("USER006", "zhouba@example.com", "+8613800000006"),
];

/// The demonstration's plan, but that its mails go to the sink.
fn plan(sink: &Sink) -> String {
    let captured = "kind = \"mail\"\nproviders = [\"capture\"]";
    assert!(DEMO.contains(captured), "the plan of the demonstration is another");
    DEMO.replace(captured, "kind = \"mail\"\nproviders = [\"sink\"]") + &provider("sink", &smtp(sink.address))
}

fn send(server: &Server, path: &str, body: &str) -> String {
    let reply = call(server, path, &[], body);
    assert_eq!(said(&reply), (200, "操作成功".to_owned()), "{reply:?}");
    assert_eq!(reply.json().get("invalid"), None, "{reply:?}");
    accepted(&reply.json())
}

/// The recipients of mails, each of which has one.
fn mailboxes(taken: &[Taken]) -> Vec<&str> {
    let one = |mail: &'_ Taken| {
        assert_eq!(mail.recipients.len(), 1, "{mail:?}");
        assert!(mail.header("To").is_some_and(|to| to.contains(&mail.recipients[0])), "{mail:?}");
    };
    taken.iter().for_each(one);
    let mut boxes: Vec<_> = taken.iter().map(|mail| mail.recipients[0].as_str()).collect();
    boxes.sort_unstable();
    boxes
}

/// Asserts that a mail has this subject, this text in its body and this name as its sender.
fn assert_says(mail: &Taken, subject: &str, content: &str, sender: &str) {
    let encoded = |text: &str| STANDARD.encode(text);
    let header = |name: &str| mail.header(name).unwrap_or_default();
    assert!(header("Subject").contains(&encoded(subject)), "{subject} in {}", header("Subject"));
    assert!(header("From").contains(&encoded(sender)), "{sender} in {}", header("From"));
    // In Chinese from its beginning, or ASCII.
    let is_said = mail.data.contains(&encoded(content)) || mail.data.contains(content);
    assert!(is_said, "{content} in {}", mail.data);
}

fn all_accepted(message: &Value, channel: &str, codes: &[&str]) {
    let found = states(message, channel);
    assert_eq!(found.keys().copied().collect::<Vec<_>>(), codes, "{channel}: {message}");
    assert!(found.values().all(|state| *state == ("accepted", "")), "{channel}: {message}");
}

/// Who got which SMS of a message.
fn texts(server: &Server, id: &str) -> Vec<(String, String)> {
    let each = |(to, text): (Vec<String>, String)| to.into_iter().map(move |to| (to, text.clone()));
    let mut texts: Vec<_> = captured(server, id).into_iter().flat_map(each).collect();
    texts.sort_unstable();
    texts
}

/// Who of the people has an item of a message in the inbox, and what it says.
fn items(server: &Server, id: &str) -> Vec<(&'static str, Value)> {
    let of = |user: &'static str| {
        let items = inbox(server, APP, user).into_iter().filter(|item| item["message"] == id);
        items.map(|item| (user, item)).collect::<Vec<_>>()
    };
    PEOPLE.iter().flat_map(|(user, ..)| of(user)).collect()
}

fn the_samples_reach_whom_they_mean(mut place: Place) {
    let sink = Sink::start(Manners::default());
    let server = place.start(&plan(&sink));
    let codes = PEOPLE.map(|(code, ..)| code);
    let boxes = {
        let mut boxes = PEOPLE.map(|(_, mailbox, _)| mailbox);
        boxes.sort_unstable();
        boxes
    };
    let phones = |people: &[(&str, &str, &str)]| {
        let mut phones: Vec<_> = people.iter().map(|(_, _, phone)| (*phone).to_owned()).collect();
        phones.sort_unstable();
        phones
    };

    let id = send(&server, CHANNEL, SPECIFIED);
    let message = settled(&server, &id);
    for channel in ["1001", "1002", "1003"] {
        all_accepted(&message, channel, &codes);
    }
    assert_eq!(mailboxes(&sink.taken()), boxes, "each one mail");
    sink.taken().iter().for_each(|mail| assert_says(mail, "邮件标题", "邮件内容", "张三"));
    let sms = texts(&server, &id);
    assert_eq!(sms.iter().map(|(to, _)| to.clone()).collect::<Vec<_>>(), phones(&PEOPLE));
    assert!(sms.iter().all(|(_, text)| text.contains("这是我的第一条短信消息")), "{sms:?}");
    let found = items(&server, &id);
    assert_eq!(found.iter().map(|(user, _)| *user).collect::<Vec<_>>(), codes);
    for (_, item) in found {
        let said = ["title", "html", "website", "businessId", "senderName", "msgType"].map(|key| item[key].clone());
        assert_eq!(said[0], "发工资了", "{item}");
        assert!(said[1].as_str().is_some_and(|html| html.contains("你好，您的工资已发，请及时查收！")), "{item}");
        assert_eq!(said[2..], ["http://xxxx", "xxxxxx", "张三", "notice"], "{item}");
    }

    let id = send(&server, CHANNEL, CUSTOM);
    let message = settled(&server, &id);
    assert_eq!(message["tally"], serde_json::json!({ "accepted": 5 }), "{message}");
    assert_eq!(texts(&server, &id).iter().map(|(to, _)| to.clone()).collect::<Vec<_>>(), phones(&PEOPLE[..2]));
    let users: Vec<_> = items(&server, &id).iter().map(|(user, _)| *user).collect();
    assert_eq!(users, ["USER001", "USER002"], "whose phones were named");
    assert_eq!(mailboxes(&sink.taken()[6..]), ["zhaoli@126.com"], "twice in the sample, once in the post");

    let id = send(&server, TEMPLATE, BY_TEMPLATE);
    let message = settled(&server, &id);
    for channel in ["1001", "1002", "1003"] {
        all_accepted(&message, channel, &codes);
    }
    assert_eq!(message["template"], serde_json::json!({ "code": "MSG1001", "version": 1 }));
    let mails = sink.taken();
    assert_eq!(mailboxes(&mails[7..]), boxes);
    mails[7..].iter().for_each(|mail| assert_says(mail, "A result for 患者001", "<b>Meidcal1001</b>", "张三"));
    let sms = texts(&server, &id);
    assert_eq!(sms.iter().map(|(to, _)| to.clone()).collect::<Vec<_>>(), phones(&PEOPLE));
    assert!(sms.iter().all(|(_, text)| text.contains("患者001: your result Meidcal1001 is there.")), "{sms:?}");
    for (_, item) in items(&server, &id) {
        assert_eq!(
            (&item["title"], &item["website"]),
            (&"A result for 患者001".into(), &"/results/Meidcal1001".into())
        );
    }
    assert_eq!(codes.map(|user| inbox(&server, APP, user).len()), [3, 3, 2, 2, 2, 2]);
    assert!(inbox(&server, ("esb_test", "xxx"), "USER001").len() == 3, "a trusted app sees them too");
}

fn the_same_key_is_the_same_message(mut place: Place) {
    let sink = Sink::start(Manners::default());
    let plan = plan(&sink);
    let server = place.start(&plan);
    let key = |key: &'static str| [("Idempotency-Key", key)];
    let partly = SPECIFIED.replace("\"USER002\"", "\"USER404\"");
    let first = call(&server, CHANNEL, &key("one"), &partly);
    assert_eq!(first.json()["invalid"], serde_json::json!({ "user": ["USER404"] }), "{first:?}");
    let id = accepted(&first.json());
    settled(&server, &id);
    assert_eq!(call(&server, CHANNEL, &key("one"), &partly).body, first.body);
    let other = said(&call(&server, CHANNEL, &key("one"), SPECIFIED));
    assert_eq!(other, (400, "参数有误：Idempotency-Key已用于另一请求".to_owned()));
    let other = said(&call(&server, TEMPLATE, &key("one"), BY_TEMPLATE));
    assert_eq!(other.0, 400, "of one app a key is a key: {other:?}");
    server.kill();

    let server = place.start(&plan);
    assert_eq!(call(&server, CHANNEL, &key("one"), &partly).body, first.body, "after a crash too");
    assert_eq!(sink.count(), 5, "sent once");
    assert_eq!(inbox(&server, APP, "USER001").len(), 1);
    let next = accepted(&call(&server, CHANNEL, &key("two"), &partly).json());
    assert_ne!(next, id);
    settled(&server, &next);
    assert_eq!(sink.count(), 10);
}
