//! What the decision is made on: a picture of the request, the Cassandra, its pods and, once asked for, the ring.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::cassandra::StorageType;
use api::ops_request::Release;
use api::petset::PetSet;
use api::{Cassandra, CassandraOpsRequest, CassandraVersion, names};
use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use semver::Version;

use crate::queue::Turn;

/// A picture of everything the next step depends on.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The time.
    pub now: Timestamp,
    /// The request.
    pub request: Arc<CassandraOpsRequest>,
    /// Its place among the other requests.
    pub turn: Turn,
    /// The Cassandra.
    pub cassandra: Option<Arc<Cassandra>>,
    /// UIDs of the requests for the same Cassandra that are not finished, this one left out.
    pub unfinished: Vec<String>,
    /// The version that the Cassandra has.
    pub current: Option<Arc<CassandraVersion>>,
    /// The version that the request asks for.
    pub target: Option<Arc<CassandraVersion>>,
    /// The racks, in the order of the spec.
    pub racks: Vec<Rack>,
    /// What the nodes said, if the decision asked for it.
    pub ring: Option<Ring>,
}

/// A rack as it is.
#[derive(Clone, Debug, Default)]
pub struct Rack {
    /// Name of its PetSet.
    pub petset: String,
    /// Nodes that it should have.
    pub replicas: usize,
    /// Its data would not survive a renewed pod.
    pub ephemeral: bool,
    /// Database image of the PetSet's template; `None` if there is no PetSet.
    pub image: Option<String>,
    /// The controllers have seen the present template.
    pub caught_up: bool,
    /// Its pods by ordinal.
    pub pods: Vec<Node>,
}

/// A pod of the ring.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Node {
    /// Name of the pod.
    pub name: String,
    /// Identity of the pod: a renewed one has another.
    pub uid: String,
    /// Address, once it has one.
    pub ip: Option<String>,
    /// Database image.
    pub image: String,
    /// It takes requests.
    pub ready: bool,
    /// It is on its way out.
    pub terminating: bool,
    /// Why it will not come up by itself.
    pub trouble: Option<Trouble>,
    /// What it waits for, for messages.
    pub waits_for: String,
}

/// Why a pod will not come up by itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Trouble {
    /// What is wrong, as part of a sentence.
    pub what: String,
    /// The container whose last log lines say more.
    pub log_of: Option<String>,
}

/// What the nodes said when all of them were asked.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Ring {
    /// Why the ring is not whole and quiet.
    pub problems: Vec<String>,
    /// The release that each node reports, by pod.
    pub releases: BTreeMap<String, Version>,
}

/// The racks of a Cassandra from its PetSets and pods.
pub fn racks(
    cassandra: &Cassandra,
    petset: impl Fn(&str) -> Option<Arc<PetSet>>,
    pod: impl Fn(&str) -> Option<Arc<Pod>>,
) -> Vec<Rack> {
    let name = cassandra.name_any();
    let rack = |petset_name: String, replicas: i32, storage: StorageType| {
        let found = petset(&petset_name);
        Rack {
            replicas: usize::try_from(replicas).unwrap_or_default(),
            ephemeral: storage == StorageType::Ephemeral,
            image: found.as_deref().and_then(template_image),
            caught_up: found.as_deref().is_some_and(caught_up),
            pods: (0..replicas)
                .filter_map(|ordinal| pod(&names::pod(&petset_name, ordinal)))
                .map(|pod| node(&pod))
                .collect(),
            petset: petset_name,
        }
    };
    match &cassandra.spec.topology {
        Some(topology) => topology
            .rack
            .iter()
            .map(|r| rack(names::petset(&name, Some(&r.name)), r.replicas, r.storage_type))
            .collect(),
        None => vec![rack(names::petset(&name, None), 1, cassandra.spec.storage_type.unwrap_or_default())],
    }
}

/// The release that a version of the catalog stands for.
pub fn release(version: &CassandraVersion) -> Release {
    Release {
        name: version.name_any(),
        version: version.spec.version.clone(),
        image: version.spec.db.image.clone(),
    }
}

fn template_image(petset: &PetSet) -> Option<String> {
    let spec = petset.spec.template.spec.as_ref()?;
    image(&spec.containers)
}

fn image(containers: &[Container]) -> Option<String> {
    containers.iter().find(|c| c.name == names::CONTAINER)?.image.clone()
}

