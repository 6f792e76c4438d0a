//! Section 7: WeCom and the official account, in what they take, refuse, store and answer.

use hongyan_core::{
    content::Agent,
    delivery::Reason,
    limits,
    setup::{ChannelKind, ChannelNo},
};
use serde_json::{Value, json};

use crate::world::{Plan, Reply, World, by_app1, msg};

const UNFINISHED: &str = "Unfinished interface shall be improved by the component developer";

/// A right `send_weixin`, with `data` put over its own.
fn weixin(fields: Value, data: Value) -> Value {
    let mut body = by_app1(json!({"receiver": "wx1", "data": {"heading": "h", "message": "m"}}));
    for (name, value) in data.as_object().expect("an object") {
        body["data"][name] = value.clone();
    }
    for (name, value) in fields.as_object().expect("an object") {
        body[name] = value.clone();
    }
    body
}

fn account(plan: &mut Plan) {
    plan.channels.clear();
    plan.add(ChannelKind::Wechat);
}

/// Asserts that a request is refused with `text` and leaves nothing.
async fn refused(world: &World, component: &str, body: &Value, text: &str) -> Reply {
    let before = world.store.count();
    let reply = world.post(component, body).await;
    reply.assert_five_keys();
    assert_eq!((reply.message().as_str(), world.store.count()), (text, before), "{body}");
    assert_eq!(reply.json()["result"], json!(false));
    reply
}

fn incorrect(contacts: &str) -> String {
    format!("User message failed to send. The following users contact format are incorrect: {contacts}, please check")
}

#[tokio::test]
async fn the_first_field_that_is_wrong_is_named() {
    let world = World::new();
    let no_receiver = "WeChat receiver [receiver, receiver__username] shall not be empty at the same time";
    let steps = [
        ("data", json!(null), "message data [data] This field is required."),
        ("data", json!({}), "message data [data] This field is required."),
        ("data", json!("{}"), "message data [data] Must be the specified parameter data type dict"),
        ("data", json!([1]), "message data [data] Must be the specified parameter data type dict"),
        ("data", json!({"x": 1}), no_receiver),
        ("receiver", json!("@all"), "notification header text [heading] This field is required."),
        ("data", json!({"heading": "\0"}), "notification text [message] This field is required."),
        (
            "data",
            json!({"heading": "\0", "message": "m", "date": "\0"}),
            "notification header text [heading] Must not contain control characters",
        ),
        (
            "data",
            json!({"heading": "h", "message": "m", "date": "\0"}),
            "notification sending time [date] Must not contain control characters",
        ),
        ("data", json!({"heading": "h", "message": "m"}), "corp agentid [agentid] Enter a whole number."),
        ("wx_qy_agentid", json!(""), "corp secret [corpsecret] Must not contain control characters"),
        ("wx_qy_corpsecret", json!(null), &incorrect("@all")),
    ];
    let mut body = by_app1(json!({"wx_qy_agentid": "abc", "wx_qy_corpsecret": "a\tb"}));
    for (name, value, text) in steps {
        body[name] = value;
        refused(&world, "send_weixin", &body, text).await;
    }
    let chinese = [("Accept-Language", "zh-CN")];
    let agent = weixin(json!({"wx_qy_agentid": 1.5}), json!({})).to_string();
    let reply = world.post_with("send_weixin", &chinese, agent).await;
    assert_eq!(reply.message(), "corp agentid [agentid] 输入整数。");
    let required = "wechat receiver [receiver] This field is required.";
    let users = json!({"receiver__username": "admin", "data": {"heading": "h", "message": "m"}, "content": "c"});
    for component in ["send_mp_weixin", "send_qy_weixin"] {
        refused(&world, component, &by_app1(users.clone()), required).await;
    }
    let nothing = by_app1(json!({"receiver": ["x"]}));
    refused(&world, "send_mp_weixin", &nothing, "message data [data] This field is required.").await;
    refused(&world, "send_qy_weixin", &nothing, "message content [content] This field is required.").await;
}

