//! Rules of the pod template.

use rstest::rstest;
use serde_json::{Value, json};

use super::{assert_refused, refusals, ring, standalone, with};

#[test]
fn settings_sidecars_and_volumes_are_accepted() {
    let spec = "
        containers:
        - {name: cassandra, env: [{name: A, value: b}], resources: {limits: {memory: 1Gi}}}
        - {name: sidecar, image: s, volumeMounts: [{name: v, mountPath: /v}]}
        - {name: backup, image: b, volumeMounts: [{name: data, mountPath: /var/lib/cassandra}, {name: config, mountPath: /etc/cassandra, readOnly: true}]}
        initContainers: [{name: first, image: f, volumeMounts: [{name: data, mountPath: /data/}]}]
        volumes: [{name: v, emptyDir: {}}]
        nodeSelector: {disk: fast}
        tolerations: [{key: t, operator: Exists}]
        terminationGracePeriodSeconds: 60
        dnsPolicy: Default
        podPlacementPolicy: {name: default}";
    assert_eq!(refusals(&with_pods(spec)), [""; 0]);
    let labels = "spec: {podTemplate: {metadata: {labels: {team: a}}}}";
    assert_eq!(refusals(&with(standalone(), labels)), [""; 0]);
}

/// A standalone Cassandra with that pod template.
fn with_pods(spec: &str) -> Value {
    with(standalone(), &json!({ "spec": { "podTemplate": { "spec": yaml(spec) } } }).to_string())
}

fn yaml(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap()
}

/// A standalone Cassandra with these fields in its container `cassandra`.
fn with_node(container: &str) -> Value {
    let mut container = yaml(container);
    container["name"] = json!("cassandra");
    with_pods(&json!({ "containers": [container] }).to_string())
}

/// The refusal by a rule on an item of the pod template.
fn told(item: &str, message: &str) -> String {
    format!("spec.podTemplate.spec.{item}: Invalid value: \"object\": {message}")
}

const OPERATORS_OWN: &str = "spec.podTemplate.spec: Invalid value: \"object\": container cassandra: image, command and args are the operator's; choose the image by spec.version";
const VOLUMES: &str = "spec.podTemplate.spec: Invalid value: \"object\": volumes: the names data, git-secret, config, operator-config, custom-config, logs and tmp are reserved";
const INIT: &str = "initContainers: the names cassandra, cassandra-init and render-config are the operator's";
const PATHS: &str = "a volume must not be mounted at, above or below /var/lib/cassandra (also known as /opt/cassandra/data), /etc/cassandra (/opt/cassandra/conf), /etc/git-secret and /tmp/config: it would hide the data or the configuration. Choose another mountPath. A sidecar or an init container may mount the volume data there";
const PLAIN: &str = "a mountPath must be written plainly: beginning with /, without //, . or ..";
const CONFIG: &str = "the volume config holds what Cassandra starts with: mount it with readOnly: true, and change it by spec.configuration";
const MOUNTED: &str = "container cassandra: the volumes data and config are mounted by the operator";
const UNREAD: &str = "container cassandra: nobody reads the CASSANDRA_ variables of the image, since its entrypoint is not used. Settings such as num_tokens belong in spec.configuration, racks in spec.topology; name, datacenter, snitch, seeds and addresses are the operator's";
const LEADS_AWAY: &str = "container cassandra: CASSANDRA_CONF, CASSANDRA_HOME, CASSANDRA_INCLUDE and LOCAL_JMX would have Cassandra start with other settings or open JMX without a password. Settings belong in spec.configuration";
const PORTS: &str = "container cassandra: the ports 7000, 7001 and 7199 and the names cql, internode, internode-ssl and jmx are the operator's: nodes talk to each other without a login there, and Services go by the names";
const MEMORY: &str = "container cassandra: memory must be at least 512Mi: 256 MiB of heap, and as much beside it; Kubernetes would kill the node again and again. With MAX_HEAP_SIZE in env, the heap and 256Mi";
const LABELS: &str = "spec.podTemplate.metadata.labels: Invalid value: \"object\": the labels app.kubernetes.io/name, instance, managed-by, part-of and component of the pods are the operator's, whose Services and budget go by them. Choose another key";
const DNS: &str = "spec.topology: Invalid value: \"object\": dnsPolicy of a rack must be ClusterFirst, or None with the nameservers of the cluster in dnsConfig: the nodes find each other by names that only the cluster's DNS server knows";

