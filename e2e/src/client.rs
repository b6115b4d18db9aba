//! Pods that run the image `e2e-client`, and CQL statements through them.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::kubectl::{apply, get, kubectl, text, wait_for};

const POD: &str = "cql";

/// Who logs in.
pub enum Login<'a> {
    /// With the login in the Secret of this name.
    Secret(&'a str),
    /// With a name and a password.
    Plain(&'a str, &'a str),
}

/// Runs a statement against a Cassandra and returns its rows; fails with the output of the client.
pub fn cql(namespace: &str, database: &str, login: &Login, statement: &str) -> Result<Vec<Value>> {
    kubectl(&["delete", "pod", "-n", namespace, POD, "--ignore-not-found", "--grace-period=1"])?;
    let contact = format!("{database}:9042");
    let args = ["cql", "--contacts", &contact, "--patience", "5", statement];
    apply(&pod(namespace, POD, login, &args)?.to_string())?;
    let phase = wait_for("the end of a CQL statement", namespace, 90, || {
        let phase = text(&get(namespace, &format!("pod/{POD}"))?, "/status/phase");
        Ok(["Succeeded", "Failed"].contains(&phase.as_str()).then_some(phase))
    })?;
    let said = kubectl(&["logs", "-n", namespace, POD])?;
    ensure!(phase == "Succeeded", "{said}");
    said.lines().map(|row| Ok(serde_json::from_str(row)?)).collect()
}

/// A pod of the client, restricted as any pod should be.
pub(crate) fn pod(namespace: &str, name: &str, login: &Login, args: &[&str]) -> Result<Value> {
    let tag = std::env::var("E2E_TAG")
        .context("E2E_TAG, the tag of the images, is not set: use `make e2e` or `make demo`")?;
    let registry = std::env::var("E2E_REGISTRY").unwrap_or_else(|_| "localhost".to_owned());
    let (username, password) = match login {
        Login::Secret(name) => (from_secret(name, "username"), from_secret(name, "password")),
        Login::Plain(username, password) => (json!({ "value": username }), json!({ "value": password })),
    };
    let env = |name: &str, mut value: Value| {
        value["name"] = json!(name);
        value
    };
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
                "image": format!("{registry}/cassandra-e2e-client:{tag}"),
                "imagePullPolicy": "IfNotPresent",
                "args": args,
                "env": [env("CASSANDRA_USERNAME", username), env("CASSANDRA_PASSWORD", password)],
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

fn from_secret(name: &str, key: &str) -> Value {
    json!({ "valueFrom": { "secretKeyRef": { "name": name, "key": key } } })
}
