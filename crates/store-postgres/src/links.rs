//! How the store speaks to the rest of the node: what panics there ends nothing here.

use std::panic::{AssertUnwindSafe, catch_unwind};

use hongyan_core::setup::ChannelNo;

use crate::stage::Links;

impl Links {
    /// Tells the rest of the node something. When it panics at that, the store goes on: what was committed stands.
    pub(crate) fn tell(&self, tell: impl FnOnce(&Self)) {
        if catch_unwind(AssertUnwindSafe(|| tell(self))).is_err() {
            tracing::error!("the rest of the node panicked at what the store told it");
        }
    }

    /// Whether the desk has a slot for a parcel; one that panics has none.
    pub(crate) fn reserve(&self, channel: ChannelNo) -> bool {
        let mut granted = false;
        self.tell(|links| granted = links.desk.reserve(channel));
        granted
    }
}
