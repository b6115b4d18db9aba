//! How a request ends when it does not end well, and what is left to do then.

use api::CassandraOpsRequest;
use api::condition;
use api::halt::Halt;
use api::names::OPS_REQUEST_FINALIZER;
use api::ops_request::{Phase, UpdateVersionRecord};
use kube::ResourceExt;

use super::goal::{is_at, settled};
use super::observe::Observed;
use super::step::{Outcome, Step};
use super::{refusal, timeout};

/// A request that has ended leaves nothing behind: neither its halt, but for one case, nor its finalizer.
pub(super) fn ended(seen: &Observed) -> Step {
    let request = &seen.request;
    let uid = request.uid().unwrap_or_default();
    let halted = seen.alive().is_some_and(|cassandra| Halt::of(cassandra).is_of(&uid));
    match (halted, keeps_halt(request)) {
        (true, false) => Step::Resume,
        // Without the request nobody would know why the ring must be left alone, and its halt would be lifted.
        (true, true) => Step::Done,
        (false, _) => released(request),
    }
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
    let what = refusal::told(seen, step).unwrap_or(what);
    let lifted = lifted(seen).map(|lifted| format!("; {lifted}")).unwrap_or_default();
    let cause = format!("{what} (for longer than {}){lifted}", timeout::text(&seen.request));
    let record = seen.request.status.as_ref().and_then(|s| s.update_version.as_ref());
    let versioned = |record: &UpdateVersionRecord| {
        record.source.name != record.target.name
            && seen.alive().is_some_and(|c| c.spec.version == record.target.name)
    };
    let halted = seen.alive().is_some_and(|c| Halt::of(c).is_of(&seen.request.uid().unwrap_or_default()));
    match record {
        None => Step::Finish(Outcome::Failed(format!("{cause}. Nothing was touched"))),
        // The ring is where it should be, and stays halted until the API server lets that be lifted: it is tried on.
        Some(record) if *step == Step::Resume => Step::Finish(Outcome::Failed(format!(
            "{}. The Cassandra stays halted until its halt can be lifted: {cause}",
            settled(seen, record)
        ))),
        Some(record) if record.roll_back.is_some() => Step::Finish(Outcome::Stuck(format!(
            "{}. The roll-back could not finish: {cause}. The Cassandra {}; \
             another CassandraOpsRequest with apply: Always takes over",
            record.roll_back.as_deref().unwrap_or_default(),
            if halted { "stays halted" } else { "could not be halted again" },
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

/// Who lifts the halt of this request.
fn lifted(seen: &Observed) -> Option<&str> {
    let status = seen.request.status.as_ref()?;
    condition::get(&status.conditions, HALT_LIFTED).map(|lifted| lifted.message.as_str())
}

/// The condition that tells of it.
pub(super) const HALT_LIFTED: &str = "HaltLifted";

/// What the budget said when it blocked the eviction the last time.
fn blocked(seen: &Observed, pod: &str) -> Option<String> {
    let conditions = &seen.request.status.as_ref()?.conditions;
    let evictions = ["EvictPod--", "RollBackEvictPod--"];
    let mut told = evictions.iter().filter_map(|type_| condition::get(conditions, &format!("{type_}{pod}")));
    told.rfind(|eviction| eviction.status == "False").map(|eviction| eviction.message.clone())
}
