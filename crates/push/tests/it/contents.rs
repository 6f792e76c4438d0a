//! Decision 3 and rows 21 to 28: what is stored of what is said on a channel of each kind.

use hongyan_core::content::{Body, Content, Form, Notice, Text};
use serde_json::{Value, json};

use crate::world::{APP, World};

/// What is stored of one thing said on one channel.
async fn stored(world: &World, key: &str, no: u32, said: Value) -> Content {
    let said = json!({key: said, "voice": {"content": "to people"}});
    let stored = world.stored(&world.send(json!({"channelData": said})).await).await;
    stored.on(no)
}

fn text(text: &str) -> Content {
    Content::Text(Text { text: text.to_owned(), ..Text::default() })
}

#[tokio::test]
async fn a_mail_is_html_with_a_title_or_the_apps_code() {
    let world = World::new().await;
    for (said, subject) in [
        (json!({"title": " T\r\nx ", "content": "<b>c</b>\u{0}"}), "T x"),
        (json!({"title": "", "content": "<b>c</b>"}), APP),
        (json!({"content": "<b>c</b>"}), APP),
    ] {
        let Content::Mail(mail) = stored(&world, "1003", 13, said).await else { panic!("a mail") };
        assert_eq!((mail.subject.as_str(), mail.body), (subject, Body::Html("<b>c</b>".into())));
        assert!(mail.to.is_empty(), "decision 9: a mail for each");
    }
}

#[tokio::test]
async fn an_item_of_the_inbox_is_cleaned() {
    let world = World::new().await;
    let said =
        json!({"title": "T", "content": "<b>c</b><script>x</script><a href='javascript:x'>y</a>", "website": "/a?b=1"});
    let Content::InApp(item) = stored(&world, "1002", 12, said).await else { panic!("an item") };
    assert_eq!((item.title.as_str(), item.website.as_str()), ("T", "/a?b=1"));
    assert!(item.html.starts_with("<b>c</b>") && !item.html.contains("script"), "{}", item.html);
    let Content::InApp(item) = stored(&world, "1002", 12, json!({"content": "c"})).await else { panic!("an item") };
    assert_eq!((item.title.as_str(), item.website.as_str(), item.html.as_str()), ("", "", "c"));
}

#[tokio::test]
async fn an_sms_is_text_or_template_or_both() {
    let world = World::new().await;
    let of = async |key, no, said| match stored(&world, key, no, said).await {
        Content::Text(text) => text,
        other => panic!("a text: {other:?}"),
    };
    let plain = of("1001", 11, json!({"content": "<p>a<b</p> <b>x</b> 1<2"})).await;
    assert_eq!((plain.sign, plain.template), (None, None));
    assert!(plain.text.contains("a<b") && plain.text.contains("1<2") && !plain.text.contains("</"), "{}", plain.text);
    let data = json!({"templateId": 1001, "paramData": {"time": 5, "code": "<i>", "ok": true}});
    let filled = of(
        "1001",
        11,
        json!({"sign": " 【东华医为】 ", "content": "<b>${code}</b>${time}${ok}", "templateData": data}),
    )
    .await;
    assert_eq!(filled.text, "<i>5true", "a value loses nothing");
    assert_eq!(filled.sign.as_deref(), Some("东华医为"));
    let template = filled.template.expect("a template");
    assert_eq!((template.code.as_str(), template.foreign), ("1001", true));
    assert_eq!(template.order, ["time", "code", "ok"], "row 24: as the caller gave them");
    let only = of("1001", 11, json!({"templateData": {"templateId": "T"}})).await;
    assert_eq!((only.text.as_str(), only.template.expect("a template").values.len()), ("", 0));
    // No template at the provider, whose values fill the text.
    let data = json!({"templateId": "", "paramData": {"code": 7}});
    let free = of("1001", 11, json!({"content": "${code}", "templateData": data})).await;
    assert_eq!((free.text.as_str(), free.template), ("7", None));
    let mapped =
        json!({"templateData": {"templateId": "T100101", "paramData": {"code": 1, "time": 2}}, "sign": "东华医为"});
    assert!(of("aliyun", 20, mapped).await.template.is_some());
    assert_eq!(of("aliyun", 20, json!({"content": "c", "sign": ""})).await.sign, None, "row 26: the provider's");
    assert!(of("aliyun", 20, json!({"templateData": {"templateId": "SMS_154950909"}})).await.template.is_some());
}

