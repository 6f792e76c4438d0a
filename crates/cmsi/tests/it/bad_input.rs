//! Bad input, field by field: the contract's answer, and nothing queued.

use axum::{body::Body, http::Request};
use serde_json::{Value, json};

use crate::world::{World, mail, msg};

const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/// Posts and, where a text is expected, asserts that it is the answer and that nothing was queued; else that it was sent.
async fn check(component: &str, body: &Value, text: Option<&str>) {
    let world = World::new();
    let reply = world.post(component, body).await;
    reply.assert_five_keys();
    match text {
        Some(text) => {
            assert_eq!(reply.message(), text, "{body}");
            assert_eq!((reply.json()["result"].clone(), world.store.count()), (json!(false), 0), "{body}");
        }
        None => assert_eq!((reply.message().as_str(), world.store.count()), ("OK", 1), "{body}"),
    }
}

fn incorrect(contacts: &str) -> String {
    format!("User message failed to send. The following users contact format are incorrect: {contacts}, please check")
}

#[tokio::test]
async fn wrong_types_in_every_field() {
    let required = |label: &str, name: &str| Some(format!("{label} [{name}] This field is required."));
    for (name, label) in [("title", "email subject"), ("content", "email content")] {
        for empty in [json!(""), json!("  \n"), json!([]), json!({})] {
            check("send_mail", &mail(json!({name: empty})), required(label, name).as_deref()).await;
        }
        for value in [json!(5), json!(0), json!(false), json!(1.5), json!(["x"]), json!({"a": {"b": null}})] {
            check("send_mail", &mail(json!({name: value})), None).await;
        }
    }
    let address = Some("mail sender [sender] Enter a valid email address.");
    let list = Some("attachments [attachments] Must be the specified parameter data type list");
    let dict = Some("attachments [attachments] Must be the specified parameter data type dict");
    let no_receiver = Some("Receiver [receiver, receiver__username] shall not be empty at the same time");
    let rows: Vec<(Value, Option<String>)> = vec![
        (json!({"sender": 5}), address.map(str::to_owned)),
        (json!({"sender": {"a": 1}}), address.map(str::to_owned)),
        (json!({"sender": {}}), None),
        (json!({"receiver": true}), Some(incorrect("True"))),
        (json!({"receiver": 1.5}), Some(incorrect("1.5"))),
        (json!({"receiver": {"a": 1}}), Some(incorrect("{'a':,1}"))),
        (json!({"receiver": [["a@b.com"], Value::Null, {}]}), Some(incorrect("['a@b.com'],None,{}"))),
        (json!({"receiver": {}}), no_receiver.map(str::to_owned)),
        (json!({"receiver": " ,; "}), no_receiver.map(str::to_owned)),
        (json!({"receiver": "[\"a@b.com\", 2]"}), Some(incorrect("2"))),
        (json!({"cc": 5}), Some(incorrect("5"))),
        (json!({"cc": ["x@y.cn", {}]}), Some(incorrect("{}"))),
        (json!({"cc__username": [1]}), Some(incorrect("1"))),
        (json!({"cc__username": [["admin"]]}), Some(incorrect("['admin']"))),
        (json!({"is_content_base64": {"a": 1}}), None),
        (json!({"is_content_base64": [0]}), None),
        (json!({"body_format": 5}), None),
        (json!({"attachments": 5}), list.map(str::to_owned)),
        (json!({"attachments": "[]"}), list.map(str::to_owned)),
        (json!({"attachments": true}), list.map(str::to_owned)),
        (json!({"attachments": {}}), None),
        (json!({"attachments": [5]}), dict.map(str::to_owned)),
        (json!({"attachments": [[]]}), dict.map(str::to_owned)),
        (json!({"attachments": [{}]}), required("filename", "filename")),
        (json!({"attachments": [{"filename": "a"}]}), required("content", "content")),
        (json!({"attachments": [{"filename": 5, "content": "eA=="}]}), None),
        (json!({"attachments": [{"filename": "a", "content": 5}]}), Some("content [content] Must be base64".into())),
        (
            json!({"attachments": [{"filename": "a", "content": "eA==", "disposition": 5}]}),
            Some("disposition [disposition] Must be inline or attachment".into()),
        ),
        (json!({"attachments": vec![json!({"filename": "a", "content": "eA=="}); 20]}), None),
        (
            json!({"attachments": vec![json!({"filename": "a", "content": "eA=="}); 21]}),
            Some("Parameters error, a mail may have at most 20 attachments".into()),
        ),
        (
            json!({"title": "x".repeat(2_001)}),
            Some("email subject [title] Must not be longer than 2000 characters".into()),
        ),
    ];
    for (changes, text) in rows {
        check("send_mail", &mail(changes), text.as_deref()).await;
    }
    let names = mail(json!({"receiver": null, "receiver__username": [1, "admin"]}));
    check("send_mail", &names, Some(&incorrect("1"))).await;
    let many = mail(json!({"receiver": vec!["a@b.com"; 10_001]}));
    check("send_mail", &many, Some("Parameters error, a message may have at most 10000 recipients")).await;
}

