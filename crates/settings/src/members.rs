//! The members of a ring, as its nodes read them before they start.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The nodes of a ring, stored in its Secret of settings.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Members {
    /// Host names of all nodes, in the order in which they join.
    #[serde(default)]
    pub order: Vec<String>,
    /// By pod, the host id of each node that has joined.
    #[serde(default)]
    pub host_ids: BTreeMap<String, String>,
}
