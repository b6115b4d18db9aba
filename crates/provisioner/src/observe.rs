//! What is there of a Cassandra, taken from the caches only.

use std::net::{IpAddr, SocketAddr};

use api::{PetSet, names};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use crate::caches::Caches;
use crate::plan::Plan;

/// What is there of a Cassandra.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// The PetSets, in the order of the racks.
    pub racks: Vec<RackSeen>,
    /// The pods, rack by rack.
    pub pods: Vec<PodSeen>,
}

/// A PetSet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RackSeen {
    /// Name of the PetSet.
    pub petset: String,
    /// Pods that there should be.
    pub desired: i32,
    /// Pods that are ready; `None` if there is no PetSet.
    pub ready: Option<i32>,
}

/// A pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodSeen {
    /// Its name.
    pub name: String,
    /// Where it answers CQL.
    pub address: Option<SocketAddr>,
    /// Kubernetes takes it for ready.
    pub ready: bool,
    /// Why it does not start.
    pub trouble: Option<String>,
}

/// Looks into the caches.
pub fn observe(plan: &Plan, caches: &Caches) -> Observed {
    let racks = plan.racks.iter().map(|rack| RackSeen {
        petset: rack.petset.clone(),
        desired: rack.replicas,
        ready: caches.petsets.get(&plan.namespace, &rack.petset).map(|petset| ready_replicas(&petset)),
    });
    let pods = plan.pods().map(|name| match caches.pods.get(&plan.namespace, &name) {
        Some(pod) => seen(name, &pod),
        None => PodSeen { name, address: None, ready: false, trouble: None },
    });
    Observed { racks: racks.collect(), pods: pods.collect() }
}

impl Observed {
    /// There is something of the ring already.
    pub fn has_begun(&self) -> bool {
        self.racks.iter().any(|rack| rack.ready.is_some())
    }

    /// The PetSets that may be there: each one that is, and the next one when all pods of those before it are ready.
    ///
    /// Nodes that join an empty ring side by side choose the same tokens, for Cassandra computes them from what is there, and
    /// then one of them owns nothing.
    pub fn in_turn(&self) -> Vec<&str> {
        let complete = self.racks.iter().take_while(|rack| rack.ready == Some(rack.desired)).count();
        let racks = self.racks.iter().enumerate();
        racks
            .filter(|(n, rack)| *n <= complete || rack.ready.is_some())
            .map(|(_, rack)| rack.petset.as_str())
            .collect()
    }

    /// Every rack has all its pods ready.
    pub fn is_complete(&self) -> bool {
        self.racks.iter().all(|rack| rack.ready == Some(rack.desired))
            && self.pods.iter().all(|pod| pod.ready)
    }

    /// Addresses of the pods that have one.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.pods.iter().filter_map(|pod| pod.address).collect()
    }
}

fn ready_replicas(petset: &PetSet) -> i32 {
    petset.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0)
}

fn seen(name: String, pod: &Pod) -> PodSeen {
    let status = pod.status.as_ref();
    let ip = status.and_then(|status| status.pod_ip.as_ref()).and_then(|ip| ip.parse::<IpAddr>().ok());
    let conditions = status.and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let leaving = pod.metadata.deletion_timestamp.is_some();
    PodSeen {
        name,
        address: ip.map(|ip| SocketAddr::new(ip, names::CQL_PORT)),
        ready: !leaving && conditions.iter().any(|one| one.type_ == "Ready" && one.status == "True"),
        trouble: if leaving { None } else { trouble(pod) },
    }
}

/// Why a pod does not start, in words that stay the same from one attempt to the next.
fn trouble(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let unscheduled = status.conditions.iter().flatten().find(|one| {
        one.type_ == "PodScheduled" && one.status == "False" && one.reason.as_deref() == Some("Unschedulable")
    });
    if let Some(unscheduled) = unscheduled {
        return Some(format!("cannot be scheduled: {}", unscheduled.message.as_deref().unwrap_or_default()));
    }
    let init = status.init_container_statuses.iter().flatten();
    init.chain(status.container_statuses.iter().flatten()).find_map(failure)
}

