//! Every code of the document's table, reached by a call, with exactly its text.

use hongyan_core::{account::AccountChange, delivery::Reason};
use serde_json::{Value, json};

use crate::world::{Reply, USER, World, over, without};

/// The document's table.
const TABLE: [(i64, &str); 18] = [
    (0, "OK"),
    (10001, "请求数据格式错误"),
    (10002, "缺少必要请求参数"),
    (10003, "用户电话或邮箱或微信号已经被注册"),
    (10004, "用户名已存在"),
    (10005, "token不存在或已失效"),
    (10006, "用户不存在"),
    (10007, "密码错误"),
    (10008, "错误的发送方式"),
    (10009, "错误的消息内容格式"),
    (10010, "错误的附件内容格式"),
    (10011, "无效的收件人"),
    (10012, "系统内部错误"),
    (10013, "超出发送消息的频率限制"),
    (10014, "用户未关注微信公众号"),
    (10015, "无此公众微信号"),
    (10016, "见详情"),
    (10017, "错误参数的类型"),
];

async fn reach(code: i64, world: &World) -> Reply {
    let admin = |more: Value| over(json!({"token": world.admin, "username": "li", "password": "p"}), more);
    let wechat = |to: &str| json!({"to": to, "method": "wechat", "content": "明天下雨"});
    match code {
        0 => world.send(json!({})).await,
        10001 => world.post_with("send", &[], "{").await,
        10002 => world.post("send", &without(world.mail(json!({})), "to")).await,
        10003 => {
            world.post("register", &admin(json!({"phone": "13800000001"}))).await;
            world.post("register", &admin(json!({"username": "wang", "phone": "13800000001"}))).await
        }
        10004 => world.post("register", &admin(json!({"username": USER}))).await,
        10005 => world.send(json!({"token": "x"})).await,
        10006 => world.post("login", &json!({"username": "nobody", "password": "123456"})).await,
        10007 => world.post("login", &json!({"username": USER, "password": "123457"})).await,
        10008 => world.send(json!({"method": "email"})).await,
        10009 => world.send(json!({"content": "text"})).await,
        10010 => world.send(json!({"attachment": {"filename": "a", "file": "!"}})).await,
        10011 => world.send(json!({"to": "a@b@c"})).await,
        10012 => world.send(json!({"to": "refused@163.com"})).await,
        10013 => {
            world.change(USER, AccountChange { available: Some(false), ..AccountChange::default() }).await;
            world.send(json!({})).await
        }
        10014 => world.send(wechat("oUnfollowed")).await,
        10015 => world.send(wechat("oUnknown")).await,
        10016 => world.send(json!({"to": ["zhang@163.com", "refused@163.com"]})).await,
        10017 => {
            let body = json!({"token": world.admin, "per_day": "20", "per_hour": 5});
            world.post("modify", &body).await
        }
        code => panic!("no code {code}"),
    }
}

#[tokio::test]
async fn code_by_code() {
    let world = World::new().await;
    world.store.refuse("refused@163.com", Reason::RecipientRefused);
    world.store.refuse("oUnfollowed", Reason::NotFollowing);
    world.store.refuse("oUnknown", Reason::NoSuchRecipient);
    // 10013 last, for it switches sending off.
    let (off, on): (Vec<_>, Vec<_>) = TABLE.into_iter().partition(|(code, _)| *code == 10013);
    for (code, text) in on.into_iter().chain(off) {
        world.change(USER, AccountChange { per_hour: Some(1_000), per_day: Some(1_000), ..Default::default() }).await;
        let reply = reach(code, &world).await;
        let json = reply.json();
        assert_eq!((json["errorCode"].as_i64(), json["errorMessage"].as_str()), (Some(code), Some(text)), "{json}");
        assert_eq!(reply.status.as_u16(), 200, "{json}");
        assert_eq!(reply.headers["content-type"], "application/json; charset=utf-8");
    }
}
