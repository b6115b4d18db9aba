//! `CassandraOpsRequest`: one operation on a Cassandra, asked for by the user.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::condition;

/// Annotation on a CassandraOpsRequest: what to do about keyspaces that are not available at QUORUM while a node is renewed:
/// `Warn` (the default) or `Refuse`.
pub const REPLICATION_CHECK: &str = "ops.kubedb.com/replication-check";

/// Type of the condition that reports the halt.
pub const PAUSE: &str = "PauseDatabase";

/// An operation on a Cassandra. It runs once; its status reports the run.
#[derive(Clone, CustomResource, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "ops.kubedb.com",
    version = "v1alpha1",
    kind = "CassandraOpsRequest",
    plural = "cassandraopsrequests",
    singular = "cassandraopsrequest",
    shortname = "casops",
    category = "ops",
    category = "kubedb",
    category = "appscode",
    namespaced,
    status = "CassandraOpsRequestStatus",
    derive = "PartialEq",
    derive = "Default",
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type"),
    printcolumn(name = "Status", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Progress", type_ = "string", json_path = ".status.progress"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[x_kube(
    validation = Rule::new("self == oldSelf").message("spec cannot be changed: create a new CassandraOpsRequest instead"),
    validation = Rule::new("self.type != 'UpdateVersion' || has(self.updateVersion)")
        .message("spec.updateVersion is needed when spec.type is UpdateVersion"),
    validation = Rule::new("self.type != 'VerticalScaling' || has(self.verticalScaling)")
        .message("spec.verticalScaling is needed when spec.type is VerticalScaling")
)]
pub struct CassandraOpsRequestSpec {
    /// What to do.
    #[serde(rename = "type")]
    pub type_: OpsType,
    /// The Cassandra to do it to, in the same namespace.
    pub database_ref: DatabaseRef,
    /// When to begin.
    #[serde(default)]
    pub apply: Apply,
    /// How long each step may take, such as `5m` or `1h30m`; 30 minutes if unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|h|m|s))+$"))]
    pub timeout: Option<String>,
    /// What an update of the version needs to know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update_version: Option<UpdateVersion>,
    /// What a restart needs to know: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<Restart>,
    /// What a vertical scaling needs to know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vertical_scaling: Option<VerticalScaling>,
}

/// The operations that are supported.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum OpsType {
    /// Run another version of Cassandra.
    #[default]
    UpdateVersion,
    /// Renew all pods, one at a time. They get what waits in their templates.
    Restart,
    /// Give all nodes other CPU and memory. The pods are renewed, one at a time.
    VerticalScaling,
}

impl OpsType {
    /// All types.
    pub const ALL: [Self; 3] = [Self::UpdateVersion, Self::Restart, Self::VerticalScaling];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::UpdateVersion => "UpdateVersion",
            Self::Restart => "Restart",
            Self::VerticalScaling => "VerticalScaling",
        }
    }
}

/// Names a Cassandra.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct DatabaseRef {
    /// Name of the Cassandra.
    #[schemars(length(min = 1))]
    pub name: String,
}

/// When a request may begin.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum Apply {
    /// Once the Cassandra is Ready.
    #[default]
    IfReady,
    /// At once.
    Always,
}

/// An update of the version.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdateVersion {
    /// Name of the CassandraVersion to run.
    #[schemars(length(min = 1))]
    pub target_version: String,
}

/// A restart.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Restart {}

/// Other CPU and memory for the nodes.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct VerticalScaling {
    /// What each node gets.
    pub node: NodeScaling,
    /// How it gets it.
    #[serde(default)]
    pub mode: ScalingMode,
}

/// What each node gets.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[x_kube(
    validation = Rule::new("has(self.resources.requests) || has(self.resources.limits)")
        .message("resources: give requests, limits or both")
)]
pub struct NodeScaling {
    /// The requests and limits of the container `cassandra`, instead of those that it has. The missing ones follow from the given
    /// ones as in the Cassandra.
    pub resources: NodeResources,
}

/// Requests and limits of a node.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct NodeResources {
    /// Quantity of each resource that is kept for the node.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "quantities")]
    pub requests: BTreeMap<String, Quantity>,
    /// Quantity of each resource that the node may use at most.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "quantities")]
    pub limits: BTreeMap<String, Quantity>,
}

/// Quantities as Kubernetes reads them. The schema of the embedded type has no pattern, and a wrong one would be refused no sooner than
/// by the pods.
fn quantities(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "additionalProperties": {
            "pattern": r"^([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$",
            "x-kubernetes-int-or-string": true,
        },
    })
}

/// How nodes get other resources.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum ScalingMode {
    /// Their pods are renewed, and the heap follows the memory.
    #[default]
    Restart,
}

/// How far a request is.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CassandraOpsRequestStatus {
    /// The state in one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// The generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Nodes done, of all nodes: `2/6`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<String>,
    /// The steps taken, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The step under way, and since when its timeout counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepRecord>,
    /// What a running update must not forget; written before the first change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update_version: Option<UpdateVersionRecord>,
    /// What a running restart must not forget; written before the first change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<RestartRecord>,
    /// What a running vertical scaling must not forget; written before the first change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vertical_scaling: Option<VerticalScalingRecord>,
}

