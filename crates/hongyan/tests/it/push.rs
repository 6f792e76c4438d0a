//! The push platform from outside: who may call and what is answered where no message comes of it. Its parts: the document's
//! samples (`samples`), who gets a message (`people`), SMS by a provider's template (`sms`).

mod people;
mod samples;
mod sms;
pub mod talk;

use jiff::Timestamp;
use ring::{
    digest::{SHA256, digest},
    hmac::{HMAC_SHA256, Key, sign},
};
use serde_json::{Value, json};

use self::talk::{CHANNEL, TEMPLATE, app, call, channel, mail, person, provider, said};
use crate::support::{
    client::{self, Connection},
    place::{Place, on_both_stores},
    push::accepted,
    server::{CAPTURE, Server},
};

on_both_stores!(
    a_signature_counts_once_and_now,
    an_app_calls_from_where_it_may,
    rights_are_the_apps_own,
    what_is_no_call_is_answered_in_the_platforms_form,
);

fn plan() -> String {
    let signed = "[[app]]\ncode = \"signed\"\nsecrets = [\"topsecret\", \"older\"]\n";
    app("a", "")
        + signed
        + &app("all", "broadcast = true")
        + &app("near", "ips = [\"192.0.2.0/24\"]")
        + &app("some", "channels = [\"1001\"]")
        + &app("seldom", "rate = \"2/h\"")
        + &person("u1", "email = \"u1@example.com\"")
        + &provider("capture", CAPTURE)
        + &channel("1001", "sms", "capture")
        + &channel("1003", "mail", "capture")
}

