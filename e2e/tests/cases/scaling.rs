//! Vertical scaling on a real ring: the new size is what the container has, and a size that no machine has is gone back from.

use anyhow::{Context, Result, ensure};
use e2e::kubectl::{
    apply, condition, fresh_namespace, get, kubectl, phase, remove_namespace, text, wait_for,
};
use e2e::manifests::{pods, ring, shape, vertical_scaling};
use e2e::{audit, load};
use serde_json::{Value, json};

use crate::Case;

pub const CASES: &[Case] = &[("nodes of another size", scaled), ("a size beyond a quota", beyond_a_quota)];

const N: &str = "cases-scaling";
const RING: &str = "cas/ring";
const MEBI: u64 = 1 << 20;

/// On three racks of two nodes with a client.
fn scaled() -> Result<String> {
    fresh_namespace(N)?;
    apply(&shape(N, "ring", "4.1.10", &[2, 2, 2]).to_string())?;
    phase(N, RING, &["Ready"], 900)?;
    load::start(N, "ring", &pods("ring").each_ref().map(String::as_str), 3)?;
    load::some_rows(N)?;
    let before = sizes()?;
    ensure!(before == vec![(1024 * MEBI, 512); 6], "{before:?}");

    // As much as no machine has: one pod finds none, and goes back.
    let mark = audit::mark()?;
    let mut huge = vertical_scaling(N, "huge", "ring", &json!({ "limits": { "memory": "900Gi" } }));
    huge["spec"]["timeout"] = json!("90s");
    apply(&huge.to_string())?;
    let failed = phase(N, "casops/huge", &["Successful", "Failed", "Denied"], 600)?;
    let said = condition(&failed, "Failed").map(|it| text(it, "/message")).context("it has not failed")?;
    ensure!(said.contains("Insufficient memory") && said.contains("the size that they had"), "{said}");
    let evicted = audit::evictions(&mark, N)?;
    ensure!(evicted == ["ring-rack-a-0", "ring-rack-a-0"], "{evicted:?}");
    ensure!(sizes()? == before, "the ring has not gone back: {:?}", sizes()?);

    let mark = audit::mark()?;
    let size = json!({ "requests": { "cpu": "150m", "memory": "800Mi" }, "limits": { "memory": "1200Mi" } });
    apply(&vertical_scaling(N, "more", "ring", &size).to_string())?;
    let request = phase(N, "casops/more", &["Successful", "Failed", "Denied"], 900)?;
    ensure!(text(&request, "/status/phase") == "Successful", "{:#}", request["status"]);
    ensure!(text(&request, "/status/progress") == "6/6", "{:#}", request["status"]);
    let evicted = audit::evictions(&mark, N)?.len();
    ensure!(evicted == 6, "{evicted} evictions");
    ensure!(sizes()? == vec![(1200 * MEBI, 600); 6], "{:?}", sizes()?);
    let ring = get(N, RING)?;
    for rack in ring["spec"]["topology"]["rack"].as_array().into_iter().flatten() {
        let asked = &rack["podTemplate"]["spec"]["containers"][0]["resources"];
        ensure!(*asked == size, "the spec asks for {asked}");
    }
    wait_for("the provisioner to have nothing to add", N, 60, || {
        let ring = get(N, RING)?;
        let waits = condition(&ring, "RestartRequired").is_some_and(|it| it["status"] == "True");
        Ok((!waits && text(&ring, "/status/phase") == "Ready").then_some(()))
    })?;
    let verdict = load::stop(N)?;
    ensure!(verdict.nothing_lost() && verdict.load.failures() == 0, "{verdict}");
    let heap = condition(&request, "VerticalScaling").map(|it| text(it, "/message")).unwrap_or_default();
    remove_namespace(N)?;
    Ok(format!("{said}; then: {heap}; {verdict}"))
}

/// The quota has room for one renewed pod beside those that there are, but not for three.
fn beyond_a_quota() -> Result<String> {
    const N: &str = "cases-quota";
    fresh_namespace(N)?;
    apply(&ring(N, "ring", "4.1.10").to_string())?;
    phase(N, RING, &["Ready"], 600)?;
    kubectl(&["create", "quota", "memory", "-n", N, "--hard=limits.memory=4500Mi,pods=9"])?;
    let before = get(N, "pods")?["items"].as_array().map(Vec::len);
    apply(&vertical_scaling(N, "more", "ring", &json!({ "limits": { "memory": "1600Mi" } })).to_string())?;
    let request = phase(N, "casops/more", &["Denied", "Progressing", "Failed"], 120)?;
    let denied = condition(&request, "Denied").map(|it| text(it, "/message")).context("it is not denied")?;
    let words = ["exceeded quota: memory", "memory 2496Mi (at most 1728Mi)", "Nothing was touched"];
    ensure!(words.iter().all(|words| denied.contains(words)), "{denied}");
    ensure!(get(N, "pods")?["items"].as_array().map(Vec::len) == before, "something was touched");

    let fits = json!({ "limits": { "memory": "1500Mi" } });
    apply(&vertical_scaling(N, "fits", "ring", &fits).to_string())?;
    let request = phase(N, "casops/fits", &["Successful", "Failed", "Denied"], 600)?;
    ensure!(text(&request, "/status/phase") == "Successful", "{:#}", request["status"]);
    remove_namespace(N)?;
    Ok(denied)
}

/// Of each pod, the memory limit of its container's cgroup in bytes, and the JVM's largest heap in MiB.
fn sizes() -> Result<Vec<(u64, u64)>> {
    const SCRIPT: &str = "cat /sys/fs/cgroup/memory.max 2>/dev/null || cat /sys/fs/cgroup/memory/memory.limit_in_bytes; \
                          tr '\\0' '\\n' </proc/1/cmdline | grep ^-Xmx";
    let all = get(N, "pods")?;
    let ours = |pod: &&Value| text(pod, "/metadata/name").starts_with("ring-rack-");
    let pods = all["items"].as_array().into_iter().flatten().filter(ours);
    pods.map(|pod| {
        let name = text(pod, "/metadata/name");
        let told = kubectl(&["exec", "-n", N, &name, "-c", "cassandra", "--", "sh", "-c", SCRIPT])?;
        let (limit, heap) = told.trim().split_once('\n').with_context(|| format!("{name}: {told}"))?;
        let heap = heap.trim().trim_start_matches("-Xmx").trim_end_matches(['M', 'm']);
        Ok((limit.trim().parse()?, heap.parse()?))
    })
    .collect()
}
