//! WeCom from outside: a caller's `send_weixin`, a provider of the test's own, and what is true in between when things go wrong.
//! Every case runs on both stores.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::{
    PATIENCE,
    place::{Place, on_both_stores},
    provider::{Asked, Provider},
    server::{A_WHILE, Server},
    wait_for,
};

const SEND_WEIXIN: &str = "/api/c/compapi/cmsi/send_weixin/";
const GET_TOKEN: &str = "/cgi-bin/gettoken";
const SEND: &str = "/cgi-bin/message/send";

on_both_stores!(
    one_bad_user_never_stops_the_others,
    while_no_token_can_be_had_messages_wait_and_the_caller_is_not_kept,
    a_callers_wrong_secret_is_the_callers_own_failure,
    a_callers_secret_is_nowhere_to_be_read_and_is_erased_at_the_end,
    what_is_over_a_members_limits_waits,
    what_was_in_flight_when_the_node_died_is_never_sent_again,
);

fn plan(provider: &Provider) -> String {
    format!(
        r#"
[settings]
cmsi.wait = "20s"
[[app]]
code = "app1"
secret = "sec1"
trusted = true
[[user]]
code = "admin"
wecom = "wx_admin"
[[user]]
code = "yunchao"
wecom = "wx_yun"
[[provider]]
code = "wecom-main"
kind = "wecom"
corp_id = "corp"
corp_secret = "cs"
agent_id = 1000002
base_url = "{}"
[[channel]]
code = "1002"
kind = "wecom"
providers = ["wecom-main"]
"#,
        provider.url()
    )
}

fn weixin(fields: Value) -> Value {
    let mut body = json!({
        "bk_app_code": "app1", "bk_app_secret": "sec1", "bk_username": "admin",
        "receiver__username": "admin,yunchao", "data": { "heading": "h", "message": "m" },
    });
    body.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
    body
}

fn send(server: &Server, fields: Value) -> Value {
    let reply = server.post(SEND_WEIXIN, &weixin(fields));
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()
}

fn token() -> Value {
    json!({ "errcode": 0, "errmsg": "ok", "access_token": "TOK", "expires_in": 7200 })
}

fn taken() -> Value {
    json!({ "errcode": 0, "errmsg": "ok", "msgid": "M1" })
}

fn working(asked: &Asked) -> Value {
    if asked.is_for(GET_TOKEN) { token() } else { taken() }
}

fn one_bad_user_never_stops_the_others(mut place: Place) {
    let provider = Provider::start(|asked| {
        let answer = if asked.is_for(GET_TOKEN) {
            token()
        } else {
            json!({ "errcode": 0, "errmsg": "ok", "invaliduser": "WX_YUN", "msgid": "M1" })
        };
        Some(answer)
    });
    let server = place.start(&plan(&provider));
    let reply = send(&server, json!({ "receiver__username": "admin,yunchao,nobody" }));
    assert_eq!(reply["result"], false, "{reply}");
    let text = reply["message"].as_str().expect("a text");
    assert!(text.starts_with("Some users failed to send wechat message. "), "{text}");
    assert_eq!(reply["data"]["username_check"]["invalid"], json!(["yunchao", "nobody"]), "{reply}");
    let message = server.message(&reply);
    let states: Vec<_> = message["deliveries"].as_array().expect("a list").iter().map(|d| d["state"].clone()).collect();
    assert_eq!(states, ["accepted", "failed", "skipped"], "{message}");
    let sent = provider.asked(SEND);
    assert_eq!(sent.len(), 1);
    assert_eq!(
        sent[0].json(),
        json!({ "touser": "wx_admin|wx_yun", "msgtype": "text", "agentid": 1_000_002, "text": { "content": "h\nm" } })
    );
}

fn while_no_token_can_be_had_messages_wait_and_the_caller_is_not_kept(mut place: Place) {
    let right = Arc::new(AtomicBool::new(false));
    let is_right = Arc::clone(&right);
    let provider = Provider::start(move |asked| {
        if asked.is_for(GET_TOKEN) && !is_right.load(Ordering::SeqCst) {
            return Some(json!({ "errcode": 40091, "errmsg": "invalid secret" }));
        }
        Some(working(asked))
    });
    let server = place.start(&plan(&provider));
    let began = Instant::now();
    let reply = send(&server, json!({}));
    assert_eq!(reply["result"], true, "a message that waits is on its way: {reply}");
    assert!(began.elapsed() < Duration::from_secs(15), "nobody waits for a provider that stands still");
    let message = server.wait_until(&reply, "ready");
    let delivery = &message["deliveries"][0];
    let said = delivery["attempts"][0]["reply"].as_str().expect("a text");
    assert!(said.contains("40091"), "the life line has the provider's words: {message}");
    assert!(server.metric("hongyan_deferred_total") >= 1.0);
    assert!(server.metric("hongyan_breaker_open") >= 1.0);
    assert!(provider.asked(SEND).is_empty());

    right.store(true, Ordering::SeqCst);
    server.wait_until(&reply, "accepted");
    assert_eq!(provider.asked(SEND).len(), 1, "all of it in one call, once");
    assert!(server.metric("hongyan_breaker_open") < 1.0);
}

