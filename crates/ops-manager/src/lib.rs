//! Operator: carries out CassandraOpsRequests.
//!
//! It meets the provisioner in the API server only: it halts a Cassandra, waits for the answer, does its work one step
//! at a time, and resumes it. Each step is decided by a pure function on what can be seen, so that a restart at any
//! point continues where the world is.

mod context;
pub mod controller;
mod metrics;
pub mod orphans;
pub mod queue;
pub mod update_version;
