//! The PetSet of a rack.
//!
//! Only the images and the user that they run as depend on the version of Cassandra, see [`crate::set_release`].

use api::petset::PetSetSpec;
use api::pod_template::{PlacementPolicyRef, PodTemplate, TemplateMetadata};
use api::{CassandraVersion, PetSet, labels, names};
use k8s_openapi::api::apps::v1::{
    StatefulSetPersistentVolumeClaimRetentionPolicy, StatefulSetUpdateStrategy,
};
use k8s_openapi::api::core::v1::{
    EmptyDirVolumeSource, PersistentVolumeClaim, PodTemplateSpec, SecretVolumeSource, Volume,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

use crate::resolved::{Rack, Resolved};
use crate::{pod, template};

pub(crate) fn petset(resolved: &Resolved, rack: &Rack, version: &CassandraVersion, image: &str) -> PetSet {
    let user = rack.template;
    let selectors = labels::petset_selectors(&resolved.name, &rack.petset);
    let mut pods = ObjectMeta { labels: Some(resolved.labels()), ..ObjectMeta::default() };
    add(&mut pods, user.and_then(|user| user.metadata.as_ref()));
    pods.labels.get_or_insert_default().extend(selectors.clone());

    let mut pod = pod::spec(resolved, rack, version, image);
    pod.volumes.get_or_insert_default().extend(volumes(resolved, rack));
    let spec = PetSetSpec {
        replicas: Some(rack.replicas),
        selector: LabelSelector { match_labels: Some(selectors), ..LabelSelector::default() },
        service_name: names::governing_service(&rack.petset),
        template: PodTemplateSpec { metadata: Some(pods), spec: Some(pod) },
        volume_claim_templates: rack.storage.map(|_| vec![claim(resolved, rack)]),
        // Parallel: a pod that cannot start must not block the others. New nodes wait for each other in their init container.
        pod_management_policy: Some("Parallel".to_owned()),
        // The ops-manager replaces pods one by one over all racks, and checks the ring in between.
        update_strategy: Some(StatefulSetUpdateStrategy {
            type_: Some("OnDelete".to_owned()),
            ..StatefulSetUpdateStrategy::default()
        }),
        persistent_volume_claim_retention_policy: Some(StatefulSetPersistentVolumeClaimRetentionPolicy {
            when_deleted: Some("Retain".to_owned()),
            when_scaled: Some("Retain".to_owned()),
        }),
        pod_placement_policy: Some(placement(user)),
        ..PetSetSpec::default()
    };
    template::identified(PetSet { metadata: metadata(resolved, rack), spec, status: None })
}

/// The present PetSet of a rack with another template. Whatever else has been edited in the spec of the Cassandra waits for the
/// provisioner.
pub fn given(resolved: &Resolved, rack: &Rack, present: &PetSet, pods: PodTemplateSpec) -> PetSet {
    let spec = PetSetSpec { template: pods, ..present.spec.clone() };
    template::identified(PetSet { metadata: metadata(resolved, rack), spec, status: None })
}

fn metadata(resolved: &Resolved, rack: &Rack) -> ObjectMeta {
    let mut metadata = resolved.meta(rack.petset.clone());
    add(&mut metadata, rack.template.and_then(|user| user.controller.as_ref()));
    let selectors = labels::petset_selectors(&resolved.name, &rack.petset);
    metadata.labels.get_or_insert_default().extend(selectors);
    note(&mut metadata, resolved);
    metadata
}

/// The operator's own labels win.
fn add(metadata: &mut ObjectMeta, user: Option<&TemplateMetadata>) {
    let Some(user) = user else { return };
    let mut all = labels::inheritable(&user.labels);
    all.append(metadata.labels.get_or_insert_default());
    metadata.labels = Some(all);
    metadata.annotations = Some(user.annotations.clone());
}

/// The operator's own annotations; values from the user are dropped.
fn note(metadata: &mut ObjectMeta, resolved: &Resolved) {
    if let Some(annotations) = &mut metadata.annotations {
        annotations.remove(names::CLUSTER_NAME);
    }
    if let Some(note) = resolved.kept.note(&resolved.name) {
        metadata.annotations.get_or_insert_default().extend(note);
    }
}

fn placement(user: Option<&PodTemplate>) -> PlacementPolicyRef {
    let named = user.and_then(|user| user.spec.as_ref()?.pod_placement_policy.clone());
    named.unwrap_or_else(|| PlacementPolicyRef { name: names::DEFAULT_PLACEMENT_POLICY.to_owned() })
}

fn claim(resolved: &Resolved, rack: &Rack) -> PersistentVolumeClaim {
    let mut spec = rack.storage.cloned().unwrap_or_default();
    spec.access_modes.get_or_insert_with(|| vec!["ReadWriteOnce".to_owned()]);
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(names::DATA_VOLUME.to_owned()),
            annotations: resolved.kept.note_of_claims(&resolved.name),
            ..ObjectMeta::default()
        },
        spec: Some(spec),
        ..PersistentVolumeClaim::default()
    }
}

fn volumes(resolved: &Resolved, rack: &Rack) -> Vec<Volume> {
    let empty = |name: &str| Volume {
        name: name.to_owned(),
        empty_dir: Some(EmptyDirVolumeSource::default()),
        ..Volume::default()
    };
    let secret = |name: &str, secret: String| Volume {
        name: name.to_owned(),
        secret: Some(SecretVolumeSource { secret_name: Some(secret), ..SecretVolumeSource::default() }),
        ..Volume::default()
    };
    let configuration = resolved.cassandra.spec.configuration.as_ref();
    let user = configuration.and_then(|it| it.secret_name.clone());
    let mut volumes = vec![empty("config"), empty("logs"), empty("tmp")];
    volumes.push(secret(names::CONFIG_VOLUME, resolved.kept.config_secret.clone()));
    volumes.extend(user.map(|name| secret("custom-config", name)));
    volumes.extend(rack.storage.is_none().then(|| empty(names::DATA_VOLUME)));
    volumes
}
