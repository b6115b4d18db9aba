//! The pods of a rack: the operator's template with the user's merged over it.

use api::{CassandraVersion, labels, names, pod_template};
use k8s_openapi::DeepMerge;
use k8s_openapi::api::core::v1::{
    Affinity, Capabilities, Container, ContainerPort, EnvVar, EnvVarSource, ObjectFieldSelector,
    PodAffinityTerm, PodAntiAffinity, PodSecurityContext, PodSpec, Probe, SeccompProfile, SecretKeySelector,
    SecurityContext, TCPSocketAction, VolumeMount, WeightedPodAffinityTerm,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use settings::layout::{CONFIG_PATH, CUSTOM_CONFIG_PATH, DATA_PATH, OPERATOR_CONFIG_PATH, RELEASE_FILE};

use crate::Inputs;
use crate::resolved::{DATACENTER, Login, Rack, Resolved};
use crate::resources;
use crate::services::PORTS;

/// Environment variable that Cassandra's launch script appends to the JVM options.
const JVM_OPTIONS: &str = "JVM_EXTRA_OPTS";
/// Holds the user's JVM options if their value comes from a reference (`valueFrom`).
const THEIR_JVM_OPTIONS: &str = "JVM_EXTRA_OPTS_OF_TEMPLATE";
/// Streaming its share of a large ring makes a node's first start long.
const LONGEST_START_SECONDS: i32 = 24 * 3600;

pub(crate) fn spec(resolved: &Resolved, rack: &Rack, inputs: &Inputs) -> PodSpec {
    let mut user = rack.template.and_then(|template| template.spec.clone()).unwrap_or_default();
    let position = user.containers.iter().position(|container| container.name == names::CONTAINER);
    let theirs = user.security_context.as_ref().and_then(|context| context.run_as_user);
    let run_as_user = theirs.unwrap_or(inputs.version.spec.security_context.run_as_user);
    let node = node(
        resolved,
        inputs.version,
        run_as_user,
        position.map(|position| user.containers.remove(position)),
    );
    let init = std::mem::take(&mut user.init_containers);
    let own = [copy_config(&node), render_config(resolved, rack, inputs, &node)];

    let mut pod = PodSpec {
        affinity: (resolved.nodes() > 1).then(|| apart(resolved)),
        containers: vec![node],
        service_account_name: Some(resolved.name.clone()),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        termination_grace_period_seconds: Some(300),
        security_context: Some(PodSecurityContext {
            fs_group: Some(run_as_user),
            fs_group_change_policy: Some("OnRootMismatch".to_owned()),
            run_as_non_root: Some(true),
            run_as_user: Some(run_as_user),
            seccomp_profile: Some(runtime_default()),
            ..PodSecurityContext::default()
        }),
        ..PodSpec::default()
    };
    pod.merge_from(of_user(user));
    pod.init_containers = Some(init.into_iter().chain(own).collect());
    pod
}

/// The PlacementPolicy spreads only the pods of one rack. This keeps all pods of the ring apart, since two racks on one machine
/// would be lost together. It is only a preference: with fewer machines the pods still start.
fn apart(resolved: &Resolved) -> Affinity {
    let term = |(weight, topology): (i32, &str)| WeightedPodAffinityTerm {
        weight,
        pod_affinity_term: PodAffinityTerm {
            topology_key: topology.to_owned(),
            label_selector: Some(LabelSelector {
                match_labels: Some(labels::selectors(&resolved.name)),
                ..LabelSelector::default()
            }),
            ..PodAffinityTerm::default()
        },
    };
    let terms = [(100, "kubernetes.io/hostname"), (50, "topology.kubernetes.io/zone")].map(term);
    let pod_anti_affinity = Some(PodAntiAffinity {
        preferred_during_scheduling_ignored_during_execution: Some(terms.into()),
        ..PodAntiAffinity::default()
    });
    Affinity { pod_anti_affinity, ..Affinity::default() }
}

/// The user's template without the containers that are merged into the operator's own.
fn of_user(user: pod_template::PodSpec) -> PodSpec {
    fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
        Some(list).filter(|list| !list.is_empty())
    }
    PodSpec {
        containers: user.containers,
        volumes: some(user.volumes),
        node_selector: Some(user.node_selector).filter(|labels| !labels.is_empty()),
        tolerations: some(user.tolerations),
        image_pull_secrets: some(user.image_pull_secrets),
        security_context: user.security_context,
        priority_class_name: user.priority_class_name,
        runtime_class_name: user.runtime_class_name,
        scheduler_name: user.scheduler_name,
        service_account_name: user.service_account_name,
        termination_grace_period_seconds: user.termination_grace_period_seconds,
        host_aliases: some(user.host_aliases),
        dns_policy: user.dns_policy,
        dns_config: user.dns_config,
        ..PodSpec::default()
    }
}

