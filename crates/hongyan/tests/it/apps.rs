//! What a plan says of an app holds in the running node: secrets, components, channels, senders, addresses, rate, hook, and who
//! vouches for its users. Every case runs on both stores.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::support::{
    client,
    place::{Place, on_both_stores},
    provider::Provider,
    server::Server,
};

on_both_stores!(
    what_a_plan_allows_an_app_holds,
    an_app_that_a_proxy_stands_before_is_known_by_the_callers_address,
    users_are_vouched_for_by_the_login_service_and_the_gateway,
    whom_the_directory_lacks_the_user_service_knows,
    a_hook_takes_what_an_esb_posts,
);

const PUBLIC: &str = include_str!("../data/gateway.pub.pem");
const PRIVATE: &[u8] = include_bytes!("../data/gateway.pem");
const HOOK: &str = "hook-token-0123456789";

fn plan(settings: &str) -> String {
    format!(
        r#"
[settings]
{settings}
[[app]]
code = "app1"
secrets = ["new-secret", "old-secret"]
trusted = true
[[app]]
code = "limited"
secret = "sec"
trusted = true
components = ["send_mail"]
channels = ["1003"]
senders = ["me@example.com"]
rate = "3/h"
[[app]]
code = "inside"
secret = "sec"
trusted = true
ips = ["192.0.2.0/24"]
[[app]]
code = "asks"
secret = "sec"
[[app]]
code = "esb"
secret = "sec"
hook_token = "{HOOK}"
[[user]]
code = "admin"
email = "admin@bk.com"
[[provider]]
code = "capture"
kind = "capture"
sender = "blueking@bking.com"
[[channel]]
code = "1003"
kind = "mail"
providers = ["capture"]
[[channel]]
code = "1001"
kind = "sms"
providers = ["capture"]
"#
    )
}

/// A mail by an app, with these fields besides.
fn mail(app: &str, secret: &str, fields: Value) -> Value {
    let mut body = json!({
        "bk_app_code": app, "bk_app_secret": secret, "bk_username": "admin",
        "receiver__username": "admin", "title": "t", "content": "c",
    });
    body.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
    body
}

fn post(server: &Server, path: &str, headers: &[(&str, &str)], body: &Value) -> Value {
    let reply = client::request(server.address, "POST", path, headers, body.to_string().as_bytes());
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()
}

fn send(server: &Server, body: &Value) -> Value {
    post(server, client::SEND_MAIL, &[], body)
}