#[tokio::test]
async fn everyone_who_cannot_be_reached_is_named() {
    let world = World::new();
    for (receiver, wrong) in [
        (json!(["wx1", "@ALL", 5, "a|b", "c d", null, "x\u{1}"]), "@ALL,5,a|b,c d,None,x\u{1}"),
        (json!([["wx1"]]), "['wx1']"),
        (json!("x".repeat(limits::ACCOUNT_ID_BYTES_MAX + 1)), &*"x".repeat(limits::ACCOUNT_ID_BYTES_MAX + 1)),
    ] {
        refused(&world, "send_weixin", &weixin(json!({"receiver": receiver}), json!({})), &incorrect(wrong)).await;
    }
    let users = json!({"receiver": null, "receiver__username": ["admin", 7]});
    refused(&world, "send_weixin", &weixin(users, json!({})), &incorrect("7")).await;
    let all = weixin(json!({"receiver": null, "receiver__username": "nobody,nomail,gone"}), json!({}));
    let why = "The following users are not blueking users: nobody,gone;\
               The following users contact format are incorrect: nomail";
    let reply = refused(&world, "send_weixin", &all, &format!("All users message failed to be sent. {why}")).await;
    assert_eq!(reply.invalid(), json!(["nobody", "nomail", "gone"]));
    // Addresses beat names, which are not even looked up; whoever is named twice counts once.
    let both = weixin(json!({"receiver": "wx1;wx1 wx2", "receiver__username": "nobody\0"}), json!({}));
    assert_eq!(world.post("send_weixin", &both).await.message(), "OK");
    assert_eq!(world.store.last_notice().1, ["wx1", "wx2"]);
    world.store.refuse("wx_yun");
    let some = weixin(json!({"receiver": null, "receiver__username": "admin,yunchao,nobody"}), json!({}));
    let reply = world.post("send_weixin", &some).await;
    let why = "The following users are not blueking users: nobody;The following users were refused: yunchao";
    assert_eq!(reply.message(), format!("Some users failed to send wechat message. {why}"));
    assert_eq!(reply.invalid(), json!(["yunchao", "nobody"]));
    let all = weixin(json!({"receiver": null, "receiver__username": "yunchao,nobody"}), json!({}));
    let reply = world.post("send_weixin", &all).await;
    assert_eq!(reply.message(), "WeChat message sending failed, invalid user: yunchao");
    let by_account = World::with(account);
    by_account.store.refuse("wx1");
    let reply = by_account.post("send_mp_weixin", &weixin(json!({}), json!({}))).await;
    assert_eq!((reply.message().as_str(), reply.invalid()), ("WeChat message sending failed", json!(["wx1"])));
}

#[tokio::test]
async fn wecom_names_users_only_where_it_refused_users_and_says_why() {
    let failed = "WeChat message sending failed";
    for (failures, text) in [
        (
            [(Reason::ContentRefused, "44004 empty content"), (Reason::ContentRefused, "44004 empty content")],
            format!("{failed}, empty content"),
        ),
        (
            [(Reason::ContentRefused, "no access token: 40001 invalid credential"), (Reason::ContentRefused, "")],
            format!("{failed}, invalid credential"),
        ),
        (
            [(Reason::RecipientRefused, "60111 no such user"), (Reason::ContentRefused, "44004 empty content")],
            format!("{failed}, invalid user: wx1, no such user"),
        ),
        ([(Reason::RecipientRefused, "0 ok, named in invaliduser"); 2], format!("{failed}, invalid user: wx1|wx2")),
        ([(Reason::ContentRefused, "HTTP 403 without an answer of the provider's form"); 2], failed.to_owned()),
    ] {
        let world = World::new();
        for (id, (reason, words)) in ["wx1", "wx2"].into_iter().zip(failures) {
            world.store.refuse_for(id, reason, words);
        }
        for (component, fields) in [("send_weixin", json!({})), ("send_qy_weixin", json!({"content": "c"}))] {
            let mut body = weixin(json!({"receiver": "wx1,wx2"}), json!({}));
            body.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
            let reply = world.post(component, &body).await;
            assert_eq!((reply.message(), reply.invalid()), (text.clone(), json!(["wx1", "wx2"])));
        }
        // Where somebody gets it, the text is that of decision 3.
        let some = world.post("send_weixin", &weixin(json!({"receiver": "wx1,wx3"}), json!({}))).await;
        let refused = "Some users failed to send wechat message. The following users were refused: wx1";
        assert_eq!(some.message(), refused);
    }
    // An official account never says more (section 7).
    let by_account = World::with(account);
    by_account.store.refuse_for("wx1", Reason::RecipientRefused, "43004 require subscribe");
    assert_eq!(by_account.post("send_weixin", &weixin(json!({}), json!({}))).await.message(), failed);
}