fn node(
    resolved: &Resolved,
    version: &CassandraVersion,
    run_as_user: i64,
    user: Option<Container>,
) -> Container {
    let user =
        user.unwrap_or_else(|| Container { name: names::CONTAINER.to_owned(), ..Container::default() });
    let resources = resources::resources(user.resources.as_ref());
    let port = |(name, port): (&str, u16)| ContainerPort {
        name: Some(name.to_owned()),
        container_port: i32::from(port),
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    };
    let heap = resources::heap(&resources).map(|(name, size)| variable(name, size));
    let options = format!("-Dcassandra.system_auth.default_rf={}", resolved.nodes().min(3));
    let mut env = Vec::from(heap);
    env.push(variable(JVM_OPTIONS, options));
    let own = Container {
        name: names::CONTAINER.to_owned(),
        env: Some(env),
        ports: Some(PORTS.map(port).into()),
        security_context: Some(restricted(Some(run_as_user))),
        startup_probe: Some(probe(names::CQL_PORT, 2, LONGEST_START_SECONDS / 2)),
        readiness_probe: Some(probe(names::CQL_PORT, 5, 2)),
        // The internode port, not CQL: a node that is too busy for clients must not be restarted.
        liveness_probe: Some(probe(names::INTERNODE_PORT, 20, 6)),
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        volume_mounts: Some(vec![
            mount("config", CONFIG_PATH),
            mount(names::DATA_VOLUME, DATA_PATH),
            mount("logs", "/var/log/cassandra"),
            mount("tmp", "/tmp"),
        ]),
        ..Container::default()
    };
    let mut node = laid_over(own, user);
    node.image = Some(version.spec.db.image.clone());
    node.image_pull_policy.get_or_insert_with(|| "IfNotPresent".to_owned());
    node.command = Some(vec!["cassandra".to_owned(), "-f".to_owned()]);
    node.args = None;
    node.resources = Some(resources);
    node
}

/// Lists are merged by key. A value that spans several fields (a probe, the source of a variable) is replaced as a whole.
fn laid_over(mut own: Container, mut user: Container) -> Container {
    let mut joined = None;
    for variable in user.env.iter_mut().flatten() {
        let Some(mine) = own.env.as_mut().and_then(|own| take(own, |it| it.name == variable.name)) else {
            continue;
        };
        let (JVM_OPTIONS, Some(mine)) = (variable.name.as_str(), mine.value) else { continue };
        match &mut variable.value {
            Some(value) => *value = format!("{mine} {value}"),
            // Kubernetes expands `$(NAME)` only for variables that come earlier in the list.
            None if variable.value_from.is_some() => {
                THEIR_JVM_OPTIONS.clone_into(&mut variable.name);
                joined = Some(self::variable(JVM_OPTIONS, format!("{mine} $({THEIR_JVM_OPTIONS})")));
            }
            None => variable.value = Some(mine),
        }
    }
    user.env.get_or_insert_default().extend(joined);
    for (own, user) in [
        (&mut own.startup_probe, &user.startup_probe),
        (&mut own.readiness_probe, &user.readiness_probe),
        (&mut own.liveness_probe, &user.liveness_probe),
    ] {
        if user.is_some() {
            *own = None;
        }
    }
    own.merge_from(user);
    own
}

fn take<T>(list: &mut Vec<T>, which: impl Fn(&T) -> bool) -> Option<T> {
    list.iter().position(which).map(|position| list.remove(position))
}

