//! The layout of texts, their parts, the bytes of requests, and the table of codes.

use hongyan_core::content::{Mail, Notice, Text};
use proptest::prelude::*;

use super::{message::*, *};
use crate::cloud::codes::{Codes, tests::assert_sound};

fn notice(heading: &str, message: &str, date: &str, remark: &str) -> Content {
    let [heading, message, date, remark] = [heading, message, date, remark].map(str::to_owned);
    Content::Notice(Notice { heading, message, date, remark, ..Notice::default() })
}

#[test]
fn a_notice_has_a_line_for_each_thing_that_it_says() {
    for (content, laid_out) in [
        (notice("标题", "消息", "", ""), "标题\n消息"),
        (notice("h", "a\nb", "2026-11-22 08:00", ""), "h\na\nb\nDate: 2026-11-22 08:00"),
        (notice("h", "m", "", "r"), "h\nm\nr"),
        (notice("h", "m", "d", "r"), "h\nm\nDate: d\nr"),
        (Content::Text(Text { text: "t".into(), ..Text::default() }), "t"),
    ] {
        assert_eq!(text(&content).as_deref(), Some(laid_out));
    }
}

#[test]
fn long_texts_are_cut_where_a_line_or_a_word_ends() {
    assert_eq!(parts(&"x".repeat(2_048)), ["x".repeat(2_048)]);
    let cut = parts(&"x".repeat(2_049));
    assert_eq!((cut.len(), cut[0].len()), (2, 2_038 + "(1/2) ".len()));
    let lines = format!("{}\n{}", "a".repeat(1_900), "b ".repeat(200));
    assert_eq!(parts(&lines)[0], format!("(1/2) {}\n", "a".repeat(1_900)));
    let words = format!("{} {}", "a".repeat(1_900), "b".repeat(400));
    assert_eq!(parts(&words)[1], format!("(2/2) {}", "b".repeat(400)));
    let far = format!("a {}", "b".repeat(3_000));
    assert!(parts(&far)[0].ends_with("bbb"), "a space far from the end is no place to cut");
}

proptest! {
    #[test]
    fn parts_fit_and_together_are_the_text(text in "[a鸿雁😀 \n]{0,3000}") {
        let cut = parts(&text);
        prop_assert!(cut.iter().all(|part| part.len() <= 2_048));
        let unmarked = |(i, part): (usize, &String)| {
            let mark = format!("({}/{}) ", i + 1, cut.len());
            if cut.len() == 1 { part.clone() } else { part.strip_prefix(&mark).expect("its mark").to_owned() }
        };
        prop_assert_eq!(cut.iter().enumerate().map(unmarked).collect::<String>(), text);
    }
}

#[test]
fn the_bytes_of_a_request_are_stable_and_raw_utf8() {
    let bytes = |check| body(&["zhangsan", "李四"], 1_000_002, "鸿雁\n\"x\"", check).to_string();
    let plain = r#"{"touser":"zhangsan|李四","msgtype":"text","agentid":1000002,"text":{"content":"鸿雁\n\"x\""}}"#;
    assert_eq!(bytes(None), plain);
    let checked = format!(
        "{},\"enable_duplicate_check\":1,\"duplicate_check_interval\":1800}}",
        plain.strip_suffix('}').expect("an object")
    );
    assert_eq!(bytes(Some(Duration::from_secs(1_800))), checked);
}

#[test]
fn every_code_of_the_contract_has_its_class() {
    assert_sound(&[CODES]);
    let codes = Codes::parse(&[CODES]);
    let recipient = [Class::Recipient(Rejection::Recipient), Class::Split];
    let listed: [(&[Class], &[i64]); 7] = [
        (&[Class::Refresh], &[40014, 42001, 40001]),
        (&[Class::Transient], &[-1, 6000, 301070]),
        (&[Class::Throttled(hongyan_core::outcome::Scope::Provider)], &[45009, 45033]),
        (&recipient, &[81013, 40003, 40031, 46004, 60111, 60011, 50002, 82001, 43004]),
        (&[Class::Content], &[40008, 40033, 40035, 40058, 44004, 45002, 45008, 41016, 41033, 47001, 85002, 40063]),
        (&[Class::Split], &[40032, 82002, 82003]),
        (&[Class::Configuration], &[40013, 40091, 40056, 41011, 48002, 50003, 60020, 301002, 2000002]),
    ];
    for (classes, list) in listed {
        for code in list {
            let class = codes.class(&code.to_string());
            assert!(class.is_some_and(|class| classes.contains(&class)), "{code}: {class:?}");
        }
    }
    assert_eq!(
        codes.class("81013"),
        Some(Class::Recipient(Rejection::Recipient)),
        "it is about all of them: there is nothing to split"
    );
}

#[test]
fn a_mail_is_none_of_ours() {
    let mail = Mail {
        from: None,
        to: vec![],
        cc: vec![],
        subject: String::new(),
        body: hongyan_core::content::Body::Text(String::new()),
        attachments: vec![],
        date: 0,
    };
    assert_eq!(text(&Content::Mail(mail)), None);
}
