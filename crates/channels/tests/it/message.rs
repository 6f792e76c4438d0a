//! Composed messages as Python's `email` package reads them.

use hongyan_channels::mail::{ComposeError, Composed, Composer};
use hongyan_core::{
    content::{Attachment, Body, Mail, Sender},
    outcome::{Outcome, Rejection},
};

use crate::{
    parcels::{MESSAGE, NOW, file, mail, parcel, parcel_of},
    python::{self, Parsed},
};

/// The message of `mail`, by a provider with a sender and nothing else.
pub fn compose(mail: Mail, files: Vec<Vec<u8>>) -> Result<Composed, ComposeError> {
    let composer = Composer::new("Notices <notice@example.com>", "", None).expect("a valid sender");
    composer.compose(&parcel_of(mail, files, &["a@example.com"]))
}

/// What must hold of every message, whatever is in it.
pub fn assert_clean(bytes: &[u8]) {
    let text = std::str::from_utf8(bytes).expect("UTF-8");
    assert!(text.is_ascii(), "not ASCII");
    assert!(text.ends_with("\r\n") && !text.contains('\0'));
    for line in text.split_terminator("\r\n") {
        assert!(!line.contains(['\r', '\n']), "a bare CR or LF in {line:?}");
        assert!(line.len() <= 998, "a line of {} bytes", line.len());
    }
    let (headers, _) = text.split_once("\r\n\r\n").expect("headers and a body");
    for line in headers.split("\r\n") {
        let is_one_word = line.trim().split(' ').count() <= 1;
        assert!(line.len() <= 78 || is_one_word, "a header line of {} bytes: {line:?}", line.len());
    }
}

fn read(mail: Mail, files: Vec<Vec<u8>>) -> Parsed {
    let composed = compose(mail, files).expect("a valid mail");
    assert_clean(&composed.bytes);
    let mut parsed = python::parse(&[composed.bytes]);
    parsed.remove(0)
}

fn image(filename: &str, content_id: &str) -> Attachment {
    Attachment { inline: true, content_id: content_id.into(), ..file(filename, "image/png") }
}

#[test]
fn a_plain_mail() {
    let parsed = read(mail(), vec![]);
    let names =
        ["Date", "From", "To", "Subject", "Message-ID", "MIME-Version", "Content-Type", "Content-Transfer-Encoding"];
    assert_eq!(parsed.headers(), names);
    assert_eq!(parsed.header("Subject"), "Hello");
    assert_eq!(parsed.header("Message-ID"), format!("<{MESSAGE}.hongyan@example.com>"));
    assert_eq!(parsed.0["date"].as_f64(), Some(NOW.ms() as f64 / 1000.0));
    assert_eq!(parsed.0["from"], serde_json::json!([["", "boss@example.com"]]));
    assert_eq!(parsed.tree(), "plain");
    assert_eq!(parsed.0["text"], "Good morning.\r\n");
    assert_eq!(parsed.defects(), [""; 0]);
}

#[test]
fn a_mail_with_everything() {
    let html = concat!(
        "<h1>你好</h1><p>See <a href='https://example.com/x'>this</a>:</p>",
        "<img src=\"cid:logo@example.com\"><img src='cid:截图 1.png'><img src=cid:%E6%88%AA%E5%9B%BE%201.png>"
    );
    let content = Mail {
        from: Some(Sender { name: "鸿雁 通知 <ops>".into(), address: "boss@example.com".into() }),
        to: vec!["a@example.com".into(), "b@example.com".into()],
        cc: vec!["c@example.com".into()],
        subject: "告警：磁盘空间不足，请尽快处理（第 3 次通知），这是一个很长的主题，需要折叠成好几行才能放得下 😀😀😀😀😀😀😀😀😀😀".into(),
        body: Body::Html(html.into()),
        attachments: vec![
            image("logo.png", "logo@example.com"),
            image("截图 1.png", "截图 1.png"),
            file("报告（2026）.pdf", "application/pdf"),
            file(&format!("{}.txt", "长".repeat(80)), "text/plain"),
            file("a \"quoted\" name; x=y.csv", "text/csv"),
        ],
        date: NOW.ms(),
    };
    let files: Vec<Vec<u8>> = (0..5u8).map(|n| (0..=255).cycle().skip(n.into()).take(5_000).collect()).collect();
    let parsed = read(content.clone(), files.clone());

    assert_eq!(parsed.defects(), [""; 0]);
    assert_eq!(parsed.header("Subject"), content.subject);
    assert_eq!(parsed.0["from"], serde_json::json!([["鸿雁 通知 <ops>", "boss@example.com"]]));
    assert_eq!(parsed.0["to"], serde_json::json!(["a@example.com", "b@example.com"]));
    assert_eq!(parsed.header("Cc"), "c@example.com");
    assert_eq!(parsed.tree(), "mixed(related(alternative(plain html) png png) pdf plain csv)");

    let leaves = parsed.leaves();
    assert_eq!(leaves[0]["text"], "你好\r\n\r\nSee this (https://example.com/x):");
    let new_id = format!("part1.{MESSAGE}@example.com");
    let shown = html.replace("cid:截图 1.png", &format!("cid:{new_id}"));
    let shown = shown.replace("cid:%E6%88%AA%E5%9B%BE%201.png", &format!("cid:{new_id}"));
    assert_eq!(leaves[1]["text"].as_str(), Some(shown.as_str()));
    assert_eq!(leaves[2]["id"], "<logo@example.com>");
    assert_eq!(leaves[3]["id"], format!("<{new_id}>"));
    for (leaf, (attachment, file)) in leaves[2..].iter().zip(content.attachments.iter().zip(&files)) {
        assert_eq!(leaf["file"].as_str(), Some(attachment.filename.as_str()));
        assert_eq!(leaf["disposition"], if attachment.inline { "inline" } else { "attachment" });
        assert_eq!(leaf["type"], attachment.mime);
        assert_eq!(leaf["encoding"], "base64");
        assert!(Parsed::bytes(leaf) == *file, "{}", attachment.filename);
    }
    assert_eq!(leaves[4]["name"], "___2026_.pdf");
}

