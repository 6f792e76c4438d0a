//! Decision 2 and rows 9 to 20: who gets it.

use std::collections::BTreeSet;

use hongyan_core::store::{People, Who};
use serde_json::{Value, json};

use crate::world::{Stored, World};

fn set(rows: &[(u32, &str, &str)]) -> BTreeSet<(u32, String, String)> {
    rows.iter().map(|(no, name, address)| (*no, (*name).to_owned(), (*address).to_owned())).collect()
}

fn rows(stored: &Stored) -> BTreeSet<(u32, String, String)> {
    stored.rows().into_iter().map(|(no, name, address)| (no, name.to_owned(), address)).collect()
}

fn people(stored: Stored) -> People {
    match stored.rest.expect("found later").who {
        Who::People { people, .. } => people,
        Who::Listed(_) => panic!("people"),
    }
}

/// What is answered beside id and message.
async fn invalid(world: &World, changes: Value) -> Value {
    let reply = world.send(changes).await;
    reply.id();
    reply.json()["invalid"].clone()
}

#[tokio::test]
async fn named_people_go_at_once_and_each_once() {
    let world = World::new().await;
    let data = json!({"user": ["USER001", " USER001 ", "USER002", "USER003"], "nothing": [1], "User": ["x"]});
    let stored = world.stored(&world.send(json!({"receiverData": data})).await).await;
    let expected = set(&[
        (13, "USER001", "user1@example.com"),
        (13, "USER002", "user2@example.com"),
        (13, "USER003", "NoAddress"),
    ]);
    assert_eq!(rows(&stored), expected, "row 43: who has no address is skipped");
    assert_eq!(stored.rest, None);
}

#[tokio::test]
async fn numbers_and_bare_strings_are_codes() {
    let world = World::new().await;
    let data = json!({"user": "USER001", "dept": "DEPT001", "post": ["POST001"], "role": 5});
    let reply = world.send(json!({"receiverData": data})).await;
    assert_eq!(reply.json()["invalid"], json!({"role": ["5"]}));
    let people = people(world.stored(&reply).await);
    assert_eq!((people.users, people.departments), (vec!["USER001".to_owned()], vec!["DEPT001".to_owned()]));
    assert_eq!((people.posts, people.roles), (vec!["POST001".to_owned()], vec!["5".to_owned()]));
}

#[tokio::test]
async fn unknown_and_disabled_codes_are_told_and_skipped() {
    let world = World::new().await;
    let data = json!({
        "user": ["nobody", "USER001", "USER009"], "dept": ["DEPT001", "D404"], "post": ["P404"], "role": ["ROLE001", "R404"],
    });
    let expected = json!({"user": ["nobody", "USER009"], "dept": ["D404"], "post": ["P404"], "role": ["R404"]});
    assert_eq!(invalid(&world, json!({"receiverData": data})).await, expected);
    let reply = world.send(json!({"receiverData": {"user": ["nobody", "USER001"]}})).await;
    let stored = world.stored(&reply).await;
    assert_eq!(rows(&stored), set(&[(13, "USER001", "user1@example.com"), (13, "nobody", "UnknownUser")]));
}

#[tokio::test]
async fn what_can_be_nobody_fails_alone() {
    let world = World::new().await;
    let long = "x".repeat(600);
    let data = json!({"user": ["USER001", "a\u{0}b", long, "nobody"], "dept": [long]});
    let cut = format!("{}…", "x".repeat(24));
    let reply = world.send(json!({"receiverData": data})).await;
    assert_eq!(reply.json()["invalid"], json!({"user": ["a?b", cut, "nobody"], "dept": [cut]}));
    let stored = world.stored(&reply).await;
    assert_eq!(rows(&stored), set(&[(13, "USER001", "user1@example.com"), (13, "nobody", "UnknownUser")]));
    let data = json!({"1003": ["a@b.cn", "b@b.cn\r\nBcc: x"]});
    let told = invalid(&world, json!({"receiverType": "custom", "receiverData": data})).await;
    assert_eq!(told, json!({"1003": ["b@b.cn??Bcc: x"]}));
}

#[tokio::test]
async fn robots_and_webhooks_have_no_people() {
    let world = World::new().await;
    let said = json!({"1003": {"content": "c"}, "robot": {"content": "c"}, "webhook": {"a": 1}});
    assert_eq!(invalid(&world, json!({"channelData": said})).await, json!({"channelData": ["robot", "webhook"]}));
    let data = json!({"1003": ["a@b.cn"], "robot": ["USER001"]});
    let custom = json!({"receiverType": "custom", "receiverData": data, "channelData": said});
    assert_eq!(invalid(&world, custom).await, json!({"channelData": ["webhook"], "robot": ["USER001"]}));
    // Alone they are refused, to everyone too.
    let refused = json!({"code": 400, "msg": "参数有误：没有有效的接收目标"});
    let robot = json!({"receiverType": "all", "channelData": {"robot": {"content": "c"}}});
    assert_eq!(world.send(robot).await.json(), refused);
}

