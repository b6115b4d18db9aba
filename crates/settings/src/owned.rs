//! Settings that only the operator may set, because it depends on them.

use serde_yaml::{Mapping, Value};

/// Refused in the user's configuration, with what to do instead.
const OWNED: [(&str, &str); 23] = [
    ("cluster_name", "it is the name of the Cassandra object"),
    ("seed_provider", "seeds follow from spec.topology"),
    ("listen_address", "it is the address of the pod"),
    ("listen_interface", "the node listens on the address of the pod"),
    ("broadcast_address", "it is the address of the pod"),
    ("broadcast_rpc_address", "it is the address of the pod"),
    ("rpc_address", "the node listens on all addresses of the pod"),
    ("rpc_interface", "the node listens on all addresses of the pod"),
    ("endpoint_snitch", "racks follow from spec.topology"),
    ("authenticator", "set spec.disableSecurity to choose"),
    ("authorizer", "set spec.disableSecurity to choose"),
    ("role_manager", "set spec.disableSecurity to choose"),
    ("data_file_directories", "data lives on the volume of the pod"),
    ("local_system_data_file_directory", "data lives on the volume of the pod"),
    ("commitlog_directory", "data lives on the volume of the pod"),
    ("saved_caches_directory", "data lives on the volume of the pod"),
    ("hints_directory", "data lives on the volume of the pod"),
    ("cdc_raw_directory", "data lives on the volume of the pod"),
    ("start_native_transport", "clients and health checks need it"),
    ("native_transport_port", "Services and probes expect the default"),
    ("storage_port", "Services and probes expect the default"),
    ("ssl_storage_port", "Services and probes expect the default"),
    ("initial_token", "one value cannot serve several nodes"),
];

/// Refused for new rings only. A ring created with them keeps running; the operator's values, which affect only new nodes, win.
const OWNED_FROM_BIRTH: [(&str, &str); 3] = [
    ("allocate_tokens_for_local_replication_factor", "it follows from the number of racks"),
    ("allocate_tokens_for_keyspace", "tokens are chosen for the number of racks"),
    ("auto_bootstrap", "a node that does not fetch its share answers reads with nothing"),
];

/// Like [`check`], for a ring that does not exist yet.
pub fn check_new(user: &Mapping) -> Result<(), String> {
    check(user).and_then(|()| refuse(&OWNED_FROM_BIRTH, user))
}

/// Refuses settings that the operator sets itself.
pub fn check(user: &Mapping) -> Result<(), String> {
    locks_nobody_out(user)?;
    refuse(&OWNED, user)
}

fn refuse(owned: &[(&str, &str)], user: &Mapping) -> Result<(), String> {
    match owned.iter().find(|(key, _)| user.contains_key(key)) {
        Some((key, why)) => Err(format!("{key} is set by the operator ({why}); remove it")),
        None => Ok(()),
    }
}

/// The operator's driver speaks version 4 of the protocol, as many applications do. Cassandra's YAML 1.1 has more words for false
/// than the parser used here.
fn locks_nobody_out(user: &Mapping) -> Result<(), String> {
    const KEY: &str = "native_transport_allow_older_protocols";
    let is_false = match user.get(KEY) {
        Some(Value::Bool(value)) => !value,
        Some(Value::String(word)) => ["no", "off", "false", "n"].contains(&word.to_lowercase().as_str()),
        _ => false,
    };
    if is_false {
        return Err(format!(
            "{KEY} must not be false: the operator asks the nodes by version 4 of the protocol, and could not any more; remove it"
        ));
    }
    Ok(())
}

/// Defaults that the operator prefers to the image's where the user sets nothing. In a ring of two nodes logins have two
/// copies, so a quorum of them is both nodes and nobody could log in while one is down. 4.0 has no such setting.
pub fn defaults(release: Option<(u64, u64)>, nodes: usize) -> Mapping {
    let mut defaults = Mapping::new();
    if nodes == 2 && release >= Some((4, 1)) {
        defaults.insert("auth_read_consistency_level".into(), "LOCAL_ONE".into());
    }
    defaults
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::two(Some((4, 1)), 2, true)]
    #[case::two_of_later(Some((5, 0)), 2, true)]
    #[case::three(Some((4, 1)), 3, false)]
    #[case::one(Some((4, 1)), 1, false)]
    #[case::before(Some((4, 0)), 2, false)]
    #[case::unknown(None, 2, false)]
    fn one_of_two_nodes_is_enough_to_log_in(
        #[case] release: Option<(u64, u64)>,
        #[case] nodes: usize,
        #[case] is_set: bool,
    ) {
        assert_eq!(defaults(release, nodes).contains_key("auth_read_consistency_level"), is_set);
    }
}
