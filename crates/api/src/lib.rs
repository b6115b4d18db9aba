//! The API both operators share: custom resources, conditions, names, labels and the halt contract.
//!
//! Names, fields and defaults follow KubeDB's API, so that its manifests work unchanged; `spec.halted` on
//! [`Cassandra`] is this project's addition. There is no I/O and no clock in here.

pub mod app_binding;
pub mod cassandra;
pub mod condition;
pub mod halt;
pub mod labels;
pub mod names;
pub mod ops_request;
pub mod petset;
pub mod placement_policy;
pub mod pod_template;
pub mod schema;
mod template_rules;
pub mod version;

pub use app_binding::AppBinding;
pub use cassandra::{Cassandra, CassandraSpec, CassandraStatus};
pub use ops_request::{CassandraOpsRequest, CassandraOpsRequestSpec, CassandraOpsRequestStatus};
pub use petset::{PetSet, PetSetSpec};
pub use placement_policy::{PlacementPolicy, PlacementPolicySpec};
pub use version::{CassandraVersion, CassandraVersionSpec};
