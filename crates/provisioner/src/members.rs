//! Who belongs to a ring, as its nodes are told before they start.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::plan::Plan;

/// The nodes of a ring, in its Secret of settings.
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

impl Members {
    /// What is known of a ring. A host id whose loss the user has accepted is forgotten.
    pub fn of(plan: &Plan) -> Self {
        Self { order: plan.order(), host_ids: known(plan) }
    }
}

/// The host ids that the status tells of, without those that the user has given up.
fn known(plan: &Plan) -> BTreeMap<String, String> {
    let status = plan.cassandra.status.as_ref();
    let all = status.map(|status| status.host_ids.clone()).unwrap_or_default();
    let accepted = plan.cassandra.metadata.annotations.as_ref();
    let accepted = accepted.and_then(|all| all.get(api::names::ACCEPT_DATA_LOSS)).map_or("", String::as_str);
    all.into_iter().filter(|(_, id)| !accepted.split(',').any(|lost| lost.trim() == id)).collect()
}
