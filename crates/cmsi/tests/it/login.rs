//! Decision 12: a `bk_token` is verified by the deployment's login service, and what the caller is told when that is not to be had.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::http::StatusCode;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::Notify,
};

use crate::{
    peer::{Answer, Peer},
    vectors,
    world::{World, mail},
};

const BAD: &str = "User authentication failed, please check if the bk_token is valid";

fn good() -> Value {
    json!({"result": true, "code": "00", "message": "ok", "data": {"username": "admin"}})
}

fn bad() -> Value {
    json!({"result": false, "code": "1200", "message": "not logged in", "data": {}})
}

/// A world whose apps are verified at `url`.
fn at(url: &str) -> World {
    World::with(|plan| plan.settings.cmsi_login_url = url.to_owned())
}

/// A mail of the app that may not name users, with a token.
fn with(token: &str) -> Value {
    mail(json!({"bk_app_code": "app2", "bk_app_secret": "sec2", "bk_username": null, "bk_token": token}))
}

#[tokio::test]
async fn a_good_token_says_who_the_user_is() {
    let login = Peer::always(Answer::Json(good())).await;
    let world = at(&login.url);
    let reply = world.post("send_mail", &with("good+token&x=1 鸿")).await;
    assert_eq!(reply.code(), json!(0), "{}", reply.message());
    assert_eq!(world.store.last().0.user, "admin");
    let seen = &login.seen()[0];
    assert_eq!(seen.path, "/login/accounts/is_login/");
    assert_eq!(seen.query, [("bk_token".to_owned(), "good+token&x=1 鸿".to_owned())]);
    assert_eq!((seen.header("cookie"), seen.header("authorization")), ("", ""), "nothing else of the caller's");
    // In the header too; and it is tried before a name, which does not stand in for it.
    let header = r#"{"bk_app_code": "app1", "bk_app_secret": "sec1", "bk_token": "t2", "bk_username": "yunchao"}"#;
    let reply = world.post_with("send_mail", &[("X-Bkapi-Authorization", header)], mail(json!({})).to_string()).await;
    assert_eq!((reply.code(), world.store.last().0.user.as_str()), (json!(0), "admin"));
}

#[tokio::test]
async fn the_observed_case_is_answered_as_observed() {
    let login =
        Peer::answering(|seen| Answer::Json(if seen.query("bk_token") == "goodtoken" { good() } else { bad() })).await;
    vectors::replay("auth: bk_token good (app not whitelisted)", &at(&login.url)).await;
}

#[tokio::test]
async fn answers_are_remembered_a_good_one_for_a_minute_and_a_bad_one_for_seconds() {
    let login =
        Peer::answering(|seen| Answer::Json(if seen.query("bk_token").starts_with("good") { good() } else { bad() }))
            .await;
    let world = at(&login.url);
    for (token, code, life) in [("good", json!(0), 60), ("bad", json!(1_306_000), 5)] {
        let before = login.seen().len();
        for (wait, asked) in [(0, 1), (0, 1), (life - 1, 1), (1, 2), (0, 2)] {
            world.clock.advance(Duration::from_secs(wait));
            assert_eq!(world.post("send_mail", &with(token)).await.code(), code);
            assert_eq!(login.seen().len() - before, asked, "{token}");
        }
    }
    assert_eq!(world.post("send_mail", &with("bad")).await.message(), BAD);
    world.post("send_mail", &with("good2")).await;
    assert_eq!(login.seen().len(), 5, "another token is another question");
}

#[tokio::test]
async fn many_requests_with_one_token_ask_once_and_other_tokens_do_not_wait_for_it() {
    let gate = Arc::new(Notify::new());
    let held = Arc::clone(&gate);
    let login = Peer::answering(move |seen| match &*seen.query("bk_token") {
        "slow" => Answer::Held(Arc::clone(&held), good()),
        _ => Answer::Json(good()),
    })
    .await;
    let world = at(&login.url);
    let slow = with("slow");
    let many = join_all((0..50).map(|_| world.post("send_mail", &slow)));
    let other = async {
        login.asked().await;
        let reply = world.post("send_mail", &with("quick")).await;
        assert_eq!(reply.code(), json!(0));
        gate.notify_one();
    };
    let (replies, ()) = tokio::join!(many, other);
    assert!(replies.iter().all(|reply| reply.code() == json!(0)));
    assert_eq!((login.seen().len(), world.store.count()), (2, 51));
}

#[tokio::test]
async fn a_caller_that_leaves_does_not_keep_the_others_from_asking() {
    let gate = Arc::new(Notify::new());
    let login = Peer::always(Answer::Held(Arc::clone(&gate), good())).await;
    let world = at(&login.url);
    let body = with("t");
    tokio::select! {
        _ = world.post("send_mail", &body) => panic!("nobody has answered"),
        () = login.asked() => {}
    }
    let answered = async {
        login.asked().await;
        gate.notify_waiters();
    };
    let (reply, ()) = tokio::join!(world.post("send_mail", &body), answered);
    assert_eq!(reply.code(), json!(0));
}

