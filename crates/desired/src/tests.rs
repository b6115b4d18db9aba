//! Snapshots of all objects of five Cassandras, and explicit tests of properties that must not get lost in a snapshot diff.

use api::{Cassandra, CassandraVersion, PetSet};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Container, PodSpec};
use serde::Serialize;
use serde_json::{Value, json};

use super::{Configuration, Inputs, Objects, Stored, objects, set_release};
use crate::resolved::Resolved;

fn cassandra(yaml: &str) -> Cassandra {
    let mut cassandra: Cassandra = serde_yaml::from_str(yaml).unwrap();
    cassandra.metadata.namespace = Some("demo".to_owned());
    cassandra.metadata.uid = Some("0b5e".to_owned());
    cassandra
}

fn version(name: &str) -> CassandraVersion {
    serde_json::from_value(json!({
        "metadata": { "name": name },
        "spec": { "version": name, "db": { "image": format!("docker.io/library/cassandra:{name}") } },
    }))
    .unwrap()
}

fn build(cassandra: &Cassandra) -> Objects {
    build_for(cassandra, &cassandra.spec.version, "localhost/render-config:1")
}

fn build_for(cassandra: &Cassandra, release: &str, image: &str) -> Objects {
    let (resolved, version) = (Resolved::of(cassandra), version(release));
    let custom = cassandra.spec.configuration.as_ref().and_then(|it| it.secret_name.as_ref());
    let custom = custom.map(|_| ByteString(b"max_hint_window: 1h".to_vec()));
    let Configuration { keys, data } = Configuration::of(&resolved, custom.as_ref(), &Stored::default());
    objects(&resolved, &Inputs { version: &version, image, keys: &keys }, data)
}

/// Secrets are decoded, so that a snapshot shows their content.
fn readable(objects: &Objects) -> Vec<Value> {
    fn value(object: &impl Serialize) -> Value {
        serde_json::to_value(object).unwrap()
    }
    let Objects { account, config, services, disruption, petsets, binding } = objects;
    let mut secret = value(config);
    secret["data"] = config
        .data
        .as_ref()
        .unwrap()
        .iter()
        .map(|(key, bytes)| (key.clone(), Value::from(String::from_utf8(bytes.0.clone()).unwrap())))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let mut all = vec![value(account), secret];
    all.extend(services.iter().map(value));
    all.extend(disruption.iter().map(value));
    all.extend(petsets.iter().map(value));
    all.push(value(binding));
    all
}

const MINIMAL: &str = "
metadata: {name: solo}
spec:
  version: 4.1.10
  storage: {resources: {requests: {storage: 1Gi}}}
";

const RACKS: &str = "
metadata: {name: ring, labels: {team: a, app.kubernetes.io/name: mine}}
spec:
  version: 5.0.6
  topology:
    rack:
    - name: a
      storage: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
      podTemplate:
        metadata: {labels: {zone: one}, annotations: {note: pods}}
        controller: {annotations: {note: petset}}
        spec:
          containers:
          - name: cassandra
            resources: {limits: {memory: 4Gi}}
            env:
            - {name: JVM_EXTRA_OPTS, value: -Dcassandra.ring_delay_ms=2000}
            - {name: HEAP_NEWSIZE, value: 100M}
            readinessProbe: {exec: {command: ['true']}}
          - {name: sidecar, image: 'sidecar:1'}
          initContainers:
          - {name: first, image: 'first:1'}
          nodeSelector: {disk: ssd}
    - name: b
      replicas: 2
      storage: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
    - name: c
      storage: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
";

const EPHEMERAL: &str = "
metadata: {name: gone}
spec: {version: 4.1.10, storageType: Ephemeral}
";

const OPEN: &str = "
metadata: {name: open}
spec: {version: 4.1.10, storageType: Ephemeral, disableSecurity: true}
";

const EVERYTHING: &str = "
metadata: {name: full, annotations: {kubedb.com/x: a, owner: me}}
spec:
  version: 5.0.6
  authSecret: {name: mine, externallyManaged: true}
  configuration:
    secretName: custom
    inline: {cassandra.yaml: 'num_tokens: 4'}
  serviceTemplates:
  - alias: primary
    metadata: {labels: {tier: db}, annotations: {dns: 'yes'}}
    spec: {type: LoadBalancer, loadBalancerSourceRanges: [10.0.0.0/8], externalTrafficPolicy: Local}
  deletionPolicy: WipeOut
  healthChecker: {periodSeconds: 5, timeoutSeconds: 5, failureThreshold: 2, disableWriteCheck: true}
  storage: {storageClassName: fast, accessModes: [ReadWriteOncePod], resources: {requests: {storage: 2Gi}}}
  podTemplate:
    spec:
      podPlacementPolicy: {name: spread}
      serviceAccountName: theirs
      terminationGracePeriodSeconds: 60
      securityContext: {fsGroup: 1000}
      imagePullSecrets: [{name: pull}]
      tolerations: [{key: a, operator: Exists}]
      priorityClassName: high
      volumes: [{name: extra, emptyDir: {}}]
      containers:
      - name: cassandra
        volumeMounts: [{name: extra, mountPath: /extra}]
        resources: {requests: {cpu: 2}, limits: {cpu: 1, memory: 8Gi}}
