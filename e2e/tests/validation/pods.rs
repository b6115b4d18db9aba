//! Rules of the pod template.

use rstest::rstest;

use super::{assert_refused, refusals, standalone, with};

#[test]
fn settings_sidecars_and_volumes_are_accepted() {
    let spec = "
        containers:
        - {name: cassandra, env: [{name: A, value: b}], resources: {limits: {memory: 1Gi}}}
        - {name: sidecar, image: s, volumeMounts: [{name: v, mountPath: /v}]}
        initContainers: [{name: first, image: f}]
        volumes: [{name: v, emptyDir: {}}]
        nodeSelector: {disk: fast}
        tolerations: [{key: t, operator: Exists}]
        terminationGracePeriodSeconds: 60
        podPlacementPolicy: {name: default}";
    assert_eq!(
        refusals(&with(standalone(), &format!("spec: {{podTemplate: {{spec: {}}}}}", inline(spec)))),
        [""; 0]
    );
}

/// YAML as one line of JSON, to be put into other YAML.
fn inline(yaml: &str) -> String {
    serde_yaml::from_str::<serde_json::Value>(yaml).unwrap().to_string()
}

const OPERATORS_OWN: &str = "spec.podTemplate.spec: Invalid value: \"object\": container cassandra: image, command and args are the operator's; choose the image by spec.version";
const MOUNTS: &str = "the mount paths /var/lib/cassandra, /etc/cassandra and /etc/git-secret are reserved";
const VOLUMES: &str = "spec.podTemplate.spec: Invalid value: \"object\": volumes: the names data, git-secret, config, operator-config, custom-config, logs and tmp are reserved";
const INIT: &str = "spec.podTemplate.spec: Invalid value: \"object\": initContainers: cassandra-init and render-config are the operator's";

#[rstest]
#[case::image("containers: [{name: cassandra, image: i}]", OPERATORS_OWN)]
#[case::command("containers: [{name: cassandra, command: [c]}]", OPERATORS_OWN)]
#[case::args("containers: [{name: cassandra, args: [a]}]", OPERATORS_OWN)]
#[case::sidecar_without_image(
    "containers: [{name: sidecar}]",
    "spec.podTemplate.spec: Invalid value: \"object\": a container other than cassandra needs an image"
)]
#[case::init("initContainers: [{name: cassandra-init, image: i}]", INIT)]
#[case::render("initContainers: [{name: render-config, image: i}]", INIT)]
#[case::grace(
    "terminationGracePeriodSeconds: -1",
    "spec.podTemplate.spec.terminationGracePeriodSeconds: Invalid value: -1: spec.podTemplate.spec.terminationGracePeriodSeconds in body should be greater than or equal to 0"
)]
fn a_pod_template_is_refused(#[case] spec: &str, #[case] cause: &str) {
    assert_refused(&with(standalone(), &format!("{{spec: {{podTemplate: {{spec: {{{spec}}}}}}}}}")), cause);
}

#[rstest]
fn volumes_of_the_operator_are_reserved(
    #[values("data", "git-secret", "config", "operator-config", "custom-config", "logs", "tmp")] name: &str,
) {
    let change = format!("spec: {{podTemplate: {{spec: {{volumes: [{{name: {name}, emptyDir: {{}}}}]}}}}}}");
    assert_refused(&with(standalone(), &change), VOLUMES);
}

#[rstest]
fn mount_paths_of_the_operator_are_reserved(
    #[values("containers", "initContainers")] list: &str,
    #[values("/var/lib/cassandra", "/etc/cassandra", "/etc/git-secret")] path: &str,
) {
    let container = format!("{{name: mine, image: i, volumeMounts: [{{name: v, mountPath: {path}}}]}}");
    let change = format!("spec: {{podTemplate: {{spec: {{{list}: [{container}]}}}}}}");
    let cause = format!("spec.podTemplate.spec: Invalid value: \"object\": {list}: {MOUNTS}");
    assert_refused(&with(standalone(), &change), &cause);
}
