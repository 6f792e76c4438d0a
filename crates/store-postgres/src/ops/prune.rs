//! Forgetting history: whole days of it, and idempotency keys whose time is over.

use hongyan_core::{store::StoreResult, time::Timestamp};

use crate::engine::Engine;

/// Forgets what was accepted before `before`.
pub(crate) async fn prune(_engine: &Engine, _before: Timestamp, _limit: usize, _now: Timestamp) -> StoreResult<bool> {
    Err(crate::pool::closed().told())
}
