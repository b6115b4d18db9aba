//! Writes that the API server refuses: reported in the condition of the step, and limited in time like a wait.
//!
//! A policy, a quota, a webhook or a missing right may refuse for ever, and may stop refusing without a change of any watched
//! object. So the write is tried again, less and less often, until the time of the step is over.

use api::condition;
use api::ops_request::PAUSE;
use operator::WriteError;

use crate::observe::Observed;
use crate::step::{HELD_UP, PULL_IMAGE, Step};

/// Reason of a condition that reports a refused write.
pub(crate) const REFUSED: &str = "WriteRefused";

/// The message to report for an error of this step. `None`: another replica leads, the object has changed, or the request has
/// ended.
pub(crate) fn of(observed: &Observed, step: &Step, error: &WriteError) -> Option<String> {
    let lasting = matches!(error, WriteError::Refused { .. } | WriteError::Unavailable { .. });
    (lasting && !observed.request.phase().is_final() && condition_of(step).is_some())
        .then(|| error.to_string())
}

/// Type of the condition for a step that writes, and whether that type has a prefix during a roll-back.
pub(crate) fn condition_of(step: &Step) -> Option<(String, bool)> {
    Some(match step {
        Step::Begin { .. } => (HELD_UP.to_owned(), false),
        Step::Pull { .. } | Step::RemovePullPods { .. } => (PULL_IMAGE.to_owned(), false),
        Step::Halt => (PAUSE.to_owned(), false),
        Step::SetImage { .. } | Step::SetTemplate { .. } | Step::SetSize { .. } => {
            ("UpdatePetSets".to_owned(), true)
        }
        Step::Evict { pod } => (format!("EvictPod--{}", pod.name), true),
        Step::Commit(commit) => (commit.told().0.to_owned(), false),
        Step::Resume => ("ResumeDatabase".to_owned(), false),
        _ => return None,
    })
}

/// The API server's message, if it refused this step the last time.
pub(crate) fn last_message(observed: &Observed, step: &Step) -> Option<String> {
    let (type_, by_direction) = condition_of(step)?;
    let status = observed.request.status.as_ref()?;
    let prefix = if by_direction { status.prefix() } else { "" };
    let told = condition::get(&status.conditions, &format!("{prefix}{type_}"))?;
    (told.reason == REFUSED).then(|| told.message.clone())
}