";

#[test]
fn snapshots_of_five_cassandras() {
    for (name, yaml) in [
        ("minimal", MINIMAL),
        ("racks", RACKS),
        ("ephemeral", EPHEMERAL),
        ("open", OPEN),
        ("everything", EVERYTHING),
    ] {
        insta::assert_yaml_snapshot!(name, readable(&build(&cassandra(yaml))));
    }
}

fn pod(objects: &Objects) -> &PodSpec {
    objects.petsets[0].spec.template.spec.as_ref().unwrap()
}

fn container<'a>(pod: &'a PodSpec, name: &str) -> &'a Container {
    pod.containers.iter().chain(pod.init_containers.iter().flatten()).find(|it| it.name == name).unwrap()
}

/// With sidecars, init containers and probes of the user's.
#[test]
fn an_update_changes_the_images_of_the_database_and_nothing_else() {
    let cassandra = cassandra(RACKS);
    let mut petsets = build_for(&cassandra, "4.1.10", "p:1").petsets;
    for petset in &mut petsets {
        set_release(&mut petset.spec.template, "docker.io/library/cassandra:5.0.6", None);
    }
    let specs = |petsets: Vec<PetSet>| petsets.into_iter().map(|petset| petset.spec).collect::<Vec<_>>();
    assert_eq!(specs(petsets), specs(build_for(&cassandra, "5.0.6", "p:1").petsets));
}

#[test]
fn all_that_is_made_goes_with_its_cassandra() {
    for object in readable(&build(&cassandra(RACKS))) {
        let owner = &object["metadata"]["ownerReferences"][0];
        assert_eq!((&owner["uid"], &owner["controller"]), (&json!("0b5e"), &json!(true)), "{object}");
        assert_eq!(
            object["metadata"]["labels"]["app.kubernetes.io/name"], "cassandras.kubedb.com",
            "{object}"
        );
        assert_eq!(object["metadata"]["labels"]["team"], "a", "{object}");
    }
}

#[test]
fn own_containers_are_restricted() {
    let objects = build(&cassandra(RACKS));
    for name in ["cassandra", "cassandra-init", "render-config"] {
        let context = container(pod(&objects), name).security_context.as_ref().unwrap();
        assert_eq!(context.run_as_non_root, Some(true));
        assert_eq!(context.run_as_user, Some(999));
        assert_eq!(context.read_only_root_filesystem, Some(true));
        assert_eq!(context.allow_privilege_escalation, Some(false));
        assert_eq!(context.capabilities.as_ref().unwrap().drop, Some(vec!["ALL".to_owned()]));
    }
}

#[test]
fn the_users_environment_wins_and_jvm_options_are_joined() {
    let objects = build(&cassandra(RACKS));
    let env = container(pod(&objects), "cassandra").env.as_ref().unwrap();
    let value = |name: &str| {
        let found: Vec<_> = env.iter().filter(|one| one.name == name).collect();
        assert_eq!(found.len(), 1, "{name}");
        found[0].value.clone().unwrap()
    };
    assert_eq!(value("MAX_HEAP_SIZE"), "2048M");
    assert_eq!(value("HEAP_NEWSIZE"), "100M");
    assert_eq!(
        value("JVM_EXTRA_OPTS"),
        "-Dcassandra.system_auth.default_rf=3 -Dcassandra.ring_delay_ms=2000"
    );
}

/// The user's options may come from a ConfigMap; the operator's own option must not get lost then.
#[test]
fn jvm_options_from_elsewhere_are_joined_too() {
    let from = "{name: JVM_EXTRA_OPTS, valueFrom: {configMapKeyRef: {name: jvm, key: options}}}";
    let objects = build(&cassandra(
        &RACKS.replace("{name: JVM_EXTRA_OPTS, value: -Dcassandra.ring_delay_ms=2000}", from),
    ));
    let env = container(pod(&objects), "cassandra").env.as_ref().unwrap();
    let position = |name: &str| env.iter().position(|one| one.name == name).unwrap();
    let (theirs, joined) = (position("JVM_EXTRA_OPTS_OF_TEMPLATE"), position("JVM_EXTRA_OPTS"));
    assert!(theirs < joined, "Kubernetes puts in what stands before: {env:?}");
    assert!(env[theirs].value_from.is_some() && env[theirs].value.is_none());
    assert_eq!(
        env[joined].value.as_deref(),
        Some("-Dcassandra.system_auth.default_rf=3 $(JVM_EXTRA_OPTS_OF_TEMPLATE)")
    );
}

