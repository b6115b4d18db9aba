//! `Cassandra`: a ring, as the user wants it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::PersistentVolumeClaimSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::pod_template::{PodTemplate, TemplateMetadata};

/// A Cassandra ring: one PetSet per rack, or a single standalone node without `topology`.
#[derive(Clone, CustomResource, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "kubedb.com",
    version = "v1alpha2",
    kind = "Cassandra",
    plural = "cassandras",
    singular = "cassandra",
    shortname = "cas",
    category = "datastore",
    category = "kubedb",
    category = "appscode",
    category = "all",
    namespaced,
    status = "CassandraStatus",
    derive = "PartialEq",
    derive = "Default",
    printcolumn(name = "Version", type_ = "string", json_path = ".spec.version"),
    printcolumn(name = "Status", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.size() <= 63 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')")
        .message("metadata.name must be at most 63 characters, begin with a letter and hold lower case letters, digits and dashes"),
    validation = Rule::new("!has(self.spec.topology) || self.spec.topology.rack.all(r, self.metadata.name.size() + r.name.size() <= 46)")
        .message("metadata.name and the name of a rack together must be at most 46 characters, since pods are named after both"),
    validation = Rule::new("has(self.spec.topology) || self.metadata.name.size() <= 52")
        .message("metadata.name must be at most 52 characters, since pods are named after it")
)]
#[x_kube(
    validation = Rule::new("!has(self.topology) || !has(self.podTemplate)")
        .message("spec.podTemplate must be empty with spec.topology; set it per rack"),
    validation = Rule::new("!has(self.topology) || !has(self.replicas)")
        .message("spec.replicas must be empty with spec.topology; set it per rack"),
    validation = Rule::new("!has(self.topology) || !has(self.storageType)")
        .message("spec.storageType must be empty with spec.topology; set it per rack"),
    validation = Rule::new("!has(self.topology) || !has(self.storage)")
        .message("spec.storage must be empty with spec.topology; set it per rack"),
    validation = Rule::new("has(self.topology) || !has(self.replicas) || self.replicas == 1")
        .message("spec.replicas must be 1 without spec.topology; name racks in spec.topology for more nodes"),
    validation = Rule::new("has(self.topology) || (has(self.storageType) && self.storageType == 'Ephemeral') || has(self.storage)")
        .message("spec.storage is needed when spec.storageType is Durable"),
    validation = Rule::new("has(self.topology) == has(oldSelf.topology)")
        .message("spec.topology cannot be added to or removed from an existing Cassandra"),
    validation = Rule::new("has(self.storage) == has(oldSelf.storage)")
        .message("spec.storage cannot be changed on an existing Cassandra"),
    validation = Rule::new("(has(self.storageType) ? self.storageType : 'Durable') == (has(oldSelf.storageType) ? oldSelf.storageType : 'Durable')")
        .message("spec.storageType cannot be changed on an existing Cassandra"),
    validation = Rule::new("self.disableSecurity == oldSelf.disableSecurity")
        .message("spec.disableSecurity cannot be changed on an existing Cassandra"),
    validation = Rule::new("(has(self.authSecret) == has(oldSelf.authSecret)) && (!has(self.authSecret) || self.authSecret.name == oldSelf.authSecret.name)")
        .message("spec.authSecret cannot be changed on an existing Cassandra")
)]
pub struct CassandraSpec {
    /// Name of the CassandraVersion to run. Changed by a CassandraOpsRequest of type UpdateVersion only.
    #[schemars(length(min = 1))]
    pub version: String,
    /// Nodes of a standalone Cassandra: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// The racks of a ring.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topology: Option<Topology>,
    /// Storage type of a standalone Cassandra; Durable if unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_type: Option<StorageType>,
    /// Volume claim of a standalone Cassandra.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<PersistentVolumeClaimSpec>,
    /// Pods of a standalone Cassandra.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_template: Option<PodTemplate>,
    /// Lets anybody log in as anybody: no authentication, no authorization.
    #[serde(default)]
    pub disable_security: bool,
    /// Secret with `username` and `password` of the superuser; the operator makes `<name>-auth` if unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_secret: Option<SecretReference>,
    /// The user's own settings, laid over the defaults of the image. They take effect when a node starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<Configuration>,
    /// Changes to the Services that the operator makes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5))]
    pub service_templates: Vec<ServiceTemplate>,
    /// What remains when this object is deleted.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// How the operator measures health.
    #[serde(default)]
    pub health_checker: HealthChecker,
    /// While true the provisioner changes nothing that belongs to this Cassandra; it still reports status.
    #[serde(default)]
    pub halted: bool,
}

