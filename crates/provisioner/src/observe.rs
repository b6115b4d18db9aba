//! The present state of a Cassandra's objects, read from the caches only.

use std::net::{IpAddr, SocketAddr};

use api::petset::REVISION;
use api::{PetSet, names};
use desired::Resolved;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use crate::caches::Caches;

/// The present state of a Cassandra's objects.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// The PetSets, in the order of the racks.
    pub racks: Vec<RackSeen>,
    /// The pods, rack by rack.
    pub pods: Vec<PodSeen>,
    /// While the ring is being created: the pod whose node joins next. The pods after it wait for it.
    pub joins: Option<String>,
}

/// A PetSet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RackSeen {
    /// Name of the PetSet.
    pub petset: String,
    /// Number of pods that it should have.
    pub desired: i32,
    /// Number of pods that are ready; `None` if there is no PetSet.
    pub ready: Option<i32>,
}

/// A pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodSeen {
    /// Its name.
    pub name: String,
    /// Where it answers CQL.
    pub address: Option<SocketAddr>,
    /// Kubernetes reports it as ready.
    pub ready: bool,
    /// Why it does not start, or does not terminate.
    pub trouble: Option<String>,
    /// It was made from another template than its PetSet has now.
    pub outdated: bool,
}

/// Reads the caches.
pub fn observe(resolved: &Resolved, caches: &Caches, now: Timestamp) -> Observed {
    let (mut racks, mut pods) = (vec![], vec![]);
    for rack in &resolved.racks {
        let petset = caches.petsets.get(&resolved.namespace, &rack.petset);
        let revision = petset.as_deref().and_then(PetSet::revision);
        let names = (0..rack.replicas).map(|ordinal| names::pod(&rack.petset, ordinal));
        pods.extend(names.map(|name| match caches.pods.get(&resolved.namespace, &name) {
            Some(pod) => seen(name, &pod, revision, now),
            None => PodSeen { name, ..PodSeen::default() },
        }));
        racks.push(RackSeen {
            petset: rack.petset.clone(),
            desired: rack.replicas,
            ready: petset.as_deref().map(ready_replicas),
        });
    }
    Observed { racks, joins: joins(resolved, &pods), pods }
}

/// The first pod in the order of joining that is neither ready nor known as a member.
fn joins(resolved: &Resolved, pods: &[PodSeen]) -> Option<String> {
    let members = resolved.cassandra.status.as_ref().map(|status| &status.host_ids);
    let waits = |pod: &&PodSeen| !pod.ready && members.is_none_or(|ids| !ids.contains_key(&pod.name));
    let mut order = resolved.order().into_iter();
    order.find_map(|host| {
        let name = host.split('.').next()?;
        Some(pods.iter().find(|pod| pod.name == name).filter(waits)?.name.clone())
    })
}

impl Observed {
    /// At least one PetSet exists.
    pub fn has_begun(&self) -> bool {
        self.racks.iter().any(|rack| rack.ready.is_some())
    }

    /// A PetSet of this name exists.
    pub fn has(&self, petset: &str) -> bool {
        self.racks.iter().any(|rack| rack.petset == petset && rack.ready.is_some())
    }

