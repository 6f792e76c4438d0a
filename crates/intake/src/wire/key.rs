//! Design 7: the header `Idempotency-Key`.

use axum::http::HeaderMap;
use hongyan_core::limits;

const HEADER: &str = "idempotency-key";

/// The header is there twice, too long, or no visible ASCII.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an idempotency key is up to {} visible ASCII characters", limits::IDEMPOTENCY_KEY_BYTES_MAX)]
pub struct BadKey;

/// The caller's key, if it sent one.
///
/// # Errors
/// Where it can be none.
pub fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, BadKey> {
    let mut values = headers.get_all(HEADER).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let key = value.to_str().map_err(|_| BadKey)?;
    let is_key =
        (1..=limits::IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic());
    if is_key && values.next().is_none() { Ok(Some(key)) } else { Err(BadKey) }
}