#[tokio::test]
async fn send_msg_names_the_first_field_that_is_wrong() {
    let order = [
        ("msg_type", "msg type [msg_type] This field is required."),
        ("receiver__username", "recipients [receiver__username] This field is required."),
        ("title", "subject [title] This field is required."),
        ("content", "content [content] This field is required."),
    ];
    let mut body =
        msg(json!({"attachments": "x", "msg_type": "", "receiver__username": "", "title": "", "content": ""}));
    for (name, text) in order {
        check("send_msg", &body, Some(text)).await;
        body[name] = json!("nobody");
    }
    let list = "attachments [attachments] Must be the specified parameter data type list";
    check("send_msg", &body, Some(list)).await;
    body["attachments"] = json!([{}]);
    // The type is looked at after everything else, and the mail's own form after the type.
    check("send_msg", &body, Some("Unsupported type of msg type")).await;
    body["msg_type"] = json!("mail");
    check("send_msg", &body, Some("filename [filename] This field is required.")).await;
    for (msg_type, text) in [
        ("sms", "Unfinished interface shall be improved by the component developer"),
        ("voice", "Unfinished interface shall be improved by the component developer"),
        ("Mail", "Unsupported type of msg type"),
        ("rtx", "Unsupported type of msg type"),
    ] {
        check("send_msg", &msg(json!({"msg_type": msg_type})), Some(text)).await;
    }
    let addresses = msg(json!({"receiver__username": null, "receiver": "a@b.com"}));
    check("send_msg", &addresses, Some("recipients [receiver__username] This field is required.")).await;
}

#[tokio::test]
async fn a_mail_names_the_first_field_that_is_wrong_and_only_then_what_concerns_several() {
    let sender = "mail sender [sender] Enter a valid email address.";
    let list = "attachments [attachments] Must be the specified parameter data type list";
    let rows = [
        ("sender", json!("CEO"), json!(""), sender),
        ("title", json!(""), json!("a\0b"), "email subject [title] This field is required."),
        ("title", json!("a\0b"), json!("x".repeat(2_001)), "email subject [title] Must not contain control characters"),
        (
            "title",
            json!("x".repeat(2_001)),
            json!("t"),
            "email subject [title] Must not be longer than 2000 characters",
        ),
        ("content", json!(""), json!("c"), "email content [content] This field is required."),
        ("attachments", json!("x"), json!([{}]), list),
        (
            "receiver",
            json!(""),
            json!("@"),
            "Receiver [receiver, receiver__username] shall not be empty at the same time",
        ),
        ("attachments", json!([{}]), json!([]), "filename [filename] This field is required."),
        ("receiver", json!("@"), json!("a@b.com"), &incorrect("@")),
    ];
    let mut body =
        mail(json!({"sender": "CEO", "receiver": "", "title": "", "content": "", "attachments": "x", "cc": ""}));
    for (name, wrong, then, text) in rows {
        assert_eq!(body[name], wrong);
        check("send_mail", &body, Some(text)).await;
        body[name] = then;
    }
    check("send_mail", &body, None).await;
    // The same by the other way in, where only a mail has a sender.
    let mut body = msg(json!({"sender": "CEO", "title": "", "receiver__username": ""}));
    check("send_msg", &body, Some("recipients [receiver__username] This field is required.")).await;
    body["receiver__username"] = json!("admin");
    check("send_msg", &body, Some(sender)).await;
    body["sender"] = json!("");
    check("send_msg", &body, Some("subject [title] This field is required.")).await;
    (body["title"], body["content"]) = (json!("a\0b"), json!(""));
    check("send_msg", &body, Some("subject [title] Must not contain control characters")).await;
    let weixin = msg(json!({"msg_type": "weixin", "sender": "CEO"}));
    check("send_msg", &weixin, None).await;
}

