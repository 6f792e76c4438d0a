//! What real callers send and what they make of our replies (contract, section 9): for each component that one uses, to people
//! who all get it, of whom some get it, and of whom nobody does.

use axum::{body::Body, http::Request};
use base64::{Engine, engine::general_purpose::STANDARD};
use hongyan_core::setup::ChannelKind;
use serde_json::{Value, json};

use crate::{
    judges,
    world::{Reply, World, by_app1, mail},
};

const HEADER: &str = "X-Bkapi-Authorization";
const APP1: &str = r#"{"bk_app_code": "app1", "bk_app_secret": "sec1", "bk_username": "admin"}"#;

fn post(path: &str, headers: &[(&str, &str)], body: &Value) -> Request<Body> {
    let mut request = Request::post(path);
    for (name, value) in headers {
        let value = axum::http::HeaderValue::from_bytes(value.as_bytes()).expect("a header");
        request = request.header(*name, value);
    }
    request.body(Body::from(body.to_string())).expect("a request")
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Both get it.
    Everyone,
    /// The provider refuses the second.
    Refused,
    /// The directory does not know the second.
    Unknown,
    /// The provider refuses both.
    Nobody,
    /// The directory knows neither.
    Strangers,
}

use End::{Everyone, Nobody, Refused, Strangers, Unknown};

impl End {
    const ALL: [Self; 5] = [Everyone, Refused, Unknown, Nobody, Strangers];

    /// A world with every channel in which it comes to that.
    fn world(self) -> World {
        let world = World::with(crate::world::Plan::add_all);
        let yunchao = ["yunchao@bk.com", "+8613800000002", "wx_yun"];
        let admin = ["admin@bk.com", "+8613800000001", "wx_admin"];
        match self {
            Nobody => yunchao.iter().chain(&admin).for_each(|address| world.store.refuse(address)),
            Refused => yunchao.iter().for_each(|address| world.store.refuse(address)),
            Everyone | Unknown | Strangers => {}
        }
        world
    }

    /// Two people by name.
    fn users(self) -> [&'static str; 2] {
        match self {
            Everyone | Refused | Nobody => ["admin", "yunchao"],
            Unknown => ["admin", "nobody"],
            Strangers => ["nobody", "somebody"],
        }
    }

    /// Both as most callers name them.
    fn to(self) -> String {
        self.users().join(",")
    }

    /// Whether anybody gets it.
    fn is_partial(self) -> bool {
        matches!(self, Refused | Unknown)
    }
}

/// What a caller makes of each end.
async fn each<T>(request: impl Fn(End) -> Request<Body>, judge: impl Fn(End, &Reply) -> T) -> Vec<(End, T)> {
    let mut verdicts = Vec::new();
    for end in End::ALL {
        let reply = end.world().request(request(end)).await;
        reply.assert_five_keys();
        verdicts.push((end, judge(end, &reply)));
    }
    verdicts
}

/// Asserts that a caller takes a message for sent at these ends alone.
fn assert_sent_at(verdicts: &[(End, bool)], sent: &[End], what: &str) {
    for (end, is_sent) in verdicts {
        assert_eq!(*is_sent, sent.contains(end), "{what}: {end:?}");
    }
}

#[tokio::test]
async fn bk_monitor_marks_each_person() {
    let text = STANDARD.encode("你好");
    type Fill = fn(&mut Value, &str);
    let components: [(&str, Fill); 3] = [
        ("send_mail", |body, text| {
            (body["title"], body["content"], body["is_content_base64"]) = (json!("t"), json!(text), json!(true));
            (body["email_type"], body["bk_biz_id"]) = (json!("SEND_TO_INTERNET"), json!(2));
        }),
        ("send_sms", |body, text| (body["content"], body["is_content_base64"]) = (json!(text), json!(true))),
        ("send_weixin", |body, text| {
            body["data"] = json!({"heading": "h", "message": text, "is_message_base64": true});
        }),
    ];
    for (component, fill) in components {
        let request = |end: End| {
            let mut body = json!({"bk_username": "admin", "receiver__username": end.to()});
            fill(&mut body, &text);
            post(&format!("/api/c/compapi/v2/cmsi/{component}"), &[(HEADER, APP1)], &body)
        };
        let verdicts = each(request, |end, reply| judges::bk_monitor(reply, &end.users())).await;
        for (end, delivered) in verdicts {
            let expected = [end == Everyone || end.is_partial(), end == Everyone];
            assert_eq!(delivered, expected, "{component}: {end:?}");
        }
    }
    let voice = |end: End| {
        let body = json!({"bk_username": "admin", "receiver__username": end.to(), "auto_read_message": "m"});
        post("/api/c/compapi/v2/cmsi/send_voice_msg", &[(HEADER, APP1)], &body)
    };
    assert_sent_at(&each(voice, |_, reply| judges::bk_monitor_voice(reply)).await, &[Everyone], "voice");
}

