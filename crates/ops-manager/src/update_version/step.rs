//! The decision: from a picture of the world to the one next step of an update.
//!
//! Pure and total. Progress is read off the world (images, readiness, the halt), never off a counter, so that a restart
//! at any point continues where the world is. Going back is the same machine with the images exchanged.

use api::Cassandra;
use api::ops_request::Release;

use super::clock::overdue;
use super::ending::{ended, give_up, released};
use super::node::Node;
use super::observe::Observed;
use super::pending::pending;
use super::progressing::progressing;
use super::pull::{self, Place};
use super::puller::Puller;
use super::refusal;
use super::rolling::{image_of, renewal_of};

/// What to do next.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Step {
    /// Nothing, ever again.
    Done,
    /// The request has ended: let it be deleted.
    Release,
    /// Look again later.
    Wait(Wait),
    /// Ask every node, then decide again.
    Probe,
    /// Ask the API server whether it would let in the pods that the target makes, then decide again.
    Rehearse,
    /// Make pods that pull the image where it will be needed.
    Pull {
        /// The image.
        image: String,
        /// Where.
        places: Vec<Place>,
    },
    /// Remove pods that pull: they have served, or are not wanted any more.
    RemovePullers {
        /// The pods as they were seen.
        pods: Vec<Puller>,
    },
    /// Write down what is going to be done.
    Begin {
        /// From here.
        source: Release,
        /// To here.
        target: Release,
    },
    /// Halt the Cassandra.
    Halt,
    /// Put the image into the template of a PetSet.
    SetImage {
        /// Name of the PetSet.
        petset: String,
        /// The image.
        image: String,
    },
    /// Renew a pod.
    Evict {
        /// The pod as it was seen.
        pod: Node,
    },
    /// Turn around.
    RollBack {
        /// Why.
        cause: String,
        /// The pod and container whose last log lines say more.
        log_of: Option<(String, String)>,
    },
    /// Set `spec.version` of the Cassandra.
    SetVersion {
        /// Name of the CassandraVersion.
        name: String,
    },
    /// Lift the halt.
    Resume,
    /// End the request.
    Finish(Outcome),
}

/// Something that must come about by itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Wait {
    /// Condition of the request that tells of it.
    pub condition: String,
    /// CamelCase word for machines.
    pub reason: &'static str,
    /// Sentence for people.
    pub message: String,
    /// The step whose timeout runs meanwhile; none for what is up to the user.
    pub step: Option<String>,
}

/// How a request ends.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// The ring runs the target.
    Successful,
    /// It does not; the sentence says why and what became of the ring.
    Failed(String),
    /// Nor could it be brought back: it may be on two versions, so the halt stays; the sentence says why.
    Stuck(String),
    /// Refused, nothing was touched.
    Denied {
        /// CamelCase word for machines.
        reason: &'static str,
        /// Sentence for people.
        message: String,
    },
    /// This newer request takes its place.
    Skipped(String),
}

impl Step {
    /// The step whose timeout runs.
    pub fn timed(&self) -> Option<String> {
        match self {
            Self::Wait(wait) => wait.step.clone(),
            Self::Pull { .. } | Self::RemovePullers { .. } => Some(pull::STEP.to_owned()),
            Self::Begin { .. } => Some("begin".to_owned()),
            Self::Halt => Some("halt".to_owned()),
            Self::SetImage { petset, .. } => Some(image_of(petset)),
            Self::Evict { pod } => Some(renewal_of(&pod.name)),
            Self::SetVersion { .. } => Some("version".to_owned()),
            Self::Resume => Some("resume".to_owned()),
            _ => None,
        }
    }

    /// It cannot begin, or go on, for a reason outside of itself.
    pub(super) fn is_held_up(&self) -> bool {
        matches!(self, Self::Wait(wait) if wait.condition == HELD_UP)
    }
}

/// The condition that tells of it.
pub(super) const HELD_UP: &str = "Waiting";

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

pub(super) fn alive(seen: &Observed) -> Option<&Cassandra> {
    seen.cassandra.as_deref().filter(|c| c.metadata.deletion_timestamp.is_none())
}

/// The request has not begun, or is held up.
pub(super) fn waiting(reason: &'static str, message: String, step: Option<String>) -> Step {
    Step::Wait(Wait { condition: HELD_UP.to_owned(), reason, message, step })
}
