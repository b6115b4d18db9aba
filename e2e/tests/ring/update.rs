//! Updates that happen.

use anyhow::Result;
use e2e::kubectl::{apply, condition, get, kubectl, patch, phase, text, wait_for};
use e2e::manifests::update;
use serde_json::{Value, json};

use crate::{CASSANDRA, NAMESPACE, PODS, images};

/// 4.1.9 to 4.1.10; the ops-manager is killed while the first pod is renewed.
pub fn the_ops_manager_ends_in_the_middle_and_goes_on() -> Result<()> {
    apply(&update(NAMESPACE, "to-4-1-10", "ring", "4.1.10").to_string())?;
    wait_for("the first eviction", NAMESPACE, 60, || {
        let request = get(NAMESPACE, "casops/to-4-1-10")?;
        Ok(condition(&request, &format!("EvictPod--{}", PODS[0])).map(drop))
    })?;
    let component = "app.kubernetes.io/component=ops-manager";
    kubectl(&[
        "delete",
        "pods",
        "-n",
        "cassandra-operators",
        "-l",
        component,
        "--grace-period=0",
        "--force",
    ])?;
    finished("to-4-1-10", "4.1.10").map(drop)
}

/// 4.1.10 to 5.0.6: the request waits for the user's halt to be lifted.
pub fn pods_are_renewed_one_at_a_time_in_order_of_the_racks() -> Result<()> {
    patch(NAMESPACE, CASSANDRA, &json!({ "spec": { "halted": false } }))?;
    let mut seen: Vec<Vec<String>> = vec![];
    wait_for("the end of the update", NAMESPACE, 800, || {
        // One list: pods that are asked for one after the other would show two moments.
        let pods = get(NAMESPACE, "pods")?;
        let pod = |name: &str| {
            pods["items"].as_array().into_iter().flatten().find(|pod| text(pod, "/metadata/name") == name)
        };
        let down = PODS.iter().filter(|name| !pod(name).is_some_and(is_ready));
        let down: Vec<_> = down.map(|name| (*name).to_owned()).collect();
        if seen.last() != Some(&down) {
            seen.push(down);
        }
        let phase = text(&get(NAMESPACE, "casops/to-5")?, "/status/phase");
        Ok(["Successful", "Failed"].contains(&phase.as_str()).then_some(()))
    })?;
    let request = finished("to-5", "5.0.6")?;
    assert!(seen.iter().all(|down| down.len() <= 1), "never two at a time: {seen:?}");
    let mut order: Vec<_> = seen.into_iter().flatten().collect();
    // A pod that has just come may miss a probe.
    order.dedup();
    assert_eq!(order, PODS);

    let when =
        |type_: &str| condition(&request, type_).map(|c| text(c, "/lastTransitionTime")).unwrap_or_default();
    for (earlier, later) in PODS.into_iter().zip(PODS.into_iter().skip(1)) {
        let (running, evicted) =
            (when(&format!("RunningPod--{earlier}")), when(&format!("EvictPod--{later}")));
        assert!(!running.is_empty() && running <= evicted, "{earlier} is up before {later} is renewed");
    }
    let labels = &get(NAMESPACE, "petset/ring-rack-a")?["metadata"]["labels"];
    assert_eq!(labels["team"], "a", "what was changed under the halt comes after it");
    Ok(())
}

fn is_ready(pod: &Value) -> bool {
    pod["metadata"]["deletionTimestamp"].is_null()
        && condition(pod, "Ready").is_some_and(|ready| ready["status"] == "True")
}

/// Waits for the end of the request; the ring runs the version, and all steps are recorded.
fn finished(request: &str, version: &str) -> Result<Value> {
    let request = phase(NAMESPACE, &format!("casops/{request}"), &["Successful", "Failed", "Denied"], 800)?;
    assert_eq!(text(&request, "/status/phase"), "Successful", "{:#}", request["status"]);
    assert_eq!(text(&request, "/status/progress"), "6/6");
    let steps = [
        "UpdateVersion",
        "PauseDatabase",
        "UpdatePetSets",
        "RestartPods",
        "VerifyRing",
        "SetVersion",
        "ResumeDatabase",
        "Successful",
    ];
    let pods =
        PODS.iter().flat_map(|pod| ["GetPod", "EvictPod", "RunningPod"].map(|step| format!("{step}--{pod}")));
    for step in steps.into_iter().map(str::to_owned).chain(pods) {
        assert_eq!(condition(&request, &step).map(|c| &c["status"]), Some(&json!("True")), "{step}");
    }
    let cassandra = phase(NAMESPACE, CASSANDRA, &["Ready"], 60)?;
    assert_eq!(text(&cassandra, "/spec/version"), version);
    assert_eq!(text(&cassandra, "/spec/halted"), "false");
    assert!(images()?.iter().all(|image| image.ends_with(&format!(":{version}"))));
    Ok(request)
}