#[tokio::test]
async fn bk_ci_sends_again_what_is_not_wholly_sent() {
    let header = r#"{"bk_app_code":"app1","bk_app_secret":"sec1","bk_token":"","bk_username":"蓝鲸助手"}"#;
    let nulls = json!({
        "bk_app_code": "app1", "bk_app_secret": "sec1", "bk_token": "", "bk_username": "蓝鲸助手", "sender": null,
        "receiver": null, "cc": null, "cc__username": "", "is_content_base64": "", "body_format": "Html",
    });
    type Fill = fn(&mut Value, End);
    let components: [(&str, Fill); 5] = [
        ("send_mail", |body, end| {
            (body["title"], body["content"], body["receiver__username"]) = (json!("t"), json!("c"), json!(end.to()));
        }),
        ("send_sms", |body, end| (body["content"], body["receiver__username"]) = (json!("c"), json!(end.to()))),
        ("send_weixin", |body, end| {
            body["receiver__username"] = json!(end.to());
            body["data"] = json!({"heading": "h", "message": "m", "date": "", "remark": "", "is_message_base64": ""});
        }),
        ("send_voice_msg", |body, end| {
            let people = end.users().map(|user| json!({"username": user, "mobile_phone": null}));
            (body["auto_read_message"], body["user_list_information"]) = (json!("m"), json!(people));
        }),
        ("send_qy_weixin", |body, end| {
            let ids = match end {
                Everyone | Refused | Nobody => "wx_admin,wx_yun",
                // Ids are not looked up; one that can be none is refused with all.
                Unknown | Strangers => "wx_admin,@all",
            };
            (body["receiver"], body["content"]) = (json!(ids), json!("c"));
        }),
    ];
    for (component, fill) in components {
        let request = |end: End| {
            let mut body = nulls.clone();
            fill(&mut body, end);
            let kind = ("Content-Type", "application/json; charset=utf-8");
            post(&format!("/api/c/compapi/cmsi/{component}/"), &[kind, (HEADER, header)], &body)
        };
        assert_sent_at(&each(request, |_, reply| judges::bk_ci(reply)).await, &[Everyone], component);
    }
    // Whatever goes wrong, its parser must know every key.
    let world = World::new();
    for body in
        [json!({}), mail(json!({"title": ""})), mail(json!({"bk_app_secret": "x"})), mail(json!({"bk_token": "x"}))]
    {
        assert!(!judges::bk_ci(&world.post("send_mail", &body).await));
    }
}

#[tokio::test]
async fn bk_itsm_takes_some_users_failed_for_a_success() {
    for msg_type in ["mail", "weixin"] {
        let request = |end: End| {
            let body = by_app1(json!({
                "msg_type": msg_type, "receiver__username": end.to(), "title": "t", "content": "c",
                "date": "2026-11-22 16:23:31", "remark": "<a href=\"http://itsm/\">x</a>", "wx_qy_agentid": "1000009",
                "wx_qy_corpsecret": "secret",
            }));
            post("/api/c/compapi/v2/cmsi/send_msg/", &[], &body)
        };
        let verdicts = each(request, |_, reply| judges::bk_itsm(reply)).await;
        assert_sent_at(&verdicts, &[Everyone, Refused, Unknown], msg_type);
    }
    let sms = |end: End| {
        let body = by_app1(json!({"receiver__username": end.to(), "content": "c"}));
        post("/api/c/compapi/v2/cmsi/send_sms/", &[], &body)
    };
    assert_sent_at(&each(sms, |_, reply| judges::bk_itsm(reply)).await, &[Everyone, Refused, Unknown], "sms");
}

