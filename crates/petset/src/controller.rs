//! Watches PetSets, their StatefulSets and the PlacementPolicies, and keeps each StatefulSet as its PetSet wants it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use api::{PetSet, PlacementPolicy, labels};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::runtime::reflector::ObjectRef;
use kube::{Resource, ResourceExt};
use operator::{
    Cache, CacheBuilder, Events, Failure, Operator, Queue, Retry, WriteError, Writer, controller, itself,
    spec_changed,
};

use crate::{desired, status};

/// Field manager of what this controller applies.
const MANAGER: &str = "petset";

/// Prepares the watch of all PetSets that carry the label `app.kubernetes.io/managed-by=kubedb.com`; others are not ours.
/// The caller may add its own listeners, starts it, and hands the cache and the queue to [`run`].
pub fn watch(operator: &Operator, namespace: Option<&str>, queue: &Queue<PetSet>) -> CacheBuilder<PetSet> {
    Cache::builder(operator, operator.api(namespace)).labels(&ours()).notify_if(queue, spec_changed, itself)
}

/// Runs the controller until the process is asked to end.
pub async fn run(
    operator: &Operator,
    namespace: Option<&str>,
    petsets: &Cache<PetSet>,
    queue: Queue<PetSet>,
) -> anyhow::Result<()> {
    // By name, not by owner: a foreign StatefulSet that has the name of a PetSet concerns the PetSet too.
    let stateful_sets = Cache::builder(operator, operator.api::<StatefulSet>(namespace))
        .labels(&ours())
        .notify(&queue, namesake)
        .start();
    let users = petsets.clone();
    let policies = Cache::builder(operator, operator.api::<PlacementPolicy>(None))
        .notify_if(&queue, spec_changed, move |policy| users_of(policy, &users))
        .start();
    let context = Arc::new(Context {
        stateful_sets,
        policies,
        writer: operator.writer.manager(MANAGER),
        events: operator.events.clone(),
        written: Written::default(),
    });
    controller::run(operator, "petset", petsets, queue, context, reconcile).await
}

fn ours() -> String {
    format!("{}={}", labels::MANAGED_BY, labels::MANAGER)
}

fn namesake(stateful_set: &StatefulSet) -> Option<ObjectRef<PetSet>> {
    let namespace = stateful_set.namespace()?;
    Some(ObjectRef::new(&stateful_set.name_any()).within(&namespace))
}

fn users_of(policy: &PlacementPolicy, petsets: &Cache<PetSet>) -> Vec<ObjectRef<PetSet>> {
    let all = petsets.all();
    let uses = |petset: &&Arc<PetSet>| policy_of(petset) == policy.metadata.name.as_deref();
    all.iter().filter(uses).map(|petset| ObjectRef::from_obj(&**petset)).collect()
}

fn policy_of(petset: &PetSet) -> Option<&str> {
    petset.spec.pod_placement_policy.as_ref().map(|policy| policy.name.as_str())
}

struct Context {
    stateful_sets: Cache<StatefulSet>,
    policies: Cache<PlacementPolicy>,
    writer: Writer,
    events: Events,
    written: Written,
}

/// The status is mirrored even if the StatefulSet could not be applied: the pods of a PetSet with a faulty spec keep running.
async fn reconcile(petset: Arc<PetSet>, context: Arc<Context>) -> Result<Option<Duration>, Error> {
    if petset.metadata.deletion_timestamp.is_some() {
        return Ok(None); // The garbage collector does the rest.
    }
    let namespace = petset.namespace().unwrap_or_default();
    let known = context.stateful_sets.get(&namespace, &petset.name_any());
    if context.written.is_ahead_of(known.as_deref()) {
        return Ok(None); // The cache triggers us again when it has caught up.
    }
    let outcome = bring_about(&petset, known.as_deref(), &context).await;
    let held = matches!(outcome, Ok(Some(_)));
    let stateful_set = match &outcome {
        Ok(Some(applied)) => Some(applied),
        _ => known.as_deref().filter(|known| controller_of(known).is_some_and(|owner| is(&petset, owner))),
    };
    if let Some(stateful_set) = stateful_set {
        context.writer.status(&*petset, &status::of(&petset, stateful_set, held)).await?;
    }
    outcome.map(|_| None)
}