#[tokio::test]
async fn send_msg_names_its_own_fields() {
    let world = World::new();
    let body = msg(json!({"msg_type": "weixin", "title": "a\0b"}));
    refused(&world, "send_msg", &body, "subject [title] Must not contain control characters").await;
    let body = msg(json!({"msg_type": "weixin", "title": "x".repeat(2_001)}));
    refused(&world, "send_msg", &body, "subject [title] Must not be longer than 2000 characters").await;
}

#[tokio::test]
async fn labels_are_english_unless_another_language_is_asked_for() {
    let world = World::new();
    for (language, label) in [(None, "mail"), (Some(""), "mail"), (Some("en"), "mail"), (Some("en-us"), "邮件")] {
        let headers: Vec<_> = language.map(|language| ("Blueking-Language", language)).into_iter().collect();
        let reply = world.post_with("get_msg_type", &headers, by_app1(json!({})).to_string()).await;
        assert_eq!(reply.json()["data"][1]["label"], json!(label), "{language:?}");
    }
}

#[tokio::test]
async fn texts_are_folded_and_cleaned_and_have_bounds() {
    let world = World::new();
    let said = json!({
        "heading": "a\r\nb", "message": "c\0\nd\u{1b}", "date": "2017-02-22\n15:36", "remark": "<a href='x'>\r\ne\u{7}",
    });
    assert_eq!(world.post("send_weixin", &weixin(json!({"url": "http://u/"}), said)).await.message(), "OK");
    let (notice, _) = world.store.last_notice();
    assert_eq!((&*notice.heading, &*notice.message, &*notice.date), ("a b", "c\nd", "2017-02-22 15:36"));
    assert_eq!((&*notice.remark, &*notice.url, notice.agent), ("<a href='x'>\r\ne", "", None), "WeCom has no address");
    for (message, is_base64, stored) in [
        ("5L2g5aW9", json!("true"), "你好"),
        ("5L2g5aW9", json!(""), "5L2g5aW9"),
        ("aGk=", json!(false), "aGk="),
        ("abcde", json!(1), "abcde"),
    ] {
        let body = weixin(json!({}), json!({"message": message, "is_message_base64": is_base64}));
        assert_eq!(world.post("send_weixin", &body).await.message(), "OK");
        assert_eq!(world.store.last_notice().0.message, stored);
    }
    let most = limits::TEXT_BYTES_MAX;
    let full = weixin(json!({}), json!({"message": "x".repeat(most - 1), "remark": "r"}));
    assert_eq!(world.post("send_weixin", &full).await.message(), "OK");
    for (data, text) in [
        (json!({"message": "x".repeat(most + 1)}), "notification text [message] Must not be longer than 40000 bytes"),
        (
            json!({"message": "x".repeat(most - 1), "remark": "rr"}),
            "notification tail text [remark] Must not be longer than 1 bytes",
        ),
        (
            json!({"heading": "x".repeat(2_001)}),
            "notification header text [heading] Must not be longer than 2000 characters",
        ),
        (json!({"date": "x".repeat(256)}), "notification sending time [date] Must not be longer than 255 bytes"),
    ] {
        refused(&world, "send_weixin", &weixin(json!({}), data), text).await;
    }
    let many = weixin(json!({"receiver": vec!["wx1"; 10_001]}), json!({}));
    refused(&world, "send_weixin", &many, "Parameters error, a message may have at most 10000 recipients").await;
    let by_account = World::with(account);
    for (url, text) in [
        ("http://u/\nx".to_owned(), "url [url] Must not contain control characters"),
        ("x".repeat(2_049), "url [url] Must not be longer than 2048 bytes"),
    ] {
        refused(&by_account, "send_weixin", &weixin(json!({"url": url}), json!({})), text).await;
    }
}