#[tokio::test]
async fn bk_job_offers_what_is_on_and_sends_by_it() {
    let headers = [(HEADER, APP1), ("Blueking-Language", "zh-cn")];
    let types = |world: World| async move {
        let body = json!({"bk_supplier_account": "0"});
        judges::bk_job_channels(&world.request(post("/api/c/compapi/cmsi/get_msg_type/", &headers, &body)).await)
    };
    let on = |name: &str, is_on| (name.to_owned(), is_on);
    let found = types(World::new()).await;
    assert_eq!(found, [on("weixin", true), on("mail", true), on("sms", false), on("voice", false)]);
    let found = types(Everyone.world()).await;
    assert!(found.iter().all(|(_, is_on)| *is_on) && found.len() == 5);
    for (msg_type, _) in found {
        let request = |end: End| {
            let body = json!({
                "bk_supplier_account": "0", "msg_type": msg_type, "title": "t", "content": "c",
                "receiver__username": end.to(),
            });
            post("/api/c/compapi/cmsi/send_msg/", &headers, &body)
        };
        assert_sent_at(&each(request, |_, reply| judges::bk_job(reply)).await, &[Everyone], &msg_type);
    }
    let voice = |end: End| {
        let body = json!({"bk_supplier_account": "0", "auto_read_message": "m", "receiver__username": end.to()});
        post("/api/c/compapi/cmsi/send_voice_msg/", &headers, &body)
    };
    assert_sent_at(&each(voice, |_, reply| judges::bk_job(reply)).await, &[Everyone], "voice");
    // One that is off is a failure in the form that it can read.
    let off = World::new();
    let body = json!({"msg_type": "sms", "title": "t", "content": "c", "receiver__username": "admin"});
    assert!(!judges::bk_job(&off.request(post("/api/c/compapi/cmsi/send_msg/", &headers, &body)).await));
}

#[tokio::test]
async fn bk_user_reads_code_and_data() {
    for (component, fields) in [
        ("send_mail", json!({"sender": "BK <bk@x.cn>", "title": "t", "content": "c"})),
        ("send_sms", json!({"content": "c"})),
    ] {
        let request = |end: End| {
            let mut body = fields.clone();
            body["receiver__username"] = json!(end.to());
            post(&format!("/api/c/compapi/v2/cmsi/{component}/"), &[(HEADER, APP1)], &body)
        };
        assert_sent_at(&each(request, |_, reply| judges::bk_user(reply)).await, &[Everyone], component);
    }
    for (component, receiver) in [("send_mail", "a@b.com"), ("send_sms", "13800000000")] {
        let body = json!({"sender": "", "title": "t", "content": "c", "receiver": receiver});
        let request = post(&format!("/api/c/compapi/v2/cmsi/{component}/"), &[(HEADER, APP1)], &body);
        assert!(judges::bk_user(&Everyone.world().request(request).await));
    }
}

#[tokio::test]
async fn bk_hcm_reads_the_code_as_a_number() {
    let request = |header: &'static str| {
        move |end: End| {
            let addresses = match end {
                Everyone | Refused | Nobody => "admin@bk.com,yunchao@bk.com",
                Unknown | Strangers => "admin@bk.com,nobody",
            };
            let body = json!({"title": "t", "content": "c", "receiver": addresses});
            post("/api/c/compapi/v2/cmsi/send_mail", &[(HEADER, header)], &body)
        }
    };
    assert_sent_at(&each(request(APP1), |_, reply| judges::bk_hcm(reply)).await, &[Everyone], "mail");
    // As it really calls, without a user: refused, in the same form.
    let without_user = r#"{"bk_app_code": "app1", "bk_app_secret": "sec1"}"#;
    assert_sent_at(&each(request(without_user), |_, reply| judges::bk_hcm(reply)).await, &[], "without a user");
}

