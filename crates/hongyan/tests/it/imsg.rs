//! The token API from outside: a client written from its document alone, and limits that hold however many send at once.

use std::thread;

use serde_json::{Value, json};

use crate::{
    interop::script,
    support::{
        client,
        place::{Place, on_both_stores},
        provider::{Asked, Provider},
        server::{CAPTURE, Server, smtp},
        sink::{Manners, Sink},
    },
};

on_both_stores!(a_client_written_from_the_document_alone, of_sixty_four_at_once_as_many_pass_as_may,);

/// The document's account and administrator, and its three ways to send.
fn plan(smtp: &str, wechat: &str) -> String {
    format!(
        r#"
[[account]]
name = "admin"
password = "123"
role = "admin"
[[account]]
name = "天存-system-1001"
password = "123456"
per_hour = 20
[[provider]]
code = "smtp"
{smtp}
[[provider]]
code = "capture"
{CAPTURE}
[[provider]]
code = "account"
kind = "wechat"
app_id = "wxapp"
app_secret = "wxs"
template = "TPL"
base_url = "{wechat}"
[[channel]]
code = "1001"
kind = "sms"
providers = ["capture"]
[[channel]]
code = "1003"
kind = "mail"
providers = ["smtp"]
[[channel]]
code = "1004"
kind = "wechat"
providers = ["account"]
"#
    )
}

/// WeChat, which knows neither `oNobody` nor that `oGone` follows.
fn wechat(asked: &Asked) -> Value {
    if asked.is_for("/cgi-bin/stable_token") {
        return json!({ "access_token": "TOK", "expires_in": 7200 });
    }
    match asked.json()["touser"].as_str() {
        Some("oGone") => json!({ "errcode": 43004, "errmsg": "require subscribe" }),
        Some("oNobody") => json!({ "errcode": 40003, "errmsg": "invalid openid" }),
        _ => json!({ "errcode": 0, "errmsg": "ok", "msgid": 1 }),
    }
}

fn a_client_written_from_the_document_alone(mut place: Place) {
    let sink = Sink::start(Manners { refuse: vec![("refused", "550 no such user")], ..Manners::default() });
    let account = Provider::start(|asked| Some(wechat(asked)));
    let server = place.start(&plan(&smtp(sink.address), &account.url()));
    script("imsg_client.py", &[&format!("http://{}", server.address)]);

    let taken = sink.taken();
    // One, one to each of three, one with a file, one of two, and the last that was admitted.
    assert_eq!(taken.len(), 7);
    for mail in &taken {
        assert_eq!(mail.recipients.len(), 1, "{mail:?}");
        assert!(mail.header("To").is_some_and(|to| to.contains(&mail.recipients[0])), "{mail:?}");
        assert_eq!(mail.data.matches("@163.com").count() + mail.data.matches("@126.com").count(), 1, "{}", mail.data);
    }
    assert_eq!(taken.iter().filter(|mail| mail.data.contains("hello.md")).count(), 1);
    let log = server.log().concat();
    for secret in ["163.com", "15912341256", "oZhang", "天存", "您好", "123456\""] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}

fn of_sixty_four_at_once_as_many_pass_as_may(mut place: Place) {
    let sink = Sink::start(Manners::default());
    let server = place.start(&plan(&smtp(sink.address), "http://127.0.0.1:9"));
    let token = server.login("天存-system-1001", "123456")["token"].as_str().expect("a token").to_owned();
    let codes: Vec<i64> = thread::scope(|scope| {
        let send = |n: usize| {
            let (server, token): (&Server, &str) = (&server, &token);
            scope.spawn(move || {
                let content = json!({ "subject": "s", "text": "t" });
                let body = json!({ "token": token, "to": format!("a{n}@b.cn"), "method": "smtp", "content": content });
                server.imsg("send", &body)["errorCode"].as_i64().expect("a code")
            })
        };
        let senders: Vec<_> = (0..64).map(send).collect();
        senders.into_iter().map(|sender| sender.join().expect("answered")).collect()
    });
    let of = |code: i64| codes.iter().filter(|other| **other == code).count();
    assert_eq!((of(0), of(10_013)), (20, 44), "{codes:?}");
    assert_eq!(sink.count(), 20);
    let history = client::request(server.address, "GET", "/api/query?result=false", &[("token", &token)], b"");
    assert_eq!(history.json()["total"], 44, "each refused call is on record");
    assert!(!server.log().concat().contains(&token), "no token in the log");
}
