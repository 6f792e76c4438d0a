//! Keeping what a capture provider would have sent, and only the newest of it, bounded in number and in bytes. Captures of
//! concurrent calls share commits.

use std::sync::Arc;

use hongyan_core::store::{Capture, StoreResult};

use crate::engine::Engine;

/// Keeps captures.
pub(crate) struct Capturer {
    _engine: Arc<Engine>,
}

impl Capturer {
    /// Starts its worker.
    pub(crate) fn start(engine: Arc<Engine>) -> Self {
        Self { _engine: engine }
    }

    /// Keeps a capture.
    pub(crate) async fn add(&self, _capture: Capture) -> StoreResult<()> {
        Err(crate::pool::closed().told())
    }

    /// Refuses everything new and finishes what waits.
    pub(crate) async fn close(&self) {}
}
