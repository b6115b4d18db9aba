//! State shared by all reconciles of this operator.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use api::ops_request::Phase;
use api::{Cassandra, CassandraOpsRequest, CassandraVersion, PetSet};
use cassandra::Sessions;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use kube::api::ListParams;
use operator::{Cache, Operator};

use crate::turn;

/// A node that takes longer than this to answer is too busy to lose a neighbour.
pub(crate) const ANSWER: Duration = Duration::from_secs(10);

/// State shared by all reconciles of this operator.
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
    /// Image of `render-config`.
    pub image: String,
    /// For each request under way, by UID: the resource version last known to be the newest.
    pub newest: Arc<Mutex<HashMap<String, String>>>,
}

impl Context {
    /// Makes sure that the cached request is the newest one. Returns whether it is.
    ///
    /// The cache of a replica that starts to lead may be old: the former leader may already have taken the next step, and even
    /// reverted it. And an event that triggers a reconcile, such as a change of a pod, may arrive before the watch event of the
    /// status that this process has just written: the step would then be taken twice, and the status write fail with a conflict.
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

    /// Makes sure that no other request for the same Cassandra is in another state than the cache tells. Returns whether it is so.
    pub async fn confirm_others(&self, request: &CassandraOpsRequest) -> kube::Result<bool> {
        let namespace = request.namespace();
        let api = self.operator.api::<CassandraOpsRequest>(namespace.as_deref());
        let newest = api.list(&ListParams::default()).await?;
        let version = |other: &CassandraOpsRequest| (other.uid(), other.resource_version());
        let listed = newest.iter().filter(|other| turn::competes(request, other)).map(version);
        let cached =
            self.requests.filtered(|other| other.namespace() == namespace && turn::competes(request, other));
        let cached: HashSet<_> = cached.iter().map(|other| version(other)).collect();
        Ok(listed.collect::<HashSet<_>>() == cached)
    }

    /// Makes sure that these cached PetSets are the newest ones, apart from their status. Returns whether they are.
    ///
    /// The caches of different kinds are not in step. Going by a PetSet of before its template was changed, a roll-back has
    /// nothing to do, and would leave the template of the target in a ring that is resumed.
    pub async fn confirm_petsets(
        &self,
        namespace: &str,
        names: impl Iterator<Item = &str>,
    ) -> kube::Result<bool> {
        let api = self.operator.api::<PetSet>(Some(namespace));
        let version = |metadata: &ObjectMeta| (metadata.uid.clone(), metadata.generation);
        for name in names {
            let newest = api.get_metadata_opt(name).await?.map(|it| version(&it.metadata));
            if newest != self.petsets.get(namespace, name).map(|it| version(&it.metadata)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Remembers the resource version of a request that this process has just written.
    pub fn wrote(&self, request: &CassandraOpsRequest) {
        if request.phase() == Phase::Progressing {
            self.newest().extend(request.uid().zip(request.resource_version()));
        }
    }

    /// Forgets a request that has ended.
    pub fn forget(&self, request: &CassandraOpsRequest) {
        self.newest().remove(&request.uid().unwrap_or_default());
    }

    fn newest(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
