//! What a running operator shares with its controllers.

use kube::{Api, Client};
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use crate::{
    Clock, Events, Leader, Object, Sample, Scope, Writer, metrics::Metrics, object::Placement, probes::Health,
};

/// What a running operator shares with its controllers. Clones are cheap and share everything.
#[derive(Clone)]
pub struct Operator {
    /// For reads. Writes go through the writer.
    pub client: Client,
    /// For writes; its field manager is the operator's name.
    pub writer: Writer,
    /// Whether this replica may write.
    pub leader: Leader,
    /// For `kubectl describe`.
    pub events: Events,
    /// Cancelled when the process is asked to end.
    pub shutdown: CancellationToken,
    /// The time of day.
    pub clock: Clock,
    /// Where to work.
    pub scope: Scope,
    /// How many objects of a kind are worked on at the same time.
    pub concurrency: u16,
    pub(crate) metrics: Metrics,
    pub(crate) health: Health,
}

impl Operator {
    /// The objects of a kind in one of the [`Scope::instances`]. A cluster-scoped kind ignores the namespace.
    pub fn api<K: Object>(&self, namespace: Option<&str>) -> Api<K> {
        <K::Scope as Placement>::api(self.client.clone(), namespace)
    }

    /// Adds gauges that are computed at each scrape. Their names need a prefix of their own.
    pub fn register_gauges(&self, source: impl Fn() -> Vec<Sample> + Send + Sync + 'static) {
        self.metrics.gauges.add(source);
    }

    /// Adds metrics to those of the operator. Their names need a prefix of their own.
    pub fn register_metrics(&self, add: impl FnOnce(&mut Registry)) {
        self.metrics.register(add);
    }
}
