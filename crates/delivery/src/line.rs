//! One provider: how many calls it may have in flight, how many a second, and whether it works at all. A slow or broken one
//! holds up only itself.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use hongyan_core::{
    channel::Channel,
    delivery::Policy,
    limits,
    outcome::{Outcome, Scope, Verdict},
    setup::Provider,
    store::Limits,
    time::{Clock, Timestamp},
};
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    breaker::{Breaker, Permission},
    pacer::Pacer,
};

/// A provider that is open for business.
pub(crate) struct Line {
    pub(crate) provider: Arc<Provider>,
    pub(crate) sender: Arc<dyn Channel>,
    pub(crate) policy: Arc<Policy>,
    permits: Arc<Semaphore>,
    breaker: Mutex<Breaker>,
    /// Shows whether the breaker is open.
    shown: Gauge,
    /// When calls may start, where the provider has a rate.
    pacer: Option<Arc<Pacer>>,
    /// How long a call takes of late, in microseconds.
    call_us: AtomicU64,
    /// How many wait for a permit.
    waiting: AtomicUsize,
}

/// One who waits for a permit, counted until dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn one_more(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Leases are held ahead for about this long, no longer: what is urgent shall not queue behind what is already in hand.
const AHEAD_US: u64 = 50_000;

impl Line {
    /// A provider's line. All nodes that have it share its rate by `limits`.
    pub(crate) fn new(
        provider: Arc<Provider>,
        sender: Arc<dyn Channel>,
        limits: Arc<dyn Limits>,
        clock: Arc<dyn Clock>,
        shown: Gauge,
    ) -> Self {
        shown.set(0);
        let policy = Arc::new(sender.policy());
        let permits = Arc::new(Semaphore::new(calls(&provider)));
        let pacer = provider.rate.map(|rate| Pacer::new(format!("provider/{}", provider.code), rate, limits, clock));
        Self {
            provider,
            sender,
            policy,
            permits,
            breaker: Mutex::default(),
            shown,
            pacer,
            call_us: AtomicU64::new(AHEAD_US),
            waiting: AtomicUsize::new(0),
        }
    }

    /// How many leases a node holds for it: one for each call in flight, and as many ahead as a fast provider takes in 50 ms.
    pub(crate) fn window(&self) -> usize {
        let call_us = self.call_us.load(Ordering::Relaxed).max(1);
        let per_call = usize::try_from(AHEAD_US / call_us).unwrap_or(usize::MAX).saturating_add(1);
        let window = calls(&self.provider) * per_call.min(limits::WINDOW_PER_CALL);
        match self.provider.rate {
            // What the rate lets through while a call takes its time and for as long ahead.
            Some(rate) => window.min((rate * (call_us + AHEAD_US) as f64 / 1e6).ceil() as usize).max(1),
            None => window,
        }
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

    /// A probe goes out, if it still may.
    pub(crate) fn probe(&self, now: Timestamp) -> bool {
        let mut breaker = self.breaker();
        let may_go = breaker.permission(now) == Permission::Probe;
        if may_go {
            breaker.probe();
        }
        may_go
    }

    /// The probe found nothing to send.
    pub(crate) fn probe_lost(&self, now: Timestamp) {
        self.breaker().probe_lost(now);
    }

    /// Whether calls may follow each other without a pause.
    pub(crate) fn is_unpaced(&self) -> bool {
        self.pacer.is_none()
    }

    /// Waits for a free call, and for the provider's rate.
    pub(crate) async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        let waiting = Waiting::one_more(&self.waiting);
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok()?;
        drop(waiting);
        if let Some(pacer) = &self.pacer {
            pacer.turn().await;
        }
        Some(permit)
    }

    /// Tells the breaker how a call ended. One verdict that does not blame the provider clears it.
    pub(crate) fn judge(&self, verdicts: &[Verdict], now: Timestamp) {
        let mut breaker = self.breaker();
        let was_closed = breaker.is_closed();
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
        let is_closed = breaker.is_closed();
        drop(breaker);
        if was_closed != is_closed {
            self.shown.set(i64::from(!is_closed));
            self.tell(is_closed, verdicts);
        }
    }

    /// Says that the breaker opened or closed. The provider's words stay out of it, for they may name people; they are in the
    /// attempts on record.
    fn tell(&self, is_closed: bool, verdicts: &[Verdict]) {
        let provider = &self.provider.code;
        if is_closed {
            tracing::info!(provider, "the provider works again");
            return;
        }
        let outcome = verdicts.first().map_or("unknown", |verdict| verdict.outcome.as_str());
        let reply = verdicts.first().map_or("", |verdict| verdict.reply.as_str());
        tracing::warn!(
            provider,
            outcome,
            code = code(reply),
            "the provider's breaker is open: its messages wait; look one up for the provider's words"
        );
    }

    /// How many wait for a permit.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The code that a reply begins with: a name before a colon (`isv.OUT_OF_SERVICE: …`), or digits (`550 5.7.1 …`).
fn code(reply: &str) -> &str {
    let is_code = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_'));
    match reply.split_once(':') {
        Some((name, _)) if is_code(name) => name,
        _ => {
            reply[..reply.find(|c: char| !c.is_ascii_digit() && !matches!(c, ' ' | '.')).unwrap_or(reply.len())].trim()
        }
    }
}

/// Calls in flight at a time: what is declared, one at least, and no more than the windows of a node can hold.
fn calls(provider: &Provider) -> usize {
    usize::try_from(provider.max_in_flight).unwrap_or(usize::MAX).clamp(1, limits::CALLS_MAX)
}

#[cfg(test)]
mod tests {
    use super::code;

    #[test]
    fn a_log_line_has_the_code_and_none_of_the_words() {
        for (reply, expected) in [
            ("isv.OUT_OF_SERVICE: 业务停机", "isv.OUT_OF_SERVICE"),
            ("AuthFailure.SecretIdNotFound: no key of zhang", "AuthFailure.SecretIdNotFound"),
            ("535 5.7.8 zhang: wrong password", "535 5.7.8"),
            ("40001 invalid credential", "40001"),
            ("421", "421"),
            ("no access token: 40164 invalid ip", ""),
            ("张三: nobody", ""),
            ("", ""),
        ] {
            assert_eq!(code(reply), expected, "{reply}");
        }
    }
}
