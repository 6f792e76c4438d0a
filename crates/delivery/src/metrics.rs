//! What delivery counts, by channel and provider: accepted by the provider, failed for good, put off; how long a delivery took
//! from its acceptance by us to its acceptance by the provider; and which providers stand still.

use hongyan_core::{delivery::State, time::Timestamp};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

/// The counters of delivery, registered once per node.
#[derive(Clone, Debug)]
pub struct DeliveryMetrics {
    delivered: Family<Labels, Counter>,
    failed: Family<Labels, Counter>,
    deferred: Family<Labels, Counter>,
    delivery_seconds: Histogram,
    breaker_open: Family<Of, Gauge>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    channel: String,
    provider: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    provider: String,
}

/// The counters of one channel and provider, looked up once.
#[derive(Clone, Debug)]
pub(crate) struct Counters {
    delivered: Counter,
    failed: Counter,
    deferred: Counter,
    delivery_seconds: Histogram,
}

impl DeliveryMetrics {
    /// Registers the counters; the registry adds the prefix.
    pub fn register(registry: &mut Registry) -> Self {
        let seconds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0];
        let metrics = Self {
            delivered: Family::default(),
            failed: Family::default(),
            deferred: Family::default(),
            delivery_seconds: Histogram::new(seconds),
            breaker_open: Family::default(),
        };
        registry.register("delivered", "Deliveries that the provider took", metrics.delivered.clone());
        registry.register("failed", "Deliveries that failed for good or expired", metrics.failed.clone());
        registry.register("deferred", "Tries after which the delivery waits for another", metrics.deferred.clone());
        registry.register(
            "delivery_seconds",
            "Time from acceptance to the provider's",
            metrics.delivery_seconds.clone(),
        );
        let breaker_open = "Whether this node's breaker of the provider is open (1): its messages wait";
        registry.register("breaker_open", breaker_open, metrics.breaker_open.clone());
        metrics
    }

    /// Whether a provider's breaker is open: 0 or 1.
    pub(crate) fn breaker_open(&self, provider: &str) -> Gauge {
        self.breaker_open.get_or_create_owned(&Of { provider: provider.to_owned() })
    }

    pub(crate) fn counters(&self, channel: &str, provider: &str) -> Counters {
        let labels = Labels { channel: channel.to_owned(), provider: provider.to_owned() };
        Counters {
            delivered: self.delivered.get_or_create_owned(&labels),
            failed: self.failed.get_or_create_owned(&labels),
            deferred: self.deferred.get_or_create_owned(&labels),
            delivery_seconds: self.delivery_seconds.clone(),
        }
    }
}

impl Counters {
    /// Counts a delivery whose track was just recorded.
    pub(crate) fn recorded(&self, state: State, accepted: Timestamp, now: Timestamp) {
        match state {
            State::Accepted => {
                self.delivered.inc();
                self.delivery_seconds.observe(now.since(accepted).as_secs_f64());
            }
            State::Failed | State::Expired | State::Unknown => {
                self.failed.inc();
            }
            State::Ready => {
                self.deferred.inc();
            }
            _ => {}
        }
    }
}
