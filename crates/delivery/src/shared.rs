//! What every station and every call of a node works with.

use std::sync::Arc;

use hongyan_core::{ports::Progress, store::Store, time::Clock};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::settler::Settler;

/// What every station of a node works with.
pub(crate) struct Shared {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) progress: Arc<dyn Progress>,
    pub(crate) settler: Settler,
    /// Calls in flight.
    pub(crate) calls: TaskTracker,
    /// The node may claim: what it held before has been recovered.
    pub(crate) started: CancellationToken,
    /// The node stops: nothing new is begun, what is untried is given back.
    pub(crate) stopping: CancellationToken,
    /// The node has waited long enough: calls in flight end as unknown.
    pub(crate) cut_off: CancellationToken,
}
