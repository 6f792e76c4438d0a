//! Templates filled in: what one of them says on one channel, with the caller's values in the place of its variables
//! (`contracts/push.md` section 3, 36 to 39). A value is text, whatever is in it: it becomes no markup where the text is HTML, no
//! other part of an address, and no variable.

use std::collections::BTreeMap;

use hongyan_core::{
    content::TemplateUse,
    setup::{ChannelKind, Piece, TemplateContent, pieces, variables},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

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

/// Fills a template in for a channel of this kind. In the text of a mail and of an item of the inbox values are escaped for
/// HTML, in a website percent-encoded, unless the website begins with the variable: then the value is the address itself, or its
/// beginning. Everywhere else they stand as they are. Values of no variable are left out.
///
/// # Errors
/// The first variable that has no value.
pub fn fill(
    content: &TemplateContent,
    kind: ChannelKind,
    values: &BTreeMap<String, String>,
) -> Result<Filled, MissingVariable> {
    let is_html = matches!(kind, ChannelKind::Mail | ChannelKind::Inbox);
    let is_sms = kind == ChannelKind::Sms;
    Ok(Filled {
        title: filled(&content.title, values, |_, value, text| text.push_str(value))?,
        content: filled(
            &content.content,
            values,
            |_, value, text| {
                if is_html { escape(value, text) } else { text.push_str(value) }
            },
        )?,
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
            let shown = if matches!(kind, ChannelKind::Mail | ChannelKind::Inbox) { escaped } else { name };
            assert_eq!(filled.content, format!("<p title=\"{shown}\">{shown}</p>"), "{kind:?}");
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
