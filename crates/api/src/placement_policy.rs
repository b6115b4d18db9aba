//! `PlacementPolicy`: how the pods of a PetSet spread over zones and nodes.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A way to spread pods. A PetSet names it in `podPlacementPolicy`.
#[derive(Clone, CustomResource, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "apps.k8s.appscode.com",
    version = "v1",
    kind = "PlacementPolicy",
    plural = "placementpolicies",
    singular = "placementpolicy",
    derive = "PartialEq",
    derive = "Default"
)]
pub struct PlacementPolicySpec {
    /// Spread over `topology.kubernetes.io/zone`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone_spread_constraint: Option<SpreadConstraint>,
    /// Spread over `kubernetes.io/hostname`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_spread_constraint: Option<SpreadConstraint>,
}

/// How evenly to spread.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SpreadConstraint {
    /// Largest difference in pods between two domains.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    pub max_skew: i32,
    /// What to do with a pod that does not fit.
    #[serde(default)]
    pub when_unsatisfiable: WhenUnsatisfiable,
}

fn one() -> i32 {
    1
}

/// What to do with a pod that does not fit.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum WhenUnsatisfiable {
    /// It waits; no two pods share a domain.
    #[default]
    DoNotSchedule,
    /// It runs where it can.
    ScheduleAnyway,
}
