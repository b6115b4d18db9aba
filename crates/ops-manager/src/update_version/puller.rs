//! A pod that only pulls an image: it is bound to a Kubernetes node, runs nothing but a look for classes in the image, and is
//! removed again.

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
use super::node::trouble;

/// Where the image will be needed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Place {
    /// The Kubernetes node.
    pub host: String,
    /// A pod of the ring on it.
    pub pod: String,
    /// The PetSet of that pod.
    pub petset: String,
}

/// A pod that only pulls an image, as it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Puller {
    /// Name of the pod.
    pub name: String,
    /// Identity of the pod.
    pub uid: String,
    /// The Kubernetes node that it pulls for.
    pub host: String,
    /// The image.
    pub image: String,
    /// How far it is.
    pub state: Pull,
    /// What it looks for in the image, and what it has found.
    pub look: Look,
    /// It is on its way out.
    pub terminating: bool,
}

/// How far a pull is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Pull {
    /// On its way; what it waits for.
    Pulling(String),
    /// The image is on the node.
    Pulled,
    /// The node cannot get the image; why.
    Missing(String),
    /// The node did not take the pod, which says nothing about the image; why.
    Refused(String),
}

/// The only container.
const CONTAINER: &str = "pull";

/// Reads a pod.
pub(super) fn seen(pod: &Pod) -> Puller {
    let spec = pod.spec.as_ref();
    Puller {
        name: pod.name_any(),
        uid: pod.uid().unwrap_or_default(),
        host: spec.and_then(|spec| spec.node_name.clone()).unwrap_or_default(),
        image: spec.and_then(|spec| spec.containers.first()?.image.clone()).unwrap_or_default(),
        state: state(pod),
        look: look::read(spec.and_then(|spec| spec.containers.first()), answer(pod)),
        terminating: pod.metadata.deletion_timestamp.is_some(),
    }
}

fn state(pod: &Pod) -> Pull {
    let Some(status) = &pod.status else { return Pull::Pulling("the node to see the pod".to_owned()) };
    let containers = status.container_statuses.iter().flatten();
    let container = containers.into_iter().find(|container| container.name == CONTAINER);
    let waiting = container.and_then(|c| c.state.as_ref()?.waiting.as_ref()?.reason.clone());
    if container.is_some_and(|c| c.state.as_ref().is_some_and(|state| state.running.is_some())) {
        Pull::Pulling("the look into the image to end".to_owned())
    } else if container.is_some_and(is_there) {
        Pull::Pulled
    } else if let Some(trouble) = trouble(pod) {
        Pull::Missing(trouble.what)
    } else if status.phase.as_deref() == Some("Failed") {
        let said = [&status.reason, &status.message].map(|text| text.as_deref().unwrap_or_default());
        Pull::Refused(said.join(": "))
    } else {
        Pull::Pulling(waiting.unwrap_or_else(|| "the node to see the pod".to_owned()))
    }
}

/// What its container left behind.
fn answer(pod: &Pod) -> Option<&str> {
    let container = pod.status.as_ref()?.container_statuses.iter().flatten().find(|c| c.name == CONTAINER)?;
    container.state.as_ref()?.terminated.as_ref()?.message.as_deref()
}

/// The kubelet makes and starts a container only after its image is there: whether it then runs does not matter.
fn is_there(container: &ContainerStatus) -> bool {
    let waiting = container.state.as_ref().and_then(|state| state.waiting.as_ref()?.reason.as_deref());
    let after_the_pull = ["CreateContainerConfigError", "CreateContainerError", "RunContainerError"];
    !container.image_id.is_empty() || waiting.is_some_and(|reason| after_the_pull.contains(&reason))
}

/// The pod that pulls `image` at a place and looks for `classes` in it, for a ring whose pods are made from `template`: with the same rights to pull, and
/// none of the labels that make a pod one of the ring.
pub(super) fn pod(
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
            owner_references: Some(request.controller_owner_ref(&()).into_iter().collect()),
            ..ObjectMeta::default()
        },
        spec: Some(PodSpec {
            // Past the scheduler, so that a node that is cordoned or tainted meanwhile is not left out.
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
            // The account may bring secrets to pull with.
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

/// Seen by the cache of pods, and by no selector of a Cassandra, since all of those ask for its name.
fn labels() -> Labels {
    let pairs = [
        (labels::NAME, labels::APPLICATION),
        (labels::MANAGED_BY, labels::MANAGER),
        (labels::COMPONENT, "image-pull"),
    ];
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

/// Limits too: a quota may ask for them.
fn resources() -> ResourceRequirements {
    let of = |cpu: &str| {
        let pairs = [("cpu", cpu), ("memory", "32Mi")];
        Some(pairs.map(|(name, amount)| (name.to_owned(), Quantity(amount.to_owned()))).into())
    };
    ResourceRequirements { requests: of("10m"), limits: of("100m"), ..ResourceRequirements::default() }
}

/// What the Pod Security Standard "restricted" asks for.
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