#[tokio::test]
async fn providers_that_are_disabled_need_nothing() {
    let said = [
        json!({"content": "c", "sign": "another"}),
        json!({"templateData": {"templateId": "T100101", "paramData": {"code": 1}}}),
    ];
    for enabled in [true, false] {
        let world = World::with(|plan| plan.providers[1].enabled = enabled).await;
        for said in &said {
            let reply = world.send(json!({"channelData": {"aliyun": said}})).await;
            assert_eq!(reply.code(), if enabled { 400 } else { 200 }, "{said}");
        }
    }
}

#[tokio::test]
async fn the_other_kinds() {
    let world = World::new().await;
    for (key, no) in [("wecom", 14), ("robot", 17)] {
        assert_eq!(stored(&world, key, no, json!({"content": "c"})).await, text("c"));
        let notice = Notice { heading: "t".into(), message: "c".into(), ..Notice::default() };
        assert_eq!(stored(&world, key, no, json!({"title": "t", "content": "c"})).await, Content::Notice(notice));
    }
    let voice = world.send(json!({"channelData": {"voice": {"content": "c", "title": "t"}}})).await;
    assert_eq!(world.stored(&voice).await.on(16), text("c"));
    let data = json!({"first": "a", "n": 5, "keyword1": {"value": "b", "color": "#f00"}});
    let fields = [("first", "a"), ("keyword1", "b"), ("n", "5")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    let form = Form { fields: fields.into(), url: "https://a.cn".into() };
    let said = json!({"data": data, "url": "https://a.cn"});
    assert_eq!(stored(&world, "wechat", 15, said).await, Content::Form(form));
    let any = json!({"a": [1, null, 1.5, true, {"b": "c"}], "n": 18_446_744_073_709_551_615_u64, "z": {}});
    let Content::Object(object) = stored(&world, "webhook", 18, any.clone()).await else { panic!("an object") };
    assert_eq!(Value::Object(object), any);
}

#[tokio::test]
async fn several_channels_are_one_message() {
    let world = World::new().await;
    let said = json!({"1003": {"content": "m"}, "1001": {"content": "s"}});
    let stored = world.stored(&world.send(json!({"channelData": said})).await).await;
    assert_eq!(stored.on(11), text("s"));
    assert!(matches!(stored.on(13), Content::Mail(_)));
    let mut channels: Vec<u32> = stored.record.deliveries.iter().map(|delivery| delivery.channel.0).collect();
    channels.sort_unstable();
    assert_eq!(channels, [11, 13]);
}

#[tokio::test]
async fn what_is_said_around_it_is_kept() {
    let world = World::new().await;
    let around = json!({
        "businessId": 1001, "msgType": "reminder", "priority": 3, "senderCode": "zs", "senderName": "张\n三", "unknown": [1],
    });
    let stored = world.stored(&world.send(around).await).await;
    let message = stored.record.message;
    assert_eq!(message.priority, hongyan_core::message::Priority::High);
    let label = message.label;
    assert_eq!((label.business.as_str(), label.kind.as_str()), ("1001", "reminder"));
    assert_eq!((label.sender_code.as_str(), label.sender_name.as_str()), ("zs", "张 三"));
    assert_eq!((label.template.as_str(), label.template_version, message.user.as_str()), ("", 0, ""));
    let found = world.store.messages_of_business(message.app, "1001".into(), None, 10).await.expect("is there");
    assert_eq!(found, [message.id], "row 29: found again by it");
    let twice = world.send(json!({"businessId": "1001"})).await;
    assert_ne!(twice.id(), message.id, "row 29: neither unique nor a key");
}
