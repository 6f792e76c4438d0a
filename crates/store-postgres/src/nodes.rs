//! Registrations of nodes.

use hongyan_core::{store::NodeRecord, time::Timestamp};

use crate::{engine::Engine, trouble::Outcome};

/// The nodes of the store, the dead of the last day among them.
pub(crate) async fn list(_engine: &Engine) -> Outcome<Vec<NodeRecord>> {
    Err(crate::pool::closed())
}

/// Finds out whether the database can be written, by writing.
pub(crate) async fn ping(_engine: &Engine, _now: Timestamp) -> Outcome<()> {
    Err(crate::pool::closed())
}
