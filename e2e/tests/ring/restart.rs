//! A restart, and what it brings.

use anyhow::{Result, ensure};
use e2e::kubectl::{apply, condition, get, kubectl, phase, text, wait_for};
use e2e::{audit, manifests};
use serde_json::{Value, json};

use crate::{CASSANDRA, NAMESPACE, PODS, embedded, uids, writers_of_petsets};

/// The template of one rack is edited: no pod gets it by itself, the Cassandra names those that lack it, and a restart renews each
/// pod of the ring once.
pub fn an_edit_of_the_template_waits_for_a_restart() -> Result<()> {
    let before = uids()?;
    let path = "/spec/topology/rack/0/podTemplate/spec/containers/0/env/-";
    let edit = json!([{ "op": "add", "path": path, "value": { "name": "EDITED", "value": "yes" } }]);
    kubectl(&["patch", "-n", NAMESPACE, CASSANDRA, "--type=json", "-p", &edit.to_string()])?;
    let said = wait_for("the Cassandra to name the pods", NAMESPACE, 60, || restart_required("True"))?;
    ensure!(said.contains("env[EDITED]): ring-rack-a-0, ring-rack-a-1. "), "{said}");
    ensure!(uids()? == before, "no pod is renewed by itself");

    let mark = embedded().then(audit::mark).transpose()?;
    apply(&manifests::restart(NAMESPACE, "restart", "ring").to_string())?;
    let request = phase(NAMESPACE, "casops/restart", &["Successful", "Failed", "Denied"], 800)?;
    ensure!(text(&request, "/status/phase") == "Successful", "{:#}", request["status"]);
    ensure!(text(&request, "/status/progress") == "6/6", "{:#}", request["status"]);
    let steps = ["Restart", "PauseDatabase", "RestartNodes", "VerifyRing", "ResumeDatabase", "Successful"];
    let of_pods = PODS
        .iter()
        .flat_map(|pod| ["GetPod", "EvictPod", "CheckPodRunning"].map(|step| format!("{step}--{pod}")));
    for step in steps.into_iter().map(str::to_owned).chain(of_pods) {
        let status = condition(&request, &step).map(|condition| &condition["status"]);
        ensure!(status == Some(&json!("True")), "{step}: {:#}", request["status"]);
    }
    let begun = condition(&request, "Restart").map(|it| text(it, "/message")).unwrap_or_default();
    ensure!(begun.contains("ring-rack-a-0, ring-rack-a-1"), "{begun}");
    let renewed = before.iter().zip(uids()?).filter(|(old, new)| *old != new).count();
    ensure!(renewed == PODS.len(), "{renewed} pods are new");
    wait_for("nothing to wait for a restart", NAMESPACE, 60, || restart_required("False"))?;
    if let Some(mark) = mark {
        let writers = writers_of_petsets(&mark)?;
        ensure!(writers == ["ops-manager"], "{writers:?}: the provisioner has nothing to do after it");
    }
    for pod in PODS {
        let env = &get(NAMESPACE, &format!("pod/{pod}"))?["spec"]["containers"][0]["env"];
        let edited = env.as_array().into_iter().flatten().any(|it: &Value| it["name"] == "EDITED");
        ensure!(edited == pod.contains("rack-a"), "{pod}: {env:#}");
    }
    Ok(())
}

/// The message of the condition, if it has this status.
fn restart_required(status: &str) -> Result<Option<String>> {
    let ring = get(NAMESPACE, CASSANDRA)?;
    let found = condition(&ring, "RestartRequired").filter(|it| it["status"] == status);
    Ok(found.map(|it| text(it, "/message")))
}
