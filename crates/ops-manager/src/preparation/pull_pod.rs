//! A pod that only pulls an image: it is bound to a Kubernetes node, runs nothing but a search for classes in the image, and is
//! then removed.

use api::CassandraOpsRequest;
use api::labels::{self, Labels};
use api::names;
use k8s_openapi::api::core::v1::{
    Capabilities, Container, ContainerStatus, Pod, PodSpec, ResourceRequirements, SeccompProfile,
    SecurityContext, Toleration,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource, ResourceExt};

use super::known_to_target::look::{self, Look};
use crate::observe::node::trouble;

/// Where the image must be pulled.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Place {
    /// The Kubernetes node.
    pub host: String,
    /// A pod of the ring on it.
    pub pod: String,
    /// The PetSet of that pod.
    pub petset: String,
}

/// The state of a pod that only pulls an image.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PullPod {
    /// Name of the pod.
    pub name: String,
    /// UID of the pod.
    pub uid: String,
    /// The Kubernetes node that it pulls for.
    pub host: String,
    /// The image that it was made for. Its container may have another name of it, which a webhook has given it.
    pub image: String,
    /// State of the pull.
    pub state: PullState,
    /// The classes that it searches, and the result.
    pub look: Look,
    /// It is being deleted.
    pub terminating: bool,
}

/// State of a pull.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PullState {
    /// In progress; what it waits for.
    Pulling(String),
    /// The image is on the node.
    Pulled,
    /// The node cannot get the image: why.
    Missing(String),
    /// The node did not accept the pod, which says nothing about the image: why.
    Refused(String),
}

/// Name of the only container.
const CONTAINER: &str = "pull";
/// Annotation with the image that the pod was made for.
const IMAGE: &str = "ops.kubedb.com/image";

/// Builds a `PullPod` from a pod.
pub(crate) fn read(pod: &Pod) -> PullPod {
    let spec = pod.spec.as_ref();
    PullPod {
        name: pod.name_any(),
        uid: pod.uid().unwrap_or_default(),
        host: spec.and_then(|spec| spec.node_name.clone()).unwrap_or_default(),
        image: pod.annotations().get(IMAGE).cloned().unwrap_or_default(),
        state: state(pod),
        look: look::read(spec.and_then(|spec| spec.containers.first()), answer(pod)),
        terminating: pod.metadata.deletion_timestamp.is_some(),
    }
}

fn state(pod: &Pod) -> PullState {
    let Some(status) = &pod.status else { return PullState::Pulling("the node to see the pod".to_owned()) };
    let containers = status.container_statuses.iter().flatten();
    let container = containers.into_iter().find(|container| container.name == CONTAINER);
    let waiting = container.and_then(|c| c.state.as_ref()?.waiting.as_ref()?.reason.clone());
    if container.is_some_and(|c| c.state.as_ref().is_some_and(|state| state.running.is_some())) {
        PullState::Pulling("the look into the image to end".to_owned())
    } else if container.is_some_and(is_there) {
        PullState::Pulled
    } else if let Some(trouble) = trouble(pod) {
        PullState::Missing(trouble.what)
    } else if status.phase.as_deref() == Some("Failed") {
        let said = [&status.reason, &status.message].map(|text| text.as_deref().unwrap_or_default());
        PullState::Refused(said.join(": "))
    } else {
        PullState::Pulling(waiting.unwrap_or_else(|| "the node to see the pod".to_owned()))
    }
}

/// The termination message of its container.
fn answer(pod: &Pod) -> Option<&str> {
    let container = pod.status.as_ref()?.container_statuses.iter().flatten().find(|c| c.name == CONTAINER)?;
    container.state.as_ref()?.terminated.as_ref()?.message.as_deref()
}

/// Whether the node has the image. The kubelet creates a container only after the pull; whether it then runs does not matter.
fn is_there(container: &ContainerStatus) -> bool {
    let waiting = container.state.as_ref().and_then(|state| state.waiting.as_ref()?.reason.as_deref());
    let after_the_pull = ["CreateContainerConfigError", "CreateContainerError", "RunContainerError"];
    !container.image_id.is_empty() || waiting.is_some_and(|reason| after_the_pull.contains(&reason))
}

/// The pod that pulls `image` at a place and searches it for `classes`. It has the pull secrets of the ring's
/// pods, which are created from `template`, but none of the labels that make a pod part of the ring.
pub(crate) fn pod(
    request: &CassandraOpsRequest,
    place: &Place,
    template: &PodSpec,
    image: &str,
    user: i64,
    classes: &[String],
) -> Pod {
    let database = template.containers.iter().find(|container| container.name == names::CONTAINER);
    Pod {
        metadata: ObjectMeta {
            name: Some(format!("{}-pull-{}", request.name_any(), place.pod)),
            namespace: request.namespace(),
            labels: Some(labels()),
            annotations: Some([(IMAGE.to_owned(), image.to_owned())].into()),
            owner_references: Some(request.controller_owner_ref(&()).into_iter().collect()),
            ..ObjectMeta::default()
        },
        spec: Some(PodSpec {
            // Bypass the scheduler, so that nodes that are cordoned or tainted by now get the image too.
            node_name: Some(place.host.clone()),
            tolerations: Some(vec![Toleration {
                operator: Some("Exists".to_owned()),
                ..Toleration::default()
            }]),
            containers: vec![Container {
                name: CONTAINER.to_owned(),
                image: Some(image.to_owned()),
                image_pull_policy: database.and_then(|container| container.image_pull_policy.clone()),
                command: Some(look::command(classes)),
                resources: Some(resources()),
                security_context: Some(restricted(user)),
                ..Container::default()
            }],
            // Pull secrets may come from the ServiceAccount.
            service_account_name: template.service_account_name.clone(),
            image_pull_secrets: template.image_pull_secrets.clone(),
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            restart_policy: Some("Never".to_owned()),
            termination_grace_period_seconds: Some(0),
            ..PodSpec::default()
        }),
        status: None,
    }
}

/// The cache of pods includes these pods, but no selector of a Cassandra does, since all of those contain its name.
fn labels() -> Labels {
    let pairs = [
        (labels::NAME, labels::APPLICATION),
        (labels::MANAGED_BY, labels::MANAGER),
        (labels::COMPONENT, "image-pull"),
    ];
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

/// With limits, since a quota may require them.
fn resources() -> ResourceRequirements {
    let of = |cpu: &str| {
        let pairs = [("cpu", cpu), ("memory", "32Mi")];
        Some(pairs.map(|(name, amount)| (name.to_owned(), Quantity(amount.to_owned()))).into())
    };
    ResourceRequirements { requests: of("10m"), limits: of("100m"), ..ResourceRequirements::default() }
}

/// Fulfils the Pod Security Standard "restricted".
fn restricted(user: i64) -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
        read_only_root_filesystem: Some(true),
        run_as_non_root: Some(true),
        run_as_user: Some(user),
        seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }),
        ..SecurityContext::default()
    }
}

#[cfg(test)]
mod tests;
