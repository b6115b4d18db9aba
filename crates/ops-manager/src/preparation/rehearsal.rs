//! Checks by dry run, before anything is changed, whether the API server would accept a renewed pod.
//!
//! Rules of a namespace may have become stricter since the pods were created. Running pods are not affected, but the first one
//! that a request evicts would not come back, and only an event of the StatefulSet would say why.

use std::collections::BTreeSet;

use api::{PetSet, names};
use k8s_openapi::api::core::v1::{
    ConfigMap, Container, PersistentVolumeClaim, PersistentVolumeClaimVolumeSource, Pod, PodSpec, Secret,
    Volume,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use operator::{Object, WriteError};

use super::quota;
use crate::context::Context;
use crate::observe::{Admission, Observed, Rack};

/// Checks one pod of each rack, and the objects that it mounts. `petsets` have the templates of the renewed pods.
pub(crate) async fn ask(context: &Context, observed: &Observed, petsets: &[PetSet]) -> Admission {
    let namespace = observed.request.namespace().unwrap_or_default();
    for petset in petsets {
        let Some(rack) = observed.racks.iter().find(|rack| rack.petset == petset.name_any()) else {
            continue;
        };
        if let Some(lack) = lack(context, &namespace, petset, rack).await {
            return Admission::Refused(lack);
        }
        let rehearsal = pod(petset);
        match context.operator.writer.rehearse(&rehearsal).await {
            Err(WriteError::Refused { message, .. }) if is_about_the_pod(&message) => {
                return Admission::Refused(format!(
                    "a pod of PetSet {}, once renewed, would not be let in: {message}",
                    rack.petset
                ));
            }
            Err(WriteError::Unavailable { message, .. }) if is_about_the_pod(&message) => {
                return Admission::Unclear(format!(
                    "nobody can tell whether a pod of PetSet {}, once renewed, would be let in: {message}",
                    rack.petset
                ));
            }
            _ => {}
        }
    }
    let Some(first) = petsets.first().map(pod) else { return Admission::Fine };
    quota::lack(context, &namespace, petsets, &first).await.map_or(Admission::Fine, Admission::Refused)
}

/// The first pod of a PetSet as its StatefulSet would create it, under an unused name.
fn pod(petset: &PetSet) -> Pod {
    let template = &petset.spec.template;
    let first = names::pod(&petset.name_any(), 0);
    let metadata = template.metadata.clone().unwrap_or_default();
    let mut spec: PodSpec = template.spec.clone().unwrap_or_default();
    let claims = petset.spec.volume_claim_templates.iter().flatten().map(ResourceExt::name_any);
    let volumes = claims.map(|claim| Volume {
        persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
            claim_name: format!("{claim}-{first}"),
            read_only: None,
        }),
        name: claim,
        ..Volume::default()
    });
    spec.volumes.get_or_insert_default().extend(volumes);
    spec.hostname = Some(first.clone());
    spec.subdomain = Some(petset.spec.service_name.clone());
    Pod {
        metadata: ObjectMeta {
            name: Some(format!("{first}-rehearsal")),
            namespace: petset.namespace(),
            labels: metadata.labels,
            annotations: metadata.annotations,
            ..ObjectMeta::default()
        },
        spec: Some(spec),
        status: None,
    }
}

/// Whether a refusal of the dry run means that the real pod would be refused. A webhook may not support dry runs, and a quota
/// counts the existing pod in addition to the one that would replace it.
fn is_about_the_pod(message: &str) -> bool {
    let knows_no_dry_run = message.contains("does not support dry run");
    let counts_twice = message.contains("exceeded quota") && bears_what_is(message);
    !(knows_no_dry_run || counts_twice)
}

/// Whether the present usage is within the quota, from a message such as `used: pods=3, limited: pods=3`.
fn bears_what_is(message: &str) -> bool {
    let list = |after: &str| -> Vec<(String, String)> {
        let Some((_, list)) = message.split_once(after) else { return vec![] };
        let list = list.split(", limited:").next().unwrap_or_default();
        let pair =
            |pair: &str| pair.trim().split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        list.split(',').filter_map(pair).collect()
    };
    let limits = list("limited: ");
    list("used: ").iter().all(|(name, used)| {
        let limit = limits.iter().find(|(other, _)| other == name);
        limit.is_none_or(|(_, limit)| operator::amount(used) <= operator::amount(limit))
    })
}