fn caught_up(petset: &PetSet) -> bool {
    petset.status.as_ref().and_then(|s| s.observed_generation) == petset.metadata.generation
}

fn node(pod: &Pod) -> Node {
    let status = pod.status.clone().unwrap_or_default();
    let condition = |type_: &str| status.conditions.iter().flatten().find(|c| c.type_ == type_);
    let ready = condition("Ready").is_some_and(|c| c.status == "True");
    let containers: Vec<&ContainerStatus> = [&status.init_container_statuses, &status.container_statuses]
        .into_iter()
        .flatten()
        .flatten()
        .collect();
    let unscheduled = condition("PodScheduled")
        .filter(|c| c.status == "False")
        .map(|c| format!("a node to run on ({})", c.message.as_deref().unwrap_or("not scheduled")));
    let waiting = containers.iter().find_map(|c| {
        let waiting = c.state.as_ref()?.waiting.as_ref()?;
        Some(format!("container {} ({})", c.name, waiting.reason.as_deref().unwrap_or("waiting")))
    });
    Node {
        name: pod.name_any(),
        uid: pod.uid().unwrap_or_default(),
        ip: status.pod_ip.clone(),
        image: pod.spec.as_ref().and_then(|s| image(&s.containers)).unwrap_or_default(),
        ready,
        terminating: pod.metadata.deletion_timestamp.is_some(),
        trouble: containers.iter().find_map(|c| trouble(c)),
        waits_for: unscheduled.or(waiting).unwrap_or_else(|| "Cassandra to answer".to_owned()),
    }
}

/// A container that failed this often does not come up by itself.
const CRASHES: i32 = 3;

fn trouble(container: &ContainerStatus) -> Option<Trouble> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let (name, image) = (&container.name, &container.image);
    let said = waiting.message.as_deref().unwrap_or("no further message");
    match waiting.reason.as_deref()? {
        // ErrImagePull alone may be a hiccup of the registry; the back-off comes after the second failure.
        reason @ ("ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull") => {
            Some(Trouble { what: format!("image {image} cannot be pulled ({reason}: {said})"), log_of: None })
        }
        "CrashLoopBackOff" if container.restart_count >= CRASHES => Some(Trouble {
            what: format!("container {name} of image {image} crashed {} times", container.restart_count),
            log_of: Some(name.clone()),
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn seen(status: &Value) -> Node {
        let pod = json!({
            "metadata": { "name": "p-0", "uid": "u" },
            "spec": { "containers": [{ "name": "cassandra", "image": "c:1" }] },
            "status": status,
        });
        node(&serde_json::from_value(pod).unwrap())
    }

    fn waiting(reason: &str, restarts: i32) -> Value {
        json!({ "containerStatuses": [{
            "name": "cassandra", "image": "c:1", "imageID": "", "ready": false, "restartCount": restarts,
            "state": { "waiting": { "reason": reason, "message": "not there" } },
        }]})
    }

    #[test]
    fn a_ready_pod_is_in_no_trouble() {
        let node =
            seen(&json!({ "podIP": "10.0.0.1", "conditions": [{ "type": "Ready", "status": "True" }] }));
        assert!(node.ready && node.trouble.is_none());
        assert_eq!((node.image.as_str(), node.ip.as_deref()), ("c:1", Some("10.0.0.1")));
    }

    #[test]
    fn a_first_failure_is_no_trouble_yet() {
        assert_eq!(seen(&waiting("ErrImagePull", 0)).trouble, None);
        assert_eq!(seen(&waiting("CrashLoopBackOff", 2)).trouble, None);
    }

    #[test]
    fn a_missing_image_and_a_crash_loop_are_named() {
        let missing = seen(&waiting("ImagePullBackOff", 0)).trouble.unwrap();
        assert!(missing.what.contains("c:1 cannot be pulled") && missing.what.contains("not there"));
        let crash = seen(&waiting("CrashLoopBackOff", 3)).trouble.unwrap();
        assert_eq!(crash.log_of.as_deref(), Some("cassandra"));
    }

    #[test]
    fn an_unscheduled_pod_says_so() {
        let node = seen(&json!({ "conditions": [
            { "type": "PodScheduled", "status": "False", "message": "0/2 nodes are available" },
        ]}));
        assert!(node.waits_for.contains("0/2 nodes are available"));
    }
}
