//! Which pods the ops-manager may create: only those that pull an image.

use e2e::kubectl::{fresh_namespace, get, kubectl, wait_for};
use serde_json::{Value, json};

use super::with;

const NAMESPACE: &str = "e2e-pulls";
const OPS_MANAGER: &str = "system:serviceaccount:cassandra-operators:cassandra-operators-ops-manager";
const KIND: &str =
    "the ops-manager makes no other pods than those that pull an image for a CassandraOpsRequest";
const BARE: &str =
    "a pod that pulls an image has one container and neither token, volumes, variables nor ports";
const RESTRICTED: &str = "a pod that pulls an image is as restricted as Pod Security knows it, with a file system that it cannot write";

fn pulls() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "pulls",
            "namespace": NAMESPACE,
            "labels": { "app.kubernetes.io/component": "image-pull" },
            "ownerReferences": [
                { "apiVersion": "ops.kubedb.com/v1alpha1", "kind": "CassandraOpsRequest", "name": "r", "uid": "u" },
            ],
        },
        "spec": {
            "nodeName": "nowhere",
            "automountServiceAccountToken": false,
            "containers": [{
                "name": "pull",
                "image": "localhost/cassandra:5.0.6",
                "command": ["true"],
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "capabilities": { "drop": ["ALL"] },
                    "readOnlyRootFilesystem": true,
                    "runAsNonRoot": true,
                    "seccompProfile": { "type": "RuntimeDefault" },
                },
            }],
        },
    })
}

/// The API server's refusal if the ops-manager creates this pod; empty if it may.
fn said(pod: &Value, options: &[&str]) -> String {
    let file = std::env::temp_dir().join(format!("cassandra-pulls-{}.json", std::process::id()));
    std::fs::write(&file, pod.to_string()).unwrap();
    let path = file.to_string_lossy();
    kubectl(&[&["create", "--as", OPS_MANAGER, "-f", &path][..], options].concat())
        .err()
        .map(|error| error.to_string())
        .unwrap_or_default()
}

/// One test for all pods: the policy ignores dry runs, so accepted pods are really created.
#[test]
fn the_ops_manager_makes_pods_that_pull_and_no_others() {
    fresh_namespace(NAMESPACE).unwrap();
    let account = || Ok(get(NAMESPACE, "serviceaccount/default").ok());
    wait_for("the service account", NAMESPACE, 30, account).unwrap();
    let refused = |change: &str, why: &str| {
        let said = said(&with(pulls(), change), &[]);
        assert!(said.contains(why), "{change}: {said}");
    };
    refused("metadata: {labels: null}", KIND);
    refused("metadata: {ownerReferences: null}", KIND);
    refused("spec: {automountServiceAccountToken: null}", BARE);
    refused("spec: {volumes: [{name: s, secret: {secretName: s}}]}", BARE);
    refused("spec: {initContainers: [{name: i, image: i}]}", BARE);
    refused("spec: {hostNetwork: true}", RESTRICTED);
    let container = |change: &str| {
        let mut pod = pulls();
        let container = with(pod["spec"]["containers"][0].take(), change);
        pod["spec"]["containers"][0] = container;
        said(&pod, &[])
    };
    let secret = "env: [{name: S, valueFrom: {secretKeyRef: {name: s, key: k}}}]";
    assert!(container(secret).contains(BARE));
    assert!(container("securityContext: {allowPrivilegeEscalation: true}").contains(RESTRICTED));
    assert!(container("securityContext: {capabilities: {add: [NET_RAW]}}").contains(RESTRICTED));
    assert!(container("securityContext: null").contains(RESTRICTED));

    // The ops-manager may create any pod by a dry run: it rehearses the pods of a Cassandra.
    assert_eq!(said(&with(pulls(), "metadata: {labels: null}"), &["--dry-run=server"]), "");
    assert_eq!(said(&pulls(), &[]), "");
    kubectl(&["delete", "namespace", NAMESPACE, "--wait=false"]).unwrap();
}
