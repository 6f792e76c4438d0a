//! Storing requests.

use std::sync::Arc;

use hongyan_core::{
    store::{Batch, StoreResult, Submitted},
    time::Timestamp,
};

use crate::engine::Engine;

/// Stores requests; concurrent ones share commits.
pub(crate) struct Submitter {}

impl Submitter {
    /// Starts its workers.
    pub(crate) fn start(_engine: Arc<Engine>) -> Self {
        Self {}
    }
    /// Stores a request.
    pub(crate) async fn submit(&self, _batch: Batch, _now: Timestamp) -> StoreResult<Submitted> {
        Err(crate::pool::closed().told())
    }
    /// Refuses everything new and finishes what waits.
    pub(crate) async fn close(&self) {}
}
