//! `/healthz` (the process runs), `/readyz` (it takes messages: not stopping, the store writes) and `/metrics` (Prometheus).

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use hongyan_core::{
    setup::CurrentSetup,
    store::{Commits, Store},
    time::Clock,
};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};

/// How long the store has to show that it writes: whoever asks does not wait much longer.
const PING_WAIT: Duration = Duration::from_secs(2);

/// What can be asked of a node about itself.
pub struct Status {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    setup: Arc<CurrentSetup>,
    ready: AtomicBool,
    registry: Registry,
    gauges: Gauges,
    commits: Mutex<Commits>,
}

#[derive(Default)]
struct Gauges {
    depth: Family<ChannelLabel, Gauge>,
    oldest: Family<ChannelLabel, Gauge<f64, AtomicU64>>,
    batch: Gauge<f64, AtomicU64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ChannelLabel {
    channel: String,
}

impl Status {
    /// The status of a node whose other parts have registered their counters in `registry`. It is not ready yet.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, setup: Arc<CurrentSetup>, mut registry: Registry) -> Self {
        let gauges = Gauges::default();
        registry.register("queue_depth", "Deliveries that wait", gauges.depth.clone());
        registry.register("queue_oldest_seconds", "How long the oldest due delivery has waited", gauges.oldest.clone());
        registry.register("store_batch_size", "Operations per commit since the last scrape", gauges.batch.clone());
        Self { store, clock, setup, ready: AtomicBool::new(false), registry, gauges, commits: Mutex::default() }
    }

    /// Says whether the node takes messages.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Release);
    }

    /// Answers `/healthz`, `/readyz` and `/metrics`; `None` for any other path.
    pub async fn answer(&self, path: &str) -> Option<Response> {
        match path {
            "/healthz" => Some("ok\n".into_response()),
            "/readyz" => Some(self.readiness().await),
            "/metrics" => Some(self.metrics().await),
            _ => None,
        }
    }

    async fn readiness(&self) -> Response {
        if !self.ready.load(Ordering::Acquire) {
            return (StatusCode::SERVICE_UNAVAILABLE, "starting or stopping\n").into_response();
        }
        let unready = |why: String| (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response();
        match tokio::time::timeout(PING_WAIT, self.store.ping(self.clock.now())).await {
            Ok(Ok(())) => "ready\n".into_response(),
            Ok(Err(error)) => unready(error.to_string()),
            Err(_) => unready(format!("the store has not answered for {PING_WAIT:?}")),
        }
    }

    async fn metrics(&self) -> Response {
        if let Ok(depths) = self.store.depths().await {
            let (setup, now) = (self.setup.get(), self.clock.now());
            for channel in setup.channels() {
                let label = ChannelLabel { channel: channel.code.clone() };
                let depth = depths.iter().find(|depth| depth.channel == channel.no);
                let ready = depth.map_or(0, |depth| i64::try_from(depth.ready).unwrap_or(i64::MAX));
                self.gauges.depth.get_or_create(&label).set(ready);
                let oldest = depth.and_then(|depth| depth.oldest_due).map_or(0.0, |due| now.since(due).as_secs_f64());
                self.gauges.oldest.get_or_create(&label).set(oldest);
            }
        }
        let commits = self.store.commits();
        let before = std::mem::replace(&mut *self.commits.lock().unwrap_or_else(PoisonError::into_inner), commits);
        let shared = commits.operations.saturating_sub(before.operations) as f64;
        self.gauges.batch.set(shared / commits.commits.saturating_sub(before.commits).max(1) as f64);
        let mut page = String::new();
        if encode(&mut page, &self.registry).is_err() {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
        let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
        ([(header::CONTENT_TYPE, kind)], page).into_response()
    }
}
