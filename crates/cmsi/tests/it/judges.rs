//! How real callers read a reply (contract, section 9), each as strictly and as leniently as it does. What would break a caller
//! breaks the test.

use serde::Deserialize;
use serde_json::Value;

use crate::world::Reply;

/// Every one of them gives up on a status that is no success.
fn parse<'r, T: Deserialize<'r>>(reply: &'r Reply) -> T {
    assert!(reply.status.is_success(), "{}", reply.status);
    serde_json::from_slice(&reply.bytes).unwrap_or_else(|error| panic!("{error}: {:?}", reply.bytes))
}

/// bk-monitor: who of `users` got it. Where `invalid` is there, whoever is not in it did; where it is not, nobody did.
pub fn bk_monitor(reply: &Reply, users: &[&str]) -> Vec<bool> {
    let body: Value = parse(reply);
    if body["result"] == true {
        return vec![true; users.len()];
    }
    let invalid = body["data"]["username_check"]["invalid"].as_array();
    users.iter().map(|user| invalid.is_some_and(|invalid| !invalid.contains(&Value::from(*user)))).collect()
}

/// bk-monitor's voice messages: a success whose `data` is no object is a failure.
pub fn bk_monitor_voice(reply: &Reply) -> bool {
    let body: Value = parse(reply);
    body["result"] == true && body["data"].is_object()
}

/// bk-ci: whether it was sent, or will be sent again by the caller. Its parser knows five keys and no other.
pub fn bk_ci(reply: &Reply) -> bool {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "what the parser knows")]
    struct Body {
        message: Option<String>,
        code: i32,
        result: bool,
        request_id: Option<String>,
        data: Option<Value>,
    }
    parse::<Body>(reply).code == 0
}

/// bk-itsm: what some did not get counts as sent, by the text alone.
pub fn bk_itsm(reply: &Reply) -> bool {
    let body: Value = parse(reply);
    assert!(body.get("code").is_some() && body.get("data").is_some());
    body["result"] == true || body["message"].as_str().expect("a text").starts_with("Some users failed")
}

/// bk-job: `result`, and an integer `code` that is there.
pub fn bk_job(reply: &Reply) -> bool {
    #[derive(Deserialize)]
    struct Body {
        result: bool,
        code: i32,
    }
    let Body { result, code } = parse(reply);
    result && code == 0
}

/// bk-job's channels: type, label, whether it is on, icon.
pub fn bk_job_channels(reply: &Reply) -> Vec<(String, bool)> {
    #[derive(Deserialize)]
    struct Body {
        data: Vec<Channel>,
    }
    #[derive(Deserialize)]
    struct Channel {
        r#type: String,
        label: String,
        is_active: bool,
        icon: String,
    }
    assert!(bk_job(reply));
    let channel = |Channel { r#type, label, is_active, icon }| {
        assert!(!label.is_empty() && !icon.is_empty());
        (r#type, is_active)
    };
    parse::<Body>(reply).data.into_iter().map(channel).collect()
}

/// bk-user (and bk-iam-saas): `int(code)`, and `data` must be there.
pub fn bk_user(reply: &Reply) -> bool {
    let body: Value = parse(reply);
    let code = match &body["code"] {
        Value::Number(code) => code.as_i64().expect("an integer"),
        Value::String(code) => code.parse().expect("an integer"),
        other => panic!("int({other})"),
    };
    assert!(body.get("data").is_some());
    code == 0
}

/// bk-hcm: the types of its Go struct.
pub fn bk_hcm(reply: &Reply) -> bool {
    #[derive(Deserialize)]
    struct Body {
        result: bool,
        code: i64,
        #[serde(rename = "message")]
        _message: String,
    }
    let Body { result, code, .. } = parse(reply);
    assert_eq!(result, code == 0);
    result
}

/// bklog: exactly 200, `result`, and a message that is a text.
pub fn bklog(reply: &Reply) -> bool {
    let body: Value = parse(reply);
    assert!(reply.status.as_u16() == 200 && body["message"].is_string());
    body["result"] == true
}

/// bk-sops and blueking-dbm, through the old SDK: `result` must be there, and on a failure what explains it.
pub fn old_sdk(reply: &Reply) -> bool {
    let body: Value = parse(reply);
    let result = body["result"].as_bool().expect("there at 200");
    assert!(body["message"].is_string() && body["request_id"].is_string() && body["code"].is_i64());
    result
}
