//! Decisions 1 and 10: methods, paths, sizes and types of content.

use axum::{body::Body, http::Request};
use hongyan_core::limits;
use serde_json::json;

use crate::world::{Reply, World};

async fn bare(world: &World, method: &str, path: &str) -> Reply {
    let request = Request::builder().method(method).uri(path).header("token", &world.admin);
    world.request(request.body(Body::empty()).expect("a request")).await
}

#[tokio::test]
async fn unknown_paths_and_wrong_methods() {
    let world = World::new().await;
    for (method, path, status) in [
        ("GET", "/api/x", 404),
        ("POST", "/api/", 404),
        ("POST", "/api/modify/a/b", 404),
        ("POST", "/api/openApiX", 404),
        ("GET", "/api/register", 405),
        ("GET", "/api/login", 405),
        ("GET", "/api/send", 405),
        ("GET", "/api/modify/zhang", 405),
        ("PUT", "/api/send", 405),
        ("POST", "/api/query", 405),
        ("DELETE", "/api/query", 405),
        ("GET", "/api/query/", 200),
        ("GET", "/api/query", 200),
    ] {
        let reply = bare(&world, method, path).await;
        assert_eq!(reply.status.as_u16(), status, "{method} {path}");
        assert_eq!(reply.code(), if status == 200 { 0 } else { 10001 }, "{method} {path}");
        assert_eq!(reply.headers.contains_key("allow"), status == 405);
    }
}

#[tokio::test]
async fn the_type_of_the_content_does_not_count() {
    let world = World::new().await;
    let body = world.mail(json!({})).to_string();
    for kind in ["application/json", "text/plain", "application/x-www-form-urlencoded", "x"] {
        assert_eq!(world.post_with("send", &[("content-type", kind)], body.clone()).await.code(), 0, "{kind}");
    }
    assert_eq!(world.post_with("send", &[], format!("\u{feff}{body}")).await.code(), 0, "a mark in front");
}

#[tokio::test]
async fn a_body_has_a_size() {
    let world = World::new().await;
    let reply = world.post_with("send", &[], " ".repeat(limits::BODY_BYTES_MAX + 1)).await;
    assert_eq!((reply.status.as_u16(), reply.code()), (413, 10001));
    assert_eq!(reply.headers["connection"], "close");
    let body = world.mail(json!({})).to_string();
    let fits = format!("{body}{}", " ".repeat(limits::BODY_BYTES_MAX - body.len()));
    assert_eq!(world.post_with("send", &[], fits).await.code(), 0);
    let reply = world.post_with("send", &[("content-encoding", "gzip")], body).await;
    assert_eq!((reply.status.as_u16(), reply.code()), (415, 10001));
}

#[tokio::test]
async fn a_store_that_is_away_is_an_internal_error() {
    use hongyan_core::store::StoreError;
    let world = World::new().await;
    world.store.fail(Some(StoreError::Unavailable { why: "gone".into(), certain: true }));
    for path in ["send", "login", "register", "modify"] {
        let body = json!({"token": world.token, "username": "u", "password": "p"});
        assert_eq!(world.post(path, &body).await.code(), 10012, "{path}");
    }
    assert_eq!(world.query(&world.token, "").await.code(), 10012);
}
