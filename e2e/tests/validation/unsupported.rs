//! What KubeDB has and this operator does not: strict validation names the field.

use rstest::rstest;

use super::{assert_refused, request, ring, standalone, with};

#[rstest]
fn a_field_of_cassandra_is_named(
    #[values("tls", "monitor", "init", "keystoreCredSecret", "autoOps", "radius")] field: &str,
) {
    let change = format!("spec: {{{field}: {{}}}}");
    assert_refused(&with(standalone(), &change), &format!("unknown field \"spec.{field}\""));
}

#[test]
fn a_field_of_a_rack_is_named() {
    let change = "spec: {topology: {rack: [{name: a, replicas: 2, storageType: Ephemeral, tls: {}}]}}";
    assert_refused(&with(ring(), change), "unknown field \"spec.topology.rack[0].tls\"");
}

#[rstest]
fn a_field_of_the_pods_is_named(#[values("hostNetwork", "affinity", "ephemeralContainers")] field: &str) {
    let change = format!("spec: {{podTemplate: {{spec: {{{field}: {{}}}}}}}}");
    assert_refused(&with(standalone(), &change), &format!("unknown field \"spec.podTemplate.spec.{field}\""));
}

#[rstest]
fn a_type_of_request_is_named(
    #[values("HorizontalScaling", "VolumeExpansion", "Reconfigure", "ReconfigureTLS", "RotateAuth")]
    type_: &str,
) {
    let cause = format!(
        "spec.type: Unsupported value: \"{type_}\": supported values: \"UpdateVersion\", \"Restart\", \"VerticalScaling\""
    );
    assert_refused(&with(request(), &format!("spec: {{type: {type_}}}")), &cause);
}

#[rstest]
fn a_field_of_a_scaling_is_named(#[values("nodeSelectionPolicy", "topology")] field: &str) {
    let node = format!("{{resources: {{limits: {{cpu: 2}}}}, {field}: {{}}}}");
    let change = format!("spec: {{type: VerticalScaling, verticalScaling: {{node: {node}}}}}");
    assert_refused(
        &with(request(), &change),
        &format!("unknown field \"spec.verticalScaling.node.{field}\""),
    );
}

#[rstest]
fn a_field_of_a_request_is_named(
    #[values("horizontalScaling", "volumeExpansion", "configuration", "tls", "authentication")] field: &str,
) {
    let change = format!("spec: {{{field}: {{}}}}");
    assert_refused(&with(request(), &change), &format!("unknown field \"spec.{field}\""));
}
