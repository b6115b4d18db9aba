//! The load inside the cluster: `e2e-client load` as a pod.

use std::env;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::kubectl::{apply, kubectl, wait_for};
use crate::report::{Failure, Progress, Report, Verdict};

/// Name of the pod.
pub const POD: &str = "load";
/// What ends the load; nothing else can, since the image holds no shell.
const UNTIL: &str = "/tmp/stop";

/// Starts the load on a database and waits until rows flow.
pub fn start(namespace: &str, database: &str) -> Result<()> {
    let tag = env::var("E2E_TAG").context("E2E_TAG is not set; start this through the Makefile")?;
    let registry = env::var("E2E_REGISTRY").unwrap_or_else(|_| "localhost".to_owned());
    let secret = |key: &str| -> Value {
        json!({ "secretKeyRef": { "name": format!("{database}-auth"), "key": key } })
    };
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": POD, "namespace": namespace },
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": false,
            "securityContext": { "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } },
            "volumes": [{ "name": "tmp", "emptyDir": {} }],
            "containers": [{
                "name": "client",
                "image": format!("{registry}/cassandra-e2e-client:{tag}"),
                "args": ["load", "--contacts", format!("{database}:9042"), "--until-file", UNTIL],
                "env": [
                    { "name": "CASSANDRA_USERNAME", "valueFrom": secret("username") },
                    { "name": "CASSANDRA_PASSWORD", "valueFrom": secret("password") },
                ],
                "volumeMounts": [{ "name": "tmp", "mountPath": "/tmp" }],
                "resources": { "requests": { "cpu": "50m", "memory": "32Mi" }, "limits": { "memory": "256Mi" } },
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "readOnlyRootFilesystem": true,
                    "capabilities": { "drop": ["ALL"] },
                },
            }],
        },
    });
    apply(&pod.to_string())?;
    wait_for("rows of the load", namespace, 120, || Ok((progress(namespace).acknowledged > 0).then_some(())))
}

/// The sums so far; zeroes before the load has said anything.
pub fn progress(namespace: &str) -> Progress {
    let said = reports(namespace, &["--tail=20"]);
    said.into_iter()
        .rev()
        .find_map(|report| if let Report::Progress(sums) = report { Some(sums) } else { None })
        .unwrap_or_default()
}

/// Ends the load, waits until it has read everything back, and answers what became of the rows.
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

/// What the load has said. A log that cannot be read right now is an empty one: it will be there the next time.
fn reports(namespace: &str, options: &[&str]) -> Vec<Report> {
    let log = kubectl(&[&["logs", "-n", namespace, POD], options].concat()).unwrap_or_default();
    log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}
