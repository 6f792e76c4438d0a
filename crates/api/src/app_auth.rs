//! The apps that call `/v1` themselves: HTTP Basic (RFC 7617) with the app's code and secret. Whoever guesses is not told what was
//! wrong, nor by how long the answer took.

use std::sync::Arc;

use axum::http::{Extensions, HeaderMap, header::AUTHORIZATION};
use base64::{Engine, engine::general_purpose::STANDARD};
use hongyan_core::setup::{App, Setup};
use hongyan_intake::wire::{ClientAddress, is_one_of};

use crate::problem::Problem;

const WRONG: &str = "no app has this code and secret, or it may not call from this address";

/// The credentials of a request: its scheme in lower case, and what follows.
pub(crate) fn credentials(headers: &HeaderMap) -> Option<(String, &str)> {
    let (scheme, rest) = headers.get(AUTHORIZATION)?.to_str().ok()?.trim().split_once(' ')?;
    Some((scheme.to_ascii_lowercase(), rest.trim()))
}

/// The app whose `code:secret` these Basic credentials are.
///
/// # Errors
/// 401 where there is none, or where it may not call from there.
pub(crate) fn app(setup: &Setup, given: &str, extensions: &Extensions) -> Result<Arc<App>, Problem> {
    let decoded = STANDARD.decode(given).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let (code, secret) = decoded.as_deref().and_then(|text| text.split_once(':')).unwrap_or_default();
    let app = setup.app(code);
    let is_valid = is_one_of(app.map_or(&[], |app| &app.secrets), secret);
    match app {
        Some(app) if is_valid && app.may_call_from(extensions.get().map(|ClientAddress(address)| *address)) => {
            Ok(Arc::clone(app))
        }
        _ => Err(Problem::unknown_caller(WRONG)),
    }
}

#[cfg(test)]
mod tests {
    use hongyan_core::setup::{AppNo, Secret, Settings};

    use super::*;

    fn setup(secrets: &[&str], ips: &[&str]) -> Setup {
        let app = App {
            no: AppNo(1),
            code: "esb".into(),
            name: String::new(),
            enabled: true,
            secrets: secrets.iter().map(|secret| Secret::new(*secret)).collect(),
            trusted: false,
            channels: vec![],
            senders: vec![],
            components: vec![],
            ips: ips.iter().map(|net| net.parse().expect("a net")).collect(),
            rate: None,
            broadcast: false,
            require_signature: true,
            receivers_max: None,
            hook: None,
        };
        Setup::new(1, Settings::default(), vec![app], vec![], vec![])
    }

    fn is_known(setup: &Setup, given: &str, from: Option<&str>) -> bool {
        let mut extensions = Extensions::new();
        from.map(|from| extensions.insert(ClientAddress(from.parse().expect("an address"))));
        app(setup, &STANDARD.encode(given), &extensions).is_ok()
    }

    #[test]
    fn an_app_is_known_by_each_of_its_secrets_and_nothing_else() {
        let both = setup(&["new:with colon", "old"], &[]);
        for (given, known) in [
            ("esb:new:with colon", true),
            ("esb:old", true),
            ("esb:new", false),
            ("esb:", false),
            ("esb", false),
            ("ESB:old", false),
            ("other:old", false),
            (":", false),
            ("", false),
        ] {
            assert_eq!(is_known(&both, given, None), known, "{given}");
        }
        assert!(!is_known(&setup(&[], &[]), "esb:", None), "an app without secrets speaks to nobody");
        assert!(app(&both, "not base64!", &Extensions::new()).is_err());
    }

    #[test]
    fn an_app_calls_from_where_it_may() {
        let near = setup(&["s"], &["10.0.0.0/8"]);
        for (from, known) in
            [(Some("10.1.2.3"), true), (Some("::ffff:10.1.2.3"), true), (Some("192.0.2.1"), false), (None, false)]
        {
            assert_eq!(is_known(&near, "esb:s", from), known, "{from:?}");
        }
    }

    #[test]
    fn credentials_have_a_scheme() {
        let mut headers = HeaderMap::new();
        assert_eq!(credentials(&headers), None);
        for (value, found) in [
            ("Basic eDp5", Some(("basic", "eDp5"))),
            (" bearer  token ", Some(("bearer", "token"))),
            ("Bearer", None),
            ("", None),
        ] {
            headers.insert(AUTHORIZATION, value.parse().expect("a header"));
            let found = found.map(|(scheme, rest)| (scheme.to_owned(), rest));
            assert_eq!(credentials(&headers), found, "{value}");
        }
    }
}
