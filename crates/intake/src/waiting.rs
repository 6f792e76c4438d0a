//! Handlers that wait for outcomes. A waiter is registered before its message is submitted, hears from the store what moved
//! after each commit, and is done when every delivery is finished, or put off beyond its deadline, or when its channel stalls
//! (design 7). What other nodes move, the [`crate::OutcomePoller`] asks for.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use hongyan_core::{
    delivery::{State, Track},
    id::Id,
    limits,
    ports::{Moved, Progress},
    setup::ChannelNo,
    time::Timestamp,
};
use tokio::{sync::oneshot, time::Instant};

/// Everyone who waits on this node.
#[derive(Debug, Default)]
pub struct Waiting {
    inner: Mutex<Inner>,
    /// How many wait, so that the store's writer passes by without the lock when nobody does.
    count: AtomicUsize,
}

#[derive(Debug, Default)]
struct Inner {
    waiters: HashMap<Id, Vec<Waiter>>,
    next_serial: u64,
    stalled: HashSet<ChannelNo>,
}

#[derive(Debug)]
struct Waiter {
    serial: u64,
    channel: ChannelNo,
    since: Instant,
    deadline: Timestamp,
    /// Deliveries whose outcome it waits for.
    expected: usize,
    /// Those that are finished or put off beyond the deadline.
    settled: HashMap<Id, Track>,
    done: oneshot::Sender<HashMap<Id, Track>>,
}

/// A registered waiter; dropping it (the client hung up) withdraws it.
#[derive(Debug)]
pub(crate) struct Ticket {
    waiting: Arc<Waiting>,
    message: Id,
    serial: u64,
    done: oneshot::Receiver<HashMap<Id, Track>>,
}

impl Waiting {
    /// Registers a waiter for `expected` deliveries of `message`, or `None` where waiting is pointless (the channel stands
    /// still) or too many wait already.
    pub(crate) fn register(
        self: &Arc<Self>,
        message: Id,
        channel: ChannelNo,
        expected: usize,
        deadline: Timestamp,
    ) -> Option<Ticket> {
        let mut inner = self.lock();
        if inner.stalled.contains(&channel) || self.count.load(Ordering::Relaxed) >= limits::WAITERS_MAX {
            return None;
        }
        let (sender, done) = oneshot::channel();
        let serial = inner.next_serial;
        inner.next_serial += 1;
        let since = Instant::now();
        let waiter = Waiter { serial, channel, since, deadline, expected, settled: HashMap::new(), done: sender };
        inner.waiters.entry(message).or_default().push(waiter);
        self.count.fetch_add(1, Ordering::Release);
        Some(Ticket { waiting: Arc::clone(self), message, serial, done })
    }

    /// The messages for which somebody has waited for `long` or longer.
    pub(crate) fn overdue(&self, long: Duration) -> Vec<Id> {
        if self.count.load(Ordering::Acquire) == 0 {
            return Vec::new();
        }
        let inner = self.lock();
        let waited = |waiters: &[Waiter]| waiters.iter().any(|waiter| waiter.since.elapsed() >= long);
        inner.waiters.iter().filter(|(_, waiters)| waited(waiters)).map(|(message, _)| *message).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells and removes the waiters of `message` that `is_done`.
    fn finish(&self, inner: &mut Inner, message: Id, is_done: impl Fn(&Waiter) -> bool) {
        let Some(waiters) = inner.waiters.get_mut(&message) else { return };
        for waiter in waiters.extract_if(.., |waiter| is_done(waiter)) {
            self.count.fetch_sub(1, Ordering::Release);
            // Nobody listens any more when the client has hung up.
            drop(waiter.done.send(waiter.settled));
        }
        if waiters.is_empty() {
            inner.waiters.remove(&message);
        }
    }
}

impl Progress for Waiting {
    fn moved(&self, moved: &[Moved]) {
        if self.count.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut inner = self.lock();
        for Moved { message, delivery, track } in moved {
            let Some(waiters) = inner.waiters.get_mut(message) else { continue };
            for waiter in waiters.iter_mut() {
                let put_off = track.state == State::Ready && track.due > waiter.deadline;
                if put_off || !track.state.is_open() {
                    waiter.settled.insert(*delivery, *track);
                } else {
                    waiter.settled.remove(delivery);
                }
            }
            self.finish(&mut inner, *message, |waiter| waiter.settled.len() >= waiter.expected);
        }
    }

