//! What a binary needs to be an operator: client, leader election, apply, caches, metrics, probes.
//!
//! It knows no database. A binary parses [`Options`], calls [`run`] with its controllers, and gets an [`Operator`] to build
//! them from: [`Cache`]s hold what is watched and trigger a [`Queue`], [`controller::run`] takes work from the queue, and the
//! [`Writer`] is the only way to change something in the cluster.

mod backoff;
mod cache;
mod client;
mod clock;
pub mod controller;
mod drift;
mod ending;
mod events;
mod failure;
mod gauges;
mod leader;
mod metrics;
mod object;
mod operator;
mod options;
pub mod patch;
pub mod pod;
mod probes;
mod quantity;
mod queue;
mod requirements;
mod run;
mod shutdown;
mod telemetry;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod tool;
mod version;
mod write_error;
mod writer;

pub use cache::{Cache, CacheBuilder, itself, owner_of, spec_changed};
pub use clock::Clock;
pub use drift::difference;
pub use events::Events;
pub use failure::{Failure, Retry};
pub use gauges::Sample;
pub use leader::Leader;
pub use object::{Object, Placement};
pub use operator::Operator;
pub use options::{LogFormat, Options, Scope};
pub use prometheus_client;
pub use quantity::nanos as amount;
pub use queue::Queue;
pub use run::run;
pub use tool::Tool;
pub use version::version;
pub use write_error::{Request, WriteError};
pub use writer::{Applied, Eviction, Writer};