#[tokio::test]
async fn line_ends_and_tab_become_a_space_in_title_and_file_names_and_other_controls_are_refused() {
    let world = World::new();
    let attachments = json!([{"filename": "a\r\nX: 1\t.txt", "content": "eA=="}]);
    world.post("send_mail", &mail(json!({"title": "t\r\nBcc: v@e.cn\tx", "attachments": attachments}))).await;
    let (_, stored, ..) = world.store.last();
    assert_eq!(stored.subject, "t Bcc: v@e.cn x");
    assert_eq!(stored.attachments[0].filename, "a X: 1 .txt");
    for control in ["\0", "\u{1}", "\u{1b}", "\u{7f}", "\u{85}x"] {
        let text = format!("a{control}b");
        let title = mail(json!({"title": text}));
        check("send_mail", &title, Some("email subject [title] Must not contain control characters")).await;
        let title = msg(json!({"title": text}));
        check("send_msg", &title, Some("subject [title] Must not contain control characters")).await;
        let file = mail(json!({"attachments": [{"filename": text, "content": "eA=="}]}));
        check("send_mail", &file, Some("filename [filename] Must not contain control characters")).await;
    }
}

#[tokio::test]
async fn controls_anywhere_else_make_an_invalid_address_or_field() {
    for control in ["\r\n", "\n", "\r", "\t", "\0", "\u{1}", "\u{7f}", "\u{85}"] {
        let text = format!("x{control}Bcc:v@e.cn");
        check("send_mail", &mail(json!({"receiver": [text]})), Some(&incorrect(&text))).await;
        check("send_mail", &mail(json!({"cc": [text]})), Some(&incorrect(&text))).await;
        check("send_mail", &mail(json!({"cc__username": [text]})), Some(&incorrect(&text))).await;
        let users = mail(json!({"receiver": null, "receiver__username": ["admin", text]}));
        check("send_mail", &users, Some(&incorrect(&text))).await;
        for sender in [format!("me@x.com{control}Bcc: v@e.cn"), format!("Me{control}You <me@x.com>")] {
            let sender = mail(json!({"sender": sender}));
            check("send_mail", &sender, Some("mail sender [sender] Enter a valid email address.")).await;
        }
        for (name, text) in [
            ("content_id", "content_id [content_id] Must not contain control characters"),
            ("type", "type [type] Must not contain control characters"),
            ("disposition", "disposition [disposition] Must be inline or attachment"),
        ] {
            let mut attachment = json!({"filename": "a.png", "content": PNG, "type": "png"});
            attachment[name] = json!(format!("a{control}b"));
            check("send_mail", &mail(json!({"attachments": [attachment]})), Some(text)).await;
        }
        let user = "User authentication failed, please provide a valid user identity, such as bk_token, bk_username";
        check("send_mail", &mail(json!({"bk_username": text})), Some(user)).await;
        let code = format!("Invalid APP Code [bk_app_code={text}], please confirm if the APP Code has been registered");
        check("send_mail", &mail(json!({"bk_app_code": text})), Some(&code)).await;
        // Any text but exactly `Text` is HTML; any text but "0" and "false" is true.
        check("send_mail", &mail(json!({"body_format": text, "is_content_base64": text})), None).await;
    }
    let world = World::new();
    world.post("send_mail", &mail(json!({"content": "a\0b\u{1b}[31m\r\n\tc\u{85}"}))).await;
    assert_eq!(world.store.last().1.body, hongyan_core::content::Body::Html("ab[31m\r\n\tc".into()));
}

