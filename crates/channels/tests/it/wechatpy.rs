//! A fake of WeCom and of an official account that keeps their rules, trusted only because wechatpy's clients, unmodified, get on
//! with it; and our senders, whose requests must then be the clients' own.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use hongyan_channels::http::{Http, Limits};
use hongyan_core::{
    channel::Channel,
    content::{Content, Notice},
    outcome::Verdict,
    setup::{Secret, WechatProvider, WecomProvider},
};
use serde_json::{Value, json};

use crate::{
    fake::{Act, Fake, Request},
    parcels::{PATIENT, parcel_with, shown},
    python,
    token::Vault,
    wechat::{self, wechat},
    wecom::{self, text, wecom},
};

/// Tokens as both platforms give them out: the same one again while it is good.
#[derive(Default)]
struct Tokens {
    issued: u32,
    good: Option<String>,
    ended: HashSet<String>,
}

impl Tokens {
    fn issue(&mut self, secret_is_right: bool) -> Value {
        if !secret_is_right {
            return error(40001, "invalid credential");
        }
        let token = self.good.get_or_insert_with(|| {
            self.issued += 1;
            format!("token-{}", self.issued)
        });
        json!({"errcode": 0, "errmsg": "ok", "access_token": token, "expires_in": 7200})
    }

    fn revoke(&mut self) {
        self.ended.extend(self.good.take());
    }

    fn error(&self, request: &Request) -> Option<Value> {
        match request.query("access_token") {
            None => Some(error(41001, "access_token missing")),
            Some(token) if self.good.as_ref() == Some(&token) => None,
            Some(token) if self.ended.contains(&token) => Some(error(42001, "access_token expired")),
            Some(_) => Some(error(40014, "invalid access_token")),
        }
    }
}

fn error(code: i64, what: &str) -> Value {
    json!({"errcode": code, "errmsg": format!("{what}, hint: [1700000000], from ip: 10.0.0.1")})
}

fn is(value: &Value, expected: &str) -> bool {
    value.as_str() == Some(expected)
}

/// WeCom's answer to a message (`contracts/providers.md` 2), of a corporation with two members.
fn wecom_answer(request: &Request) -> Value {
    let Ok(body) = serde_json::from_slice::<Value>(&request.body) else { return error(47001, "data format error") };
    if request.body.windows(2).any(|pair| pair == b"\\u") {
        return error(40033, "invalid charset");
    }
    let users: Vec<&str> = body["touser"].as_str().unwrap_or_default().split('|').collect();
    let content = body["text"]["content"].as_str().unwrap_or_default();
    if body["agentid"] != 1_000_002 {
        return error(40056, "invalid agentid");
    }
    if !is(&body["msgtype"], "text") {
        return error(40008, "invalid message type");
    }
    match content.len() {
        0 => return error(44004, "empty content"),
        1..=2_048 => {}
        _ => return error(45002, "content size out of limit"),
    }
    if users.len() > 1_000 {
        return error(40032, "invalid userid list length");
    }
    let is_member = |user: &&str| ["zhangsan", "李四"].contains(&user.to_lowercase().as_str());
    let (members, others): (Vec<&str>, Vec<&str>) = users.into_iter().partition(is_member);
    if members.is_empty() {
        return json!({"errcode": 81013, "errmsg": "user & party & tag all invalid", "msgid": "m-0"});
    }
    json!({"errcode": 0, "errmsg": "ok", "invaliduser": others.join("|").to_lowercase(), "msgid": "m-1"})
}

/// An official account's answer to a template message (`contracts/providers.md` 1.2), with one follower and one template.
fn wechat_answer(request: &Request) -> Value {
    let Ok(body) = serde_json::from_slice::<Value>(&request.body) else { return error(47001, "data format error") };
    if request.body.windows(2).any(|pair| pair == b"\\u") {
        return error(40033, "invalid charset");
    }
    if !is(&body["touser"], "oABC") {
        return error(40003, "invalid openid");
    }
    if !is(&body["template_id"], "TPL") {
        return error(40037, "invalid template_id");
    }
    let are_values = |data: &serde_json::Map<String, Value>| data.values().all(|field| field["value"].is_string());
    if !body["data"].as_object().is_some_and(are_values) {
        return error(47003, "argument invalid! data.first.value is empty");
    }
    json!({"errcode": 0, "errmsg": "ok", "msgid": 3_557_254_367_693_750_277_u64})
}

async fn platform() -> Fake {
    let fake = Fake::start().await;
    let tokens = Arc::new(Mutex::new(Tokens::default()));
    let act = |answer: fn(&mut Tokens, &Request) -> Value| {
        let tokens = Arc::clone(&tokens);
        Act::by(move |request| Act::Json(answer(&mut tokens.lock().expect("no panic"), request)))
    };
    fake.on(
        wecom::TOKEN,
        [act(|tokens, request| tokens.issue(request.target == "/cgi-bin/gettoken?corpid=ww1&corpsecret=corp-s3cret"))],
    );
    fake.on(
        "/cgi-bin/token",
        [act(|tokens, request| {
            tokens.issue(request.target == "/cgi-bin/token?grant_type=client_credential&appid=wx1&secret=app-s3cret")
        })],
    );
    fake.on(
        wechat::TOKEN,
        [act(|tokens, request| {
            let asked = request.json();
            let is_right = is(&asked["grant_type"], "client_credential") && is(&asked["appid"], "wx1");
            tokens.issue(is_right && is(&asked["secret"], "app-s3cret"))
        })],
    );
    fake.on(wecom::SEND, [act(|tokens, request| tokens.error(request).unwrap_or_else(|| wecom_answer(request)))]);
    fake.on(wechat::SEND, [act(|tokens, request| tokens.error(request).unwrap_or_else(|| wechat_answer(request)))]);
    fake.on(
        "/revoke",
        [act(|tokens, _| {
            tokens.revoke();
            json!({})
        })],
    );
    fake
}

