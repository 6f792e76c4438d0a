//! Section 3 of the document: what is sent, to whom, and what the caller is told of it.

use hongyan_core::{
    account::{AccountChange, AccountNo},
    content::{Body, Content},
    delivery::Reason,
    message::Dialect,
    setup::{ChannelKind, ProviderNo},
};
use serde_json::{Value, json};

use crate::world::{ACCOUNT, CLOCK, USER, World, over, provider};

/// `details` as pairs of a recipient and its code.
fn told(reply: &Value) -> Vec<(String, i64)> {
    let details = reply["details"].as_array().expect("a list");
    let pair = |entry: &Value| {
        let (recipient, what) = entry.as_object().and_then(|entry| entry.iter().next()).expect("one key");
        (recipient.clone(), what["errorCode"].as_i64().expect("a code"))
    };
    details.iter().map(pair).collect()
}

fn pairs(pairs: &[(&str, i64)]) -> Vec<(String, i64)> {
    pairs.iter().map(|(name, code)| ((*name).to_owned(), *code)).collect()
}

#[tokio::test]
async fn a_mail() {
    let world = World::new().await;
    let reply = world.send(json!({})).await.json();
    let batch = world.store.sent().pop().expect("sent");
    assert_eq!(reply, json!({"errorCode": 0, "errorMessage": "OK", "msgId": batch.message.id.to_string()}));
    let account = AccountNo::of_app(batch.message.app).expect("an account's");
    assert_eq!(account, world.account(USER).await.no);
    assert_eq!((batch.message.dialect, batch.message.user.as_str()), (Dialect::Imsg, USER));
    assert_eq!((batch.message.client.as_str(), batch.message.accepted), ("192.0.2.7", CLOCK));
    let Content::Mail(mail) = &*batch.content else { panic!("a mail") };
    assert_eq!((mail.subject.as_str(), &mail.body), ("hello", &Body::Text("您好".into())));
    assert_eq!((batch.page[0].way.parcel_max, mail.to.len()), (1, 0), "each has one of their own");
}

#[tokio::test]
async fn a_mail_with_a_file_and_html() {
    let world = World::new().await;
    let content = json!({"subject": "a\r\nBcc: x@y.cn", "text": "t", "html": "<b>t</b>"});
    let attachment = json!({"filename": "报表.csv", "file": "aGk="});
    assert_eq!(world.send(json!({"content": content, "attachment": attachment})).await.code(), 0);
    let batch = world.store.sent().pop().expect("sent");
    let Content::Mail(mail) = &*batch.content else { panic!("a mail") };
    assert_eq!((mail.subject.as_str(), &mail.body), ("a Bcc: x@y.cn", &Body::Html("<b>t</b>".into())));
    let file = &mail.attachments[0];
    assert_eq!((file.filename.as_str(), file.mime.as_str(), file.inline), ("报表.csv", "text/csv", false));
    assert_eq!(*batch.attachments, [b"hi"]);
}

#[tokio::test]
async fn texts_and_notices() {
    let world = World::new().await;
    let attachment = json!({"file": 5});
    let sms = json!({"method": "sms", "to": "+86 138-0000-0001", "content": "明天下雨", "attachment": attachment});
    assert_eq!(world.send(sms).await.code(), 0, "an attachment is not looked at");
    let (content, to) = world.store.last();
    assert!(matches!(content, Content::Text(text) if text.text == "明天下雨"));
    assert_eq!(to, ["+8613800000001"]);

    let wechat = json!({"method": "wechat", "to": "o6_bmjrPTlm6_2sgVt7hMZOPfL2M", "content": "明天下雨"});
    assert_eq!(world.send(wechat).await.code(), 0);
    let (Content::Notice(notice), to) = world.store.last() else { panic!("a notice") };
    assert_eq!((notice.heading.as_str(), notice.message.as_str()), (USER, "明天下雨"));
    assert_eq!((notice.date.as_str(), to), ("2026-11-22 16:23:31", vec!["o6_bmjrPTlm6_2sgVt7hMZOPfL2M".to_owned()]));
}

