//! Section 3: in which order a caller is told what is wrong, from where, what and how often an app may call.

use std::{net::IpAddr, time::Duration};

use axum::{body::Body, http::Request};
use futures_util::future::join_all;
use hongyan_cmsi::ClientAddress;
use hongyan_core::{cap::Cap, store::StoreError};
use serde_json::{Value, json};

use crate::{
    peer::{Answer, Peer},
    world::{Plan, Reply, World, mail},
};

const NOT_HERE: &str = "APP permission is insufficient, APP may not call from this address";
const TOO_OFTEN: &str = "Access frequency limit, Access frequency of APP [app1] to component [/cmsi/get_msg_type/] exceeds \
                         the limit; the frequency limit is [5/m], please try again later";

fn no_permission(component: &str) -> String {
    format!(
        "APP permission is insufficient, APP has no permission to access the component ({component}) of the system (CMSI). \
         The APP manager can go to the Developer Center and apply for permission to access the component"
    )
}

async fn from(world: &World, address: Option<&str>, component: &str, body: &Value) -> Reply {
    let mut request = Request::post(format!("/api/c/compapi/v2/cmsi/{component}"))
        .body(Body::from(body.to_string()))
        .expect("a request");
    if let Some(address) = address {
        request.extensions_mut().insert(ClientAddress(address.parse::<IpAddr>().expect("an address")));
    }
    world.request(request).await
}

fn per_minute(most: u32) -> Option<Cap> {
    Some(Cap { most, span: Duration::from_secs(60) })
}

type PutRight<'a> = &'a dyn Fn(&mut Wrong);

/// A request in which everything is wrong that can be.
struct Wrong {
    body: Value,
    address: &'static str,
    component: &'static str,
}