/// Applies the StatefulSet of this PetSet. `None` if something must happen first; that change triggers us again.
async fn bring_about(
    petset: &PetSet,
    known: Option<&StatefulSet>,
    context: &Context,
) -> Result<Option<StatefulSet>, Error> {
    if let Some(known) = known {
        if is_leaving(known, petset) {
            return Ok(None);
        }
        if let Some(owner) = controller_of(known)
            && !is(petset, owner)
        {
            return Err(Error::Foreign {
                name: petset.name_any(),
                owner: format!("{} {}", owner.kind, owner.name),
            });
        }
    }
    let policy = policy_of(petset).map(|name| (name, context.policies.cluster(name)));
    if let Some((name, None)) = policy {
        let note = format!("PlacementPolicy {name} does not exist: create it, or name another one");
        context.events.warning(petset, "PlacementPolicyMissing", "Place", &note).await;
        return Ok(None);
    }
    let desired = desired::stateful_set(petset, policy.and_then(|(_, policy)| policy).as_deref());
    if let Some((known, why)) =
        known.and_then(|known| Some((known, desired::needs_another(&desired, known)?)))
    {
        // Kubernetes orphans its pods first. Its deletion triggers us again, and we create a new one, which adopts the pods.
        context.writer.delete_alone(known).await.map_err(Error::from)?;
        let note = format!("StatefulSet {} is made anew around its pods: {why}", petset.name_any());
        context.events.normal(petset, "StatefulSetMadeAnew", "MakeAnew", &note).await;
        return Ok(None);
    }
    let applied = context.writer.apply(desired, known).await.map_err(Error::from)?;
    if applied.written {
        context.written.remember(&applied.object);
    }
    Ok(Some(applied.object))
}

/// Being deleted, or about to be: the garbage collector removes a StatefulSet whose owner is an earlier PetSet of this name.
fn is_leaving(stateful_set: &StatefulSet, petset: &PetSet) -> bool {
    let is_namesake = |owner: &OwnerReference| {
        (owner.api_version.as_str(), owner.kind.as_str()) == (&PetSet::api_version(&()), &PetSet::kind(&()))
            && owner.name == petset.name_any()
    };
    let owner = controller_of(stateful_set);
    stateful_set.metadata.deletion_timestamp.is_some()
        || owner.is_some_and(|owner| is_namesake(owner) && !is(petset, owner))
}

fn controller_of(stateful_set: &StatefulSet) -> Option<&OwnerReference> {
    stateful_set.owner_references().iter().find(|owner| owner.controller == Some(true))
}

fn is(petset: &PetSet, owner: &OwnerReference) -> bool {
    petset.metadata.uid.as_ref() == Some(&owner.uid)
}

/// Generations of the StatefulSets that we have written and not yet seen in the cache.
///
/// A cache that is behind our own last write may show an older state that happens to be wanted again (an update that was
/// reverted at once). We would then write nothing and report that state as reached.
#[derive(Default)]
struct Written(Mutex<HashMap<String, i64>>);

impl Written {
    fn remember(&self, stateful_set: &StatefulSet) {
        if let (Some(uid), Some(generation)) = (stateful_set.uid(), stateful_set.metadata.generation) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(uid, generation);
        }
    }

    fn is_ahead_of(&self, known: Option<&StatefulSet>) -> bool {
        let Some(known) = known else { return false };
        let uid = known.uid().unwrap_or_default();
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ahead = written.get(&uid) > known.metadata.generation.as_ref();
        if !ahead {
            written.remove(&uid);
        }
        ahead
    }
}

/// Why a StatefulSet is not as its PetSet wants it.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("StatefulSet {name} belongs to {owner}: delete it, or give the PetSet another name")]
    Foreign { name: String, owner: String },
    #[error(
        "of an existing PetSet, serviceName, selector and volumeClaimTemplates cannot be changed: \
         put them back, or run `kubectl delete statefulset {name} --cascade=orphan` to have it made anew around its pods"
    )]
    Immutable { name: String, source: WriteError },
    #[error(transparent)]
    Invalid(WriteError),
    #[error(transparent)]
    Write(WriteError),
}

impl From<WriteError> for Error {
    fn from(error: WriteError) -> Self {
        match &error {
            WriteError::Refused { code: 422, request, message }
                if message.contains("updates to statefulset spec") =>
            {
                Self::Immutable { name: request.name.clone(), source: error }
            }
            WriteError::Refused { code: 422, .. } => Self::Invalid(error),
            _ => Self::Write(error),
        }
    }
}

impl Failure for Error {
    fn reason(&self) -> &'static str {
        match self {
            Self::Foreign { .. } => "StatefulSetNotOurs",
            Self::Immutable { .. } => "ImmutableField",
            Self::Invalid(_) => "InvalidSpec",
            Self::Write(error) => error.reason(),
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Foreign { .. } | Self::Immutable { .. } | Self::Invalid(_) => Retry::Never,
            Self::Write(error) => error.retry(),
        }
    }
}

#[cfg(test)]
mod tests;
