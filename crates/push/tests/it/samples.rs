//! Decision 7: the document's samples as it prints them.

use std::collections::BTreeSet;

use hongyan_core::{
    content::{Body, Content},
    message::{Dialect, Priority},
    store::Who,
};
use serde_json::json;

use crate::world::{CHANNEL, CLOCK, Stored, TEMPLATE, World};

const SPECIFIED: &str = include_str!("../data/channel_specified.json");
const CUSTOM: &str = include_str!("../data/channel_custom.json");
const PRINTED: &str = include_str!("../data/template_as_printed.json");
const MENDED: &str = include_str!("../data/template.json");

/// What all three samples say around their messages.
fn assert_frame(stored: &Stored, operation: &str) {
    let message = &stored.record.message;
    assert_eq!((message.dialect, message.operation.as_str()), (Dialect::Push, operation));
    assert_eq!(message.priority, Priority::Middle);
    assert_eq!(message.client, "192.0.2.7");
    assert_eq!(message.accepted, CLOCK);
    let label = &message.label;
    assert_eq!(
        (label.business.as_str(), label.sender_name.as_str(), label.sender_code.as_str()),
        ("xxxxxx", "张三", "")
    );
    assert_eq!(label.kind, "notice");
}

fn assert_words(stored: &Stored) {
    let Content::Text(text) = stored.on(11) else { panic!("a text") };
    let template = text.template.expect("a template");
    assert_eq!((text.text.as_str(), text.sign.as_deref()), ("这是我的第一条短信消息", Some("东华医为")));
    assert_eq!(
        (template.code.as_str(), template.foreign, template.order),
        ("T100101", true, vec!["code".into(), "time".into()])
    );
    assert_eq!(template.values, [("code".to_owned(), "1001".to_owned()), ("time".to_owned(), "5".to_owned())].into());
    let Content::InApp(item) = stored.on(12) else { panic!("an item") };
    assert_eq!((item.title.as_str(), item.website.as_str()), ("发工资了", "http://xxxx"));
    assert_eq!(item.html, "你好，您的工资已发，请及时查收！");
    let Content::Mail(mail) = stored.on(13) else { panic!("a mail") };
    assert_eq!((mail.subject.as_str(), mail.body), ("邮件标题", Body::Html("邮件内容".into())));
    let from = mail.from.expect("a sender");
    assert_eq!((from.name.as_str(), from.address.as_str()), ("张三", "notice@example.com"), "decision 8");
}

#[tokio::test]
async fn the_first_sample_goes_to_people_by_three_channels() {
    let world = World::new().await;
    let reply = world.post_with(CHANNEL, &[("content-type", "application/json")], SPECIFIED).await;
    assert_eq!(reply.json().as_object().map(|reply| reply.len()), Some(3), "nobody is unknown");
    let stored = world.stored(&reply).await;
    assert_frame(&stored, "push/channel");
    assert_words(&stored);
    let rest = stored.rest.expect("groups are found page by page");
    assert_eq!(rest.due, CLOCK, "what is past is now");
    let Who::People { ways, people } = rest.who else { panic!("people") };
    assert_eq!(ways.iter().map(|way| way.channel.0).collect::<Vec<_>>(), [11, 12, 13]);
    assert_eq!((people.users, people.with_below), (vec!["USER001".to_owned(), "USER002".to_owned()], true));
    assert_eq!((people.departments.len(), people.posts.len(), people.roles.len()), (2, 2, 2));
}

#[tokio::test]
async fn the_second_sample_goes_to_accounts_of_each_channel() {
    let world = World::new().await;
    let reply = world.post(CHANNEL, &serde_json::from_str(CUSTOM).expect("JSON")).await;
    // Nobody of this directory has these phones, so that their inboxes are none (row 17).
    assert_eq!(reply.json()["invalid"], json!({"1002": ["18660886275", "18660886834"]}));
    let reply = world.post_with(CHANNEL, &[], CUSTOM).await;
    let stored = world.stored(&reply).await;
    assert_frame(&stored, "push/channel");
    assert_words(&stored);
    let rows: BTreeSet<_> = stored.rows().into_iter().collect();
    let expected = [
        (11, "USER001", "+8613800000001"),
        (11, "USER002", "+8613800000002"),
        (12, "18660886275", "UnknownUser"),
        (12, "18660886834", "UnknownUser"),
        (13, "zhaoli@126.com", "zhaoli@126.com"),
    ];
    assert_eq!(rows, expected.map(|(no, name, address)| (no, name, address.to_owned())).into());
    assert_eq!(stored.rest, None);
}

#[tokio::test]
async fn the_template_sample_goes_once_its_comma_is_mended() {
    let world = World::new().await;
    let reply = world.post_with(TEMPLATE, &[], PRINTED).await;
    assert_eq!(reply.json(), json!({"code": 400, "msg": "参数有误：请求体不是有效的JSON对象"}));
    assert_eq!(PRINTED.replace('，', ","), MENDED, "nothing else was mended");
    world.assert_nothing().await;
    let stored = world.stored(&world.post_with(TEMPLATE, &[], MENDED).await).await;
    assert_frame(&stored, "push/template");
    let label = &stored.record.message.label;
    assert_eq!((label.template.as_str(), label.template_version), ("MSG1001", 7));
    let Content::Mail(mail) = stored.on(13) else { panic!("a mail") };
    assert_eq!((mail.subject.as_str(), mail.body), ("Result for 患者001", Body::Html("<p>Meidcal1001</p>".into())));
}

#[tokio::test]
async fn the_documents_trailing_comma_is_refused() {
    let world = World::new().await;
    for body in [
        r#"{"code": 404, "msg": "参数有误",}"#,
        &SPECIFIED.replacen("\"sendTime\": \"2023-08-04 12:15:12\"", "\"sendTime\": \"\",", 1),
    ] {
        assert_eq!(world.post_with(CHANNEL, &[], body.to_owned()).await.code(), 400);
    }
    world.assert_nothing().await;
}
