//! Taking back what dead nodes held, and what this node is on record for holding although it does not know of it.

use hongyan_core::{
    store::{Policies, Recovered, StoreResult},
    time::Timestamp,
};

use crate::{engine::Engine, life::Life};

/// Takes back.
pub(crate) async fn recover(
    _engine: &Engine,
    _life: &Life,
    _policies: Policies,
    _now: Timestamp,
) -> StoreResult<Recovered> {
    Err(crate::pool::closed().told())
}
