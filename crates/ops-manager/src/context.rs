//! What every reconcile of this operator works with.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use api::ops_request::Phase;
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
    /// The resource version that was last known to be the newest, by UID, of each request that is under way.
    pub newest: Arc<Mutex<HashMap<String, String>>>,
}

impl Context {
    /// Makes sure that the cache is not behind the API server. Answers whether it is sure.
    ///
    /// A replica that comes to lead may have been told of the request long ago: what it would do next, the leader before it may
    /// have done, and taken back. And what wakes a request, such as an event of one of its pods, may overtake the news of the
    /// status that this process has just written: the step after it would be taken twice, and its story refused as a conflict.
    pub async fn confirm(&self, request: &CassandraOpsRequest) -> kube::Result<bool> {
        let uid = request.uid().unwrap_or_default();
        if self.newest().get(&uid).is_some_and(|newest| request.resource_version().as_ref() == Some(newest)) {
            return Ok(true);
        }
        let api = self.operator.api::<CassandraOpsRequest>(request.namespace().as_deref());
        let newest = api.get_metadata_opt(&request.name_any()).await?;
        let sure = newest.is_some_and(|newest| newest.resource_version() == request.resource_version());
        if sure {
            self.newest().extend(request.resource_version().map(|version| (uid, version)));
        }
        Ok(sure)
    }

    /// The request as this process has just written it.
    pub fn wrote(&self, request: &CassandraOpsRequest) {
        if request.phase() == Phase::Progressing {
            self.newest().extend(request.uid().zip(request.resource_version()));
        }
    }

    /// Nothing needs to be known any more of a request that has ended.
    pub fn forget(&self, request: &CassandraOpsRequest) {
        self.newest().remove(&request.uid().unwrap_or_default());
    }

    fn newest(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
