//! What every operator measures. Labels are names of controllers, kinds and reasons, never of objects: only the gauges of
//! [`crate::Sample`] name objects, and only those that are there.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

use crate::gauges::Gauges;

/// The registry behind /metrics; clones share it.
#[derive(Clone, Default)]
pub(crate) struct Metrics {
    registry: Arc<Mutex<Registry>>,
    pub(crate) reconciles: Reconciles,
    pub(crate) writes: Family<Write, Counter>,
    pub(crate) requests: Family<Answered, Counter>,
    queued: Family<Controller, Gauge>,
    pub(crate) leader: Gauge,
    pub(crate) gauges: Gauges,
}

/// How long reconciles take and how they end.
#[derive(Clone)]
pub(crate) struct Reconciles {
    seconds: Family<Controller, Histogram, fn() -> Histogram>,
    failures: Family<Failed, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Controller {
    controller: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Failed {
    controller: &'static str,
    reason: &'static str,
}

/// A request to the API server.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Answered {
    pub(crate) verb: &'static str,
    /// The HTTP status, or 0 without an answer.
    pub(crate) code: u16,
}

/// A request to change something in the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Write {
    pub(crate) verb: &'static str,
    pub(crate) kind: String,
    /// `ok`, or the reason of the error.
    pub(crate) outcome: &'static str,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let metrics = Self::default();
        metrics.register(|registry| {
            let registry = registry.sub_registry_with_prefix("operator");
            registry.register(
                "reconcile_seconds",
                "Duration of reconciles",
                metrics.reconciles.seconds.clone(),
            );
            registry.register(
                "reconcile_failures",
                "Reconciles that ended in an error",
                metrics.reconciles.failures.clone(),
            );
            registry.register("api_writes", "Write requests to the API server", metrics.writes.clone());
            registry.register("api_requests", "Requests to the API server", metrics.requests.clone());
            registry.register("queue_depth", "Objects that wait for a worker", metrics.queued.clone());
            registry.register("leader", "1 while this replica is the leader", metrics.leader.clone());
        });
        metrics.register(|registry| registry.register_collector(Box::new(metrics.gauges.clone())));
        metrics
    }

    pub(crate) fn register(&self, add: impl FnOnce(&mut Registry)) {
        add(&mut self.registry.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Objects of a controller that wait for a worker.
    pub(crate) fn queued(&self, controller: &'static str) -> Gauge {
        self.queued.get_or_create(&Controller { controller }).clone()
    }

    /// All metrics in the `OpenMetrics` text format.
    pub(crate) fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry.lock().unwrap_or_else(PoisonError::into_inner))?;
        Ok(text)
    }
}

impl Reconciles {
    pub(crate) fn observe(&self, controller: &'static str, took: Duration, failure: Option<&'static str>) {
        self.seconds.get_or_create(&Controller { controller }).observe(took.as_secs_f64());
        if let Some(reason) = failure {
            self.failures.get_or_create(&Failed { controller, reason }).inc();
        }
    }
}

impl Default for Reconciles {
    fn default() -> Self {
        Self {
            seconds: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.002, 4.0, 9))),
            failures: Family::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_failures_are_shown_by_controller() {
        let metrics = Metrics::new();
        metrics.reconciles.observe("ring", Duration::from_millis(20), Some("Conflict"));
        let text = metrics.text().unwrap();
        assert!(text.contains(r#"operator_reconcile_seconds_count{controller="ring"} 1"#), "{text}");
        assert!(
            text.contains(r#"operator_reconcile_failures_total{controller="ring",reason="Conflict"} 1"#),
            "{text}"
        );
        assert!(text.contains("operator_leader 0"), "{text}");
    }
}
