//! Leasing parcels to this node.

use hongyan_core::{
    setup::ChannelNo,
    store::{Lease, StoreResult},
    time::Timestamp,
};

use crate::{engine::Engine, settle::Settler, trouble::Outcome};

/// Leases.
pub(crate) async fn claim(
    _engine: &Engine,
    _settler: &Settler,
    _channel: ChannelNo,
    _limit: usize,
    _now: Timestamp,
) -> StoreResult<Vec<Lease>> {
    Err(crate::pool::closed().told())
}
/// When the next delivery becomes due.
pub(crate) async fn next_due(_engine: &Engine, _channel: ChannelNo, _now: Timestamp) -> Outcome<Option<Timestamp>> {
    Err(crate::pool::closed())
}
