//! All stations of a node, and the desk by which the store reaches them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Duration,
};

use hongyan_core::{
    channel::Channel,
    delivery::Policy,
    limits,
    ports::{Desk, Progress},
    setup::{ChannelNo, Provider, ProviderNo, Setup},
    store::{Lease, Policies, Store},
    time::Clock,
};
use tokio::task::JoinHandle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    line::Line,
    metrics::DeliveryMetrics,
    questions::{self, Questions},
    settler::Settler,
    shared::Shared,
    station::{Route, Station},
};

/// Opens the sender of a provider; the error says in words what is wrong with its keys.
pub type OpenChannel = Arc<dyn Fn(&Provider) -> Result<Arc<dyn Channel>, String> + Send + Sync>;

/// What a dispatcher is built on.
pub struct DispatcherDeps {
    /// The store.
    pub store: Arc<dyn Store>,
    /// The node's clock.
    pub clock: Arc<dyn Clock>,
    /// Who waits on this node; it is told which channels stand still.
    pub progress: Arc<dyn Progress>,
    /// The node's counters.
    pub metrics: DeliveryMetrics,
    /// Opens senders.
    pub open: OpenChannel,
}

/// The dispatcher of a node.
pub struct Dispatcher {
    shared: Arc<Shared>,
    metrics: DeliveryMetrics,
    open: OpenChannel,
    stations: RwLock<HashMap<ChannelNo, Arc<Station>>>,
    lines: Mutex<HashMap<ProviderNo, Arc<Line>>>,
    /// The claim and send loops.
    loops: TaskTracker,
    settler: Mutex<Option<JoinHandle<()>>>,
    questions: Questions,
}

impl Dispatcher {
    /// A dispatcher without stations; [`Dispatcher::declare`] gives it some. Must be called within a runtime.
    pub fn new(deps: DispatcherDeps) -> Arc<Self> {
        let (settler, recording) = Settler::new(Arc::clone(&deps.store), Arc::clone(&deps.clock));
        let shared = Shared {
            store: deps.store,
            clock: deps.clock,
            progress: deps.progress,
            settler,
            calls: TaskTracker::new(),
            started: CancellationToken::new(),
            stopping: CancellationToken::new(),
            cut_off: CancellationToken::new(),
        };
        Arc::new(Self {
            shared: Arc::new(shared),
            metrics: deps.metrics,
            open: deps.open,
            stations: RwLock::default(),
            lines: Mutex::default(),
            loops: TaskTracker::new(),
            settler: Mutex::new(Some(tokio::spawn(recording))),
            questions: Questions::default(),
        })
    }

    /// Lets the stations claim. What the node held when it last stopped must have been recovered before.
    pub fn start(&self) {
        self.shared.started.cancel();
    }

    /// Asks providers what became of deliveries whose outcome nobody knows, until the dispatcher stops.
    pub async fn ask_providers(&self) {
        while !self.shared.stopping.is_cancelled() {
            tokio::time::sleep(questions::ROUND).await;
            let stations = self.stations.read().unwrap_or_else(PoisonError::into_inner).clone();
            for (channel, station) in stations {
                if let Err(error) = self.questions.round(channel, &station.lines(), &self.shared).await {
                    tracing::warn!(%error, "what is in doubt cannot be read for now");
                }
            }
        }
    }

    /// Takes over what is declared: opens new and changed providers, retires old ones, tells every station what it has.
    pub fn declare(&self, setup: &Setup) {
        let lines = self.declare_lines(setup);
        for channel in setup.channels() {
            let of_channel: Vec<&Arc<Line>> = channel.providers.iter().filter_map(|no| lines.get(no)).collect();
            let routes = of_channel.iter().map(|line| {
                let counters = self.metrics.counters(&channel.code, &line.provider.code);
                Route::new(Arc::clone(line), of_channel.len() > 1, counters)
            });
            self.station(channel.no).declare(channel.paused || !channel.enabled, routes.collect());
        }
        let known = self.stations.read().unwrap_or_else(PoisonError::into_inner).clone();
        for (no, station) in known {
            if setup.channel(no).is_none() {
                station.declare(true, Vec::new());
            }
        }
    }

