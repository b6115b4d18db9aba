//! What every reconcile of a Cassandra works with.

use std::time::Duration;

use api::halt::WritePermit;
use api::{Cassandra, CassandraStatus};
use kube::Api;
use operator::{Clock, Events, Object, Operator, WriteError, Writer};

use crate::caches::Caches;
use crate::error::Error;
use crate::health::Health;

/// Shared by all reconciles.
pub struct Context {
    operator: Operator,
    /// The watched objects.
    pub caches: Caches,
    /// Results of the health checks, and what is remembered of each Cassandra.
    pub health: Health,
    /// Image of `render-config`.
    pub image: String,
}

impl Context {
    /// The context of an operator.
    pub fn new(operator: Operator, caches: Caches, health: Health, image: String) -> Self {
        Self { operator, caches, health, image }
    }

    /// Changes objects of the Cassandra that the permit is for.
    pub fn writer(&self, _permit: WritePermit) -> &Writer {
        &self.operator.writer
    }

    /// Writes the status, which needs no permit.
    pub async fn status(
        &self,
        cassandra: &Cassandra,
        status: &CassandraStatus,
    ) -> Result<Cassandra, WriteError> {
        self.operator.writer.status(cassandra, status).await
    }

    /// Records events.
    pub fn events(&self) -> &Events {
        &self.operator.events
    }

    /// The clock of this process.
    pub fn clock(&self) -> &Clock {
        &self.operator.clock
    }

    /// After how long to look again at a namespace that is being deleted.
    pub fn ends(&self, namespace: &str) -> Option<Duration> {
        self.operator.writer.ends(namespace)
    }

    /// To read what is not cached.
    pub fn api<K: Object>(&self, namespace: &str) -> Api<K> {
        self.operator.api(Some(namespace))
    }

    /// Reads an object from the API server: one that is not cached, or not yet.
    pub async fn read<K: Object>(&self, namespace: &str, name: &str) -> Result<Option<K>, Error> {
        self.api::<K>(namespace).get_opt(name).await.map_err(|source| {
            let what = format!("{} {namespace}/{name}", K::kind(&()));
            Error::Read { what, source }
        })
    }
}