#[tokio::test]
async fn nobody_left_is_refused() {
    let world = World::new().await;
    let refused = json!({"code": 400, "msg": "参数有误：没有有效的接收目标"});
    for data in [
        json!({"user": ["nobody", "USER009"]}),
        json!({"dept": ["D404"]}),
        json!({"dept": ["EMPTY"]}),
        json!({"user": ["nobody"], "role": ["R404"]}),
    ] {
        assert_eq!(world.send(json!({"receiverData": data})).await.json(), refused, "{data}");
    }
    let custom = json!({"receiverType": "custom", "receiverData": {"1003": ["nobody", "x@"]}});
    assert_eq!(world.send(custom).await.json(), refused);
    world.assert_nothing().await;
}

#[tokio::test]
async fn departments_mean_those_below_unless_the_deployment_says_otherwise() {
    for below in [true, false] {
        let world = World::with(|plan| plan.settings.push_below = below).await;
        let stored = world.stored(&world.send(json!({"receiverData": {"dept": ["DEPT001"]}})).await).await;
        assert_eq!(people(stored).with_below, below);
    }
}

#[tokio::test]
async fn everyone_is_whoever_there_is_when_it_fires() {
    let world = World::new().await;
    for data in [json!(null), json!("ignored"), json!({"user": ["nobody"]})] {
        let reply = world.send(json!({"receiverType": "all", "receiverData": data})).await;
        assert_eq!(reply.json().as_object().map(|reply| reply.len()), Some(3));
        let people = people(world.stored(&reply).await);
        assert_eq!(people, People { everyone: true, ..People::default() }, "{data}");
    }
    let refused = world.send(json!({"appId": "limited", "receiverType": "all"})).await;
    assert_eq!(refused.json(), json!({"code": 400, "msg": "参数有误：应用无权广播"}));
}

#[tokio::test]
async fn accounts_are_trimmed_and_each_once() {
    let world = World::new().await;
    let data = json!({"1003": ["zhaoli@126.com", "zhaoli@126.com ", "zhaoli@126.COM", "USER001", "user1@example.com"]});
    let stored = world.stored(&world.send(json!({"receiverType": "custom", "receiverData": data})).await).await;
    let expected = set(&[(13, "zhaoli@126.com", "zhaoli@126.com"), (13, "USER001", "user1@example.com")]);
    assert_eq!(rows(&stored), expected);
}

#[tokio::test]
async fn an_account_is_an_address_or_somebody_and_fails_alone() {
    let world = World::new().await;
    let channels = ["1001", "1002", "1003", "wecom", "wechat"];
    let said = json!({
        "1001": {"content": "c"}, "1002": {"content": "c"}, "1003": {"content": "c"}, "wecom": {"content": "c"},
        "wechat": {"data": {"a": "b"}},
    });
    let openid = "o6_bmjrPTlm6_2sgVt7hMZOPfL2M";
    let data = json!({
        "1001": ["13900000001", "USER001", "USER003", "nobody"],
        "1002": ["USER002", "13800000001", "USER4@example.com", "user4@example.com", "13912345678", "USER009"],
        "1003": ["a@b.cn", "USER002", "nobody"],
        "wecom": ["USER001", "some_id"],
        "wechat": [openid, "USER002", "nobody"],
    });
    let reply = world.send(json!({"receiverType": "custom", "receiverData": data, "channelData": said})).await;
    let told = json!({
        "1001": ["USER003", "nobody"], "1002": ["13912345678", "USER009"], "1003": ["nobody"], "wechat": ["nobody"],
    });
    assert_eq!(reply.json()["invalid"], told);
    let stored = world.stored(&reply).await;
    let expected = set(&[
        (11, "13900000001", "+8613900000001"),
        (11, "USER001", "+8613800000001"),
        (11, "USER003", "NoAddress"),
        (11, "nobody", "UnknownUser"),
        (12, "USER002", "USER002"),
        (12, "13800000001", "USER001"),
        (12, "USER4@example.com", "USER004"),
        (12, "13912345678", "UnknownUser"),
        (12, "USER009", "UnknownUser"),
        (13, "a@b.cn", "a@b.cn"),
        (13, "USER002", "user2@example.com"),
        (13, "nobody", "UnknownUser"),
        (14, "USER001", "wx1"),
        (14, "some_id", "some_id"),
        (15, openid, openid),
        (15, "USER002", "o_2"),
        (15, "nobody", "UnknownUser"),
    ]);
    assert_eq!(rows(&stored), expected);
    assert_eq!(channels.len(), 5);
}