#[test]
fn each_level_of_the_tree_only_where_needed() {
    let html = || Body::Html("<p>x</p>".into());
    let text = || Body::Text("x".into());
    let inline = || image("a.png", "a.png");
    for (body, attachments, tree) in [
        (html(), vec![], "alternative(plain html)"),
        (html(), vec![inline()], "related(alternative(plain html) png)"),
        (html(), vec![image("a.png", "")], "mixed(alternative(plain html) png)"),
        (html(), vec![file("a.pdf", "application/pdf")], "mixed(alternative(plain html) pdf)"),
        (text(), vec![inline()], "mixed(plain png)"),
        (text(), vec![file("x.eml", "message/rfc822")], "mixed(plain octet-stream)"),
    ] {
        let files = vec![vec![1, 2, 3]; attachments.len()];
        let parsed = read(Mail { body, attachments, ..mail() }, files);
        assert_eq!(parsed.tree(), tree);
        assert_eq!(parsed.defects(), [""; 0]);
    }
}

#[test]
fn bodies_arrive_as_they_were() {
    let texts = [
        "",
        "no line end",
        "trailing space \r\nand\ttab\t\n.\n..\n.dot\nFrom here\n\n\n",
        "= signs =3D and a line of more than 76 characters, which quoted-printable has to break somewhere in the middle",
        &"鸿雁传书".repeat(300),
        &format!("mostly ascii {} é\n", "x".repeat(3_000)),
        "lone \r and \n and \r\n",
    ];
    let messages = texts.map(|text| {
        let bytes = compose(Mail { body: Body::Text(text.into()), ..mail() }, vec![]).expect("a mail").bytes;
        assert_clean(&bytes);
        bytes
    });
    for (text, parsed) in texts.iter().zip(python::parse(&messages)) {
        let expected = text.replace("\r\n", "\n").replace('\r', "\n").replace('\n', "\r\n");
        assert_eq!(parsed.0["text"].as_str(), Some(expected.as_str()));
    }
}

#[test]
fn addresses_beyond_ascii_are_shown_and_never_raw() {
    let content = Mail { to: vec!["用户@例子.中国".into(), "a@example.com".into()], ..mail() };
    let composed = compose(content, vec![]).expect("a mail");
    assert_clean(&composed.bytes);
    let parsed = python::parse(&[composed.bytes]).remove(0);
    assert!(parsed.header("To").contains("用户@例子.中国"), "{}", parsed.header("To"));
    assert_eq!(parsed.0["to"], serde_json::json!(["a@example.com"]));
}

#[test]
fn many_recipients_fold() {
    let to: Vec<String> = (0..1_000).map(|n| format!("recipient.number{n}@department.example.com")).collect();
    let parsed = read(Mail { to: to.clone(), ..mail() }, vec![]);
    assert_eq!(parsed.0["to"], serde_json::json!(to));
}

#[test]
fn every_try_sends_the_same_bytes() {
    let content = Mail { body: Body::Html("<p>x</p>".into()), attachments: vec![file("a.bin", "x/y")], ..mail() };
    let composer = Composer::new("notice@example.com", "bounce@example.net", None).expect("valid");
    let first = composer.compose(&parcel_of(content.clone(), vec![vec![0; 100]], &["a@example.com", "b@example.com"]));
    let second = composer.compose(&parcel_of(content, vec![vec![0; 100]], &["b@example.com"]));
    assert_eq!(first, second);
    assert_eq!(first.expect("a mail").sender, format!("bounce+{MESSAGE}@example.net"));
}

#[test]
fn who_it_is_from() {
    let nobody = || parcel_of(Mail { from: None, ..mail() }, vec![], &["a@example.com"]);
    let own = Composer::new("Notices <notice@example.com>", "", None).expect("valid");
    let composed = own.compose(&nobody()).expect("a mail");
    assert_eq!(composed.sender, "notice@example.com");
    assert!(!composed.origin.from_is_callers && !composed.origin.envelope_is_callers);
    assert_eq!(python::parse(&[composed.bytes])[0].0["from"], serde_json::json!([["Notices", "notice@example.com"]]));

    let callers = own.compose(&parcel(&["a@example.com"])).expect("a mail");
    assert_eq!(callers.sender, "boss@example.com");
    assert!(callers.origin.from_is_callers && callers.origin.envelope_is_callers);

    let none = Composer::new("", "", None).expect("valid");
    assert_eq!(none.compose(&nobody()), Err(ComposeError::NoSender));
    assert_eq!(ComposeError::NoSender.verdict().outcome, Outcome::Rejected(Rejection::Content));
}

#[test]
fn what_no_provider_can_have() {
    for (sender, bounce) in
        [("x", ""), ("a@b\r\nBcc: c@d", ""), ("a@b", "Name <a@b>"), ("a@b", &format!("{}@b", "x".repeat(45)))]
    {
        assert!(Composer::new(sender, bounce, None).is_err(), "{sender} {bounce}");
    }
}

#[test]
fn a_mail_whose_files_are_missing_is_refused() {
    let content = Mail { attachments: vec![file("a", "b/c")], ..mail() };
    assert_eq!(compose(content, vec![]), Err(ComposeError::Attachments { listed: 1, carried: 0 }));
}
