//! Whatever comes: no panic, HTTP 200, a code of the table with its text, and 0 or a message's id if and only if something was
//! queued.

use axum::body::Body;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::world::World;

const NAMES: [&str; 11] =
    ["token", "to", "method", "content", "attachment", "username", "password", "per_day", "per_hour", "available", "x"];

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[a-c]{1,3}@[a-c]{1,3}[,; \t\n]?",
        "1[0-9]{10}",
        "iMSG-[0-9]{0,6}",
        "o[a-zA-Z_-]{1,4}",
        Just("zhang".to_owned()),
        Just("smtp".to_owned()),
        Just("eA==".to_owned()),
        "[\\x00-\\x7f]{0,12}",
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        let name = prop::sample::select(vec!["subject", "text", "html", "filename", "file", "x"]);
        let pair = (name.prop_map(str::to_owned), inner.clone());
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Value::from),
            prop::collection::vec(pair, 0..4).prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

fn post(path: &str, body: impl Into<Body>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        let world = World::new().await;
        let reply = world.post_with(path, &[("token", &world.token)], body).await;
        let json = reply.json();
        let code = reply.code();
        assert_eq!(reply.status.as_u16(), 200, "{json}");
        assert!(code == 0 || (10001..=10017).contains(&code), "{json}");
        assert!(json["errorMessage"].is_string(), "{json}");
        let is_queued = world.store.sent().len() == 1;
        assert_eq!(path == "send" && code == 0, is_queued, "{json}");
        assert_eq!(json.get("msgId").is_some(), is_queued, "{json}");
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_json_is_answered(
        path in prop::sample::select(vec!["send", "register", "modify"]),
        fields in prop::collection::vec((prop::sample::select(&NAMES[..]), value()), 0..8),
    ) {
        let body: Map<String, Value> = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        post(path, Value::Object(body).to_string());
    }

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200), is_json in any::<bool>()) {
        let start: &[u8] = if is_json { b"{" } else { b"" };
        post("send", [start, &bytes].concat());
    }

    #[test]
    fn a_call_that_is_nearly_right_is_answered(
        mut body in prop::sample::select(vec![
            json!({"to": "a@b.cn", "method": "smtp", "content": {"subject": "s", "text": "t"}}),
            json!({"to": ["13800000001", "zhang"], "method": "sms", "content": "t"}),
            json!({"to": "o_1", "method": "wechat", "content": "t"}),
        ]),
        name in prop::sample::select(vec!["to", "content", "attachment", "method"]),
        value in value(),
    ) {
        body[name] = value;
        post("send", body.to_string());
    }
}