#[tokio::test]
async fn keys_are_codes_or_numbers_and_meet_each_other() {
    let world = World::new().await;
    let custom =
        |data: Value, said: Value| json!({"receiverType": "custom", "receiverData": data, "channelData": said});
    let stored =
        world.stored(&world.send(custom(json!({"13": ["a@b.cn"]}), json!({"1003": {"content": "c"}}))).await).await;
    assert_eq!(rows(&stored), set(&[(13, "a@b.cn", "a@b.cn")]));
    let twice = custom(json!({"13": ["a@b.cn"], "1003": ["c@d.cn"]}), json!({"1003": {"content": "c"}}));
    assert_eq!(world.send(twice).await.json(), json!({"code": 400, "msg": "参数有误：渠道“13”重复"}));
}

#[tokio::test]
async fn custom_goes_on_what_both_name() {
    let world = World::new().await;
    let said = json!({"1001": {"content": "c"}, "1003": {"content": "c"}});
    let custom = |data: Value| json!({"receiverType": "custom", "receiverData": data, "channelData": said.clone()});
    let reply = world.send(custom(json!({"1003": ["a@b.cn"], "1001": []}))).await;
    assert_eq!(reply.json()["invalid"], json!({"channelData": ["1001"]}), "said to nobody");
    assert_eq!(rows(&world.stored(&reply).await), set(&[(13, "a@b.cn", "a@b.cn")]));
    for (data, answer) in [
        (
            json!({"1003": ["a@b.cn"], "wecom": ["x"]}),
            json!({"code": 400, "msg": "参数有误：receiverData中的渠道“wecom”没有消息内容"}),
        ),
        (json!({"wecom": ["x"]}), json!({"code": 400, "msg": "参数有误：receiverData中的渠道“wecom”没有消息内容"})),
        (json!({"9999": ["x"]}), json!({"code": 404, "msg": "参数有误：渠道“9999”不存在"})),
    ] {
        assert_eq!(world.send(custom(data)).await.json(), answer);
    }
}

#[tokio::test]
async fn scheduled_people_are_found_when_it_fires() {
    let world = World::new().await;
    let reply = world.send(json!({"sendTime": "2026-11-22 17:23:31"})).await;
    let stored = world.stored(&reply).await;
    assert_eq!(stored.record.deliveries.len(), 0);
    let rest = stored.rest.expect("found later");
    assert_eq!(rest.due.ms(), 1_795_335_811_000 + 3_600_000);
    let scheduled = world.store.scheduled(Default::default(), None, 10, crate::world::CLOCK).await.expect("is there");
    assert_eq!(scheduled.iter().map(|one| one.message.id).collect::<Vec<_>>(), [reply.id()]);
    let custom =
        json!({"receiverType": "custom", "receiverData": {"1003": ["a@b.cn"]}, "sendTime": 1_795_339_411_000_i64});
    let stored = world.stored(&world.send(custom).await).await;
    assert!(matches!(stored.rest.map(|rest| rest.who), Some(Who::Listed(lists)) if lists[0].addressees.len() == 1));
}

#[tokio::test]
async fn a_request_names_no_more_than_the_app_may() {
    let world = World::new().await;
    let limited = |users: Value| json!({"appId": "limited", "receiverData": users});
    let three = json!({"user": ["USER001", "USER002"], "role": ["ROLE001"]});
    assert_eq!(world.send(limited(three)).await.code(), 200);
    let four = json!({"user": ["USER001", "USER001"], "role": ["ROLE001"], "dept": ["DEPT001"]});
    let refused = json!({"code": 400, "msg": "参数有误：接收目标超过3个"});
    assert_eq!(world.send(limited(four)).await.json(), refused);
    let accounts = json!({"appId": "limited", "receiverType": "custom", "receiverData": {"1003": ["a@b.cn", "b@b.cn", "c@b.cn", "d@b.cn"]}});
    assert_eq!(world.send(accounts).await.json(), refused);
    let many: Vec<String> = (0..10_001).map(|n| format!("u{n}")).collect();
    let refused = json!({"code": 400, "msg": "参数有误：接收目标超过10000个"});
    assert_eq!(world.send(json!({"receiverData": {"user": many}})).await.json(), refused);
}
