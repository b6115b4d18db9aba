//! A pod of the ring, and why it does not become Ready.

use api::names;
use api::petset::REVISION;
use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod};
use kube::ResourceExt;

/// A pod of the ring.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Node {
    /// Name of the pod.
    pub name: String,
    /// UID of the pod; a renewed pod has a new one.
    pub uid: String,
    /// Name of the Kubernetes node, once the pod is scheduled.
    pub host: Option<String>,
    /// Address, once it has one.
    pub ip: Option<String>,
    /// Image of the database container, as the pod has it: a webhook may have rewritten it.
    pub image: String,
    /// Revision of the template that it was made from.
    pub revision: String,
    /// It is Ready.
    pub ready: bool,
    /// It is being deleted.
    pub terminating: bool,
    /// Its grace period in seconds.
    pub grace: i64,
    /// What prevents a pod that is being deleted from ending, as part of a sentence.
    pub held: Option<String>,
    /// Why it will not become Ready by itself.
    pub trouble: Option<Trouble>,
    /// What it waits for, as part of a message.
    pub waits_for: String,
}

impl Node {
    /// Whether it is Ready and not being deleted.
    pub(crate) fn is_up(&self) -> bool {
        self.ready && !self.terminating
    }
}

/// Why a pod will not become Ready by itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Trouble {
    /// What is wrong, as part of a sentence.
    pub what: String,
    /// The container whose last log lines tell the cause.
    pub log_of: Option<String>,
}

/// Builds a `Node` from a pod.
pub(crate) fn node(pod: &Pod) -> Node {
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
        host: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
        ip: status.pod_ip.clone(),
        image: pod.spec.as_ref().and_then(|s| image(&s.containers, names::CONTAINER)).unwrap_or_default(),
        revision: pod.labels().get(REVISION).cloned().unwrap_or_default(),
        ready,
        terminating: pod.metadata.deletion_timestamp.is_some(),
        grace: pod.metadata.deletion_grace_period_seconds.unwrap_or_default(),
        held: pod.metadata.deletion_timestamp.as_ref().and_then(|_| held(pod)),
        trouble: trouble(pod),
        waits_for: unscheduled.or(waiting).unwrap_or_else(|| "Cassandra to answer".to_owned()),
    }
}

/// What prevents a pod that is being deleted from ending: finalizers left after its containers have ended, or a lost machine.
fn held(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    if status.reason.as_deref() == Some("NodeLost") {
        let host = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or_default();
        return Some(format!("Kubernetes node {host}, which does not answer"));
    }
    let mut containers = status.container_statuses.iter().flatten();
    let ended = containers.all(|c| c.state.as_ref().is_some_and(|state| state.terminated.is_some()));
    let finalizers = pod.finalizers();
    (ended && !finalizers.is_empty()).then(|| format!("its finalizers {}", finalizers.join(", ")))
}

/// The image of a container.
pub(crate) fn image(containers: &[Container], name: &str) -> Option<String> {
    containers.iter().find(|c| c.name == name)?.image.clone()
}

/// Why a pod will not become Ready by itself.
pub(crate) fn trouble(pod: &Pod) -> Option<Trouble> {
    let trouble = operator::pod::trouble(pod).filter(|trouble| trouble.lasts)?;
    let log_of = trouble.ended.map(|ended| ended.container);
    let what = match (&log_of, trouble.said) {
        (None, Some(said)) => format!("{}: {said}", trouble.what),
        _ => trouble.what,
    };
    Some(Trouble { what, log_of })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn observed(status: &Value) -> Node {
        let pod = json!({
            "metadata": { "name": "p-0", "uid": "u" },
            "spec": { "nodeName": "k-1", "containers": [{ "name": "cassandra", "image": "c:1" }] },
            "status": status,
        });
        node(&serde_json::from_value(pod).unwrap())
    }

    fn waiting(reason: &str, restarts: i32) -> Value {
        json!({ "containerStatuses": [{
            "name": "cassandra", "image": "c:1", "imageID": "", "ready": false, "restartCount": restarts,
            "state": { "waiting": { "reason": reason, "message": "not there" } },
            "lastState": if reason == "CrashLoopBackOff" { json!({ "terminated": { "exitCode": 3 } }) } else { json!({}) },
        }]})
    }

    #[test]
    fn a_ready_pod_is_in_no_trouble() {
        let node =
            observed(&json!({ "podIP": "10.0.0.1", "conditions": [{ "type": "Ready", "status": "True" }] }));
        assert!(node.ready && node.trouble.is_none());
        assert_eq!((node.image.as_str(), node.ip.as_deref()), ("c:1", Some("10.0.0.1")));
        assert_eq!(node.host.as_deref(), Some("k-1"));
    }

    #[test]
    fn a_first_failure_is_no_trouble_yet() {
        assert_eq!(observed(&waiting("ErrImagePull", 0)).trouble, None);
        assert_eq!(observed(&waiting("CrashLoopBackOff", 2)).trouble, None);
    }

    #[test]
    fn a_missing_image_and_a_crash_loop_are_named() {
        let missing = observed(&waiting("ImagePullBackOff", 0)).trouble.unwrap();
        assert!(missing.what.contains("image c:1 cannot be pulled") && missing.what.contains("not there"));
        let crash = observed(&waiting("CrashLoopBackOff", 3)).trouble.unwrap();
        assert_eq!(crash.log_of.as_deref(), Some("cassandra"));
    }

    #[test]
    fn an_unscheduled_pod_says_so() {
        let node = observed(&json!({ "conditions": [
            { "type": "PodScheduled", "status": "False", "message": "0/2 nodes are available" },
        ]}));
        assert!(node.waits_for.contains("0/2 nodes are available"));
    }
}