#[tokio::test]
async fn people_of_the_directory() {
    let world = World::new().await;
    for (method, address) in [("smtp", "zhang@163.com"), ("sms", "+8613800000007"), ("wechat", "o_zhang")] {
        let content = if method == "smtp" { json!({"subject": "s", "text": "t"}) } else { json!("t") };
        assert_eq!(world.send(json!({"method": method, "to": " zhang ", "content": content})).await.code(), 0);
        assert_eq!(world.store.last().1, [address]);
    }
    let wechat = json!({"method": "wechat", "to": ["olivia", "o_else"], "content": "t"});
    assert_eq!(world.send(wechat).await.code(), 0);
    assert_eq!(world.store.last().1, ["o_olivia", "o_else"], "a code that looks like an openid");
}

#[tokio::test]
async fn tags_of_followers() {
    let world = World::new().await;
    let one = world.store.follower(ACCOUNT, "o1", true);
    let gone = world.store.follower(ACCOUNT, "o2", false);
    let wechat = async |to: Value| world.send(json!({"method": "wechat", "to": to, "content": "t"})).await.json();
    assert_eq!((one.as_str(), wechat(json!(one)).await["errorCode"].as_i64()), ("iMSG-10001", Some(0)));
    assert_eq!(world.store.last().1, ["o1"]);
    let reply = wechat(json!(gone)).await;
    assert_eq!((&reply["errorCode"], told(&reply)), (&json!(10014), pairs(&[("iMSG-10002", 10014)])));
    let reply = wechat(json!([one, gone])).await;
    assert_eq!(
        (&reply["errorCode"], told(&reply)),
        (&json!(10016), pairs(&[("iMSG-10001", 0), ("iMSG-10002", 10014)]))
    );
    let reply = wechat(json!(["iMSG-10009", one, "iMSG-10008"])).await;
    assert_eq!(reply["errorCode"], 10011);
    assert_eq!(told(&reply), pairs(&[("iMSG-10009", 10011), ("iMSG-10008", 10011)]));
    assert_eq!(reply["Details"], "微信用户iMSG-10008不存在");
}

#[tokio::test]
async fn a_tag_is_of_the_account_that_sends_first() {
    const OTHER: ProviderNo = ProviderNo(2);
    for (is_enabled, codes) in [(true, [0, 10011]), (false, [10011, 0])] {
        let world = World::with(|plan| {
            plan.providers.push(provider(OTHER));
            plan.providers[0].enabled = is_enabled;
            plan.channels.iter_mut().for_each(|channel| channel.providers = vec![ACCOUNT, OTHER]);
        })
        .await;
        for (of, code) in [ACCOUNT, OTHER].into_iter().zip(codes) {
            let tag = world.store.follower(of, "o1", true);
            let reply = world.send(json!({"method": "wechat", "to": tag, "content": "t"})).await;
            assert_eq!(reply.code(), code, "{of:?}, the first enabled: {is_enabled}");
        }
        assert_eq!(world.store.sent().len(), 1);
    }
}

#[tokio::test]
async fn what_the_provider_says() {
    for (reason, code) in [
        (Reason::RecipientRefused, 10012),
        (Reason::ContentRefused, 10012),
        (Reason::NotFollowing, 10014),
        (Reason::NoSuchRecipient, 10015),
    ] {
        let world = World::new().await;
        world.store.refuse("o1", reason);
        let wechat = async |to: Value| world.send(json!({"method": "wechat", "to": to, "content": "t"})).await.json();
        let one = wechat(json!("o1")).await;
        assert_eq!((&one["errorCode"], told(&one)), (&json!(code), pairs(&[("o1", code)])));
        assert!(one["msgId"].is_string());
        let list = wechat(json!(["o0", "o1", "o2"])).await;
        assert_eq!((&list["errorCode"], &list["errorMessage"]), (&json!(10016), &json!("见详情")));
        assert_eq!(told(&list), pairs(&[("o0", 0), ("o1", code), ("o2", 0)]));
        assert_eq!(list["details"][1]["o1"]["errorMessage"].as_str().map(str::is_empty), Some(false));
        assert_eq!(wechat(json!(["o1"])).await["errorCode"], 10016, "a list of one is a list");
        assert_eq!(wechat(json!(["o0"])).await["errorCode"], 0);
    }
}

#[tokio::test]
async fn who_is_named_twice_gets_it_once_and_is_told_by_each_name() {
    let world = World::new().await;
    world.store.refuse("+8613800000001", Reason::RecipientRefused);
    let to = json!(["13800000001", " 13800000001", "+86 13800000001", "13800000002"]);
    let reply = world.send(json!({"method": "sms", "to": to, "content": "t"})).await.json();
    assert_eq!(told(&reply), pairs(&[("13800000001", 10012), ("+86 13800000001", 10012), ("13800000002", 0)]));
    assert_eq!(world.store.last().1, ["+8613800000001", "+8613800000002"]);
}

