//! Section 3: who may call, and what they are told if they may not. Nothing is queued, and no secret is repeated.

use axum::{body::Body, http::Request};
use base64::{Engine, engine::general_purpose::STANDARD};
use hongyan_core::setup::{Secret, Setup};
use ring::hmac;
use serde_json::{Value, json};

use crate::world::{CLOCK, Reply, World, mail};

const HEADER: &str = "X-Bkapi-Authorization";
const NO_USER: &str = "User authentication failed, please provide a valid user identity, such as bk_token, bk_username";
const NO_SECRET: &str = "Signature [bk_signature] and APP Secret [bk_app_secret] cannot be empty at the same time";
const WRONG: &str =
    "APP Secret verification failed, pelase confirm if the APP Secret and APP Code [bk_app_code=app1] match";
const BROKEN: &str = "Parameters error, request header X-Bkapi-Authorization is not a valid JSON format string";

async fn assert_refused(world: &World, reply: &Reply, code: u32, text: &str) {
    reply.assert_five_keys();
    assert_eq!((reply.status.as_u16(), reply.code()), (200, json!(code)), "{text}");
    assert_eq!((reply.message().as_str(), reply.json()["data"].clone()), (text, Value::Null));
    assert_eq!(world.store.count(), 0);
}

#[tokio::test]
async fn credentials_in_the_parameters() {
    let unknown = "Invalid APP Code [bk_app_code=nope], please confirm if the APP Code has been registered";
    for (changes, text) in [
        (json!({"bk_app_secret": null}), NO_SECRET),
        (json!({"bk_app_secret": ""}), NO_SECRET),
        (json!({"bk_app_secret": {}}), NO_SECRET),
        (json!({"bk_app_code": null}), "APP Code [bk_app_code] cannot be empty"),
        (json!({"bk_app_code": "nope"}), unknown),
        (json!({"bk_app_secret": "x"}), WRONG),
        (json!({"bk_app_secret": "sec1 "}), WRONG),
        (json!({"bk_app_secret": " sec1"}), WRONG),
        (json!({"bk_app_secret": "sec2"}), WRONG),
        (json!({"bk_app_secret": "SEC1"}), WRONG),
        (json!({"bk_app_secret": ["sec1"]}), WRONG),
        (json!({"bk_app_secret": 1}), WRONG),
        (json!({"bk_username": null}), NO_USER),
        (json!({"bk_username": ""}), NO_USER),
        (json!({"bk_username": "u".repeat(300)}), NO_USER),
        (json!({"bk_app_code": "app2", "bk_app_secret": "sec2"}), NO_USER),
        (json!({"bk_token": "x"}), "User authentication failed, please check if the bk_token is valid"),
        (json!({"bk_access_token": "x"}), "The specified user TOKEN [bk_access_token] does not exist"),
    ] {
        let world = World::new();
        let reply = world.post("send_mail", &mail(changes)).await;
        assert_refused(&world, &reply, 1_306_000, text).await;
    }
}

#[tokio::test]
async fn every_secret_of_an_app_is_valid_and_none_of_an_app_without_any() {
    let world = World::with(|plan| {
        plan.apps[0].secrets = vec![Secret::new("new"), Secret::new("old")];
        plan.apps[1].secrets.clear();
        plan.apps[1].trusted = true;
    });
    for secret in ["new", "old"] {
        assert_eq!(world.post("send_mail", &mail(json!({"bk_app_secret": secret}))).await.code(), json!(0));
    }
    let none = mail(json!({"bk_app_code": "app2", "bk_app_secret": "x"}));
    assert!(world.post("send_mail", &none).await.message().contains("verification failed"));
}

