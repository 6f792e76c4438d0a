//! `POST /v1/inbox/tokens`: an app makes a token by which one of its people reads their inbox, in a browser or an app of theirs.
//! A token is 256 random bits; only its SHA-256 is kept.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::State,
    http::{Extensions, HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hongyan_core::{
    inbox::InboxToken,
    limits::{INBOX_TOKEN_TTL, INBOX_TOKEN_TTL_MAX},
    time::Timestamp,
};
use ring::{
    digest::{SHA256, digest},
    rand::{SecureRandom, SystemRandom},
};
use serde::{Deserialize, Serialize};

use super::Inbox;
use crate::{
    body::{Body, parsed},
    problem::Problem,
    wire,
};

const BYTES: usize = 32;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// The person's code.
    user: String,
    /// For how many seconds.
    ttl: Option<u64>,
}

#[derive(Serialize)]
struct TokenView {
    token: String,
    user: String,
    #[serde(serialize_with = "wire::moment")]
    expires: Timestamp,
}

pub(super) async fn create(
    State(inbox): State<Arc<Inbox>>,
    headers: HeaderMap,
    extensions: Extensions,
    body: Body,
) -> Result<Response, Problem> {
    let app = inbox.app(&headers, &extensions)?;
    let Asked { user, ttl } = parsed(body)?;
    let ttl = ttl.map_or(INBOX_TOKEN_TTL, Duration::from_secs);
    if ttl.is_zero() || ttl > INBOX_TOKEN_TTL_MAX {
        return Err(Problem::bad_request(format!("ttl is 1 to {} seconds", INBOX_TOKEN_TTL_MAX.as_secs())));
    }
    if !inbox.known(&user).await? {
        return Err(Problem::not_found("user: this person is disabled"));
    }
    let token = fresh().ok_or_else(|| Problem::unavailable("the system gives no random numbers"))?;
    let expires = inbox.now() + ttl;
    let kept = InboxToken { user: user.clone(), app: app.no };
    inbox.store.inbox_token_add(kept, hash(&token), expires).await?;
    let no_store = [(header::CACHE_CONTROL, "no-store")];
    Ok((StatusCode::CREATED, no_store, Json(TokenView { token, user, expires })).into_response())
}

/// A new token; `None` where the system gives no random numbers.
fn fresh() -> Option<String> {
    let mut bytes = [0; BYTES];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(URL_SAFE_NO_PAD.encode(bytes))
}

/// What is kept of a token.
pub(super) fn hash(token: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_one_word_and_differ() {
        let token = fresh().expect("random");
        assert_eq!(token.len(), 43);
        assert!(token.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')), "{token}");
        assert_ne!(fresh().expect("random"), token);
        assert_ne!(hash(&token), hash(&token[1..]));
    }
}
