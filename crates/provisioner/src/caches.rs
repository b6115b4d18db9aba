//! The caches of watched objects, and which Cassandra each change concerns.

use std::sync::Arc;

use api::{AppBinding, Cassandra, CassandraVersion, PetSet, labels};
use k8s_openapi::api::core::v1::{Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use operator::{Cache, CacheBuilder, Object, Operator, Queue, itself, spec_changed};

/// Readiness message while the catalog is empty.
const CATALOG: &str = "a CassandraVersion: the catalog is empty, so no Cassandra can be made";

/// Everything that a reconcile reads. Apart from Cassandras and versions, only objects with the operator's labels.
pub struct Caches {
    pub cassandras: Cache<Cassandra>,
    pub versions: Cache<CassandraVersion>,
    pub petsets: Cache<PetSet>,
    pub pods: Cache<Pod>,
    pub services: Cache<Service>,
    pub secrets: Cache<Secret>,
    pub budgets: Cache<PodDisruptionBudget>,
    pub accounts: Cache<ServiceAccount>,
    pub bindings: Cache<AppBinding>,
}

impl Caches {
    /// Starts the watches. Changes wake `queue`; those of PetSets wake `petset_queue` too.
    pub fn start(
        operator: &Operator,
        namespace: Option<&str>,
        queue: &Queue<Cassandra>,
        petset_queue: &Queue<PetSet>,
    ) -> Self {
        let cassandras = Cache::builder(operator, operator.api::<Cassandra>(namespace))
            .notify_if(queue, spec_changed, itself)
            .start();
        let users = cassandras.clone();
        Self {
            versions: Cache::builder(operator, operator.api(None))
                .needed(CATALOG)
                .notify_if(queue, spec_changed, move |version| users_of(version, &users))
                .start(),
            petsets: petset::watch(operator, namespace, petset_queue).notify(queue, owner).start(),
            pods: ours(operator, namespace).notify_if(queue, is_news, owner).start(),
            budgets: ours(operator, namespace).notify_if(queue, spec_changed, owner).start(),
            bindings: ours(operator, namespace).notify_if(queue, spec_changed, owner).start(),
            // These kinds have no generation, so every change counts.
            services: ours(operator, namespace).notify(queue, owner).start(),
            secrets: ours(operator, namespace).notify(queue, owner).start(),
            accounts: ours(operator, namespace).notify(queue, owner).start(),
            cassandras,
        }
    }
}

fn ours<K: Object>(operator: &Operator, namespace: Option<&str>) -> CacheBuilder<K> {
    Cache::builder(operator, operator.api(namespace)).labels(labels::ALL_SELECTOR)
}

/// Found by label, since pods are owned by their StatefulSet and the auth Secret by nobody.
fn owner<K: Object>(object: &K) -> Option<ObjectRef<Cassandra>> {
    let name = labels::cassandra_of(object.labels())?;
    Some(ObjectRef::new(name).within(&object.namespace()?))
}

fn users_of(version: &CassandraVersion, cassandras: &Cache<Cassandra>) -> Vec<ObjectRef<Cassandra>> {
    let name = version.name_any();
    let uses = |cassandra: &&Arc<Cassandra>| cassandra.spec.version == name;
    cassandras.all().iter().filter(uses).map(|cassandra| ObjectRef::from_obj(&**cassandra)).collect()
}

/// Whether a change of a pod matters here. Heartbeats do not.
fn is_news(before: &Pod, after: &Pod) -> bool {
    fn told(pod: &Pod) -> impl PartialEq + use<'_> {
        let status = pod.status.as_ref();
        (
            &pod.metadata.deletion_timestamp,
            status.map(|status| (&status.pod_ip, &status.phase)),
            status.map(|status| (&status.init_container_statuses, &status.container_statuses)),
            status.and_then(|status| status.conditions.as_ref()).map(|all| {
                all.iter().map(|one| (one.type_.as_str(), one.status.as_str())).collect::<Vec<_>>()
            }),
        )
    }
    told(before) != told(after)
}
