//! Counters, conditional inserts and a view inside the cluster: `e2e-client ledger` as a pod.

use anyhow::Result;

use crate::client::{self, Login};
use crate::kubectl::{apply, kubectl, wait_for};
use crate::report::Ledger;

const POD: &str = "ledger";
/// The file whose appearance ends it.
const UNTIL: &str = "/tmp/stop";

/// Starts it on a database, and waits until it counts.
pub fn start(namespace: &str, database: &str, login: &Login) -> Result<()> {
    let contact = format!("{database}:9042");
    let args = ["ledger", "--contacts", &contact, "--until-file", UNTIL];
    apply(&client::pod(namespace, POD, login, &args)?.to_string())?;
    wait_for("entries of the ledger", namespace, 120, || {
        Ok(last(namespace).filter(|ledger| ledger.counted > 0).map(drop))
    })
}

/// Ends it, waits until it has read everything back, and returns its result.
pub fn stop(namespace: &str) -> Result<Ledger> {
    kubectl(&["exec", "-n", namespace, POD, "--", "/app", "stop", UNTIL])?;
    wait_for("the end of the ledger", namespace, 300, || Ok(last(namespace).filter(|ledger| ledger.done)))
}

fn last(namespace: &str) -> Option<Ledger> {
    let log = kubectl(&["logs", "-n", namespace, POD, "--tail=5"]).unwrap_or_default();
    log.lines().rev().find_map(|line| serde_json::from_str(line).ok())
}