/// A container that works, or is about to for the first time, has none.
fn failure(container: &ContainerStatus) -> Option<String> {
    const WAITS: [&str; 2] = ["PodInitializing", "ContainerCreating"];
    let name = &container.name;
    let state = container.state.as_ref();
    let last = container.last_state.as_ref().and_then(|last| last.terminated.as_ref());
    let ended = state.and_then(|state| state.terminated.as_ref()).or(last);
    if container.ready || ended.is_some_and(|ended| ended.exit_code == 0) {
        return None;
    }
    if let Some(ended) = ended {
        let said = ended.message.as_deref().or(ended.reason.as_deref()).unwrap_or("no message").trim();
        return Some(format!("container {name} ended with exit code {}: {}", ended.exit_code, end_of(said)));
    }
    let waiting = state.and_then(|state| state.waiting.as_ref())?;
    let reason = waiting.reason.as_deref().filter(|reason| !WAITS.contains(reason))?;
    // One cause, two names that take turns.
    let reason = if reason == "ErrImagePull" { "ImagePullBackOff" } else { reason };
    Some(format!("container {name} waits: {reason} (image {})", container.image))
}

/// The message may be the end of a log; what matters comes last.
fn end_of(message: &str) -> &str {
    const LONGEST: usize = 700;
    let start = message.len().saturating_sub(LONGEST);
    let start = (start..message.len()).find(|&position| message.is_char_boundary(position));
    start.map_or(message, |start| &message[start..])
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn pod(status: &Value) -> PodSeen {
        let pod: Pod =
            serde_json::from_value(json!({ "metadata": { "name": "db-0" }, "status": status })).unwrap();
        seen("db-0".to_owned(), &pod)
    }

    fn init(container: &Value) -> Value {
        let mut status = json!({ "name": "render-config", "image": "p:1", "imageID": "", "ready": false, "restartCount": 3 });
        status.as_object_mut().unwrap().extend(container.as_object().unwrap().clone());
        json!({ "initContainerStatuses": [status] })
    }

    #[rstest]
    #[case::just_failed(json!({ "state": { "terminated": { "exitCode": 1, "message": "num_tokens is wrong\n" } } }))]
    #[case::backs_off(json!({
        "state": { "waiting": { "reason": "CrashLoopBackOff" } },
        "lastState": { "terminated": { "exitCode": 1, "message": "num_tokens is wrong" } }
    }))]
    #[case::tries_again(json!({
        "state": { "running": {} },
        "lastState": { "terminated": { "exitCode": 1, "message": "num_tokens is wrong" } }
    }))]
    fn a_failing_container_tells_the_same_in_every_phase_of_its_crash_loop(#[case] container: Value) {
        assert_eq!(
            pod(&init(&container)).trouble.as_deref(),
            Some("container render-config ended with exit code 1: num_tokens is wrong")
        );
    }

    #[rstest]
    #[case("ErrImagePull")]
    #[case("ImagePullBackOff")]
    fn a_missing_image_is_trouble(#[case] reason: &str) {
        let waiting = init(&json!({ "state": { "waiting": { "reason": reason } } }));
        let trouble = pod(&waiting).trouble.unwrap();
        assert_eq!(trouble, "container render-config waits: ImagePullBackOff (image p:1)");
    }

    #[rstest]
    #[case(json!({ "state": { "terminated": { "exitCode": 0 } }, "ready": true }))]
    #[case(json!({ "state": { "running": {} } }))]
    #[case(json!({ "state": { "waiting": { "reason": "PodInitializing" } } }))]
    fn a_container_on_its_way_is_no_trouble(#[case] container: Value) {
        assert_eq!(pod(&init(&container)).trouble, None);
    }

    #[test]
    fn a_pod_that_fits_nowhere_is_trouble() {
        let condition = json!({ "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes" });
        let trouble = pod(&json!({ "conditions": [condition] })).trouble;
        assert_eq!(trouble.as_deref(), Some("cannot be scheduled: 0/1 nodes"));
    }

    #[rstest]
    #[case::at_first(&[None, None, None], &["0"])]
    #[case::while_the_first_starts(&[Some(0), None, None], &["0"])]
    #[case::when_the_first_is_ready(&[Some(2), None, None], &["0", "1"])]
    #[case::half_a_rack_is_not_enough(&[Some(2), Some(1), None], &["0", "1"])]
    #[case::what_is_there_stays(&[Some(0), Some(2), Some(0)], &["0", "1", "2"])]
    fn racks_begin_one_after_the_other(#[case] ready: &[Option<i32>], #[case] petsets: &[&str]) {
        let rack =
            |(n, ready): (usize, &Option<i32>)| RackSeen { petset: n.to_string(), desired: 2, ready: *ready };
        let seen = Observed { racks: ready.iter().enumerate().map(rack).collect(), pods: vec![] };
        assert_eq!(seen.in_turn(), petsets);
    }

    #[test]
    fn a_ready_pod_has_an_address() {
        let pod = pod(&json!({ "podIP": "10.0.0.1", "conditions": [{ "type": "Ready", "status": "True" }] }));
        assert!(pod.ready);
        assert_eq!(pod.address, Some("10.0.0.1:9042".parse().unwrap()));
    }
}
