//! A write that the API server does not carry out: told by the condition of its step, and timed like a wait.
//!
//! A policy, a quota, a webhook or a missing right may say no for ever, and may change its mind without a change of any object
//! that is watched. So it is tried again, ever less often, until the time of the step is over.

use std::time::Duration;

use api::condition;
use operator::WriteError;

use super::observe::Observed;
use super::step::{HELD_UP, PULL_IMAGE, Step};

/// Reason of the conditions that tell of it.
pub(super) const REFUSED: &str = "WriteRefused";
/// At least as often it is tried again.
const SELDOM: Duration = Duration::from_secs(30);

/// What is told of an error of this step. `None`: somebody else leads, the object has changed, or nobody is left to tell.
pub(super) fn of(seen: &Observed, step: &Step, error: &WriteError) -> Option<String> {
    let lasting = matches!(error, WriteError::Refused { .. } | WriteError::Unavailable { .. });
    (lasting && !seen.request.phase().is_final() && condition_of(step).is_some()).then(|| error.to_string())
}

/// The condition that tells of a step which is a write, and whether it is told apart by direction.
pub(super) fn condition_of(step: &Step) -> Option<(String, bool)> {
    Some(match step {
        Step::Begin { .. } => (HELD_UP.to_owned(), false),
        Step::Pull { .. } | Step::RemovePullers { .. } => (PULL_IMAGE.to_owned(), false),
        Step::Halt => ("PauseDatabase".to_owned(), false),
        Step::SetImage { .. } => ("UpdatePetSets".to_owned(), true),
        Step::Evict { pod } => (format!("EvictPod--{}", pod.name), true),
        Step::SetVersion { .. } => ("SetVersion".to_owned(), false),
        Step::Resume => ("ResumeDatabase".to_owned(), false),
        _ => return None,
    })
}

/// What the API server said the last time, if it did not carry out this step.
pub(super) fn told(seen: &Observed, step: &Step) -> Option<String> {
    let (type_, by_direction) = condition_of(step)?;
    let status = seen.request.status.as_ref()?;
    let back = status.update_version.as_ref().is_some_and(|record| record.roll_back.is_some());
    let prefix = if by_direction && back { "RollBack" } else { "" };
    let told = condition::get(&status.conditions, &format!("{prefix}{type_}"))?;
    (told.reason == REFUSED).then(|| told.message.clone())
}

/// When to try again: the longer it goes on, the later.
pub(super) fn again(seen: &Observed, soonest: Duration) -> Duration {
    let started = seen.request.status.as_ref().and_then(|status| Some(status.step.as_ref()?.started.0));
    let waited = started.map(|started| super::clock::since(seen, started));
    let waited = waited.and_then(|waited| Duration::try_from(waited).ok()).unwrap_or_default();
    (waited / 10).clamp(soonest, SELDOM)
}
