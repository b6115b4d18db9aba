//! Before the first change: deny the request, wait for its turn, or check whether the ring is fit for it.

use api::Cassandra;
use api::cassandra::Phase as CassandraPhase;
use api::halt::Halt;
use api::ops_request::Apply;
use k8s_openapi::jiff::SignedDuration;
use kube::ResourceExt;

use super::clock;
use crate::observe::{Admission, Observed};
use crate::operation;
use crate::preparation::replication;
use crate::step::{Outcome, Step, queued, waiting};
use crate::turn::Turn;

/// The next step of a request that has not begun.
pub(super) fn pending(observed: &Observed) -> Step {
    let request = &observed.request;
    match &observed.turn {
        Turn::Superseded(newer) => return Step::Finish(Outcome::Skipped(newer.clone())),
        Turn::After(other) => return queued(other),
        Turn::Now => {}
    }
    let database = &request.spec.database_ref.name;
    let Some(cassandra) = observed.alive() else {
        let message = format!("spec.databaseRef: there is no Cassandra {database} in this namespace");
        return absent(observed, "DatabaseNotFound", message);
    };
    let kind = operation::kind(request.spec.type_);
    if let Some((reason, message)) = kind.lack(observed) {
        return absent(observed, reason, message);
    }
    if let Some((reason, message)) = refusal(observed) {
        return deny(reason, message);
    }
    let halt = Halt::of(cassandra);
    let strict = replication::is_strict(request) == Ok(true);
    if halt == Halt::User {
        let message =
            format!("Cassandra {database} is halted by the user; it begins when spec.halted is false");
        return waiting("HaltedByUser", message, None);
    }
    if let Halt::Request(uid) = &halt
        && observed.unfinished.contains(uid)
    {
        return waiting("Queued", "waits for another CassandraOpsRequest to lift its halt".to_owned(), None);
    }
    unfit(observed, cassandra)
        .or_else(|| replication::condition(observed).filter(|_| strict).and_then(refused))
        .or_else(|| kind.check(observed))
        .unwrap_or_else(|| {
            let first = kind.prepare(observed).unwrap_or_else(|| kind.begin(observed));
            unwelcome(observed, &first).unwrap_or(first)
        })
}

/// Whether a request, which may be another one than that of the observation, can be done, as far as the caches tell. One that
/// cannot does not replace others in the queue.
pub(super) fn can_be_done(observed: &Observed) -> bool {
    let lack = || operation::kind(observed.request.spec.type_).lack(observed);
    observed.cassandra.is_none() || (lack().is_none() && refusal(observed).is_none())
}

/// Why a request is impossible, whatever the state of the ring.
fn refusal(observed: &Observed) -> Option<(&'static str, String)> {
    if let Some(refusal) = operation::kind(observed.request.spec.type_).refusal(observed) {
        return Some(refusal);
    }
    if let Some(rack) = observed.racks.iter().find(|rack| rack.ephemeral) {
        let message = format!(
            "PetSet {} has Ephemeral storage: renewing its pods would throw their data away",
            rack.petset
        );
        return Some(("EphemeralStorage", message));
    }
    replication::is_strict(&observed.request).err().map(|message| ("MalformedAnnotation", message))
}

/// Just before the first change: checks that the API server would accept the renewed pods.
fn unwelcome(observed: &Observed, first: &Step) -> Option<Step> {
    if !matches!(first, Step::Pull { .. } | Step::Begin { .. }) {
        return None;
    }
    match &observed.admission {
        None => Some(Step::Rehearse),
        Some(Admission::Fine) => None,
        Some(Admission::Refused(message)) => Some(deny("PodRefused", message.clone())),
        Some(Admission::Unclear(message)) => {
            Some(waiting("PodRefused", message.clone(), Some("preflight".to_owned())))
        }
    }
}

/// Checks the ring. With `apply: Always` the nodes are asked too, but the request goes on whatever they answer, since it may be
/// what repairs the ring.
fn unfit(observed: &Observed, cassandra: &Cassandra) -> Option<Step> {
    let preflight = Some("preflight".to_owned());
    if let Some(rack) = observed.racks.iter().find(|rack| rack.image.is_none()) {
        let message = format!("PetSet {} is not there yet", rack.petset);
        return Some(waiting("NotProvisioned", message, preflight));
    }
    if observed.request.spec.apply == Apply::Always {
        return observed.ring.is_none().then_some(Step::Probe);
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
    match &observed.ring {
        None => Some(Step::Probe),
        Some(ring) if ring.problems.is_empty() => None,
        Some(ring) => Some(waiting("RingNotWhole", ring.problems.join("; "), preflight)),
    }
}

/// Denies the request if replication is too low, for users who ask for that check. If the ring cannot answer, waits.
fn refused((good, reason, message): (bool, &'static str, String)) -> Option<Step> {
    if reason == replication::UNKNOWN {
        return Some(waiting(reason, message, Some("preflight".to_owned())));
    }
    (!good).then(|| deny(reason, message))
}

/// How long to wait for a missing object: a watch may show a request before the objects that were created together with it.
const GRACE: SignedDuration = SignedDuration::from_secs(10);
/// Step name for that time limit, which counts from when the absence was first observed: the creation time is by another clock.
const ABSENCE: &str = "absence";

fn absent(observed: &Observed, reason: &'static str, message: String) -> Step {
    if clock::alone(observed, ABSENCE).is_some_and(|waited| waited >= GRACE) {
        return deny(reason, message);
    }
    waiting(reason, message, Some(ABSENCE.to_owned()))
}

fn deny(reason: &'static str, message: String) -> Step {
    Step::Finish(Outcome::Denied { reason, message })
}
