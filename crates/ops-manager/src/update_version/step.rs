//! The decision: from a picture of the world to the one next step of an update.
//!
//! Pure and total. Progress is read off the world (images, readiness, the halt), never off a counter, so that a restart
//! at any point continues where the world is. Going back is the same machine with the images exchanged.

use api::cassandra::Phase as CassandraPhase;
use api::halt::{self, Halt};
use api::names::OPS_REQUEST_FINALIZER;
use api::ops_request::{Apply, Release, UpdateVersionRecord};
use api::version::{self, NoPath};
use api::{Cassandra, CassandraOpsRequest};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

use super::observe::{Node, Observed, Rack, release};
use super::timeout;
use crate::queue::Turn;

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
            Self::Evict { pod } => Some(renewal_of(&pod.name)),
            _ => None,
        }
    }
}

/// The next step.
pub fn next_step(seen: &Observed) -> Step {
    let step = decide(seen);
    match step.timed() {
        Some(name) if overdue(seen, &name) => give_up(seen, &step),
        _ => step,
    }
}

fn decide(seen: &Observed) -> Step {
    let record = seen.request.status.as_ref().and_then(|s| s.update_version.as_ref());
    match record {
        _ if seen.request.phase().is_final() => released(&seen.request),
        None if seen.request.metadata.deletion_timestamp.is_some() => released(&seen.request),
        None => pending(seen),
        Some(record) => progressing(seen, record),
    }
}

fn released(request: &CassandraOpsRequest) -> Step {
    if request.finalizers().iter().any(|f| f == OPS_REQUEST_FINALIZER) { Step::Release } else { Step::Done }
}

/// Before the first change: refuse, wait for the turn, look whether the ring is fit.
fn pending(seen: &Observed) -> Step {
    let request = &seen.request;
    match &seen.turn {
        Turn::Superseded(newer) => return Step::Finish(Outcome::Skipped(newer.clone())),
        Turn::After(other) => {
            return waiting("Queued", format!("waits for CassandraOpsRequest {other} to finish"), None);
        }
        Turn::Now => {}
    }
    let database = &request.spec.database_ref.name;
    let Some(cassandra) = alive(seen) else {
        let message = format!("spec.databaseRef: there is no Cassandra {database} in this namespace");
        return absent(seen, "DatabaseNotFound", message);
    };
    let Some(current) = &seen.current else {
        let version = &cassandra.spec.version;
        let message = format!("Cassandra {database}: there is no CassandraVersion {version}, which it has");
        return absent(seen, "VersionNotFound", message);
    };
    let Some(target) = &seen.target else {
        let name = request.spec.update_version.as_ref().map_or("", |u| u.target_version.as_str());
        let message = format!(
            "spec.updateVersion.targetVersion: there is no CassandraVersion {name}; kubectl get casversion lists them"
        );
        return absent(seen, "VersionNotFound", message);
    };
    let halt = Halt::of(cassandra);
    match version::path(current, target) {
        Ok(()) => {}
        // The halt of a request that could not finish: going to the version that it should have is the way out.
        Err(NoPath::Identical(_)) if matches!(halt, Halt::Request(_)) => {}
        Err(no_path) => {
            return deny(reason_of(&no_path), format!("spec.updateVersion.targetVersion: {no_path}"));
        }
    }
    if let Some(rack) = seen.racks.iter().find(|rack| rack.ephemeral) {
        let message = format!(
            "PetSet {} has Ephemeral storage: renewing its pods would throw their data away",
            rack.petset
        );
        return deny("EphemeralStorage", message);
    }
    if halt == Halt::User {
        let message =
            format!("Cassandra {database} is halted by the user; it begins when spec.halted is false");
        return waiting("HaltedByUser", message, None);
    }
    if let Halt::Request(uid) = &halt
        && seen.unfinished.contains(uid)
    {
        return waiting("Queued", "waits for another CassandraOpsRequest to lift its halt".to_owned(), None);
    }
    if let Some(unfit) = unfit(seen, cassandra) {
        return unfit;
    }
    Step::Begin { source: release(current), target: release(target) }
}

