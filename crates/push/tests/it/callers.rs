//! Decision 6 and row 8: who may call, from where, how often, and how a request is signed.

use std::time::Duration;

use axum::{body::Body, http::Request};
use ring::{
    digest::{SHA256, digest},
    hmac::{HMAC_SHA256, Key, sign},
};
use serde_json::{Value, json};

use crate::world::{CHANNEL, CLOCK, Reply, World, message, over};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A signed request.
struct Signed {
    secret: &'static str,
    path: &'static str,
    timestamp: i64,
    nonce: &'static str,
    body: String,
}

impl Signed {
    fn new(nonce: &'static str) -> Self {
        let body = over(message(), json!({"appId": "signed"})).to_string();
        Self { secret: "topsecret", path: CHANNEL, timestamp: CLOCK.ms() / 1_000, nonce, body }
    }

    fn signature(&self) -> String {
        let body = hex(digest(&SHA256, self.body.as_bytes()).as_ref());
        let text = format!("POST\n{}\n{}\n{}\n{body}", self.path, self.timestamp, self.nonce);
        hex(sign(&Key::new(HMAC_SHA256, self.secret.as_bytes()), text.as_bytes()).as_ref())
    }

    async fn send(&self, world: &World) -> Reply {
        self.send_as(world, &self.signature()).await
    }

    async fn send_as(&self, world: &World, signature: &str) -> Reply {
        let timestamp = self.timestamp.to_string();
        let headers = [("X-Timestamp", &*timestamp), ("X-Nonce", self.nonce), ("X-Signature", signature)];
        world.post_with(CHANNEL, &headers, self.body.clone()).await
    }
}

fn refused(why: &str) -> Value {
    json!({"code": 401, "msg": format!("身份验证失败：{why}")})
}

#[test]
fn the_contracts_vector() {
    let vector = Signed { timestamp: 1_700_000_000, body: "{}".into(), ..Signed::new("nonce-123") };
    assert_eq!(vector.signature(), "5d2cc7753d80d193c2defd589f5482672f076fa2f093ddc751c1792351a79bfe");
}

#[tokio::test]
async fn a_signature_speaks_for_the_app_and_nothing_else_does() {
    let world = World::new().await;
    assert_eq!(world.send(json!({"appId": "signed"})).await.json(), refused("缺少签名"));
    assert_eq!(Signed::new("nonce-01").send(&world).await.code(), 200);
    let newest = Signed { secret: "newest", ..Signed::new("nonce-02") };
    assert_eq!(newest.send_as(&world, &newest.signature().to_uppercase()).await.code(), 200, "each of its secrets");
    let signed = Signed::new("nonce-03");
    for wrong in ["", "x", "00", &signed.signature()[..62], &signed.signature().replace(['0', '1'], "2")] {
        assert_eq!(signed.send_as(&world, wrong).await.json(), refused("签名不正确"), "{wrong}");
    }
    for other in [
        Signed { secret: "another", ..Signed::new("nonce-04") },
        Signed { path: "/api/openApi/message/push/template", ..Signed::new("nonce-05") },
    ] {
        assert_eq!(other.send(&world).await.json(), refused("签名不正确"));
    }
    let signature = signed.signature();
    let other = Signed { body: signed.body.replace("USER001", "USER002"), ..signed };
    assert_eq!(other.send_as(&world, &signature).await.json(), refused("签名不正确"), "another body");
    assert_eq!(Signed::new("nonce-03").send(&world).await.code(), 200, "a wrong signature uses up no nonce");
}