#[rstest]
#[case::image("containers: [{name: cassandra, image: i}]", OPERATORS_OWN)]
#[case::command("containers: [{name: cassandra, command: [c]}]", OPERATORS_OWN)]
#[case::args("containers: [{name: cassandra, args: [a]}]", OPERATORS_OWN)]
#[case::sidecar_without_image(
    "containers: [{name: sidecar}]",
    "spec.podTemplate.spec: Invalid value: \"object\": a container other than cassandra needs an image"
)]
#[case::init("initContainers: [{name: cassandra-init, image: i}]", &told("initContainers[0]", INIT))]
#[case::render("initContainers: [{name: render-config, image: i}]", &told("initContainers[0]", INIT))]
#[case::database("initContainers: [{name: cassandra, image: i}]", &told("initContainers[0]", INIT))]
#[case::sidecar_of_the_operator(
    "containers: [{name: render-config, image: i}]",
    &told("containers[0]", "the container names cassandra-init and render-config are the operator's")
)]
#[case::dns_policy(
    "dnsPolicy: Cluster",
    "spec.podTemplate.spec.dnsPolicy: Unsupported value: \"Cluster\": supported values: \"ClusterFirst\", \"ClusterFirstWithHostNet\", \"Default\", \"None\""
)]
fn a_pod_template_is_refused(#[case] spec: &str, #[case] cause: &str) {
    assert_refused(&with_pods(&format!("{{{spec}}}")), cause);
}

#[rstest]
fn a_stop_that_would_be_a_kill_is_refused(#[values(-1, 0, 29)] seconds: i64) {
    let field = "spec.podTemplate.spec.terminationGracePeriodSeconds";
    let cause =
        format!("{field}: Invalid value: {seconds}: {field} in body should be greater than or equal to 30");
    assert_refused(&with_pods(&format!("terminationGracePeriodSeconds: {seconds}")), &cause);
}

#[rstest]
fn volumes_of_the_operator_are_reserved(
    #[values("data", "git-secret", "config", "operator-config", "custom-config", "logs", "tmp")] name: &str,
) {
    assert_refused(&with_pods(&format!("volumes: [{{name: {name}, emptyDir: {{}}}}]")), VOLUMES);
}

fn mounted(list: &str, container: &str, mount: &str) -> Value {
    let image = if container == "cassandra" { "" } else { ", image: i" };
    with_pods(&format!("{list}: [{{name: {container}{image}, volumeMounts: [{mount}]}}]"))
}

#[rstest]
fn mount_paths_of_the_operator_are_reserved(
    #[values(("containers", "cassandra"), ("containers", "mine"), ("initContainers", "mine"))] place: (
        &str,
        &str,
    ),
    #[values(
        "/var/lib/cassandra",
        "/var/lib/cassandra/",
        "/var/lib/cassandra/data/ks",
        "/var/lib",
        "/var/lib/",
        "/var",
        "/",
        "/etc",
        "/etc/cassandra",
        "/etc/cassandra/cassandra.yaml",
        "/etc/git-secret",
        "/tmp/config/operator-config",
        // Symbolic links in the official image.
        "/opt/cassandra/data",
        "/opt/cassandra/data/data",
        "/opt/cassandra/conf/"
    )]
    path: &str,
) {
    let (list, container) = place;
    let cassandra = mounted(list, container, &format!("{{name: v, mountPath: '{path}'}}"));
    assert_refused(&cassandra, &told(&format!("{list}[0].volumeMounts[0]"), PATHS));
}

/// Other spellings of reserved paths, which Kubernetes would take for the same.
#[rstest]
fn a_mount_path_is_written_plainly(
    #[values(
        "//var/lib/cassandra",
        "/var//lib/cassandra",
        "/var/lib/cassandra//",
        "/var/./lib/cassandra",
        "/var/lib/x/../cassandra",
        "/var/lib/cassandra/.",
        "/var/lib/cassandra/x/..",
        "var/lib/cassandra"
    )]
    path: &str,
) {
    let cassandra = mounted("containers", "cassandra", &format!("{{name: v, mountPath: '{path}'}}"));
    let field = "spec.podTemplate.spec.containers[0].volumeMounts[0].mountPath";
    let all = refusals(&cassandra);
    assert!(all.contains(&format!("{field}: Invalid value: \"string\": {PLAIN}")), "{all:?}");
}

#[rstest]
#[case("/var/lib/cassandra-backup")]
#[case("/var/lib/other/")]
#[case("/etc/cassandra.d")]
#[case("/var/log/cassandra")]
#[case("/tmp")]
#[case("/opt/cassandra/lib/mine.jar")]
#[case("/data/..hidden")]
fn other_mount_paths_are_the_users(#[case] path: &str) {
    for container in ["cassandra", "mine"] {
        let cassandra = mounted("containers", container, &format!("{{name: v, mountPath: '{path}'}}"));
        assert_eq!(refusals(&cassandra), [""; 0]);
    }
}

#[rstest]
#[case::data("{name: data, mountPath: /var/lib/cassandra}", "containers[0]", MOUNTED)]
#[case::sub_path("{name: data, mountPath: /var/lib/cassandra, subPath: x}", "containers[0]", MOUNTED)]
#[case::elsewhere("{name: data, mountPath: /x}", "containers[0]", MOUNTED)]
#[case::config("{name: config, mountPath: /x, readOnly: true}", "containers[0]", MOUNTED)]
fn the_node_mounts_data_and_configuration_as_the_operator_says(
    #[case] mount: &str,
    #[case] item: &str,
    #[case] message: &str,
) {
    assert_refused(&mounted("containers", "cassandra", mount), &told(item, message));
}

