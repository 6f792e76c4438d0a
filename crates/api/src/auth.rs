//! The administrator's token: `Authorization: Bearer …`, compared as a hash and in constant time.

use axum::{
    extract::{Request, State},
    http::header::AUTHORIZATION,
    middleware::Next,
    response::{IntoResponse, Response},
};
use ring::digest::{SHA256, digest};
use subtle::ConstantTimeEq;

use crate::problem::Problem;

/// The SHA-256 of the administrator's token; the token itself is not kept.
#[derive(Clone)]
pub struct AdminToken([u8; 32]);

impl AdminToken {
    /// From the token.
    pub fn new(token: &str) -> Self {
        Self(sha256(token))
    }

    /// From the hash in hex, as [`AdminToken::to_hex`] gives it.
    pub fn from_hex(hex: &str) -> Option<Self> {
        let mut hash = [0; 32];
        if hex.len() != 2 * hash.len() || !hex.is_ascii() {
            return None;
        }
        for (n, byte) in hash.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&hex[2 * n..2 * n + 2], 16).ok()?;
        }
        Some(Self(hash))
    }

    /// The hash in hex.
    pub fn to_hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn is(&self, token: &str) -> bool {
        self.0.ct_eq(&sha256(token)).into()
    }
}

fn sha256(token: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    hash
}

pub(crate) async fn require_admin(State(admin): State<AdminToken>, request: Request, next: Next) -> Response {
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token =
        header.and_then(|value| value.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    if token.is_some_and(|(_, token)| admin.is(token.trim())) {
        next.run(request).await
    } else {
        Problem::unauthorized().into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_itself() {
        let admin = AdminToken::from_hex(&AdminToken::new("t").to_hex()).expect("its own form");
        assert!(admin.is("t"));
        assert!(!admin.is("T") && !admin.is("") && !admin.is("tt"));
        assert!(AdminToken::from_hex("zz").is_none());
    }
}