#[tokio::test]
async fn bodies_that_cannot_be_read() {
    let broken = "Request JSON string is wrong in format, which cannot be analyzed.";
    let no_secret = "Signature [bk_signature] and APP Secret [bk_app_secret] cannot be empty at the same time";
    let deep = |n: usize| format!(r#"{{"x": {}1{}}}"#, "[".repeat(n), "]".repeat(n));
    let rows: Vec<(Vec<u8>, &str)> = vec![
        (b"{broken".to_vec(), broken),
        (b" \x0b{\"a\": 1".to_vec(), broken),
        (b"{} {}".to_vec(), broken),
        (br#"{"title": "\ud800"}"#.to_vec(), broken),
        (b"{\"title\": \"\xff\"}".to_vec(), broken),
        (br#"{"title": NaN}"#.to_vec(), broken),
        (br#"{"title": 1e400}"#.to_vec(), broken),
        (deep(64).into_bytes(), broken),
        (deep(100_000).into_bytes(), broken),
        (format!(r#"{{"receiver": [{}1]}}"#, "1,".repeat(200_000)).into_bytes(), broken),
        (deep(63).into_bytes(), no_secret),
        (b"{}".to_vec(), no_secret),
        (b"".to_vec(), no_secret),
        (b"[]".to_vec(), no_secret),
        (b"\"x\"".to_vec(), no_secret),
        ("\u{feff}{}".as_bytes().to_vec(), no_secret),
    ];
    let world = World::new();
    for (body, text) in rows {
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        let reply = world.post_with("send_mail", &[("Content-Type", "application/json")], body).await;
        reply.assert_five_keys();
        assert_eq!(reply.message(), text, "{shown}");
    }
    let form = "multipart/form-data; boundary=b";
    for (kind, body) in
        [(form, "--b\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\nx"), ("multipart/form-data", "x")]
    {
        let reply = world.post_with("send_mail", &[("Content-Type", kind)], body).await;
        assert_eq!(reply.code(), json!(1_306_406), "{kind}");
    }
    assert_eq!(world.store.count(), 0);
}

#[tokio::test]
async fn large_values_take_no_more_time_than_they_need() {
    let began = std::time::Instant::now();
    let pairs: Vec<String> = (0..90_000).map(|n| format!("\"{n}\": 1")).collect();
    let body = mail(json!({"title": "OBJECT"})).to_string().replace("\"OBJECT\"", &format!("{{{}}}", pairs.join(",")));
    let reply = World::new().post_with("send_mail", &[], body).await;
    assert_eq!(reply.message(), "email subject [title] Must not be longer than 2000 characters");
    let padding = mail(json!({"content": format!("AA{}", "=!".repeat(1_000_000)), "is_content_base64": true}));
    assert_eq!(World::new().post("send_mail", &padding).await.code(), json!(0));
    assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
}

#[tokio::test]
async fn unknown_paths_and_methods_get_three_keys_and_never_a_redirect() {
    let world = World::new();
    for (method, path) in [
        ("POST", "/api/c/compapi"),
        ("POST", "/api/c/compapi/"),
        ("POST", "/api/c/compapi/cmsi/send_rtx/"),
        ("POST", "/api/c/compapi/v3/cmsi/send_mail/"),
        ("PUT", "/api/c/compapi/cmsi/send_mail/"),
        ("DELETE", "/api/c/compapi/cmsi/send_mail/"),
    ] {
        let request = Request::builder().method(method).uri(path).body(Body::from(mail(json!({})).to_string()));
        let reply = world.request(request.expect("a request")).await;
        assert_eq!(reply.status.as_u16(), 404, "{method} {path}");
        assert_eq!(reply.bytes, r#"{"result":false,"data":null,"message":"The content does not exist"}"#);
        assert_eq!(reply.content_type, "application/json; charset=utf-8");
    }
    assert_eq!(world.store.count(), 0);
}
