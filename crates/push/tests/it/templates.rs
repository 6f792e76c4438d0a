//! Rows 36 to 41: messages from templates.

use hongyan_core::content::{Body, Content};
use serde_json::{Value, json};

use crate::world::{Stored, World};

async fn filled(world: &World, changes: Value) -> Stored {
    world.stored(&world.fill(changes).await).await
}

fn mail(stored: &Stored) -> (String, Body) {
    let Content::Mail(mail) = stored.on(13) else { panic!("a mail") };
    (mail.subject, mail.body)
}

#[tokio::test]
async fn one_set_of_values_serves_all_channels_escaped_by_each() {
    let world = World::new().await;
    let stored =
        filled(&world, json!({"channelParamData": {"name": "<b>&", "code": 5, "more": [1], "other": {}}})).await;
    assert_eq!(mail(&stored), ("Result for <b>&".to_owned(), Body::Html("<p>5</p>".into())));
    let Content::InApp(item) = stored.on(12) else { panic!("an item") };
    assert_eq!((item.title.as_str(), item.website.as_str()), ("<b>&", "/r/5"));
    assert_eq!(item.html, "<p>&lt;b&gt;&amp; 5</p>");
    let Content::Text(text) = stored.on(11) else { panic!("a text") };
    assert_eq!(text.text, "<b>&: 5", "no HTML in an SMS, and nothing taken out of a value");
    let template = text.template.expect("the provider's");
    assert_eq!((template.code.as_str(), template.order), ("SMS_9", vec!["name".to_owned(), "code".to_owned()]));
}

#[tokio::test]
async fn an_object_under_a_channels_key_speaks_for_that_channel() {
    let world = World::new().await;
    for key in ["1003", "13"] {
        let data = json!({"name": "n", "code": "c", key: {"code": "own", "name": null}});
        let stored = filled(&world, json!({"channelParamData": data})).await;
        assert_eq!(mail(&stored), ("Result for n".to_owned(), Body::Html("<p>own</p>".into())), "{key}");
        let Content::Text(text) = stored.on(11) else { panic!("a text") };
        assert_eq!(text.text, "n: c");
    }
}

#[tokio::test]
async fn a_template_without_variables_needs_no_values_and_has_its_own_type() {
    let world = World::new().await;
    let reply = world.fill(json!({"templateCode": "MSG2", "channelParamData": {}, "msgType": "alarm"})).await;
    let label = world.stored(&reply).await.record.message.label;
    assert_eq!((label.kind.as_str(), label.template.as_str(), label.template_version), ("reminder", "MSG2", 1));
}

#[tokio::test]
async fn a_queued_message_keeps_the_version_it_was_made_from() {
    let world = World::new().await;
    let reply = world.fill(json!({"sendTime": "2026-12-01 00:00:00"})).await;
    world.setup.set(Default::default());
    let stored = world.stored(&reply).await;
    assert_eq!(stored.record.message.label.template_version, 7);
    assert_eq!(mail(&stored).0, "Result for 患者001");
}

#[tokio::test]
async fn accounts_choose_among_the_templates_channels() {
    let world = World::new().await;
    let custom = |data: Value| json!({"receiverType": "custom", "receiverData": data});
    let reply = world.fill(custom(json!({"1003": ["a@b.cn"]}))).await;
    assert_eq!(reply.json().as_object().map(|reply| reply.len()), Some(3), "left out on purpose");
    let stored = world.stored(&reply).await;
    assert_eq!(stored.rows(), [(13, "a@b.cn", "a@b.cn".to_owned())]);
    let refused = world.fill(custom(json!({"1003": ["a@b.cn"], "wecom": ["x"]}))).await;
    assert_eq!(refused.json(), json!({"code": 400, "msg": "参数有误：receiverData中的渠道“wecom”没有消息内容"}));
}

#[tokio::test]
async fn of_a_channel_that_is_not_chosen_nothing_is_asked() {
    let world = World::with(|plan| {
        plan.channels[0].enabled = false;
        let contents = &mut plan.templates[0].contents;
        contents.get_mut("1002").expect("is there").content = "${only_there}".into();
        let lost = contents["1003"].clone();
        contents.insert("gone".into(), lost);
    })
    .await;
    let custom = |key: &str, to: &str| json!({"receiverType": "custom", "receiverData": {key: [to]}});
    let stored = filled(&world, custom("1003", "a@b.cn")).await;
    assert_eq!(stored.rows(), [(13, "a@b.cn", "a@b.cn".to_owned())]);
    let refused = |what: &str| json!({"code": 400, "msg": format!("参数有误：{what}")});
    assert_eq!(world.fill(custom("1002", "USER001")).await.json(), refused("缺少变量“only_there”"));
    assert_eq!(world.fill(custom("1001", "USER001")).await.json(), refused("渠道“1001”已停用"));
    assert_eq!(world.fill(json!({})).await.json(), refused("渠道“1001”已停用"), "people are on all");
}

#[tokio::test]
async fn tags_of_a_template_are_taken_out_of_an_sms_and_nothing_out_of_values() {
    let world = World::with(|plan| {
        plan.templates[0].contents.get_mut("1001").expect("is there").content = "<p><b>${name}</b>: a<b</p>".into();
    })
    .await;
    let stored = filled(&world, json!({"channelParamData": {"name": "<i>", "code": 1}})).await;
    let Content::Text(text) = stored.on(11) else { panic!("a text") };
    assert_eq!(text.text, "<i>: a<b");
}

#[tokio::test]
async fn an_app_uses_a_template_only_with_the_right_to_all_its_channels() {
    let world = World::new().await;
    let refused = world.fill(json!({"appId": "limited"})).await;
    assert_eq!(refused.json(), json!({"code": 400, "msg": "参数有误：应用无权使用渠道“1001”"}));
    let refused = world.send(json!({"appId": "limited", "channelData": {"1002": {"content": "c"}}})).await;
    assert_eq!(refused.json(), json!({"code": 400, "msg": "参数有误：应用无权使用渠道“1002”"}));
    assert_eq!(world.fill(json!({"appId": "limited", "templateCode": "MSG2"})).await.code(), 200);
}

#[tokio::test]
async fn values_are_bounded_by_what_they_become() {
    let wide = |plan: &mut crate::world::Plan| {
        let contents = plan.templates[1].contents.get_mut("1003").expect("is there");
        contents.content = "${name}".repeat(20);
    };
    let world = World::with(wide).await;
    let data = |size: usize| json!({"templateCode": "MSG2", "channelParamData": {"name": "x".repeat(size)}});
    assert_eq!(world.fill(data(13_000)).await.code(), 200);
    let refused = world.fill(data(14_000)).await;
    assert_eq!(refused.json(), json!({"code": 400, "msg": "参数有误：channelParamData超过262144字节"}));
    let refused = world.fill(data(40_001)).await;
    assert_eq!(refused.json(), json!({"code": 400, "msg": "参数有误：channelParamData.name超过40000字节"}));
}
