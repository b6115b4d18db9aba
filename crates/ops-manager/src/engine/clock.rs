//! The time limit of a step. The clock restarts only when the request gets further than ever before. Two waits that alternate,
//! such as for a pod that comes and goes and for a ring that misses that pod, share one limit.

use api::halt::{self, Halt};
use api::ops_request::StepRecord;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

use super::timeout;
use crate::observe::Observed;
use crate::operation;
use crate::step::{PULL, READY};

/// How far the request has got in its present direction, as a number: counts the answered halt, the racks that have begun, the
/// renewed pods, and the final wait for Ready. Before it begins: 1 while an image is pulled.
fn reached(observed: &Observed, step: &str) -> u32 {
    let Some(operation) = operation::of(&observed.request) else {
        return u32::from(step == PULL);
    };
    let uid = observed.request.uid().unwrap_or_default();
    let halted = |c: &api::Cassandra| Halt::of(c).is_of(&uid) && halt::is_answered(c);
    let halted = observed.cassandra.as_deref().is_some_and(halted);
    let racks = observed.racks.iter().filter(|rack| rack.revision.is_some() && operation.has_begun(rack));
    let all = usize::from(halted) + racks.count() + operation.done(observed) + usize::from(step == READY);
    u32::try_from(all).unwrap_or(u32::MAX)
}

/// Whether the recorded clock is no longer valid for this step: the request has got further since, or the record is from a
/// replica whose clock is ahead. Older releases recorded no number, only the name of the step.
fn is_past(record: &StepRecord, name: &str, reached: u32, now: Timestamp) -> bool {
    record.started.0 > now || record.reached.map_or(record.name != name, |before| reached > before)
}

/// The record to write for the step under way: the old one as long as it is valid.
pub(super) fn started(observed: &Observed, old: Option<&StepRecord>, name: String) -> StepRecord {
    let reached = reached(observed, &name);
    match old.filter(|old| !is_past(old, &name, reached, observed.now)) {
        Some(old) => {
            StepRecord { name, started: old.started.clone(), reached: Some(old.reached.unwrap_or(reached)) }
        }
        None => StepRecord { name, started: Time(observed.now), reached: Some(reached) },
    }
}

/// Whether the step has taken longer than allowed.
pub(super) fn overdue(observed: &Observed, step: &str) -> bool {
    let limit = SignedDuration::try_from(timeout::of(&observed.request)).unwrap_or(SignedDuration::MAX);
    took(observed, step).is_some_and(|took| took > limit)
}

/// How long the step has been under way, as far as this replica has led. Earlier time does not count: the record was written by
/// another replica's clock, and possibly nobody was leading in between.
fn took(observed: &Observed, step: &str) -> Option<SignedDuration> {
    let record = observed.request.status.as_ref()?.step.as_ref()?;
    let past = is_past(record, step, reached(observed, step), observed.now);
    (!past).then(|| since(observed, record.started.0))
}

/// Like `took`, but `None` if the request waited for something else last.
pub(super) fn alone(observed: &Observed, step: &str) -> Option<SignedDuration> {
    let record = observed.request.status.as_ref()?.step.as_ref()?;
    took(observed, step).filter(|_| record.name == step)
}

/// Time since a recorded moment, as far as this replica has led.
pub(super) fn since(observed: &Observed, moment: Timestamp) -> SignedDuration {
    observed.now.duration_since(moment.max(observed.since))
}
