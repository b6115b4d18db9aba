//! The objects of a Cassandra, built from what it says, its version, and what its ring keeps.
//!
//! Pure: no client, no clock, no random numbers. The same inputs always give the same objects.

mod account;
mod auth;
mod binding;
mod configuration;
mod disruption;
mod hash;
mod kept;
mod lack;
mod members;
mod operator_settings;
mod petset;
mod pod;
mod refusal;
mod resolved;
mod resources;
mod services;
mod size;
mod template;
mod unfit;

use std::collections::BTreeMap;

use api::{AppBinding, CassandraVersion, PetSet};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Secret, Service, ServiceAccount};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;

pub use auth::{Malformed, credentials, secret as auth_secret, to_keep};
pub use configuration::{Configuration, Keys, Mounted, Stored, mounted, mounted_by};
pub use kept::{Kept, noted};
pub use lack::lack;
pub use petset::given;
pub use refusal::Refusal;
pub use resolved::{DATACENTER, Login, Rack, Resolved, racks};
pub use size::{ask, asked, set_size, size, size_for};
pub use template::{held, set_release, waits};
pub use unfit::{too_small, unfit};

/// All objects except the auth Secret, which is created once and never rebuilt.
pub struct Objects {
    /// ServiceAccount of the pods; `None` if the user names another one.
    pub account: Option<ServiceAccount>,
    /// The files of the configuration.
    pub config: Secret,
    /// The Service for clients, and for each PetSet one that gives its pods their names.
    pub services: Vec<Service>,
    /// Lets one node be down at a time; `None` for a single node.
    pub disruption: Option<PodDisruptionBudget>,
    /// One per rack.
    pub petsets: Vec<PetSet>,
    /// By which applications find the database.
    pub binding: AppBinding,
}

/// What templates depend on beside the Cassandra.
#[derive(Clone, Copy)]
pub struct Inputs<'a> {
    /// The version that it has.
    pub version: &'a CassandraVersion,
    /// Image of `render-config`.
    pub image: &'a str,
    /// The files of its configuration.
    pub keys: &'a Keys,
}

/// Builds all objects. `data` has the content of the files, see [`Configuration`].
pub fn objects(resolved: &Resolved, inputs: &Inputs, data: BTreeMap<String, ByteString>) -> Objects {
    Objects {
        account: account::account(resolved),
        config: configuration::secret(resolved, data),
        services: services::all(resolved),
        disruption: disruption::budget(resolved),
        petsets: petsets(resolved, inputs),
        binding: binding::binding(resolved),
    }
}

/// Builds the PetSets alone, in the order of the racks.
pub fn petsets(resolved: &Resolved, inputs: &Inputs) -> Vec<PetSet> {
    resolved.racks.iter().map(|rack| petset::petset(resolved, rack, inputs)).collect()
}

#[cfg(test)]
mod tests;
