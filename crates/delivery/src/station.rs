//! One channel of a node: it claims what is due as slots come free, and hands it to the first of its providers that works.
//! What was born leased comes in by the same door, through slots that the store reserved. A slot is held from the claim (or
//! the reservation) until the outcome is recorded, and is given back by being dropped.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hongyan_core::{
    delivery::{Policy, Repeat},
    limits,
    retry::RetrySchedule,
    setup::ChannelNo,
    store::Lease,
    time::Timestamp,
};
use tokio::sync::{Notify, OwnedSemaphorePermit};

use crate::{
    breaker::Permission,
    call::{Call, Called},
    line::Line,
    metrics::Counters,
    shared::Shared,
    window::{Slot, Window},
};

/// How often a station looks by itself: a wake-up may be lost.
const POLL: Duration = Duration::from_secs(1);
/// The most slots that a station ever has.
const SLOTS_MAX: usize = limits::CALLS_MAX * limits::WINDOW_PER_CALL;

/// One of a channel's providers, as this channel counts it.
#[derive(Clone)]
pub(crate) struct Route {
    pub(crate) line: Arc<Line>,
    /// What the provider promises about repeating, as far as it holds for this channel.
    pub(crate) policy: Arc<Policy>,
    pub(crate) counters: Counters,
}

impl Route {
    /// A way by `line`. Where a channel has `others`, a repeat may go by one that knows nothing of the first try: there a
    /// provider's promise to remove duplicates is worth nothing.
    pub(crate) fn new(line: Arc<Line>, others: bool, counters: Counters) -> Self {
        let policy = match line.policy.repeat {
            Repeat::Deduplicated(_) if others => {
                Arc::new(Policy { repeat: Repeat::AtMostOnce, ..(*line.policy).clone() })
            }
            _ => Arc::clone(&line.policy),
        };
        Self { line, policy, counters }
    }
}

/// One channel.
pub(crate) struct Station {
    pub(crate) channel: ChannelNo,
    shared: Arc<Shared>,
    plan: Mutex<Plan>,
    /// Whether something may be handed straight over: not paused, a provider's breaker is closed, not stopping.
    open: AtomicBool,
    window: Arc<Window>,
    /// What is leased and waits for its call; the send loop takes from it, and every call that ends, for its successor.
    inbox: Mutex<VecDeque<InHand>>,
    /// Something is in the inbox.
    filled: Notify,
    /// Whether the send loop waits for a permit.
    waits: AtomicBool,
    /// Something may be ready, or may be sent again.
    woken: Notify,
}

#[derive(Default)]
struct Plan {
    held: bool,
    routes: Vec<Route>,
}

/// A leased parcel that waits for its call.
struct InHand {
    lease: Lease,
    slot: Slot,
}

/// What may be sent now, and by whom.
#[derive(Default)]
struct Choice {
    /// The first of the providers that works.
    flow: Option<Route>,
    /// One before it whose breaker lets a call probe.
    probe: Option<Route>,
    /// When the next breaker lets a call probe.
    until: Option<Timestamp>,
}

impl Station {
    /// A station; it works while its loops run.
    pub(crate) fn new(channel: ChannelNo, shared: Arc<Shared>) -> Arc<Self> {
        Arc::new(Self {
            channel,
            shared,
            plan: Mutex::default(),
            open: AtomicBool::new(false),
            window: Arc::new(Window::new(SLOTS_MAX)),
            inbox: Mutex::default(),
            filled: Notify::new(),
            waits: AtomicBool::new(false),
            woken: Notify::new(),
        })
    }

    /// Its providers, the preferred one first.
    pub(crate) fn lines(&self) -> Vec<Arc<Line>> {
        self.plan().routes.iter().map(|route| Arc::clone(&route.line)).collect()
    }

    /// Takes over what is declared: whether the channel is held (paused or disabled) and its providers, the preferred first.
    pub(crate) fn declare(&self, held: bool, routes: Vec<Route>) {
        *self.plan() = Plan { held, routes };
        self.refresh();
        self.woken.notify_one();
    }

