//! The result of the update.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::{Context, Result};
use api::{CassandraOpsRequest, condition};
use e2e::kubectl::{kubectl, text};
use e2e::load;
use e2e::report::Verdict;
use serde_json::Value;

use crate::{NAMESPACE, RING};

/// The release that each pod reports.
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

/// The release of each pod, as the ring reports it to the client.
pub fn releases() -> Result<BTreeMap<String, String>> {
    let by_address = load::progress(NAMESPACE).releases;
    let release = |pod: &Value| by_address.get(&text(pod, "/status/podIP")).cloned().unwrap_or_default();
    Ok(pods()?.iter().map(|pod| (text(pod, "/metadata/name"), release(pod))).collect())
}

/// The summary, for people.
pub fn text_of(request: &CassandraOpsRequest, releases: &Releases, verdict: &Verdict) -> Result<String> {
    let mut text = format!("Updated in {} s\n\n", seconds(request, "UpdateVersion", "Successful")?);
    writeln!(text, "{:<16} {:>8} {:>8} {:>8}", "pod", "before", "after", "seconds")?;
    for (pod, after) in &releases.after {
        let before = releases.before.get(pod).map_or("-", String::as_str);
        let took = seconds(request, &format!("EvictPod--{pod}"), &format!("RunningPod--{pod}"))?;
        writeln!(text, "{pod:<16} {before:>8} {after:>8} {took:>8}")?;
    }
    writeln!(text)?;
    for (what, count) in [
        ("rows written at QUORUM", verdict.load.acknowledged),
        ("rows read at QUORUM meanwhile", verdict.load.read_ok),
        ("failed requests", verdict.load.failures()),
        ("longest pause between writes (ms)", verdict.load.longest_gap_ms),
        ("rows read back at the end", verdict.verified),
        ("rows lost", verdict.lost + verdict.behind),
    ] {
        writeln!(text, "{what:<34} {count:>8}")?;
    }
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