/// Preflight: `apply: Always` skips it, since the update may be what heals the ring.
fn unfit(seen: &Observed, cassandra: &Cassandra) -> Option<Step> {
    let preflight = Some("preflight".to_owned());
    if let Some(rack) = seen.racks.iter().find(|rack| rack.image.is_none()) {
        let message = format!("PetSet {} is not there yet", rack.petset);
        return Some(waiting("NotProvisioned", message, preflight));
    }
    if seen.request.spec.apply == Apply::Always {
        return None;
    }
    let phase = cassandra.status.as_ref().and_then(|s| s.phase);
    if phase != Some(CassandraPhase::Ready) {
        let phase = phase.map_or("without a phase".to_owned(), |phase| format!("{phase:?}"));
        let message = format!(
            "Cassandra {} is {phase}, not Ready; spec.apply: Always begins nevertheless",
            cassandra.name_any()
        );
        return Some(waiting("NotReady", message, preflight));
    }
    match &seen.ring {
        None => Some(Step::Probe),
        Some(ring) if ring.problems.is_empty() => None,
        Some(ring) => Some(waiting("RingNotWhole", ring.problems.join("; "), preflight)),
    }
}

fn progressing(seen: &Observed, record: &UpdateVersionRecord) -> Step {
    let Some(cassandra) = alive(seen) else {
        return Step::Finish(Outcome::Failed("the Cassandra was deleted".to_owned()));
    };
    let back = record.roll_back.is_some();
    let goal = if back { &record.source } else { &record.target };
    let versioned = back || cassandra.spec.version == goal.name;
    let uid = seen.request.uid().unwrap_or_default();
    match Halt::of(cassandra) {
        halt if halt.is_of(&uid) => {
            if !halt::is_answered(cassandra) {
                // Lifting the halt changes nothing in the ring, so it needs no answer.
                if versioned && is_at(seen, goal) {
                    return Step::Resume;
                }
                return Step::Wait(Wait {
                    condition: "PauseDatabase".to_owned(),
                    reason: "AwaitingAnswer",
                    message: "waits for the provisioner to answer the halt".to_owned(),
                    step: Some("halt".to_owned()),
                });
            }
            // A deletion asks to stop. What is done already stays done: the version is set last.
            if seen.request.metadata.deletion_timestamp.is_some() && !versioned {
                return Step::RollBack { cause: "the request was deleted".to_owned(), log_of: None };
            }
            roll(seen, record).unwrap_or(if versioned {
                Step::Resume
            } else {
                Step::SetVersion { name: goal.name.clone() }
            })
        }
        _ if versioned && is_at(seen, goal) => settle(cassandra, record),
        Halt::Request(other) if seen.unfinished.contains(&other) => {
            waiting("Queued", "waits for another CassandraOpsRequest to lift its halt".to_owned(), None)
        }
        Halt::User => waiting("HaltedByUser", "the user has halted the Cassandra".to_owned(), None),
        Halt::None | Halt::Request(_) => Step::Halt,
    }
}

/// The ring is at its goal and resumed.
fn settle(cassandra: &Cassandra, record: &UpdateVersionRecord) -> Step {
    if let Some(cause) = &record.roll_back {
        let message = format!("{cause}. The ring is whole on version {}, as before", record.source.name);
        return Step::Finish(Outcome::Failed(message));
    }
    let status = cassandra.status.as_ref();
    let fresh = status.and_then(|s| s.observed_generation) == cassandra.metadata.generation;
    if fresh && status.and_then(|s| s.phase) == Some(CassandraPhase::Ready) {
        return Step::Finish(Outcome::Successful);
    }
    Step::Wait(Wait {
        condition: "DatabaseReady".to_owned(),
        reason: "AwaitingReady",
        message: "waits for the provisioner to report the Cassandra Ready".to_owned(),
        step: Some("ready".to_owned()),
    })
}

/// Renews what is not at the goal, one pod at a time. `None`: all nodes are at the goal and the ring is whole.
fn roll(seen: &Observed, record: &UpdateVersionRecord) -> Option<Step> {
    let back = record.roll_back.is_some();
    let goal = if back { &record.source } else { &record.target };
    // The target's image is given to one rack at a time, so that a bad one never reaches a second pod. The source's
    // image is known to be good and goes to all racks at once, so that the pod in trouble is renewed first.
    let racks = in_order(&seen.racks, goal);
    let groups: Vec<&[&Rack]> = if back { vec![&racks[..]] } else { racks.chunks(1).collect() };
    groups
        .into_iter()
        .find_map(|group| renew(seen, group, goal, back))
        .or_else(|| gate(seen, goal, back, "VerifyRing", "verify".to_owned()))
}

