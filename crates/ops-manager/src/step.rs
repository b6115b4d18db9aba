//! The steps of a request, and their names.

use std::collections::BTreeMap;

use api::ops_request::{NodeResources, NodeSize, RestartRecord, UpdateVersionRecord, VerticalScalingRecord};

use crate::observe::node::Node;
use crate::preparation::pull_pod::{Place, PullPod};

/// The next step.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Nothing more to do, ever.
    Done,
    /// Remove the finalizer of a request that has ended.
    Release,
    /// Look again later.
    Wait(Wait),
    /// Ask every node, then decide again.
    Probe,
    /// Ask the API server whether it would accept the renewed pods, then decide again.
    Rehearse,
    /// Create pods that pull the image.
    Pull {
        /// The image.
        image: String,
        /// Where.
        places: Vec<Place>,
    },
    /// Remove the pods that pull the image.
    RemovePullPods {
        /// The pods as they were observed.
        pods: Vec<PullPod>,
    },
    /// Record what is going to be done.
    Begin {
        /// What is going to be done.
        intent: Intent,
        /// Message of the condition.
        message: String,
    },
    /// Halt the Cassandra.
    Halt,
    /// Put the image into the template of a PetSet.
    SetImage {
        /// Name of the PetSet.
        petset: String,
        /// The image.
        image: String,
        /// The user that the pods run as now, and the one that the image runs as, if they are known.
        users: Option<[i64; 2]>,
    },
    /// Give a PetSet the template that follows from the spec of the Cassandra by now.
    SetTemplate {
        /// Name of the PetSet.
        petset: String,
    },
    /// Give the nodes of a PetSet another size.
    SetSize {
        /// Name of the PetSet.
        petset: String,
        /// The size.
        size: NodeSize,
    },
    /// Evict a pod.
    Evict {
        /// The pod as it was observed.
        pod: Node,
    },
    /// Go back to where the request came from, or stop where it is.
    GiveUp {
        /// Why.
        cause: String,
        /// The pod and container whose last log lines say more.
        log_of: Option<(String, String)>,
    },
    /// Make the spec of the Cassandra say what the ring is by now.
    Commit(Commit),
    /// Lift the halt.
    Resume,
    /// End the request.
    Finish(Outcome),
}

/// A change of the spec of the Cassandra.
#[derive(Clone, Debug, PartialEq)]
pub enum Commit {
    /// Set `spec.version` to the name of this CassandraVersion.
    Version(String),
    /// Ask for these resources, which are by the names of the PetSets.
    Resources(BTreeMap<String, NodeResources>),
}

/// What a request sets out to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Intent {
    /// Update the version.
    UpdateVersion(UpdateVersionRecord),
    /// Restart.
    Restart(RestartRecord),
    /// Give the nodes another size.
    VerticalScaling(VerticalScalingRecord),
}

/// A wait for something that happens by itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Wait {
    /// Type of the condition that reports it.
    pub condition: String,
    /// CamelCase reason of the condition.
    pub reason: &'static str,
    /// Message of the condition.
    pub message: String,
    /// The step whose time limit applies; `None` for a wait that depends on the user.
    pub step: Option<String>,
}

/// How a request ends.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// What was asked for is done.
    Successful,
    /// It is not; the message says why, and the state of the ring.
    Failed(String),
    /// The roll-back failed too: the ring may be on two versions, so the halt stays. The message says why.
    Stuck(String),
    /// Denied; nothing was changed.
    Denied {
        /// CamelCase reason of the condition.
        reason: &'static str,
        /// Message of the condition.
        message: String,
    },
    /// Replaced by this newer request.
    Skipped(String),
}

impl Commit {
    /// Type of the condition that reports it, and a message.
    pub(crate) fn told(&self) -> (&'static str, String) {
        match self {
            Self::Version(name) => ("SetVersion", format!("spec.version of the Cassandra is now {name}")),
            Self::Resources(_) => (
                "SetResources",
                "the spec of the Cassandra asks for the resources that its nodes have".to_owned(),
            ),
        }
    }
}

impl Step {
    /// Name of the step whose time limit applies.
    pub fn timed(&self) -> Option<String> {
        match self {
            Self::Wait(wait) => wait.step.clone(),
            Self::Pull { .. } | Self::RemovePullPods { .. } => Some(PULL.to_owned()),
            Self::Begin { .. } => Some("begin".to_owned()),
            Self::Halt => Some("halt".to_owned()),
            Self::SetImage { petset, .. } | Self::SetTemplate { petset } | Self::SetSize { petset, .. } => {
                Some(template_of(petset))
            }
            Self::Evict { pod } => Some(renewal_of(&pod.name)),
            Self::Commit(_) => Some("commit".to_owned()),
            Self::Resume => Some("resume".to_owned()),
            _ => None,
        }
    }

    /// Whether it ends the request or its halt, after which nobody looks after what the request has changed.
    pub fn ends(&self) -> bool {
        matches!(self, Self::Resume | Self::Finish(_))
    }

    /// Whether the request cannot begin, or go on, for a reason outside of it.
    pub(crate) fn is_held_up(&self) -> bool {
        matches!(self, Self::Wait(wait) if wait.condition == HELD_UP)
    }
}

/// Type of the condition of a request that is held up.
pub(crate) const HELD_UP: &str = "Waiting";
/// Type of the condition that reports the pull.
pub(crate) const PULL_IMAGE: &str = "PullImage";
/// Name of the step that pulls the image.
pub(crate) const PULL: &str = "pull";
/// Name of the last step, which waits for Ready.
pub(crate) const READY: &str = "ready";

/// Name of the step that gives a PetSet its template.
pub(crate) fn template_of(petset: &str) -> String {
    format!("template of {petset}")
}

/// Name of the step that renews this pod.
pub(crate) fn renewal_of(pod: &str) -> String {
    format!("renewal of {pod}")
}

/// A wait of a request that has not begun, or is held up.
pub(crate) fn waiting(reason: &'static str, message: String, step: Option<String>) -> Step {
    Step::Wait(Wait { condition: HELD_UP.to_owned(), reason, message, step })
}

/// The wait of a request whose turn comes after this other one.
pub(crate) fn queued(other: &str) -> Step {
    waiting("Queued", format!("waits for CassandraOpsRequest {other} to finish"), None)
}
