//! The client inside the cluster: `e2e-client` as a pod.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::kubectl::{apply, get, kubectl, text, wait_for};

/// Name of the pod that loads.
pub const POD: &str = "load";

/// Image of the client, as the Makefile names it.
pub fn image() -> Result<String> {
    std::env::var("E2E_CLIENT_IMAGE").context("E2E_CLIENT_IMAGE is not set; start this through the Makefile")
}

/// Starts the load on a ring and waits until rows flow.
pub fn start(namespace: &str, database: &str) -> Result<()> {
    // The headless Services of the racks: three ways into the ring, each with the address of its node.
    let contacts = ["a", "b", "c"].map(|rack| format!("{database}-rack-{rack}-pods"));
    let args: Vec<&str> =
        ["load"].into_iter().chain(contacts.iter().flat_map(|host| ["--contact", host.as_str()])).collect();
    apply(&pod(namespace, POD, database, &args)?.to_string())?;
    wait_for("rows of the load", namespace, 120, || {
        let rows = last_line(namespace)?.get("acknowledged").and_then(Value::as_u64);
        Ok((rows > Some(0)).then_some(()))
    })
}

/// What the load last said: its counts so far.
pub fn last_line(namespace: &str) -> Result<Value> {
    let log = kubectl(&["logs", "-n", namespace, POD, "--tail=20"]).unwrap_or_default();
    let lines = log.lines().rev().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    Ok(lines.into_iter().find(|line| line.get("acknowledged").is_some()).unwrap_or_default())
}

/// Ends the load, waits until it has read everything back, and answers its verdict.
pub fn stop(namespace: &str) -> Result<Value> {
    kubectl(&["exec", "-n", namespace, POD, "--", "/app", "stop"])?;
    wait_for("the verdict of the load", namespace, 300, || {
        let line = last_line(namespace)?;
        Ok(line.get("lost").is_some().then_some(line))
    })
}

/// What failed, as the client saw it.
pub fn failures(namespace: &str) -> Result<Vec<String>> {
    let log = kubectl(&["logs", "-n", namespace, POD])?;
    Ok(log.lines().filter(|line| line.contains("\"failed\"")).map(str::to_owned).collect())
}

/// Runs statements as the superuser of the database, or as another user, and answers the rows, one JSON list a line.
pub fn cql(
    namespace: &str,
    database: &str,
    user: Option<(&str, &str)>,
    statements: &[&str],
) -> Result<String> {
    let name = "cql";
    kubectl(&["delete", "pod", "-n", namespace, name, "--ignore-not-found", "--grace-period=1"])?;
    let mut args = vec!["cql", "--contact", database];
    if let Some((username, password)) = user {
        args.extend(["--username", username, "--password", password]);
    }
    args.extend(statements);
    apply(&pod(namespace, name, database, &args)?.to_string())?;
    let phase = wait_for("the end of the statements", namespace, 60, || {
        let phase = text(&get(namespace, &format!("pod/{name}"))?, "/status/phase");
        Ok(["Succeeded", "Failed"].contains(&phase.as_str()).then_some(phase))
    })?;
    let said = kubectl(&["logs", "-n", namespace, name])?;
    anyhow::ensure!(phase == "Succeeded", "{said}");
    Ok(said)
}

fn pod(namespace: &str, name: &str, database: &str, args: &[&str]) -> Result<Value> {
    let from_secret = |variable: &str, key: &str| json!({ "name": variable, "valueFrom": { "secretKeyRef": { "name": format!("{database}-auth"), "key": key } } });
    Ok(json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": name, "namespace": namespace },
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": false,
            "securityContext": { "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } },
            "volumes": [{ "name": "tmp", "emptyDir": {} }],
            "containers": [{
                "name": "client",
                "image": image()?,
                "imagePullPolicy": "IfNotPresent",
                "args": args,
                "env": [from_secret("CASSANDRA_USERNAME", "username"), from_secret("CASSANDRA_PASSWORD", "password")],
                "volumeMounts": [{ "name": "tmp", "mountPath": "/tmp" }],
                "resources": { "requests": { "cpu": "50m", "memory": "32Mi" }, "limits": { "memory": "256Mi" } },
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "readOnlyRootFilesystem": true,
                    "capabilities": { "drop": ["ALL"] },
                },
            }],
        },
    }))
}