/// Copies the image's own configuration, so that each release starts from its own defaults, and notes the release.
fn copy_config(node: &Container) -> Container {
    let script =
        format!("cp -R /etc/cassandra/. /config/ && echo \"$CASSANDRA_VERSION\" >/config/{RELEASE_FILE}");
    let command = ["sh", "-c", &script];
    Container {
        name: names::INIT_CONTAINER.to_owned(),
        image: node.image.clone(),
        image_pull_policy: node.image_pull_policy.clone(),
        command: Some(command.map(str::to_owned).into()),
        resources: node.resources.clone(),
        security_context: Some(restricted(user_of(node))),
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        volume_mounts: Some(vec![mount("config", "/config")]),
        ..Container::default()
    }
}

/// Merges the user's and the operator's settings into it, see `render-config`.
fn render_config(resolved: &Resolved, rack: &Rack, inputs: &Inputs, node: &Container) -> Container {
    let custom = inputs.keys.contains_key(names::CONFIG_KEY);
    let read_only = |mount: VolumeMount| VolumeMount { read_only: Some(true), ..mount };
    let mut mounts = vec![
        mount("config", CONFIG_PATH),
        mount(names::DATA_VOLUME, DATA_PATH),
        read_only(mount(names::CONFIG_VOLUME, OPERATOR_CONFIG_PATH)),
    ];
    mounts.extend(custom.then(|| read_only(mount(names::CUSTOM_CONFIG_VOLUME, CUSTOM_CONFIG_PATH))));
    let mut env = vec![
        field("POD_IP", "status.podIP"),
        field("POD_NAME", "metadata.name"),
        variable("RACK", rack.name.to_owned()),
        variable("DC", DATACENTER.to_owned()),
    ];
    // A node that has lost its data logs in to the others to ask where it was.
    if let Login::Secret { name, .. } = &resolved.login {
        env.push(secret("CASSANDRA_LOGIN_USERNAME", name, "username"));
        env.push(secret("CASSANDRA_LOGIN_PASSWORD", name, "password"));
    }
    Container {
        name: names::RENDER_CONTAINER.to_owned(),
        image: Some(inputs.image.to_owned()),
        image_pull_policy: Some("IfNotPresent".to_owned()),
        env: Some(env),
        resources: node.resources.clone(),
        security_context: Some(restricted(user_of(node))),
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        volume_mounts: Some(mounts),
        ..Container::default()
    }
}

fn variable(name: &str, value: String) -> EnvVar {
    EnvVar { name: name.to_owned(), value: Some(value), value_from: None }
}

fn field(name: &str, path: &str) -> EnvVar {
    let field_ref =
        Some(ObjectFieldSelector { field_path: path.to_owned(), ..ObjectFieldSelector::default() });
    let value_from = Some(EnvVarSource { field_ref, ..EnvVarSource::default() });
    EnvVar { name: name.to_owned(), value: None, value_from }
}

/// A variable from a key of a Secret; unset if the Secret or the key does not exist.
fn secret(variable: &str, secret: &str, key: &str) -> EnvVar {
    let secret_key_ref =
        Some(SecretKeySelector { name: secret.to_owned(), key: key.to_owned(), optional: Some(true) });
    let value_from = Some(EnvVarSource { secret_key_ref, ..EnvVarSource::default() });
    EnvVar { name: variable.to_owned(), value: None, value_from }
}

fn mount(volume: &str, path: &str) -> VolumeMount {
    VolumeMount { name: volume.to_owned(), mount_path: path.to_owned(), ..VolumeMount::default() }
}

fn probe(port: u16, period: i32, failures: i32) -> Probe {
    Probe {
        tcp_socket: Some(TCPSocketAction { port: IntOrString::Int(i32::from(port)), host: None }),
        period_seconds: Some(period),
        timeout_seconds: Some(5),
        failure_threshold: Some(failures),
        ..Probe::default()
    }
}

/// Init containers run as the same user as the node, so that it owns the files that they create.
fn user_of(node: &Container) -> Option<i64> {
    node.security_context.as_ref()?.run_as_user
}

/// Fulfils the Pod Security Standard "restricted", with a read-only root file system.
fn restricted(run_as_user: Option<i64>) -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
        read_only_root_filesystem: Some(true),
        run_as_non_root: Some(true),
        run_as_user,
        seccomp_profile: Some(runtime_default()),
        ..SecurityContext::default()
    }
}

fn runtime_default() -> SeccompProfile {
    SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }
}