    /// The rules of its preferred provider; without one, the most careful ones.
    pub(crate) fn policy(&self) -> Arc<Policy> {
        let careful = || Arc::new(Policy { repeat: Repeat::AtMostOnce, retry: RetrySchedule::mail() });
        self.plan().routes.first().map_or_else(careful, |route| Arc::clone(&route.policy))
    }

    /// Something may be ready.
    pub(crate) fn wake(&self) {
        self.woken.notify_one();
    }

    /// Takes a slot, if the station is open and has one free.
    pub(crate) fn reserve(&self) -> bool {
        self.open.load(Ordering::Acquire) && self.window.take(1) == 1
    }

    /// Gives back a reserved slot.
    pub(crate) fn release(&self) {
        self.window.free();
    }

    /// Takes over a parcel that was born leased into a reserved slot.
    pub(crate) fn hand_over(self: &Arc<Self>, lease: Lease) {
        self.put(InHand { lease, slot: self.slot() });
    }

    fn put(&self, in_hand: InHand) {
        self.inbox().push_back(in_hand);
        self.filled.notify_one();
    }

    fn inbox(&self) -> MutexGuard<'_, VecDeque<InHand>> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot(&self) -> Slot {
        Slot::taken(&self.window)
    }

    /// How many slots are taken.
    pub(crate) fn in_hand(&self) -> usize {
        self.window.used()
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works out anew whether the station is open, and says so where that changed.
    pub(crate) fn refresh(&self) {
        let flow = self.choose().flow;
        if let Some(route) = &flow {
            self.window.resize(route.line.window());
        }
        let open = flow.is_some() && !self.shared.stopping.is_cancelled();
        self.open.store(open, Ordering::Release);
        self.shared.progress.stalled(self.channel, !open);
    }

    fn choose(&self) -> Choice {
        let (plan, now) = (self.plan(), self.shared.clock.now());
        let mut choice = Choice::default();
        if plan.held {
            return choice;
        }
        for route in &plan.routes {
            match route.line.permission(now) {
                Permission::Flow => {
                    choice.flow = Some(route.clone());
                    break;
                }
                Permission::Probe => choice.probe = choice.probe.or_else(|| Some(route.clone())),
                Permission::Wait(until) => {
                    choice.until = Some(choice.until.map_or(until, |soonest| soonest.min(until)))
                }
                Permission::Hold => {}
            }
        }
        choice
    }

    /// Claims what is due as slots come free, from the node's start until it stops.
    pub(crate) async fn claim_loop(self: Arc<Self>) {
        self.shared.started.cancelled().await;
        while !self.shared.stopping.is_cancelled() {
            tokio::select! {
                () = self.claim_once() => {}
                () = self.shared.stopping.cancelled() => {}
            }
        }
    }

    async fn claim_once(self: &Arc<Self>) {
        let choice = self.choose();
        let is_probe = choice.flow.is_none();
        if is_probe && choice.probe.is_none() {
            return self.idle(choice.until).await;
        }
        self.shared.settler.recording().await;
        let slots =
            if is_probe { self.window.take_beyond() } else { self.window.take_when_free(limits::CLAIM_MAX).await };
        // In a task of its own: a claim that is on its way to the store must be taken over whatever becomes of this loop.
        let station = Arc::clone(self);
        let claimed = self.shared.calls.spawn(async move { station.claim(slots).await }).await.unwrap_or(0);
        if claimed == 0 {
            let now = self.shared.clock.now();
            let next = self.shared.store.next_due(self.channel, now).await;
            self.idle(next.unwrap_or_default()).await;
        } else if is_probe {
            // One is enough; its end wakes the station.
            self.idle(None).await;
        }
    }

    /// Claims into slots that are already taken; answers how many parcels it got.
    async fn claim(self: Arc<Self>, slots: usize) -> usize {
        let leases = match self.shared.store.claim(self.channel, slots, self.shared.clock.now()).await {
            Ok(leases) => leases,
            Err(error) => {
                tracing::warn!(%error, channel = self.channel.0, "nothing can be claimed for now");
                Vec::new()
            }
        };
        let claimed = leases.len();
        for _ in claimed..slots {
            self.window.free();
        }
        for lease in leases {
            self.put(InHand { lease, slot: self.slot() });
        }
        claimed
    }

    /// Waits for a wake-up, for `until`, or for the next poll.
    async fn idle(&self, until: Option<Timestamp>) {
        let wait = until.map_or(POLL, |until| until.since(self.shared.clock.now()).min(POLL));
        // Either ends the wait; a time-out is the poll.
        drop(tokio::time::timeout(wait.max(Duration::from_millis(1)), self.woken.notified()).await);
    }

    /// Hands what is in hand to providers, for ever.
    pub(crate) async fn send_loop(self: Arc<Self>) {
        loop {
            while self.inbox().is_empty() {
                self.filled.notified().await;
            }
            self.send_next().await;
        }
    }

    /// Finds a provider and a permit for what is first in hand; where there is no provider, gives it back. Nothing is taken
    /// from the inbox before there is a permit, so that the order of the inbox is the order of the calls.
    async fn send_next(self: &Arc<Self>) {
        let choice = self.choose();
        let is_probe = choice.probe.is_some();
        let Some(route) = choice.probe.or(choice.flow).filter(|_| !self.shared.stopping.is_cancelled()) else {
            let first = self.inbox().pop_front();
            if let Some(InHand { lease, slot }) = first {
                Call::give_back(lease, slot, &self.policy(), &self.shared).await;
            }
            return;
        };
        self.waits.store(true, Ordering::Release);
        let permit = tokio::select! {
            permit = route.line.permit() => permit,
            () = self.shared.stopping.cancelled() => None,
        };
        self.waits.store(false, Ordering::Release);
        let Some(permit) = permit else { return };
        self.shared.settler.recording().await;
        // The wait may have been long enough for the breaker to move, or for a call that ended to take what was in hand.
        let now = self.shared.clock.now();
        let may_go = if is_probe { route.line.probe(now) } else { route.line.permission(now) == Permission::Flow };
        let first = if may_go { self.inbox().pop_front() } else { None };
        match first {
            Some(first) => {
                self.shared.calls.spawn(Arc::clone(self).call(first, route, permit, is_probe));
            }
            None if may_go && is_probe => route.line.probe_lost(now),
            None => {}
        }
    }

    /// Calls the provider with one parcel, and then with the next that is in hand while the permit is good for it: a successor
    /// that starts where the last call ended costs no switch between tasks.
    async fn call(self: Arc<Self>, first: InHand, route: Route, permit: OwnedSemaphorePermit, is_probe: bool) {
        let mut next = Some(first);
        while let Some(InHand { lease, slot }) = next {
            let has_alternative = is_probe && self.choose().flow.is_some();
            let call = Call {
                lease,
                slot,
                line: Arc::clone(&route.line),
                policy: Arc::clone(&route.policy),
                counters: route.counters.clone(),
                has_alternative,
                drawn: None,
            };
            let called = call.carry_out(&self.shared).await;
            if called == Called::Untried && is_probe {
                route.line.probe_lost(self.shared.clock.now());
            }
            self.called(is_probe);
            next = if is_probe { None } else { self.successor(&route) };
        }
        drop(permit);
    }

    /// The next parcel in hand, where it may go by `route` at once and no other channel waits for the permit.
    fn successor(&self, route: &Route) -> Option<InHand> {
        let others = route.line.waiting().saturating_sub(usize::from(self.waits.load(Ordering::Acquire)));
        let is_free = others == 0
            && route.line.is_unpaced()
            && self.shared.settler.is_recording()
            && !self.shared.stopping.is_cancelled();
        let Choice { flow: Some(flow), probe: None, .. } = self.choose() else { return None };
        if is_free && Arc::ptr_eq(&flow.line, &route.line) { self.inbox().pop_front() } else { None }
    }

    /// A call has ended: the window may have moved, the breaker may have.
    fn called(&self, is_probe: bool) {
        let was_open = self.open.load(Ordering::Acquire);
        match self.choose().flow {
            Some(route) if was_open => self.window.resize(route.line.window()),
            _ => self.refresh(),
        }
        if is_probe || !was_open {
            self.woken.notify_one();
        }
    }
}
