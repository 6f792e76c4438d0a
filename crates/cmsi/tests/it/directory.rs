//! Section 12: people whom the directory lacks are looked up in the deployment's user service.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::{
    peer::{Answer, Peer, Seen},
    world::{Plan, World, by_app1, mail},
};

/// Everybody whom the service knows.
fn profiles() -> Vec<Value> {
    let profile = |name: &str, status: &str, staff: &str| {
        json!({"username": name, "country_code": "86", "telephone": "13900000001", "email": format!("{name}@svc.cn"),
               "wx_userid": format!("wx_{name}"), "status": status, "staff_status": staff})
    };
    let mut profiles = vec![
        profile("zhao", "NORMAL", "IN"),
        profile("locked", "LOCKED", "IN"),
        profile("deleted", "DELETED", "IN"),
        profile("disabled", "DISABLED", "IN"),
        profile("left", "NORMAL", "OUT"),
        // The directory has these, and what it says stands.
        profile("admin", "NORMAL", "IN"),
        profile("gone", "NORMAL", "IN"),
    ];
    profiles.extend((0..500).map(|n| profile(&format!("user{n}"), "NORMAL", "IN")));
    profiles
}

/// As the service answers: those whose names were asked for, whatever their case.
fn answer(seen: &Seen) -> Answer {
    let asked = seen.query("exact_lookups").to_lowercase();
    let asked: Vec<&str> = asked.split(',').collect();
    let found = profiles().into_iter().filter(|p| asked.contains(&p["username"].as_str().expect("a name")));
    Answer::Json(json!({"result": true, "code": 0, "message": "OK", "data": found.collect::<Vec<_>>()}))
}

fn at(url: &str) -> impl FnOnce(&mut Plan) {
    let url = url.to_owned();
    move |plan| {
        plan.settings.cmsi_user_url = url;
        plan.add_all();
    }
}

fn to(names: &str) -> Value {
    mail(json!({"receiver": null, "receiver__username": names}))
}

#[tokio::test]
async fn who_is_missing_is_asked_for_and_reached() {
    let service = Peer::answering(answer).await;
    let world = World::with(at(&service.url));
    let reply = world.post("send_mail", &to("zhao,admin,gone,locked,deleted,disabled,left,ZHAO,nobody")).await;
    let invalid = ["gone", "deleted", "disabled", "left", "ZHAO", "nobody"];
    assert_eq!(reply.invalid(), json!(invalid));
    let text =
        format!("Some users failed to send email. The following users are not blueking users: {}", invalid.join(","));
    assert_eq!(reply.message(), text);
    assert_eq!(world.store.last().2, ["zhao@svc.cn", "admin@bk.com", "locked@svc.cn"]);
    let seen = service.seen();
    assert_eq!((seen.len(), seen[0].path.as_str()), (1, "/api/v2/profiles/"));
    for (name, value) in [
        ("lookup_field", "username"),
        ("exact_lookups", "zhao,locked,deleted,disabled,left,ZHAO,nobody"),
        ("no_page", "true"),
        ("best_match", "1"),
        ("fields", "username,country_code,telephone,email,wx_userid,status,staff_status"),
    ] {
        assert_eq!(seen[0].query(name), value);
    }
    for (name, value) in [("Bk-Username", "admin"), ("Bk-App-Code", "app1"), ("Content-Type", "application/json")] {
        assert_eq!(seen[0].header(name), value);
    }
}

#[tokio::test]
async fn every_kind_of_channel_finds_its_address() {
    let service = Peer::answering(answer).await;
    let world = World::with(at(&service.url));
    let weixin = json!({"receiver__username": "zhao", "data": {"heading": "h", "message": "m"}});
    assert_eq!(world.post("send_weixin", &by_app1(weixin.clone())).await.code(), json!(0));
    assert_eq!(world.store.last_notice().1, ["wx_zhao"]);
    let sms = by_app1(json!({"receiver__username": "zhao", "content": "c"}));
    assert_eq!(world.post("send_sms", &sms).await.code(), json!(0));
    assert_eq!(world.store.last_text().1, ["+8613900000001"]);
    let voice = by_app1(json!({"receiver__username": "zhao", "auto_read_message": "c"}));
    assert_eq!(world.post("send_voice_msg", &voice).await.code(), json!(0));
    assert_eq!(world.store.last_text().1, ["+8613900000001"]);
    assert_eq!(service.seen().len(), 1);
}

