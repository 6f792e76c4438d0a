//! Templates filled in: what one of them says on one channel, with the caller's values in the place of its variables
//! (`contracts/push.md` section 3, 36 to 39). A value is text, whatever is in it: it becomes no markup where the text is HTML, no
//! other part of an address, and no variable.

mod spots;

use std::collections::BTreeMap;

use hongyan_core::{
    content::TemplateUse,
    setup::{ChannelKind, Piece, TemplateContent, pieces, variables},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{
    html,
    template::spots::{Spot, Spots, is_safe_start},
};

/// What stands in an address for itself: the unreserved characters of RFC 3986 section 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The texts of a template on one channel, filled in. They are held to the same bounds and checks as what a caller writes itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filled {
    /// The title.
    pub title: String,
    /// The text; of a mail and of an item of the inbox, HTML.
    pub content: String,
    /// Where a tap leads.
    pub website: String,
    /// The signature of an SMS; absent: the provider's.
    pub sign: Option<String>,
    /// The SMS provider's own template and what fills it; absent: the text itself is sent.
    pub template: Option<TemplateUse>,
}

/// A variable of the template for which the caller has no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the variable {0:?} has no value")]
pub struct MissingVariable(pub String);

/// A variable in HTML where no value is safe.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the variable {0:?} stands where no value is safe: put it between tags, or between the quotes of an attribute that is no script; \
     an address begins with it, or with http://, https://, mailto: or /"
)]
pub struct UnsafeVariable(pub String);

/// Checks a text of a template for a channel of this kind: in HTML, no variable stands in a tag but between the quotes of an
/// attribute, in a script or style, or where it could change what kind of an address it is part of.
///
/// # Errors
/// The first variable that does.
pub fn check(content: &str, kind: ChannelKind) -> Result<(), UnsafeVariable> {
    if !is_html(kind) {
        return Ok(());
    }
    let mut spots = Spots::default();
    for piece in pieces(content) {
        match piece {
            Piece::Text(text) => spots.read(text),
            Piece::Variable(name) if spots.here() == Spot::Unsafe => return Err(UnsafeVariable(name.to_owned())),
            Piece::Variable(_) => spots.filled(),
        }
    }
    Ok(())
}

const fn is_html(kind: ChannelKind) -> bool {
    matches!(kind, ChannelKind::Mail | ChannelKind::Inbox)
}

/// Fills a template in for a channel of this kind. In the text of a mail and of an item of the inbox values are escaped for
/// HTML; one that begins the address of a link or picture and is neither `http`, `https`, `mailto`, `tel` nor a path with a `/`
/// becomes `#`. Tags of HTML in the text of an SMS are taken out (row 28), none out of values. In a website percent-encoded, unless the website begins with the variable: then the value is the address itself, or its
/// beginning. Everywhere else they stand as they are. Values of no variable are left out.
///
/// # Errors
/// The first variable that has no value.
pub fn fill(
    content: &TemplateContent,
    kind: ChannelKind,
    values: &BTreeMap<String, String>,
) -> Result<Filled, MissingVariable> {
    let is_sms = kind == ChannelKind::Sms;
    Ok(Filled {
        title: filled(&content.title, values, |_, value, text| text.push_str(value))?,
        content: match kind {
            kind if is_html(kind) => filled_html(&content.content, values)?,
            ChannelKind::Sms => {
                filled(&html::strip_tags(&content.content), values, |_, value, text| text.push_str(value))?
            }
            _ => filled(&content.content, values, |_, value, text| text.push_str(value))?,
        },
        website: filled(&content.website, values, |is_first, value, text| {
            if is_first { text.push_str(value) } else { text.extend(utf8_percent_encode(value, RESERVED)) }
        })?,
        sign: Some(&content.sign).filter(|sign| is_sms && !sign.is_empty()).cloned(),
        template: Some(content)
            .filter(|content| is_sms && !content.sms_template.is_empty())
            .map(|content| template_use(content, values))
            .transpose()?,
    })
}

