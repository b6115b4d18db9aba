//! Everything that follows from the spec of a Cassandra alone: racks, pods, seeds, and where its login is stored.

use api::cassandra::{StorageType, condition_type};
use api::labels::{self, Labels};
use api::pod_template::PodTemplate;
use api::{Cassandra, condition, names};
use k8s_openapi::api::core::v1::{Container, PersistentVolumeClaimSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::{Resource, ResourceExt};

use crate::kept::Kept;

/// Name of the only datacenter of every ring.
pub const DATACENTER: &str = "dc1";

/// Rack of a Cassandra without topology.
const STANDALONE: &str = "standalone";

/// Smallest number of seeds, as far as the ring has that many nodes.
const SEEDS: i32 = 3;

/// A Cassandra with everything derived from its spec that the builders need.
pub struct Resolved<'a> {
    /// The object itself.
    pub cassandra: &'a Cassandra,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its racks; a standalone node counts as one.
    pub racks: Vec<Rack<'a>>,
    /// How to log in.
    pub login: Login,
    /// Values that the ring keeps; those of a new ring until `recall` has read them.
    pub kept: Kept,
}

/// A rack, and the PetSet that it becomes.
pub struct Rack<'a> {
    /// The rack as Cassandra knows it.
    pub name: &'a str,
    /// Name of its PetSet.
    pub petset: String,
    /// Number of nodes.
    pub replicas: i32,
    /// Volume claim of each node; `None`: ephemeral.
    pub storage: Option<&'a PersistentVolumeClaimSpec>,
    /// The user's template for its pods.
    pub template: Option<&'a PodTemplate>,
}

/// How to log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// Security is disabled: no login is needed.
    Open,
    /// With the name and password of a Secret.
    Secret {
        /// Name of the Secret.
        name: String,
        /// The user creates it; the operator never does.
        external: bool,
    },
}

impl Login {
    /// How the superuser of this Cassandra logs in.
    pub fn of(cassandra: &Cassandra) -> Self {
        match &cassandra.spec.auth_secret {
            _ if cassandra.spec.disable_security => Self::Open,
            Some(secret) => Self::Secret { name: secret.name.clone(), external: secret.externally_managed },
            None => Self::Secret { name: names::auth_secret(&cassandra.name_any()), external: false },
        }
    }
}

/// The racks of a Cassandra in the order of its spec; a standalone node is one too.
pub fn racks<'a>(cassandra: &'a Cassandra) -> Vec<Rack<'a>> {
    let (spec, name) = (&cassandra.spec, cassandra.name_any());
    let Some(topology) = &spec.topology else {
        return vec![Rack {
            name: STANDALONE,
            petset: names::petset(&name, None),
            replicas: 1,
            storage: durable(spec.storage_type.unwrap_or_default(), spec.storage.as_ref()),
            template: spec.pod_template.as_ref(),
        }];
    };
    let rack = |rack: &'a api::cassandra::Rack| Rack {
        name: &rack.name,
        petset: names::petset(&name, Some(&rack.name)),
        replicas: rack.replicas,
        storage: durable(rack.storage_type, rack.storage.as_ref()),
        template: rack.pod_template.as_ref(),
    };
    topology.rack.iter().map(rack).collect()
}

impl Rack<'_> {
    /// What the user says about the container `cassandra`.
    pub(crate) fn node(&self) -> Option<&Container> {
        self.template?.spec.as_ref()?.containers.iter().find(|it| it.name == names::CONTAINER)
    }

    /// The ServiceAccount that the user names for the pods.
    pub fn account(&self) -> Option<&str> {
        self.template?.spec.as_ref()?.service_account_name.as_deref()
    }
}

impl<'a> Resolved<'a> {
    /// Resolves a Cassandra.
    pub fn of(cassandra: &'a Cassandra) -> Self {
        let name = cassandra.name_any();
        let namespace = cassandra.namespace().unwrap_or_default();
        let kept = Kept::new(&namespace, &name, cassandra.metadata.uid.as_deref().unwrap_or_default());
        Self { cassandra, namespace, racks: racks(cassandra), login: Login::of(cassandra), name, kept }
    }

    /// Uid of the Cassandra.
    pub fn uid(&self) -> &str {
        self.cassandra.metadata.uid.as_deref().unwrap_or_default()
    }

    /// Whether the ring was Ready once. From then on, what its pods are made from is changed by requests only.
    pub fn is_in_use(&self) -> bool {
        let conditions = self.cassandra.status.as_ref().map_or(&[][..], |status| &status.conditions);
        condition::is_true(conditions, condition_type::PROVISIONED)
    }

    /// Number of nodes.
    pub fn nodes(&self) -> i32 {
        self.racks.iter().map(|rack| rack.replicas).sum()
    }

    /// Names of all pods, rack by rack.
    pub fn pods(&self) -> impl Iterator<Item = String> {
        self.racks.iter().flat_map(|rack| (0..rack.replicas).map(|n| names::pod(&rack.petset, n)))
    }

