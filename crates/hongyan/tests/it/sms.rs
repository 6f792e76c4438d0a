//! SMS from outside: numbers in doubt, numbers that are wrong, and a provider that is asked later. Every case runs on both stores.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use serde_json::{Value, json};

use crate::support::{
    PATIENCE,
    place::{Place, on_both_stores},
    provider::{Asked, Provider},
    server::Server,
    wait_for,
};

const SEND_SMS: &str = "/api/c/compapi/cmsi/send_sms/";

on_both_stores!(
    one_bad_number_never_stops_the_others,
    a_call_without_an_answer_is_unknown_until_the_provider_says_more,
    many_in_doubt_are_asked_about_whatever_becomes_of_one,
    two_hundred_numbers_go_in_one_call,
);

fn plan(provider: &str) -> String {
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
phone = "+8613800000001"
[[provider]]
code = "sms-main"
{provider}
[[channel]]
code = "1001"
kind = "sms"
providers = ["sms-main"]
"#
    )
}

fn aliyun(provider: &Provider) -> String {
    let keys = "kind = \"aliyun\"\naccess_key = \"ak\"\naccess_secret = \"sk\"\nsign = \"鸿雁\"\ntemplate = \"SMS_1\"";
    plan(&format!("{keys}\nbase_url = \"{}\"", provider.url()))
}

fn tencent(provider: &Provider) -> String {
    let keys = "kind = \"tencent\"\nsecret_id = \"id\"\nsecret_key = \"sk\"\napp_id = \"1400006666\"\nsign = \"鸿雁\"\ntemplate = \"1110\"";
    plan(&format!("{keys}\nbase_url = \"{}\"", provider.url()))
}

fn send(server: &Server, receiver: Value) -> Value {
    let body = json!({
        "bk_app_code": "app1", "bk_app_secret": "sec1", "bk_username": "admin", "receiver": receiver, "content": "码 1234",
    });
    let reply = server.post(SEND_SMS, &body);
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()
}

/// A parameter of the query, still encoded.
fn query<'a>(asked: &'a Asked, name: &str) -> Option<&'a str> {
    let (_, query) = asked.target.split_once('?')?;
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

fn states(message: &Value) -> Vec<String> {
    let deliveries = message["deliveries"].as_array().expect("a list");
    deliveries.iter().map(|delivery| delivery["state"].as_str().expect("a state").to_owned()).collect()
}

fn one_bad_number_never_stops_the_others(mut place: Place) {
    let provider = Provider::start(|asked| {
        let is_bad = query(asked, "PhoneNumbers") == Some("13800000002");
        let code = if is_bad { "isv.MOBILE_NUMBER_ILLEGAL" } else { "OK" };
        Some(json!({ "Code": code, "Message": "said", "BizId": "9006^0", "RequestId": "r" }))
    });
    let server = place.start(&aliyun(&provider));
    let reply = send(&server, json!("13800000001,13800000002,13800000003"));
    assert_eq!(reply["result"], false, "{reply}");
    let text = reply["message"].as_str().expect("a text");
    assert!(text.starts_with("Some users failed to send sms. "), "{text}");
    assert_eq!(reply["data"]["username_check"]["invalid"], json!(["13800000002"]), "{reply}");
    let message = server.message(&reply);
    assert_eq!(states(&message), ["accepted", "failed", "accepted"], "{message}");
    assert_eq!(message["deliveries"][0]["address"], "+8613800000001");
    assert_eq!(provider.asked("/").len(), 3, "a call for each, so that each has a verdict of its own");
}

