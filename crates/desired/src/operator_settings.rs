//! The settings that all nodes share. The others are added in the pod, see `render-config`.

use api::names;
use serde_json::{Map, Value, json};
use settings::layout::DATA_PATH;

use crate::resolved::{Login, Resolved};

/// The file with these settings. Values are JSON, which is YAML; a double-quoted text is text in every version of YAML.
pub(crate) fn yaml(resolved: &Resolved) -> String {
    let lines: Vec<_> = settings(resolved).iter().map(|(key, value)| format!("{key}: {value}")).collect();
    lines.join("\n")
}

fn settings(resolved: &Resolved) -> Map<String, Value> {
    let [authenticator, authorizer] = match resolved.login {
        Login::Open => ["AllowAllAuthenticator", "AllowAllAuthorizer"],
        Login::Secret { .. } => ["PasswordAuthenticator", "CassandraAuthorizer"],
    };
    let settings = json!({
        "cluster_name": resolved.kept.cluster,
        "seed_provider": [{
            "class_name": "org.apache.cassandra.locator.SimpleSeedProvider",
            "parameters": [{ "seeds": resolved.seeds().join(",") }],
        }],
        "allocate_tokens_for_local_replication_factor": resolved.copies_to_spread(),
        "auto_bootstrap": true,
        "endpoint_snitch": "GossipingPropertyFileSnitch",
        "authenticator": authenticator,
        "authorizer": authorizer,
        "role_manager": "CassandraRoleManager",
        "data_file_directories": [format!("{DATA_PATH}/data")],
        "commitlog_directory": format!("{DATA_PATH}/commitlog"),
        "saved_caches_directory": format!("{DATA_PATH}/saved_caches"),
        "hints_directory": format!("{DATA_PATH}/hints"),
        "cdc_raw_directory": format!("{DATA_PATH}/cdc_raw"),
        "rpc_address": "0.0.0.0",
        "start_native_transport": true,
        "native_transport_port": names::CQL_PORT,
        "storage_port": names::INTERNODE_PORT,
        "ssl_storage_port": names::INTERNODE_SSL_PORT,
    });
    let fixed = resolved.kept.fixed.iter().map(|(setting, value)| {
        (setting.clone(), value.parse::<u64>().map_or_else(|_| json!(value), |number| json!(number)))
    });
    match settings {
        Value::Object(settings) => settings.into_iter().chain(fixed).collect(),
        _ => Map::new(),
    }
}