#[tokio::test]
async fn the_header_wins_even_if_it_says_nothing() {
    let right = r#"{"bk_app_code": "app1", "bk_app_secret": "sec1", "bk_username": "admin"}"#;
    for (header, code, text) in [
        ("{}", 1_306_000, NO_SECRET),
        (r#"{"bk_app_secret": "sec1"}"#, 1_306_000, "APP Code [bk_app_code] cannot be empty"),
        (r#"{"bk_app_code": "app1", "bk_app_secret": "sec1"}"#, 1_306_000, NO_USER),
        (
            r#"{"access_token": "x"}"#,
            1_306_000,
            "verify access_token failed, please check if the access_token is valid",
        ),
        ("", 1_306_406, BROKEN),
        ("xx", 1_306_406, BROKEN),
        ("[]", 1_306_406, BROKEN),
        ("\"x\"", 1_306_406, BROKEN),
        ("null", 1_306_406, BROKEN),
        ("{} {}", 1_306_406, BROKEN),
    ] {
        let world = World::new();
        let reply = world.post_with("send_mail", &[(HEADER, header)], mail(json!({})).to_string()).await;
        assert_refused(&world, &reply, code, text).await;
    }
    let world = World::new();
    let twice = world.post_with("send_mail", &[(HEADER, right), (HEADER, right)], mail(json!({})).to_string()).await;
    assert_refused(&world, &twice, 1_306_406, BROKEN).await;
    let body = mail(json!({"bk_app_code": "zz", "bk_username": "zz"})).to_string();
    assert_eq!(world.post_with("send_mail", &[(HEADER, right)], body).await.code(), json!(0));
    assert_eq!(world.store.last().0.user, "admin");
}

#[tokio::test]
async fn what_an_app_may_do() {
    let world = World::with(|plan| {
        plan.apps[0].channels = vec!["1005".into()];
        plan.apps[1].trusted = true;
        plan.apps[1].channels = vec!["1003".into()];
        plan.apps[1].senders = vec!["me@x.com".into()];
    });
    let denied = "APP permission is insufficient, APP has no permission to access the component (send_mail) of the system \
                  (CMSI). The APP manager can go to the Developer Center and apply for permission to access the component";
    let reply = world.post("send_mail", &mail(json!({"title": ""}))).await;
    assert_refused(&world, &reply, 1_306_403, denied).await;
    let reply = world.post("send_msg", &crate::world::msg(json!({}))).await;
    assert_refused(&world, &reply, 1_306_403, denied).await;
    let app2 = |sender: &str| mail(json!({"bk_app_code": "app2", "bk_app_secret": "sec2", "sender": sender}));
    let reply = world.post("send_mail", &app2("CEO <boss@bank.com>")).await;
    assert_refused(&world, &reply, 1_306_403, "APP permission is insufficient, APP may not send mail from this sender")
        .await;
    for sender in ["", "me@x.com", "Me <ME@x.com>"] {
        assert_eq!(world.post("send_mail", &app2(sender)).await.code(), json!(0), "{sender}");
    }
}

/// The signature of a request, as the contract says it is made.
fn sign(secret: &str, text: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes());
    STANDARD.encode(hmac::sign(&key, text.as_bytes())).replace('+', "%2B").replace('/', "%2F").replace('=', "%3D")
}

#[tokio::test]
async fn right_signatures_are_accepted_for_get_and_post() {
    let path = "/api/c/compapi/cmsi/send_mail/";
    let (nonce, time) = (format!("bk_nonce=7&bk_timestamp={CLOCK}"), CLOCK);
    let body = mail(json!({"bk_app_secret": null})).to_string();
    let post = |signature: &str, headers: &[(&str, &str)], path: &str| {
        let mut request = Request::post(format!("{path}?{nonce}&{signature}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Body::from(body.clone())).expect("a request")
    };
    let world = World::with(|plan| plan.apps[0].secrets.insert(0, Secret::new("newer")));
    let text = |path: &str| format!("POST{path}?bk_nonce=7&bk_timestamp={time}&data={body}");
    let right = sign("sec1", &text(path));
    assert_eq!(world.request(post(&format!("bk_signature={right}"), &[], path)).await.code(), json!(0));
    assert_eq!(world.request(post(&format!("signature={right}"), &[], path)).await.code(), json!(0), "the old name");
    let proxied = format!("bk_signature={}", sign("sec1", &text("/outside/send_mail/")));
    let header = [("X-Request-Uri", "/outside/send_mail/?x=1")];
    assert_eq!(world.request(post(&proxied, &header, path)).await.code(), json!(0), "behind a proxy");
    let fields =
        format!("bk_app_code=app1&bk_nonce=7&bk_timestamp={time}&bk_username=admin&content=c&receiver=a@b.com&title=t");
    let right = sign("sec1", &format!("GET{path}?{fields}"));
    let get = Request::get(format!("{path}?{fields}&bk_signature={right}")).body(Body::empty()).expect("a request");
    assert_eq!(world.request(get).await.code(), json!(0));
    assert_eq!(world.store.count(), 4);

    let world = World::new();
    let wrong = "Signature [bk_signature] verification failed, please provide valid parameters and signature";
    for signature in [sign("sec2", &text(path)), sign("sec1", &text("/")), "x".into()] {
        let reply = world.request(post(&format!("bk_signature={signature}"), &[], path)).await;
        assert_refused(&world, &reply, 1_306_000, wrong).await;
    }
}

#[tokio::test]
async fn old_names_and_forms_of_every_kind_carry_credentials() {
    let world = World::new();
    let header =
        r#"{"app_code": "app1", "app_secret": "sec1", "username": "admin", "bk_access_token": "no parameter"}"#;
    let plain = mail(json!({"bk_app_code": null, "bk_app_secret": null, "bk_username": null}));
    assert_eq!(world.post_with("send_mail", &[(HEADER, header)], plain.to_string()).await.code(), json!(0));
    let fields = "app_code=app1&app_secret=sec1&username=admin&receiver=a@b.com&title=t&content=c";
    let get = Request::get(format!("/api/c/compapi/cmsi/send_mail/?{fields}")).body(Body::empty()).expect("a request");
    assert_eq!(world.request(get).await.code(), json!(0));
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    assert_eq!(world.post_with("send_mail", &form, fields).await.code(), json!(0));
    let multipart = [("Content-Type", "multipart/form-data; boundary=b")];
    assert_eq!(world.post_with("send_mail", &multipart, parts(fields)).await.code(), json!(0));
    assert_eq!(world.store.count(), 4);
    // The new name counts where both are there.
    let both = mail(json!({"app_code": "nope", "app_secret": "x", "username": "zz"}));
    assert_eq!((world.post("send_mail", &both).await.code(), world.store.last().0.user.as_str()), (json!(0), "admin"));
}

/// Fields as a multipart form.
fn parts(fields: &str) -> String {
    let part = |field: &str| {
        let (name, value) = field.split_once('=').expect("a pair");
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    fields.split('&').map(part).collect::<String>() + "--b--\r\n"
}

#[tokio::test]
async fn a_form_is_signed_as_it_was_sent() {
    let path = "/api/c/compapi/v2/cmsi/send_mail/";
    let fields = "bk_app_code=app1&bk_username=admin&receiver=a@b.com&title=%E4%BD%A0&content=c";
    let world = World::with(|plan| plan.apps[0].secrets = vec![Secret::new("newer"), Secret::new("sec1")]);
    for (kind, body) in [
        ("application/x-www-form-urlencoded", fields.to_owned()),
        ("multipart/form-data; boundary=b", parts(fields)),
        ("text/plain", mail(json!({"bk_app_secret": null, "title": "你"})).to_string()),
    ] {
        for secret in ["newer", "sec1"] {
            let query = format!("a=1&bk_nonce=7&bk_timestamp={CLOCK}&z=2");
            // `data` takes its place among the names.
            let text = format!("POST{path}?a=1&bk_nonce=7&bk_timestamp={CLOCK}&data={body}&z=2");
            let signature = sign(secret, &text);
            let request = |signature: &str| {
                let request = Request::post(format!("{path}?{query}&bk_signature={signature}"));
                request.header("Content-Type", kind).body(Body::from(body.clone())).expect("a request")
            };
            assert_eq!(world.request(request(&signature)).await.code(), json!(0), "{kind}");
            let wrong = world.request(request(&sign("old", &text))).await;
            assert!(wrong.message().starts_with("Signature [bk_signature] verification failed"));
        }
    }
    assert_eq!(world.store.count(), 6);
}

#[tokio::test]
async fn a_secret_counts_while_it_is_declared() {
    let world = World::new();
    let declare = |version, secrets: &[&str]| {
        let old = world.setup.get();
        let mut app = (**old.app("app1").expect("declared")).clone();
        app.secrets = secrets.iter().map(|secret| Secret::new(*secret)).collect();
        let channels = old.channels().iter().map(|channel| (**channel).clone()).collect();
        let providers = old.providers().iter().map(|provider| (**provider).clone()).collect();
        world.setup.set(Setup::new(version, old.settings.clone(), vec![app], channels, providers));
    };
    let code = async |secret: &str| world.post("send_mail", &mail(json!({"bk_app_secret": secret}))).await.code();
    for (version, secrets, is_old, is_new) in [(2, &["sec1", "new"][..], 0, 0), (3, &["new"], 1_306_000, 0)] {
        declare(version, secrets);
        assert_eq!((code("sec1").await, code("new").await), (json!(is_old), json!(is_new)), "{secrets:?}");
    }
}

#[tokio::test]
async fn signed_requests_are_checked_for_app_then_nonce_then_time() {
    let world = World::new();
    for (code, query, text) in [
        ("", "bk_signature=x", "APP Code [bk_app_code] cannot be empty"),
        (
            "nope",
            "bk_signature=x",
            "Invalid APP Code [bk_app_code=nope], please confirm if the APP Code has been registered",
        ),
        ("app1", "bk_signature=x", "Parameter bk_nonce does not exist"),
        ("app1", "bk_signature=x&bk_nonce=y", "Parameter bk_nonce is illegal"),
        ("app1", "bk_signature=x&bk_nonce=0", "Parameter bk_nonce is illegal, it must be a positive integer"),
        ("app1", "bk_signature=x&bk_nonce=1", "Parameter bk_timestamp does not exist"),
        (
            "app1",
            "bk_signature=x&bk_nonce=1&bk_timestamp=now",
            "Parameter bk_timestamp is illegal, due to non-time format",
        ),
        (
            "app1",
            "bk_signature=x&bk_nonce=1&bk_timestamp=1",
            "Parameter bk_timestamp is illegal, because it has expired",
        ),
        ("app1", "bk_signature=", NO_SECRET),
    ] {
        let body = mail(json!({"bk_app_secret": null, "bk_app_code": code})).to_string();
        let request = Request::post(format!("/api/c/compapi/cmsi/send_mail/?{query}")).body(Body::from(body));
        let reply = world.request(request.expect("a request")).await;
        assert_refused(&world, &reply, 1_306_000, text).await;
    }
}

#[tokio::test]
async fn no_answer_repeats_a_secret() {
    let world = World::new();
    let secret = "S3CRET-canary";
    for body in [
        mail(json!({"bk_app_secret": secret})),
        mail(json!({"bk_app_code": "nope", "bk_app_secret": secret})),
        mail(json!({"bk_token": secret})),
        mail(json!({"bk_access_token": secret})),
    ] {
        let reply = world.post("send_mail", &body).await;
        assert!(!String::from_utf8_lossy(&reply.bytes).contains(secret));
    }
}
