//! When the operators write nothing: proven from the audit log of the API server.

use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;
use e2e::audit::{Mark, Request, mark, since};
use e2e::kubectl::{apply, condition, get, patch, phase, wait_for};
use e2e::manifests::update;
use serde_json::json;

use crate::{CASSANDRA, NAMESPACE, embedded, fingerprint, images};

/// In one minute of a Ready ring only the leases are written. The ring is quiet once the health checks have seen the end of
/// the update: until then the last failed check and the first good one are still reported.
pub fn a_quiet_ring_costs_no_write() -> Result<()> {
    phase(NAMESPACE, CASSANDRA, &["Ready"], 60)?;
    sleep(Duration::from_secs(30));
    let start = mark()?;
    sleep(Duration::from_mins(1));
    let writes: Vec<_> =
        since(&start)?.into_iter().filter(|r| r.is_write() && r.resource != "leases").collect();
    assert_eq!(about_the_ring(writes), []);
    Ok(())
}

/// During the user's halt a change of the spec has no effect and a request waits. The status is still updated.
pub fn a_halt_of_the_user_is_respected() -> Result<()> {
    let before = images()?;
    patch(NAMESPACE, CASSANDRA, &json!({ "spec": { "halted": true } }))?;
    let halted = wait_for("the answer to the halt", NAMESPACE, 30, || {
        let cassandra = get(NAMESPACE, CASSANDRA)?;
        let paused = condition(&cassandra, "Paused").is_some_and(|paused| paused["status"] == "True");
        Ok(paused.then(fingerprint))
    })??;
    let start = embedded().then(mark).transpose()?;
    let settings = json!({ "inline": { "cassandra.yaml": "max_hint_window: 2h" } });
    patch(
        NAMESPACE,
        CASSANDRA,
        &json!({ "metadata": { "labels": { "team": "a" } }, "spec": { "configuration": settings } }),
    )?;
    apply(&update(NAMESPACE, "to-5", "ring", "5.0.6").to_string())?;
    let waiting = wait_for("the request to wait", NAMESPACE, 30, || {
        let request = get(NAMESPACE, "casops/to-5")?;
        Ok(condition(&request, "Waiting").cloned())
    })?;
    assert_eq!(waiting["reason"], "HaltedByUser");
    sleep(Duration::from_secs(20));

    if let Some(start) = start {
        the_provisioner_has_written_nothing_but_the_status(&start)?;
    }
    assert_eq!(get(NAMESPACE, "casops/to-5")?["status"]["phase"], "Pending");
    assert_eq!(images()?, before);
    let petsets =
        |all: Vec<[String; 4]>| all.into_iter().filter(|object| object[0] != "ring").collect::<Vec<_>>();
    assert_eq!(petsets(fingerprint()?), petsets(halted), "PetSets and pods are as they were");
    Ok(())
}

fn the_provisioner_has_written_nothing_but_the_status(start: &Mark) -> Result<()> {
    let writes: Vec<_> = about_the_ring(since(start)?).into_iter().filter(Request::is_write).collect();
    assert!(
        writes.iter().any(|r| r.operator == "provisioner" && r.resource == "cassandras/status"),
        "it is alive"
    );
    let is_change = |r: &Request| !r.resource.ends_with("/status") && r.resource != "events";
    let changes: Vec<_> =
        writes.into_iter().filter(|r| r.operator == "provisioner" && is_change(r)).collect();
    assert_eq!(changes, []);
    Ok(())
}

fn about_the_ring(requests: Vec<Request>) -> Vec<Request> {
    requests.into_iter().filter(|request| request.namespace == NAMESPACE).collect()
}
