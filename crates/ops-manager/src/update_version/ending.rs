//! How a request ends when it does not end well, and what is left to do then.

use api::CassandraOpsRequest;
use api::condition;
use api::halt::Halt;
use api::names::OPS_REQUEST_FINALIZER;
use api::ops_request::{Phase, UpdateVersionRecord};
use kube::ResourceExt;

use super::observe::Observed;
use super::progressing::is_at;
use super::step::{Outcome, Step, alive};
use super::timeout;

/// A request that has ended leaves nothing behind: neither its halt, but for one case, nor its finalizer.
pub(super) fn ended(seen: &Observed) -> Step {
    let request = &seen.request;
    let uid = request.uid().unwrap_or_default();
    let halted = alive(seen).is_some_and(|cassandra| Halt::of(cassandra).is_of(&uid));
    if halted && !keeps_halt(request) { Step::Resume } else { released(request) }
}

/// Reason of the condition `Failed` where the roll-back could not finish: the ring may be on two versions, so the provisioner
/// must not touch it.
pub const ROLL_BACK_UNFINISHED: &str = "RollBackUnfinished";

/// A roll-back that has finished is no reason: the cache may have told of a halt that was lifted before it told of ours.
fn keeps_halt(request: &CassandraOpsRequest) -> bool {
    let failed = request.status.as_ref().and_then(|status| condition::get(&status.conditions, "Failed"));
    request.phase() == Phase::Failed && failed.is_some_and(|failed| failed.reason == ROLL_BACK_UNFINISHED)
}

/// A request that is over may go.
pub(super) fn released(request: &CassandraOpsRequest) -> Step {
    if request.finalizers().iter().any(|f| f == OPS_REQUEST_FINALIZER) { Step::Release } else { Step::Done }
}

/// Whether the step under way has taken longer than it may. Only the time that this replica leads counts: the record is
/// by the clock of whoever wrote it, and nobody may have looked since.
pub(super) fn overdue(seen: &Observed, step: &str) -> bool {
    let record = seen.request.status.as_ref().and_then(|s| s.step.as_ref());
    record.is_some_and(|record| {
        let seconds = seen.now.duration_since(record.started.0.max(seen.since)).as_secs();
        record.name == step && u64::try_from(seconds).is_ok_and(|s| s > timeout::of(&seen.request).as_secs())
    })
}

/// What follows when a step took too long.
pub(super) fn give_up(seen: &Observed, step: &Step) -> Step {
    let what = match step {
        Step::Wait(wait) => wait.message.clone(),
        Step::Evict { pod } => {
            blocked(seen, &pod.name).unwrap_or_else(|| format!("pod {} could not be evicted", pod.name))
        }
        Step::Pull { image, .. } => format!("image {image} could not be pulled on the nodes of the ring"),
        _ => String::new(),
    };
    let cause = format!("{what} (for longer than {})", timeout::text(&seen.request));
    let record = seen.request.status.as_ref().and_then(|s| s.update_version.as_ref());
    let versioned = |record: &UpdateVersionRecord| {
        record.source.name != record.target.name
            && alive(seen).is_some_and(|c| c.spec.version == record.target.name)
    };
    let halted = alive(seen).is_some_and(|c| Halt::of(c).is_of(&seen.request.uid().unwrap_or_default()));
    match record {
        None => Step::Finish(Outcome::Failed(format!("{cause}. Nothing was touched"))),
        Some(record) if record.roll_back.is_some() => Step::Finish(Outcome::Stuck(format!(
            "{}. The roll-back could not finish: {cause}. The Cassandra stays halted; \
             another CassandraOpsRequest with apply: Always takes over",
            record.roll_back.as_deref().unwrap_or_default()
        ))),
        // The ring was whole on the target when the version was set: what came later is no reason to stay halted.
        Some(record) if versioned(record) && halted && is_at(seen, &record.target) => Step::Resume,
        Some(record) if versioned(record) => Step::Finish(Outcome::Failed(format!(
            "{cause}. The Cassandra has version {} and is resumed",
            record.target.name
        ))),
        Some(_) => Step::RollBack { cause, log_of: None },
    }
}

/// What the budget said when it blocked the eviction the last time.
fn blocked(seen: &Observed, pod: &str) -> Option<String> {
    let conditions = &seen.request.status.as_ref()?.conditions;
    let evictions = ["EvictPod--", "RollBackEvictPod--"];
    let mut told = evictions.iter().filter_map(|type_| condition::get(conditions, &format!("{type_}{pod}")));
    told.rfind(|eviction| eviction.status == "False").map(|eviction| eviction.message.clone())
}
