//! What every reconcile of a Cassandra works with.

use operator::{Object, Operator};

use crate::caches::Caches;
use crate::error::Error;
use crate::health::Health;

/// What all reconciles share.
pub struct Context {
    /// Writes, events, the time.
    pub operator: Operator,
    /// What is there.
    pub caches: Caches,
    /// What the nodes say, and what is remembered of each Cassandra.
    pub health: Health,
    /// Image of this program.
    pub image: String,
}

impl Context {
    /// An object that no cache holds, or holds yet.
    pub async fn read<K: Object>(&self, namespace: &str, name: &str) -> Result<Option<K>, Error> {
        let api = self.operator.api::<K>(Some(namespace));
        api.get_opt(name).await.map_err(|source| {
            let what = format!("{} {namespace}/{name}", K::kind(&()));
            Error::Read { what, source }
        })
    }
}