/// The racks of a ring.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[x_kube(
    validation = Rule::new("self.rack.map(r, r.replicas).sum() > 1")
        .message("the racks together must have more than 1 replica; leave out spec.topology for a single node"),
    validation = Rule::new("self.rack.all(r, r.?podTemplate.?spec.?dnsPolicy.orValue('ClusterFirst') in ['ClusterFirst', 'ClusterFirstWithHostNet'] || (r.podTemplate.spec.dnsPolicy == 'None' && r.podTemplate.spec.?dnsConfig.?nameservers.hasValue() && r.podTemplate.spec.dnsConfig.nameservers.size() > 0))")
        .message("dnsPolicy of a rack must be ClusterFirst, or None with the nameservers of the cluster in dnsConfig: the nodes find each other by names that only the cluster's DNS server knows"),
    validation = Rule::new("self.rack.map(r, r.name) == oldSelf.rack.map(r, r.name) && self.rack.map(r, r.replicas) == oldSelf.rack.map(r, r.replicas)")
        .message("racks and their replicas cannot be changed on an existing Cassandra: scaling is not supported yet")
)]
pub struct Topology {
    /// One PetSet each. A rack's name is its identity in the ring.
    #[schemars(length(min = 1, max = 32))]
    pub rack: Vec<Rack>,
}

/// A rack: nodes that Cassandra takes for failing together.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.storageType == 'Ephemeral' || has(self.storage)")
        .message("storage is needed when storageType is Durable"),
    validation = Rule::new("has(self.storage) == has(oldSelf.storage)")
        .message("storage cannot be changed on an existing rack"),
    validation = Rule::new("self.storageType == oldSelf.storageType")
        .message("storageType cannot be changed on an existing rack")
)]
pub struct Rack {
    /// Name of the rack, unique in the ring.
    #[schemars(length(min = 1, max = 45), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Nodes of the rack.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1000))]
    pub replicas: i32,
    /// Where the data lives.
    #[serde(default)]
    pub storage_type: StorageType,
    /// Volume claim of each node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<PersistentVolumeClaimSpec>,
    /// Pods of the rack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_template: Option<PodTemplate>,
}

fn one() -> i32 {
    1
}

/// Where data lives.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum StorageType {
    /// On a persistent volume.
    #[default]
    Durable,
    /// In an emptyDir: gone with its pod.
    Ephemeral,
}

/// Names the Secret of the superuser.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretReference {
    /// Kind of the referent.
    #[serde(default)]
    pub kind: SecretKind,
    /// Group of the referent: the core group.
    #[serde(default)]
    #[schemars(length(max = 0))]
    pub api_group: String,
    /// Name of the Secret.
    pub name: String,
    /// The Secret is the user's: it must exist, and no deletionPolicy touches it.
    #[serde(default)]
    pub externally_managed: bool,
}

/// Kind of a secret store.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum SecretKind {
    /// A Kubernetes Secret.
    #[default]
    Secret,
}

/// The user's own settings. `inline` wins over the Secret.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.inline) || self.inline.all(file, file == 'cassandra.yaml')")
        .message("spec.configuration.inline: cassandra.yaml is the only file that can be given")
)]
pub struct Configuration {
    /// A Secret of the user's with the key `cassandra.yaml`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_name: Option<String>,
    /// File name to content; the only file is `cassandra.yaml`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inline: BTreeMap<String, String>,
}

/// Changes to one of the Services.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct ServiceTemplate {
    /// Which Service is meant.
    pub alias: ServiceAlias,
    /// Labels and annotations to add.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<TemplateMetadata>,
    /// Fields of the Service's spec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<ServiceTemplateSpec>,
}

/// The Services that a template can change.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ServiceAlias {
    /// The Service that clients use.
    #[default]
    Primary,
}

/// The fields of a Service that a template can set, with Kubernetes' meanings.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.clusterIP) || self.clusterIP != 'None' || !has(self.type) || self.type == 'ClusterIP'")
        .message("clusterIP None is for the type ClusterIP only"),
    validation = Rule::new("!has(self.externalTrafficPolicy) || (has(self.type) && self.type != 'ClusterIP') || has(self.externalIPs)")
        .message("externalTrafficPolicy is for the types NodePort and LoadBalancer, or beside externalIPs"),
    validation = Rule::new("!has(self.loadBalancerSourceRanges) || (has(self.type) && self.type == 'LoadBalancer')")
        .message("loadBalancerSourceRanges is for the type LoadBalancer only")
)]
pub struct ServiceTemplateSpec {
    // A String here and the allowed values in the schema only: a stored object with another value must still deserialize.
    /// ClusterIP, NodePort or LoadBalancer.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["ClusterIP", "NodePort", "LoadBalancer"]))]
    pub type_: Option<String>,
    /// Address of the Service, or `None`.
    #[serde(default, rename = "clusterIP", skip_serializing_if = "Option::is_none")]
    pub cluster_ip: Option<String>,
    /// Further addresses of the Service.
    #[serde(default, rename = "externalIPs", skip_serializing_if = "Vec::is_empty")]
    pub external_ips: Vec<String>,
    /// Address to ask the load balancer for.
    #[serde(default, rename = "loadBalancerIP", skip_serializing_if = "Option::is_none")]
    pub load_balancer_ip: Option<String>,
    /// Clients that the load balancer lets in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub load_balancer_source_ranges: Vec<String>,
    /// Cluster or Local.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["Cluster", "Local"]))]
    pub external_traffic_policy: Option<String>,
}