/// A text with its values, each put there by `put`, which hears whether the text begins with it.
fn filled(
    text: &str,
    values: &BTreeMap<String, String>,
    put: impl Fn(bool, &str, &mut String),
) -> Result<String, MissingVariable> {
    let mut filled = String::with_capacity(text.len());
    for (at, piece) in pieces(text).enumerate() {
        match piece {
            Piece::Text(text) => filled.push_str(text),
            Piece::Variable(name) => put(at == 0, value(name, values)?, &mut filled),
        }
    }
    Ok(filled)
}

/// HTML with its values. Where none is safe, which [`check`] refuses, there is none.
fn filled_html(html: &str, values: &BTreeMap<String, String>) -> Result<String, MissingVariable> {
    let (mut filled, mut spots) = (String::with_capacity(html.len()), Spots::default());
    for piece in pieces(html) {
        match piece {
            Piece::Text(text) => {
                spots.read(text);
                filled.push_str(text);
            }
            Piece::Variable(name) => {
                let value = value(name, values)?;
                match spots.here() {
                    Spot::Text => escape(value, &mut filled),
                    Spot::Address if is_safe_start(value) => escape(value.trim_start(), &mut filled),
                    Spot::Address => filled.push('#'),
                    Spot::Unsafe => {}
                }
                spots.filled();
            }
        }
    }
    Ok(filled)
}

/// The SMS provider's template, with the values of the variables that are its own, or else those of the text.
fn template_use(content: &TemplateContent, values: &BTreeMap<String, String>) -> Result<TemplateUse, MissingVariable> {
    let mut order: Vec<String> = Vec::new();
    if content.sms_variables.is_empty() {
        for name in variables(&content.content) {
            if !order.iter().any(|known| known == name) {
                order.push(name.to_owned());
            }
        }
    } else {
        order.clone_from(&content.sms_variables);
    }
    let values = order.iter().map(|name| Ok((name.clone(), value(name, values)?.to_owned())));
    Ok(TemplateUse {
        code: content.sms_template.clone(),
        foreign: true,
        values: values.collect::<Result<_, _>>()?,
        order,
    })
}

fn value<'a>(name: &str, values: &'a BTreeMap<String, String>) -> Result<&'a str, MissingVariable> {
    values.get(name).map(String::as_str).ok_or_else(|| MissingVariable(name.to_owned()))
}

