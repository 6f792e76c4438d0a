//! The fields of a template, the bytes of a request, and the table of codes.

use hongyan_core::{
    content::{Content, Form, Notice, Text},
    id::Id,
    outcome::Scope,
};

use super::{message::*, *};
use crate::cloud::codes::{Codes, tests::assert_sound};

fn notice() -> Notice {
    Notice {
        heading: "标题".into(),
        message: "消息 \"x\"".into(),
        date: "2026-11-22 08:00".into(),
        ..Notice::default()
    }
}

fn bytes(content: &Content, fields: &NoticeFields) -> String {
    let data = data(content, fields).expect("one of ours").expect("short enough");
    body(&To { openid: "oABC", delivery: Id::from_i64(42).expect("an id") }, "TPL", &data).to_string()
}

#[test]
fn a_notice_fills_the_fields_of_the_template() {
    let rest = r#""client_msg_id":"42","data":{"first":{"value":"标题"},"keyword1":{"value":"消息 \"x\""},"keyword2":{"value":"2026-11-22 08:00"},"remark":{"value":""}}}"#;
    let head = r#"{"touser":"oABC","template_id":"TPL","#;
    assert_eq!(bytes(&Content::Notice(notice()), &NoticeFields::default()), format!("{head}{rest}"));
    let linked = Content::Notice(Notice { url: "https://x.example/?a=1".into(), ..notice() });
    let expected = format!("{head}\"url\":\"https://x.example/?a=1\",{rest}");
    assert_eq!(bytes(&linked, &NoticeFields::default()), expected);
}

#[test]
fn a_field_without_a_name_is_left_out_and_a_text_is_the_message() {
    let fields =
        NoticeFields { heading: String::new(), message: "thing2".into(), date: "time3".into(), remark: String::new() };
    let filled = r#"{"touser":"oABC","template_id":"TPL","client_msg_id":"42","data":{"thing2":{"value":"消息 \"x\""},"time3":{"value":"2026-11-22 08:00"}}}"#;
    assert_eq!(bytes(&Content::Notice(notice()), &fields), filled);
    let text = Content::Text(Text { text: "t".into(), ..Text::default() });
    let filled =
        r#""data":{"first":{"value":""},"keyword1":{"value":"t"},"keyword2":{"value":""},"remark":{"value":""}}}"#;
    assert!(bytes(&text, &NoticeFields::default()).ends_with(filled));
}

#[test]
fn a_form_has_fields_of_its_own_and_they_hold_no_more_than_others() {
    let form = |text: &str| {
        let fields = [("thing1", text), ("time2", "2026-11-22")].map(|(name, text)| (name.to_owned(), text.to_owned()));
        Content::Form(Form { fields: fields.into(), url: "https://x.example/".into() })
    };
    let filled = r#"{"touser":"oABC","template_id":"TPL","url":"https://x.example/","client_msg_id":"42","data":{"thing1":{"value":"发工资了"},"time2":{"value":"2026-11-22"}}}"#;
    assert_eq!(bytes(&form("发工资了"), &NoticeFields::default()), filled);
    let names = NoticeFields::default();
    assert!(data(&form(&"鸿".repeat(20)), &names).expect("one of ours").is_ok());
    let refused = data(&form(&"鸿".repeat(21)), &names).expect("one of ours").expect_err("too long").to_string();
    assert_eq!(refused, "the field thing1 holds at most 20 characters, and the text has 21");
    let nowhere = Content::Form(Form { url: String::new(), ..Form::default() });
    assert_eq!(bytes(&nowhere, &names), r#"{"touser":"oABC","template_id":"TPL","client_msg_id":"42","data":{}}"#);
}

#[test]
fn what_a_typed_field_cannot_hold_is_refused_by_name() {
    for (field, chars, max) in [
        ("thing1", 21, Some(20)),
        ("thing1", 20, None),
        ("phrase12", 6, Some(5)),
        ("character_string3", 33, Some(32)),
        ("thing", 99, None),
        ("things1", 99, None),
        ("keyword1", 999, None),
    ] {
        let fields = NoticeFields { message: field.into(), ..NoticeFields::default() };
        let content = Content::Notice(Notice { message: "鸿".repeat(chars), ..notice() });
        let refused = data(&content, &fields).expect("one of ours").err().map(|error| error.to_string());
        let words =
            max.map(|max| format!("the field {field} holds at most {max} characters, and the text has {chars}"));
        assert_eq!(refused, words, "{field} {chars}");
    }
}

#[test]
fn a_field_holds_one_part_only() {
    assert!(!names_twice(&NoticeFields::default()));
    assert!(names_twice(&NoticeFields { remark: "first".into(), ..NoticeFields::default() }));
    let none = NoticeFields { heading: String::new(), remark: String::new(), ..NoticeFields::default() };
    assert!(!names_twice(&none));
}

#[test]
fn every_code_of_the_contract_has_its_class() {
    assert_sound(&[CODES]);
    let codes = Codes::parse(&[CODES]);
    let listed: [(Class, &[i64]); 10] = [
        (Class::Refresh, &[40001, 40014, 42001]),
        (Class::Transient, &[-1, -1000, 61450]),
        (Class::Throttled(Scope::Provider), &[45011, 45009]),
        (Class::Throttled(Scope::Recipient), &[45066]),
        (Class::Recipient(Rejection::NoSuchRecipient), &[40003]),
        (Class::Recipient(Rejection::NotFollowing), &[43004, 50005]),
        (Class::Recipient(Rejection::Recipient), &[43019, 46004, 48002, 43101, 45015, 45047]),
        (
            Class::Content,
            &[
                40037, 47003, 47001, 40033, 40008, 44002, 44004, 45002, 45003, 45004, 45005, 45006, 41030, 40039,
                40048, 65317, 87014, 43116, 45168,
            ],
        ),
        (
            Class::Configuration,
            &[40013, 40125, 40164, 41001, 41002, 41004, 48001, 48004, 48008, 50001, 50002, 61003, 61007],
        ),
        (Class::Taken, &[0, 45065]),
    ];
    for (class, list) in listed {
        for code in list {
            assert_eq!(codes.class(&code.to_string()), Some(class), "{code}");
        }
    }
}
