//! One provider: how many calls it may have in flight, how many a second, and whether it works at all. A slow or broken one
//! holds up only itself.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use hongyan_core::{
    channel::Channel,
    delivery::Policy,
    limits,
    outcome::{Outcome, Scope, Verdict},
    setup::Provider,
    time::Timestamp,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use crate::breaker::{Breaker, Permission};

/// A provider that is open for business.
pub(crate) struct Line {
    pub(crate) provider: Arc<Provider>,
    pub(crate) sender: Arc<dyn Channel>,
    pub(crate) policy: Arc<Policy>,
    permits: Arc<Semaphore>,
    breaker: Mutex<Breaker>,
    /// When the next call may start, where the provider has a rate.
    next_call: Mutex<Instant>,
    /// How long a call takes of late, in microseconds.
    call_us: AtomicU64,
}

/// Leases are held ahead for about this long, no longer: what is urgent shall not queue behind what is already in hand.
const AHEAD_US: u64 = 50_000;

impl Line {
    pub(crate) fn new(provider: Arc<Provider>, sender: Arc<dyn Channel>) -> Self {
        let policy = Arc::new(sender.policy());
        let permits = Arc::new(Semaphore::new(calls(&provider)));
        Self {
            provider,
            sender,
            policy,
            permits,
            breaker: Mutex::default(),
            next_call: Mutex::new(Instant::now()),
            call_us: AtomicU64::new(AHEAD_US),
        }
    }

    /// How many leases a node holds for it: one for each call in flight, and as many ahead as a fast provider takes in 50 ms.
    pub(crate) fn window(&self) -> usize {
        let ahead = AHEAD_US / self.call_us.load(Ordering::Relaxed).max(1);
        let per_call = usize::try_from(ahead).unwrap_or(usize::MAX).saturating_add(1).min(limits::WINDOW_PER_CALL);
        calls(&self.provider) * per_call
    }

    /// Remembers how long a call took.
    pub(crate) fn took(&self, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).min(60_000_000);
        let before = self.call_us.load(Ordering::Relaxed);
        // An average of about the last sixteen; a lost update among several calls does not matter.
        self.call_us.store((before * 15 + took) / 16, Ordering::Relaxed);
    }

    /// Waits until no call is in flight and closes the sender.
    pub(crate) async fn retire(&self) {
        let all = u32::try_from(calls(&self.provider)).unwrap_or(u32::MAX);
        drop(self.permits.acquire_many(all).await);
        self.sender.close().await;
    }

    /// What its breaker allows.
    pub(crate) fn permission(&self, now: Timestamp) -> Permission {
        self.breaker().permission(now)
    }

    /// A probe goes out.
    pub(crate) fn probe(&self) {
        self.breaker().probe();
    }

    /// The probe found nothing to send.
    pub(crate) fn probe_lost(&self, now: Timestamp) {
        self.breaker().probe_lost(now);
    }

    /// Whether calls may follow each other without a pause.
    pub(crate) fn is_unpaced(&self) -> bool {
        self.provider.rate.is_none()
    }

    /// Waits for a free call, and for the provider's rate.
    pub(crate) async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok()?;
        if let Some(rate) = self.provider.rate.filter(|rate| *rate > 0.0) {
            let start = {
                let mut next = self.next_call.lock().unwrap_or_else(PoisonError::into_inner);
                let start = (*next).max(Instant::now());
                *next = start + Duration::from_secs_f64(1.0 / rate);
                start
            };
            tokio::time::sleep_until(start).await;
        }
        Some(permit)
    }

    /// Tells the breaker how a call ended. One verdict that does not blame the provider clears it.
    pub(crate) fn judge(&self, verdicts: &[Verdict], now: Timestamp) {
        let mut breaker = self.breaker();
        let pause = verdicts.iter().find_map(|verdict| match verdict.outcome {
            Outcome::Throttled { scope: Scope::Provider, until } => Some(until),
            _ => None,
        });
        let at_fault = |verdict: &Verdict| verdict.outcome.is_provider_fault() || verdict.outcome == Outcome::Unknown;
        match pause {
            Some(until) => breaker.pause(until),
            None if verdicts.iter().all(at_fault) => {
                let misconfigured = verdicts.iter().any(|verdict| verdict.outcome == Outcome::Misconfigured);
                breaker.fault(misconfigured, now);
            }
            None => breaker.success(),
        }
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Calls in flight at a time: what is declared, one at least, and no more than the windows of a node can hold.
fn calls(provider: &Provider) -> usize {
    usize::try_from(provider.max_in_flight).unwrap_or(usize::MAX).clamp(1, limits::CALLS_MAX)
}
