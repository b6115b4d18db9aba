//! What can be done next, and what its parts are called.

use api::ops_request::Release;

use super::node::Node;
use super::puller::{Place, Puller};

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
            Self::Pull { .. } | Self::RemovePullers { .. } => Some(PULL.to_owned()),
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

/// The condition of a request that is held up.
pub(super) const HELD_UP: &str = "Waiting";
/// The condition that tells of the pull.
pub(super) const PULL_IMAGE: &str = "PullImage";
/// The step of the pull.
pub(super) const PULL: &str = "pull";
/// The step after the ring is at its goal.
pub(super) const READY: &str = "ready";

/// The step whose timeout runs while a PetSet gets its image.
pub(super) fn image_of(petset: &str) -> String {
    format!("image of {petset}")
}

/// The step whose timeout runs while this pod is renewed.
pub(super) fn renewal_of(pod: &str) -> String {
    format!("renewal of {pod}")
}

/// The request has not begun, or is held up.
pub(super) fn waiting(reason: &'static str, message: String, step: Option<String>) -> Step {
    Step::Wait(Wait { condition: HELD_UP.to_owned(), reason, message, step })
}
