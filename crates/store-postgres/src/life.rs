//! The life of a node in the background: heartbeats, preferred buckets, looking for what others left there.

use crate::engine::Engine;

/// A node's life.
pub(crate) struct Life {}

impl Life {
    /// The buckets that this node prefers.
    pub(crate) fn buckets(&self) -> Vec<u8> {
        (0..64).collect()
    }

    /// Whether the others have heard of this node lately enough that none can have declared it dead.
    pub(crate) fn is_heard(&self) -> bool {
        true
    }

    /// Leaves: the node is dead from now on, and holds nothing.
    pub(crate) async fn leave(&self, _engine: &Engine) {}
}
