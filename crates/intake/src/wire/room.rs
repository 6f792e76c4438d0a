//! The memory that large bodies may hold together. Room is taken as bytes arrive, so that nobody holds any for bytes that were
//! only announced, and one body at a time may always grow to its full size, so that bodies that each hold a part of the room
//! cannot wait for each other for ever.

use std::{sync::Arc, time::Duration};

use hongyan_core::limits;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

use super::BodyError;

/// What room is counted in.
const STEP_BYTES: usize = 64 * 1024;
/// How long a body waits for more room before it is refused.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// What everybody shares: all but what is kept for the one body that may grow when nothing else is left.
const SHARED_STEPS: usize = (limits::BODIES_IN_MEMORY_BYTES_MAX - limits::BODY_BYTES_MAX) / STEP_BYTES;

const _: () = assert!(SHARED_STEPS * STEP_BYTES >= limits::BODY_BYTES_MAX);

/// Room for `limits::BODIES_IN_MEMORY_BYTES_MAX`.
pub struct Room {
    /// One permit per step.
    shared: Arc<Semaphore>,
    /// The one permit to grow to the full size.
    last: Arc<Semaphore>,
}

/// The room that one body holds until this is dropped.
#[derive(Default)]
pub struct Held {
    shared: Option<OwnedSemaphorePermit>,
    last: Option<OwnedSemaphorePermit>,
}

impl Held {
    /// How large the body may be.
    fn bytes(&self) -> usize {
        match (&self.last, &self.shared) {
            (Some(_), _) => limits::BODY_BYTES_MAX,
            (None, shared) => shared.as_ref().map_or(0, |permit| permit.num_permits() * STEP_BYTES),
        }
    }

    fn add(&mut self, more: OwnedSemaphorePermit) {
        match &mut self.shared {
            Some(shared) => shared.merge(more),
            None => self.shared = Some(more),
        }
    }
}

impl Room {
    /// All of it free.
    pub(crate) fn new() -> Self {
        Self { shared: Arc::new(Semaphore::new(SHARED_STEPS)), last: Arc::new(Semaphore::new(1)) }
    }

    /// Takes what a body of `bytes` lacks, and waits for it until `deadline` at the longest. Who cannot get it may come back
    /// later, as with a store that is busy.
    pub(crate) async fn grow(&self, held: &mut Held, bytes: usize, deadline: Instant) -> Result<(), BodyError> {
        let lacking = bytes.saturating_sub(held.bytes()).div_ceil(STEP_BYTES);
        if lacking == 0 {
            return Ok(());
        }
        let steps = u32::try_from(lacking).unwrap_or(u32::MAX);
        let deadline = deadline.min(Instant::now() + WAIT_MAX);
        let taking = async {
            tokio::select! {
                biased;
                more = Arc::clone(&self.shared).acquire_many_owned(steps) => more.map(|more| held.add(more)),
                last = Arc::clone(&self.last).acquire_owned() => last.map(|last| held.last = Some(last)),
            }
        };
        // The semaphores are never closed, so that only the time can run out.
        timeout_at(deadline, taking).await.ok().and_then(Result::ok).ok_or(BodyError::NoRoom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn far() -> Instant {
        Instant::now() + 10 * WAIT_MAX
    }

    async fn take(room: &Room, bytes: usize) -> Result<Held, BodyError> {
        let mut held = Held::default();
        room.grow(&mut held, bytes, far()).await.map(|()| held)
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_than_the_room_is_held_and_all_of_it_is_given_back() {
        let room = Room::new();
        for _ in 0..2 {
            let mut all = Vec::new();
            for _ in 0..SHARED_STEPS {
                let mut held = take(&room, 1).await.expect("room");
                assert_eq!(room.grow(&mut held, STEP_BYTES, far()).await, Ok(()), "has as much already");
                all.push(held);
            }
            // Who holds the last part may grow to any size, and nobody else at all.
            let mut last = take(&room, 1).await.expect("room");
            assert_eq!(room.grow(&mut last, limits::BODY_BYTES_MAX, far()).await, Ok(()));
            assert_eq!(last.bytes(), limits::BODY_BYTES_MAX);
            let began = Instant::now();
            assert_eq!(room.grow(&mut all[0], STEP_BYTES + 1, far()).await, Err(BodyError::NoRoom));
            assert_eq!(began.elapsed().as_secs(), WAIT_MAX.as_secs());
            let soon = Instant::now() + Duration::from_secs(1);
            assert_eq!(room.grow(&mut all[0], STEP_BYTES + 1, soon).await, Err(BodyError::NoRoom));
            assert_eq!(began.elapsed().as_secs(), WAIT_MAX.as_secs() + 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_gets_what_others_give_back() {
        let room = Room::new();
        let all = take(&room, limits::BODY_BYTES_MAX).await.expect("room");
        let mut rest = Vec::new();
        while let Ok(held) = take(&room, limits::BODY_BYTES_MAX).await {
            rest.push(held);
        }
        let began = Instant::now();
        let give_back = async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            drop(all);
        };
        let (taken, ()) = tokio::join!(take(&room, limits::BODY_BYTES_MAX), give_back);
        assert!(taken.is_ok());
        assert_eq!(began.elapsed().as_secs(), 3);
    }
}