/// Racks in the order of the spec, but those that have begun first, then those with a pod that is down: a ring that is not
/// whole can be healed only by renewing what is down.
fn in_order<'a>(racks: &'a [Rack], goal: &Release) -> Vec<&'a Rack> {
    let mut racks: Vec<&Rack> = racks.iter().collect();
    let begun = |rack: &Rack| rack.image.as_deref() == Some(&goal.image);
    let down = |rack: &Rack| rack.pods.iter().any(|pod| !pod.ready);
    racks.sort_by_key(|rack| (!begun(rack), !down(rack)));
    racks
}

fn renew(seen: &Observed, racks: &[&Rack], goal: &Release, back: bool) -> Option<Step> {
    if let Some(rack) = racks.iter().find(|rack| rack.image.as_deref() != Some(&goal.image)) {
        return Some(Step::SetImage { petset: rack.petset.clone(), image: goal.image.clone() });
    }
    if let Some(rack) = racks.iter().find(|rack| !rack.caught_up) {
        return Some(Step::Wait(Wait {
            condition: "UpdatePetSets".to_owned(),
            reason: "AwaitingPetSet",
            message: format!("waits for the controllers to see the new image of PetSet {}", rack.petset),
            step: Some(format!("image of {}", rack.petset)),
        }));
    }
    if let Some(rack) = racks.iter().find(|rack| rack.pods.len() < rack.replicas) {
        let absent = (0..rack.replicas)
            .map(|ordinal| format!("{}-{ordinal}", rack.petset))
            .find(|name| !rack.pods.iter().any(|pod| pod.name == *name))
            .unwrap_or_default();
        return Some(pod_wait(&absent, "Kubernetes to make it"));
    }
    let pods = || racks.iter().flat_map(|rack| &rack.pods);
    if let Some(pod) = pods().find(|pod| pod.terminating) {
        return Some(pod_wait(&pod.name, "Cassandra to drain and stop"));
    }
    let at_goal = |pod: &&Node| pod.image == goal.image;
    if let Some(pod) = pods().find(|pod| at_goal(pod) && !pod.ready) {
        return Some(match &pod.trouble {
            Some(trouble) if !back => Step::RollBack {
                cause: format!("pod {}: {}", pod.name, trouble.what),
                log_of: trouble.log_of.clone().map(|container| (pod.name.clone(), container)),
            },
            trouble => pod_wait(&pod.name, trouble.as_ref().map_or(&pod.waits_for, |t| &t.what)),
        });
    }
    // A pod that is down already loses nothing by being renewed; any other one only while all the rest is up.
    let next = pods().filter(|pod| !at_goal(pod)).min_by_key(|pod| pod.ready)?;
    let evict = Step::Evict { pod: next.clone() };
    if !next.ready {
        return Some(evict);
    }
    let condition = format!("GetPod--{}", next.name);
    Some(gate(seen, goal, back, &condition, renewal_of(&next.name)).unwrap_or(evict))
}

/// Lets pass only when every node is up in every node's eyes and each renewed one reports the release it should.
fn gate(seen: &Observed, goal: &Release, back: bool, condition: &str, step: String) -> Option<Step> {
    let Some(ring) = &seen.ring else { return Some(Step::Probe) };
    let renewed = seen.racks.iter().flat_map(|rack| &rack.pods).filter(|pod| pod.image == goal.image);
    let wrong = renewed
        .filter_map(|pod| Some((pod, ring.releases.get(&pod.name)?)))
        .find(|(_, release)| release.to_string() != goal.version);
    if let Some((pod, release)) = wrong
        && !back
    {
        let cause = format!(
            "pod {}: image {} holds release {release}, but CassandraVersion {} says {}",
            pod.name, goal.image, goal.name, goal.version
        );
        return Some(Step::RollBack { cause, log_of: None });
    }
    let missing = seen
        .racks
        .iter()
        .flat_map(|rack| &rack.pods)
        .find(|pod| !ring.releases.contains_key(&pod.name))
        .map(|pod| format!("pod {} has not answered", pod.name));
    let problems: Vec<String> =
        if ring.problems.is_empty() { missing.into_iter().collect() } else { ring.problems.clone() };
    (!problems.is_empty()).then(|| {
        Step::Wait(Wait {
            condition: condition.to_owned(),
            reason: "RingNotWhole",
            message: problems.join("; "),
            step: Some(step),
        })
    })
}

