//! Nodes that refuse to start: the condition shows the cause, not the noise of the shutdown.

use anyhow::{Result, ensure};
use e2e::kubectl::{apply, fresh_namespace, kubectl, remove_namespace};
use e2e::machine;
use e2e::manifests::standalone;
use serde_json::{Value, json};

use crate::node::{DB, N, has_its_row, node, ready};
use crate::{Case, told};

pub const CASES: &[Case] = &[
    ("start: owner of the volume", owner),
    ("start: corrupt commit log", commit_log),
    ("start: disk full", disk_full),
    ("start: client port in use", || port(9042)),
    ("start: port of the nodes in use", || port(7000)),
    ("start: heap too small", heap),
    ("start: memory under the heap", memory),
    ("start: no such setting", || setting("no_such_setting: 1", "no_such_setting")),
    ("start: only the newest protocol", || {
        setting("native_transport_allow_older_protocols: no", "must not be false")
    }),
    ("start: a setting twice", || setting("num_tokens: 8\nnum_tokens: 4", "num_tokens")),
];

/// Breaks the volume of the node, kills Cassandra, and repairs the volume when the cause was reported.
fn broken(break_it: &str, words: &str, heal: &str) -> Result<String> {
    node()?;
    machine::in_volume(N, "data-db-0", break_it)?;
    machine::kill(N, "db-0", "cassandra")?;
    let said = told(N, DB, "ReplicaReady", words);
    machine::in_volume(N, "data-db-0", heal)?;
    kubectl(&["delete", "pod", "db-0", "-n", N, "--grace-period=1"])?;
    ready_again()?;
    said
}

fn ready_again() -> Result<()> {
    e2e::kubectl::wait_for("the pod", N, 240, || {
        let pod = e2e::kubectl::get(N, "pod/db-0")?;
        Ok((pod["status"]["containerStatuses"][0]["ready"] == true).then_some(()))
    })?;
    ready()?;
    has_its_row()
}

fn owner() -> Result<String> {
    broken(
        "chown -R 0:0 \"$1\"/data; chmod -R go-rwx \"$1\"/data",
        "permission",
        "chown -R --reference=\"$1\"/commitlog \"$1\"/data; chmod -R go+rX \"$1\"/data",
    )
}

fn commit_log() -> Result<String> {
    let broken_file = "\"$1\"/commitlog/CommitLog-7-1.log";
    broken(
        &format!(
            "head -c 4096 /dev/urandom >{broken_file}; chown --reference=\"$1\"/commitlog {broken_file}"
        ),
        "CommitLog-7-1.log",
        &format!("rm {broken_file}"),
    )
}

/// A small disk replaces the volume while the pod is gone.
fn disk_full() -> Result<String> {
    node()?;
    kubectl(&["delete", "pod", "db-0", "-n", N, "--wait=false"])?;
    machine::in_volume(N, "data-db-0", "mount -t tmpfs -o size=6m,mode=777 tmpfs \"$1\"")?;
    let said = told(N, DB, "ReplicaReady", "ended");
    machine::in_volume(N, "data-db-0", "umount -l \"$1\"")?;
    kubectl(&["delete", "pod", "db-0", "-n", N, "--grace-period=1"])?;
    ready_again()?;
    said
}

/// A separate Cassandra whose spec is wrong.
fn wrong(words: &str, type_: &str, change: impl FnOnce(&mut Value)) -> Result<String> {
    const W: &str = "cases-start";
    fresh_namespace(W)?;
    let mut db = standalone(W, "db", "5.0.6");
    change(&mut db);
    apply(&db.to_string())?;
    let said = told(W, DB, type_, words)?;
    remove_namespace(W)?;
    Ok(said)
}

/// The shell is the first process of the container, which by default does not end at SIGTERM.
pub fn ends_when_asked(command: &str) -> [String; 3] {
    ["sh", "-c", &format!("trap 'exit 0' TERM; {command} & wait")].map(str::to_owned)
}

fn port(port: u16) -> Result<String> {
    wrong(&port.to_string(), "ReplicaReady", |db| {
        let command = json!(ends_when_asked(&format!("httpd -f -p {port}")));
        let squatter = json!({ "name": "squatter", "image": "localhost/busybox:1", "command": command });
        if let Some(containers) = db["spec"]["podTemplate"]["spec"]["containers"].as_array_mut() {
            containers.push(squatter);
        }
    })
}

fn env(db: &mut Value, name: &str, value: &str) {
    if let Some(env) = db["spec"]["podTemplate"]["spec"]["containers"][0]["env"].as_array_mut() {
        env.push(json!({ "name": name, "value": value }));
    }
}

fn heap() -> Result<String> {
    wrong("OutOfMemoryError", "ReplicaReady", |db| {
        env(db, "MAX_HEAP_SIZE", "48M");
        env(db, "HEAP_NEWSIZE", "12M");
    })
}

fn memory() -> Result<String> {
    wrong("are too little", "ProvisioningStarted", |db| {
        env(db, "MAX_HEAP_SIZE", "2G");
    })
}

fn setting(settings: &str, words: &str) -> Result<String> {
    let type_ = if settings.starts_with("no_such") { "ReplicaReady" } else { "ProvisioningStarted" };
    let said = wrong(words, type_, |db| {
        db["spec"]["configuration"] = json!({ "inline": { "cassandra.yaml": settings } });
    })?;
    ensure!(!said.contains("has started to provision"), "{said}");
    Ok(said)
}