    /// Every rack has all its pods, and they are ready.
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

fn seen(name: String, pod: &Pod, revision: Option<&str>, now: Timestamp) -> PodSeen {
    let status = pod.status.as_ref();
    let ip = status.and_then(|status| status.pod_ip.as_ref()).and_then(|ip| ip.parse::<IpAddr>().ok());
    let conditions = status.and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let leaving = pod.metadata.deletion_timestamp.is_some();
    PodSeen {
        name,
        address: ip.map(|ip| SocketAddr::new(ip, names::CQL_PORT)),
        ready: !leaving && conditions.iter().any(|one| one.type_ == "Ready" && one.status == "True"),
        trouble: trouble(pod, now),
        outdated: revision
            .is_some_and(|revision| pod.labels().get(REVISION).is_some_and(|its| its != revision)),
    }
}

/// Why a pod does not start, or does not terminate.
fn trouble(pod: &Pod, now: Timestamp) -> Option<String> {
    if pod.metadata.deletion_timestamp.is_some() {
        return operator::pod::overstay(pod, now);
    }
    let trouble = operator::pod::trouble(pod)?;
    Some(match (trouble.ended, trouble.said) {
        (Some(_), Some(said)) => format!("{}: {said}", trouble.what),
        _ => trouble.what,
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn pod(status: &Value) -> PodSeen {
        let pod: Pod =
            serde_json::from_value(json!({ "metadata": { "name": "db-0" }, "status": status })).unwrap();
        seen("db-0".to_owned(), &pod, None, Timestamp::UNIX_EPOCH)
    }

    #[rstest]
    #[case(
        json!({ "terminated": { "exitCode": 1, "message": "num_tokens is wrong\n" } }),
        "container render-config ended with exit code 1: num_tokens is wrong"
    )]
    #[case(
        json!({ "waiting": { "reason": "ErrImagePull", "message": "changes from one attempt to the next" } }),
        "image p:1 cannot be pulled (ImagePullBackOff, container render-config)"
    )]
    fn a_pod_that_does_not_start_says_why(#[case] state: Value, #[case] trouble: &str) {
        let container = json!({
            "name": "render-config", "image": "p:1", "imageID": "", "ready": false, "restartCount": 3, "state": state
        });
        assert_eq!(pod(&json!({ "initContainerStatuses": [container] })).trouble.as_deref(), Some(trouble));
    }

    #[test]
    fn a_pod_that_does_not_go_says_why() {
        let metadata = json!({
            "name": "db-0", "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["example.com/lost-node"]
        });
        let pod: Pod = serde_json::from_value(json!({ "metadata": metadata, "status": {} })).unwrap();
        let trouble = |now: &str| seen("db-0".to_owned(), &pod, None, now.parse().unwrap()).trouble;
        assert_eq!(trouble("2026-01-01T00:00:30Z"), None);
        assert!(trouble("2026-01-01T00:05:00Z").unwrap().contains("example.com/lost-node"));
    }

    #[rstest]
    #[case::of_the_present_template(Some("db-2"), false)]
    #[case::of_an_older_one(Some("db-3"), true)]
    #[case::of_one_that_is_not_known_yet(None, false)]
    fn a_pod_is_compared_with_the_template_of_its_petset(
        #[case] revision: Option<&str>,
        #[case] outdated: bool,
    ) {
        let metadata = json!({ "name": "db-0", "labels": { REVISION: "db-2" } });
        let pod: Pod = serde_json::from_value(json!({ "metadata": metadata })).unwrap();
        assert_eq!(seen("db-0".to_owned(), &pod, revision, Timestamp::UNIX_EPOCH).outdated, outdated);
    }

    #[test]
    fn a_ready_pod_has_an_address() {
        let pod = pod(&json!({ "podIP": "10.0.0.1", "conditions": [{ "type": "Ready", "status": "True" }] }));
        assert!(pod.ready);
        assert_eq!(pod.address, Some("10.0.0.1:9042".parse().unwrap()));
    }

    /// Racks of two, one and one nodes: `a-0, b-0, c-0, a-1`.
    #[rstest]
    #[case::none(&[], &[], Some("db-rack-a-0"))]
    #[case::the_first_is_up(&["db-rack-a-0"], &[], Some("db-rack-b-0"))]
    #[case::the_second_of_a_rack_waits_for_the_other_racks(&["db-rack-a-0", "db-rack-b-0"], &[], Some("db-rack-c-0"))]
    #[case::a_member_is_away(&[], &["db-rack-a-0", "db-rack-b-0", "db-rack-c-0", "db-rack-a-1"], None)]
    #[case::all_are_up(&["db-rack-a-0", "db-rack-b-0", "db-rack-c-0", "db-rack-a-1"], &[], None)]
    fn nodes_join_one_after_the_other(
        #[case] ready: &[&str],
        #[case] members: &[&str],
        #[case] next: Option<&str>,
    ) {
        let racks = [("a", 2), ("b", 1), ("c", 1)];
        let rack =
            |(name, replicas)| json!({ "name": name, "replicas": replicas, "storageType": "Ephemeral" });
        let mut cassandra: api::Cassandra = serde_json::from_value(json!({
            "metadata": { "name": "db", "namespace": "ns" },
            "spec": { "version": "4.1.10", "topology": { "rack": racks.map(rack) } },
        }))
        .unwrap();
        let ids = members.iter().map(|pod| ((*pod).to_owned(), "1".to_owned()));
        cassandra.status.get_or_insert_default().host_ids = ids.collect();
        let resolved = Resolved::of(&cassandra);
        let pods = resolved.pods().map(|name| {
            let ready = ready.contains(&name.as_str());
            PodSeen { name, ready, ..PodSeen::default() }
        });
        assert_eq!(joins(&resolved, &pods.collect::<Vec<_>>()).as_deref(), next);
    }
}