fn a_call_without_an_answer_is_unknown_until_the_provider_says_more(mut place: Place) {
    let known = Arc::new(AtomicBool::new(false));
    let is_known = Arc::clone(&known);
    let sent = Arc::new(std::sync::Mutex::new(String::new()));
    let out_id = Arc::clone(&sent);
    let provider = Provider::start(move |asked| {
        if let Some(id) = query(asked, "OutId") {
            id.clone_into(&mut out_id.lock().expect("no panic"));
            return None;
        }
        let found = is_known.load(Ordering::SeqCst);
        let details: Vec<Value> = found
            .then(|| json!({ "PhoneNum": "13800000001", "OutId": *out_id.lock().expect("no panic"), "SendStatus": 3, "ErrCode": "DELIVERED" }))
            .into_iter()
            .collect();
        Some(json!({
            "Code": "OK", "Message": "OK", "RequestId": "r", "TotalCount": details.len().to_string(),
            "SmsSendDetailDTOs": { "SmsSendDetailDTO": details },
        }))
    });
    let server = place.start(&aliyun(&provider));
    let reply = send(&server, json!("13800000001"));
    assert_eq!(reply["result"], true, "what may have been sent counts as sent: {reply}");
    let message = server.wait_until(&reply, "unknown");
    known.store(true, Ordering::SeqCst);
    let message = {
        drop(message);
        server.wait_until(&reply, "delivered")
    };
    let sends = provider.asked("/").iter().filter(|asked| query(asked, "OutId").is_some()).count();
    assert_eq!(sends, 1, "never sent again: {message}");
}

/// Enough lost answers to open the breaker, and nothing else to send that would close it.
fn many_in_doubt_are_asked_about_whatever_becomes_of_one(mut place: Place) {
    let sent = Arc::new(Mutex::new(HashMap::new()));
    let ids = Arc::clone(&sent);
    let provider = Provider::start(move |asked| {
        let mut ids = ids.lock().expect("no panic");
        let text = |name| query(asked, name).unwrap_or_default().to_owned();
        if let Some(id) = query(asked, "OutId") {
            ids.insert(text("PhoneNumbers"), id.to_owned());
            return None;
        }
        let number = text("PhoneNumber");
        if number.ends_with('3') {
            return Some(json!({ "Code": "isv.SOMETHING_NEW", "Message": "said", "RequestId": "r" }));
        }
        let detail = json!({ "PhoneNum": number, "OutId": ids.get(&number), "SendStatus": 3, "ErrCode": "DELIVERED" });
        let details = json!({ "SmsSendDetailDTO": [detail] });
        Some(
            json!({ "Code": "OK", "Message": "OK", "RequestId": "r", "TotalCount": "1", "SmsSendDetailDTOs": details }),
        )
    });
    let server = place.start(&aliyun(&provider));
    let numbers: Vec<String> = (0..10).map(|n| format!("1380000000{n}")).collect();
    let reply = send(&server, json!(numbers));
    wait_for("what the provider knows", PATIENCE, || {
        let found = states(&server.message(&reply));
        (found.iter().filter(|state| *state == "delivered").count() == 9).then_some(())
    });
    assert_eq!(states(&server.message(&reply))[3], "unknown");
}

fn two_hundred_numbers_go_in_one_call(mut place: Place) {
    let provider = Provider::start(|asked| {
        let numbers = asked.json()["PhoneNumberSet"].as_array().cloned().unwrap_or_default();
        let status: Vec<Value> = numbers
            .iter()
            .map(|number| {
                let is_bad = number == "+8613800000007";
                let code = if is_bad { "FailedOperation.PhoneNumberInBlacklist" } else { "Ok" };
                json!({ "SerialNo": "s", "PhoneNumber": number, "Fee": 1, "SessionContext": "", "Code": code, "Message": "m", "IsoCode": "CN" })
            })
            .collect();
        Some(json!({ "Response": { "SendStatusSet": status, "RequestId": "r" } }))
    });
    let server = place.start(&tencent(&provider));
    let numbers: Vec<String> = (0..450).map(|n| format!("13800000{n:03}")).collect();
    let reply = send(&server, json!(numbers));
    assert_eq!(reply["data"]["username_check"]["invalid"], json!(["13800000007"]), "{reply}");
    let mut sizes: Vec<usize> = provider
        .asked("/")
        .iter()
        .map(|asked| asked.json()["PhoneNumberSet"].as_array().expect("a list").len())
        .collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [50, 200, 200]);
}
