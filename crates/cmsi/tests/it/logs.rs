//! Design 10: one line per refused request, and nothing in it that the caller wrote.

use std::{
    io,
    sync::{Arc, Mutex},
};

use hongyan_core::{setup::Secret, store::StoreError};
use serde_json::{Value, json};

use crate::{
    peer::{Answer, Peer},
    world::{Plan, World, by_app1, mail},
};

/// A log in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn lines(&self) -> Vec<Value> {
        let bytes = std::mem::take(&mut *self.0.lock().expect("no panic while writing"));
        let text = String::from_utf8(bytes).expect("UTF-8");
        text.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic while writing").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// A log of everything that this test says, however little it matters.
    fn of_this_test() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().json().with_max_level(tracing::Level::TRACE);
        let guard = tracing::subscriber::set_default(subscriber.with_writer(move || writer.clone()).finish());
        (log, guard)
    }
}

#[tokio::test]
async fn no_token_key_name_or_address_of_a_service_is_logged() {
    let (log, _guard) = Log::of_this_test();
    let bad = Answer::Json(json!({"result": false, "message": "canary"}));
    for service in [Peer::always(bad).await.url, Peer::always(Answer::Cut).await.url, Peer::nobody().await] {
        let world = World::with(|plan| {
            plan.settings.cmsi_login_url = format!("{service}/canary");
            plan.settings.cmsi_user_url = format!("{service}/canary");
            plan.settings.cmsi_jwt_key = "canary".to_owned();
            plan.apps[0].hook = Some(Secret::new("canary-hook"));
            plan.apps[1].ips = vec!["192.0.2.7/32".parse().expect("a net")];
        });
        world.post("send_mail", &mail(json!({"bk_token": "canary"}))).await;
        world.post("send_mail", &mail(json!({"receiver": null, "receiver__username": "canary"}))).await;
        world.post_with("send_mail", &[("X-Bkapi-JWT", "canary.canary.canary")], "{}").await;
        for path in ["app1/canary-hook", "app1/canary", "canary/canary"] {
            let body = mail(json!({"bk_token": "canary", "title": ""}));
            world.post(&format!("hook/{path}/send_mail"), &body).await;
        }
    }
    let lines = log.lines();
    let ours = lines.iter().filter(|line| line["target"].as_str().is_some_and(|target| target.starts_with("hongyan")));
    assert!(ours.clone().count() >= 18, "{lines:?}");
    for line in &lines {
        assert!(!line.to_string().contains("canary"), "{line}");
    }
}

#[tokio::test]
async fn every_way_in_that_is_refused_leaves_its_line() {
    let (log, _guard) = Log::of_this_test();
    let login = Peer::always(Answer::Json(json!({}))).await;
    let world = World::with(|plan| {
        plan.settings.cmsi_login_url = login.url.clone();
        plan.settings.cmsi_user_url = login.url.clone();
        plan.settings.cmsi_jwt_key = "canary".to_owned();
        plan.apps[0].hook = Some(Secret::new("canary-hook"));
        plan.apps[1].ips = vec!["192.0.2.7/32".parse().expect("a net")];
        plan.apps[1].trusted = true;
    });
    let body = |changes: Value| mail(changes).to_string();
    let app2 = json!({"bk_app_code": "app2", "bk_app_secret": "sec2"});
    let unknown = json!({"receiver": null, "receiver__username": "canary"});
    for (path, header, body, app, error) in [
        ("send_mail", "", body(json!({"bk_token": "canary"})), "app1", "third_party"),
        ("send_mail", "", body(unknown), "app1", "directory_away"),
        ("send_mail", "canary", body(json!({})), "", "bad_jwt"),
        ("send_mail", "", body(app2), "app2", "address_not_allowed"),
        ("hook/app1/canary/send_mail", "", body(json!({})), "", "bad_hook"),
        ("hook/app1/canary-hook/send_mail", "", body(json!({"title": ""})), "app1", "field"),
    ] {
        let reply = world.post_with(path, &[("X-Bkapi-JWT", header)], body).await;
        let lines = log.lines();
        let refused: Vec<_> = lines.iter().filter(|line| line["fields"]["message"] == "refused").collect();
        assert_eq!(refused.len(), 1, "{error}");
        let fields = &refused[0]["fields"];
        assert_eq!((&fields["app"], &fields["error"], &fields["code"]), (&json!(app), &json!(error), &reply.code()));
        assert_eq!((&fields["component"], &fields["request_id"]), (&json!("send_mail"), &reply.json()["request_id"]));
    }
}

