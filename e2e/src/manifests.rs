//! Manifests that are small enough for a test machine.

use serde_json::{Value, json};

use crate::fake_nodes;

/// Options for the JVM of a ring on a test machine: nodes know of each other within seconds, so they need not wait long.
const RING: &str = "-Dcassandra.ring_delay_ms=5000";
/// Options for the JVM of a single node.
const ALONE: &str = "-Dcassandra.ring_delay_ms=2000 -Dcassandra.skip_wait_for_gossip_to_settle=0";

/// Names of the racks of a ring, as many as it has.
const RACKS: [&str; 4] = ["a", "b", "c", "d"];

/// A ring of three racks with one node each.
pub fn ring(namespace: &str, name: &str, version: &str) -> Value {
    shape(namespace, name, version, &[1, 1, 1])
}

/// The same on nodes that only pretend to run it, with a health check each second.
pub fn fake_ring(namespace: &str, name: &str, version: &str) -> Value {
    let mut template = template(RING);
    fake_nodes::place(&mut template);
    let mut ring = ring_of(namespace, name, version, &template, &[1, 1, 1]);
    ring["spec"]["healthChecker"]["periodSeconds"] = json!(1);
    ring
}

/// A ring; `racks` are the numbers of nodes in its racks.
pub fn shape(namespace: &str, name: &str, version: &str, racks: &[usize]) -> Value {
    ring_of(namespace, name, version, &template(RING), racks)
}

/// Names of the first pods of the racks of a ring with three racks.
pub fn pods(ring: &str) -> [String; 3] {
    ["a", "b", "c"].map(|rack| format!("{ring}-rack-{rack}-0"))
}

/// A single node without racks.
pub fn standalone(namespace: &str, name: &str, version: &str) -> Value {
    cassandra(namespace, name, version, &json!({ "storage": storage(), "podTemplate": template(ALONE) }))
}

/// A CassandraOpsRequest to update.
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

/// A CassandraOpsRequest to restart.
pub fn restart(namespace: &str, name: &str, database: &str) -> Value {
    json!({
        "apiVersion": "ops.kubedb.com/v1alpha1",
        "kind": "CassandraOpsRequest",
        "metadata": { "name": name, "namespace": namespace },
        "spec": { "type": "Restart", "databaseRef": { "name": database }, "restart": {}, "timeout": "10m" },
    })
}

/// A CassandraOpsRequest to give the nodes these resources.
pub fn vertical_scaling(namespace: &str, name: &str, database: &str, resources: &Value) -> Value {
    let mut request = restart(namespace, name, database);
    request["spec"] = json!({
        "type": "VerticalScaling",
        "databaseRef": { "name": database },
        "verticalScaling": { "node": { "resources": resources } },
        "timeout": "10m",
    });
    request
}

/// A CassandraVersion with its own image: a release under another name.
pub fn version_of(name: &str, image: &str, release: &str) -> Value {
    let mut version = version(name, image);
    version["spec"]["version"] = json!(release);
    version
}

/// A CassandraVersion.
pub fn version(name: &str, image: &str) -> Value {
    json!({
        "apiVersion": "catalog.kubedb.com/v1alpha1",
        "kind": "CassandraVersion",
        "metadata": { "name": name },
        "spec": { "version": name, "db": { "image": image } },
    })
}

fn ring_of(namespace: &str, name: &str, version: &str, template: &Value, racks: &[usize]) -> Value {
    let rack = |(rack, nodes): (&str, &usize)| json!({ "name": rack, "replicas": nodes, "storage": storage(), "podTemplate": template });
    let racks: Vec<_> = RACKS.into_iter().zip(racks).map(rack).collect();
    cassandra(namespace, name, version, &json!({ "topology": { "rack": racks } }))
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

fn template(options: &str) -> Value {
    json!({ "spec": { "containers": [{
        "name": "cassandra",
        "resources": { "requests": { "cpu": "200m", "memory": "768Mi" }, "limits": { "memory": "1Gi" } },
        "env": [{ "name": "JVM_EXTRA_OPTS", "value": options }],
    }]}})
}
