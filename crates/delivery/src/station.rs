//! One channel of a node: it claims what is due as slots come free, and hands it to the first of its providers that works.
//! What was born leased comes in by the same door, through slots that the store reserved. A slot is held from the claim (or
//! the reservation) until the outcome is recorded, and is given back by being dropped.

use std::{
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
    pub(crate) counters: Counters,
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
    inbox: (async_channel::Sender<InHand>, async_channel::Receiver<InHand>),
    /// Something may be ready, or may be sent again.
    woken: Notify,
}

#[derive(Default)]
struct Plan {
    held: bool,
    routes: Vec<Route>,
}

/// A leased parcel that waits for its call.
pub(crate) struct InHand {
    lease: Lease,
    slot: Slot,
    /// The route that it probes.
    probe: Option<Route>,
}

/// What may be sent now, and by whom.
enum Choice {
    Flow(Route),
    Probe(Route),
    /// Nothing before then, or before somebody wakes the station.
    Wait(Option<Timestamp>),
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
            inbox: async_channel::bounded(SLOTS_MAX),
            woken: Notify::new(),
        })
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
        self.plan().routes.first().map_or_else(careful, |route| Arc::clone(&route.line.policy))
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
        self.put(InHand { lease, slot: self.slot(), probe: None });
    }

    fn put(&self, in_hand: InHand) {
        if self.inbox.0.try_send(in_hand).is_err() {
            // Impossible while slots are counted; recovery takes the parcel back if it happens all the same.
            tracing::error!(channel = self.channel.0, "a station's inbox was full");
        }
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
        let flow = match self.choose() {
            Choice::Flow(route) => Some(route.line.window()),
            Choice::Probe(_) | Choice::Wait(_) => None,
        };
        if let Some(window) = flow {
            self.window.resize(window);
        }
        let open = flow.is_some() && !self.shared.stopping.is_cancelled();
        self.open.store(open, Ordering::Release);
        self.shared.progress.stalled(self.channel, !open);
    }

    fn choose(&self) -> Choice {
        let plan = self.plan();
        if plan.held {
            return Choice::Wait(None);
        }
        let now = self.shared.clock.now();
        let (mut probe, mut soonest) = (None, None::<Timestamp>);
        for route in &plan.routes {
            match route.line.permission(now) {
                Permission::Flow => return Choice::Flow(route.clone()),
                Permission::Probe => probe = probe.or_else(|| Some(route.clone())),
                Permission::Wait(until) => soonest = Some(soonest.map_or(until, |s| s.min(until))),
                Permission::Hold => {}
            }
        }
        probe.map_or(Choice::Wait(soonest), Choice::Probe)
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
        let (wanted, probe) = match self.choose() {
            Choice::Wait(until) => return self.idle(until).await,
            Choice::Probe(route) => (1, Some(route)),
            Choice::Flow(_) => (limits::CLAIM_MAX, None),
        };
        self.shared.settler.recording().await;
        let slots = if probe.is_some() { self.window.take_beyond() } else { self.window.take_when_free(wanted).await };
        if let Some(route) = &probe {
            route.line.probe();
        }
        // In a task of its own: a claim that is on its way to the store must be taken over whatever becomes of this loop.
        let station = Arc::clone(self);
        let claimed = self.shared.calls.spawn(async move { station.claim(slots, probe).await });
        if claimed.await.unwrap_or(0) == 0 {
            let now = self.shared.clock.now();
            let next = self.shared.store.next_due(self.channel, now).await;
            self.idle(next.unwrap_or_default()).await;
        }
    }

    /// Claims into slots that are already taken; answers how many parcels it got.
    async fn claim(self: Arc<Self>, slots: usize, probe: Option<Route>) -> usize {
        let now = self.shared.clock.now();
        let leases = match self.shared.store.claim(self.channel, slots, now).await {
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
        if let (0, Some(route)) = (claimed, &probe) {
            route.line.probe_lost(now);
        }
        for lease in leases {
            self.put(InHand { lease, slot: self.slot(), probe: probe.clone() });
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
        while let Ok(in_hand) = self.inbox.1.recv().await {
            self.place(in_hand).await;
        }
    }

    async fn place(self: &Arc<Self>, in_hand: InHand) {
        let InHand { lease, slot, probe } = in_hand;
        let probing = probe.is_some();
        let mut route = probe;
        let permit = loop {
            if self.shared.stopping.is_cancelled() {
                break None;
            }
            let Choice::Flow(chosen) = route.take().map_or_else(|| self.choose(), Choice::Flow) else { break None };
            let waited = tokio::select! {
                permit = chosen.line.permit() => permit,
                () = self.shared.stopping.cancelled() => None,
            };
            let Some(permit) = waited else { break None };
            self.shared.settler.recording().await;
            // The wait may have been long enough for the breaker to open.
            if probing || chosen.line.permission(self.shared.clock.now()) == Permission::Flow {
                break Some((chosen, permit));
            }
        };
        let Some((route, permit)) = permit else {
            return Call::give_back(lease, slot, &self.policy(), &self.shared).await;
        };
        self.shared.calls.spawn(Arc::clone(self).call(InHand { lease, slot, probe: None }, route, permit, probing));
    }

    /// Calls the provider with one parcel, and then with the next that is in hand while the permit is good for it: a successor
    /// that starts where the last call ended costs no switch between tasks.
    async fn call(self: Arc<Self>, first: InHand, route: Route, permit: OwnedSemaphorePermit, probing: bool) {
        let mut next = Some(first);
        while let Some(InHand { lease, slot, .. }) = next {
            let call = Call { lease, slot, line: Arc::clone(&route.line), counters: route.counters.clone() };
            let called = call.carry_out(&self.shared).await;
            if called == Called::Untried && probing {
                route.line.probe_lost(self.shared.clock.now());
            }
            self.called(probing);
            next = if probing { None } else { self.successor(&route) };
        }
        drop(permit);
    }

    /// The next parcel in hand, where it may go by `route` at once.
    fn successor(&self, route: &Route) -> Option<InHand> {
        let is_free =
            route.line.is_unpaced() && self.shared.settler.is_recording() && !self.shared.stopping.is_cancelled();
        let Choice::Flow(chosen) = self.choose() else { return None };
        if !is_free || !Arc::ptr_eq(&chosen.line, &route.line) {
            return None;
        }
        let next = self.inbox.1.try_recv().ok()?;
        if next.probe.is_some() {
            // It has a route of its own: back to where routes are chosen.
            self.put(next);
            return None;
        }
        Some(next)
    }

    /// A call has ended: the window may have moved, the breaker may have.
    fn called(&self, probing: bool) {
        let was_open = self.open.load(Ordering::Acquire);
        match self.choose() {
            Choice::Flow(route) if was_open => self.window.resize(route.line.window()),
            _ => self.refresh(),
        }
        if probing || !was_open {
            self.woken.notify_one();
        }
    }
}