#[tokio::test]
async fn trouble_with_a_service_or_a_key_is_logged_with_its_kind_and_its_setting() {
    let (log, _guard) = Log::of_this_test();
    let warnings = || -> Vec<Value> {
        let lines = log.lines();
        lines.iter().filter(|line| line["level"] == "WARN").map(|line| line["fields"].clone()).collect()
    };
    let says = Answer::Json(json!({"result": false, "message": "canary"}));
    let cut = "interface response is incomplete";
    for (answer, why) in [(says, "interface response has no users"), (Answer::Cut, cut)] {
        let service = Peer::always(answer).await;
        let world = World::with(|plan| plan.settings.cmsi_user_url = service.url.clone());
        world.post("send_mail", &mail(json!({"receiver": null, "receiver__username": "canary"}))).await;
        let warned = warnings();
        assert_eq!((warned.len(), &warned[0]["why"]), (1, &json!(why)));
        assert_eq!(warned[0]["message"], "the user service did not say who some people are");
    }
    let world = World::with(|plan| plan.settings.cmsi_jwt_key = "canary".to_owned());
    world.post_with("send_mail", &[("X-Bkapi-JWT", "canary")], "{}").await;
    let text = "cmsi.jwt_public_key is no RSA key in PEM form; no request by the gateway is let in";
    assert_eq!(warnings(), [json!({"message": text})], "by the name that the setting has in a plan");
}

#[tokio::test]
async fn a_refused_request_leaves_one_line_without_what_the_caller_wrote() {
    let (log, _guard) = Log::of_this_test();
    let world = World::new();
    world.store.refuse("canary-refused@b.cn");
    for (changes, app, error) in [
        (json!({"title": ""}), "app1", "field"),
        (json!({"receiver": "canary"}), "app1", "bad_contacts"),
        (json!({"receiver": "canary-refused@b.cn", "title": "canary"}), "app1", "all_refused"),
        (json!({"receiver": "canary-refused@b.cn,a@b.cn", "content": "canary"}), "app1", "some_failed"),
        (json!({"receiver": null, "receiver__username": "canary"}), "app1", "nobody_reached"),
        (json!({"bk_app_secret": "canary"}), "app1", "wrong_secret"),
        (json!({"bk_app_code": "canary\n{"}), "", "unknown_app"),
        (json!({"bk_token": "canary"}), "app1", "bad_token"),
        (json!({"sender": "canary"}), "app1", "field"),
    ] {
        let reply = world.post("send_mail", &mail(changes)).await;
        let lines = log.lines();
        assert_eq!(lines.len(), 1, "{error}");
        let fields = &lines[0]["fields"];
        assert_eq!((fields["app"].clone(), fields["error"].clone()), (json!(app), json!(error)));
        assert_eq!((&fields["code"], &fields["request_id"]), (&reply.code(), &reply.json()["request_id"]));
        assert_eq!(fields["component"], "send_mail");
        assert!(!lines[0].to_string().contains("canary"), "{}", lines[0]);
    }
    world.post("send_mail", &mail(json!({}))).await;
    assert!(log.lines().is_empty(), "nothing of a success");
    world.store.fail(Some(StoreError::Busy("queue".into())));
    world.post("send_mail", &mail(json!({}))).await;
    assert_eq!(log.lines().len(), 2, "what the store said, and the refusal");
}

#[tokio::test]
async fn neither_secrets_nor_numbers_nor_ids_are_logged() {
    let (log, _guard) = Log::of_this_test();
    let world = World::with(Plan::add_all);
    for address in ["canary-id", "+8613800000009"] {
        world.store.refuse(address);
    }
    let data = json!({"heading": "canary", "message": "canary"});
    for (component, fields) in [
        ("send_weixin", json!({"receiver": "canary-id"})),
        ("send_weixin", json!({"receiver": "canary-id,wx1"})),
        ("send_weixin", json!({"receiver": "canary|id"})),
        ("send_weixin", json!({"receiver": "wx1", "wx_qy_agentid": "canary"})),
        ("send_weixin", json!({"receiver": "wx1", "data": {"heading": "canary\0", "message": "m"}})),
        ("send_sms", json!({"receiver": "13800000009", "content": "canary"})),
        ("send_sms", json!({"receiver": "+8613800000009", "content": "canary"})),
        (
            "send_voice_msg",
            json!({
                "user_list_information": [{"username": "canary", "mobile_phone": "13800000009"}],
                "auto_read_message": "canary",
            }),
        ),
        ("send_weixin", json!({"receiver": "wx1"})),
    ] {
        let mut body = by_app1(json!({"data": data, "wx_qy_corpsecret": "canary-secret"}));
        body.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
        world.post(component, &body).await;
        for line in log.lines() {
            let line = line.to_string();
            assert!(!line.contains("canary") && !line.contains("13800000009"), "{line}");
        }
    }
    assert_eq!(world.store.count(), 5);
}
