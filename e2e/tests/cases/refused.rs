//! Updates that something in the cluster does not allow: each reports the reason while it waits, ends at its timeout, and leaves
//! a ring that is whole and resumed.

use anyhow::{Result, ensure};
use e2e::client::{Login, cql};
use e2e::kubectl::{
    apply, condition, fresh_namespace, get, kubectl, phase, remove_namespace, text, wait_for,
};
use e2e::manifests::{ring, standalone, update, version_of};
use e2e::update::is_whole_on;
use serde_json::{Value, json};

use crate::made::Policy;
use crate::start::ends_when_asked;
use crate::{Case, told};

pub const CASES: &[Case] = &[
    ("two budgets over a pod", budgets),
    ("a policy refuses evictions", evictions_denied),
    ("a webhook that does not answer", dead_webhook),
    ("a policy refuses the PetSets", petsets_denied),
    ("a policy refuses the resume", resume_denied),
    ("Pod Security was tightened", tightened),
    ("the Secret of settings is gone", no_settings),
    ("a pod that never ends", never_ends),
    ("classes that the target lacks", plugins),
];

pub const N: &str = "cases-ring";
pub const RING: &str = "cas/ring";
pub const PODS: [&str; 3] = ["ring-rack-a-0", "ring-rack-b-0", "ring-rack-c-0"];
const SOURCE: &str = "4.1.9";
/// Characters that break a statement which is not quoted with care.
pub const LOGIN: Login = Login::Plain("Ops \"Admin\"@shop", "p'a\"s$s\\w{}%;-- ö");
/// Settings with the value false, and settings under older names.
pub const SETTINGS: &str = "\
auto_snapshot: false
rpc_keepalive: false
enable_materialized_views: true
enable_sasi_indexes: on
commitlog_segment_size_in_mb: 16
compaction_throughput_mb_per_sec: 32
key_cache_size_in_mb: 8
permissions_validity_in_ms: 3_000
internode_send_buff_size_in_bytes: 262144
cross_node_timeout: true
";

/// Creates a ring of three racks with a sidecar, settings and a login of the user's own, unless it exists. Waits until it is
/// Ready.
pub fn made() -> Result<()> {
    if text(&get(N, RING).unwrap_or_default(), "/status/phase").is_empty() {
        fresh_namespace(N)?;
        let secret = |name: &str, data: Value| {
            json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name, "namespace": N },
                "stringData": data,
            })
        };
        let Login::Plain(username, password) = LOGIN else { return Ok(()) };
        apply(&secret("odd", json!({ "username": username, "password": password })).to_string())?;
        apply(&settings().to_string())?;
        let mut three = ring(N, "ring", SOURCE);
        three["spec"]["authSecret"] = json!({ "name": "odd", "externallyManaged": true });
        three["spec"]["configuration"] = json!({ "secretName": "ring-settings" });
        for rack in three["spec"]["topology"]["rack"].as_array_mut().into_iter().flatten() {
            let shipper = json!({ "name": "shipper", "image": "localhost/busybox:1", "command": ends_when_asked("sleep 1d") });
            if let Some(containers) = rack["podTemplate"]["spec"]["containers"].as_array_mut() {
                containers.push(shipper);
            }
        }
        apply(&three.to_string())?;
    }
    phase(N, RING, &["Ready"], 600).map(drop)
}

fn settings() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "ring-settings", "namespace": N },
        "stringData": { "cassandra.yaml": SETTINGS },
    })
}

/// Asks for 4.1.10.
fn request(name: &str) -> Result<()> {
    made()?;
    let mut request = update(N, name, "ring", "4.1.10");
    request["spec"]["timeout"] = json!("45s");
    apply(&request.to_string()).map(drop)
}

/// Checks a condition of the request while it waits, and that the ring is whole and resumed after it has failed. Returns the
/// message of the failure.
fn fails(name: &str, waits: (&str, &str)) -> Result<String> {
    request(name)?;
    let casops = format!("casops/{name}");
    told(N, &casops, waits.0, waits.1)?;
    let said = failed(&casops)?;
    is_whole_on(N, "ring", &PODS, SOURCE)?;
    Ok(said)
}

fn failed(casops: &str) -> Result<String> {
    let request = phase(N, casops, &["Failed", "Successful", "Denied"], 300)?;
    ensure!(text(&request, "/status/phase") == "Failed", "{:#}", request["status"]);
    Ok(condition(&request, "Failed").map(|failed| text(failed, "/message")).unwrap_or_default())
}

fn denied(name: &str, words: &str) -> Result<String> {
    let before = get(N, RING)?["metadata"]["generation"].clone();
    request(name)?;
    let said = told(N, &format!("casops/{name}"), "Denied", words)?;
    ensure!(get(N, RING)?["metadata"]["generation"] == before, "the Cassandra was touched");
    Ok(said)
}

fn budgets() -> Result<String> {
    made()?;
    let budget = |name: &str| {
        let selector = json!({ "matchLabels": { "app.kubernetes.io/instance": "ring" } });
        json!({
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": { "name": name, "namespace": N },
            "spec": { "maxUnavailable": 1, "selector": selector },
        })
    };
    let names = ["mine", "mine-too"];
    names.iter().try_for_each(|name| apply(&budget(name).to_string()).map(drop))?;
    let said = fails("budgets", ("EvictPod--ring-rack-a-0", "more than one PodDisruptionBudget"));
    kubectl(&["delete", "pdb", "-n", N, names[0], names[1]])?;
    said
}

fn evictions() -> Value {
    json!([{
        "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods/eviction"],
    }])
}