fn what_a_plan_allows_an_app_holds(mut place: Place) {
    let server = place.start(&plan(""));
    for secret in ["new-secret", "old-secret"] {
        assert_eq!(
            send(&server, &mail("app1", secret, json!({})))["result"],
            true,
            "{secret}: both count while they rotate"
        );
    }
    assert_eq!(send(&server, &mail("app1", "older", json!({})))["code"], 1_306_000);

    let limited = |fields| mail("limited", "sec", fields);
    let sms = json!({ "receiver": "13800000001", "receiver__username": null });
    let refused = post(&server, "/api/c/compapi/cmsi/send_sms/", &[], &limited(sms));
    assert_eq!(refused["code"], 1_306_403, "{refused}");
    assert_eq!(send(&server, &limited(json!({ "sender": "you@example.com" })))["code"], 1_306_403);
    assert_eq!(send(&server, &limited(json!({ "sender": "me@example.com" })))["result"], true);
    assert_eq!(send(&server, &limited(json!({})))["result"], true);
    let refused = send(&server, &limited(json!({})));
    assert_eq!(refused["code"], 1_306_429, "the one with a sender that it may not name counted too: {refused}");
    let text = refused["message"].as_str().expect("a text");
    assert!(text.contains("APP [limited]") && text.contains("[3/h]"), "{text}");
    assert_eq!(send(&server, &mail("inside", "sec", json!({})))["code"], 1_306_403, "not from here");

    let message = server.message(&send(&server, &mail("app1", "new-secret", json!({}))));
    assert_eq!(message["app"], "app1", "{message}");
    drop(server);
    // A rotation is over: the plan names the new secret alone.
    let server = place.start(&plan("").replace(r#"["new-secret", "old-secret"]"#, r#"["new-secret"]"#));
    assert_eq!(send(&server, &mail("app1", "old-secret", json!({})))["result"], false);
    assert_eq!(send(&server, &mail("app1", "new-secret", json!({})))["result"], true);
}

fn an_app_that_a_proxy_stands_before_is_known_by_the_callers_address(mut place: Place) {
    let from = |server: &Server, said: &str| {
        let body = mail("inside", "sec", json!({}));
        post(server, client::SEND_MAIL, &[("X-Forwarded-For", said)], &body)["code"].clone()
    };
    let server = place.start(&plan(""));
    assert_eq!(from(&server, "192.0.2.7"), 1_306_403, "anybody may write such a header");
    drop(server);
    place.trust("127.0.0.1");
    let server = place.start(&plan(""));
    assert_eq!(from(&server, "192.0.2.7"), 0);
    assert_eq!(from(&server, "192.0.2.7, 198.51.100.1"), 1_306_403, "the last one is whom the proxy saw");
}

#[expect(clippy::disallowed_methods, reason = "the foreign gateway's clock")]
fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

fn users_are_vouched_for_by_the_login_service_and_the_gateway(mut place: Place) {
    let login = Provider::start(|asked| {
        assert!(asked.is_for("/login/accounts/is_login/"), "{asked:?}");
        let is_good = asked.target.contains("bk_token=goodtoken");
        Some(json!({ "result": is_good, "data": { "username": if is_good { "admin" } else { "" } } }))
    });
    let settings = format!("cmsi.login_url = \"{}/\"\ncmsi.jwt_public_key = '''{PUBLIC}'''", login.url());
    let server = place.start(&plan(&settings));
    let with = |token: &str| mail("asks", "sec", json!({ "bk_token": token }));
    for _ in 0..3 {
        assert_eq!(send(&server, &with("goodtoken"))["result"], true);
    }
    assert_eq!(login.asked("/login/accounts/is_login/").len(), 1, "remembered for a minute");
    let refused = send(&server, &with("badtoken"));
    assert_eq!(refused["message"], "User authentication failed, please check if the bk_token is valid");
    let message = server.message(&send(&server, &with("goodtoken")));
    assert_eq!(message["user"], "admin");

    let now = seconds();
    let claims = json!({
        "iss": "APIGW", "exp": now + 600, "nbf": now - 60,
        "app": { "app_code": "asks", "verified": true }, "user": { "username": "yunchao", "verified": true },
    });
    let key = EncodingKey::from_rsa_pem(PRIVATE).expect("a key");
    let signed = encode(&Header::new(Algorithm::RS512), &claims, &key).expect("signed");
    let bare = json!({ "receiver__username": "admin", "title": "t", "content": "c" });
    let reply = post(&server, client::SEND_MAIL, &[("X-Bkapi-JWT", &signed)], &bare);
    assert_eq!(reply["result"], true, "{reply}");
    assert_eq!(server.message(&reply)["user"], "yunchao");
    let forged = signed.replacen('.', ".e30", 1);
    assert_eq!(post(&server, client::SEND_MAIL, &[("X-Bkapi-JWT", &forged)], &bare)["code"], 1_306_408);
    assert!(!server.log().concat().contains("goodtoken"), "in the log");
}

fn whom_the_directory_lacks_the_user_service_knows(mut place: Place) {
    let down = Arc::new(AtomicBool::new(false));
    let is_down = Arc::clone(&down);
    let users = Provider::start(move |asked| {
        assert!(asked.is_for("/api/v2/profiles/"), "{asked:?}");
        if is_down.load(Ordering::SeqCst) {
            return Some(json!({ "result": false, "message": "being repaired", "data": null }));
        }
        Some(json!({ "result": true, "data": [
            { "username": "wang", "email": "wang@bk.com", "status": "NORMAL", "staff_status": "IN" },
            { "username": "left", "email": "left@bk.com", "status": "NORMAL", "staff_status": "OUT" },
        ] }))
    });
    let server = place.start(&plan(&format!("cmsi.user_url = \"{}\"", users.url())));
    let reply = send(&server, &mail("app1", "new-secret", json!({ "receiver__username": "admin,wang,left,nobody" })));
    assert_eq!(reply["data"]["username_check"]["invalid"], json!(["left", "nobody"]), "{reply}");
    let message = server.message(&reply);
    assert_eq!(message["deliveries"][1]["address"], "wang@bk.com", "{message}");
    down.store(true, Ordering::SeqCst);
    let reply = send(&server, &mail("app1", "new-secret", json!({ "receiver__username": "somebody" })));
    assert_eq!(reply["message"], "Failed to get users contact information based on username, being repaired");
    assert_eq!(
        send(&server, &mail("app1", "new-secret", json!({})))["result"],
        true,
        "whom the directory has needs nobody"
    );
}

fn a_hook_takes_what_an_esb_posts(mut place: Place) {
    let server = place.start(&plan(""));
    // As observed on the reference server.
    let posted = json!({
        "bk_app_code": "app1", "bk_username": "admin", "title": "t", "content": "c",
        "receiver__username": ["admin", "nobody"], "sender": "d@e.com", "receiver": ["admin@bk.com"], "cc": [],
        "cc__username": [], "is_content_base64": false, "body_format": "", "attachments": [],
        "_extra_user_error_msg": "The following users are not blueking users: nobody",
        "_invalid_usernames": ["nobody"],
    });
    let path = |token: &str| format!("/api/c/compapi/cmsi/hook/esb/{token}/send_mail/");
    let reply = post(&server, &path(HOOK), &[], &posted);
    assert_eq!((&reply["result"], &reply["code"]), (&json!(true), &json!(0)), "{reply}");
    let message = server.message(&reply);
    assert_eq!((&message["app"], &message["user"]), (&json!("esb"), &json!("admin")), "{message}");
    assert_eq!(message["deliveries"][0]["address"], "admin@bk.com");
    assert_eq!(post(&server, &path("another-token-012345"), &[], &posted)["result"], false);
    assert!(!server.log().concat().contains(HOOK), "in the log");
}
