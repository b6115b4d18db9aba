//! Rules of CassandraOpsRequest, CassandraVersion and PlacementPolicy.

use rstest::rstest;

use super::{assert_refused, object, refusals, request, with};

#[rstest]
#[case::plain("{}")]
#[case::patient("{timeout: 1h30m}")]
#[case::at_once("{apply: Always, timeout: 500ms}")]
#[case::scaling(
    "{type: VerticalScaling, verticalScaling: {node: {resources: {limits: {cpu: 2, memory: 4Gi}}}}}"
)]
#[case::scaling_by_name(
    "{type: VerticalScaling, verticalScaling: {mode: Restart, node: {resources: {requests: {cpu: 1500m}}}}}"
)]
fn a_request_is_accepted(#[case] spec: &str) {
    assert_eq!(refusals(&with(request(), &format!("spec: {spec}"))), [""; 0]);
}

#[rstest]
#[case::no_type("{type: null}", "spec.type: Required value")]
#[case::no_database("{databaseRef: null}", "spec.databaseRef: Required value")]
#[case::no_database_name("{databaseRef: {name: null}}", "spec.databaseRef.name: Required value")]
#[case::empty_database_name(
    "{databaseRef: {name: ''}}",
    "spec.databaseRef.name: Invalid value: \"\": spec.databaseRef.name in body should be at least 1 chars long"
)]
#[case::no_update(
    "{updateVersion: null}",
    "spec: Invalid value: \"object\": spec.updateVersion is needed when spec.type is UpdateVersion"
)]
#[case::no_target(
    "{updateVersion: {targetVersion: null}}",
    "spec.updateVersion.targetVersion: Required value"
)]
#[case::empty_target(
    "{updateVersion: {targetVersion: ''}}",
    "spec.updateVersion.targetVersion: Invalid value: \"\": spec.updateVersion.targetVersion in body should be at least 1 chars long"
)]
#[case::no_scaling(
    "{type: VerticalScaling}",
    "spec: Invalid value: \"object\": spec.verticalScaling is needed when spec.type is VerticalScaling"
)]
#[case::no_resources(
    "{type: VerticalScaling, verticalScaling: {node: {resources: {}}}}",
    "spec.verticalScaling.node: Invalid value: \"object\": resources: give requests, limits or both"
)]
#[case::wrong_quantity(
    "{type: VerticalScaling, verticalScaling: {node: {resources: {limits: {memory: plenty}}}}}",
    "spec.verticalScaling.node.resources.limits.memory: Invalid value: \"plenty\": spec.verticalScaling.node.resources.limits.memory in body should match '^([0-9]+(\\.[0-9]*)?|\\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$'"
)]
#[case::negative_quantity(
    "{type: VerticalScaling, verticalScaling: {node: {resources: {requests: {cpu: '-1'}}}}}",
    "spec.verticalScaling.node.resources.requests.cpu: Invalid value: \"-1\": spec.verticalScaling.node.resources.requests.cpu in body should match '^([0-9]+(\\.[0-9]*)?|\\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$'"
)]
#[case::another_mode(
    "{type: VerticalScaling, verticalScaling: {mode: InPlace, node: {resources: {limits: {cpu: 2}}}}}",
    "spec.verticalScaling.mode: Unsupported value: \"InPlace\": supported values: \"Restart\""
)]
#[case::apply(
    "{apply: Soon}",
    "spec.apply: Unsupported value: \"Soon\": supported values: \"IfReady\", \"Always\""
)]
#[case::timeout(
    "{timeout: a while}",
    "spec.timeout: Invalid value: \"a while\": spec.timeout in body should match '^([0-9]+(\\.[0-9]+)?(ms|h|m|s))+$'"
)]
fn a_request_is_refused(#[case] spec: &str, #[case] cause: &str) {
    assert_refused(&with(request(), &format!("spec: {spec}")), cause);
}

#[rstest]
#[case::version(
    "{version: latest, db: {image: i}}",
    "spec.version: Invalid value: \"latest\": spec.version in body should match '^[0-9]+\\.[0-9]+\\.[0-9]+(-[0-9A-Za-z.-]+)?$'"
)]
#[case::no_version("{db: {image: i}}", "spec.version: Required value")]
#[case::no_image("{version: 4.1.10, db: {}}", "spec.db.image: Required value")]
#[case::empty_image(
    "{version: 4.1.10, db: {image: ''}}",
    "spec.db.image: Invalid value: \"\": spec.db.image in body should be at least 1 chars long"
)]
#[case::root(
    "{version: 4.1.10, db: {image: i}, securityContext: {runAsUser: 0}}",
    "spec.securityContext.runAsUser: Invalid value: 0: spec.securityContext.runAsUser in body should be greater than or equal to 1"
)]
fn a_version_is_refused(#[case] spec: &str, #[case] cause: &str) {
    assert_refused(&object("catalog.kubedb.com/v1alpha1", "CassandraVersion", spec), cause);
}

#[rstest]
#[case::skew(
    "{nodeSpreadConstraint: {maxSkew: 0}}",
    "spec.nodeSpreadConstraint.maxSkew: Invalid value: 0: spec.nodeSpreadConstraint.maxSkew in body should be greater than or equal to 1"
)]
#[case::when(
    "{zoneSpreadConstraint: {whenUnsatisfiable: Never}}",
    "spec.zoneSpreadConstraint.whenUnsatisfiable: Unsupported value: \"Never\": supported values: \"DoNotSchedule\", \"ScheduleAnyway\""
)]
fn a_placement_policy_is_refused(#[case] spec: &str, #[case] cause: &str) {
    assert_refused(&object("apps.k8s.appscode.com/v1", "PlacementPolicy", spec), cause);
}

#[rstest]
#[case("catalog.kubedb.com/v1alpha1", "CassandraVersion", "{version: 4.1.10, db: {image: i}}")]
#[case(
    "apps.k8s.appscode.com/v1",
    "PlacementPolicy",
    "{nodeSpreadConstraint: {}, zoneSpreadConstraint: {maxSkew: 2}}"
)]
fn others_are_accepted(#[case] api_version: &str, #[case] kind: &str, #[case] spec: &str) {
    assert_eq!(refusals(&object(api_version, kind, spec)), [""; 0]);
}
