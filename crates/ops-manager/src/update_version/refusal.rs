//! Writes that the API server refuses: reported in the condition of the step, and limited in time like a wait.
//!
//! A policy, a quota, a webhook or a missing right may refuse for ever, and may stop refusing without a change of any watched
//! object. So the write is tried again, less and less often, until the time of the step is over.

use std::time::Duration;

use api::condition;
use operator::WriteError;

use super::observe::Observed;
use super::step::{HELD_UP, PULL_IMAGE, Step};

/// Reason of a condition that reports a refused write.
pub(super) const REFUSED: &str = "WriteRefused";
/// Longest interval between two attempts.
const SELDOM: Duration = Duration::from_secs(30);

/// The message to report for an error of this step. `None`: another replica leads, the object has changed, or the request has
/// ended.
pub(super) fn of(observed: &Observed, step: &Step, error: &WriteError) -> Option<String> {
    let lasting = matches!(error, WriteError::Refused { .. } | WriteError::Unavailable { .. });
    (lasting && !observed.request.phase().is_final() && condition_of(step).is_some())
        .then(|| error.to_string())
}

/// Type of the condition for a step that writes, and whether that type has a prefix during a roll-back.
pub(super) fn condition_of(step: &Step) -> Option<(String, bool)> {
    Some(match step {
        Step::Begin { .. } => (HELD_UP.to_owned(), false),
        Step::Pull { .. } | Step::RemovePullPods { .. } => (PULL_IMAGE.to_owned(), false),
        Step::Halt => ("PauseDatabase".to_owned(), false),
        Step::SetImage { .. } => ("UpdatePetSets".to_owned(), true),
        Step::Evict { pod } => (format!("EvictPod--{}", pod.name), true),
        Step::SetVersion { .. } => ("SetVersion".to_owned(), false),
        Step::Resume => ("ResumeDatabase".to_owned(), false),
        _ => return None,
    })
}

/// The API server's message, if it refused this step the last time.
pub(super) fn last_message(observed: &Observed, step: &Step) -> Option<String> {
    let (type_, by_direction) = condition_of(step)?;
    let status = observed.request.status.as_ref()?;
    let back = status.update_version.as_ref().is_some_and(|record| record.roll_back.is_some());
    let prefix = if by_direction && back { "RollBack" } else { "" };
    let told = condition::get(&status.conditions, &format!("{prefix}{type_}"))?;
    (told.reason == REFUSED).then(|| told.message.clone())
}

/// Delay before the next attempt: it grows with the time waited so far.
pub(super) fn again(observed: &Observed, soonest: Duration) -> Duration {
    let started = observed.request.status.as_ref().and_then(|status| Some(status.step.as_ref()?.started.0));
    let waited = started.map(|started| super::clock::since(observed, started));
    let waited = waited.and_then(|waited| Duration::try_from(waited).ok()).unwrap_or_default();
    (waited / 10).max(soonest).min(SELDOM)
}
