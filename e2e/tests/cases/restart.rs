//! Restarts that do not go straight to their end.

use anyhow::{Context, Result, ensure};
use e2e::kubectl::{apply, fresh_namespace, get, kubectl, phase, remove_namespace, text, wait_for};
use e2e::manifests::{pods, restart, shape};
use e2e::{audit, load};
use serde_json::json;

use crate::{Case, told};

pub const CASES: &[Case] = &[("restarts denied, queued, deleted", in_turn)];

const N: &str = "cases-restart";
const RING: &str = "cas/ring";
const PODS: [&str; 6] =
    ["ring-rack-a-0", "ring-rack-a-1", "ring-rack-b-0", "ring-rack-b-1", "ring-rack-c-0", "ring-rack-c-1"];

/// On three racks of two nodes with a client. A restart that is denied touches nothing. One that is deleted ends with the pod that is
/// on its way, and the one that waits behind it renews every pod once.
fn in_turn() -> Result<String> {
    fresh_namespace(N)?;
    apply(&shape(N, "ring", "4.1.10", &[2, 2, 2]).to_string())?;
    phase(N, RING, &["Ready"], 900)?;
    load::start(N, "ring", &pods("ring").each_ref().map(String::as_str), 3)?;
    load::some_rows(N)?;
    let (before, spec) = (uids()?, generation()?);

    apply(&restart(N, "of-nobody", "nobody").to_string())?;
    let mut misspelt = restart(N, "misspelt", "ring");
    misspelt["metadata"]["annotations"] = json!({ "ops.kubedb.com/replication-check": "Perhaps" });
    apply(&misspelt.to_string())?;
    let denied = [denied("of-nobody", "DatabaseNotFound")?, denied("misspelt", "MalformedAnnotation")?];
    ensure!(uids()? == before && generation()? == spec, "a restart that was denied has touched the ring");

    let mark = audit::mark()?;
    apply(&restart(N, "deleted", "ring").to_string())?;
    wait_for("the first pod to go", N, 120, || Ok((uids()? != before).then_some(())))?;
    apply(&restart(N, "queued", "ring").to_string())?;
    told(N, "casops/queued", "Waiting", "waits for CassandraOpsRequest deleted to finish")?;
    kubectl(&["delete", "casops", "-n", N, "deleted", "--timeout=240s"])?;
    let stopped = audit::evictions(&mark, N)?;
    ensure!(stopped == ["ring-rack-a-0"], "the deleted restart has evicted {stopped:?}");

    let between = uids()?;
    let mark = audit::mark()?;
    let request = phase(N, "casops/queued", &["Successful", "Failed", "Denied"], 800)?;
    ensure!(text(&request, "/status/phase") == "Successful", "{:#}", request["status"]);
    ensure!(text(&request, "/status/progress") == "6/6", "{:#}", request["status"]);
    let mut evicted = audit::evictions(&mark, N)?;
    evicted.sort();
    ensure!(evicted == PODS, "{evicted:?}");
    let kept = between.iter().zip(uids()?).filter(|(old, new)| *old == new).count();
    ensure!(kept == 0, "{kept} pods are not new");
    let verdict = load::stop(N)?;
    ensure!(verdict.nothing_lost() && verdict.load.failures() == 0, "{verdict}");
    remove_namespace(N)?;
    Ok(format!("{}; deleted after 1 pod, the next one 6/6, each evicted once; {verdict}", denied.join("; ")))
}

/// Why a request was denied, which has this reason.
fn denied(name: &str, reason: &str) -> Result<String> {
    let request = phase(N, &format!("casops/{name}"), &["Denied", "Progressing", "Failed"], 60)?;
    let mut all = request["status"]["conditions"].as_array().into_iter().flatten();
    let found = all.find(|it| it["reason"] == reason).map(|it| text(it, "/message"));
    found.with_context(|| format!("{name} is not denied as {reason}: {:#}", request["status"]))
}

/// UIDs of the pods, empty for one that does not exist at the moment.
fn uids() -> Result<Vec<String>> {
    let all = get(N, "pods")?;
    let uid = |name: &&str| {
        let mut pods = all["items"].as_array().into_iter().flatten();
        pods.find(|pod| pod["metadata"]["name"] == **name).map(|pod| text(pod, "/metadata/uid"))
    };
    Ok(PODS.iter().map(|name| uid(name).unwrap_or_default()).collect())
}

fn generation() -> Result<i64> {
    Ok(get(N, RING)?["metadata"]["generation"].as_i64().unwrap_or_default())
}