/// Writes a value so that HTML shows it as it is, between tags and in quoted attributes.
fn escape(value: &str, html: &mut String) {
    for c in value.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            c => html.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(values: &[(&str, &str)]) -> BTreeMap<String, String> {
        values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn values_are_escaped_where_the_text_is_html_and_nowhere_else() {
        let content = TemplateContent {
            title: "For ${name}".into(),
            content: "<p title=\"${name}\">${name}</p>".into(),
            ..TemplateContent::default()
        };
        let name = "<b>\"O'Neil\" & Sons</b>";
        let escaped = "&lt;b&gt;&quot;O&#39;Neil&quot; &amp; Sons&lt;/b&gt;";
        for kind in ChannelKind::ALL {
            let filled = fill(&content, kind, &values(&[("name", name)])).expect("has its value");
            assert_eq!(filled.title, format!("For {name}"), "{kind:?}: a title is text");
            let expected = match kind {
                ChannelKind::Mail | ChannelKind::Inbox => format!("<p title=\"{escaped}\">{escaped}</p>"),
                ChannelKind::Sms => name.to_owned(),
                _ => format!("<p title=\"{name}\">{name}</p>"),
            };
            assert_eq!(filled.content, expected, "{kind:?}");
        }
    }

    #[test]
    fn a_variable_stands_where_its_value_can_be_made_safe() {
        for html in [
            "${v}",
            "a < ${v} <3 ${v}",
            "<p>${v}</p>",
            "<p title='${v}' class = \"a ${v}\">${v}<br/>",
            "<a href=\"${v}\">x</a>",
            "<a href=\"${v}${v}\">x</a>",
            "<a href='https://a.cn/${v}?q=${v}'>${v}</a>",
            "<a href=\"/a/${v}\">x</a>",
            "<a href=\"a/b?c=${v}\">x</a>",
            "<img alt=x src=\"${v}\">",
            "<!-- a > b ${v} --><p>${v}</p>",
            "<!doctype html><html><head><title>${v}</title><style>p > a {}</style></head><body>${v}",
            "<input disabled value=\"${v}\">",
        ] {
            assert_eq!(check(html, ChannelKind::Mail), Ok(()), "{html}");
        }
        for html in [
            "<p title=${v}>",
            "<p title=a${v}>",
            "<p title= ${v}>",
            "<p ${v}>",
            "<p a${v}=\"x\">",
            "<p a=\"x\"${v}>",
            "<${v}>",
            "</${v}>",
            "<p${v}>",
            "<!${v}>",
            "<a href=\"java${v}\">",
            "<a href=\"javascript:${v}\">",
            "<a HREF='JavaScript:x/${v}'>",
            "<a href=\"java&#115;cript:${v}\">",
            "<a onclick=\"x('${v}')\">",
            "<iframe srcdoc=\"${v}\">",
            "<script>x = '${v}'</script>",
            "<script><!--<script></script>${v}",
            "<style>p { color: ${v} }</style>",
            "<style></style ${v}>",
            "<a =\"x${v}\">",
            "<a title='x\"' href=${v} x=\"'>",
            "<!-- --><a href=${v}>",
            "<!--><a href=${v}> -->",
            "<textarea><!-- </textarea><a href=${v}> -->",
        ] {
            assert_eq!(check(html, ChannelKind::Inbox), Err(UnsafeVariable("v".into())), "{html}");
            assert_eq!(check(html, ChannelKind::Sms), Ok(()), "no HTML: {html}");
            let content = TemplateContent { content: html.into(), ..TemplateContent::default() };
            let filled = fill(&content, ChannelKind::Mail, &values(&[("v", "VALUE")])).expect("has its value");
            assert!(!filled.content.contains("VALUE"), "{}", filled.content);
        }
    }

    #[test]
    fn a_value_that_begins_an_address_runs_nothing() {
        let of = |html: &str, value: &str| {
            let content = TemplateContent { content: html.into(), ..TemplateContent::default() };
            fill(&content, ChannelKind::Mail, &values(&[("v", value), ("w", "script:alert(1)")]))
                .expect("values")
                .content
        };
        for (value, is) in [
            ("https://a.cn/?a=1&b='", "https://a.cn/?a=1&amp;b=&#39;"),
            (" HTTP://a.cn", "HTTP://a.cn"),
            ("mailto:a@b.cn", "mailto:a@b.cn"),
            ("/a:b", "/a:b"),
            ("a/b:c", "a/b:c"),
            ("?a", "?a"),
            ("javascript:alert(1)", "#"),
            (" JavaScript:alert(1)", "#"),
            ("java\tscript:alert(1)", "#"),
            ("\u{1}javascript:alert(1)", "#"),
            ("javascript&colon;alert(1)", "#"),
            ("data:text/html,x", "#"),
            ("java", "#"),
            ("", "#"),
        ] {
            assert_eq!(of("<a href=\"${v}\">", value), format!("<a href=\"{is}\">"), "{value}");
            assert_eq!(of("<img src=' ${v}${w}'>", value), format!("<img src=' {is}script:alert(1)'>"), "{value}");
        }
    }

    #[test]
    fn a_value_is_no_template() {
        let content =
            TemplateContent { title: "${a}".into(), content: "${a}|${b}".into(), ..TemplateContent::default() };
        let values = values(&[("a", "${b}"), ("b", "$"), ("{b}", "x")]);
        let filled = fill(&content, ChannelKind::Mail, &values).expect("has its values");
        assert_eq!((filled.title.as_str(), filled.content.as_str()), ("${b}", "${b}|$"));
    }

    #[test]
    fn in_a_website_a_value_stays_where_it_stands() {
        for (website, value, expected) in [
            (
                "https://example.com/a/${v}?b=1",
                "x/../y?z#&=%+ é",
                "https://example.com/a/x%2F..%2Fy%3Fz%23%26%3D%25%2B%20%C3%A9?b=1",
            ),
            ("https://example.com/?q=${v}", "Az09-._~", "https://example.com/?q=Az09-._~"),
            ("https://${v}.example.com/", "evil.com/", "https://evil.com%2F.example.com/"),
            ("/orders/${v}", "患者", "/orders/%E6%82%A3%E8%80%85"),
            ("${v}", "https://example.com/a?b=c", "https://example.com/a?b=c"),
            ("${v}/x/${v}", "https://e.cn", "https://e.cn/x/https%3A%2F%2Fe.cn"),
        ] {
            let content = TemplateContent { website: website.into(), ..TemplateContent::default() };
            let filled = fill(&content, ChannelKind::Inbox, &values(&[("v", value)])).expect("has its value");
            assert_eq!(filled.website, expected, "{website}");
        }
    }

    #[test]
    fn what_is_missing_is_named_and_what_is_too_much_is_left_out() {
        let content = TemplateContent {
            title: "${a}".into(),
            content: "${b}${empty}".into(),
            website: "/${c}".into(),
            sms_template: "SMS_1".into(),
            sms_variables: vec!["d".into()],
            ..TemplateContent::default()
        };
        let mut given = values(&[("empty", ""), ("more", "x")]);
        for missing in ["a", "b", "c", "d"] {
            let refused = fill(&content, ChannelKind::Sms, &given).expect_err("a value is missing");
            assert_eq!(refused, MissingVariable(missing.into()));
            given.insert(missing.into(), "1".into());
        }
        assert_eq!(fill(&content, ChannelKind::Sms, &given).expect("has its values").content, "1");
        given.remove("d");
        assert!(fill(&content, ChannelKind::Mail, &given).is_ok(), "the SMS provider's variables are of SMS alone");
        assert_eq!(fill(&TemplateContent::default(), ChannelKind::Mail, &values(&[])), Ok(Filled::default()));
    }

    #[test]
    fn the_sms_providers_template_gets_its_variables_in_its_order() {
        let content = |order: &[&str]| TemplateContent {
            content: "${name}: ${code}, ${name}".into(),
            sign: "Hospital".into(),
            sms_template: "SMS_154950909".into(),
            sms_variables: order.iter().map(|name| (*name).to_owned()).collect(),
            ..TemplateContent::default()
        };
        let given = values(&[("name", "<a>"), ("code", "7"), ("time", "5")]);
        for (order, expected) in [(&[][..], &["name", "code"][..]), (&["time", "code"], &["time", "code"])] {
            let filled = fill(&content(order), ChannelKind::Sms, &given).expect("has its values");
            assert_eq!((filled.content.as_str(), filled.sign.as_deref()), ("<a>: 7, <a>", Some("Hospital")));
            let used = filled.template.expect("the provider's template");
            assert_eq!(
                (used.code.as_str(), used.foreign, used.order),
                ("SMS_154950909", true, expected.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>())
            );
            let own = given.iter().filter(|(name, _)| expected.contains(&name.as_str()));
            assert_eq!(used.values, own.map(|(name, value)| (name.clone(), value.clone())).collect());
        }
        let own = TemplateContent { sms_template: String::new(), sign: String::new(), ..content(&["absent"]) };
        let filled = fill(&own, ChannelKind::Sms, &given).expect("has its values");
        assert_eq!((filled.template, filled.sign), (None, None), "the text itself is sent");
        let voice = fill(&content(&[]), ChannelKind::Voice, &given).expect("has its values");
        assert_eq!((voice.template, voice.sign), (None, None));
    }
}
