//! Pull first: the image of the target is brought to the Kubernetes nodes of the ring before anything is touched, so that a
//! missing image is found while all pods run, and a pod's downtime has no pulling in it.
//!
//! It helps the update and is not a condition for it: where a pod that pulls is refused, the update goes on without. A node
//! that takes the pod and does not come to the image in the time of a step would not start Cassandra either, so that
//! ends the request. All of this is read off the pods, so that a restart goes on with those that are there.

use std::collections::BTreeSet;

use api::condition;
use api::ops_request::Release;

use super::observe::{Observed, release};
use super::puller::{Place, Pull, Puller};
use super::refusal;
use super::step::{Outcome, PULL, PULL_IMAGE, Step, Wait};

/// Its reason when the API server did not let a pod be made.
pub(super) const REFUSED: &str = "PullRefused";
/// What is to do before the update begins. `None`: the image is wherever it can be.
pub(super) fn before(seen: &Observed, target: &Release) -> Option<Step> {
    if is_refused(seen) {
        return None;
    }
    let places = places(seen, &target.image);
    let (wanted, strays): (Vec<&Puller>, Vec<&Puller>) = seen.pullers.iter().partition(|puller| {
        puller.image == target.image && places.iter().any(|place| place.host == puller.host)
    });
    let missing = wanted.iter().find_map(|puller| match &puller.state {
        Pull::Missing(what) => Some(format!("node {}: {what}. Nothing was touched", puller.host)),
        _ => None,
    });
    if let Some(message) = missing {
        return Some(Step::Finish(Outcome::Failed(message)));
    }
    if strays.iter().any(|puller| !puller.terminating) {
        return Some(Step::RemovePullers { pods: strays.into_iter().cloned().collect() });
    }
    let absent = |place: &Place| !wanted.iter().any(|puller| puller.host == place.host);
    let absent: Vec<Place> = places.into_iter().filter(absent).collect();
    if !absent.is_empty() {
        return Some(Step::Pull { image: target.image.clone(), places: absent });
    }
    let (_, _, message) = told(seen)?;
    wanted.iter().any(|puller| matches!(puller.state, Pull::Pulling(_))).then(|| {
        Step::Wait(Wait {
            condition: PULL_IMAGE.to_owned(),
            reason: "Pulling",
            message,
            step: Some(PULL.to_owned()),
        })
    })
}

/// One place for each node of Kubernetes with a pod that will be renewed. A pod that is down has no uptime to save.
fn places(seen: &Observed, image: &str) -> Vec<Place> {
    let mut hosts = BTreeSet::new();
    let mut places = vec![];
    for rack in seen.racks.iter().filter(|rack| !rack.never_pulls) {
        for pod in rack.pods.iter().filter(|pod| pod.ready && pod.image != image) {
            let Some(host) = &pod.host else { continue };
            if hosts.insert(host) {
                places.push(Place { host: host.clone(), pod: pod.name.clone(), petset: rack.petset.clone() });
            }
        }
    }
    places
}

/// How far it is: the condition, True or False, its reason and its message. `None`: there is nothing to tell.
pub(super) fn told(seen: &Observed) -> Option<(bool, &'static str, String)> {
    let image = release(seen.target.as_deref()?).image;
    let pullers = || seen.pullers.iter().filter(|puller| puller.image == image);
    if is_refused(seen) || pullers().next().is_none() {
        return None;
    }
    let (mut done, mut reason, mut rest) = (0, "Pulled", vec![]);
    for Puller { host, state, .. } in pullers() {
        let (why, what) = match state {
            Pull::Pulled => {
                done += 1;
                continue;
            }
            Pull::Pulling(what) => ("Pulling", format!("waits for {what}")),
            Pull::Missing(what) => ("ImageMissing", what.clone()),
            Pull::Refused(what) => ("NotPulled", format!("did not take the pod that pulls ({what})")),
        };
        reason = why;
        rest.push(format!("; node {host} {what}"));
    }
    let message = format!("image {image} is on {done} of {} nodes{}", pullers().count(), rest.concat());
    Some((rest.is_empty(), reason, message))
}

/// Such pods serve only until the update begins; any other step removes them first.
pub(super) fn nothing_left(seen: &Observed, step: Step) -> Step {
    let serves = match &step {
        Step::Pull { .. }
        | Step::RemovePullers { .. }
        | Step::Probe
        | Step::Rehearse
        | Step::Begin { .. }
        | Step::Finish(_) => true,
        Step::Wait(wait) => wait.condition == PULL_IMAGE,
        _ => false,
    };
    let left: Vec<Puller> = seen.pullers.iter().filter(|puller| !puller.terminating).cloned().collect();
    let removal = Step::RemovePullers { pods: left.clone() };
    // One that nobody lets be removed goes with its request, and is no reason to hold up an update that has begun.
    let begun = seen.request.status.as_ref().is_some_and(|status| status.update_version.is_some());
    let stays = begun && !seen.request.phase().is_final() && refusal::told(seen, &removal).is_some();
    if serves || stays || left.is_empty() { step } else { removal }
}

/// The API server refused a pod once: that cannot be read off the pods.
fn is_refused(seen: &Observed) -> bool {
    let conditions = seen.request.status.as_ref().map_or(&[][..], |s| &s.conditions);
    condition::get(conditions, PULL_IMAGE).is_some_and(|pull| pull.reason == REFUSED)
}
