//! Whatever JSON comes: no panic, HTTP 200, exactly five keys, and a success if and only if something was queued.

use axum::body::Body;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::world::{Plan, World};

const NAMES: [&str; 21] = [
    "receiver",
    "receiver__username",
    "cc",
    "cc__username",
    "title",
    "content",
    "sender",
    "body_format",
    "is_content_base64",
    "attachments",
    "msg_type",
    "data",
    "bk_username",
    "auto_read_message",
    "user_list_information",
    "date",
    "remark",
    "url",
    "wx_qy_agentid",
    "wx_qy_corpsecret",
    "x",
];

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[a-c]{1,3}@[a-c]{1,3}[,; \t\n]?",
        Just("admin,nobody".to_owned()),
        Just("mail".to_owned()),
        Just("13800000001".to_owned()),
        Just("eA==".to_owned()),
        Just("[\"a@b.cn\"]".to_owned()),
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
    leaf.prop_recursive(4, 24, 5, |inner| {
        let name = prop_oneof![
            Just("filename".to_owned()),
            Just("content".to_owned()),
            Just("type".to_owned()),
            Just("content_id".to_owned()),
            Just("heading".to_owned()),
            Just("message".to_owned()),
            Just("username".to_owned()),
            Just("mobile_phone".to_owned()),
            any::<String>(),
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((name, inner), 0..5).prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

fn body() -> impl Strategy<Value = Map<String, Value>> {
    let field = (prop::sample::select(&NAMES[..]), value());
    prop::collection::vec(field, 0..10).prop_map(|fields| fields.into_iter().map(|(n, v)| (n.to_owned(), v)).collect())
}

/// Posts with right credentials in the header, so that everything behind them is reached.
fn post(component: &str, body: impl Into<Body>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        let world = World::with(Plan::add_all);
        let header = r#"{"bk_app_code": "app1", "bk_app_secret": "sec1", "bk_username": "admin"}"#;
        let reply = world.post_with(component, &[("X-Bkapi-Authorization", header)], body).await;
        assert_eq!(reply.status.as_u16(), 200);
        reply.assert_five_keys();
        // A partial failure is a failure that was queued.
        let is_success = reply.json()["result"] == json!(true);
        assert!(!is_success || component == "get_msg_type" || world.store.count() == 1);
        let is_queued = reply.message() == "OK" || reply.message().starts_with("Some users failed");
        assert!(component == "get_msg_type" || is_queued == (world.store.count() == 1), "{}", reply.message());
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_json_is_answered(
        component in prop::sample::select(vec![
            "send_mail", "send_msg", "get_msg_type", "send_weixin", "send_sms", "send_voice_msg", "send_qy_weixin",
            "send_mp_weixin",
        ]),
        body in body(),
    ) {
        post(component, Value::Object(body).to_string());
    }

    #[test]
    fn a_message_that_is_nearly_right_is_answered(
        (component, mut body) in prop::sample::select(vec![
            ("send_weixin", json!({"receiver": "wx1", "data": {"heading": "h", "message": "m"}})),
            ("send_mp_weixin", json!({"receiver": "wx1", "data": {"heading": "h", "message": "m"}})),
            ("send_qy_weixin", json!({"receiver": "wx1", "content": "c"})),
            ("send_sms", json!({"receiver": "138", "content": "c"})),
            ("send_voice_msg", json!({"receiver__username": "admin", "auto_read_message": "m"})),
            ("send_msg", json!({"msg_type": "weixin", "receiver__username": "us", "title": "t", "content": "c"})),
            ("send_msg", json!({"msg_type": "sms", "receiver__username": "us", "title": "t", "content": "c"})),
            ("send_msg", json!({"msg_type": "voice", "receiver__username": "us", "title": "t", "content": "c"})),
        ]),
        name in prop::sample::select(&NAMES[..]),
        inner in prop::sample::select(vec!["heading", "message", "date", "remark", "is_message_base64"]),
        value in value(),
    ) {
        if name == "data" && body["data"].is_object() {
            body["data"][inner] = value;
        } else if name == "user_list_information" {
            body[name] = json!([{"username": "us", "mobile_phone": value}]);
        } else {
            body[name] = value;
        }
        post(component, body.to_string());
    }

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200), is_json in any::<bool>()) {
        let start: &[u8] = if is_json { b"{" } else { b"" };
        post("send_mail", [start, &bytes].concat());
    }

    #[test]
    fn a_mail_that_is_nearly_right_is_answered(name in prop::sample::select(&NAMES[..]), value in value()) {
        let mut body = json!({"receiver": "a@b.com", "title": "t", "content": "c", "msg_type": "mail"});
        body[name] = value;
        post("send_mail", body.to_string());
        body["receiver__username"] = json!("admin");
        post("send_msg", body.to_string());
    }
}