/// A request of `app` to u1 by mail.
fn request(app: &str) -> Value {
    json!({ "appId": app, "receiverType": "specified", "receiverData": { "user": ["u1"] }, "channelData": mail("c") })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The signature of decision 6.
fn signature(secret: &str, path: &str, at: i64, nonce: &str, body: &str) -> String {
    let text = format!("POST\n{path}\n{at}\n{nonce}\n{}", hex(digest(&SHA256, body.as_bytes()).as_ref()));
    hex(sign(&Key::new(HMAC_SHA256, secret.as_bytes()), text.as_bytes()).as_ref())
}

/// What is answered to a request that is signed so.
fn signed(server: &Server, secret: &str, at: i64, nonce: &str) -> (i64, String) {
    let body = request("signed").to_string();
    let signature = signature(secret, CHANNEL, at, nonce, &body);
    let headers = [("X-Timestamp", &*at.to_string()), ("X-Nonce", nonce), ("X-Signature", &signature)];
    said(&call(server, CHANNEL, &headers, &body))
}

fn stranger(why: &str) -> (i64, String) {
    (401, format!("身份验证失败：{why}"))
}

fn wrong(what: &str) -> (i64, String) {
    (400, format!("参数有误：{what}"))
}

fn a_signature_counts_once_and_now(mut place: Place) {
    let vector = signature("topsecret", CHANNEL, 1_700_000_000, "nonce-123", "{}");
    assert_eq!(vector, "5d2cc7753d80d193c2defd589f5482672f076fa2f093ddc751c1792351a79bfe");

    let server = place.start(&plan());
    let now = Timestamp::now().as_second();
    let unsigned = call(&server, CHANNEL, &[], &request("signed").to_string());
    assert_eq!(said(&unsigned), stranger("缺少签名"));
    assert_eq!(signed(&server, "wrong", now, "nonce-01"), stranger("签名不正确"));
    assert_eq!(signed(&server, "topsecret", now, "nonce-01").0, 200, "a wrong signature uses no nonce up");
    assert_eq!(signed(&server, "older", now, "nonce-02").0, 200, "both secrets count");
    assert_eq!(signed(&server, "topsecret", now, "nonce-01"), stranger("X-Nonce已使用"));
    for (at, nonce) in [(now - 330, "nonce-03"), (now + 330, "nonce-04")] {
        assert_eq!(signed(&server, "topsecret", at, nonce), stranger("X-Timestamp无效或已过期"), "{at}");
    }
    assert_eq!(signed(&server, "topsecret", now - 200, "nonce-05").0, 200);
    assert_eq!(signed(&server, "topsecret", now, "short"), stranger("X-Nonce应为8至64个可见ASCII字符"));
    // What was signed for one call is no signature of another.
    let body = request("signed").to_string();
    let signature = signature("topsecret", CHANNEL, now, "nonce-06", &body);
    let headers = [("X-Timestamp", &*now.to_string()), ("X-Nonce", "nonce-06"), ("X-Signature", &signature)];
    assert_eq!(said(&call(&server, TEMPLATE, &headers, &body)), stranger("签名不正确"));
    assert_eq!(said(&call(&server, CHANNEL, &headers, &body.replace("\"c\"", "\"d\""))), stranger("签名不正确"));

    assert_eq!(server.metric("hongyan_accepted_total"), 3.0, "what is refused is not sent");
    let again = match &place {
        // Another node on the same database.
        Place::Postgres(fleet) => Server::spawn(fleet.serve("other")),
        Place::Embedded(_) => {
            server.kill();
            place.start(&plan())
        }
    };
    assert_eq!(signed(&again, "topsecret", now, "nonce-05"), stranger("X-Nonce已使用"), "on whichever node");
    assert_eq!(signed(&again, "topsecret", now, "nonce-07").0, 200);
    let log = again.log().concat();
    assert!(!log.contains("topsecret") && !log.contains("nonce-07") && !log.contains("u1@example.com"), "{log}");
}

fn an_app_calls_from_where_it_may(mut place: Place) {
    place.trust("127.0.0.1");
    let server = place.start(&plan());
    let body = request("near").to_string();
    let from = |hops: &str| said(&call(&server, CHANNEL, &[("X-Forwarded-For", hops)], &body)).0;
    assert_eq!(from("192.0.2.7"), 200);
    assert_eq!(from("203.0.113.9, 192.0.2.7"), 200, "the hop that the proxy itself saw");
    assert_eq!(from("192.0.2.7, 203.0.113.9"), 401, "what a caller writes of itself counts for nothing");
    assert_eq!(from("198.51.100.1"), 401);
    assert_eq!(said(&call(&server, CHANNEL, &[], &body)), stranger("来源地址不允许"), "the proxy itself");
    server.kill();

    let mut plain = if matches!(place, Place::Embedded(_)) { Place::embedded() } else { Place::postgres() };
    let server = plain.start(&plan());
    let reply = call(&server, CHANNEL, &[("X-Forwarded-For", "192.0.2.7")], &body);
    assert_eq!(said(&reply), stranger("来源地址不允许"), "nobody's word counts where no proxy is trusted");
}

fn rights_are_the_apps_own(mut place: Place) {
    let server = place.start(&plan());
    let ask = |app: &str, fields: Value| {
        let mut body = request(app);
        body.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
        said(&call(&server, CHANNEL, &[], &body.to_string()))
    };
    let all = || json!({ "receiverType": "all", "receiverData": null });
    assert_eq!(ask("a", all()), wrong("应用无权广播"));
    assert_eq!(ask("all", all()).0, 200);
    assert_eq!(ask("nobody", json!({})), stranger("appId无效"));
    assert_eq!(ask("", json!({})).0, 400);
    assert_eq!(ask("some", json!({})), wrong("应用无权使用渠道“1003”"));
    assert_eq!(ask("some", json!({ "channelData": { "1001": { "content": "c" } } })).0, 200);
    let both = json!({ "channelData": { "1001": { "content": "c" }, "1003": { "content": "c" } } });
    assert_eq!(ask("some", both), wrong("应用无权使用渠道“1003”"), "the whole request");
    assert_eq!(ask("a", json!({ "channelData": { "9": {} } })).0, 404);
    assert_eq!([ask("seldom", json!({})).0, ask("seldom", json!({})).0], [200, 200]);
    let often = ask("seldom", json!({}));
    assert!(often.0 == 400 && often.1.starts_with("请求过于频繁"), "{often:?}");
}

fn what_is_no_call_is_answered_in_the_platforms_form(mut place: Place) {
    let server = place.start(&plan());
    let token = [("Authorization", "Bearer test-admin-token")];
    for (method, path, status, code) in [
        ("GET", CHANNEL, 405, 400),
        ("PUT", TEMPLATE, 405, 400),
        ("DELETE", CHANNEL, 405, 400),
        ("POST", "/api/openApi/message/push/other", 404, 404),
        ("GET", "/api/openApi", 404, 404),
        ("POST", "/api/openApi/message/push/Channel", 404, 404),
    ] {
        let reply = client::request(server.address, method, path, &token, request("a").to_string().as_bytes());
        assert_eq!((reply.status, said(&reply).0), (status, code), "{method} {path}");
    }
    for body in ["", "{", "[]", "{\"appId\": \"a\",}", "{\"appId\": \"a\"，\"receiverType\": \"all\"}"] {
        let reply = call(&server, CHANNEL, &[], body);
        assert_eq!((reply.status, said(&reply).0), (200, 400), "{body}");
    }

    let padded = |total: usize| {
        let mut body = request("a");
        body["unknown"] = json!("");
        let rest = total - body.to_string().len();
        body["unknown"] = json!("x".repeat(rest));
        body.to_string()
    };
    let most = 10 * 1024 * 1024;
    let reply = call(&server, CHANNEL, &[], &padded(most));
    assert_eq!(said(&reply).0, 200, "{reply:?}");
    let mut connection = Connection::open(server.address).expect("it listens");
    // The server may answer and close before all has been sent.
    drop(connection.send("POST", CHANNEL, &[], padded(most + 1).as_bytes()));
    let reply = connection.reply().expect("an answer all the same");
    assert_eq!((reply.status, said(&reply)), (413, wrong("请求体超过10MB")));
    let reply = call(&server, CHANNEL, &[("Content-Encoding", "gzip")], &request("a").to_string());
    assert_eq!((reply.status, said(&reply).0), (415, 400));
    let mut connection = Connection::open(server.address).expect("it listens");
    connection.send("POST", CHANNEL, &[("Content-Type", "text/plain; charset=GBK")], &[0xff, 0xfe]).expect("sent");
    assert_eq!(said(&connection.reply().expect("an answer")).0, 400);
    connection.send("POST", CHANNEL, &[], request("a").to_string().as_bytes()).expect("the connection goes on");
    accepted(&connection.reply().expect("an answer").json());
    assert_eq!(server.metric("hongyan_accepted_total"), 2.0);
}