fn a_callers_secret_is_nowhere_to_be_read_and_is_erased_at_the_end(mut place: Place) {
    const CANARY: &str = "canary-7f3a-secret";
    let right = Arc::new(AtomicBool::new(false));
    let is_right = Arc::clone(&right);
    let provider = Provider::start(move |asked| {
        if asked.is_for(GET_TOKEN) && !is_right.load(Ordering::SeqCst) {
            return Some(json!({ "errcode": -1, "errmsg": "system busy" }));
        }
        Some(working(asked))
    });
    let server = place.start(&plan(&provider).replace("20s", "0s"));
    let own = json!({ "wx_qy_agentid": "1000009", "wx_qy_corpsecret": CANARY });
    let reply = send(&server, own);
    assert_eq!(reply["result"], true, "{reply}");
    let open = contents(&place);
    assert!(open.as_ref().is_none_or(|text| text.contains("sealed:")), "sealed while it is queued: {open:?}");
    assert!(!everything(&place).contains(CANARY), "in the store");

    right.store(true, Ordering::SeqCst);
    server.wait_until(&reply, "accepted");
    let tokens = provider.asked(GET_TOKEN);
    assert!(tokens.iter().all(|asked| asked.target.contains(CANARY)), "{tokens:?}");
    assert_eq!(provider.asked(SEND)[0].json()["agentid"], 1_000_009);
    wait_for("the secret to be erased", PATIENCE, || {
        contents(&place).is_none_or(|text| !text.contains("sealed:")).then_some(())
    });
    let message = server.message(&reply).to_string();
    assert!(!message.contains(CANARY) && !message.contains("sealed:"), "{message}");
    assert!(!server.log().concat().contains(CANARY), "in the log");
    assert!(!everything(&place).contains(CANARY), "in the store");
}

fn a_callers_wrong_secret_is_the_callers_own_failure(mut place: Place) {
    let provider = Provider::start(|asked| {
        let is_wrong = asked.is_for(GET_TOKEN) && asked.target.contains("wrong");
        Some(if is_wrong { json!({ "errcode": 40091, "errmsg": "invalid secret" }) } else { working(asked) })
    });
    let server = place.start(&plan(&provider));
    for _ in 0..3 {
        let reply = send(&server, json!({ "wx_qy_corpsecret": "wrong" }));
        assert_eq!(reply["result"], false, "nobody got it: {reply}");
        let state = &server.message(&reply)["deliveries"][0]["state"];
        assert_eq!(state, "failed", "{reply}");
    }
    assert!(server.metric("hongyan_breaker_open") < 1.0, "nobody else waits because of it");
    assert_eq!(send(&server, json!({}))["result"], true);
    assert_eq!(provider.asked(SEND).len(), 1);
}

/// What the messages say, where the store can be asked from outside.
fn contents(place: &Place) -> Option<String> {
    match place {
        Place::Embedded(_) => None,
        Place::Postgres(fleet) => Some(fleet.sql("select convert_from(content, 'UTF8') from message")),
    }
}

/// Everything that lies in the store's files, or in its tables where it has none of its own.
fn everything(place: &Place) -> String {
    match place {
        Place::Embedded(home) => {
            let files = fs::read_dir(home.dir.path()).expect("listed").map(|file| file.expect("a file").path());
            files.filter(|file| file.is_file()).map(|file| text_of(&fs::read(file).expect("read"))).collect()
        }
        Place::Postgres(fleet) => {
            let tables = ["message", "delivery", "done", "access_token", "attachment"];
            tables
                .map(|table| {
                    fleet.sql(&format!(
                        "select to_jsonb(t) || jsonb_build_object('c', encode({}, 'escape')) from {table} t",
                        if table == "message" { "content" } else { "''::bytea" }
                    ))
                })
                .concat()
        }
    }
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn what_is_over_a_members_limits_waits(mut place: Place) {
    let provider = Provider::start(|asked| Some(working(asked)));
    let server = place.start(&plan(&provider));
    let one = || send(&server, json!({ "receiver__username": "admin" }));
    for n in 0..30 {
        let reply = one();
        assert_eq!(server.message(&reply)["deliveries"][0]["state"], "accepted", "the {n}th within the limit");
    }
    let reply = one();
    assert_eq!(reply["result"], true, "deferred, not dropped: {reply}");
    let message = server.message(&reply);
    let delivery = &message["deliveries"][0];
    assert_eq!((&delivery["state"], &delivery["reason"]), (&json!("ready"), &json!("throttled")), "{message}");
    assert_eq!(provider.asked(SEND).len(), 30);
    let other = send(&server, json!({ "receiver__username": "yunchao" }));
    assert_eq!(server.message(&other)["deliveries"][0]["state"], "accepted", "the limit is each member's own");
}

fn what_was_in_flight_when_the_node_died_is_never_sent_again(mut place: Place) {
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let provider = Provider::start(move |asked| {
        if asked.is_for(GET_TOKEN) {
            return Some(token());
        }
        // The first is taken and never answered.
        (count.fetch_add(1, Ordering::SeqCst) > 0).then(taken)
    });
    let declared = plan(&provider).replace("20s", "0s");
    let server = place.start(&declared);
    let reply = send(&server, json!({}));
    wait_for("the call", PATIENCE, || (sent.load(Ordering::SeqCst) == 1).then_some(()));
    server.kill();

    let server = place.start(&declared);
    server.wait_until(&reply, "unknown");
    let next = send(&server, json!({}));
    server.wait_until(&next, "accepted");
    wait_for("nothing to happen", PATIENCE, || (A_WHILE < PATIENCE).then_some(()));
    assert_eq!(sent.load(Ordering::SeqCst), 2, "the one in doubt is not repeated");
    server.wait_until(&reply, "unknown");
}