/// What the pods of a rack need and does not exist, or would be deleted together with a pod.
async fn lack(context: &Context, namespace: &str, petset: &PetSet, rack: &Rack) -> Option<String> {
    let spec = petset.spec.template.spec.clone().unwrap_or_default();
    for (kind, name) in mounted(&spec) {
        let there = match kind {
            "Secret" => is_there::<Secret>(context, namespace, name).await,
            _ => is_there::<ConfigMap>(context, namespace, name).await,
        };
        if there == Some(None) {
            return Some(format!(
                "{kind} {name}, which the pods of PetSet {} need, does not exist",
                rack.petset
            ));
        }
    }
    for template in petset.spec.volume_claim_templates.iter().flatten() {
        for pod in rack.names() {
            let claim = format!("{}-{pod}", template.name_any());
            if is_there::<PersistentVolumeClaim>(context, namespace, &claim).await == Some(Some(true)) {
                return Some(format!(
                    "PersistentVolumeClaim {claim} is being deleted: it goes with its data when pod {pod} does"
                ));
            }
        }
    }
    None
}

/// Whether an object exists, and whether it is being deleted. Outer `None`: it could not be found out, which does not block the
/// update.
async fn is_there<K: Object>(context: &Context, namespace: &str, name: &str) -> Option<Option<bool>> {
    let api = context.operator.api::<K>(Some(namespace));
    let found = api.get_metadata_opt(name).await.ok()?;
    Some(found.map(|found| found.metadata.deletion_timestamp.is_some()))
}

/// The Secrets and ConfigMaps without which a pod does not start: kind and name.
fn mounted(spec: &PodSpec) -> BTreeSet<(&'static str, &str)> {
    const SECRET: &str = "Secret";
    const CONFIG_MAP: &str = "ConfigMap";
    let mut found: Vec<(&str, &str, Option<bool>)> = vec![];
    for volume in spec.volumes.iter().flatten() {
        found.extend(
            volume.secret.iter().filter_map(|it| Some((SECRET, it.secret_name.as_deref()?, it.optional))),
        );
        found.extend(volume.config_map.iter().map(|it| (CONFIG_MAP, &*it.name, it.optional)));
        for source in volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten()) {
            found.extend(source.secret.iter().map(|it| (SECRET, &*it.name, it.optional)));
            found.extend(source.config_map.iter().map(|it| (CONFIG_MAP, &*it.name, it.optional)));
        }
    }
    for container in containers(spec) {
        for from in container.env_from.iter().flatten() {
            found.extend(from.secret_ref.iter().map(|it| (SECRET, &*it.name, it.optional)));
            found.extend(from.config_map_ref.iter().map(|it| (CONFIG_MAP, &*it.name, it.optional)));
        }
        for from in container.env.iter().flatten().filter_map(|variable| variable.value_from.as_ref()) {
            found.extend(from.secret_key_ref.iter().map(|it| (SECRET, &*it.name, it.optional)));
            found.extend(from.config_map_key_ref.iter().map(|it| (CONFIG_MAP, &*it.name, it.optional)));
        }
    }
    let needed = found.into_iter().filter(|(.., optional)| *optional != Some(true));
    needed.map(|(kind, name, _)| (kind, name)).collect()
}

fn containers(spec: &PodSpec) -> impl Iterator<Item = &Container> {
    spec.init_containers.iter().flatten().chain(&spec.containers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_that_bears_the_pods_that_are_there_bears_a_renewed_one() {
        let full =
            "pods \"p\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=3, limited: pods=3";
        assert!(!is_about_the_pod(full));
        let lowered = "exceeded quota: q, requested: memory=1Gi,pods=1, used: memory=3Gi,pods=3, limited: memory=2Gi,pods=9";
        assert!(is_about_the_pod(lowered));
        assert!(!is_about_the_pod("admission webhook \"w\" does not support dry run"));
        assert!(is_about_the_pod("violates PodSecurity \"restricted:latest\""));
    }
}
