use rstest::rstest;
use serde_json::{Value, json};

use super::find;

#[rstest]
#[case::equal(json!({"a": 1}), json!({"a": 1}))]
#[case::server_defaults(json!({"spec": {"replicas": 3}}), json!({"spec": {"replicas": 3, "revisionHistoryLimit": 10}, "status": {}}))]
#[case::quantity_in_another_spelling(
    json!({"resources": {"requests": {"cpu": "0.5", "memory": "1Gi"}}}),
    json!({"resources": {"requests": {"cpu": "500m", "memory": "1073741824"}}})
)]
#[case::quantity_of_a_volume(json!({"emptyDir": {"sizeLimit": "1024Mi"}}), json!({"emptyDir": {"sizeLimit": "1Gi"}}))]
#[case::named_items_in_another_order_and_of_others(
    json!({"containers": [{"name": "a", "image": "x"}]}),
    json!({"containers": [{"name": "sidecar"}, {"name": "a", "image": "x", "imagePullPolicy": "Always"}]})
)]
#[case::ports_with_a_default_protocol(
    json!({"ports": [{"containerPort": 9042, "name": "cql"}]}),
    json!({"ports": [{"containerPort": 9042, "name": "cql", "protocol": "TCP"}]})
)]
#[case::same_port_of_two_protocols(
    json!({"ports": [{"port": 53, "protocol": "UDP", "name": "dns"}]}),
    json!({"ports": [{"port": 53, "protocol": "TCP", "name": "dns-tcp"}, {"port": 53, "protocol": "UDP", "name": "dns"}]})
)]
#[case::what_the_server_leaves_out(
    json!({"readOnly": false, "labels": {}, "args": [], "note": "", "zero": 0, "none": null, "nested": {"empty": {}}}),
    json!({})
)]
#[case::finalizers_of_others(json!({"finalizers": ["ours"]}), json!({"finalizers": ["theirs", "ours"]}))]
#[case::numbers_by_value(json!({"n": 1}), json!({"n": 1.0}))]
#[case::ordered_items_with_defaults(
    json!({"tolerations": [{"key": "a"}]}),
    json!({"tolerations": [{"key": "a", "operator": "Equal"}]})
)]
fn what_the_server_adds_is_no_drift(#[case] desired: Value, #[case] current: Value) {
    assert_eq!(find(&desired, &current), None);
}

#[rstest]
#[case::value(json!({"spec": {"replicas": 3}}), json!({"spec": {"replicas": 2}}), "spec.replicas")]
#[case::missing_field(json!({"spec": {"type": "ClusterIP"}}), json!({"spec": {}}), "spec.type")]
#[case::quantity(
    json!({"limits": {"memory": "1Gi"}}), json!({"limits": {"memory": "1G"}}), "limits.memory"
)]
#[case::text_that_only_looks_like_a_quantity(
    json!({"env": [{"name": "SIZE", "value": "1k"}]}), json!({"env": [{"name": "SIZE", "value": "1000"}]}), "env[SIZE].value"
)]
#[case::missing_container(
    json!({"containers": [{"name": "a"}, {"name": "b"}]}), json!({"containers": [{"name": "a"}]}), "containers[b]"
)]
#[case::image(
    json!({"containers": [{"name": "a", "image": "x:2"}]}),
    json!({"containers": [{"name": "a", "image": "x:1"}]}),
    "containers[a].image"
)]
#[case::order_of_arguments(json!({"args": ["a", "b"]}), json!({"args": ["b", "a"]}), "args[0]")]
#[case::an_argument_more(json!({"args": ["a"]}), json!({"args": ["a", "b"]}), "args")]
#[case::port(
    json!({"ports": [{"port": 9042, "targetPort": 9042}]}),
    json!({"ports": [{"port": 9042, "targetPort": 9142, "protocol": "TCP"}]}),
    "ports[9042].targetPort"
)]
#[case::finalizer(json!({"finalizers": ["ours"]}), json!({"finalizers": ["theirs"]}), "finalizers")]
#[case::owner(
    json!({"ownerReferences": [{"uid": "1", "controller": true}]}),
    json!({"ownerReferences": [{"uid": "2", "controller": true}]}),
    "ownerReferences[1]"
)]
#[case::kind_of_value(json!({"a": {"b": 1}}), json!({"a": "b"}), "a")]
fn a_difference_is_named_by_its_path(#[case] desired: Value, #[case] current: Value, #[case] path: &str) {
    assert_eq!(find(&desired, &current).as_deref(), Some(path));
}