async fn assert_no_answer(url: &str, why: &str) {
    let world = at(url);
    let text = format!(
        "Component request third-party system [BK_LOGIN] interface [is_login] error: {why}, please try again later or \
         contact component developer to handle this"
    );
    let reply = world.post("send_mail", &with("t")).await;
    reply.assert_five_keys();
    assert_eq!((reply.message(), reply.code()), (text, json!(1_306_201)));
    assert_eq!((reply.status, reply.json()["data"].clone()), (StatusCode::OK, Value::Null));
    assert_eq!(world.store.count(), 0);
}

#[tokio::test]
async fn a_service_that_says_nothing_of_use_lets_nobody_in_and_is_told_apart_from_a_bad_token() {
    let elsewhere = Peer::always(Answer::Json(good())).await;
    let raw = |status, body: &str| Answer::Raw(StatusCode::from_u16(status).expect("a status"), body.to_owned());
    let status = |status: u16| {
        format!("Status Code: {status}, Error Message: third-party system interface response status code is not 200")
    };
    let json = "interface response is not the JSON format";
    let silent = "interface response does not say whether the user is logged in";
    let name = |name: Value| Answer::Json(json!({"result": true, "data": {"username": name}}));
    for (answer, why) in [
        (raw(500, "x"), status(500)),
        (raw(404, &good().to_string()), status(404)),
        (Answer::Elsewhere(format!("{}/login/accounts/is_login/", elsewhere.url)), status(302)),
        (raw(200, "<html>login</html>"), json.into()),
        (raw(200, &format!("[{}]", good())), json.into()),
        (raw(200, ""), json.into()),
        (raw(200, &" ".repeat(2 << 20)), json.into()),
        (Answer::Cut, "interface response is incomplete".into()),
        (Answer::Json(json!({})), silent.into()),
        (Answer::Json(json!({"result": "true", "data": {"username": "admin"}})), silent.into()),
        (Answer::Json(json!({"result": true, "data": null})), silent.into()),
        (name(json!("")), silent.into()),
        (name(json!(1)), silent.into()),
        (name(json!("a\u{0}b")), silent.into()),
        (name(json!("u".repeat(300))), silent.into()),
    ] {
        let login = Peer::always(answer).await;
        assert_no_answer(&login.url, &why).await;
        assert_eq!(login.seen().len(), 1, "asked once");
    }
    assert!(elsewhere.seen().is_empty(), "a redirect is not followed");
    assert_no_answer(&Peer::nobody().await, "Third-party system cannot be connected").await;
    assert_no_answer("no address", "the address of the third-party system is not configured correctly").await;
}

#[tokio::test]
async fn a_service_that_never_answers_is_given_up_in_seconds() {
    let login = Peer::always(Answer::Never).await;
    assert_no_answer(&login.url, "Third-party system interface response time exceeds 5 seconds").await;
}

/// A service that reads each question and ends the connection, `hang_ups` times; then it answers. How often it was asked is
/// what it gives back.
async fn one_that_hangs_up(hang_ups: usize) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("its address"));
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut question = [0; 4096];
            let read = stream.read(&mut question).await.expect("a question");
            assert!(question[..read].starts_with(b"GET /login/accounts/is_login/?bk_token=t HTTP/1.1\r\n"));
            if count.fetch_add(1, Ordering::SeqCst) >= hang_ups {
                let body = good().to_string();
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                stream.write_all((head + &body).as_bytes()).await.expect("written");
            }
        }
    });
    (url, asked)
}

#[tokio::test]
async fn a_connection_that_ends_before_an_answer_is_tried_once_more() {
    let (url, asked) = one_that_hangs_up(1).await;
    assert_eq!(at(&url).post("send_mail", &with("t")).await.code(), json!(0));
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    let (url, asked) = one_that_hangs_up(usize::MAX).await;
    assert_no_answer(&url, "interface response is incomplete").await;
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn trouble_is_forgotten_after_a_second() {
    let login = Peer::always(Answer::Raw(StatusCode::BAD_GATEWAY, String::new())).await;
    let world = at(&login.url);
    for (wait, asked) in [(0, 1), (0, 1), (1, 2)] {
        world.clock.advance(Duration::from_secs(wait));
        assert_eq!(world.post("send_mail", &with("t")).await.code(), json!(1_306_201));
        assert_eq!(login.seen().len(), asked);
    }
}

#[tokio::test]
async fn no_token_is_good_without_a_service_and_none_is_asked_about_that_cannot_be_one() {
    assert_eq!(World::new().post("send_mail", &with("t")).await.message(), BAD);
    let login = Peer::always(Answer::Json(good())).await;
    let world = at(&login.url);
    assert_eq!(world.post("send_mail", &with(&"t".repeat(1_025))).await.message(), BAD);
    // Who has not shown to be an app makes nobody ask.
    for wrong in [json!({"bk_app_secret": "x"}), json!({"bk_app_code": "nope"}), json!({"bk_app_secret": null})] {
        let mut body = with("t");
        for (name, value) in wrong.as_object().expect("an object") {
            body[name] = value.clone();
        }
        assert_eq!(world.post("send_mail", &body).await.code(), json!(1_306_000));
    }
    assert!(login.seen().is_empty());
}
