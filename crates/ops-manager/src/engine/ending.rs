//! How a request ends if it fails, and the cleanup afterwards.

use api::CassandraOpsRequest;
use api::condition;
use api::halt::Halt;
use api::names::OPS_REQUEST_FINALIZER;
use api::ops_request::Phase;
use kube::ResourceExt;

use super::timeout;
use crate::observe::Observed;
use crate::operation::Way;
use crate::step::{Outcome, Step};
use crate::{operation, refusal};

/// Cleans up after a request that has ended: lifts its halt (with one exception) and removes its finalizer.
pub(super) fn ended(observed: &Observed) -> Step {
    let request = &observed.request;
    let uid = request.uid().unwrap_or_default();
    let halted = observed.alive().is_some_and(|cassandra| Halt::of(cassandra).is_of(&uid));
    match (halted, keeps_halt(request)) {
        (true, false) => Step::Resume,
        // Keep the request: without it nobody would know why the ring must be left alone, and the halt would be lifted.
        (true, true) => Step::Done,
        (false, _) => released(request),
    }
}

/// Reason of the condition `Failed` if the roll-back could not finish: the ring may be on two versions, so the provisioner must
/// not touch it.
pub const ROLL_BACK_UNFINISHED: &str = "RollBackUnfinished";

/// Whether a failed request keeps its halt. Only an unfinished roll-back does; a finished one does not, even if a stale cache
/// still shows the halt.
fn keeps_halt(request: &CassandraOpsRequest) -> bool {
    let failed = request.status.as_ref().and_then(|status| condition::get(&status.conditions, "Failed"));
    request.phase() == Phase::Failed && failed.is_some_and(|failed| failed.reason == ROLL_BACK_UNFINISHED)
}

/// Removes the finalizer of a request that has ended.
pub(super) fn released(request: &CassandraOpsRequest) -> Step {
    if request.finalizers().iter().any(|f| f == OPS_REQUEST_FINALIZER) { Step::Release } else { Step::Done }
}

/// The next step after one that took too long.
pub(super) fn give_up(observed: &Observed, step: &Step) -> Step {
    let what = match step {
        Step::Wait(wait) => wait.message.clone(),
        Step::Evict { pod } => {
            blocked(observed, &pod.name).unwrap_or_else(|| format!("pod {} could not be evicted", pod.name))
        }
        Step::Pull { image, .. } => format!("image {image} could not be pulled on the nodes of the ring"),
        _ => String::new(),
    };
    let what = refusal::last_message(observed, step).unwrap_or(what);
    let lifted = lifted(observed).map(|lifted| format!("; {lifted}")).unwrap_or_default();
    let cause = format!("{what} (for longer than {}){lifted}", timeout::text(&observed.request));
    let Some(operation) = operation::of(&observed.request) else {
        return Step::Finish(Outcome::Failed(format!("{cause}. Nothing was touched")));
    };
    let is_over = observed.alive().is_some_and(|cassandra| operation.is_over(cassandra));
    let halted =
        observed.alive().is_some_and(|c| Halt::of(c).is_of(&observed.request.uid().unwrap_or_default()));
    match operation.way() {
        // The ring is where it should be. It stays halted until the API server lets the halt be lifted; that is retried.
        _ if *step == Step::Resume => Step::Finish(Outcome::Failed(format!(
            "{}. The Cassandra stays halted until its halt can be lifted: {cause}",
            operation.outcome(observed)
        ))),
        Way::Back(why) => Step::Finish(Outcome::Stuck(format!(
            "{why}. The roll-back could not finish: {cause}. The Cassandra {}; \
             another CassandraOpsRequest with apply: Always takes over",
            if halted { "stays halted" } else { "could not be halted again" },
        ))),
        // The ring was whole when the last change was made. Problems since then do not justify keeping the halt.
        Way::Forward if is_over && halted && operation.is_reached(observed) => Step::Resume,
        Way::Forward if is_over => {
            Step::Finish(Outcome::Failed(format!("{cause}. {} and is resumed", operation.outcome(observed))))
        }
        Way::Stopped(why) => Step::Finish(Outcome::Failed(format!("{why}. {cause}"))),
        Way::Forward => Step::GiveUp { cause, log_of: None },
    }
}

/// A message about who lifts the halt of this request, if somebody does.
fn lifted(observed: &Observed) -> Option<&str> {
    let status = observed.request.status.as_ref()?;
    condition::get(&status.conditions, HALT_LIFTED).map(|lifted| lifted.message.as_str())
}

/// Type of the condition for that.
pub(super) const HALT_LIFTED: &str = "HaltLifted";

/// The message when a budget last blocked the eviction of the pod.
fn blocked(observed: &Observed, pod: &str) -> Option<String> {
    let conditions = &observed.request.status.as_ref()?.conditions;
    let evictions = ["EvictPod--", "RollBackEvictPod--"];
    let mut told = evictions.iter().filter_map(|type_| condition::get(conditions, &format!("{type_}{pod}")));
    told.rfind(|eviction| eviction.status == "False").map(|eviction| eviction.message.clone())
}
