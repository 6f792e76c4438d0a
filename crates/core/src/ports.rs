//! The small ports between the parts of a node. The store is the only link between intake and delivery: it hands what was
//! born leased to a [`Desk`] after the commit, and tells a [`Progress`] what moved, also after the commit. A [`Sealer`] keeps
//! secrets unreadable in between.

use crate::{
    delivery::Track,
    id::Id,
    lease::Lease,
    setup::{ChannelNo, Secret},
};

/// The dispatcher as the store sees it.
pub trait Desk: Send + Sync {
    /// Takes a free slot for one parcel of `channel`, if the channel is open and has one.
    fn reserve(&self, channel: ChannelNo) -> bool;

    /// Gives back a slot whose parcel was not committed.
    fn release(&self, channel: ChannelNo);

    /// Takes over parcels that were committed as leased into reserved slots.
    fn hand_over(&self, leases: Vec<Lease>);

    /// Something of `channel` may have become ready. Carries no data; may be lost, repeated or late.
    fn wake(&self, channel: ChannelNo);
}

/// A delivery that moved, after the commit that moved it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Its message.
    pub message: Id,
    /// The delivery.
    pub delivery: Id,
    /// Where it stands now.
    pub track: Track,
}

/// Who waits for outcomes on this node.
pub trait Progress: Send + Sync {
    /// These deliveries moved.
    fn moved(&self, moved: &[Moved]);

    /// From now on nothing of `channel` will move soon (paused, breaker open), or it moves again.
    fn stalled(&self, channel: ChannelNo, stalled: bool);
}

/// Why a text could not be sealed or opened: in words, without the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SealError(pub String);

/// Seals what must not be readable in the store, with keys that are not in it.
pub trait Sealer: Send + Sync {
    /// Seals a secret for one place, such as a field of one record.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    fn seal(&self, place: &str, secret: &Secret) -> Result<String, SealError>;

    /// Opens what was sealed for the same place.
    ///
    /// # Errors
    /// When it was sealed for another place or with a key that is not there, or is damaged.
    fn open(&self, place: &str, sealed: &str) -> Result<Secret, SealError>;
}

/// A desk that takes nothing: what is submitted waits to be claimed.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoDesk;

impl Desk for NoDesk {
    fn reserve(&self, _: ChannelNo) -> bool {
        false
    }

    fn release(&self, _: ChannelNo) {}

    fn hand_over(&self, _: Vec<Lease>) {}

    fn wake(&self, _: ChannelNo) {}
}

/// Nobody waits.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn moved(&self, _: &[Moved]) {}

    fn stalled(&self, _: ChannelNo, _: bool) {}
}
