//! Decision 1 and rows 1 to 7, 45 to 48: paths, methods, types of content, sizes, the form of an answer.

use axum::{body::Body, http::Request};
use hongyan_core::limits;
use serde_json::json;

use crate::world::{CHANNEL, TEMPLATE, World, message};

#[tokio::test]
async fn unknown_paths_and_wrong_methods() {
    let world = World::new().await;
    let bare = async |method: &str, path: &str| {
        world.request(Request::builder().method(method).uri(path).body(Body::empty()).expect("a request")).await
    };
    for path in ["/api/openApi", "/api/openApi/", "/api/openApi/message/push/Channel", "/api/openApi/message/push/x"] {
        for method in ["GET", "POST"] {
            let reply = bare(method, path).await;
            assert_eq!(reply.status.as_u16(), 404, "{method} {path}");
            assert_eq!(reply.json(), json!({"code": 404, "msg": "参数有误：请求的地址不存在"}));
        }
    }
    for path in [CHANNEL, TEMPLATE] {
        for method in ["GET", "PUT", "DELETE", "HEAD", "OPTIONS"] {
            let reply = bare(method, path).await;
            assert_eq!((reply.status.as_u16(), &reply.headers["allow"]), (405, &"POST".parse().expect("a header")));
            assert_eq!(reply.json(), json!({"code": 400, "msg": "参数有误：仅支持POST请求"}), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn an_answer_has_exactly_the_documents_members() {
    let world = World::new().await;
    let reply = world.send(json!({})).await;
    assert_eq!(reply.status.as_u16(), 200);
    assert_eq!(reply.headers["content-type"], "application/json; charset=utf-8");
    let json = reply.json();
    assert_eq!(json, json!({"code": 200, "msg": "操作成功", "msgId": json["msgId"].as_str().expect("a string")}));
    assert!(String::from_utf8_lossy(&reply.bytes).starts_with("{\"code\":200,\"msg\":\"操作成功\",\"msgId\":\""));
    let refused = world.send(json!({"priority": 9})).await;
    let members: Vec<_> = refused.json().as_object().expect("an object").keys().cloned().collect();
    assert_eq!(members, ["code", "msg"]);
}

#[tokio::test]
async fn the_type_of_the_content_does_not_count() {
    let world = World::new().await;
    let body = message().to_string();
    for kind in ["application/json", "application/json; charset=gbk", "text/plain", "x"] {
        assert_eq!(world.post_with(CHANNEL, &[("content-type", kind)], body.clone()).await.code(), 200, "{kind}");
    }
    assert_eq!(
        world.post_with(CHANNEL, &[], format!("\u{feff}{body}")).await.code(),
        200,
        "a mark in front, no header"
    );
    let twice = body.replacen('{', "{\"appId\": \"nobody\", ", 1);
    assert_eq!(world.post_with(CHANNEL, &[], twice).await.code(), 200, "the last of two counts");
}

#[tokio::test]
async fn a_body_has_a_size() {
    let world = World::new().await;
    let reply = world.post_with(CHANNEL, &[], " ".repeat(limits::BODY_BYTES_MAX + 1)).await;
    assert_eq!((reply.status.as_u16(), reply.json()), (413, json!({"code": 400, "msg": "参数有误：请求体超过10MB"})));
    assert_eq!(reply.headers["connection"], "close");
    let body = message().to_string();
    let fits = format!("{body}{}", " ".repeat(limits::BODY_BYTES_MAX - body.len()));
    assert_eq!(world.post_with(CHANNEL, &[], fits).await.code(), 200);
    let reply = world.post_with(CHANNEL, &[("content-encoding", "gzip")], body).await;
    assert_eq!((reply.status.as_u16(), reply.code()), (415, 400));
}

#[tokio::test]
async fn a_store_that_is_away_is_an_internal_error() {
    let world = World::new().await;
    world.store.close().await;
    let failed = json!({"code": 500, "msg": "服务器内部错误"});
    assert_eq!(world.send(json!({})).await.json(), failed);
    assert_eq!(world.fill(json!({})).await.json(), failed);
    assert_eq!(world.send(json!({"receiverType": "all"})).await.json(), failed);
}