#[tokio::test]
async fn bklog_bk_sops_and_dbm_read_the_result() {
    let weixin = |end: End| {
        let body = json!({
            "bk_username": "admin", "operator": "admin", "uin": "1", "appenv": "ieod", "auth_info": "{}",
            "receiver__username": end.to(), "data": {"heading": "h", "message": "m"},
        });
        post("/api/c/compapi/v2/cmsi/send_weixin", &[(HEADER, APP1)], &body)
    };
    assert_sent_at(&each(weixin, |_, reply| judges::bklog(reply)).await, &[Everyone], "bklog");
    let sops = |end: End| {
        let fields =
            json!({"msg_type": "mail", "receiver__username": end.to(), "title": "t", "content": "<pre>c</pre>"});
        post("/api/c/compapi/v2/cmsi/send_msg/", &[("blueking-language", "zh-cn")], &by_app1(fields))
    };
    assert_sent_at(&each(sops, |_, reply| judges::old_sdk(reply)).await, &[Everyone], "bk-sops");
    // dbm sends by every type that is listed and by one that is not, with an object in its place.
    for msg_type in ["weixin", "mail", "sms", "voice", "wecom_robot"] {
        let request = |end: End| {
            let fields = json!({
                "msg_type": msg_type, "receiver__username": end.to(), "title": "t", "content": "c",
                "wecom_robot": {"type": "text", "text": {"content": "c"}},
            });
            post("/api/c/compapi/v2/cmsi/send_msg/", &[(HEADER, APP1)], &by_app1(fields))
        };
        let sent: &[End] = if msg_type == "wecom_robot" { &[] } else { &[Everyone] };
        assert_sent_at(&each(request, |_, reply| judges::old_sdk(reply)).await, sent, msg_type);
    }
}

#[tokio::test]
async fn bk_monitor_sends_attachments_and_reads_who_was_not_delivered() {
    let world = World::new();
    world.store.refuse("us@bk.com");
    let body = json!({
        "bk_username": "admin", "receiver__username": "admin,nobody,us,nomail,gone", "title": "t", "content": "5L2g5aW9",
        "is_content_base64": true, "email_type": "SEND_TO_INTERNET", "bk_biz_id": 2,
        "attachments": [{"filename": "a.png", "content_id": "a.png", "content": "iVBORw0KGgo=", "type": "png",
                         "disposition": "inline"}],
    });
    let reply = world.request(post("/api/c/compapi/v2/cmsi/send_mail", &[(HEADER, APP1)], &body)).await;
    assert_eq!(reply.invalid(), json!(["nobody", "us", "nomail", "gone"]), "as named, in order");
    let unknown = "The following users are not blueking users: nobody,gone";
    let no_address = "The following users contact format are incorrect: nomail";
    let refused = "The following users were refused: us";
    assert_eq!(reply.message(), format!("Some users failed to send email. {unknown};{no_address};{refused}"));
    let (_, stored, reached, _) = world.store.last();
    assert_eq!(stored.body, hongyan_core::content::Body::Html("你好".into()));
    assert_eq!(stored.attachments[0].content_id, "a.png");
    assert_eq!(reached, ["admin@bk.com", "us@bk.com"]);
    // An empty list means that everybody has it.
    assert_eq!(world.post("send_mail", &mail(json!({}))).await.invalid(), json!([]));
}

