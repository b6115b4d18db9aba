//! End-to-end harness: a real cluster through `kubectl`, as a user has it, and what the tests and the demo do with it.

pub mod audit;
pub mod client;
pub mod fake_nodes;
pub mod kubectl;
pub mod ledger;
pub mod load;
pub mod machine;
pub mod manifests;
pub mod operators;
pub mod proxy;
pub mod report;
pub mod stand_in;
pub mod table;
pub mod update;
pub mod webhook;