/// What an update has set out to do. Progress itself is read off the ring, never from here.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdateVersionRecord {
    /// UID of the Cassandra: another one of its name is not touched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cassandra: Option<String>,
    /// Where it came from.
    pub source: Release,
    /// Where it goes.
    pub target: Release,
    /// Revisions of the templates from which the pods of the source were made: a roll-back leaves such pods alone. Unset in a
    /// record of an older release, which went by images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<BTreeSet<String>>,
    /// Why it goes back to the source; forward if unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roll_back: Option<String>,
}

/// What a restart has set out to do.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RestartRecord {
    /// UID of the Cassandra: another one of its name is not touched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cassandra: Option<String>,
    /// UIDs of the pods to renew: those that there were when it began.
    pub pods: BTreeSet<String>,
    /// The PetSets that get another template, because theirs lacked changes when it began, each with the revision that it had.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outdated: BTreeMap<String, String>,
    /// Why no further pod is renewed; unset if all are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
}

/// What a vertical scaling has set out to do. The maps are by the names of the PetSets.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VerticalScalingRecord {
    /// UID of the Cassandra: another one of its name is not touched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cassandra: Option<String>,
    /// What the spec of the Cassandra asked for.
    pub former: BTreeMap<String, NodeResources>,
    /// What it asks for at the end, of each PetSet.
    pub resources: NodeResources,
    /// What the templates of the pods had.
    pub source: BTreeMap<String, NodeSize>,
    /// What they get.
    pub target: BTreeMap<String, NodeSize>,
    /// Revisions of the templates from which the pods were made: a roll-back leaves such pods alone.
    pub before: BTreeSet<String>,
    /// Why it goes back; forward if unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roll_back: Option<String>,
}

/// The size of a node, as the template of its pod has it.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct NodeSize {
    /// Requests and limits.
    pub resources: NodeResources,
    /// The environment variables that size the heap.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub heap: BTreeMap<String, String>,
}

/// A step under way.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StepRecord {
    /// What is waited for.
    pub name: String,
    /// Since when its timeout counts.
    pub started: Time,
    /// Progress of the update at that time: the timeout starts again when it has grown, and not when one wait follows another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reached: Option<u32>,
}

/// A release as resolved from the catalog when the update began: a later edit of the catalog does not change it.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Release {
    /// Name of the CassandraVersion.
    pub name: String,
    /// Its `spec.version`, which the nodes themselves will report.
    pub version: String,
    /// Its image.
    pub image: String,
    /// The user that it runs as, unless the template of the pods names another one. Unset in a record of an older release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_as_user: Option<i64>,
}

/// The state of a request in one word (KubeDB's names).
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
pub enum Phase {
    /// It waits for its turn.
    Pending,
    /// It runs.
    Progressing,
    /// It is done.
    Successful,
    /// It was given up; the conditions say why and what became of the ring.
    Failed,
    /// It was refused; nothing was touched.
    Denied,
    /// A newer request took its place; nothing was touched.
    Skipped,
}

impl CassandraOpsRequestStatus {
    /// What the types of the conditions about pods and PetSets begin with: KubeDB's names on the way forward, the same names after
    /// `RollBack` on the way back, so that those of both stay.
    pub fn prefix(&self) -> &'static str {
        let update = self.update_version.as_ref().and_then(|record| record.roll_back.as_ref());
        let scaling = self.vertical_scaling.as_ref().and_then(|record| record.roll_back.as_ref());
        if update.or(scaling).is_some() { "RollBack" } else { "" }
    }
}

/// `memory 2Gi (at most 4Gi), cpu 1`.
impl fmt::Display for NodeResources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: BTreeSet<&String> = self.requests.keys().chain(self.limits.keys()).collect();
        let amount = |name: &String| match (self.requests.get(name), self.limits.get(name)) {
            (Some(request), Some(limit)) => format!("{name} {} (at most {})", request.0, limit.0),
            (Some(request), None) => format!("{name} {}", request.0),
            (None, limit) => format!("{name} at most {}", limit.map_or("", |limit| limit.0.as_str())),
        };
        f.write_str(&names.into_iter().map(amount).collect::<Vec<_>>().join(", "))
    }
}

impl Phase {
    /// Whether nothing more happens in this phase.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Successful | Self::Failed | Self::Denied | Self::Skipped)
    }
}

impl CassandraOpsRequest {
    /// The phase; Pending before anybody has looked at the request.
    pub fn phase(&self) -> Phase {
        self.status.as_ref().and_then(|s| s.phase).unwrap_or(Phase::Pending)
    }

    /// Whether it has set its halt, now or before.
    pub fn has_halted(&self) -> bool {
        self.status.as_ref().is_some_and(|status| condition::get(&status.conditions, PAUSE).is_some())
    }

    /// Whether it has recorded what it is going to do.
    pub fn has_begun(&self) -> bool {
        self.status.as_ref().is_some_and(|it| {
            it.update_version.is_some() || it.restart.is_some() || it.vertical_scaling.is_some()
        })
    }
}
