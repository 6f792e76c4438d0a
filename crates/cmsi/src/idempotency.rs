//! Design 7: what an `Idempotency-Key` is bound to.

use hongyan_core::message::Idempotency;
use hongyan_intake::wire::idempotency_key;
use ring::digest::{Context, SHA256};

use crate::{call::Call, error::Problem};

/// The caller's key, if it sent one, with the fingerprint of the request: method, component, query and body as they came.
pub(crate) fn key(call: &Call<'_>) -> Result<Option<Idempotency>, Problem> {
    let Some(key) = idempotency_key(&call.parts.headers).map_err(|_| Problem::BadKey)? else { return Ok(None) };
    let mut hash = Context::new(&SHA256);
    let query = call.parts.uri.query().unwrap_or("");
    for part in [call.parts.method.as_str(), call.component.name(), query] {
        // None of the three can hold a NUL, so that the parts cannot run into each other.
        hash.update(part.as_bytes());
        hash.update(&[0]);
    }
    hash.update(call.body);
    let mut fingerprint = [0; 32];
    fingerprint.copy_from_slice(hash.finish().as_ref());
    Ok(Some(Idempotency { key: key.to_owned(), fingerprint }))
}
