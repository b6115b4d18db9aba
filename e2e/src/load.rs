//! The load inside the cluster: `e2e-client load` as a pod.

use anyhow::Result;

use crate::client::{self, Login};
use crate::kubectl::{apply, kubectl, wait_for};
use crate::report::{Failure, Progress, Report, Verdict};

/// Name of the pod.
pub const POD: &str = "load";
/// The file whose appearance ends the load; nothing else can, since the image has no shell.
const UNTIL: &str = "/tmp/stop";

/// Starts the load on a ring and waits until rows flow. `pods` are the first pods of its racks, `copies` the replicas of each
/// row.
pub fn start(namespace: &str, database: &str, pods: &[&str], copies: usize) -> Result<()> {
    // The headless Services of the racks: one contact point per rack.
    let contact = |pod: &&str| format!("{}-pods:9042", pod.trim_end_matches("-0"));
    let contacts = pods.iter().map(contact).collect::<Vec<_>>().join(",");
    let (secret, copies) = (format!("{database}-auth"), copies.to_string());
    let args = ["load", "--contacts", &contacts, "--replication", &copies, "--until-file", UNTIL];
    let pod = client::pod(namespace, POD, &Login::Secret(&secret), &args)?;
    apply(&pod.to_string())?;
    wait_for("rows of the load", namespace, 120, || Ok((progress(namespace).acknowledged > 0).then_some(())))
}

/// The sums so far; zeroes before the first report of the load.
pub fn progress(namespace: &str) -> Progress {
    let said = reports(namespace, &["--tail=20"]);
    said.into_iter()
        .rev()
        .find_map(|report| if let Report::Progress(sums) = report { Some(sums) } else { None })
        .unwrap_or_default()
}

/// Waits until the load has written some rows: what it does in its first seconds tells more of a cold start than of a fault.
pub fn some_rows(namespace: &str) -> Result<()> {
    wait_for("some rows", namespace, 60, || Ok((progress(namespace).acknowledged > 1000).then_some(())))
}

/// Ends the load, waits until it has read everything back, and returns what became of the rows.
pub fn stop(namespace: &str) -> Result<Verdict> {
    kubectl(&["exec", "-n", namespace, POD, "--", "/app", "stop", UNTIL])?;
    wait_for("the verdict of the load", namespace, 300, || {
        let said = reports(namespace, &["--tail=20"]);
        Ok(said
            .into_iter()
            .find_map(|report| if let Report::Verdict(verdict) = report { Some(verdict) } else { None }))
    })
}

/// The requests that failed.
pub fn failures(namespace: &str) -> Vec<Failure> {
    let said = reports(namespace, &[]);
    said.into_iter()
        .filter_map(|report| if let Report::Failure(failure) = report { Some(failure) } else { None })
        .collect()
}

/// The reports of the load. A log that cannot be read right now counts as empty: the next call will read it.
fn reports(namespace: &str, options: &[&str]) -> Vec<Report> {
    let log = kubectl(&[&["logs", "-n", namespace, POD], options].concat()).unwrap_or_default();
    log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}
