//! Pods that do not look like their template.

use anyhow::{Result, ensure};
use e2e::client::{Login, cql};
use e2e::kubectl::{
    apply, condition, fresh_namespace, get, kubectl, phase, remove_namespace, text, wait_for,
};
use e2e::manifests::{pods, restart, ring, update, version};
use e2e::webhook::Webhook;
use e2e::{audit, load, machine};
use serde_json::{Value, json};

use crate::{Case, told};

pub const CASES: &[Case] = &[
    ("a webhook rewrites images", rewritten),
    ("an edit waits, the image is bad", edited),
    ("settings wait for a restart", settings),
];

const N: &str = "cases-revision";
const RING: &str = "cas/ring";

fn made(version: &str) -> Result<()> {
    fresh_namespace(N)?;
    apply(&ring(N, "ring", version).to_string())?;
    phase(N, RING, &["Ready"], 600).map(drop)
}

/// What runs in the pods is never what their template says.
fn rewritten() -> Result<String> {
    const SUFFIX: &str = "-mirror";
    for release in ["4.1.10", "5.0.6"] {
        let image = format!("localhost/cassandra:{release}");
        machine::tag_image(&image, &format!("{image}{SUFFIX}"))?;
    }
    fresh_namespace(N)?;
    let _webhook = Webhook::adding(N, "localhost/cassandra", SUFFIX)?;
    apply(&ring(N, "ring", "4.1.10").to_string())?;
    phase(N, RING, &["Ready"], 600)?;
    let names = pods("ring");
    load::start(N, "ring", &names.each_ref().map(String::as_str), 3)?;
    load::some_rows(N)?;
    let mark = audit::mark()?;
    apply(&update(N, "to-5-0", "ring", "5.0.6").to_string())?;
    let request = phase(N, "casops/to-5-0", &["Successful", "Failed", "Denied"], 600)?;
    ensure!(text(&request, "/status/phase") == "Successful", "{:#}", request["status"]);
    let verdict = load::stop(N)?;
    ensure!(verdict.nothing_lost() && verdict.load.failures() == 0, "{verdict}");
    let requests = audit::since(&mark)?;
    let evictions = requests.iter().filter(|it| it.namespace == N && it.resource == "pods/eviction").count();
    ensure!(evictions == names.len(), "{evictions} evictions");
    for pod in &names {
        let image = text(&get(N, &format!("pod/{pod}"))?, "/spec/containers/0/image");
        ensure!(image == format!("localhost/cassandra:5.0.6{SUFFIX}"), "{pod} runs {image}");
    }
    remove_namespace(N)?;
    Ok(format!("Successful, {evictions} evictions, pods on localhost/cassandra:5.0.6{SUFFIX}; {verdict}"))
}

/// No pod has an edit of the template yet when an update fails at its first pod.
fn edited() -> Result<String> {
    const BAD: &str = "4.1.95";
    made("4.1.10")?;
    apply(&version(BAD, "localhost/cassandra:crash").to_string())?;
    let names = pods("ring");
    let uids = || -> Result<Vec<_>> {
        names.iter().map(|pod| Ok(text(&get(N, &format!("pod/{pod}"))?, "/metadata/uid"))).collect()
    };
    let containers =
        |pod: &str| -> Result<Value> { Ok(get(N, &format!("pod/{pod}"))?["spec"]["containers"].clone()) };
    let (before, ran) = (uids()?, containers(&names[0])?);
    let edit = |rack: usize| {
        let path = format!("/spec/topology/rack/{rack}/podTemplate/spec/containers/0/env/-");
        json!({ "op": "add", "path": path, "value": { "name": "EDITED", "value": "yes" } })
    };
    let edits = json!([edit(0), edit(1), edit(2)]).to_string();
    kubectl(&["patch", "-n", N, RING, "--type=json", "-p", &edits])?;
    told(N, RING, "RestartRequired", ": ring-rack-a-0, ring-rack-b-0, ring-rack-c-0. ")?;
    apply(&update(N, "bad", "ring", BAD).to_string())?;
    let request = phase(N, "casops/bad", &["Successful", "Failed", "Denied"], 600)?;
    let said = condition(&request, "Failed").map(|it| text(it, "/message")).unwrap_or_default();
    ensure!(said.contains("The ring is whole on version 4.1.10, as before"), "{:#}", request["status"]);
    let renewed: Vec<bool> = before.iter().zip(uids()?).map(|(old, new)| *old != new).collect();
    ensure!(renewed == [true, false, false], "{renewed:?}");
    phase(N, RING, &["Ready"], 60)?;
    ensure!(containers(&names[0])? == ran, "{} is not what it was: {:#}", names[0], containers(&names[0])?);
    let still = told(N, RING, "RestartRequired", ": ring-rack-a-0, ring-rack-b-0, ring-rack-c-0. ")?;
    wait_for("the login to work", N, 60, || {
        Ok(cql(N, "ring", &Login::Secret("ring-auth"), "SELECT key FROM system.local").ok().map(drop))
    })?;
    kubectl(&["delete", "casversion", BAD])?;
    remove_namespace(N)?;
    Ok(still)
}