/// What remains when a Cassandra is deleted (KubeDB's deletion policies).
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum DeletionPolicy {
    /// The delete is refused.
    DoNotTerminate,
    /// Volume claims and the auth Secret remain.
    Halt,
    /// The auth Secret remains.
    #[default]
    Delete,
    /// Nothing remains.
    WipeOut,
}

/// How the operator measures health: it asks the nodes itself, over CQL.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HealthChecker {
    /// Seconds between two checks.
    #[serde(default = "ten")]
    #[schemars(range(min = 1))]
    pub period_seconds: i32,
    /// Seconds that one check may take.
    #[serde(default = "ten")]
    #[schemars(range(min = 1))]
    pub timeout_seconds: i32,
    /// Checks that fail in a row before the phase changes.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    pub failure_threshold: i32,
    /// Do not write a row with every check.
    #[serde(default)]
    pub disable_write_check: bool,
}

fn ten() -> i32 {
    10
}

// As in KubeDB: without `healthChecker` the values are 20, 10 and 3. Fields missing from a given one are 10, 10 and 1.
impl Default for HealthChecker {
    fn default() -> Self {
        Self { period_seconds: 20, timeout_seconds: 10, failure_threshold: 3, disable_write_check: false }
    }
}

/// What is known about a Cassandra.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CassandraStatus {
    /// Follows from the conditions, see [`Phase::of`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// The generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The facts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Host id of each node that has joined the ring, by pod. One that starts without its data takes its place again by it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", rename = "hostIDs")]
    pub host_ids: BTreeMap<String, String>,
    /// The stored configuration, which a pod has once it is renewed with its present template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<StoredConfiguration>,
}

/// The configuration of the nodes as the provisioner has stored it.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredConfiguration {
    /// Key of each file in the Secret of the settings, by the name of the file.
    pub keys: BTreeMap<String, String>,
    /// Resource version of the Secret `spec.configuration.secretName` when its content was copied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copied: Option<String>,
}

/// The state of a Cassandra in one word.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum Phase {
    /// The ring is being made.
    Provisioning,
    /// Every node answers, reads and writes work.
    Ready,
    /// It answers, but not with all its nodes.
    Critical,
    /// It does not answer.
    NotReady,
}

impl Phase {
    /// KubeDB's rule: the first match wins. `None` before provisioning has started.
    pub fn of(conditions: &[Condition]) -> Option<Self> {
        let is =
            |type_: &str, status: &str| conditions.iter().any(|c| c.type_ == type_ && c.status == status);
        let provisioned = is(condition_type::PROVISIONED, "True");
        if provisioned && is(condition_type::ACCEPTING_CONNECTION, "False") {
            Some(Self::NotReady)
        } else if provisioned
            && (is(condition_type::REPLICA_READY, "False") || is(condition_type::READY, "False"))
        {
            Some(Self::Critical)
        } else if provisioned && is(condition_type::READY, "True") {
            Some(Self::Ready)
        } else if is(condition_type::PROVISIONING_STARTED, "True") {
            Some(Self::Provisioning)
        } else {
            None
        }
    }
}

/// Types of the conditions of a Cassandra (KubeDB's names).
pub mod condition_type {
    /// The operator has begun to make the ring.
    pub const PROVISIONING_STARTED: &str = "ProvisioningStarted";
    /// Every PetSet has all its pods ready.
    pub const REPLICA_READY: &str = "ReplicaReady";
    /// A node answers an authenticated query.
    pub const ACCEPTING_CONNECTION: &str = "AcceptingConnection";
    /// Every node answers, they agree, and a write and a read succeed.
    pub const READY: &str = "Ready";
    /// The ring has been Ready once.
    pub const PROVISIONED: &str = "Provisioned";
    /// All objects are as desired. The condition exists only after the first failure to apply one.
    pub const OBJECTS_APPLIED: &str = "ObjectsApplied";
    /// The superuser, the replication of `system_auth` and the operator's own keyspace are as they were set up. The condition
    /// exists only after one of them was found to be wrong.
    pub const SETTLED: &str = "Settled";
    /// Pods were made from another template than their PetSet has now. The condition exists only after the first such pod.
    pub const RESTART_REQUIRED: &str = "RestartRequired";
    /// The provisioner leaves the Cassandra alone (see [`crate::halt`]).
    pub const PAUSED: &str = "Paused";
}

impl Cassandra {
    /// Number of nodes that the spec asks for.
    pub fn nodes(&self) -> i32 {
        self.spec.topology.as_ref().map_or(1, |t| t.rack.iter().map(|r| r.replicas).sum())
    }
}
