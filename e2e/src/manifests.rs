//! Manifests that are small enough for a test machine.

use serde_json::{Value, json};

/// Options for the JVM of a ring on a test machine: nodes know of each other within seconds, so they need not wait long.
const RING: &str = "-Dcassandra.ring_delay_ms=5000";
/// Options for a node that is alone.
const ALONE: &str = "-Dcassandra.ring_delay_ms=2000 -Dcassandra.skip_wait_for_gossip_to_settle=0";

/// A ring of three racks with one node each.
pub fn ring(namespace: &str, name: &str, version: &str) -> Value {
    let rack = |name: &str| json!({ "name": name, "storage": storage(), "podTemplate": pods(RING) });
    cassandra(namespace, name, version, &json!({ "topology": { "rack": [rack("a"), rack("b"), rack("c")] } }))
}

/// A node that is alone.
pub fn standalone(namespace: &str, name: &str, version: &str) -> Value {
    cassandra(namespace, name, version, &json!({ "storage": storage(), "podTemplate": pods(ALONE) }))
}

/// A request to update.
pub fn update(namespace: &str, name: &str, database: &str, target: &str) -> Value {
    json!({
        "apiVersion": "ops.kubedb.com/v1alpha1",
        "kind": "CassandraOpsRequest",
        "metadata": { "name": name, "namespace": namespace },
        "spec": {
            "type": "UpdateVersion",
            "databaseRef": { "name": database },
            "updateVersion": { "targetVersion": target },
            "timeout": "10m",
        },
    })
}

/// A version of the catalog.
pub fn version(name: &str, image: &str) -> Value {
    json!({
        "apiVersion": "catalog.kubedb.com/v1alpha1",
        "kind": "CassandraVersion",
        "metadata": { "name": name },
        "spec": { "version": name, "db": { "image": image } },
    })
}

fn cassandra(namespace: &str, name: &str, version: &str, more: &Value) -> Value {
    let mut object = json!({
        "apiVersion": "kubedb.com/v1alpha2",
        "kind": "Cassandra",
        "metadata": { "name": name, "namespace": namespace },
        "spec": { "version": version, "healthChecker": { "periodSeconds": 10, "failureThreshold": 3 } },
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        object["spec"][key] = value.clone();
    }
    object
}

fn storage() -> Value {
    json!({ "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } })
}

fn pods(options: &str) -> Value {
    json!({ "spec": { "containers": [{
        "name": "cassandra",
        "resources": { "requests": { "cpu": "200m", "memory": "768Mi" }, "limits": { "memory": "1Gi" } },
        "env": [{ "name": "JVM_EXTRA_OPTS", "value": options }],
    }]}})
}
