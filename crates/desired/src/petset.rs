//! The PetSet of a rack.
//!
//! Only the images and the user that they run as depend on the version of Cassandra, see [`crate::set_release`].

use api::petset::PetSetSpec;
use api::pod_template::{PlacementPolicyRef, PodTemplate, TemplateMetadata};
use api::{PetSet, labels, names};
use k8s_openapi::api::apps::v1::{
    StatefulSetPersistentVolumeClaimRetentionPolicy, StatefulSetUpdateStrategy,
};
use k8s_openapi::api::core::v1::{
    EmptyDirVolumeSource, KeyToPath, PersistentVolumeClaim, PodTemplateSpec, SecretVolumeSource, Volume,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use settings::layout::MEMBERS_KEY;

use crate::resolved::{Rack, Resolved};
use crate::{Inputs, Keys, pod, template};

pub(crate) fn petset(resolved: &Resolved, rack: &Rack, inputs: &Inputs) -> PetSet {
    let user = rack.template;
    let selectors = labels::petset_selectors(&resolved.name, &rack.petset);
    let mut pods = ObjectMeta { labels: Some(resolved.labels()), ..ObjectMeta::default() };
    add(&mut pods, user.and_then(|user| user.metadata.as_ref()));
    pods.labels.get_or_insert_default().extend(selectors.clone());

    let mut pod = pod::spec(resolved, rack, inputs);
    pod.volumes.get_or_insert_default().extend(volumes(resolved, rack, inputs.keys));
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

fn volumes(resolved: &Resolved, rack: &Rack, keys: &Keys) -> Vec<Volume> {
    let empty = |name: &str| Volume {
        name: name.to_owned(),
        empty_dir: Some(EmptyDirVolumeSource::default()),
        ..Volume::default()
    };
    let files = |name: &str, items: Option<Vec<KeyToPath>>| Volume {
        name: name.to_owned(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(resolved.kept.config_secret.clone()),
            items,
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    };
    let item = |file: &str, key: &str| KeyToPath { key: key.to_owned(), path: file.to_owned(), mode: None };
    let (custom, own): (Vec<_>, Vec<_>) = keys.iter().partition(|(file, _)| *file == names::CONFIG_KEY);
    let items =
        |all: Vec<(&String, &String)>| all.into_iter().map(|(file, key)| item(file, key)).collect::<Vec<_>>();
    // Without items the volume has every key under its own name, as in the pods of rings that are older than the items.
    let is_first = own.iter().all(|(file, key)| file == key);
    let own = items(own).into_iter().chain([item(MEMBERS_KEY, MEMBERS_KEY)]).collect();
    let mut volumes = vec![empty("config"), empty("logs"), empty("tmp")];
    volumes.push(files(names::CONFIG_VOLUME, Some(own).filter(|_| !is_first)));
    volumes.extend((!custom.is_empty()).then(|| files(names::CUSTOM_CONFIG_VOLUME, Some(items(custom)))));
    volumes.extend(rack.storage.is_none().then(|| empty(names::DATA_VOLUME)));
    volumes
}