/// OpenShift assigns a range of user ids to each namespace and accepts no others.
#[test]
fn the_user_of_the_pod_holds_for_every_container_of_the_operator() {
    let user = |of_pod: &str, of_container: &str| {
        let yaml = format!(
            "{{metadata: {{name: solo}}, spec: {{version: 4.1.10, storageType: Ephemeral, podTemplate: {{spec: {{\
             securityContext: {of_pod}, containers: [{{name: cassandra, securityContext: {of_container}}}]}}}}}}}}"
        );
        let objects = build(&cassandra(&yaml));
        let pod = pod(&objects);
        let of = |name| container(pod, name).security_context.as_ref().unwrap().run_as_user.unwrap();
        let group = pod.security_context.as_ref().unwrap().fs_group.unwrap();
        ["cassandra", "cassandra-init", "render-config"]
            .map(of)
            .into_iter()
            .chain([group])
            .collect::<Vec<_>>()
    };
    assert_eq!(user("{}", "{}"), [999, 999, 999, 999]);
    assert_eq!(user("{runAsUser: 1000650000}", "{}"), [1_000_650_000; 4]);
    assert_eq!(
        user("{runAsUser: 1000650000, fsGroup: 5}", "{}"),
        [1_000_650_000, 1_000_650_000, 1_000_650_000, 5]
    );
    assert_eq!(user("{}", "{runAsUser: 1000650000}"), [1_000_650_000, 1_000_650_000, 1_000_650_000, 999]);
}

#[test]
fn labels_of_the_template_reach_the_pods_and_cannot_change_whose_they_are() {
    let labels = "{zone: one, app.kubernetes.io/instance: other, app.kubernetes.io/part-of: other}";
    let objects = build(&cassandra(&RACKS.replace("{zone: one}", labels)));
    let pods = objects.petsets[0].spec.template.metadata.as_ref().unwrap().labels.as_ref().unwrap();
    assert_eq!(pods.get("zone").map(String::as_str), Some("one"));
    let selector = objects.petsets[0].spec.selector.match_labels.as_ref().unwrap();
    assert!(selector.iter().all(|(key, value)| pods.get(key) == Some(value)), "{pods:?}");
    assert_eq!(pods.get("app.kubernetes.io/instance").map(String::as_str), Some("ring"));
}

/// Backup tools mount the data, and their images may set its owner first.
#[test]
fn sidecars_and_init_containers_may_mount_the_data_by_its_name() {
    let mount = "volumeMounts: [{name: data, mountPath: /backup}]";
    let objects = build(&cassandra(
        &RACKS
            .replace("image: 'sidecar:1'", &format!("image: 'sidecar:1', {mount}"))
            .replace("image: 'first:1'", &format!("image: 'first:1', {mount}")),
    ));
    for name in ["sidecar", "first"] {
        let mounts = container(pod(&objects), name).volume_mounts.as_ref().unwrap();
        assert_eq!((mounts[0].name.as_str(), mounts[0].mount_path.as_str()), ("data", "/backup"));
    }
}

#[test]
fn a_users_probe_replaces_ours_whole() {
    let objects = build(&cassandra(RACKS));
    let cassandra = container(pod(&objects), "cassandra");
    let readiness = cassandra.readiness_probe.as_ref().unwrap();
    assert!(readiness.exec.is_some() && readiness.tcp_socket.is_none());
    assert!(cassandra.liveness_probe.as_ref().unwrap().tcp_socket.is_some());
}

#[test]
fn the_users_init_containers_run_first() {
    let objects = build(&cassandra(RACKS));
    let names: Vec<_> =
        pod(&objects).init_containers.iter().flatten().map(|container| container.name.as_str()).collect();
    assert_eq!(names, ["first", "cassandra-init", "render-config"]);
}

#[test]
fn only_a_ring_has_a_disruption_budget_and_only_an_open_one_no_login() {
    let [minimal, racks, open] = [MINIMAL, RACKS, OPEN].map(|yaml| build(&cassandra(yaml)));
    assert!(minimal.disruption.is_none() && racks.disruption.is_some());
    assert!(open.binding.spec.secret.is_none() && racks.binding.spec.secret.is_some());
}

#[test]
fn a_pod_that_runs_and_is_not_ready_may_be_evicted_while_another_one_is_down() {
    let budget = build(&cassandra(RACKS)).disruption.unwrap().spec.unwrap();
    assert_eq!(budget.unhealthy_pod_eviction_policy.as_deref(), Some("AlwaysAllow"));
}

#[test]
fn what_can_be_published_has_no_port_between_nodes() {
    for yaml in [RACKS, EVERYTHING] {
        let objects = build(&cassandra(yaml));
        let ports = |n: usize| {
            let ports = objects.services[n].spec.as_ref().unwrap().ports.iter().flatten();
            ports.map(|port| port.port).collect::<Vec<_>>()
        };
        assert_eq!(ports(0), [9042]);
        assert_eq!(ports(1), [9042, 7000, 7001, 7199], "the nodes' own Service");
    }
}
