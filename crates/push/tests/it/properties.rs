//! Whatever comes: no panic, HTTP 200, a code of the table, and an id if and only if it is 200. 500 is for the node alone.

use std::sync::OnceLock;

use axum::body::Body;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use tokio::runtime::Runtime;

use crate::world::{APP, CHANNEL, TEMPLATE, World, from_template, message};

const NAMES: [&str; 13] = [
    "appId",
    "receiverType",
    "receiverData",
    "channelData",
    "templateCode",
    "channelParamData",
    "businessId",
    "msgType",
    "priority",
    "senderCode",
    "senderName",
    "sendTime",
    "x",
];
const INNER: [&str; 22] = [
    "user",
    "dept",
    "post",
    "role",
    "1001",
    "1002",
    "1003",
    "wecom",
    "wechat",
    "robot",
    "webhook",
    "voice",
    "aliyun",
    "13",
    "title",
    "content",
    "website",
    "sign",
    "templateData",
    "data",
    "paramData",
    "templateId",
];

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[a-c]{1,3}@[a-c]{1,3}",
        "1[0-9]{10}",
        "USER00[1-9]",
        "20[0-9]{2}-[0-1][0-9]-[0-3][0-9] [0-2][0-9]:[0-6][0-9]:[0-6][0-9]",
        "\\$\\{[a-z]{1,4}\\}",
        "<[a-z]{1,6}>[a-z<>&]{0,9}</[a-z]{1,6}>",
        prop::sample::select(vec![APP, "all", "specified", "custom", "MSG1001", "3", "0"]).prop_map(str::to_owned),
        "[\\x00-\\x7f]{0,12}",
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let name = prop::sample::select(&INNER[..]);
        let pair = (name.prop_map(str::to_owned), inner.clone());
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Value::from),
            prop::collection::vec(pair, 0..4).prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

fn post(path: &str, body: impl Into<Body>) {
    static WORLD: OnceLock<(Runtime, World)> = OnceLock::new();
    let (runtime, world) = WORLD.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let world = runtime.block_on(World::new());
        (runtime, world)
    });
    runtime.block_on(async {
        let reply = world.post_with(path, &[], body).await;
        let json = reply.json();
        assert_eq!(reply.status.as_u16(), 200, "{json}");
        assert!(matches!(reply.code(), 200 | 400 | 401 | 404), "{json}");
        let msg = reply.msg();
        assert!((1..=100).contains(&msg.chars().count()) && !msg.chars().any(char::is_control), "{json}");
        assert_eq!(json.get("msgId").is_some_and(Value::is_string), reply.code() == 200, "{json}");
        if reply.code() == 200 {
            world.stored(&reply).await;
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_json_is_answered(
        path in prop::sample::select(vec![CHANNEL, TEMPLATE]),
        fields in prop::collection::vec((prop::sample::select(&NAMES[..]), value()), 0..9),
    ) {
        let body: Map<String, Value> = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        post(path, Value::Object(body).to_string());
    }

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200), is_json in any::<bool>()) {
        let start: &[u8] = if is_json { b"{" } else { b"" };
        post(CHANNEL, [start, &bytes].concat());
    }

    #[test]
    fn a_call_that_is_nearly_right_is_answered(
        is_template in any::<bool>(),
        name in prop::sample::select(&NAMES[1..]),
        channel in prop::sample::select(&INNER[4..14]),
        value in value(),
    ) {
        let (path, mut body) = if is_template { (TEMPLATE, from_template()) } else { (CHANNEL, message()) };
        match name {
            "channelData" => body["channelData"][channel] = value,
            "receiverData" => {
                body["receiverType"] = json!("custom");
                body["receiverData"] = json!({channel: value});
            }
            _ => body[name] = value,
        }
        post(path, body.to_string());
    }

    #[test]
    fn a_content_that_is_nearly_right_is_answered(
        channel in prop::sample::select(&INNER[4..13]),
        field in prop::sample::select(&INNER[14..]),
        value in value(),
    ) {
        let mut body = message();
        body["channelData"] = json!({channel: {"content": "c", "data": {"a": "b"}}});
        body["channelData"][channel][field] = value;
        post(CHANNEL, body.to_string());
    }
}