#[tokio::test]
async fn a_request_that_is_wrong_in_every_way_is_told_in_the_documented_order() {
    let login = Peer::always(Answer::Json(json!({"result": false}))).await;
    let world = World::with(|plan| {
        plan.settings.cmsi_login_url = login.url.clone();
        let app = &mut plan.apps[0];
        app.ips = vec!["192.0.2.0/24".parse().expect("a net")];
        app.components = vec!["send_sms".into(), "get_msg_type".into()];
        app.rate = per_minute(1);
    });
    // The only request of the minute.
    assert_eq!(from(&world, Some("192.0.2.1"), "get_msg_type", &mail(json!({}))).await.code(), json!(0));
    let mut wrong = Wrong {
        body: json!({"bk_app_code": "nope", "bk_app_secret": "x", "bk_access_token": "x", "bk_token": "x"}),
        address: "198.51.100.1",
        component: "send_mail",
    };
    // What is told, and what puts it right.
    let steps: [(&str, u32, PutRight<'_>); 10] = [
        ("Invalid APP Code [bk_app_code=nope]", 1_306_000, &|wrong| wrong.body["bk_app_code"] = json!("app1")),
        ("APP Secret verification failed", 1_306_000, &|wrong| wrong.body["bk_app_secret"] = json!("sec1")),
        ("The specified user TOKEN [bk_access_token]", 1_306_000, &|wrong| wrong.body["bk_access_token"] = json!("")),
        ("User authentication failed, please check", 1_306_000, &|wrong| wrong.body["bk_token"] = json!("")),
        ("User authentication failed, please provide", 1_306_000, &|wrong| wrong.body["bk_username"] = json!("admin")),
        (NOT_HERE, 1_306_403, &|wrong| wrong.address = "192.0.2.2"),
        (&no_permission("send_mail"), 1_306_403, &|wrong| wrong.component = "send_sms"),
        ("Access frequency limit, ", 1_306_429, &|_| world.clock.advance(Duration::from_secs(60))),
        ("message content [content] This field is required.", 1_306_000, &|wrong| wrong.body["content"] = json!("c")),
        ("Access frequency limit, ", 1_306_429, &|_| {}),
    ];
    for (text, code, put_right) in steps {
        let reply = from(&world, Some(wrong.address), wrong.component, &wrong.body).await;
        reply.assert_five_keys();
        assert!(reply.message().starts_with(text), "{} instead of {text}", reply.message());
        assert_eq!((reply.code(), reply.json()["data"].clone()), (json!(code), Value::Null), "{text}");
        put_right(&mut wrong);
    }
    assert_eq!((login.seen().len(), world.store.count()), (1, 0), "a wrong form counts too");
}

#[tokio::test]
async fn an_app_calls_from_where_it_may() {
    let world = World::with(|plan| {
        let nets = ["10.1.0.0/16", "2001:db8::/32"];
        plan.apps[0].ips = nets.iter().map(|net| net.parse().expect("a net")).collect();
        plan.apps[1].trusted = true;
    });
    for (address, is_allowed) in [
        (Some("10.1.2.3"), true),
        (Some("::ffff:10.1.2.3"), true),
        (Some("2001:db8::1"), true),
        (Some("10.2.2.3"), false),
        (Some("::ffff:10.2.2.3"), false),
        (Some("2001:db9::1"), false),
        (None, false),
    ] {
        let reply = from(&world, address, "get_msg_type", &mail(json!({}))).await;
        if is_allowed {
            assert_eq!(reply.code(), json!(0), "{address:?}");
        } else {
            assert_eq!((reply.message().as_str(), reply.code()), (NOT_HERE, json!(1_306_403)), "{address:?}");
        }
        let app2 = mail(json!({"bk_app_code": "app2", "bk_app_secret": "sec2"}));
        assert_eq!(from(&world, address, "get_msg_type", &app2).await.code(), json!(0), "from anywhere");
    }
    // Nobody says in a header where a request comes from.
    let headers = [("X-Forwarded-For", "10.1.2.3"), ("X-Real-IP", "10.1.2.3"), ("Forwarded", "for=10.1.2.3")];
    let reply = world.post_with("get_msg_type", &headers, mail(json!({})).to_string()).await;
    assert_eq!(reply.code(), json!(1_306_403));
}

#[tokio::test]
async fn an_app_uses_the_components_that_it_may() {
    let world = World::with(|plan| plan.apps[0].components = vec!["send_mail".into()]);
    assert_eq!(world.post("send_mail", &mail(json!({}))).await.code(), json!(0));
    for component in ["send_msg", "send_weixin", "send_sms", "send_voice_msg", "get_msg_type", "send_qy_weixin"] {
        let reply = world.post(component, &mail(json!({"msg_type": "mail", "receiver__username": "admin"}))).await;
        assert_eq!((reply.message(), reply.code()), (no_permission(component), json!(1_306_403)));
    }
    assert_eq!(world.store.count(), 1);
}

fn with_rate(most: u32) -> impl FnOnce(&mut Plan) {
    move |plan| {
        plan.apps[0].rate = per_minute(most);
        plan.apps[1].trusted = true;
    }
}

#[tokio::test]
async fn an_app_calls_exactly_as_often_as_it_may() {
    let world = World::with(with_rate(5));
    let body = mail(json!({}));
    let ask = || async {
        let replies = join_all((0..40).map(|_| world.post("get_msg_type", &body))).await;
        let refused = replies.iter().filter(|reply| reply.code() != json!(0)).inspect(|reply| {
            reply.assert_five_keys();
            assert_eq!((reply.message().as_str(), reply.code()), (TOO_OFTEN, json!(1_306_429)));
        });
        40 - refused.count()
    };
    for (wait, let_in) in [(0, 5), (59, 0), (1, 5), (60, 5)] {
        world.clock.advance(Duration::from_secs(wait));
        assert_eq!(ask().await, let_in, "after {wait} s");
    }
    // Another app has its own, and this one the same for all components.
    let app2 = mail(json!({"bk_app_code": "app2", "bk_app_secret": "sec2"}));
    assert_eq!(world.post("send_mail", &app2).await.code(), json!(0));
    assert_eq!(world.post("send_mail", &body).await.code(), json!(1_306_429));
    assert_eq!(world.store.count(), 1);
}

#[tokio::test]
async fn who_is_no_app_does_not_count_and_a_wrong_form_does() {
    let world = World::with(with_rate(2));
    for wrong in [json!({"bk_app_secret": "x"}), json!({"bk_username": ""}), json!({"bk_access_token": "x"})] {
        for _ in 0..5 {
            assert_eq!(world.post("send_mail", &mail(wrong.clone())).await.code(), json!(1_306_000));
        }
    }
    assert_eq!(world.post("send_mail", &mail(json!({"title": ""}))).await.code(), json!(1_306_000));
    assert_eq!(world.post("send_mail", &mail(json!({}))).await.code(), json!(0));
    assert_eq!(world.post("send_mail", &mail(json!({}))).await.code(), json!(1_306_429));
}

#[tokio::test]
async fn what_cannot_be_counted_is_not_let_in() {
    let world = World::with(with_rate(2));
    world.store.fail(Some(StoreError::Busy("queue".into())));
    let reply = world.post("get_msg_type", &mail(json!({}))).await;
    assert_eq!(reply.message(), "The message could not be stored, please try again later");
    world.store.fail(None);
    assert_eq!(world.post("get_msg_type", &mail(json!({}))).await.code(), json!(0));
}
