//! Where a tap leads (row 21): an `http` or `https` address, or a path of the site that shows it. Nothing else: what runs a
//! script or opens a file is no website.

use hongyan_core::limits;

use crate::{place::Place, problem::Problem};

/// A website; empty for none.
pub(crate) fn checked(given: &str, place: &Place<'_>) -> Result<String, Problem> {
    let website = given.trim();
    if website.is_empty() {
        return Ok(String::new());
    }
    let is_odd = |c: char| c.is_control() || c.is_whitespace() || matches!(c, '\\' | '"' | '<' | '>');
    if website.chars().any(is_odd) || !(is_web(website) || is_path(website)) {
        return Err(Problem::must(place, "http(s)地址或相对路径"));
    }
    crate::fields::sized(website.len(), limits::URL_BYTES_MAX, place)?;
    Ok(website.to_owned())
}

fn is_web(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let host = lower.strip_prefix("https://").or_else(|| lower.strip_prefix("http://"));
    host.is_some_and(|host| !host.starts_with(['/', '?', '#']) && !host.is_empty())
}

/// A path without a scheme and without a host (RFC 3986 section 4.2: no colon in its first segment).
fn is_path(text: &str) -> bool {
    let first = text.split(['/', '?', '#']).next().unwrap_or_default();
    !text.starts_with("//") && !first.contains(':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn websites() {
        let place = Place::top("website");
        for good in [
            "http://xxxx",
            "HTTPS://a.cn/b?c#d",
            " https://a.cn ",
            "/a/b",
            "a/b?c=d:e",
            "?id=1",
            "#top",
            "/a:b",
            "患者/1",
        ] {
            assert_eq!(checked(good, &place), Ok(good.trim().to_owned()), "{good}");
        }
        assert_eq!(checked(" ", &place), Ok(String::new()));
        for bad in [
            "javascript:alert(1)",
            "JavaScript:alert(1)",
            "data:text/html,x",
            "ftp://a.cn",
            "//evil.cn",
            "http:///a",
            "http://",
            "\\\\evil.cn",
            "/\\evil.cn",
            "java\nscript:alert(1)",
            "/a b",
            "mailto:a@b.cn",
            ":",
        ] {
            assert!(checked(bad, &place).is_err(), "{bad}");
        }
        assert!(checked(&format!("/{}", "x".repeat(limits::URL_BYTES_MAX)), &place).is_err());
    }
}
