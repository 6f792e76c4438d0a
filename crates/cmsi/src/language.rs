//! Which language Django's texts are in: the caller's `Accept-Language`, of which the reference knows English and simplified
//! Chinese (section 2). `Blueking-Language` is for labels alone and is read in [`crate::msg_type`].

use axum::http::{HeaderMap, header::ACCEPT_LANGUAGE};

/// A language that the reference speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    English,
    Chinese,
}

/// The first of the two that the caller prefers; English when it names neither.
pub(crate) fn of(headers: &HeaderMap) -> Language {
    let accepted = headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let mut best = (0.0, Language::English);
    for item in accepted.split(',') {
        let (tag, parameters) = item.split_once(';').unwrap_or((item, ""));
        let weight = match parameters.trim().strip_prefix("q=") {
            None => 1.0,
            Some(weight) => weight.trim().parse().unwrap_or(0.0),
        };
        let primary = tag.trim().split(['-', '_']).next().unwrap_or("");
        let language = match primary {
            p if p.eq_ignore_ascii_case("zh") => Language::Chinese,
            p if p.eq_ignore_ascii_case("en") => Language::English,
            _ => continue,
        };
        if weight > best.0 {
            best = (weight, language);
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_the_two_that_is_preferred() {
        for (accepted, language) in [
            ("", Language::English),
            ("zh-CN,zh;q=0.9", Language::Chinese),
            ("zh-hans", Language::Chinese),
            ("ZH", Language::Chinese),
            ("en-US,en;q=0.9,zh-CN;q=0.8", Language::English),
            ("fr,zh;q=0.5,en;q=0.2", Language::Chinese),
            ("fr", Language::English),
            ("zh;q=0", Language::English),
            ("zh;q=x", Language::English),
            (",;,;q=,zhx", Language::English),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_LANGUAGE, accepted.parse().expect("a header"));
            assert_eq!(of(&headers), language, "{accepted}");
        }
    }
}
