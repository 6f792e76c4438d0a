//! Section 3, signed requests: `bk_signature` in the query stands for the app's secret. It is the base64 of an HMAC-SHA1 over
//! method, path, the other query parameters in order and, for POST, the body as sent. Decision 6: correct signatures are
//! accepted for POST too, and the checks are app code, nonce, time stamp, signature, in this order.

use std::{borrow::Cow, collections::BTreeMap};

use axum::http::Method;
use base64::{Engine, engine::general_purpose::STANDARD};
use hongyan_core::{setup::App, time::Timestamp};
use ring::hmac::{Context, HMAC_SHA1_FOR_LEGACY_USE_ONLY, Key};
use subtle::{Choice, ConstantTimeEq};

use crate::{call::Call, error::Problem};

/// How long ago a request may have been signed, in seconds.
const AGE_MAX_S: i64 = 300;

/// A signed request.
pub(crate) struct Signed<'a> {
    signature: Cow<'a, str>,
    /// The other parameters of the query, sorted.
    query: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
}

impl<'a> Signed<'a> {
    /// The signature of a request, if it has one that is not empty.
    pub(crate) fn of(call: &Call<'a>) -> Option<Self> {
        let text = call.parts.uri.query()?;
        if !text.contains("signature") {
            return None;
        }
        let mut query: BTreeMap<_, _> = form_urlencoded::parse(text.as_bytes()).collect();
        let mut take = |name: &str| query.remove(name).filter(|value| !value.is_empty());
        let signature = take("bk_signature").or_else(|| take("signature"))?;
        Some(Self { signature, query })
    }

    /// Checks nonce, time and signature against every secret of the app.
    pub(crate) fn verify(mut self, app: &App, call: &Call<'_>, now: Timestamp) -> Result<(), Problem> {
        check_nonce(self.query.get("bk_nonce").map_or("", AsRef::as_ref))?;
        check_time(self.query.get("bk_timestamp").map_or("", AsRef::as_ref), now)?;
        // The body takes its place among the parameters; what the query calls `data` is not signed then.
        let body = (call.parts.method == Method::POST).then_some(&call.body[..]);
        if body.is_some() {
            self.query.insert("data".into(), Cow::Borrowed(""));
        }
        let is_valid = app.secrets.iter().fold(Choice::from(0), |any, secret| {
            let key = Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.expose().as_bytes());
            let signed = STANDARD.encode(self.sign(&key, call, body));
            any | signed.as_bytes().ct_eq(self.signature.as_bytes())
        });
        if is_valid.into() { Ok(()) } else { Err(Problem::BadSignature) }
    }

    fn sign(&self, key: &Key, call: &Call<'_>, body: Option<&[u8]>) -> impl AsRef<[u8]> {
        let mut mac = Context::with_key(key);
        mac.update(call.parts.method.as_str().as_bytes());
        mac.update(path(call));
        let mut separator = "?";
        for (name, value) in &self.query {
            mac.update(separator.as_bytes());
            mac.update(name.as_bytes());
            mac.update(b"=");
            mac.update(match body {
                Some(body) if name == "data" => body,
                _ => value.as_bytes(),
            });
            separator = "&";
        }
        mac.sign()
    }
}

/// The path that was signed: a proxy that changes it tells the original in `X-Request-Uri`.
fn path<'a>(call: &Call<'a>) -> &'a [u8] {
    let original = call.parts.headers.get("x-request-uri").map_or(&b""[..], |value| value.as_bytes());
    match original.split(|byte| *byte == b'?').next() {
        Some(path) if !path.is_empty() => path,
        _ => call.parts.uri.path().as_bytes(),
    }
}

fn check_nonce(nonce: &str) -> Result<(), Problem> {
    let (is_negative, digits) =
        integer(nonce).map_err(|missing| if missing { Problem::NoNonce } else { Problem::BadNonce })?;
    if is_negative || digits.bytes().all(|digit| digit == b'0') { Err(Problem::NonceNotPositive) } else { Ok(()) }
}

fn check_time(time: &str, now: Timestamp) -> Result<(), Problem> {
    let (is_negative, digits) =
        integer(time).map_err(|missing| if missing { Problem::NoTimestamp } else { Problem::BadTimestamp })?;
    // More digits than a number of ours holds are a time far ahead, which the reference allows.
    let seconds: i64 = digits.parse().unwrap_or(i64::MAX);
    let is_expired = is_negative || seconds < now.ms().div_euclid(1_000) - AGE_MAX_S;
    if is_expired { Err(Problem::Expired) } else { Ok(()) }
}

/// What Python's `int` takes for a whole number: sign and digits; or whether there was nothing at all.
fn integer(text: &str) -> Result<(bool, &str), bool> {
    if text.is_empty() {
        return Err(true);
    }
    let text = crate::python::strip(text);
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { Ok((is_negative, digits)) } else { Err(false) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonces() {
        for (nonce, expected) in [
            ("1", Ok(())),
            (" +99999999999999999999 ", Ok(())),
            ("", Err(Problem::NoNonce)),
            ("x", Err(Problem::BadNonce)),
            ("1.5", Err(Problem::BadNonce)),
            ("0", Err(Problem::NonceNotPositive)),
            ("-1", Err(Problem::NonceNotPositive)),
        ] {
            assert_eq!(check_nonce(nonce), expected, "{nonce}");
        }
    }

    #[test]
    fn times() {
        let now = Timestamp::from_ms(1_795_335_811_999);
        for (time, expected) in [
            ("1795335811", Ok(())),
            ("1795335511", Ok(())),
            ("1795335510", Err(Problem::Expired)),
            ("9999999999999999999999", Ok(())),
            ("-1", Err(Problem::Expired)),
            ("", Err(Problem::NoTimestamp)),
            ("now", Err(Problem::BadTimestamp)),
        ] {
            assert_eq!(check_time(time, now), expected, "{time}");
        }
    }
}
