//! Faults of machines, which no API can cause. On the embedded cluster only.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::kubectl::{get, kubectl, text};
use anyhow::{Context, Result, ensure};

/// Sends a signal such as `STOP` to the API server.
pub fn api_server(signal: &str) -> Result<()> {
    enter("control", &["pkill", &format!("-{signal}"), "-x", "kube-apiserver"])
}

/// Kills a container of a pod with SIGKILL.
pub fn kill(namespace: &str, pod: &str, container: &str) -> Result<()> {
    let object = get(namespace, &format!("pod/{pod}"))?;
    let statuses = object["status"]["containerStatuses"].as_array().into_iter().flatten();
    let id = statuses
        .into_iter()
        .find(|status| status["name"] == container)
        .map(|status| text(status, "/containerID").replace("containerd://", ""))
        .filter(|id| !id.is_empty())
        .with_context(|| format!("pod {pod} runs no {container}"))?;
    let node = text(&object, "/spec/nodeName");
    enter(&node, &["ctr", "-n", "k8s.io", "tasks", "kill", "-s", "SIGKILL", &id])
}

/// Gives an image that is on all nodes another name.
pub fn tag_image(image: &str, name: &str) -> Result<()> {
    let tag = ["ctr", "-n", "k8s.io", "images", "tag", "--force", image, name];
    nodes()?.iter().try_for_each(|node| enter(node, &tag))
}

/// Cuts the power of all nodes and boots them again. The control plane stays up.
pub fn restart_nodes() -> Result<()> {
    let nodes = nodes()?;
    let nodes = nodes.iter().map(String::as_str);
    cluster(&["restart"].into_iter().chain(nodes).collect::<Vec<_>>())
}

fn nodes() -> Result<Vec<String>> {
    let names = kubectl(&["get", "nodes", "-o", "name"])?;
    Ok(names.lines().map(|node| node.trim_start_matches("node/").to_owned()).collect())
}

/// Runs a shell script on the node that holds the volume of a claim, with the path of the volume as `$1`.
pub fn in_volume(namespace: &str, claim: &str, script: &str) -> Result<()> {
    let volume = text(&get(namespace, &format!("pvc/{claim}"))?, "/spec/volumeName");
    let volume = get(namespace, &format!("pv/{volume}"))?;
    let terms = "/spec/nodeAffinity/required/nodeSelectorTerms/0/matchExpressions/0/values/0";
    let (node, path) = (text(&volume, terms), text(&volume, "/spec/hostPath/path"));
    ensure!(!node.is_empty() && !path.is_empty(), "PersistentVolumeClaim {claim} has no volume on a node");
    enter(&node, &["sh", "-euc", script, "sh", &path])
}

/// Runs a command in a box of the embedded cluster.
fn enter(place: &str, command: &[&str]) -> Result<()> {
    cluster(&[&["enter", place], command].concat())
}

fn cluster(args: &[&str]) -> Result<()> {
    let done = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("cluster/cluster"))
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .context("e2e/cluster/cluster cannot be started")?;
    ensure!(done.success(), "`cluster {}` failed", args.join(" "));
    Ok(())
}