#[tokio::test]
async fn the_channel_decides_what_a_notice_has() {
    let fields = json!({"url": " http://u/ ", "wx_qy_agentid": "abc", "wx_qy_corpsecret": "s"});
    let world = World::with(account);
    assert_eq!(world.post("send_weixin", &weixin(fields, json!({}))).await.message(), "OK");
    let (notice, _) = world.store.last_notice();
    // Decision 10; an official account has no agents, so that one that is no number is no matter.
    assert_eq!((&*notice.date, &*notice.url, notice.agent), ("2026-11-22 16:23", "http://u/", None));
    let dated = weixin(json!({}), json!({"date": "some day"}));
    assert_eq!(world.post("send_mp_weixin", &dated).await.message(), "OK");
    assert_eq!(world.store.last_notice().0.date, "some day");
    refused(&world, "send_qy_weixin", &by_app1(json!({"receiver": "wx1", "content": "c"})), UNFINISHED).await;

    let world = World::new();
    for (id, secret, agent) in [
        (json!(1_000_009), json!(null), Some((Some(1_000_009), false))),
        (json!(" 7 "), json!("other"), Some((Some(7), true))),
        (json!(""), json!("other"), Some((None, true))),
        (json!(null), json!(""), None),
    ] {
        let body = weixin(json!({"wx_qy_agentid": id, "wx_qy_corpsecret": secret}), json!({}));
        let reply = world.post("send_weixin", &body).await;
        assert_eq!(reply.message(), "OK");
        let (notice, _) = world.store.last_notice();
        let found = notice.agent.map(|Agent { id, secret }| (id, secret.is_some()));
        assert_eq!((found, &*notice.date), (agent, ""), "{body}");
    }
    refused(&world, "send_mp_weixin", &weixin(json!({}), json!({})), UNFINISHED).await;
    let qy = by_app1(json!({"receiver": "wx1,wx2", "content": " a\0b ", "is_content_base64": true}));
    let reply = world.post("send_qy_weixin", &qy).await;
    assert_eq!((reply.message().as_str(), &reply.json()["data"]), ("OK", &Value::Null));
    assert_eq!(world.store.last_text(), ("ab".to_owned(), vec!["wx1".to_owned(), "wx2".to_owned()]));
}

#[tokio::test]
async fn a_secret_of_a_request_is_nowhere_but_sealed_in_its_message() {
    let world = World::new();
    let body = weixin(json!({"wx_qy_corpsecret": "canary"}), json!({}));
    let reply = world.post("send_weixin", &body).await;
    assert!(!format!("{reply:?}").contains("canary"));
    let batch = &world.store.batches()[0];
    let (notice, _) = world.store.last_notice();
    let sealed = notice.agent.and_then(|agent| agent.secret).expect("sealed");
    assert_eq!(sealed, format!("message/{}/agent_secret:canary", batch.message.id), "for this message alone");
    assert!(batch.content.has_secret() && !format!("{:?}", batch.message).contains("canary"));
    for wrong in [json!({"data": {}}), json!({"receiver": "@all"}), json!({"wx_qy_corpsecret": "canary\n2"})] {
        let mut body = weixin(json!({"wx_qy_corpsecret": "canary"}), json!({}));
        body.as_object_mut().expect("an object").extend(wrong.as_object().expect("an object").clone());
        assert!(!format!("{:?}", world.post("send_weixin", &body).await).contains("canary"));
    }
}

/// Both channels, of which the official account is the default or not.
fn both(is_default: bool) -> World {
    World::with(|plan| plan.add(ChannelKind::Wechat).default = is_default)
}

fn channel_of(world: &World) -> ChannelNo {
    world.store.batches().pop().expect("something was stored").channel
}

