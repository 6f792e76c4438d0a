//! What needs no second opinion: the parts of a message on their own. Whole messages are read by Python in the crate's
//! integration tests.

use proptest::prelude::*;

use super::{headers::Header, plain::from_html};

fn text_header(text: &str) -> String {
    let mut out = Vec::new();
    let mut header = Header::begin(&mut out, "Subject");
    header.text(text);
    header.end();
    String::from_utf8(out).expect("ASCII")
}

#[test]
fn headers_fold_and_encode() {
    for (text, header) in [
        ("", "Subject: \r\n"),
        ("plain words", "Subject: plain words\r\n"),
        ("鸿雁", "Subject: =?utf-8?B?6bi/6ZuB?=\r\n"),
        ("caf\u{e9} is mostly ascii, so it is q", "Subject: =?utf-8?Q?caf=C3=A9_is_mostly_ascii=2C_so_it_is_q?=\r\n"),
        ("=?x?=", "Subject: =?utf-8?B?PT94Pz0=?=\r\n"),
        ("a\r\nb", "Subject: =?utf-8?B?YSAgYg==?=\r\n"),
    ] {
        assert_eq!(text_header(text), header);
    }
    let long = text_header(&"word ".repeat(40));
    assert!(long.lines().count() > 2);
}

#[test]
fn html_becomes_text() {
    for (html, text) in [
        ("<p>Hello,</p><p>world</p>", "Hello,\n\nworld"),
        ("a<br>b<br/>c", "a\nb\nc"),
        ("<ul><li>one</li><li>two</li></ul>after", "- one\n- two\n\nafter"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\nc"),
        ("<style>p{}</style><script>if (a<b) {}</script>x", "x"),
        ("<head><title>t</title></head><body>x</body>", "x"),
        ("1 < 2 &amp;&lt;&#60;&#x3c;&nbsp;&unknown; &copy", "1 < 2 &<<<\u{a0}&unknown; &copy"),
        ("<a href=\"https://x.y/?a=1&amp;b=2\">here</a>!", "here (https://x.y/?a=1&b=2)!"),
        ("<a href='https://x.y'>https://x.y</a>", "https://x.y"),
        ("<a href='javascript:alert(1)'>x</a>", "x"),
        ("<img src=x alt='a picture'>", "a picture"),
        ("<pre>a\n  b</pre>", "a\n  b"),
        ("<!-- no --> yes <!-- never", "yes"),
        ("  many\n\t spaces  ", "many spaces"),
        ("<b title='>'>x</b>", "x"),
        ("你好<br>鸿雁", "你好\n鸿雁"),
        ("<", "<"),
        ("<p", ""),
        ("a&", "a&"),
    ] {
        assert_eq!(from_html(html), text, "{html}");
    }
}

#[test]
fn hostile_html_costs_no_more_than_its_size() {
    let size = super::plain::INPUT_MAX;
    let begun = std::time::Instant::now();
    for piece in [
        "<b>",
        "<table><tr><td>x",
        "<a href='",
        "<!--",
        "&#",
        "<style>",
        "<script></",
        "<pre>",
        "<li>",
        "<a href=x>y</a>",
        "\"'<x y='",
        "&amp",
    ] {
        let html = piece.repeat(size / piece.len());
        assert!(from_html(&html).len() <= 2 * html.len(), "{piece}");
        assert!(from_html(&html.repeat(10)).len() <= 2 * size, "{piece}");
    }
    assert!(begun.elapsed() < std::time::Duration::from_secs(10), "{:?}", begun.elapsed());
}

proptest! {
    #[test]
    fn headers_stay_headers(text in "\\PC{0,300}|[\r\n\t\0 =?a-z鸿]{0,300}") {
        let header = text_header(&text);
        prop_assert!(header.is_ascii() && header.ends_with("\r\n"));
        let lines: Vec<&str> = header.strip_suffix("\r\n").expect("checked").split("\r\n").collect();
        prop_assert!(lines.iter().skip(1).all(|line| line.starts_with(' ')));
        prop_assert!(lines.iter().all(|line| line.len() <= 78 && !line.contains(['\r', '\n', '\0'])));
    }

    #[test]
    fn any_html_becomes_some_text(html in "[<>/a-z\"'=&;#!?\\- \n鸿]{0,400}") {
        let text = from_html(&html);
        prop_assert!(text.len() <= 2 * html.len() + 8);
    }
}
