//! Which changes of existing objects are allowed. Here every Cassandra is halted from the start, so it costs nothing.

use e2e::kubectl::{apply, fresh_namespace, kubectl};
use serde_json::Value;

use super::{assert_refused, causes, refusals, request, ring, standalone, with};

const NAMESPACE: &str = "e2e-transitions";

const STORAGE: &str =
    "spec.storage: Invalid value: \"object\": storage cannot be changed on an existing Cassandra";
const NO_STORAGE: &str =
    "spec: Invalid value: \"object\": spec.storage cannot be changed on an existing Cassandra";
const STORAGE_TYPE: &str =
    "spec: Invalid value: \"object\": spec.storageType cannot be changed on an existing Cassandra";
const TOPOLOGY: &str =
    "spec: Invalid value: \"object\": spec.topology cannot be added to or removed from an existing Cassandra";
const RACKS: &str = "spec.topology: Invalid value: \"object\": racks and their replicas cannot be changed on an existing Cassandra: scaling is not supported yet";
const SECURITY: &str =
    "spec: Invalid value: \"object\": spec.disableSecurity cannot be changed on an existing Cassandra";
const AUTH: &str =
    "spec: Invalid value: \"object\": spec.authSecret cannot be changed on an existing Cassandra";
const HALTED_BY: &str = "the annotation ops.kubedb.com/halted-by is the ops-manager's note of a running CassandraOpsRequest: leave it as it is; to stop the request, delete it";

const EPHEMERAL_B: &str = "{name: b, storageType: Ephemeral}";

/// One test for all changes, so that the objects are created only once.
#[test]
fn what_cannot_change_is_refused() {
    fresh_namespace(NAMESPACE).unwrap();
    let alone = here(standalone(), "alone");
    let named = with(here(standalone(), "named"), "spec: {authSecret: {name: s}}");
    let rack = "{name: a, storage: {resources: {requests: {storage: 1Gi}}}}";
    let ring = with(here(ring(), "ring"), &format!("spec: {{topology: {{rack: [{rack}, {EPHEMERAL_B}]}}}}"));
    let kept = with(here(standalone(), "kept"), "spec: {deletionPolicy: DoNotTerminate}");
    let request = with(
        request(),
        &format!("{{metadata: {{namespace: {NAMESPACE}}}, spec: {{databaseRef: {{name: alone}}}}}}"),
    );
    for object in [&alone, &named, &ring, &kept, &request] {
        apply(&object.to_string()).unwrap();
    }

    let racks = |racks: &str| format!("spec: {{topology: {{rack: {racks}}}}}");
    let refused =
        |object: &Value, change: &str, cause: &str| assert_refused(&with(object.clone(), change), cause);
    refused(&alone, "spec: {storage: {resources: {requests: {storage: 2Gi}}}}", STORAGE);
    refused(
        &alone,
        "spec: {storage: {storageClassName: fast, resources: {requests: {storage: 1024Mi}}}}",
        STORAGE,
    );
    // The same amount, written another way.
    let same = with(alone.clone(), "spec: {storage: {resources: {requests: {storage: 1024Mi}}}}");
    assert_eq!(refusals(&same), [""; 0]);
    refused(&alone, "spec: {storageType: Ephemeral}", STORAGE_TYPE);
    refused(&alone, "spec: {disableSecurity: true}", SECURITY);
    refused(&alone, "spec: {authSecret: {name: s}}", AUTH);
    refused(&named, "spec: {authSecret: {name: t}}", AUTH);
    refused(&named, "spec: {authSecret: null}", AUTH);
    let ephemeral = with(
        alone.clone(),
        &format!(
            "spec: {{storage: null, topology: {{rack: [{{name: a, storageType: Ephemeral}}, {EPHEMERAL_B}]}}}}"
        ),
    );
    assert_eq!(refusals(&ephemeral), [TOPOLOGY, NO_STORAGE]);
    refused(&ring, &racks(&format!("[{}]", rack.replace("{name: a,", "{name: a, replicas: 2,"))), RACKS);
    refused(&ring, &racks(&format!("[{rack}, {EPHEMERAL_B}, {{name: c, storageType: Ephemeral}}]")), RACKS);
    refused(&ring, &racks(&format!("[{rack}, {{name: b, replicas: 2, storageType: Ephemeral}}]")), RACKS);
    refused(
        &ring,
        &racks(&format!("[{}, {EPHEMERAL_B}]", rack.replace("1Gi", "2Gi"))),
        "spec.topology.rack[0].storage: Invalid value: \"object\": storage cannot be changed on an existing Cassandra",
    );
    let same = racks(&format!("[{}, {EPHEMERAL_B}]", rack.replace("1Gi", "1024Mi")));
    assert_eq!(refusals(&with(ring.clone(), &same)), [""; 0]);
    let durable_b = "{name: b, storageType: Durable, storage: {resources: {requests: {storage: 1Gi}}}}";
    assert_eq!(
        refusals(&with(ring.clone(), &racks(&format!("[{rack}, {durable_b}]")))),
        [
            "spec.topology.rack[1]: Invalid value: \"object\": storage cannot be changed on an existing rack",
            "spec.topology.rack[1]: Invalid value: \"object\": storageType cannot be changed on an existing rack",
        ]
    );
    refused(
        &request,
        "spec: {updateVersion: {targetVersion: '3'}}",
        "spec: Invalid value: \"object\": spec cannot be changed: create a new CassandraOpsRequest instead",
    );
    refused(
        &request,
        "spec: {timeout: 1m}",
        "spec: Invalid value: \"object\": spec cannot be changed: create a new CassandraOpsRequest instead",
    );

    let version = refusals(&with(alone.clone(), "spec: {version: '2'}")).join("");
    assert!(version.starts_with("spec.version is changed by a CassandraOpsRequest only, which updates pod by pod. Create one: echo '{"), "{version}");
    let advised = version
        .split_once("echo '")
        .and_then(|(_, rest)| rest.split_once("' | kubectl create -f -"))
        .unwrap()
        .0;
    assert_eq!(refusals(&serde_json::from_str(advised).unwrap()), [""; 0], "the advice works");
    refused(&alone, "metadata: {annotations: {ops.kubedb.com/halted-by: me}}", HALTED_BY);

    let delete = kubectl(&["delete", "-n", NAMESPACE, "cassandra/kept"]).unwrap_err().to_string();
    assert!(causes(&delete)[0].starts_with("spec.deletionPolicy of Cassandra kept is DoNotTerminate. To delete it, choose first what remains:"), "{delete}");
    // The deletion of the whole namespace deletes it nevertheless.
    kubectl(&["delete", "namespace", NAMESPACE, "--timeout=60s"]).unwrap();
}

fn here(object: Value, name: &str) -> Value {
    with(object, &format!("{{metadata: {{name: {name}, namespace: {NAMESPACE}}}, spec: {{halted: true}}}}"))
}
