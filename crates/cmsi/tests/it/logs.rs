//! Design 10: one line per refused request, and nothing in it that the caller wrote.

use std::{
    io,
    sync::{Arc, Mutex},
};

use hongyan_core::store::StoreError;
use serde_json::{Value, json};

use crate::world::{World, mail};

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

#[tokio::test]
async fn a_refused_request_leaves_one_line_without_what_the_caller_wrote() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().json().with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
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