    /// Host names of all nodes in the order in which they join: the first node of every rack, then the second of every rack,
    /// and so on. Otherwise Cassandra could not allocate tokens for the second node of a rack while other racks have no node
    /// yet.
    pub fn order(&self) -> Vec<String> {
        let largest = self.racks.iter().map(|rack| rack.replicas).max().unwrap_or_default();
        let of_rank = |n: i32| {
            self.racks.iter().filter(move |rack| n < rack.replicas).map(move |rack| self.host(rack, n))
        };
        (0..largest).flat_map(of_rank).collect()
    }

    /// Replication factor for which tokens are allocated. Cassandra can do that for as many racks as copies, for a single rack,
    /// or for more racks than copies.
    pub fn copies_to_spread(&self) -> u32 {
        if self.racks.len() == 2 { 2 } else { 3 }
    }

    fn host(&self, rack: &Rack, n: i32) -> String {
        let service = names::governing_service(&rack.petset);
        format!("{}.{service}.{}.svc", names::pod(&rack.petset, n), self.namespace)
    }

    /// Host names of the seeds: some of every rack, so that a node can start while any one rack is down, and at least three in
    /// all. They depend on the spec only, never on which nodes are up.
    pub fn seeds(&self) -> Vec<String> {
        let racks = i32::try_from(self.racks.len()).unwrap_or(i32::MAX).max(1);
        let per_rack = ((SEEDS + racks - 1) / racks).max(1);
        let of_rack =
            |rack: &Rack| (0..per_rack.min(rack.replicas)).map(|n| self.host(rack, n)).collect::<Vec<_>>();
        self.racks.iter().flat_map(of_rack).collect()
    }

    /// Labels of every object that belongs to this Cassandra.
    pub fn labels(&self) -> Labels {
        labels::object_labels(&self.name, self.cassandra.labels())
    }

    /// Metadata of an object owned by this Cassandra.
    pub fn meta(&self, name: String) -> ObjectMeta {
        ObjectMeta {
            name: Some(name),
            namespace: Some(self.namespace.clone()),
            labels: Some(self.labels()),
            owner_references: self.owner().map(|owner| vec![owner]),
            ..ObjectMeta::default()
        }
    }

    fn owner(&self) -> Option<OwnerReference> {
        self.cassandra.controller_owner_ref(&())
    }
}

fn durable(
    type_: StorageType,
    claim: Option<&PersistentVolumeClaimSpec>,
) -> Option<&PersistentVolumeClaimSpec> {
    claim.filter(|_| type_ == StorageType::Durable)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn cassandra(racks: &[i32]) -> Cassandra {
        let rack = |(n, replicas): (usize, &i32)| serde_json::json!({ "name": format!("r{n}"), "replicas": replicas, "storageType": "Ephemeral" });
        let racks: Vec<_> = racks.iter().enumerate().map(rack).collect();
        let topology =
            if racks.is_empty() { serde_json::Value::Null } else { serde_json::json!({ "rack": racks }) };
        serde_json::from_value(serde_json::json!({
            "metadata": { "name": "db", "namespace": "ns" },
            "spec": { "version": "4.1.10", "topology": topology },
        }))
        .unwrap()
    }

    #[rstest]
    #[case::standalone(&[], &["db-0.db-pods.ns.svc"])]
    #[case::one_rack(&[5], &[
        "db-rack-r0-0.db-rack-r0-pods.ns.svc", "db-rack-r0-1.db-rack-r0-pods.ns.svc", "db-rack-r0-2.db-rack-r0-pods.ns.svc"
    ])]
    #[case::two_racks_one_small(&[3, 1], &[
        "db-rack-r0-0.db-rack-r0-pods.ns.svc", "db-rack-r0-1.db-rack-r0-pods.ns.svc", "db-rack-r1-0.db-rack-r1-pods.ns.svc"
    ])]
    #[case::three_racks(&[2, 2, 2], &[
        "db-rack-r0-0.db-rack-r0-pods.ns.svc", "db-rack-r1-0.db-rack-r1-pods.ns.svc", "db-rack-r2-0.db-rack-r2-pods.ns.svc"
    ])]
    fn seeds_are_the_first_pods_of_every_rack(#[case] racks: &[i32], #[case] seeds: &[&str]) {
        assert_eq!(Resolved::of(&cassandra(racks)).seeds(), seeds);
    }

    #[rstest]
    #[case::uneven(&[2, 1, 1], &["r0-0", "r1-0", "r2-0", "r0-1"])]
    #[case::two_racks(&[2, 2], &["r0-0", "r1-0", "r0-1", "r1-1"])]
    #[case::one_rack(&[3], &["r0-0", "r0-1", "r0-2"])]
    fn nodes_join_by_number_over_the_racks(#[case] racks: &[i32], #[case] order: &[&str]) {
        let all = Resolved::of(&cassandra(racks)).order();
        let pods: Vec<_> =
            all.iter().filter_map(|host| host.split('.').next()?.strip_prefix("db-rack-")).collect();
        assert_eq!(pods, order);
    }

    #[test]
    fn pods_are_listed_rack_by_rack() {
        let pods: Vec<_> = Resolved::of(&cassandra(&[1, 2])).pods().collect();
        assert_eq!(pods, ["db-rack-r0-0", "db-rack-r1-0", "db-rack-r1-1"]);
    }
}
