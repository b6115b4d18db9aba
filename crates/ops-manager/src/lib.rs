//! Operator that carries out CassandraOpsRequests.
//!
//! It communicates with the provisioner only through the API server: it halts a Cassandra, waits for the provisioner's answer,
//! does its work one step at a time, and lifts the halt. A pure function decides each step from the state of the cluster, so
//! that the operator can restart at any point and continue from there.

mod context;
pub mod controller;
pub mod engine;
mod metrics;
pub mod observe;
mod operation;
pub mod orphaned_halt;
pub mod preparation;
mod refusal;
pub mod step;
pub mod turn;
