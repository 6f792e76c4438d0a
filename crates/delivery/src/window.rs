//! A station's window: how many leases it holds, and how many it may. A [`Slot`] is held from the claim (or the store's
//! reservation) until the outcome is recorded, and is given back by being dropped.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;

/// How long a claim waits for more slots to come free beside those that are.
const GATHER: Duration = Duration::from_millis(5);

/// The slots of one station.
pub(crate) struct Window {
    used: AtomicUsize,
    size: AtomicUsize,
    most: usize,
    /// A slot came free.
    freed: Notify,
}

/// A taken slot. It comes free when the last share of it is dropped.
pub(crate) struct Slot(Arc<Taken>);

struct Taken(Arc<Window>);

impl Slot {
    /// The guard of a slot that was taken before.
    pub(crate) fn taken(window: &Arc<Window>) -> Self {
        Self(Arc::new(Taken(Arc::clone(window))))
    }

    /// Another share of the same slot.
    pub(crate) fn share(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.free();
    }
}

impl Window {
    /// A window without slots, that will never have more than `most`.
    pub(crate) fn new(most: usize) -> Self {
        Self { used: AtomicUsize::new(0), size: AtomicUsize::new(0), most, freed: Notify::new() }
    }

    /// Says how many slots there are from now on.
    pub(crate) fn resize(&self, size: usize) {
        self.size.store(size.min(self.most), Ordering::Release);
    }

    /// How many slots are taken.
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Acquire)
    }

    /// Takes up to `n` slots that are free; answers how many.
    pub(crate) fn take(&self, n: usize) -> usize {
        let size = self.size.load(Ordering::Acquire);
        let take = |used: usize| Some(used + n.min(size.saturating_sub(used)));
        let before = self.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, take).unwrap_or(0);
        n.min(size.saturating_sub(before))
    }

    /// Takes a slot whatever the size: for a probe.
    pub(crate) fn take_beyond(&self) -> usize {
        self.used.fetch_add(1, Ordering::AcqRel);
        1
    }

    /// Waits until slots are free and takes up to `wanted` of them. It waits a moment for a good part of the window, because
    /// claims in batches are cheap and single ones are not, but no longer: the rest may be held by calls that hang.
    pub(crate) async fn take_when_free(&self, wanted: usize) -> usize {
        loop {
            while self.free_slots() == 0 {
                self.freed.notified().await;
            }
            let part = async {
                while self.free_slots() < self.size.load(Ordering::Acquire) / 4 {
                    self.freed.notified().await;
                }
            };
            // Either way there is something to take.
            drop(tokio::time::timeout(GATHER, part).await);
            let taken = self.take(wanted);
            if taken > 0 {
                return taken;
            }
        }
    }

    fn free_slots(&self) -> usize {
        self.size.load(Ordering::Acquire).saturating_sub(self.used())
    }

    /// Gives one slot back.
    pub(crate) fn free(&self) {
        self.used.fetch_sub(1, Ordering::AcqRel);
        self.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn slots_are_counted_and_come_back_with_their_last_share() {
        let window = Arc::new(Window::new(10));
        assert_eq!(window.take(3), 0);
        window.resize(99);
        assert_eq!((window.take(4), window.take(99), window.take(1)), (4, 6, 0));
        let slot = Slot::taken(&window);
        let share = slot.share();
        drop(slot);
        assert_eq!(window.used(), 10);
        drop(share);
        assert_eq!(window.used(), 9);
        window.free();
        window.free();
        assert_eq!(window.take_when_free(99).await, 3);
        assert_eq!(window.take_beyond(), 1);
        assert_eq!(window.used(), 11);
        window.free();
        window.free();
        assert_eq!(window.take_when_free(99).await, 1, "one slot is taken too, if the others stay away");
    }
}