/// Nothing is left to renew.
fn is_at(seen: &Observed, goal: &Release) -> bool {
    seen.racks.iter().all(|rack| {
        rack.image.as_deref() == Some(&goal.image) && rack.pods.iter().all(|pod| pod.image == goal.image)
    })
}

fn alive(seen: &Observed) -> Option<&Cassandra> {
    seen.cassandra.as_deref().filter(|c| c.metadata.deletion_timestamp.is_none())
}

/// A watch may tell of a request before it tells of what was created together with it.
const GRACE: SignedDuration = SignedDuration::from_secs(10);

fn absent(seen: &Observed, reason: &'static str, message: String) -> Step {
    let created = seen.request.metadata.creation_timestamp.as_ref().map_or(Timestamp::MIN, |t| t.0);
    if seen.now.duration_since(created) < GRACE {
        return waiting(reason, message, None);
    }
    deny(reason, message)
}

fn deny(reason: &'static str, message: String) -> Step {
    Step::Finish(Outcome::Denied { reason, message })
}

fn waiting(reason: &'static str, message: String, step: Option<String>) -> Step {
    Step::Wait(Wait { condition: "Waiting".to_owned(), reason, message, step })
}

fn pod_wait(pod: &str, what: &str) -> Step {
    Step::Wait(Wait {
        condition: format!("RunningPod--{pod}"),
        reason: "AwaitingPod",
        message: format!("pod {pod} waits for {what}"),
        step: Some(renewal_of(pod)),
    })
}

fn renewal_of(pod: &str) -> String {
    format!("renewal of {pod}")
}

fn reason_of(no_path: &NoPath) -> &'static str {
    match no_path {
        NoPath::Identical(_) => "IdenticalVersion",
        NoPath::Downgrade { .. } => "Downgrade",
        NoPath::SkipsMajor { .. } => "UnsupportedPath",
        NoPath::Constrained { .. } => "UpdateConstraints",
        NoPath::Deprecated(_) => "DeprecatedVersion",
        NoPath::Malformed(_) => "MalformedCatalog",
    }
}

fn overdue(seen: &Observed, step: &str) -> bool {
    let record = seen.request.status.as_ref().and_then(|s| s.step.as_ref());
    record.is_some_and(|record| {
        record.name == step
            && seen.now.duration_since(record.started.0).unsigned_abs() > timeout::of(&seen.request)
    })
}

/// What follows when a step took too long.
fn give_up(seen: &Observed, step: &Step) -> Step {
    let what = match step {
        Step::Wait(wait) => wait.message.clone(),
        Step::Evict { pod } => format!("pod {} could not be evicted", pod.name),
        _ => String::new(),
    };
    let cause = format!("{what} (for longer than {})", timeout::text(&seen.request));
    let record = seen.request.status.as_ref().and_then(|s| s.update_version.as_ref());
    let versioned = |record: &UpdateVersionRecord| {
        record.source.name != record.target.name
            && alive(seen).is_some_and(|c| c.spec.version == record.target.name)
    };
    match record {
        None => Step::Finish(Outcome::Failed(format!("{cause}. Nothing was touched"))),
        Some(record) if record.roll_back.is_some() => Step::Finish(Outcome::Failed(format!(
            "{}. The roll-back could not finish: {cause}. The Cassandra stays halted; \
             another CassandraOpsRequest with apply: Always takes over",
            record.roll_back.as_deref().unwrap_or_default()
        ))),
        Some(record) if versioned(record) => Step::Finish(Outcome::Failed(format!(
            "{cause}. The ring runs version {} and is resumed",
            record.target.name
        ))),
        Some(_) => Step::RollBack { cause, log_of: None },
    }
}
