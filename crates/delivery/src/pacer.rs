//! A provider's rate, held by all nodes together: tokens are taken from the store in leases of about 100 ms
//! (`guides/reliability.md` B5) and used one by one, evenly. Each token is a turn with a moment of its own on a line of time
//! that all nodes share, so that their calls interleave. A turn is taken when its moment has come, or up to 100 ms later; after
//! that it is lost. While the store is away there are no turns, and nothing is sent.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hongyan_core::{
    pace::{self, Tokens},
    store::{Limits, StoreResult},
    time::{Clock, Timestamp},
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until, timeout_at},
};

/// How much time a lease is for.
const LEASE: Duration = Duration::from_millis(100);
/// How late a turn may be taken.
const LATE: Duration = Duration::from_millis(100);
/// How much of a delay may be made up for by turns that follow closer than the rate: as much as timers are late.
const MADE_UP: Duration = Duration::from_millis(5);
/// How long to wait before asking a store again that is away.
const RETRY: Duration = Duration::from_millis(200);
/// The longest wait for an answer of the store before looking again.
const POLL: Duration = Duration::from_secs(1);

/// The rate of one provider, as one node takes part in it.
pub(crate) struct Pacer {
    key: String,
    rate: f64,
    interval: Duration,
    /// Tokens in a lease.
    lease: u32,
    limits: Arc<dyn Limits>,
    clock: Arc<dyn Clock>,
    held: Mutex<Held>,
    /// The store has answered.
    told: Notify,
}

/// Turns that are this node's.
struct Held {
    leases: VecDeque<Turns>,
    /// The turn after the last one comes no earlier.
    free: Instant,
    /// Whether the store is being asked.
    asking: bool,
    /// When the store may be asked again.
    ask_after: Instant,
    /// Whether the store was away when it was last asked.
    away: bool,
}

/// Turns that follow each other.
struct Turns {
    next: Instant,
    left: u32,
}

/// What a caller does next.
enum Step {
    /// Call at this moment.
    Go(Instant),
    /// Look again then, or when the store has answered.
    Wait(Instant),
}

impl Pacer {
    /// A pacer that shares its rate with all others of the same key.
    pub(crate) fn new(key: String, rate: f64, limits: Arc<dyn Limits>, clock: Arc<dyn Clock>) -> Arc<Self> {
        let interval = pace::interval(rate);
        let lease = u32::try_from(LEASE.as_nanos() / interval.as_nanos()).unwrap_or(u32::MAX).max(1);
        let now = Instant::now();
        let held = Held { leases: VecDeque::new(), free: now, asking: false, ask_after: now, away: false };
        Arc::new(Self { key, rate, interval, lease, limits, clock, held: Mutex::new(held), told: Notify::new() })
    }

    /// Waits for this caller's turn.
    pub(crate) async fn turn(self: &Arc<Self>) {
        loop {
            let told = self.told.notified();
            match self.step() {
                Step::Go(at) => return sleep_until(at).await,
                // Either ends the wait.
                Step::Wait(until) => drop(timeout_at(until, told).await),
            }
        }
    }

    /// Takes a turn if there is one, and sees to it that more come.
    fn step(self: &Arc<Self>) -> Step {
        let now = Instant::now();
        let mut held = self.held();
        let turn = held.take(now, self.interval);
        if self.wants_more(&held, turn.is_none()) && !held.asking && held.ask_after <= now {
            held.asking = true;
            // In a task of its own: what the store grants is this node's, whatever becomes of who waits for it.
            tokio::spawn(Asking(Arc::clone(self)).ask());
        }
        let look_again = if held.asking { now + POLL } else { held.ask_after };
        turn.map_or(Step::Wait(look_again), Step::Go)
    }

    /// Whether the store should be asked: where nothing is held, and where leases are of many tokens, in time before the last
    /// of them is used.
    fn wants_more(&self, held: &Held, nothing_held: bool) -> bool {
        let left = held.leases.iter().fold(0, |sum: u32, turns| sum.saturating_add(turns.left));
        nothing_held || (self.lease > 1 && left <= self.lease / 2)
    }

    /// Keeps what the store granted.
    fn keep(&self, answer: StoreResult<Tokens>, asked: Instant) {
        let (now, moment) = (self.clock.now(), Instant::now());
        let mut held = self.held();
        match answer {
            Ok(tokens) => {
                if tokens.granted > 0 {
                    held.leases.push_back(Turns { next: instant(tokens.start, now, moment), left: tokens.granted });
                }
                if tokens.granted < self.lease {
                    held.ask_after = instant(tokens.next, now, moment).max(asked + self.pause());
                }
                if std::mem::take(&mut held.away) {
                    tracing::info!(provider = self.key, "the provider's rate is known again: its messages go on");
                }
            }
            Err(error) => {
                held.ask_after = moment + RETRY;
                if !std::mem::replace(&mut held.away, true) {
                    tracing::warn!(%error, provider = self.key, "the provider's rate cannot be shared: its messages wait");
                }
            }
        }
    }

    /// How long to leave the store to others after it could not grant a whole lease; by chance, so that nobody always comes
    /// right after somebody else.
    fn pause(&self) -> Duration {
        if self.lease > 1 { LEASE.mul_f64(rand::random_range(0.5..1.5)) } else { Duration::ZERO }
    }

    /// How far ahead tokens are given out: for the lease in use and the next one.
    fn burst(&self) -> u32 {
        self.lease.saturating_mul(2)
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks the store; when it ends, however it ends, the store may be asked again.
struct Asking(Arc<Pacer>);

impl Asking {
    async fn ask(self) {
        let (pacer, asked) = (&self.0, Instant::now());
        let now = pacer.clock.now();
        let answer = pacer.limits.tokens_take(pacer.key.clone(), pacer.rate, pacer.burst(), pacer.lease, now).await;
        pacer.keep(answer, asked);
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.held().asking = false;
        self.0.told.notify_waiters();
    }
}

impl Held {
    /// The next turn: not before its own moment, nor sooner after the last one than the rate has it, but for what timers were
    /// late. Turns that are too late are lost.
    fn take(&mut self, now: Instant, interval: Duration) -> Option<Instant> {
        while let Some(turns) = self.leases.front_mut() {
            let late = now.saturating_duration_since(turns.next).saturating_sub(LATE);
            let lost = u32::try_from(late.as_nanos().div_ceil(interval.as_nanos())).unwrap_or(u32::MAX);
            if lost >= turns.left {
                self.leases.pop_front();
                continue;
            }
            let at = (turns.next + interval * lost).max(self.free).max(now.checked_sub(MADE_UP).unwrap_or(now));
            turns.next += interval * (lost + 1);
            turns.left -= lost + 1;
            self.free = at + interval;
            return Some(at);
        }
        None
    }
}

/// When a moment of the store's clock comes, where it is `now` by that clock at `moment`.
fn instant(of: Timestamp, now: Timestamp, moment: Instant) -> Instant {
    let past = now.since(of);
    (moment + of.since(now)).checked_sub(past).unwrap_or(moment)
}

#[cfg(test)]
mod tests;
