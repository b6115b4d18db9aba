//! Queries and changes a running Cassandra node over CQL.
//!
//! Everything here talks to one node at a time, because only that node can say what it sees: [`Sessions`] gives
//! a [`Node`], a node gives a [`View`], and [`ring::problems`] judges the views of all nodes together. Changes
//! ([`roles::secure`], [`replication::ensure`], [`keyspace::ensure`]) are idempotent and may be repeated after a
//! failure at any point.

pub mod cause;
mod cql;
mod credentials;
mod error;
pub mod keyspace;
pub mod replication;
pub mod ring;
pub mod roles;
pub mod schema;
mod session;
mod view;

pub use credentials::Credentials;
pub use error::Error;
pub use replication::Replication;
pub use session::{Node, Sessions};
pub use uuid::Uuid;
pub use view::{Gossip, Peer, View};
