//! Decides the one next step of an update from an observation of the cluster.
//!
//! Pure and total. Progress is derived from the cluster (images, readiness, the halt), never from a counter, so that an operator
//! that restarts at any point continues from there. A roll-back uses the same code with source and target exchanged.

use super::clock::overdue;
use super::ending::{ended, give_up, released};
use super::observe::Observed;
use super::pending::pending;
use super::progressing::progressing;
use super::step::Step;
use super::{pull, refusal};

/// Returns the next step.
pub fn next_step(seen: &Observed) -> Step {
    let step = decide(seen);
    // A write is given up only after the API server has refused it, so it is tried at least once.
    let is_wait = matches!(step, Step::Wait(_) | Step::Pull { .. } | Step::Evict { .. });
    let step = match step.timed() {
        Some(name) if overdue(seen, &name) && (is_wait || refusal::told(seen, &step).is_some()) => {
            give_up(seen, &step)
        }
        _ => step,
    };
    pull::nothing_left(seen, step)
}

fn decide(seen: &Observed) -> Step {
    let record = seen.request.status.as_ref().and_then(|s| s.update_version.as_ref());
    match record {
        _ if seen.request.phase().is_final() => ended(seen),
        None if seen.request.metadata.deletion_timestamp.is_some() => released(&seen.request),
        None => pending(seen),
        Some(record) => progressing(seen, record),
    }
}
