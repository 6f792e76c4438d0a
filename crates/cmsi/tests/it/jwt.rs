//! Section 3, behind the API gateway: its signed header stands for app and user, and for nothing if anything about it is wrong.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hongyan_core::setup::{Settings, Setup};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::world::{CLOCK, Reply, World, mail};

const HEADER: &str = "X-Bkapi-JWT";
const GATEWAY: &[u8] = include_bytes!("../data/jwt/gateway.pem");
const OTHER: &[u8] = include_bytes!("../data/jwt/other.pem");
const PUBLIC: &str = include_str!("../data/jwt/gateway.pub.pem");

const BROKEN: &str = "APIGateway JWT verification failed, [X-Bkapi-JWT] decode error, please check if jwt is correct, or if \
                      its private key is correct";

fn world() -> World {
    World::with(|plan| plan.settings.cmsi_jwt_key = PUBLIC.to_owned())
}

/// What the gateway says of a request of app1 by a user whom it verified.
fn claims(changes: Value) -> Value {
    let mut claims = json!({
        "iss": "APIGW", "iat": CLOCK, "exp": CLOCK + 900, "nbf": CLOCK - 300,
        "app": {"version": 1, "app_code": "app1", "verified": true, "valid_error_message": ""},
        "user": {"version": 1, "username": "yunchao", "verified": true, "valid_error_message": "", "source_type": "bk_token"},
    });
    for (name, value) in changes.as_object().expect("an object") {
        match (&mut claims[name], value) {
            (Value::Object(inner), Value::Object(changes)) => inner.extend(changes.clone()),
            (place, value) => *place = value.clone(),
        }
    }
    claims
}

fn signed(algorithm: Algorithm, key: &[u8], claims: &Value) -> String {
    let mut header = Header::new(algorithm);
    header.kid = Some("bk-apigateway".to_owned());
    let key = match algorithm {
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => EncodingKey::from_secret(key),
        _ => EncodingKey::from_rsa_pem(key).expect("a key"),
    };
    encode(&header, claims, &key).expect("signed")
}

/// As the gateway signs.
fn jwt(changes: Value) -> String {
    signed(Algorithm::RS512, GATEWAY, &claims(changes))
}

/// A request without any credentials but the header.
async fn send(world: &World, token: &str) -> Reply {
    let body = mail(json!({"bk_app_code": null, "bk_app_secret": null, "bk_username": null}));
    world.post_with("send_mail", &[(HEADER, token)], body.to_string()).await
}

#[tokio::test]
async fn the_gateways_word_stands_for_app_and_user() {
    let world = world();
    let reply = send(&world, &jwt(json!({}))).await;
    assert_eq!(reply.code(), json!(0), "{}", reply.message());
    let (message, ..) = world.store.last();
    assert_eq!((message.user.as_str(), message.app.0), ("yunchao", 1));
    // It stands over whatever else the request says, a bad token included.
    let body = mail(json!({"bk_app_code": "nope", "bk_token": "x", "bk_username": "zz"})).to_string();
    let reply = world.post_with("send_mail", &[(HEADER, &jwt(json!({})))], body).await;
    assert_eq!((reply.code(), world.store.last().0.user.as_str()), (json!(0), "yunchao"));
    // Without the header, or with an empty one, everything is as without a gateway.
    assert_eq!(world.post("send_mail", &mail(json!({}))).await.code(), json!(0));
    let reply = world.post_with("send_mail", &[(HEADER, "")], mail(json!({})).to_string()).await;
    assert_eq!((reply.code(), world.store.last().0.user.as_str()), (json!(0), "admin"));
}

#[tokio::test]
async fn what_the_gateway_did_not_verify_is_refused_in_its_words() {
    let app = "verify app fail, please check if the authentication parameters are correct";
    let user = "Please provide a valid user identity, such as bk_username";
    let world = world();
    for (changes, text) in [
        (json!({"app": {"verified": false}}), app),
        (json!({"app": {"verified": false, "valid_error_message": "app not found"}}), "app not found"),
        (json!({"app": {"verified": "true"}}), BROKEN),
        (json!({"app": {"verified": null, "valid_error_message": null}}), app),
        (json!({"app": null}), app),
        (
            json!({"app": {"app_code": "nope"}}),
            "Invalid APP Code [bk_app_code=nope], please confirm if the APP Code has been registered",
        ),
        (
            json!({"app": {"app_code": null}}),
            "Invalid APP Code [bk_app_code=], please confirm if the APP Code has been registered",
        ),
        (json!({"user": {"username": ""}}), user),
        (json!({"user": {"username": "", "valid_error_message": "no user"}}), "no user"),
        (json!({"user": {"username": "a\nb"}}), user),
        (json!({"user": null}), user),
        // A name that was only passed on counts where the app may name users.
        (json!({"app": {"app_code": "app2"}, "user": {"verified": false}}), user),
        (
            json!({"app": {"app_code": "app2"}, "user": {"verified": false, "valid_error_message": "not verified"}}),
            "not verified",
        ),
    ] {
        let reply = send(&world, &jwt(changes.clone())).await;
        reply.assert_five_keys();
        let code = if text == BROKEN { 1_306_408 } else { 1_306_000 };
        assert_eq!((reply.message().as_str(), reply.code()), (text, json!(code)), "{changes}");
    }
    assert_eq!(world.store.count(), 0);
    for changes in [json!({"user": {"verified": false}}), json!({"app": {"app_code": "app2"}})] {
        assert_eq!(send(&world, &jwt(changes)).await.code(), json!(0));
    }
}