    fn stalled(&self, channel: ChannelNo, stalled: bool) {
        let mut inner = self.lock();
        if !stalled {
            inner.stalled.remove(&channel);
            return;
        }
        inner.stalled.insert(channel);
        let messages: Vec<Id> = inner.waiters.keys().copied().collect();
        for message in messages {
            self.finish(&mut inner, message, |waiter| waiter.channel == channel);
        }
    }
}

impl Ticket {
    /// Waits until everything is settled or `patience` ends; answers what had settled by then.
    pub(crate) async fn wait(mut self, patience: Duration) -> HashMap<Id, Track> {
        if let Ok(Ok(settled)) = tokio::time::timeout(patience, &mut self.done).await {
            return settled;
        }
        // The deadline is over: what has settled so far still counts.
        self.withdraw();
        self.done.try_recv().unwrap_or_default()
    }

    /// Ends this waiter; what it has heard so far is sent to the ticket.
    fn withdraw(&self) {
        let mut inner = self.waiting.lock();
        self.waiting.finish(&mut inner, self.message, |waiter| waiter.serial == self.serial);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.withdraw();
    }
}

#[cfg(test)]
mod tests {
    use hongyan_core::delivery::Reason;

    use super::*;

    const NOW: Timestamp = Timestamp::from_ms(1_800_000_000_000);
    const MAIL: ChannelNo = ChannelNo(1);
    const LONG: Duration = Duration::from_secs(60);

    fn id(n: i64) -> Id {
        Id::from_i64(n).expect("positive")
    }

    fn at(state: State, due: Timestamp) -> Track {
        Track { state, ..Track::ready(due, NOW + LONG) }
    }

    fn moved(message: i64, delivery: i64, track: Track) -> Moved {
        Moved { message: id(message), delivery: id(delivery), track }
    }

    fn ticket(waiting: &Arc<Waiting>, expected: usize) -> Ticket {
        waiting.register(id(1), MAIL, expected, NOW + Duration::from_secs(8)).expect("nothing stalls")
    }

    #[tokio::test]
    async fn done_when_all_is_settled_or_put_off_beyond_the_deadline() {
        let waiting = Arc::new(Waiting::default());
        let ticket = ticket(&waiting, 3);
        waiting.moved(&[moved(1, 2, at(State::Accepted, NOW)), moved(9, 3, at(State::Failed, NOW))]);
        waiting.moved(&[moved(1, 3, at(State::Ready, NOW + Duration::from_secs(5)))]);
        waiting.moved(&[moved(1, 3, at(State::Failed, NOW))]);
        waiting.moved(&[moved(1, 4, Track { reason: Some(Reason::Deferred), ..at(State::Ready, NOW + LONG) })]);
        let settled = ticket.wait(LONG).await;
        assert_eq!(settled.values().filter(|t| t.state.is_failure()).count(), 1);
        assert_eq!((settled.len(), waiting.count.load(Ordering::Relaxed)), (3, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn at_the_deadline_what_is_known_counts() {
        let waiting = Arc::new(Waiting::default());
        let ticket = ticket(&waiting, 2);
        waiting.moved(&[moved(1, 2, at(State::Failed, NOW))]);
        assert_eq!(ticket.wait(LONG).await.len(), 1);
        assert_eq!(waiting.count.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn a_stalled_channel_ends_and_forbids_waiting() {
        let waiting = Arc::new(Waiting::default());
        let ticket = ticket(&waiting, 2);
        waiting.stalled(ChannelNo(2), true);
        waiting.stalled(MAIL, true);
        assert!(ticket.wait(LONG).await.is_empty());
        assert!(waiting.register(id(5), MAIL, 1, NOW).is_none());
        waiting.stalled(MAIL, false);
        assert!(waiting.register(id(5), MAIL, 1, NOW).is_some());
    }

    #[tokio::test]
    async fn who_hangs_up_is_forgotten_and_too_many_do_not_wait() {
        let waiting = Arc::new(Waiting::default());
        let tickets: Vec<_> = (0..limits::WAITERS_MAX).map(|_| ticket(&waiting, 1)).collect();
        assert!(waiting.register(id(1), MAIL, 1, NOW).is_none());
        drop(tickets);
        assert!(waiting.lock().waiters.is_empty());
        assert!(waiting.register(id(1), MAIL, 1, NOW).is_some());
    }
}
