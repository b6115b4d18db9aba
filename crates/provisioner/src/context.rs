//! What every reconcile of a Cassandra works with.

use operator::{Object, Operator};

use crate::caches::Caches;
use crate::error::Error;
use crate::health::Health;

/// Shared by all reconciles.
pub struct Context {
    /// Writer, events and clock.
    pub operator: Operator,
    /// The watched objects.
    pub caches: Caches,
    /// Results of the health checks, and what is remembered of each Cassandra.
    pub health: Health,
    /// Image of `render-config`.
    pub image: String,
}

impl Context {
    /// Reads an object from the API server: one that is not cached, or not yet.
    pub async fn read<K: Object>(&self, namespace: &str, name: &str) -> Result<Option<K>, Error> {
        let api = self.operator.api::<K>(Some(namespace));
        api.get_opt(name).await.map_err(|source| {
            let what = format!("{} {namespace}/{name}", K::kind(&()));
            Error::Read { what, source }
        })
    }
}