#[tokio::test]
async fn nothing_is_asked_where_nobody_is_missing_or_no_service_is_configured() {
    let service = Peer::answering(answer).await;
    let world = World::with(at(&service.url));
    for body in [mail(json!({})), to("admin,gone,nomail"), to("admin,\"a,b\"")] {
        world.post("send_mail", &body).await;
    }
    // A name with a comma cannot be asked for: it would be two.
    let comma =
        world.post("send_mail", &mail(json!({"receiver": null, "receiver__username": ["admin", "zhao,x"]}))).await;
    assert_eq!(comma.invalid(), json!(["zhao,x"]));
    let asked: Vec<_> = service.seen().iter().map(|seen| seen.query("exact_lookups")).collect();
    assert_eq!(asked, ["\"a,b\""], "two strange names");
    let without = World::new().post("send_mail", &to("admin,zhao")).await;
    assert_eq!(without.invalid(), json!(["zhao"]));
}

#[tokio::test]
async fn people_are_remembered_and_unknown_ones_not_for_long() {
    let service = Peer::answering(answer).await;
    let world = World::with(at(&service.url));
    for (name, life) in [("zhao", 300), ("nobody", 30), ("deleted", 30)] {
        let before = service.seen().len();
        for (wait, asked) in [(0, 1), (0, 1), (life - 1, 1), (1, 2)] {
            world.clock.advance(Duration::from_secs(wait));
            world.post("send_mail", &to(name)).await;
            assert_eq!(service.seen().len() - before, asked, "{name} after {wait} s");
        }
    }
    // Only who is not remembered is asked for.
    world.post("send_mail", &to("zhao,deleted,user1")).await;
    assert_eq!(service.seen().last().expect("asked").query("exact_lookups"), "user1");
}

#[tokio::test]
async fn many_are_asked_for_in_questions_of_a_hundred() {
    let service = Peer::answering(answer).await;
    let world = World::with(at(&service.url));
    let names: Vec<_> = (0..450).map(|n| format!("user{n}")).collect();
    let reply = world.post("send_mail", &to(&names.join(","))).await;
    assert_eq!(reply.code(), json!(0), "{}", reply.message());
    assert_eq!(world.store.last().2.len(), 450);
    let mut sizes: Vec<_> = service.seen().iter().map(|seen| seen.query("exact_lookups").split(',').count()).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [50, 100, 100, 100, 100]);
}

#[tokio::test]
async fn a_service_that_is_away_is_told_in_the_references_words_and_nothing_is_sent() {
    let status = "Status Code: 502, Error Message: third-party system interface response status code is not 200";
    let json = "interface response is not the JSON format";
    let odd = "interface response has no users";
    let raw = |status, body: &str| Answer::Raw(status, body.to_owned());
    for (answer, why) in [
        (raw(StatusCode::BAD_GATEWAY, "x"), status),
        (raw(StatusCode::OK, "<html>"), json),
        (Answer::Cut, "interface response is incomplete"),
        (Answer::Json(json!({"result": false, "message": "no\r\nway", "data": null})), "no way"),
        (Answer::Json(json!({"result": false})), odd),
        (Answer::Json(json!({"result": true, "data": {}})), odd),
        (Answer::Json(json!({"data": []})), odd),
        (Answer::Never, "Third-party system interface response time exceeds 5 seconds"),
    ] {
        let service = Peer::always(answer.clone()).await;
        let world = World::with(at(&service.url));
        let reply = world.post("send_mail", &to("admin,zhao")).await;
        reply.assert_five_keys();
        let text = format!("Failed to get users contact information based on username, {why}");
        assert_eq!((reply.message(), reply.code()), (text, json!(1_306_000)), "{answer:?}");
        assert_eq!((reply.json()["data"].clone(), world.store.count()), (Value::Null, 0));
        // Nothing of it is remembered, and who needs nobody is served.
        assert_eq!(world.post("send_mail", &to("admin")).await.code(), json!(0));
        if !matches!(answer, Answer::Never) {
            world.post("send_mail", &to("zhao")).await;
            assert_eq!(service.seen().len(), 2);
        }
    }
}

#[tokio::test]
async fn odd_profiles_are_nobody_and_odd_addresses_are_none() {
    let service = Peer::always(Answer::Json(json!({"result": true, "data": [
        {"username": "odd", "email": "a b", "telephone": "1-2", "wx_userid": "@all", "status": "NORMAL", "staff_status": "IN"},
        {"username": "bare", "status": "NORMAL", "staff_status": "IN"},
        {"username": 1, "status": "NORMAL", "staff_status": "IN"},
        {"username": "other", "email": "other@svc.cn", "status": "NORMAL", "staff_status": "IN"},
        null, "x", [],
    ]})))
    .await;
    let world = World::with(at(&service.url));
    let reply = world.post("send_mail", &to("odd,bare,1")).await;
    let text = "All users message failed to be sent. The following users are not blueking users: 1;The following users contact \
                format are incorrect: odd,bare";
    assert_eq!(reply.message(), text);
    assert_eq!(world.store.count(), 0, "and nobody is reached whom nobody named");
}
