//! What came of it.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::{Context, Result};
use api::{CassandraOpsRequest, condition};
use e2e::kubectl::{kubectl, text};
use e2e::load;
use serde_json::Value;

use crate::{NAMESPACE, RING};

/// What each pod says it runs.
pub struct Releases {
    /// Before the update.
    pub before: BTreeMap<String, String>,
    /// After the update.
    pub after: BTreeMap<String, String>,
}

/// The pods of the ring.
pub fn pods() -> Result<Vec<Value>> {
    let selector = format!("app.kubernetes.io/instance={RING}");
    let list = kubectl(&["get", "pods", "-n", NAMESPACE, "-l", &selector, "-o", "json"])?;
    let mut list: Value = serde_json::from_str(&list)?;
    Ok(serde_json::from_value(list["items"].take())?)
}

/// Asks each node which release it runs.
pub fn releases() -> Result<BTreeMap<String, String>> {
    pods()?.iter().map(|pod| Ok((text(pod, "/metadata/name"), release(&text(pod, "/status/podIP"))?))).collect()
}

fn release(address: &str) -> Result<String> {
    let question = "SELECT release_version FROM system.local";
    let client = ["exec", "-n", NAMESPACE, load::POD, "--", "/app"];
    let answer = kubectl(&[&client[..], &["cql", "--pin", "--contact", address, question]].concat())?;
    let row: Vec<String> = serde_json::from_str(&answer).with_context(|| format!("{address} says {answer}"))?;
    row.into_iter().next().with_context(|| format!("{address} does not name its release"))
}

/// The summary, for people.
pub fn text_of(request: &CassandraOpsRequest, releases: &Releases, verdict: &Value) -> Result<String> {
    let mut text = format!("Updated in {} s\n\n", seconds(request, "UpdateVersion", "Successful")?);
    writeln!(text, "{:<16} {:>8} {:>8} {:>8}", "pod", "before", "after", "seconds")?;
    for (pod, after) in &releases.after {
        let before = releases.before.get(pod).map_or("-", String::as_str);
        let took = seconds(request, &format!("EvictPod--{pod}"), &format!("RunningPod--{pod}"))?;
        writeln!(text, "{pod:<16} {before:>8} {after:>8} {took:>8}")?;
    }
    let failed = |field: &str| verdict[field].as_u64().unwrap_or_default();
    let failed = failed("write_failures") + failed("read_failures");
    writeln!(text)?;
    writeln!(text, "{:<34} {:>8}", "rows written at QUORUM", verdict["acknowledged"])?;
    writeln!(text, "{:<34} {:>8}", "rows read at QUORUM meanwhile", verdict["reads"])?;
    writeln!(text, "{:<34} {failed:>8}", "failed requests")?;
    writeln!(text, "{:<34} {:>8}", "longest wait for an answer (ms)", verdict["longest_gap_ms"])?;
    writeln!(text, "{:<34} {:>8}", "rows read back at the end", verdict["verified"])?;
    writeln!(text, "{:<34} {:>8}", "rows lost", verdict["lost"])?;
    Ok(text)
}

/// The time from one condition to another.
fn seconds(request: &CassandraOpsRequest, from: &str, to: &str) -> Result<i64> {
    let conditions = request.status.as_ref().map_or(&[][..], |status| &status.conditions);
    let at = |type_: &str| {
        condition::get(conditions, type_)
            .map(|condition| condition.last_transition_time.0.as_second())
            .with_context(|| format!("the request has no condition {type_}"))
    };
    Ok(at(to)? - at(from)?)
}
