//! The members of a ring, for its nodes to read before they start.

use std::collections::BTreeMap;

use api::names;
use settings::Members;

use crate::resolved::Resolved;

pub(crate) fn members(resolved: &Resolved) -> Members {
    Members { order: resolved.order(), host_ids: known(resolved) }
}

/// The host ids in the status, without those whose data loss the user has accepted. None for a single node without a volume: its
/// data is not meant to outlive the pod.
fn known(resolved: &Resolved) -> BTreeMap<String, String> {
    if resolved.nodes() == 1 && resolved.racks.iter().all(|rack| rack.storage.is_none()) {
        return BTreeMap::new();
    }
    let status = resolved.cassandra.status.as_ref();
    let all = status.map(|status| status.host_ids.clone()).unwrap_or_default();
    let accepted = resolved.cassandra.metadata.annotations.as_ref();
    let accepted = accepted.and_then(|all| all.get(names::ACCEPT_DATA_LOSS)).map_or("", String::as_str);
    all.into_iter().filter(|(_, id)| !accepted.split(',').any(|lost| lost.trim() == id)).collect()
}

#[cfg(test)]
mod tests {
    use api::Cassandra;
    use serde_json::{Value, json};

    use super::*;

    fn host_ids(spec: &Value, accepted: &str) -> Vec<String> {
        let mut cassandra: Cassandra = serde_json::from_value(json!({
            "metadata": { "name": "db", "namespace": "ns", "annotations": { names::ACCEPT_DATA_LOSS: accepted } },
            "spec": spec,
        }))
        .unwrap();
        let ids = [("db-0", "1"), ("db-1", "2")].map(|(pod, id)| (pod.to_owned(), id.to_owned()));
        cassandra.status.get_or_insert_default().host_ids = ids.into();
        members(&Resolved::of(&cassandra)).host_ids.into_keys().collect()
    }

    #[test]
    fn a_node_is_known_until_the_user_gives_its_data_up() {
        let storage = json!({ "resources": { "requests": { "storage": "1Gi" } } });
        let spec = json!({ "version": "4.1.10", "storage": storage });
        assert_eq!(host_ids(&spec, "0"), ["db-0", "db-1"]);
        assert_eq!(host_ids(&spec, "1"), ["db-1"]);
        assert_eq!(host_ids(&spec, "2, 1"), [""; 0]);
    }

    #[test]
    fn a_single_node_without_a_volume_begins_anew_each_time() {
        assert_eq!(host_ids(&json!({ "version": "4.1.10", "storageType": "Ephemeral" }), ""), [""; 0]);
    }
}
