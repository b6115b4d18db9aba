//! What is checked and prepared before a request begins, while nothing is touched yet.

pub mod known_to_target;
pub mod pull_pod;

pub(crate) mod image_pull;
pub(crate) mod one_release;
pub(crate) mod quota;
pub(crate) mod rehearsal;
pub(crate) mod replication;
