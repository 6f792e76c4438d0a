//! Large audiences: the later pages of a message, each with its cursor in one commit.

use hongyan_core::{
    store::{Page, StoreResult},
    time::Timestamp,
};

use crate::engine::Engine;

/// Adds a page.
pub(crate) async fn add(_engine: &Engine, _page: Page, _now: Timestamp) -> StoreResult<bool> {
    Err(crate::pool::closed().told())
}
