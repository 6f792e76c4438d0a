//! Design 7: the header `Idempotency-Key` and what it is bound to.

use hongyan_core::{limits, message::Idempotency};
use ring::digest::{Context, SHA256};

use crate::{call::Call, error::Problem};

const HEADER: &str = "idempotency-key";

/// The caller's key, if it sent one, with the fingerprint of the request: method, component, query and body as they came.
pub(crate) fn key(call: &Call<'_>) -> Result<Option<Idempotency>, Problem> {
    let mut values = call.parts.headers.get_all(HEADER).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let key = value.to_str().map_err(|_| Problem::BadKey)?;
    let is_key =
        (1..=limits::IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic());
    if !is_key || values.next().is_some() {
        return Err(Problem::BadKey);
    }
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
