//! Who may ask: the administrator by a token, `Authorization: Bearer …`, compared as a hash and in constant time; for messages of
//! their own, apps too.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::HeaderMap,
    middleware::Next,
    response::{IntoResponse, Response},
};
use hongyan_core::setup::{App, CurrentSetup};
use ring::digest::{SHA256, digest};
use subtle::ConstantTimeEq;

use crate::{app_auth, problem::Problem};

const NEITHER: &str =
    "send the administrator's token as Authorization: Bearer …, or an app's code and secret as Authorization: Basic …";

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

/// Who asks about messages.
#[derive(Clone)]
pub(crate) enum Caller {
    /// The administrator, about any.
    Admin,
    /// An app, about its own.
    App(Arc<App>),
}

/// What [`require_admin_or_app`] knows callers by.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) admin: AdminToken,
    pub(crate) setup: Arc<CurrentSetup>,
}

fn is_admin(admin: &AdminToken, headers: &HeaderMap) -> bool {
    app_auth::credentials(headers).is_some_and(|(scheme, token)| scheme == "bearer" && admin.is(token))
}

pub(crate) async fn require_admin(State(admin): State<AdminToken>, request: Request, next: Next) -> Response {
    if is_admin(&admin, request.headers()) { next.run(request).await } else { Problem::unauthorized().into_response() }
}

/// Lets the administrator and apps pass; the [`Caller`] goes on with the request.
pub(crate) async fn require_admin_or_app(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    let caller = match app_auth::credentials(request.headers()) {
        Some((scheme, given)) if scheme == "basic" => {
            app_auth::app(&gate.setup.get(), given, request.extensions()).map(Caller::App)
        }
        _ if is_admin(&gate.admin, request.headers()) => Ok(Caller::Admin),
        _ => Err(Problem::unknown_caller(NEITHER)),
    };
    match caller {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
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