#[rstest]
fn nobody_else_writes_the_configuration(#[values("containers", "initContainers")] list: &str) {
    let cassandra = mounted(list, "mine", "{name: config, mountPath: /x}");
    assert_refused(&cassandra, &told(&format!("{list}[0].volumeMounts[0]"), CONFIG));
}

#[rstest]
#[case::tokens("env: [{name: CASSANDRA_NUM_TOKENS, value: '4'}]", UNREAD)]
#[case::datacenter("env: [{name: A, value: b}, {name: CASSANDRA_DC, value: eu}]", UNREAD)]
#[case::from_elsewhere(
    "env: [{name: CASSANDRA_SEEDS, valueFrom: {fieldRef: {fieldPath: status.podIP}}}]",
    UNREAD
)]
#[case::conf("env: [{name: CASSANDRA_CONF, value: /mine}]", LEADS_AWAY)]
#[case::jmx("env: [{name: LOCAL_JMX, value: 'no'}]", LEADS_AWAY)]
#[case::host_port("ports: [{containerPort: 7000, hostPort: 7000}]", PORTS)]
#[case::renamed_port("ports: [{containerPort: 9042, name: mine}]", PORTS)]
#[case::port_of_that_name("ports: [{containerPort: 9999, name: cql}]", PORTS)]
#[case::memory("resources: {limits: {memory: 200Mi}}", MEMORY)]
#[case::little_memory("resources: {requests: {memory: 64Mi}}", MEMORY)]
#[case::memory_as_a_number("resources: {limits: {memory: 500000000}}", MEMORY)]
#[case::no_amount("resources: {limits: {memory: much}}", MEMORY)]
fn a_node_is_refused(#[case] container: &str, #[case] message: &str) {
    assert_refused(&with_node(&format!("{{{container}}}")), &told("containers[0]", message));
}

#[rstest]
#[case::memory("resources: {limits: {memory: 512Mi}}")]
#[case::lifted_limit("resources: {requests: {memory: 1Gi}, limits: {memory: 200Mi}}")]
#[case::cpu_only("resources: {limits: {cpu: 2}}")]
#[case::own_heap("resources: {limits: {memory: 400Mi}}, env: [{name: MAX_HEAP_SIZE, value: 128M}]")]
#[case::port(
    "ports: [{containerPort: 9042, hostPort: 9042}, {containerPort: 8080, name: metrics, hostPort: 8080}]"
)]
#[case::options("env: [{name: JVM_EXTRA_OPTS, value: -Da=b}, {name: CASSANDRA_LOG_DIR, value: /l}]")]
#[case::options_from_elsewhere(
    "env: [{name: JVM_EXTRA_OPTS, valueFrom: {configMapKeyRef: {name: c, key: k}}}]"
)]
fn a_node_is_accepted(#[case] container: &str) {
    assert_eq!(refusals(&with_node(&format!("{{{container}}}"))), [""; 0]);
}

#[rstest]
fn labels_that_selectors_use_are_the_operators(
    #[values("name", "instance", "managed-by", "part-of", "component")] key: &str,
) {
    let labels = format!("{{a: b, app.kubernetes.io/{key}: mine}}");
    let change = format!("spec: {{podTemplate: {{metadata: {{labels: {labels}}}}}}}");
    assert_refused(&with(standalone(), &change), LABELS);
}

#[rstest]
#[case::outside("dnsPolicy: Default", &[DNS])]
#[case::nowhere("dnsPolicy: None", &[DNS])]
#[case::own_server("{dnsPolicy: None, dnsConfig: {nameservers: [10.96.0.10]}}", &[])]
#[case::options("dnsConfig: {options: [{name: ndots, value: '1'}]}", &[])]
fn nodes_of_a_ring_must_find_each_other(#[case] pods: &str, #[case] causes: &[&str]) {
    let template = json!({ "spec": yaml(pods) });
    let rack = |name| json!({ "name": name, "storageType": "Ephemeral", "podTemplate": template });
    let racks = json!({ "spec": { "topology": { "rack": [rack("a"), rack("b")] } } });
    assert_eq!(refusals(&with(ring(), &racks.to_string())), causes);
}

/// The rules of a rack's pods are those of a standalone's.
#[test]
fn an_item_of_a_rack_is_named() {
    let mount = "{name: v, mountPath: /var/lib/cassandra/}";
    let pods = format!("{{spec: {{containers: [{{name: cassandra, volumeMounts: [{mount}]}}]}}}}");
    let rack = format!("{{name: a, replicas: 2, storageType: Ephemeral, podTemplate: {pods}}}");
    let item = "spec.topology.rack[0].podTemplate.spec.containers[0].volumeMounts[0]";
    assert_refused(
        &with(ring(), &format!("spec: {{topology: {{rack: [{rack}]}}}}")),
        &format!("{item}: Invalid value: \"object\": {PATHS}"),
    );
}
