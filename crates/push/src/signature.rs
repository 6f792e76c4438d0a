//! Decision 6: the signature of a request. `X-Signature` is the hexadecimal HMAC-SHA256, by the app's secret, of
//!
//! ```text
//! "POST\n" path "\n" X-Timestamp "\n" X-Nonce "\n" hex(SHA-256(body))
//! ```

use std::ops::RangeInclusive;

use axum::http::HeaderMap;
use hongyan_core::{setup::App, time::Timestamp};
use ring::{
    digest::{SHA256, digest},
    hmac::{self, HMAC_SHA256, Key},
};

use crate::{call::Call, problem::Stranger};

const SIGNATURE: &str = "x-signature";
/// How far the caller's clock may be from ours, in seconds, on either side.
const SKEW_MAX_S: u64 = 300;
/// Characters of a nonce.
const NONCE: RangeInclusive<usize> = 8..=64;

/// What a signed request says of itself; each part empty where it is missing or there twice.
pub(crate) struct Signed<'a> {
    timestamp: &'a str,
    nonce: &'a str,
    signature: &'a str,
}

impl<'a> Signed<'a> {
    /// The signature of a request, if it has one.
    pub(crate) fn of(headers: &'a HeaderMap) -> Option<Self> {
        headers.contains_key(SIGNATURE).then(|| Self {
            timestamp: value(headers, "x-timestamp"),
            nonce: value(headers, "x-nonce"),
            signature: value(headers, SIGNATURE),
        })
    }

    /// Checks time, nonce and signature against every secret of the app, and answers the nonce, which may count once.
    pub(crate) fn verify(&self, app: &App, call: &Call<'_>, now: Timestamp) -> Result<&'a str, Stranger> {
        let is_digits = self.timestamp.bytes().all(|byte| byte.is_ascii_digit());
        let seconds: i64 = self.timestamp.parse().ok().filter(|_| is_digits).ok_or(Stranger::Time)?;
        if now.ms().div_euclid(1_000).abs_diff(seconds) > SKEW_MAX_S {
            return Err(Stranger::Time);
        }
        if !NONCE.contains(&self.nonce.len()) || !self.nonce.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Stranger::Nonce);
        }
        let signature = unhex(self.signature).ok_or(Stranger::Signature)?;
        let text = self.text(call.parts.uri.path(), call.bytes);
        // Every secret is tried, so that the time does not tell which one it was.
        let is_valid = app.secrets.iter().fold(false, |any, secret| {
            let key = Key::new(HMAC_SHA256, secret.expose().as_bytes());
            any | hmac::verify(&key, text.as_bytes(), &signature).is_ok()
        });
        if is_valid { Ok(self.nonce) } else { Err(Stranger::Signature) }
    }

    /// What is signed.
    fn text(&self, path: &str, body: &[u8]) -> String {
        let body = hex(digest(&SHA256, body).as_ref());
        format!("POST\n{path}\n{}\n{}\n{body}", self.timestamp, self.nonce)
    }
}

/// The one value of a header.
fn value<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().unwrap_or_default(),
        _ => "",
    }
}

/// Bytes in hexadecimal, lower case.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

/// The bytes of a text in hexadecimal of either case.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let (pairs, []) = digits.as_deref()?.as_chunks::<2>() else { return None };
    Some(pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contracts_vector() {
        let signed = Signed { timestamp: "1700000000", nonce: "nonce-123", signature: "" };
        let text = signed.text("/api/openApi/message/push/channel", b"{}");
        let key = Key::new(HMAC_SHA256, b"topsecret");
        let signature = "5d2cc7753d80d193c2defd589f5482672f076fa2f093ddc751c1792351a79bfe";
        assert_eq!(hex(hmac::sign(&key, text.as_bytes()).as_ref()), signature);
        assert!(hmac::verify(&key, text.as_bytes(), &unhex(signature).expect("hexadecimal")).is_ok());
    }

    #[test]
    fn hexadecimal() {
        assert_eq!(unhex("00fF7a"), Some(vec![0, 255, 122]));
        assert_eq!(hex(&[0, 255, 122]), "00ff7a");
        for wrong in ["0", "0g", "００", "0x00", "-1"] {
            assert_eq!(unhex(wrong), None, "{wrong}");
        }
    }
}
