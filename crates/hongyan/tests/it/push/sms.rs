//! SMS in the push platform's dialect, by providers that know templates only: the clouds' APIs, played by the test, are asked for
//! their own template with the caller's values.

use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::talk::{app, channel, person, provider, settled, states};
use crate::support::{
    place::{Place, on_both_stores},
    provider::{Asked, Provider},
    push::{accepted, push},
    server::Server,
};

on_both_stores!(alibaba_cloud_gets_its_own_template, tencent_cloud_gets_its_own_template);

/// Our template for the caller's `T100101`, whose variables have another order than callers write them in.
const MAPPED: &str =
    "templates = { T100101 = { id = \"OWN-1\", variables = [\"time\", \"code\"] } }\nsign = \"东华医为\"";

const TEMPLATE: &str = r#"
[[template]]
code = "MSG"
[template.content."1001"]
content = "${name}: ${code}"
sms_template = "OWN-2"
sms_variables = ["code", "name"]
"#;

fn plan(keys: &str) -> String {
    app("a", "")
        + &person("u1", "phone = \"+8613800000001\"")
        + &person("u2", "phone = \"+8613800000002\"")
        + &person("u3", "")
        + &provider("cloud", &format!("{keys}\n{MAPPED}"))
        + &channel("1001", "sms", "cloud")
        + TEMPLATE
}

/// What is answered to a request with this said by SMS.
fn say(server: &Server, content: Value) -> Value {
    let fields = json!({ "receiverData": { "user": ["u1", "u2", "u3"] }, "channelData": { "1001": content } });
    push(server, "channel", "a", fields)
}

/// What the provider was asked to send: to whom, which template, its values, the sign.
type Sent = (String, String, Value, String);

/// Sends in all ways, and holds what the provider was asked for against what it has to be: `values` makes what the provider
/// gets of names and values in its own order.
fn every_way(server: &Server, sent: impl Fn() -> Vec<Sent>, values: impl Fn(&[(&str, &str)]) -> Value) {
    let mut known = 0;
    let mut check = |reply: Value, template: &str, wanted: Value| {
        let message = settled(server, &accepted(&reply));
        let found = states(&message, "1001");
        assert_eq!(found["u1"], ("accepted", ""), "{message}");
        assert_eq!((found["u2"], found["u3"]), (("accepted", ""), ("skipped", "no_address")), "{message}");
        let mut sent = sent().split_off(known);
        known += sent.len();
        sent.sort_by(|one, other| one.0.cmp(&other.0));
        let to = |n: u8| (format!("1380000000{n}"), template.to_owned(), wanted.clone(), "东华医为".to_owned());
        assert_eq!(sent, [to(1), to(2)], "{message}");
    };
    let params = json!({ "code": 1001, "time": 5, "more": "x" });
    let data = json!({ "templateId": "T100101", "paramData": params });
    let both = json!({ "sign": "【东华医为】", "templateData": data, "content": "这是我的第一条短信消息" });
    check(say(server, both), "OWN-1", values(&[("time", "5"), ("code", "1001")]));
    let foreign = json!({ "templateData": { "templateId": "SMS_9", "paramData": { "b": "<1>", "a": true } } });
    check(say(server, foreign), "SMS_9", values(&[("b", "<1>"), ("a", "true")]));
    let free = json!({ "content": "码 ${code}" , "sign": "" });
    assert_eq!(say(server, free)["code"], 400, "no value");
    check(say(server, json!({ "content": "<b>码</b> 1<2" })), "FREE", values(&[("content", "码 1<2")]));
    let fields = json!({
        "receiverData": { "user": ["u1", "u2", "u3"] }, "templateCode": "MSG",
        "channelParamData": { "name": "a&b", "code": 7 },
    });
    check(push(server, "template", "a", fields), "OWN-2", values(&[("code", "7"), ("name", "a&b")]));

    for (content, word) in [
        (json!({ "templateData": { "templateId": "T100101", "paramData": { "code": 1 } } }), "缺少变量“time”"),
        (json!({ "sign": "other", "content": "c" }), "不是该渠道的短信签名"),
        (json!({ "sign": "东华医为" }), "需要content或templateData.templateId"),
        (json!({ "templateData": { "templateId": "T100101", "paramData": { "code": {}, "time": 1 } } }), "code"),
    ] {
        let reply = say(server, content.clone());
        let msg = reply["msg"].as_str().expect("a text");
        assert!(reply["code"] == 400 && msg.starts_with("参数有误：") && msg.contains(word), "{content}: {reply}");
    }
    assert_eq!(sent().len(), known, "what is refused is not sent");
}

fn alibaba_cloud_gets_its_own_template(mut place: Place) {
    let cloud = Provider::start(|_| Some(json!({ "Code": "OK", "Message": "OK", "BizId": "9^0", "RequestId": "r" })));
    let keys = format!(
        "kind = \"aliyun\"\naccess_key = \"ak\"\naccess_secret = \"sk\"\ntemplate = \"FREE\"\nbase_url = \"{}\"",
        cloud.url()
    );
    let server = place.start(&plan(&keys));
    let sent = || {
        let query = |asked: &Asked, name: &str| {
            let (_, query) = asked.target.split_once('?').expect("a query");
            let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
            percent_decode_str(value.unwrap_or_default()).decode_utf8().expect("text").into_owned()
        };
        let one = |asked: &Asked| {
            let values = serde_json::from_str(&query(asked, "TemplateParam")).expect("an object");
            (query(asked, "PhoneNumbers"), query(asked, "TemplateCode"), values, query(asked, "SignName"))
        };
        cloud.asked("/").iter().map(one).collect()
    };
    every_way(&server, sent, |pairs| pairs.iter().copied().collect());
}

fn tencent_cloud_gets_its_own_template(mut place: Place) {
    let cloud = Provider::start(|asked| {
        let numbers = asked.json()["PhoneNumberSet"].as_array().cloned().unwrap_or_default();
        let taken = |number: &Value| json!({ "SerialNo": "s", "PhoneNumber": number, "Fee": 1, "SessionContext": "", "Code": "Ok", "Message": "m", "IsoCode": "CN" });
        let statuses: Vec<Value> = numbers.iter().map(taken).collect();
        Some(json!({ "Response": { "SendStatusSet": statuses, "RequestId": "r" } }))
    });
    let keys = format!(
        "kind = \"tencent\"\nsecret_id = \"id\"\nsecret_key = \"sk\"\napp_id = \"1400006666\"\ntemplate = \"FREE\"\nbase_url = \"{}\"",
        cloud.url()
    );
    let server = place.start(&plan(&keys));
    let sent = || {
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let each = |asked: &Asked| {
            let body = asked.json();
            let of = |number: &Value| {
                let number = text(number).trim_start_matches("+86").to_owned();
                (number, text(&body["TemplateId"]), body["TemplateParamSet"].clone(), text(&body["SignName"]))
            };
            body["PhoneNumberSet"].as_array().expect("numbers").iter().map(of).collect::<Vec<_>>()
        };
        cloud.asked("/").iter().flat_map(each).collect()
    };
    every_way(&server, sent, |pairs| pairs.iter().map(|(_, value)| *value).collect());
}
