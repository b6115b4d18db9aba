//! What every reconcile of this operator works with.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use api::{Cassandra, CassandraOpsRequest, CassandraVersion, PetSet};
use cassandra::Sessions;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use operator::{Cache, Operator};

/// What every reconcile of this operator works with.
#[derive(Clone)]
pub struct Context {
    /// The running operator.
    pub operator: Operator,
    /// Sessions to the nodes of all rings.
    pub sessions: Sessions,
    /// The requests.
    pub requests: Cache<CassandraOpsRequest>,
    /// The Cassandras.
    pub cassandras: Cache<Cassandra>,
    /// The catalog.
    pub versions: Cache<CassandraVersion>,
    /// The PetSets of the Cassandras.
    pub petsets: Cache<PetSet>,
    /// The pods of the Cassandras.
    pub pods: Cache<Pod>,
    /// UIDs of the requests that were confirmed and have not ended.
    pub confirmed: Arc<Mutex<HashSet<String>>>,
}

impl Context {
    /// Makes sure, once for each request, that the cache is not behind the API server. Answers whether it is sure.
    ///
    /// A replica that comes to lead may have been told of the request long ago: what it would do next, the leader before it may have
    /// done, and taken back. From then on only this process writes what the next step depends on.
    pub async fn confirm(&self, request: &CassandraOpsRequest) -> kube::Result<bool> {
        let uid = request.uid().unwrap_or_default();
        let confirmed = || self.confirmed.lock().unwrap_or_else(PoisonError::into_inner);
        if confirmed().contains(&uid) {
            return Ok(true);
        }
        let api = self.operator.api::<CassandraOpsRequest>(request.namespace().as_deref());
        let newest = api.get_metadata_opt(&request.name_any()).await?;
        let sure = newest.is_some_and(|newest| newest.resource_version() == request.resource_version());
        if sure {
            confirmed().insert(uid);
        }
        Ok(sure)
    }

    /// Nothing needs to be known any more of a request that has ended.
    pub fn forget(&self, request: &CassandraOpsRequest) {
        let mut confirmed = self.confirmed.lock().unwrap_or_else(PoisonError::into_inner);
        confirmed.remove(&request.uid().unwrap_or_default());
    }
}
