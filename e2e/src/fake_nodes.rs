//! Nodes whose pods only pretend to run: kwok says that they are ready, and a stand-in answers for the Cassandras in them.
//!
//! A renewed pod is back within a second and costs nothing, so hundreds of updates can be tried.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use kube::Client;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

use crate::kubectl::{apply, kubectl};
use crate::stand_in;

const NODES: [&str; 3] = ["fake-a", "fake-b", "fake-c"];
/// Label and taint of these nodes.
const MARK: &str = "cassandra-e2e/fake";

/// Nodes whose pods only pretend to run, for as long as this lives.
pub struct FakeNodes {
    kwok: Child,
    stand_in: Option<Runtime>,
}

impl FakeNodes {
    /// Adds the nodes to the cluster. The log of kwok goes into the folder.
    pub fn start(folder: &Path) -> Result<Self> {
        let stages = folder.join("kwok.yaml");
        fs::write(&stages, include_str!("fake_nodes/kwok.yaml"))?;
        let log = File::create(folder.join("kwok.log"))?;
        let kwok = Command::new("kwok")
            .arg("--config")
            .arg(stages)
            .args(["--manage-all-nodes=false", "--manage-nodes-with-label-selector", MARK])
            .arg("--node-lease-duration-seconds=40")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("kwok cannot be started; `e2e/run` puts it on the PATH")?;
        let mut nodes = Self { kwok, stand_in: None };
        nodes.stand_in = Some(stand_in()?);
        for name in NODES {
            apply(&node(name).to_string())?;
        }
        kubectl(&["wait", "node", "-l", MARK, "--for=condition=Ready", "--timeout=60s"])?;
        Ok(nodes)
    }
}

impl Drop for FakeNodes {
    fn drop(&mut self) {
        // The nodes go first: without kwok nobody would end the pods that are left on them. Errors are ignored, so that they
        // do not hide why a test failed.
        _ = kubectl(&["delete", "node", "-l", MARK]);
        _ = self.kwok.kill();
        _ = self.kwok.wait();
        if let Some(runtime) = self.stand_in.take() {
            runtime.shutdown_background();
        }
    }
}

/// Lets the pods of a template run on these nodes, and nowhere else.
pub fn place(pods: &mut Value) {
    pods["spec"]["nodeSelector"] = json!({ MARK: "" });
    pods["spec"]["tolerations"] = json!([{ "key": MARK, "operator": "Exists" }]);
}

fn node(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": { MARK: "", "kubernetes.io/hostname": name, "topology.kubernetes.io/zone": name },
        },
        "spec": { "taints": [{ "key": MARK, "effect": "NoSchedule" }] },
    })
}

fn stand_in() -> Result<Runtime> {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let client = runtime.block_on(Client::try_default())?;
    runtime.spawn(async {
        if let Err(error) = stand_in::serve(client).await {
            eprintln!("the stand-in for Cassandra has ended: {error:#}");
        }
    });
    Ok(runtime)
}