#[tokio::test]
async fn weixin_is_wecom_unless_the_official_account_is_the_default_and_the_other_has_a_type_of_its_own() {
    for (is_default, weixin_no, other, other_no) in [(false, 2, "wechat", 3), (true, 3, "wecom", 2)] {
        let world = both(is_default);
        let types = world.post("get_msg_type", &by_app1(json!({}))).await.json()["data"].clone();
        let names: Vec<_> = types.as_array().expect("a list").iter().map(|t| t["type"].clone()).collect();
        assert_eq!(json!(names), json!(["weixin", "mail", "sms", "voice", other]));
        assert_eq!((&types[0]["is_active"], &types[4]["is_active"]), (&json!(true), &json!(true)));
        let zh = world.post_with("get_msg_type", &[("Blueking-Language", "zh-cn")], by_app1(json!({})).to_string());
        let label = if is_default { "企业微信" } else { "微信公众号" };
        assert_eq!(zh.await.json()["data"][4]["label"], json!(label));
        for (msg_type, no) in [("weixin", weixin_no), (other, other_no)] {
            let reply = world.post("send_msg", &msg(json!({"msg_type": msg_type}))).await;
            assert_eq!((reply.message().as_str(), channel_of(&world)), ("OK", ChannelNo(no)), "{msg_type}");
            assert_eq!(reply.invalid(), json!([]));
        }
        assert_eq!(world.post("send_weixin", &weixin(json!({}), json!({}))).await.message(), "OK");
        assert_eq!(channel_of(&world), ChannelNo(weixin_no));
        let same = if is_default { "wechat" } else { "wecom" };
        let reply = world.post("send_msg", &msg(json!({"msg_type": same}))).await;
        assert_eq!(reply.message(), "Unsupported type of msg type", "not listed");
    }
    let off = World::with(|plan| plan.add(ChannelKind::Wechat).enabled = false);
    let reply = off.post("send_msg", &msg(json!({"msg_type": "wechat"}))).await;
    assert_eq!(reply.message(), "Unsupported type of msg type", "not switched on");
}

#[tokio::test]
async fn an_app_needs_the_channel_and_the_channel_must_be_on() {
    let no_permission = |component: &str| {
        format!(
            "APP permission is insufficient, APP has no permission to access the component ({component}) of the system \
             (CMSI). The APP manager can go to the Developer Center and apply for permission to access the component"
        )
    };
    let limited = World::with(|plan| {
        plan.add_all();
        plan.apps[0].channels = vec!["1003".into()];
    });
    let off = World::with(|plan| {
        plan.add_all();
        plan.channels.iter_mut().for_each(|channel| channel.enabled = false);
    });
    let none = World::with(|plan| plan.channels.clear());
    for (component, body) in [
        ("send_weixin", weixin(json!({}), json!({}))),
        ("send_qy_weixin", by_app1(json!({"receiver": "wx1", "content": "c"}))),
        ("send_mp_weixin", weixin(json!({}), json!({}))),
        ("send_sms", by_app1(json!({"receiver": "138", "content": "c"}))),
        ("send_voice_msg", by_app1(json!({"receiver__username": "admin", "auto_read_message": "c"}))),
    ] {
        let reply = refused(&limited, component, &body, &no_permission(component)).await;
        assert_eq!(reply.code(), json!(1_306_403));
        // Before the form is looked at, as everything of permission is.
        refused(&limited, component, &by_app1(json!({})), &no_permission(component)).await;
        let reply = refused(&off, component, &body, "Not found, inactive channel").await;
        assert_eq!(reply.code(), json!(1_306_405));
        let reply = refused(&none, component, &body, UNFINISHED).await;
        assert_eq!(reply.invalid().as_array().map(Vec::len), Some(1), "whoever was meant did not get it");
    }
    for (msg_type, component) in [("weixin", "send_weixin"), ("sms", "send_sms"), ("voice", "send_voice_msg")] {
        let body = msg(json!({"msg_type": msg_type}));
        refused(&limited, "send_msg", &body, &no_permission(component)).await;
        refused(&off, "send_msg", &body, "Not found, inactive channel").await;
        refused(&none, "send_msg", &body, UNFINISHED).await;
    }
}
