//! The life of a ring of three racks with two nodes each, as one test: each part continues with the ring as the part before has
//! left it. A client writes and reads at QUORUM during the updates.

#[path = "ring/bad.rs"]
mod bad;
#[path = "ring/objects.rs"]
mod objects;
#[path = "ring/refused.rs"]
mod refused;
#[path = "ring/restart.rs"]
mod restart;
#[path = "ring/silence.rs"]
mod silence;
#[path = "ring/update.rs"]
mod update;

use anyhow::Result;
use e2e::audit::{self, Mark};
use e2e::kubectl::{apply, fresh_namespace, get, kubectl, phase, text, wait_for};
use e2e::{load, manifests};
use serde_json::Value;

const NAMESPACE: &str = "e2e-ring";
const CASSANDRA: &str = "cas/ring";
const PODS: [&str; 6] =
    ["ring-rack-a-0", "ring-rack-a-1", "ring-rack-b-0", "ring-rack-b-1", "ring-rack-c-0", "ring-rack-c-1"];

#[test]
fn the_life_of_a_ring() -> Result<()> {
    fresh_namespace(NAMESPACE)?;
    apply(&manifests::shape(NAMESPACE, "ring", "4.1.9", &[2, 2, 2]).to_string())?;
    phase(NAMESPACE, CASSANDRA, &["Ready"], 900)?;

    objects::everything_is_there()?;
    objects::only_the_superuser_of_the_secret_can_log_in()?;
    refused::nothing_is_touched()?;
    refused::what_the_target_does_not_know_is_named()?;
    load::start(NAMESPACE, "ring", &[PODS[0], PODS[2], PODS[4]], 3)?;
    bad::a_missing_image_touches_nothing()?;
    if embedded() {
        bad::a_crashing_image_reaches_one_pod_and_is_taken_back()?;
    }
    update::the_ops_manager_ends_in_the_middle_and_goes_on()?;
    restart::an_edit_of_the_template_waits_for_a_restart()?;
    if embedded() {
        silence::a_quiet_ring_costs_no_write()?;
    }
    silence::a_halt_of_the_user_is_respected()?;
    update::pods_are_renewed_one_at_a_time_in_order_of_the_racks()?;
    nothing_is_lost_and_no_request_failed()?;
    the_end()
}

/// Whether it is the cluster of this checkout: it has an image that crashes, and an audit log to read.
fn embedded() -> bool {
    std::env::var_os("E2E_AUDIT_LOG").is_some()
}

/// The operators that have changed PetSets since then, one for each write.
fn writers_of_petsets(mark: &Mark) -> Result<Vec<String>> {
    let mut requests = audit::since(mark)?;
    requests
        .retain(|it| it.resource == "petsets" && it.namespace == NAMESPACE && it.is_write() && it.code < 300);
    Ok(requests.into_iter().map(|it| it.operator).collect())
}

fn nothing_is_lost_and_no_request_failed() -> Result<()> {
    let verdict = load::stop(NAMESPACE)?;
    assert!(verdict.nothing_lost(), "{verdict}");
    assert_eq!(verdict.load.failures(), 0, "{:?}", load::failures(NAMESPACE).first());
    Ok(())
}

/// `deletionPolicy: Delete` takes the volumes, and all that is left goes with the namespace.
fn the_end() -> Result<()> {
    kubectl(&["delete", "-n", NAMESPACE, CASSANDRA, "--timeout=180s"])?;
    wait_for("the volumes to go", NAMESPACE, 30, || {
        Ok((get(NAMESPACE, "pvc")? == Value::Null).then_some(()))
    })?;
    kubectl(&["delete", "namespace", NAMESPACE, "--timeout=180s"]).map(drop)
}

/// Name, UID, generation and version of each PetSet, pod and Cassandra: what an update changes.
fn fingerprint() -> Result<Vec<[String; 4]>> {
    let objects = get(NAMESPACE, "petset,pods,cas")?;
    let of = |object: &Value| {
        ["/metadata/name", "/metadata/uid", "/metadata/generation", "/spec/version"]
            .map(|at| text(object, at))
    };
    let mut all: Vec<_> = objects["items"].as_array().into_iter().flatten().map(of).collect();
    all.retain(|object| object[0].starts_with("ring"));
    Ok(all)
}

/// UID of each pod.
fn uids() -> Result<Vec<String>> {
    PODS.iter().map(|pod| Ok(text(&get(NAMESPACE, &format!("pod/{pod}"))?, "/metadata/uid"))).collect()
}

/// Image of the database in each pod.
fn images() -> Result<Vec<String>> {
    PODS.iter()
        .map(|pod| Ok(text(&get(NAMESPACE, &format!("pod/{pod}"))?, "/spec/containers/0/image")))
        .collect()
}
