//! A station's window: how many leases it holds, and how many it may. A [`Slot`] is held from the claim (or the store's
//! reservation) until the outcome is recorded, and is given back by being dropped.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::Notify;

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

    /// Waits until a good part of the window is free (claims in batches are cheap, single ones are not) and takes up to
    /// `wanted` slots of it.
    pub(crate) async fn take_when_free(&self, wanted: usize) -> usize {
        loop {
            let size = self.size.load(Ordering::Acquire);
            let free = size.saturating_sub(self.used());
            if free > 0 && free >= size / 4 {
                let taken = self.take(wanted);
                if taken > 0 {
                    return taken;
                }
            }
            self.freed.notified().await;
        }
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
    }
}
