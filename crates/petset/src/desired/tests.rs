use serde_json::{Value, json};

use super::*;

const PETSET: &str = r"
apiVersion: apps.k8s.appscode.com/v1
kind: PetSet
metadata:
  name: db-rack-r0
  namespace: demo
  uid: 7d1c
  labels: {app.kubernetes.io/managed-by: kubedb.com}
  annotations:
    team: data
    applied-by/provisioner: 0123456789abcdef
    kubectl.kubernetes.io/last-applied-configuration: '{}'
spec:
  serviceName: db-rack-r0-pods
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: cassandra, image: cassandra:4.1.10}]}
";

fn petset() -> PetSet {
    serde_yaml::from_str(PETSET).unwrap()
}

fn built(petset: &PetSet) -> Value {
    serde_json::to_value(stateful_set(petset, None)).unwrap()
}

#[test]
fn a_minimal_petset_becomes_a_stateful_set_with_every_default_written_out() {
    let expected = json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {
            "name": "db-rack-r0",
            "namespace": "demo",
            "labels": {"app.kubernetes.io/managed-by": "kubedb.com"},
            "annotations": {"team": "data"},
            "ownerReferences": [{
                "apiVersion": "apps.k8s.appscode.com/v1",
                "kind": "PetSet",
                "name": "db-rack-r0",
                "uid": "7d1c",
                "controller": true,
                "blockOwnerDeletion": true,
            }],
        },
        "spec": {
            "replicas": 1,
            "serviceName": "db-rack-r0-pods",
            "selector": {"matchLabels": {"app": "db"}},
            "podManagementPolicy": "OrderedReady",
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
            "revisionHistoryLimit": 10,
            "minReadySeconds": 0,
            "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
            "template": {
                "metadata": {"labels": {"app": "db"}},
                "spec": {"containers": [{"name": "cassandra", "image": "cassandra:4.1.10"}]},
            },
        },
    });
    assert_eq!(built(&petset()), expected);
}

#[test]
fn what_a_petset_says_is_taken_over() {
    let given = json!({
        "replicas": 3,
        "podManagementPolicy": "Parallel",
        "updateStrategy": {"type": "OnDelete"},
        "revisionHistoryLimit": 2,
        "minReadySeconds": 5,
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete", "whenScaled": "Retain"},
        "ordinals": {"start": 1},
        "volumeClaimTemplates": [{
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "data"},
            "spec": {"resources": {"requests": {"storage": "1Gi"}}},
        }],
    });
    let mut petset = serde_json::to_value(petset()).unwrap();
    let spec = petset["spec"].as_object_mut().unwrap();
    spec.extend(given.as_object().unwrap().clone());
    let built = built(&serde_json::from_value(petset).unwrap());
    for (field, value) in given.as_object().unwrap() {
        assert_eq!(&built["spec"][field], value, "{field}");
    }
}

#[test]
fn a_placement_policy_changes_the_pods_and_nothing_else() {
    let policy = PlacementPolicy::new("p", serde_yaml::from_str("nodeSpreadConstraint: {}").unwrap());
    let mut placed = serde_json::to_value(stateful_set(&petset(), Some(&policy))).unwrap();
    let pods = placed["spec"]["template"]["spec"].as_object_mut().unwrap();
    let spread = pods.remove("topologySpreadConstraints").unwrap();
    assert_eq!(spread[0]["labelSelector"], json!({"matchLabels": {"app": "db"}}));
    assert!(pods.remove("affinity").is_some());
    assert_eq!(placed, built(&petset()));
}
