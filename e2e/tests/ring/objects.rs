//! The objects that are created for a Cassandra.

use anyhow::Result;
use e2e::client::{Login, cql};
use e2e::kubectl::{condition, get, text};
use serde_json::json;

use crate::{CASSANDRA, NAMESPACE, PODS};

pub fn everything_is_there() -> Result<()> {
    let cassandra = get(NAMESPACE, CASSANDRA)?;
    for type_ in ["ProvisioningStarted", "ReplicaReady", "AcceptingConnection", "Ready", "Provisioned"] {
        assert_eq!(condition(&cassandra, type_).map(|c| &c["status"]), Some(&json!("True")), "{type_}");
    }
    assert_eq!(text(&cassandra, "/status/observedGeneration"), text(&cassandra, "/metadata/generation"));
    for object in [
        "petset/ring-rack-a",
        "petset/ring-rack-b",
        "petset/ring-rack-c",
        "service/ring",
        "service/ring-rack-a-pods",
        "service/ring-rack-b-pods",
        "service/ring-rack-c-pods",
        "secret/ring-auth",
        "pdb/ring",
        "appbinding/ring",
        "pod/ring-rack-a-0",
    ] {
        let labels = &get(NAMESPACE, object)?["metadata"]["labels"];
        assert_eq!(labels["app.kubernetes.io/name"], "cassandras.kubedb.com", "{object}");
        assert_eq!(labels["app.kubernetes.io/instance"], "ring", "{object}");
        assert_eq!(labels["app.kubernetes.io/managed-by"], "kubedb.com", "{object}");
    }
    let uid = text(&cassandra, "/metadata/uid");
    let config = get(NAMESPACE, &format!("secret/ring-{}", &uid[uid.len() - 6..]))?;
    assert_eq!(config["metadata"]["labels"]["app.kubernetes.io/instance"], "ring");
    assert_eq!(get(NAMESPACE, "pdb/ring")?["spec"]["maxUnavailable"], 1);
    assert_eq!(get(NAMESPACE, "pdb/ring")?["spec"]["unhealthyPodEvictionPolicy"], "AlwaysAllow");
    let ports = &get(NAMESPACE, "service/ring")?["spec"]["ports"];
    assert_eq!(
        ports.as_array().map(|ports| ports.iter().map(|port| &port["port"]).collect()),
        Some(vec![&json!(9042)])
    );
    let name = cql(NAMESPACE, "ring", &Login::Secret("ring-auth"), "SELECT cluster_name FROM system.local")?;
    assert!(name[0].to_string().contains(&format!("ring.{NAMESPACE}")), "{name:?}");
    let binding = get(NAMESPACE, "appbinding/ring")?;
    assert_eq!(text(&binding, "/spec/clientConfig/service/name"), "ring");
    assert_eq!(text(&binding, "/spec/secret/name"), "ring-auth");
    assert_eq!(text(&get(NAMESPACE, "secret/ring-auth")?, "/type"), "kubernetes.io/basic-auth");
    let nodes: std::collections::BTreeSet<_> = PODS
        .iter()
        .map(|pod| Ok(text(&get(NAMESPACE, &format!("pod/{pod}"))?, "/spec/nodeName")))
        .collect::<Result<_>>()?;
    assert!(!nodes.contains(""), "every pod has its node");
    Ok(())
}

pub fn only_the_superuser_of_the_secret_can_log_in() -> Result<()> {
    let keyspace = "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = 'system_auth'";
    let rows = cql(NAMESPACE, "ring", &Login::Secret("ring-auth"), keyspace)?;
    let replication = rows[0].to_string();
    assert!(replication.contains("NetworkTopologyStrategy") && replication.contains("dc1"), "{replication}");
    let default = Login::Plain("cassandra", "cassandra");
    let refused = cql(NAMESPACE, "ring", &default, "SELECT key FROM system.local");
    let said = refused.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(said.contains("cassandra is not permitted to log in") || said.contains("incorrect"), "{said}");
    Ok(())
}
