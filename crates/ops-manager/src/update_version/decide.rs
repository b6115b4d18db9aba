//! The decision: from a picture of the world to the one next step of an update.
//!
//! Pure and total. Progress is read off the world (images, readiness, the halt), never off a counter, so that a restart
//! at any point continues where the world is. Going back is the same machine with the images exchanged.

use super::clock::overdue;
use super::ending::{ended, give_up, released};
use super::observe::Observed;
use super::pending::pending;
use super::progressing::progressing;
use super::step::Step;
use super::{pull, refusal};

/// The next step.
pub fn next_step(seen: &Observed) -> Step {
    let step = decide(seen);
    // A write that nobody has refused is not given up before it was tried.
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
