//! The cluster through kubectl, as users have it: its refusals and their wording are part of what is tested.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Runs `kubectl` and returns its output; fails with its error message.
pub fn kubectl(args: &[&str]) -> Result<String> {
    run(args, "")
}

/// Applies manifests with strict validation, which names unknown fields.
pub fn apply(manifest: &str) -> Result<String> {
    run(&["apply", "--validate=strict", "-f", "-"], manifest)
}

/// As [`apply`], but nothing is stored.
pub fn try_apply(manifest: &str) -> Result<String> {
    run(&["apply", "--validate=strict", "--dry-run=server", "-f", "-"], manifest)
}

/// Changes fields by a merge patch.
pub fn patch(namespace: &str, object: &str, patch: &Value) -> Result<String> {
    kubectl(&["patch", "-n", namespace, object, "--type=merge", "-p", &patch.to_string()])
}

/// An object such as `cas/ring`, or a list such as `pods`; `Null` if it is not there.
pub fn get(namespace: &str, object: &str) -> Result<Value> {
    let json = kubectl(&["get", "-n", namespace, object, "-o", "json", "--ignore-not-found"])?;
    if json.trim().is_empty() { Ok(Value::Null) } else { Ok(serde_json::from_str(&json)?) }
}

/// A field of an object as text, by JSON pointer; empty if it is not there.
pub fn text(object: &Value, pointer: &str) -> String {
    match object.pointer(pointer) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    }
}

/// The condition of that type of an object.
pub fn condition<'a>(object: &'a Value, type_: &str) -> Option<&'a Value> {
    object.pointer("/status/conditions")?.as_array()?.iter().find(|condition| condition["type"] == type_)
}

/// Calls `look` until it returns something. At the deadline it fails with `what` and the state of the namespace.
pub fn wait_for<T>(
    what: &str,
    namespace: &str,
    seconds: u64,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if Instant::now() > deadline {
            bail!("{what}: not within {seconds} s\n{}", state(namespace));
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// Waits until the phase of an object is one of those given; returns the object.
pub fn phase(namespace: &str, object: &str, phases: &[&str], seconds: u64) -> Result<Value> {
    wait_for(&format!("{object} in phase {phases:?}"), namespace, seconds, || {
        let found = get(namespace, object)?;
        Ok(phases.contains(&text(&found, "/status/phase").as_str()).then_some(found))
    })
}

/// Creates a namespace with nothing in it.
pub fn fresh_namespace(name: &str) -> Result<()> {
    remove_namespace(name)?;
    kubectl(&["create", "namespace", name]).map(drop)
}

/// Removes what an earlier run left. The Cassandras go before their namespace: Kubernetes itself would wait for half the
/// grace period of their pods before it deletes anything else in there.
pub fn remove_namespace(name: &str) -> Result<()> {
    if kubectl(&["get", "namespace", name]).is_ok() {
        kubectl(&["delete", "casops,cas", "-n", name, "--all", "--wait=true", "--timeout=120s"]).ok();
    }
    kubectl(&["delete", "namespace", name, "--ignore-not-found", "--wait=true", "--timeout=300s"]).map(drop)
}

/// What a person would look at first.
pub fn state(namespace: &str) -> String {
    let objects = "cas,casops,petset,statefulset,pods,pvc";
    let commands: [&[&str]; 5] = [
        &["get", "-n", namespace, objects, "-o", "wide"],
        &["describe", "-n", namespace, "cas,casops,pods"],
        &["get", "events", "-n", namespace, "--sort-by=.lastTimestamp"],
        &["logs", "-n", "cassandra-operators", "deployment/cassandra-operators-provisioner", "--tail=40"],
        &["logs", "-n", "cassandra-operators", "deployment/cassandra-operators-ops-manager", "--tail=40"],
    ];
    let section = |args: &[&str]| {
        let said = kubectl(args).unwrap_or_else(|error| error.to_string());
        format!("--- kubectl {}\n{said}\n", args.join(" "))
    };
    commands.into_iter().map(section).collect()
}

fn run(args: &[&str], input: &str) -> Result<String> {
    // Never use whatever cluster kubectl happens to point to: tests delete namespaces.
    if ["KUBE_CONTEXT", "KUBECONFIG"].into_iter().all(|name| std::env::var_os(name).is_none()) {
        bail!("no cluster is chosen: start this with `make e2e`");
    }
    let mut command = Command::new("kubectl");
    if let Ok(context) = std::env::var("KUBE_CONTEXT") {
        command.args(["--context", &context]);
    }
    let mut child = command
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("kubectl cannot be started; `make e2e` and `make demo` bring their own")?;
    // Dropped at once, so that kubectl sees the end of its input.
    child.stdin.take().context("kubectl has no input")?.write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
