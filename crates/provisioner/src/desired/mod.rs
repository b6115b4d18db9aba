//! Builds the objects of a Cassandra from its spec and its version only.

mod account;
mod auth;
mod binding;
mod config;
mod disruption;
mod members;
mod petset;
mod pod;
mod resources;
mod services;
mod unfit;

use api::{AppBinding, CassandraVersion, PetSet};
use k8s_openapi::api::core::v1::{Secret, Service, ServiceAccount};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;

pub use auth::{credentials, secret as auth_secret, secret_again as auth_secret_again, to_keep};
pub use unfit::unfit;

use crate::plan::Plan;

/// All objects except the auth Secret, which is created once and never rebuilt.
pub struct Objects {
    /// ServiceAccount of the pods; `None` if the user names another one.
    pub account: Option<ServiceAccount>,
    /// The operator's and the user's inline settings.
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

/// Builds all objects. `image` is the provisioner's own.
pub fn objects(plan: &Plan, version: &CassandraVersion, image: &str) -> Objects {
    Objects {
        account: account::account(plan),
        config: config::secret(plan),
        services: services::all(plan),
        disruption: disruption::budget(plan),
        petsets: plan.racks.iter().map(|rack| petset::petset(plan, rack, version, image)).collect(),
        binding: binding::binding(plan),
    }
}

#[cfg(test)]
mod tests;