/// What the clients send and are told, by a platform of their own.
async fn clients() -> (Fake, Value) {
    let fake = platform().await;
    let input = json!({"url": fake.url()});
    let script = include_str!("wechatpy_client.py");
    let said = tokio::task::spawn_blocking(move || python::run(script, &input)).await.expect("no panic");
    (fake, said)
}

async fn revoke(fake: &Fake) {
    let url = reqwest::Url::parse(&format!("{}/revoke", fake.url())).expect("a url");
    let http = Http::new(Limits::default()).expect("a client");
    http.call(reqwest::Request::new(reqwest::Method::POST, url)).await.expect("an answer");
}

/// The bodies of the requests for `path`, without what a client sends although it says nothing.
fn bodies(fake: &Fake, path: &str) -> Vec<Value> {
    let says = |body: &mut Value| {
        let fields = body.as_object_mut().expect("an object");
        fields.retain(|name, value| !(matches!(name.as_str(), "toparty" | "totag") && is(value, "")));
    };
    let mut bodies: Vec<Value> = fake.seen_at(path).iter().map(Request::json).collect();
    bodies.iter_mut().for_each(says);
    bodies
}

fn codes(said: &Value) -> Vec<i64> {
    said.as_array().expect("a list").iter().map(|step| step["errcode"].as_i64().expect("a code")).collect()
}

fn outcomes(verdicts: &[Verdict]) -> Vec<String> {
    verdicts.iter().map(shown).collect()
}

#[tokio::test]
async fn our_requests_to_wecom_are_those_of_its_client() {
    let (theirs, said) = clients().await;
    assert_eq!(codes(&said["wecom"]), [0, 0, 81013, 40056, 44004, 40001]);
    assert_eq!(said["wecom"][0]["invaliduser"], "nobody");

    let ours = platform().await;
    let sender = wecom(&wecom::keys(&ours.url()), &Arc::default(), PATIENT);
    let verdicts = sender.send(&text("鸿雁\n\"x\" & <y> \\", &["ZhangSan", "Nobody", "李四"])).await;
    assert_eq!(outcomes(&verdicts), ["accepted", "rejected recipient", "accepted"]);
    revoke(&ours).await;
    assert_eq!(outcomes(&sender.send(&text("again", &["zhangsan"])).await), ["accepted"]);
    assert_eq!(outcomes(&sender.send(&text("x", &["nobody", "no-one"])).await), ["rejected recipient"; 2]);
    let other_agent = WecomProvider { agent_id: 1_000_003, ..wecom::keys(&ours.url()) };
    let vault: Arc<Vault> = Arc::default();
    assert_eq!(
        outcomes(&wecom(&other_agent, &vault, PATIENT).send(&text("x", &["zhangsan"])).await),
        ["misconfigured"]
    );
    assert_eq!(outcomes(&sender.send(&text("", &["zhangsan"])).await), ["rejected content"]);
    let wrong = WecomProvider { corp_secret: Secret::new("wrong"), ..wecom::keys(&ours.url()) };
    assert_eq!(outcomes(&wecom(&wrong, &vault, PATIENT).send(&text("x", &["zhangsan"])).await), ["misconfigured"]);

    assert_eq!(bodies(&ours, wecom::SEND), bodies(&theirs, wecom::SEND));
}

#[tokio::test]
async fn our_requests_to_an_official_account_are_those_of_its_client() {
    let (theirs, said) = clients().await;
    assert_eq!(codes(&said["wechat"]), [0, 0, 40003, 40037, 40001]);
    assert_eq!(said["wechat"][0]["msgid"], 3_557_254_367_693_750_277_u64);

    let ours = platform().await;
    let keys = wechat::keys(&ours.url());
    let sender = wechat(&keys, PATIENT);
    let parcel = |url: &str, openid: &str| {
        let [heading, message, remark, url] = ["标题", "消息 \"x\"", "r", url].map(str::to_owned);
        let notice = Notice { heading, message, remark, url, ..Notice::default() };
        parcel_with(Content::Notice(notice), &[openid])
    };
    let verdicts = sender.send(&parcel("https://x.example/?a=1&b=2", "oABC")).await;
    assert_eq!(outcomes(&verdicts), ["accepted"]);
    revoke(&ours).await;
    assert_eq!(outcomes(&sender.send(&parcel("", "oABC")).await), ["accepted"]);
    assert_eq!(outcomes(&sender.send(&parcel("", "oNOBODY")).await), ["rejected nosuchrecipient"]);
    let other = WechatProvider { template: "OTHER".into(), ..keys.clone() };
    assert_eq!(outcomes(&wechat(&other, PATIENT).send(&parcel("", "oABC")).await), ["rejected content"]);
    let wrong = WechatProvider { app_secret: Secret::new("wrong"), ..keys };
    assert_eq!(outcomes(&wechat(&wrong, PATIENT).send(&parcel("", "oABC")).await), ["misconfigured"]);

    let mut sent = bodies(&ours, wechat::SEND);
    for body in &mut sent {
        let id = body.as_object_mut().expect("an object").shift_remove("client_msg_id").expect("ours has one");
        assert!(id.as_str().is_some_and(|id| !id.is_empty()), "{id}");
    }
    assert_eq!(sent, bodies(&theirs, wechat::SEND));
}
