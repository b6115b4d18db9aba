//! Pulls the image of the target on the Kubernetes nodes of the ring before anything is changed. So a missing image is found
//! while all pods run, and no pod's downtime includes a pull.
//!
//! This is an optimization, not a condition: if a pod that pulls is refused, the update goes on without it. But if a node accepts
//! that pod and does not get the image within the time of a step, it could not start Cassandra either, so the request fails. All
//! state is read from the pods, so an operator that restarts continues with those that exist.

use std::collections::BTreeSet;

use api::condition;
use api::ops_request::Release;

use super::observe::{Observed, release};
use super::puller::{Place, Pull, Puller};
use super::refusal;
use super::step::{Outcome, PULL, PULL_IMAGE, Step, Wait};

/// Reason of the condition if the API server refused a pod.
pub(super) const REFUSED: &str = "PullRefused";
/// The step to take before the update begins. `None`: every node has the image, as far as possible.
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

/// One place per Kubernetes node with a pod to renew. Pods that are down are left out: they have no uptime to save.
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

/// The condition to set: status, reason and message. `None`: nothing to report.
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

/// Removes the pods that pull before any step that does not need them: they are useful only until the update begins.
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
    // If their removal is refused, they go with their request; that must not block an update that has begun.
    let begun = seen.request.status.as_ref().is_some_and(|status| status.update_version.is_some());
    let stays = begun && !seen.request.phase().is_final() && refusal::told(seen, &removal).is_some();
    if serves || stays || left.is_empty() { step } else { removal }
}

/// Whether the API server has refused a pod. The pods do not show that, so it is read from the status.
fn is_refused(seen: &Observed) -> bool {
    let conditions = seen.request.status.as_ref().map_or(&[][..], |s| &s.conditions);
    condition::get(conditions, PULL_IMAGE).is_some_and(|pull| pull.reason == REFUSED)
}
