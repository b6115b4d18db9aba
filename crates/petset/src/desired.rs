//! PetSet -> StatefulSet.

use api::{PetSet, PlacementPolicy};
use k8s_openapi::api::apps::v1::{
    RollingUpdateStatefulSetStrategy, StatefulSet, StatefulSetPersistentVolumeClaimRetentionPolicy,
    StatefulSetSpec, StatefulSetUpdateStrategy,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::{Resource, ResourceExt};

use crate::placement;

/// The StatefulSet of a PetSet. Defaults are explicit, so that a manual edit of such a field is detected and reverted.
pub fn stateful_set(petset: &PetSet, policy: Option<&PlacementPolicy>) -> StatefulSet {
    let spec = &petset.spec;
    let mut template = spec.template.clone();
    if let Some(policy) = policy {
        placement::place(template.spec.get_or_insert_default(), policy, &spec.selector);
    }
    StatefulSet {
        metadata: metadata(petset),
        spec: Some(StatefulSetSpec {
            replicas: Some(spec.replicas.unwrap_or(1)),
            selector: spec.selector.clone(),
            service_name: Some(spec.service_name.clone()),
            template,
            volume_claim_templates: spec.volume_claim_templates.clone(),
            pod_management_policy: Some(
                spec.pod_management_policy.clone().unwrap_or_else(|| "OrderedReady".to_owned()),
            ),
            update_strategy: Some(update_strategy(spec.update_strategy.as_ref())),
            revision_history_limit: Some(spec.revision_history_limit.unwrap_or(10)),
            min_ready_seconds: Some(spec.min_ready_seconds.unwrap_or(0)),
            persistent_volume_claim_retention_policy: Some(retention(
                spec.persistent_volume_claim_retention_policy.as_ref(),
            )),
            ordinals: spec.ordinals.clone(),
        }),
        status: None,
    }
}

/// Why the existing StatefulSet must be replaced: a field differs that is immutable, but is safe to change by deleting the
/// StatefulSet without its pods and creating it again. `None` if there is no such field.
pub fn needs_another(desired: &StatefulSet, known: &StatefulSet) -> Option<String> {
    let policy = |set: &StatefulSet| set.spec.as_ref()?.pod_management_policy.clone();
    let (wanted, found) = (policy(desired)?, policy(known)?);
    (wanted != found).then(|| format!("podManagementPolicy {wanted} instead of {found}"))
}

fn metadata(petset: &PetSet) -> ObjectMeta {
    let meta = &petset.metadata;
    let annotations = petset
        .annotations()
        .iter()
        .filter(|(key, _)| !is_bookkeeping(key))
        .map(|(k, v)| (k.clone(), v.clone()));
    ObjectMeta {
        name: meta.name.clone(),
        namespace: meta.namespace.clone(),
        labels: meta.labels.clone(),
        annotations: Some(annotations.collect()),
        owner_references: petset
            .controller_owner_ref(&())
            .map(|owner| vec![OwnerReference { block_owner_deletion: Some(true), ..owner }]),
        ..ObjectMeta::default()
    }
}

/// Whether the annotation is a writer's note about the PetSet itself, which would be wrong on another object.
fn is_bookkeeping(annotation: &str) -> bool {
    annotation.starts_with("applied-by/") || annotation == "kubectl.kubernetes.io/last-applied-configuration"
}

fn update_strategy(wanted: Option<&StatefulSetUpdateStrategy>) -> StatefulSetUpdateStrategy {
    let mut strategy = wanted.cloned().unwrap_or_default();
    let type_ = strategy.type_.get_or_insert_with(|| "RollingUpdate".to_owned());
    if type_ == "RollingUpdate" {
        let rolling: &mut RollingUpdateStatefulSetStrategy = strategy.rolling_update.get_or_insert_default();
        rolling.partition.get_or_insert(0);
    }
    strategy
}

fn retention(
    wanted: Option<&StatefulSetPersistentVolumeClaimRetentionPolicy>,
) -> StatefulSetPersistentVolumeClaimRetentionPolicy {
    let mut retention = wanted.cloned().unwrap_or_default();
    for event in [&mut retention.when_deleted, &mut retention.when_scaled] {
        event.get_or_insert_with(|| "Retain".to_owned());
    }
    retention
}

#[cfg(test)]
mod tests;
