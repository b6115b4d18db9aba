//! Decides the one next step of a request from an observation of the cluster.
//!
//! Pure and total. Progress is derived from the cluster (templates, readiness, the halt), never from a counter, so that an operator
//! that restarts at any point continues from there. A roll-back uses the same code with another goal.

use super::clock::overdue;
use super::ending::{ended, give_up, released};
use super::pending::pending;
use super::progressing::progressing;
use crate::observe::Observed;
use crate::preparation::image_pull;
use crate::step::Step;
use crate::{operation, refusal};

/// Returns the next step.
pub fn next_step(observed: &Observed) -> Step {
    let step = decide(observed);
    // A write is given up only after the API server has refused it, so it is tried at least once.
    let is_wait = matches!(step, Step::Wait(_) | Step::Pull { .. } | Step::Evict { .. });
    let step = match step.timed() {
        Some(name)
            if overdue(observed, &name) && (is_wait || refusal::last_message(observed, &step).is_some()) =>
        {
            give_up(observed, &step)
        }
        _ => step,
    };
    image_pull::nothing_left(observed, step)
}

fn decide(observed: &Observed) -> Step {
    match operation::of(&observed.request) {
        _ if observed.request.phase().is_final() => ended(observed),
        None if observed.request.metadata.deletion_timestamp.is_some() => released(&observed.request),
        None => pending(observed),
        Some(operation) => progressing(observed, &*operation),
    }
}