/// The settings are in a Secret of the user's. A pod that dies comes back with those that it had, also when the Secret is gone.
fn settings() -> Result<String> {
    let secret = |window: &str| {
        let metadata = json!({ "name": "settings", "namespace": N });
        let data = json!({ "cassandra.yaml": format!("max_hint_window: {window}\n") });
        apply(
            &json!({ "apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data })
                .to_string(),
        )
    };
    let windows = || -> Result<Vec<String>> { pods("ring").iter().map(|pod| window(pod)).collect() };
    fresh_namespace(N)?;
    secret("2h")?;
    let mut three = ring(N, "ring", "4.1.10");
    three["spec"]["configuration"] = json!({ "secretName": "settings" });
    apply(&three.to_string())?;
    phase(N, RING, &["Ready"], 600)?;
    ensure!(windows()? == ["2h"; 3], "{:?}", windows()?);

    secret("5h")?;
    let said = told(N, RING, "RestartRequired", ": ring-rack-a-0, ring-rack-b-0, ring-rack-c-0. ")?;
    dies(&pods("ring")[2])?;
    ensure!(windows()? == ["2h"; 3], "{:?} after the death of a pod", windows()?);
    phase(N, RING, &["Ready"], 120)?;

    secret("6h")?;
    apply(&restart(N, "restart", "ring").to_string())?;
    let request = phase(N, "casops/restart", &["Successful", "Failed", "Denied"], 600)?;
    ensure!(text(&request, "/status/phase") == "Successful", "{:#}", request["status"]);
    ensure!(windows()? == ["6h"; 3], "{:?} after the restart", windows()?);

    kubectl(&["delete", "secret", "-n", N, "settings"])?;
    told(N, RING, "ProvisioningStarted", "Secret cases-revision/settings does not exist")?;
    dies(&pods("ring")[0])?;
    ensure!(windows()? == ["6h"; 3], "{:?} without the Secret", windows()?);
    remove_namespace(N)?;
    Ok(said)
}

/// Deletes a pod and waits until the next one is Ready.
fn dies(pod: &str) -> Result<()> {
    kubectl(&["delete", "pod", "-n", N, pod])?;
    wait_for("the pod to come back", N, 240, || {
        let pod = get(N, &format!("pod/{pod}")).unwrap_or_default();
        Ok(condition(&pod, "Ready").filter(|it| it["status"] == "True").map(drop))
    })
}

/// The setting that a node has read when it started.
fn window(pod: &str) -> Result<String> {
    let read = ["grep", "^max_hint_window:", "/etc/cassandra/cassandra.yaml"];
    let line = kubectl(&[&["exec", "-n", N, pod, "-c", "cassandra", "--"], &read[..]].concat())?;
    Ok(line.trim().trim_start_matches("max_hint_window:").trim().trim_matches(['\'', '"']).to_owned())
}
