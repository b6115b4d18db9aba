//! Pulls the image of the target on the Kubernetes nodes of the ring before anything is changed. So a missing image is found
//! while all pods run, and no pod's downtime includes a pull.
//!
//! This is an optimization, not a condition: if a pod that pulls is refused, the update goes on without it. But if a node accepts
//! that pod and does not get the image within the time of a step, it could not start Cassandra either, so the request fails. All
//! state is read from the pods, so an operator that restarts continues with those that exist.

use std::collections::BTreeSet;

use api::condition;
use api::ops_request::Release;

use super::pull_pod::{Place, PullPod, PullState};
use crate::observe::{Observed, release};
use crate::refusal;
use crate::step::{Outcome, PULL, PULL_IMAGE, Step, Wait};

/// Reason of the condition if the API server refused a pod.
pub(crate) const REFUSED: &str = "PullRefused";
/// The step to take before the update begins. `None`: every node has the image, as far as possible.
pub(crate) fn before(observed: &Observed, target: &Release) -> Option<Step> {
    if is_refused(observed) {
        return None;
    }
    let places = places(observed, &target.image);
    let (wanted, strays): (Vec<&PullPod>, Vec<&PullPod>) = observed.pull_pods.iter().partition(|pull_pod| {
        pull_pod.image == target.image && places.iter().any(|place| place.host == pull_pod.host)
    });
    let missing = wanted.iter().find_map(|pull_pod| match &pull_pod.state {
        PullState::Missing(what) => Some(format!("node {}: {what}. Nothing was touched", pull_pod.host)),
        _ => None,
    });
    if let Some(message) = missing {
        return Some(Step::Finish(Outcome::Failed(message)));
    }
    if strays.iter().any(|pull_pod| !pull_pod.terminating) {
        return Some(Step::RemovePullPods { pods: strays.into_iter().cloned().collect() });
    }
    let absent = |place: &Place| !wanted.iter().any(|pull_pod| pull_pod.host == place.host);
    let absent: Vec<Place> = places.into_iter().filter(absent).collect();
    if !absent.is_empty() {
        return Some(Step::Pull { image: target.image.clone(), places: absent });
    }
    let (_, _, message) = condition(observed)?;
    wanted.iter().any(|pull_pod| matches!(pull_pod.state, PullState::Pulling(_))).then(|| {
        Step::Wait(Wait {
            condition: PULL_IMAGE.to_owned(),
            reason: "Pulling",
            message,
            step: Some(PULL.to_owned()),
        })
    })
}

/// One place per Kubernetes node with a pod to renew. Pods that are down are left out: they have no uptime to save.
fn places(observed: &Observed, image: &str) -> Vec<Place> {
    let mut hosts = BTreeSet::new();
    let mut places = vec![];
    for rack in observed.racks.iter().filter(|rack| !rack.never_pulls) {
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
pub(crate) fn condition(observed: &Observed) -> Option<(bool, &'static str, String)> {
    let image = release(observed.target.as_deref()?).image;
    let pull_pods = || observed.pull_pods.iter().filter(|pull_pod| pull_pod.image == image);
    if is_refused(observed) || pull_pods().next().is_none() {
        return None;
    }
    let (mut done, mut reason, mut rest) = (0, "Pulled", vec![]);
    for PullPod { host, state, .. } in pull_pods() {
        let (why, what) = match state {
            PullState::Pulled => {
                done += 1;
                continue;
            }
            PullState::Pulling(what) => ("Pulling", format!("waits for {what}")),
            PullState::Missing(what) => ("ImageMissing", what.clone()),
            PullState::Refused(what) => ("NotPulled", format!("did not take the pod that pulls ({what})")),
        };
        reason = why;
        rest.push(format!("; node {host} {what}"));
    }
    let message = format!("image {image} is on {done} of {} nodes{}", pull_pods().count(), rest.concat());
    Some((rest.is_empty(), reason, message))
}

/// Removes the pods that pull before any step that does not need them: they are useful only until the update begins.
pub(crate) fn nothing_left(observed: &Observed, step: Step) -> Step {
    let serves = match &step {
        Step::Pull { .. }
        | Step::RemovePullPods { .. }
        | Step::Probe
        | Step::Rehearse
        | Step::Begin { .. }
        | Step::Finish(_) => true,
        Step::Wait(wait) => wait.condition == PULL_IMAGE,
        _ => false,
    };
    let left: Vec<PullPod> =
        observed.pull_pods.iter().filter(|pull_pod| !pull_pod.terminating).cloned().collect();
    let removal = Step::RemovePullPods { pods: left.clone() };
    // If their removal is refused, they go with their request; that must not block an update that has begun.
    let stays = observed.request.has_begun()
        && !observed.request.phase().is_final()
        && refusal::last_message(observed, &removal).is_some();
    if serves || stays || left.is_empty() { step } else { removal }
}

/// Whether the API server has refused a pod. The pods do not show that, so it is read from the status.
fn is_refused(observed: &Observed) -> bool {
    let conditions = observed.request.status.as_ref().map_or(&[][..], |s| &s.conditions);
    condition::get(conditions, PULL_IMAGE).is_some_and(|pull| pull.reason == REFUSED)
}