#[tokio::test]
async fn who_shares_an_address_is_told_what_became_of_it_by_every_kind_of_channel() {
    let data = json!({"heading": "h", "message": "m"});
    let wechat = |plan: &mut crate::world::Plan| {
        plan.add(ChannelKind::Wechat).default = true;
    };
    for (component, fields, address, noun, all, is_account) in [
        ("send_mail", json!({"title": "t", "content": "c"}), "yunchao@bk.com", "email", "Failed to send mail", false),
        ("send_sms", json!({"content": "c"}), "+8613800000002", "sms", "Failed to send sms", false),
        ("send_voice_msg", json!({"auto_read_message": "c"}), "+8613800000002", "voice", "Failed to send voice", false),
        (
            "send_weixin",
            json!({"data": data}),
            "wx_yun",
            "wechat message",
            "WeChat message sending failed, invalid user: yunchao|twin",
            false,
        ),
        ("send_weixin", json!({"data": data}), "wx_yun", "wechat message", "WeChat message sending failed", true),
    ] {
        let make = || World::with(if is_account { wechat } else { crate::world::Plan::add_all });
        let to = |users: &str| {
            let mut body = by_app1(fields.clone());
            body["receiver__username"] = json!(users);
            body
        };
        let calls = |reply: &Reply, list: &str| -> Vec<Value> {
            let calls = reply.json()["data"][list].as_array().cloned().unwrap_or_default();
            calls.iter().map(|call| call["username"].clone()).collect()
        };
        let is_voice = component == "send_voice_msg";
        let world = make();
        let sent = world.post(component, &to("admin,yunchao,twin")).await;
        assert_eq!((sent.message().as_str(), sent.invalid()), ("OK", json!([])), "{component}");
        let everyone = if is_voice { vec!["admin", "yunchao", "twin"] } else { vec![] };
        assert_eq!(json!(calls(&sent, "successed")), json!(everyone));
        world.store.refuse(address);
        let some = world.post(component, &to("admin,yunchao,twin")).await;
        let text = format!("Some users failed to send {noun}. The following users were refused: yunchao,twin");
        assert_eq!((some.message(), some.invalid()), (text, json!(["yunchao", "twin"])), "{component}");
        let [made, failed] = ["successed", "failed"].map(|list| calls(&some, list));
        let expected = if is_voice { (vec!["admin"], vec!["yunchao", "twin"]) } else { (vec![], vec![]) };
        assert_eq!((json!(made), json!(failed)), (json!(expected.0), json!(expected.1)));
        let nobody = world.post(component, &to("yunchao,twin")).await;
        assert_eq!((nobody.message().as_str(), nobody.invalid()), (all, json!(["yunchao", "twin"])), "{component}");
        // Without a channel nobody gets it either.
        let none = World::with(|plan| plan.channels.clear()).post(component, &to("yunchao,twin")).await;
        assert_eq!(none.invalid(), json!(["yunchao", "twin"]), "{component}");
    }
}

#[tokio::test]
async fn a_type_is_active_only_where_its_channel_is_configured_and_enabled() {
    let active = async |change: fn(&mut crate::world::Plan)| {
        let reply = World::with(change).post("get_msg_type", &mail(json!({}))).await;
        let types = reply.json()["data"].as_array().expect("a list").clone();
        types.iter().map(|t| t["is_active"] == json!(true)).collect::<Vec<_>>()
    };
    assert_eq!(active(|_| {}).await, [true, true, false, false]);
    assert_eq!(active(|plan| plan.channels.clear()).await, [false; 4]);
    assert_eq!(active(|plan| plan.channels[0].enabled = false).await, [true, false, false, false]);
    // The official account is meant where it is the default, even if it is off.
    let wechat = |plan: &mut crate::world::Plan| {
        let mut channel = plan.channels[1].clone();
        channel.no = hongyan_core::setup::ChannelNo(9);
        (channel.kind, channel.default, channel.enabled) = (ChannelKind::Wechat, true, false);
        plan.channels.push(channel);
    };
    assert_eq!(active(wechat).await, [false, true, false, false, true], "the last is WeCom under its own name");
}

#[tokio::test]
async fn the_new_sdk_sends_no_body_for_no_parameters_and_the_old_one_no_content_type() {
    let world = World::new();
    let empty =
        Request::post("/api/c/compapi/v2/cmsi/get_msg_type/").header(HEADER, APP1).header("Content-Length", "0");
    let reply = world.request(empty.body(Body::empty()).expect("a request")).await;
    assert_eq!(reply.code(), json!(0));
    let reply = world.post("send_mail", &mail(json!({}))).await;
    assert_eq!(reply.code(), json!(0));
    let query = "bk_app_code=app1&bk_app_secret=sec1&bk_username=admin&receiver=a%40b.com&title=%E4%BD%A0&content=c";
    let get = Request::get(format!("/api/c/compapi/cmsi/send_mail/?{query}")).body(Body::empty()).expect("a request");
    assert_eq!(world.request(get).await.code(), json!(0));
    assert_eq!(world.store.last().1.subject, "你");
    // Nothing of a POST but its signature is read from the query.
    let post = Request::post(format!("/api/c/compapi/cmsi/send_mail/?{query}")).body(Body::empty()).expect("a request");
    assert!(world.request(post).await.message().starts_with("Signature [bk_signature] and APP Secret"));
    assert_eq!(world.store.count(), 2);
}
