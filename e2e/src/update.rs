//! Checks of the end of an update, the same in every test, whatever happened during the update.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::kubectl::{condition, get, text};

/// The request if it has ended and has no finalizer any more; `Null` if it is gone. `None` if it has not ended, or if the API
/// server does not answer.
pub fn ended(namespace: &str, request: &str) -> Option<Value> {
    let request = get(namespace, &format!("casops/{request}")).ok()?;
    if !request["metadata"]["finalizers"].is_null() {
        return None;
    }
    let phase = text(&request, "/status/phase");
    let ended = request.is_null() || ["Successful", "Failed", "Denied", "Skipped"].contains(&phase.as_str());
    ended.then_some(request)
}

/// Waits until the ring is Ready on the version, all of it, and nothing of a request is left on it.
pub fn is_whole_on(namespace: &str, ring: &str, pods: &[&str], version: &str) -> Result<()> {
    let deadline = Instant::now() + Duration::from_mins(2);
    loop {
        match whole_on(namespace, ring, pods, version) {
            Err(_) if Instant::now() < deadline => sleep(Duration::from_secs(1)),
            found => return found,
        }
    }
}

fn whole_on(namespace: &str, name: &str, names: &[&str], version: &str) -> Result<()> {
    let ring = get(namespace, &format!("cas/{name}"))?;
    let (phase, found) = (text(&ring, "/status/phase"), text(&ring, "/spec/version"));
    ensure!(phase == "Ready" && found == version, "the ring is {phase} on {found}, not Ready on {version}");
    ensure!(text(&ring, "/spec/halted") != "true", "the Cassandra is still halted");
    let mark = &ring["metadata"]["annotations"]["ops.kubedb.com/halted-by"];
    ensure!(mark.is_null(), "the mark of the halt is still there");
    let paused = condition(&ring, "Paused").is_some_and(|paused| paused["status"] == "True");
    ensure!(!paused, "the provisioner has not heard of the end of the halt");
    let pods = get(namespace, "pods")?;
    let pods = || pods["items"].as_array().into_iter().flatten();
    for name in names {
        let image = pods().find(|pod| pod["metadata"]["name"] == **name);
        let image = image.map(|pod| text(pod, "/spec/containers/0/image")).unwrap_or_default();
        ensure!(image.ends_with(&format!(":{version}")), "pod {name} has image {image:?}");
    }
    let puller = pods().find(|pod| pod["metadata"]["labels"]["app.kubernetes.io/component"] == "image-pull");
    let puller = puller.map(|pod| text(pod, "/metadata/name"));
    ensure!(puller.is_none(), "pod {puller:?}, which only pulled the image, is still there");
    Ok(())
}
