//! Expiring what waits although its time is over.

use hongyan_core::{store::StoreResult, time::Timestamp};

use crate::engine::Engine;

/// Expires deliveries in these buckets.
pub(crate) async fn expire(_engine: &Engine, _buckets: Vec<u8>, _limit: usize, _now: Timestamp) -> StoreResult<usize> {
    Err(crate::pool::closed().told())
}