#[tokio::test]
async fn what_is_not_the_gateways_signature_is_refused() {
    let world = world();
    let right = jwt(json!({}));
    let (head, rest) = right.split_once('.').expect("three parts");
    let (payload, signature) = rest.split_once('.').expect("three parts");
    let encoded = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let none = encoded(&json!({"alg": "none", "typ": "JWT"}));
    let hs512 = encoded(&json!({"alg": "HS512", "typ": "JWT"}));
    let other_user = encoded(&claims(json!({"user": {"username": "admin"}})));
    let all = claims(json!({}));
    for (what, token) in [
        ("no token", "x".to_owned()),
        ("another key", signed(Algorithm::RS512, OTHER, &all)),
        ("the public key as a shared one", signed(Algorithm::HS512, PUBLIC.as_bytes(), &all)),
        ("the same, trimmed", signed(Algorithm::HS256, PUBLIC.trim().as_bytes(), &all)),
        ("a shared key's name on the gateway's signature", format!("{hs512}.{payload}.{signature}")),
        ("another algorithm of the right key", signed(Algorithm::RS256, GATEWAY, &all)),
        ("yet another", signed(Algorithm::PS512, GATEWAY, &all)),
        ("no signature", format!("{none}.{payload}.")),
        ("no signature, two parts", format!("{none}.{payload}")),
        ("none, with a signature", format!("{none}.{payload}.{signature}")),
        ("another payload", format!("{head}.{other_user}.{signature}")),
        ("no signature under RS512", format!("{head}.{payload}.")),
        ("cut", right[..right.len() - 4].to_owned()),
        ("a claim of another type", jwt(json!({"app": "app1"}))),
        ("no end", jwt(json!({"exp": null}))),
        ("an end that is no number", jwt(json!({"exp": "soon"}))),
    ] {
        let reply = send(&world, &token).await;
        reply.assert_five_keys();
        assert_eq!((reply.message().as_str(), reply.code()), (BROKEN, json!(1_306_408)), "{what}");
    }
    let body = mail(json!({})).to_string();
    let twice = world.post_with("send_mail", &[(HEADER, &right), (HEADER, &right)], body).await;
    assert_eq!(twice.code(), json!(1_306_408), "two of them");
    assert_eq!(world.store.count(), 0);
}

#[tokio::test]
async fn it_counts_in_its_time_with_a_minute_of_leeway() {
    let expired = "APIGateway JWT verification failed, [X-Bkapi-JWT] has expired";
    let early = "APIGateway JWT verification failed, [X-Bkapi-JWT] decode error, please contact the component developer to handle";
    for (changes, text) in [
        (json!({"exp": CLOCK - 59}), "OK"),
        (json!({"exp": CLOCK - 60}), expired),
        (json!({"exp": 0}), expired),
        (json!({"nbf": CLOCK + 60}), "OK"),
        (json!({"nbf": CLOCK + 61}), early),
        (json!({"nbf": null}), "OK"),
        (json!({"exp": CLOCK as f64 + 0.5}), "OK"),
    ] {
        let reply = send(&world(), &jwt(changes.clone())).await;
        assert_eq!(reply.message(), text, "{changes}");
        assert_eq!(reply.code(), if text == "OK" { json!(0) } else { json!(1_306_408) });
    }
}

#[tokio::test]
async fn without_a_key_the_header_is_nothing_and_with_a_wrong_one_nobody_is_let_in() {
    let world = World::new();
    let forged = world.post_with("send_mail", &[(HEADER, &jwt(json!({})))], mail(json!({})).to_string()).await;
    assert_eq!((forged.code(), world.store.last().0.user.as_str()), (json!(0), "admin"));
    assert!(send(&world, &jwt(json!({}))).await.message().starts_with("Signature [bk_signature] and APP Secret"));
    let world = World::with(|plan| plan.settings.cmsi_jwt_key = "no key".to_owned());
    let reply = send(&world, &jwt(json!({}))).await;
    let text =
        "APIGateway JWT verification failed, get jwt public_key fail. please contact the component developer to handle";
    assert_eq!((reply.message().as_str(), reply.code()), (text, json!(1_306_408)));
    assert_eq!(world.post("send_mail", &mail(json!({}))).await.code(), json!(0), "who needs no gateway");
}

#[tokio::test]
async fn a_key_counts_from_the_version_of_the_setup_that_declares_it() {
    let world = world();
    assert_eq!(send(&world, &jwt(json!({}))).await.code(), json!(0));
    let declare = |version, key: &str| {
        let old = world.setup.get();
        let settings = Settings { cmsi_jwt_key: key.to_owned(), ..old.settings.clone() };
        let apps = ["app1", "app2"].map(|code| (**old.app(code).expect("declared")).clone());
        let channels = old.channels().iter().map(|channel| (**channel).clone()).collect();
        let providers = old.providers().iter().map(|provider| (**provider).clone()).collect();
        world.setup.set(Setup::new(version, settings, apps.to_vec(), channels, providers));
    };
    declare(2, "no key");
    assert_eq!(send(&world, &jwt(json!({}))).await.code(), json!(1_306_408));
    declare(3, PUBLIC);
    assert_eq!(send(&world, &jwt(json!({}))).await.code(), json!(0));
}