fn evictions_denied() -> Result<String> {
    made()?;
    let _policy = Policy::new(N, &evictions(), "false", "evictions are frozen until Monday")?;
    fails("evictions", ("EvictPod--ring-rack-a-0", "evictions are frozen until Monday"))
}

fn dead_webhook() -> Result<String> {
    made()?;
    let service = json!({ "name": "nobody", "namespace": N, "path": "/" });
    let hook = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": { "name": N },
        "webhooks": [{
            "name": "evictions.example.com", "clientConfig": { "service": service }, "rules": evictions(),
            "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": N } },
            "failurePolicy": "Fail", "sideEffects": "None", "admissionReviewVersions": ["v1"],
        }],
    });
    apply(&hook.to_string())?;
    let said = fails("webhook", ("EvictPod--ring-rack-a-0", "failed calling webhook"));
    kubectl(&["delete", "validatingwebhookconfiguration", N])?;
    said
}

fn petsets_denied() -> Result<String> {
    made()?;
    let rules = json!([{
        "apiGroups": ["apps.k8s.appscode.com"], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["petsets"],
    }]);
    let _policy = Policy::new(N, &rules, "false", "no change of PetSets in this namespace")?;
    fails("petsets", ("UpdatePetSets", "no change of PetSets in this namespace"))
}

/// Nobody may lift a halt: an update is rolled back, the request says that the Cassandra stays halted, and it is resumed when it can be.
fn resume_denied() -> Result<String> {
    made()?;
    let rules = json!([{
        "apiGroups": ["kubedb.com"], "apiVersions": ["*"], "operations": ["UPDATE"], "resources": ["cassandras"],
    }]);
    let lifts = "!(oldObject.spec.?halted.orValue(false) && !object.spec.?halted.orValue(false))";
    let said = {
        let _policy = Policy::new(N, &rules, lifts, "nobody resumes here")?;
        let mut refused = update(N, "resume", "ring", "4.1.10-broken");
        refused["spec"]["timeout"] = json!("45s");
        let mut broken = e2e::manifests::version("4.1.10-broken", "localhost/cassandra:crash");
        broken["spec"]["version"] = json!("4.1.10");
        apply(&broken.to_string())?;
        apply(&refused.to_string())?;
        told(N, "casops/resume", "ResumeDatabase", "nobody resumes here")?;
        failed("casops/resume")?
    };
    is_whole_on(N, "ring", &PODS, SOURCE)?;
    kubectl(&["delete", "casversion", "4.1.10-broken"])?;
    Ok(said)
}

/// The namespace allows restricted pods only, and the user's sidecar is not restricted.
fn tightened() -> Result<String> {
    made()?;
    let label = "pod-security.kubernetes.io/enforce";
    kubectl(&["label", "namespace", N, &format!("{label}=restricted")])?;
    let said = denied("tightened", "violates PodSecurity");
    kubectl(&["label", "namespace", N, &format!("{label}-")])?;
    said
}

fn no_settings() -> Result<String> {
    made()?;
    kubectl(&["delete", "secret", "ring-settings", "-n", N])?;
    let said = denied("no-settings", "ring-settings");
    apply(&settings().to_string())?;
    phase(N, RING, &["Ready"], 120)?;
    said
}

/// A finalizer simulates a lost machine: the pod stays Terminating. The request ends, and leaves no halt.
fn never_ends() -> Result<String> {
    made()?;
    let hold = |finalizers: Value| {
        let patch = json!({ "metadata": { "finalizers": finalizers } }).to_string();
        kubectl(&["patch", "pod", "-n", N, PODS[0], "--type=merge", "-p", &patch])
    };
    hold(json!(["example.com/lost-machine"]))?;
    request("never-ends")?;
    let said = failed("casops/never-ends")?;
    wait_for("the end of the halt", N, 30, || {
        Ok((text(&get(N, RING)?, "/spec/halted") == "false").then_some(()))
    })?;
    let ring = get(N, RING)?;
    let of_ring = condition(&ring, "ReplicaReady").map(|it| text(it, "/message")).unwrap_or_default();
    hold(Value::Null)?;
    is_whole_on(N, "ring", &PODS, SOURCE)?;
    Ok(format!("{said} | the Cassandra: {of_ring}"))
}

/// A trigger and an index use classes that the user's own image has and the target's image lacks.
fn plugins() -> Result<String> {
    const P: &str = "cases-plugins";
    let version = "4.1.10-plugins";
    apply(&version_of(version, "localhost/cassandra:plugins", "4.1.10").to_string())?;
    fresh_namespace(P)?;
    apply(&standalone(P, "db", version).to_string())?;
    phase(P, "cas/db", &["Ready"], 240)?;
    let pod = || Ok(text(&get(P, "pod/db-0")?, "/metadata/uid"));
    let before: Result<String> = pod();
    for statement in [
        "CREATE KEYSPACE shop WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
        "CREATE TABLE shop.orders (id int PRIMARY KEY, note text)",
        "CREATE CUSTOM INDEX words ON shop.orders (note) USING 'com.example.Words'",
        "CREATE TRIGGER audit ON shop.orders USING 'com.example.Audit'",
    ] {
        cql(P, "db", &Login::Secret("db-auth"), statement)?;
    }
    apply(&update(P, "to-5-0", "db", "5.0.6").to_string())?;
    let said = told(P, "casops/to-5-0", "Denied", "com.example.Audit")?;
    ensure!(said.contains("com.example.Words"), "{said}");
    ensure!(before? == pod()?, "the pod was touched");
    remove_namespace(P)?;
    Ok(said)
}
