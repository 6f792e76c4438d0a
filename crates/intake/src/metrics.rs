//! What intake counts: accepted messages by dialect and channel, and how long accepting took.

use std::{sync::Arc, time::Duration};

use hongyan_core::{message::Dialect, setup::Channel};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};

/// The counters of intake, registered once per node.
#[derive(Clone, Debug)]
pub struct IntakeMetrics {
    accepted: Family<AcceptedLabels, Counter>,
    accept_seconds: Histogram,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AcceptedLabels {
    dialect: String,
    channel: String,
}

impl IntakeMetrics {
    /// Registers the counters as `accepted_total` and `accept_seconds`; the registry adds the prefix.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            accepted: Family::default(),
            accept_seconds: Histogram::new([0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0]),
        };
        registry.register("accepted", "Messages on disk whose callers were told so", metrics.accepted.clone());
        registry.register("accept_seconds", "Time from the request to its commit", metrics.accept_seconds.clone());
        metrics
    }

    /// Counts a message, once for each of its channels.
    pub(crate) fn accepted(&self, dialect: Dialect, channels: &[Arc<Channel>], took: Duration) {
        self.accept_seconds.observe(took.as_secs_f64());
        for channel in channels {
            let labels = AcceptedLabels { dialect: dialect.as_str().to_owned(), channel: channel.code.clone() };
            self.accepted.get_or_create(&labels).inc();
        }
    }
}
