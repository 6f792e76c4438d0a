//! Every field wrong in every way, with what is answered; nothing of it is stored.

use serde_json::{Value, json};

use crate::world::{APP, CHANNEL, TEMPLATE, World, values};

/// `msg` of a 400 without its beginning.
fn wrong(what: &str) -> Value {
    json!({"code": 400, "msg": format!("参数有误：{what}")})
}

/// Changes of a right message, and what each is answered.
async fn assert_refused(world: &World, cases: impl IntoIterator<Item = (Value, Value)>) {
    for (changes, answer) in cases {
        let reply = world.send(changes.clone()).await;
        assert_eq!((reply.status.as_u16(), reply.json()), (200, answer), "{changes}");
    }
    world.assert_nothing().await;
}

#[tokio::test]
async fn bodies_that_are_no_object() {
    let world = World::new().await;
    let deep = format!("{{\"a\": {}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let many = format!("{{\"a\": [{}1]}}", "1,".repeat(200_000));
    let nothing =
        ["", " ", "{", "null", "[]", "1", "\"x\"", "{}x", "{'a': 1}", "appId=x", "{\"a\": NaN}", "{\"a\": 1,}"];
    let bytes = [b"{\"a\": \"\xff\"}".to_vec(), b"{\"a\": \"\\ud800\"}".to_vec()];
    for path in [CHANNEL, TEMPLATE] {
        for body in nothing.map(|body| body.as_bytes().to_vec()).into_iter().chain(bytes.clone()) {
            let reply = world.post_with(path, &[], body.clone()).await;
            assert_eq!(reply.json(), wrong("请求体不是有效的JSON对象"), "{:?}", String::from_utf8_lossy(&body));
        }
        for (body, what) in [
            (deep.clone(), "请求体嵌套超过64层"),
            (many.clone(), "请求体超过100000个值"),
            ("{\"a\": 1e400}".to_owned(), "请求体中有超出范围的数字"),
        ] {
            assert_eq!(world.post_with(path, &[], body).await.json(), wrong(what));
        }
        assert_eq!(world.post_with(path, &[], "{}").await.json(), wrong("缺少appId"));
    }
}

#[tokio::test]
async fn apps_and_receiver_types() {
    let world = World::new().await;
    let stranger = json!({"code": 401, "msg": "身份验证失败：appId无效"});
    assert_refused(
        &world,
        [
            (json!({"appId": null}), wrong("缺少appId")),
            (json!({"appId": "<absent>"}), wrong("缺少appId")),
            (json!({"appId": " "}), wrong("appId不能为空")),
            (json!({"appId": []}), wrong("appId应为字符串")),
            (json!({"appId": {}}), wrong("appId应为字符串")),
            (json!({"appId": true}), wrong("appId应为字符串")),
            (json!({"appId": "a\u{0}"}), wrong("appId含有控制字符")),
            (json!({"appId": "x".repeat(129)}), wrong("appId超过128个字符")),
            (json!({"appId": "nobody"}), stranger.clone()),
            (json!({"appId": 5}), stranger.clone()),
            (json!({"appId": "retired"}), stranger),
            (json!({"receiverType": "<absent>"}), wrong("缺少receiverType")),
            (json!({"receiverType": null}), wrong("缺少receiverType")),
            (json!({"receiverType": 1}), wrong("receiverType应为字符串")),
            (json!({"receiverType": ["all"]}), wrong("receiverType应为字符串")),
            (json!({"receiverType": ""}), wrong("receiverType应为all、specified或custom")),
            (json!({"receiverType": "ALL"}), wrong("receiverType应为all、specified或custom")),
            (json!({"receiverType": "自定义"}), wrong("receiverType应为all、specified或custom")),
        ],
    )
    .await;
    let number = world.send(json!({"appId": APP.parse::<i64>().expect("a number")})).await;
    assert_eq!(number.code(), 200, "the code as a number");
}

#[tokio::test]
async fn receivers_of_the_wrong_shape_for_the_type() {
    let world = World::new().await;
    let empty = wrong("receiverData不能为空");
    let nobody = wrong("没有有效的接收目标");
    let mut cases = vec![
        (json!({"receiverData": null}), wrong("缺少receiverData")),
        (json!({"receiverData": "<absent>"}), wrong("缺少receiverData")),
        (json!({"receiverData": {}}), empty.clone()),
        (json!({"receiverData": {"user": []}}), empty.clone()),
        (json!({"receiverData": {"user": null, "dept": [""], "post": " "}}), empty.clone()),
        (json!({"receiverData": {"1003": ["a@b.cn"]}}), empty.clone()),
        (json!({"receiverData": {"user": ["a\u{7}"]}}), nobody.clone()),
        (json!({"receiverData": {"user": ["x".repeat(129)]}}), nobody.clone()),
        (json!({"receiverData": {"role": ["x".repeat(513)]}}), nobody.clone()),
        (json!({"receiverType": "custom"}), json!({"code": 404, "msg": "参数有误：渠道“user”不存在"})),
        (json!({"receiverType": "custom", "receiverData": {}}), empty.clone()),
        (json!({"receiverType": "custom", "receiverData": {"1003": []}}), empty),
        (json!({"receiverType": "custom", "receiverData": {"1003": {}}}), wrong("receiverData.1003应为字符串数组")),
        (json!({"receiverType": "custom", "receiverData": {"1003": [null]}}), wrong("receiverData.1003应为字符串数组")),
        (json!({"receiverType": "custom", "receiverData": {"1003": ["a@b.cn\r\nBcc: c@d.cn"]}}), nobody),
    ];
    for value in [json!("USER001"), json!(["USER001"]), json!(1), json!(true)] {
        cases.push((json!({"receiverData": value}), wrong("receiverData应为JSON对象")));
    }
    for name in ["user", "dept", "post", "role"] {
        for value in [
            json!(true),
            json!(1.5),
            json!({}),
            json!({"a": 1}),
            json!([[]]),
            json!([{}]),
            json!([true]),
            json!([null]),
        ] {
            cases.push((json!({"receiverData": {name: value}}), wrong(&format!("receiverData.{name}应为字符串数组"))));
        }
    }
    assert_refused(&world, cases).await;
}

#[tokio::test]
async fn channels_and_what_is_said_on_them() {
    let world = World::new().await;
    let mut cases = vec![
        (json!({"channelData": "<absent>"}), wrong("缺少channelData")),
        (json!({"channelData": null}), wrong("缺少channelData")),
        (json!({"channelData": {}}), wrong("channelData不能为空")),
        (json!({"channelData": []}), wrong("channelData应为JSON对象")),
        (json!({"channelData": {"9999": {}}}), json!({"code": 404, "msg": "参数有误：渠道“9999”不存在"})),
        (json!({"channelData": {"0013": {}}}), json!({"code": 404, "msg": "参数有误：渠道“0013”不存在"})),
        (json!({"channelData": {"": {}}}), json!({"code": 404, "msg": "参数有误：渠道“”不存在"})),
        (json!({"channelData": {"off": {}}}), wrong("渠道“off”已停用")),
        (json!({"channelData": {"1003": {"content": "c"}, "13": {"content": "c"}}}), wrong("渠道“1003”重复")),
        (json!({"channelData": {"1003": null}}), wrong("channelData.1003应为JSON对象")),
        (json!({"channelData": {"1003": "c"}}), wrong("channelData.1003应为JSON对象")),
    ];
    for channel in ["1002", "1003", "wecom", "robot", "voice"] {
        let place = format!("channelData.{channel}");
        for value in values() {
            let what = match &value {
                Value::Null => format!("缺少{place}.content"),
                Value::String(_) => format!("{place}.content不能为空"),
                _ => format!("{place}.content应为字符串"),
            };
            cases.push((json!({"channelData": {channel: {"content": value}}}), wrong(&what)));
        }
        cases.push((json!({"channelData": {channel: {}}}), wrong(&format!("缺少{place}.content"))));
        for title in [json!(1), json!([]), json!({}), json!(true)] {
            let said = json!({"title": title, "content": "c"});
            cases.push((json!({"channelData": {channel: said}}), wrong(&format!("{place}.title应为字符串"))));
        }
        for (title, what) in [("a\u{0}b".to_owned(), "含有控制字符"), ("x".repeat(2_001), "超过2000个字符")]
        {
            let said = json!({"title": title, "content": "c"});
            cases.push((json!({"channelData": {channel: said}}), wrong(&format!("{place}.title{what}"))));
        }
    }
    for website in ["javascript:alert(1)", "ftp://x", "//evil.cn", "a b"] {
        let said = json!({"content": "c", "website": website});
        cases
            .push((json!({"channelData": {"1002": said}}), wrong("channelData.1002.website应为http(s)地址或相对路径")));
    }
    let item = |website: Value| json!({"channelData": {"1002": {"content": "c", "website": website}}});
    cases.push((item(json!(1)), wrong("channelData.1002.website应为字符串")));
    let script = json!({"channelData": {"1002": {"content": "<script>alert(1)</script>"}}});
    cases.push((script, wrong("channelData.1002.content不能为空")));
    assert_refused(&world, cases).await;
}

#[tokio::test]
async fn sms_and_the_channels_with_objects() {
    let world = World::new().await;
    let sms = |said: Value| json!({"channelData": {"1001": said}});
    let aliyun = |said: Value| json!({"channelData": {"aliyun": said}});
    let wechat = |said: Value| json!({"channelData": {"wechat": said}});
    let nothing = wrong("channelData.1001需要content或templateData.templateId");
    let scalar = |name: &str| wrong(&format!("channelData.1001.templateData.paramData.{name}应为字符串、数字或布尔值"));
    assert_refused(
        &world,
        [
            (sms(json!({})), nothing.clone()),
            (sms(json!({"content": " "})), nothing.clone()),
            (sms(json!({"templateData": {}})), nothing.clone()),
            (sms(json!({"templateData": {"templateId": "", "paramData": {"a": 1}}})), nothing),
            (sms(json!({"content": 1})), wrong("channelData.1001.content应为字符串")),
            (sms(json!({"content": "x".repeat(1_001)})), wrong("channelData.1001.content超过1000个字符")),
            (sms(json!({"content": "${a}"})), wrong("缺少变量“a”")),
            (sms(json!({"sign": 1, "content": "c"})), wrong("channelData.1001.sign应为字符串")),
            (sms(json!({"sign": "x".repeat(65), "content": "c"})), wrong("channelData.1001.sign超过64个字符")),
            (sms(json!({"templateData": "T1"})), wrong("channelData.1001.templateData应为JSON对象")),
            (sms(json!({"templateData": ["T1"]})), wrong("channelData.1001.templateData应为JSON对象")),
            (
                sms(json!({"templateData": {"templateId": {}}})),
                wrong("channelData.1001.templateData.templateId应为字符串"),
            ),
            (
                sms(json!({"templateData": {"templateId": "T", "paramData": []}})),
                wrong("channelData.1001.templateData.paramData应为JSON对象"),
            ),
            (sms(json!({"templateData": {"templateId": "T", "paramData": {"a": {}}}})), scalar("a")),
            (sms(json!({"templateData": {"templateId": "T", "paramData": {"a": [1]}}})), scalar("a")),
            (sms(json!({"templateData": {"templateId": "T", "paramData": {"a": null}}})), scalar("a")),
            (aliyun(json!({"sign": "别家", "content": "c"})), wrong("channelData.aliyun.sign不是该渠道的短信签名")),
            (
                aliyun(json!({"templateData": {"templateId": "T100101", "paramData": {"code": 1}}})),
                wrong("缺少变量“time”"),
            ),
            (wechat(json!({})), wrong("缺少channelData.wechat.data")),
            (wechat(json!({"data": {}})), wrong("channelData.wechat.data不能为空")),
            (wechat(json!({"data": "x"})), wrong("channelData.wechat.data应为JSON对象")),
            (
                wechat(json!({"data": {"a": {"color": "red"}}})),
                wrong("channelData.wechat.data.a应为字符串、数字或布尔值"),
            ),
            (wechat(json!({"data": {"a": "x"}, "url": 5})), wrong("channelData.wechat.url应为字符串")),
            (
                wechat(json!({"data": {"a": "x"}, "url": "javascript:x"})),
                wrong("channelData.wechat.url应为http(s)地址或相对路径"),
            ),
            (wechat(json!({"data": {"a": "x".repeat(40_001)}})), wrong("channelData.wechat.data.a超过40000字节")),
            (
                sms(json!({"templateData": {"templateId": "T", "paramData": {"a": 1e22}}})),
                wrong("channelData.1001.templateData.paramData.a的数字过大，无法精确保留，请改用字符串"),
            ),
            (
                json!({"channelData": {"webhook": {"a": [{"b": 1e22}]}}}),
                wrong("channelData.webhook.a.b的数字过大，无法精确保留，请改用字符串"),
            ),
            (json!({"channelData": {"robot": {"content": "c"}, "webhook": {}}}), wrong("没有有效的接收目标")),
            (json!({"channelData": {"webhook": []}}), wrong("channelData.webhook应为JSON对象")),
            (
                json!({"channelData": {"webhook": {"a": "x".repeat(256 * 1_024)}}}),
                wrong("channelData.webhook超过262144字节"),
            ),
            (
                json!({"channelData": {"voice": {"content": "x".repeat(1_001)}}}),
                wrong("channelData.voice.content超过1000个字符"),
            ),
            (
                json!({"channelData": {"wecom": {"content": "x".repeat(40_001)}}}),
                wrong("channelData.wecom.content超过40000字节"),
            ),
            (
                json!({"channelData": {"1002": {"content": "x".repeat(256 * 1_024 + 1)}}}),
                wrong("channelData.1002.content超过262144字节"),
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn what_is_said_around_a_message() {
    let world = World::with(|plan| plan.settings.push_kinds = vec!["alarm".into()]).await;
    let time = wrong("sendTime应为yyyy-MM-dd HH:mm:ss、ISO 8601或毫秒时间戳");
    let far = wrong("sendTime超出允许的定时范围");
    let mut cases = vec![
        (json!({"msgType": "Alarm"}), wrong("msgType“Alarm”未配置")),
        (json!({"sendTime": "2023-08-06 08:30:77"}), time.clone()),
        (json!({"sendTime": "2026-12-01"}), time.clone()),
        (json!({"sendTime": "soon"}), time.clone()),
        (json!({"sendTime": 1_795_339_411}), time.clone()),
        (json!({"sendTime": true}), time.clone()),
        (json!({"sendTime": []}), time.clone()),
        (json!({"sendTime": {"at": 1}}), time),
        (json!({"sendTime": "9999-01-01 00:00:00"}), far.clone()),
        (json!({"sendTime": "2027-11-22 16:23:32"}), far.clone()),
        (json!({"sendTime": "9999-01-01T00:00:00Z"}), far),
    ];
    for value in [json!(4), json!(-1), json!("high"), json!(2.0), json!(true), json!([]), json!({}), json!("2x")] {
        cases.push((json!({"priority": value}), wrong("priority应为3、2、1或0")));
    }
    for (name, most) in [("businessId", 128), ("senderCode", 128), ("senderName", 128), ("msgType", 64)] {
        for value in [json!(true), json!([]), json!({}), json!(1.5)] {
            cases.push((json!({name: value}), wrong(&format!("{name}应为字符串"))));
        }
        cases.push((json!({name: "a\u{0}b"}), wrong(&format!("{name}含有控制字符"))));
        cases.push((json!({name: "鸿".repeat(most + 1)}), wrong(&format!("{name}超过{most}个字符"))));
    }
    assert_refused(&world, cases).await;
}

#[tokio::test]
async fn templates_and_their_values() {
    let world = World::new().await;
    let not_found = |code: &str| json!({"code": 404, "msg": format!("参数有误：消息模板“{code}”不存在")});
    for (changes, answer) in [
        (json!({"templateCode": "<absent>"}), wrong("缺少templateCode")),
        (json!({"templateCode": null}), wrong("缺少templateCode")),
        (json!({"templateCode": ""}), wrong("templateCode不能为空")),
        (json!({"templateCode": []}), wrong("templateCode应为字符串")),
        (json!({"templateCode": "x".repeat(129)}), wrong("templateCode超过128个字符")),
        (json!({"templateCode": "MSG9"}), not_found("MSG9")),
        (json!({"templateCode": 5}), not_found("5")),
        (json!({"templateCode": "OFF"}), wrong("消息模板“OFF”已停用")),
        (json!({"templateCode": "LOST"}), wrong("消息模板的渠道“gone”不存在")),
        (json!({"templateCode": "SHUT"}), wrong("渠道“off”已停用")),
        (json!({"templateCode": "BARE"}), wrong("消息模板“BARE”没有内容")),
        (json!({"channelParamData": "<absent>"}), wrong("缺少channelParamData")),
        (json!({"channelParamData": null}), wrong("缺少channelParamData")),
        (json!({"channelParamData": []}), wrong("channelParamData应为JSON对象")),
        (json!({"channelParamData": "code"}), wrong("channelParamData应为JSON对象")),
        (json!({"channelParamData": {}}), wrong("缺少变量“name”")),
        (json!({"channelParamData": {"name": "n"}}), wrong("缺少变量“code”")),
        (json!({"channelParamData": {"name": "n", "code": null}}), wrong("缺少变量“code”")),
        (
            json!({"channelParamData": {"name": "n", "code": {}}}),
            wrong("channelParamData.code应为字符串、数字或布尔值"),
        ),
        (
            json!({"channelParamData": {"name": "n", "code": 1e22}}),
            wrong("channelParamData.code的数字过大，无法精确保留，请改用字符串"),
        ),
        (json!({"channelParamData": {"name": [1], "code": 1}}), wrong("channelParamData.name应为字符串、数字或布尔值")),
        (
            json!({"channelParamData": {"name": "n", "code": 1, "1003": {"code": []}}}),
            wrong("channelParamData.1003.code应为字符串、数字或布尔值"),
        ),
        (json!({"receiverType": "x"}), wrong("receiverType应为all、specified或custom")),
        (json!({"priority": "9"}), wrong("priority应为3、2、1或0")),
    ] {
        let reply = world.fill(changes.clone()).await;
        assert_eq!((reply.status.as_u16(), reply.json()), (200, answer), "{changes}");
    }
    world.assert_nothing().await;
}