#[tokio::test(start_paused = true)]
async fn at_the_deadline_it_is_accepted() {
    let world = World::new().await;
    world.store.stop_delivering();
    let began = tokio::time::Instant::now();
    assert_eq!(world.send(json!({"to": ["a@b.cn", "c@d.cn"]})).await.code(), 0);
    assert_eq!(began.elapsed().as_secs(), 8);
}

#[tokio::test]
async fn a_method_without_a_channel() {
    let world = World::with(|plan| {
        plan.channels.retain(|channel| channel.kind != ChannelKind::Sms);
        plan.channels.iter_mut().for_each(|channel| channel.enabled = channel.kind != ChannelKind::Mail);
    })
    .await;
    let sms = json!({"method": "sms", "to": "13800000001", "content": "t"});
    for reply in [world.send(sms.clone()).await, world.send(json!({})).await] {
        assert_eq!((reply.code(), reply.json()["details"].is_string()), (10012, true));
    }
    let nobody = json!({"method": "sms", "to": ["13800000001", "nobody"], "content": "t"});
    assert_eq!(told(&world.send(nobody).await.json()), pairs(&[("nobody", 10011)]), "recipients come first");
    world.change(USER, AccountChange { available: Some(false), ..Default::default() }).await;
    assert_eq!(world.send(sms).await.code(), 10013, "and who may not send is told that");
    assert_eq!(world.send(json!({})).await.code(), 10013, "by a disabled channel too");
}

#[tokio::test]
async fn a_tag_without_a_channel_is_nobodys() {
    let world = World::with(|plan| plan.channels.retain(|channel| channel.kind != ChannelKind::Wechat)).await;
    let tag = world.store.follower(ACCOUNT, "o1", true);
    let reply = world.send(json!({"method": "wechat", "to": tag, "content": "t"})).await;
    assert_eq!(reply.code(), 10011);
}

#[tokio::test]
async fn a_key_makes_a_repeat_safe() {
    let world = World::new().await;
    world.store.refuse("b@b.cn", Reason::RecipientRefused);
    let send = async |key: &str, changes: Value| {
        world.post_with("send", &[("idempotency-key", key)], world.mail(changes).to_string()).await.json()
    };
    let to = json!({"to": ["a@b.cn", "b@b.cn"]});
    let first = send("k", to.clone()).await;
    assert_eq!(first["errorCode"], 10016);
    let again = world.grant(USER, 'w').await;
    assert_eq!(send("k", json!({"to": to["to"], "token": again})).await, first, "by another token");
    assert_eq!(world.store.sent().len(), 1);
    let other = send("k", json!({})).await;
    assert_eq!((&other["errorCode"], other["details"].is_string()), (&json!(10016), true));
    assert_eq!(send("k k", json!({})).await["errorCode"], 10016);
    assert_eq!(world.store.sent().len(), 1);
    assert_eq!(send("k2", json!({})).await["errorCode"], 0);
}

#[tokio::test]
async fn a_key_is_bound_to_all_that_is_sent() {
    let file = |file: &str| json!({"attachment": {"filename": "a.txt", "file": file}});
    for changes in [
        json!({"to": "other@163.com"}),
        json!({"method": "sms", "to": "13800000001", "content": "t"}),
        json!({"content": {"subject": "hello", "text": "好"}}),
        file("aGo="),
        json!({"attachment": {"filename": "b.txt", "file": "aGk="}}),
        json!({"attachment": null}),
    ] {
        let world = World::new().await;
        let send = async |changes: &Value| {
            let body = world.mail(over(file("aGk="), changes.clone())).to_string();
            world.post_with("send", &[("idempotency-key", "k")], body).await.json()
        };
        let first = send(&json!({})).await;
        assert_eq!(first["errorCode"], 0);
        let other = send(&changes).await;
        assert_eq!((&other["errorCode"], &other["details"]), (&json!(10016), &json!("Idempotency-Key已用于另一请求")));
        assert_eq!(send(&json!({})).await, first, "{changes}");
        assert_eq!(world.store.sent().len(), 1, "{changes}");
    }
}