    fn declare_lines(&self, setup: &Setup) -> HashMap<ProviderNo, Arc<Line>> {
        let mut lines = self.lines();
        let mut declared = HashMap::new();
        for provider in setup.providers().iter().filter(|provider| provider.enabled) {
            match lines.remove(&provider.no) {
                Some(line) if line.provider == *provider => {
                    declared.insert(provider.no, line);
                }
                replaced => {
                    self.retire(replaced);
                    match (self.open)(provider) {
                        Ok(sender) => {
                            let (limits, clock) = (Arc::clone(&self.shared.store), Arc::clone(&self.shared.clock));
                            let shown = self.metrics.breaker_open(&provider.code);
                            let line = Line::new(Arc::clone(provider), sender, limits, clock, shown);
                            declared.insert(provider.no, Arc::new(line));
                        }
                        Err(error) => {
                            tracing::error!(
                                provider = provider.code,
                                error,
                                "a provider cannot be used; its messages wait"
                            );
                        }
                    }
                }
            }
        }
        for (_, line) in lines.drain() {
            self.retire(Some(line));
        }
        lines.clone_from(&declared);
        declared
    }

    fn retire(&self, line: Option<Arc<Line>>) {
        if let Some(line) = line {
            self.loops.spawn(async move { line.retire().await });
        }
    }

    /// The station of a channel, made where there is none.
    fn station(&self, channel: ChannelNo) -> Arc<Station> {
        let mut stations = self.stations.write().unwrap_or_else(PoisonError::into_inner);
        let made = stations.entry(channel).or_insert_with(|| {
            let station = Station::new(channel, Arc::clone(&self.shared));
            self.loops.spawn(Arc::clone(&station).send_loop());
            self.loops.spawn(Arc::clone(&station).claim_loop());
            station
        });
        Arc::clone(made)
    }

    fn known(&self, channel: ChannelNo) -> Option<Arc<Station>> {
        self.stations.read().unwrap_or_else(PoisonError::into_inner).get(&channel).map(Arc::clone)
    }

    fn lines(&self) -> MutexGuard<'_, HashMap<ProviderNo, Arc<Line>>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many parcels are in hand: leased to this node and not yet settled.
    pub fn in_hand(&self) -> usize {
        self.stations.read().unwrap_or_else(PoisonError::into_inner).values().map(|station| station.in_hand()).sum()
    }

    /// Stops: nothing new is begun, what is untried is given back, calls in flight have [`limits::STOP_WAIT`] to end and then
    /// count as unknown; every outcome is recorded before this returns.
    pub async fn stop(&self) {
        self.shared.stopping.cancel();
        let stations: Vec<_> = self.stations.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        for station in &stations {
            station.refresh();
        }
        if tokio::time::timeout(limits::STOP_WAIT, self.settled()).await.is_err() {
            tracing::warn!(in_hand = self.in_hand(), "calls in flight are cut off");
            self.shared.cut_off.cancel();
            if tokio::time::timeout(Duration::from_secs(3), self.settled()).await.is_err() {
                tracing::error!(
                    in_hand = self.in_hand(),
                    "not every outcome could be recorded; the next start recovers the rest"
                );
            }
        }
        let lines: Vec<_> = self.lines().values().cloned().collect();
        futures_util::future::join_all(lines.iter().map(|line| line.sender.close())).await;
        if let Some(settler) = self.settler.lock().unwrap_or_else(PoisonError::into_inner).take() {
            settler.abort();
        }
    }

    /// Waits until nothing is in hand.
    async fn settled(&self) {
        while self.in_hand() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Desk for Dispatcher {
    fn reserve(&self, channel: ChannelNo) -> bool {
        self.known(channel).is_some_and(|station| station.reserve())
    }

    fn release(&self, channel: ChannelNo) {
        if let Some(station) = self.known(channel) {
            station.release();
        }
    }

    fn hand_over(&self, leases: Vec<Lease>) {
        for lease in leases {
            if let Some(station) = self.known(lease.channel) {
                station.hand_over(lease);
            }
        }
    }

    fn wake(&self, channel: ChannelNo) {
        if let Some(station) = self.known(channel) {
            station.wake();
        }
    }
}

/// The rules by which recovery judges what a channel held, from what its providers promise.
pub fn recovery_policies(dispatcher: &Arc<Dispatcher>) -> Policies {
    let dispatcher = Arc::clone(dispatcher);
    Arc::new(move |channel| -> Arc<Policy> { dispatcher.station(channel).policy() })
}