#[tokio::test]
async fn a_signature_is_of_now() {
    let world = World::new().await;
    let now = CLOCK.ms() / 1_000;
    for (n, (timestamp, is_now)) in
        [(now - 300, true), (now + 300, true), (now - 301, false), (now + 301, false), (0, false), (-now, false)]
            .into_iter()
            .enumerate()
    {
        let nonce = ["nonce-10", "nonce-11", "nonce-12", "nonce-13", "nonce-14", "nonce-15"][n];
        let reply = Signed { timestamp, ..Signed::new(nonce) }.send(&world).await;
        if is_now {
            assert_eq!(reply.code(), 200, "{timestamp}");
        } else {
            assert_eq!(reply.json(), refused("X-Timestamp无效或已过期"), "{timestamp}");
        }
    }
    let signed = Signed::new("nonce-16");
    let signature = signed.signature();
    for timestamp in ["", "now", "+1795335811", "1795335811.0", "99999999999999999999"] {
        let headers = [("X-Timestamp", timestamp), ("X-Nonce", signed.nonce), ("X-Signature", &signature)];
        let reply = world.post_with(CHANNEL, &headers, signed.body.clone()).await;
        assert_eq!(reply.json(), refused("X-Timestamp无效或已过期"), "{timestamp}");
    }
}

#[tokio::test]
async fn a_nonce_counts_once_in_ten_minutes() {
    let world = World::new().await;
    for nonce in ["", "1234567", "with space", "x23456789012345678901234567890123456789012345678901234567890123456"] {
        let why = refused("X-Nonce应为8至64个可见ASCII字符");
        assert_eq!(Signed::new(nonce).send(&world).await.json(), why, "{nonce}");
    }
    assert_eq!(Signed::new("12345678").send(&world).await.code(), 200);
    assert_eq!(Signed::new("12345678").send(&world).await.json(), refused("X-Nonce已使用"));
    // Of another app it is another nonce.
    let own = Signed { body: message().to_string(), ..Signed::new("12345678") };
    assert_eq!(own.send(&world).await.code(), 200);
    // A stamp of the furthest ahead is good until the very end of the 600th second.
    let ahead = Signed { timestamp: CLOCK.ms() / 1_000 + 300, ..Signed::new("87654321") };
    assert_eq!(ahead.send(&world).await.code(), 200);
    for millis in [599_000, 1_000, 999] {
        world.clock.advance(Duration::from_millis(millis));
        assert_eq!(ahead.send(&world).await.json(), refused("X-Nonce已使用"), "{millis}");
    }
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(ahead.send(&world).await.json(), refused("X-Timestamp无效或已过期"));
    let later = Signed { timestamp: CLOCK.ms() / 1_000 + 601, ..Signed::new("12345678") };
    assert_eq!(later.send(&world).await.code(), 200);
}

#[tokio::test]
async fn a_signature_that_is_not_needed_is_checked_all_the_same() {
    let world = World::new().await;
    let own = Signed { body: message().to_string(), ..Signed::new("nonce-20") };
    assert_eq!(own.send_as(&world, "00").await.json(), refused("签名不正确"));
    assert_eq!(world.send(json!({})).await.code(), 200);
}

#[tokio::test]
async fn an_app_calls_from_where_it_may() {
    let world = World::new().await;
    let body = || Body::from(over(message(), json!({"appId": "walled"})).to_string());
    for (client, is_allowed) in [("10.1.2.3", true), ("::ffff:10.1.2.3", true), ("192.0.2.7", false), ("::1", false)] {
        let reply = world.request_from(client, Request::post(CHANNEL).body(body()).expect("a request")).await;
        if is_allowed {
            assert_eq!(reply.code(), 200, "{client}");
        } else {
            assert_eq!(reply.json(), refused("来源地址不允许"), "{client}");
        }
    }
}

#[tokio::test]
async fn an_app_calls_as_often_as_it_may() {
    let world = World::new().await;
    let slow = json!({"appId": "slow"});
    assert_eq!(world.send(slow.clone()).await.code(), 200);
    assert_eq!(world.send(over(slow.clone(), json!({"priority": 9}))).await.code(), 400, "which counts too");
    assert_eq!(world.send(slow.clone()).await.json(), json!({"code": 400, "msg": "请求过于频繁，请稍后再试"}));
    world.clock.advance(Duration::from_secs(61));
    assert_eq!(world.send(slow).await.code(), 200);
}
