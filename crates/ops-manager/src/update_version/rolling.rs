//! Renews the pods: sets the images, checks the ring between two pods, and reacts to pods that fail.

use api::condition;
use api::ops_request::{Apply, Release, UpdateVersionRecord};

use super::clock::{overdue, since};
use super::goal::Goal;
use super::node::Node;
use super::observe::{Observed, Rack};
use super::step::{Step, Wait, image_of, renewal_of};
use super::way_back;

/// Renews the pods that are not at the goal, one at a time. `None`: all nodes are at the goal and the ring is whole.
pub(super) fn roll(observed: &Observed, record: &UpdateVersionRecord) -> Option<Step> {
    let goal = Goal::of(record);
    if goal.back && only_leaving_are_left(observed, goal) {
        return None;
    }
    if let Some(step) = way_back::held_up(observed, record) {
        return Some(step);
    }
    let racks = in_order(observed, goal);
    // The target's image is set on one rack at a time, so that a bad image never reaches a second pod. The source's image
    // is known to be good and is set on all racks at once, so that the failed pod can be renewed first.
    let groups: Vec<&[&Rack]> = if goal.back { vec![&racks[..]] } else { racks.chunks(1).collect() };
    groups
        .into_iter()
        .find_map(|group| renew(observed, group, goal, record))
        .or_else(|| gate(observed, record, "VerifyRing", "verify".to_owned()))
}

/// The order in which racks are renewed; within a group, in the order of the spec:
///
/// 1. racks that have begun,
/// 2. racks with a pod that is down, since only its renewal can make the ring whole,
/// 3. the others.
///
/// With `apply: Always`, as soon as the image has brought up a pod, 2 comes before 1: the check before the next pod of a rack
/// that has begun would wait for the pods that are down.
fn in_order<'a>(observed: &'a Observed, goal: Goal<'_>) -> Vec<&'a Rack> {
    let mut order: Vec<&Rack> = observed.racks.iter().collect();
    let begun = |rack: &Rack| goal.has_image(rack);
    let down = |rack: &Rack| rack.pods.iter().any(|pod| !pod.ready);
    let proven = observed.pods().any(|(rack, pod)| pod.ready && goal.is_renewed(rack, pod));
    if observed.request.spec.apply == Apply::Always && proven {
        order.sort_by_key(|rack| (!down(rack), !begun(rack)));
    } else {
        order.sort_by_key(|rack| (!begun(rack), !down(rack)));
    }
    order
}

fn renew(observed: &Observed, racks: &[&Rack], goal: Goal<'_>, record: &UpdateVersionRecord) -> Option<Step> {
    if let Some(rack) = racks.iter().find(|rack| rack.image.is_none()) {
        return Some(Step::Wait(Wait {
            condition: "UpdatePetSets".to_owned(),
            reason: "NoPetSet",
            message: format!(
                "PetSet {} is gone; the provisioner makes it again when it is resumed",
                rack.petset
            ),
            step: Some(image_of(&rack.petset)),
        }));
    }
    if let Some(rack) = racks.iter().find(|rack| !goal.has_image(rack)) {
        return Some(Step::SetImage { petset: rack.petset.clone(), image: goal.release.image.clone() });
    }
    if let Some(rack) = racks.iter().find(|rack| rack.revision.is_none()) {
        return Some(Step::Wait(Wait {
            condition: "UpdatePetSets".to_owned(),
            reason: "AwaitingPetSet",
            message: format!("waits for the controllers to see the new image of PetSet {}", rack.petset),
            step: Some(image_of(&rack.petset)),
        }));
    }
    if let Some(rack) = racks.iter().find(|rack| rack.pods.len() < rack.replicas) {
        let absent =
            rack.names().find(|name| !rack.pods.iter().any(|pod| pod.name == *name)).unwrap_or_default();
        return Some(pod_wait(&absent, "Kubernetes to make it"));
    }
    let pods = || racks.iter().flat_map(|rack| rack.pods.iter().map(move |pod| (rack, pod)));
    if let Some((_, pod)) = pods().find(|(_, pod)| pod.terminating) {
        return Some(leaving(observed, pod, goal.back));
    }
    if let Some((_, pod)) = pods().find(|(rack, pod)| !pod.ready && goal.is_renewed(rack, pod)) {
        return Some(match &pod.trouble {
            Some(trouble) if !goal.back => Step::RollBack {
                cause: format!("pod {}: {}", pod.name, trouble.what),
                log_of: trouble.log_of.clone().map(|container| (pod.name.clone(), container)),
            },
            trouble => pod_wait(&pod.name, trouble.as_ref().map_or(&pod.waits_for, |t| &t.what)),
        });
    }
    // Renewing a pod that is down costs nothing. Any other pod may be renewed only while all the others are up.
    let (_, next) =
        pods().filter(|(rack, pod)| !goal.is_renewed(rack, pod)).min_by_key(|(_, pod)| pod.ready)?;
    let evict = Step::Evict { pod: next.clone() };
    if !next.ready {
        return Some(evict);
    }
    let condition = format!("GetPod--{}", next.name);
    Some(gate(observed, record, &condition, renewal_of(&next.name)).unwrap_or(evict))
}

/// Returns a step unless every node sees every node up and each renewed node reports the expected release.
fn gate(observed: &Observed, record: &UpdateVersionRecord, condition: &str, step: String) -> Option<Step> {
    let Some(ring) = &observed.ring else { return Some(Step::Probe) };
    let goal = Goal::of(record);
    let Release { name, version, image } = goal.release;
    let renewed = observed.pods().filter(|(rack, pod)| goal.is_renewed(rack, pod));
    let wrong = renewed
        .filter_map(|(_, pod)| Some((pod, ring.releases.get(&pod.name)?)))
        .find(|(_, release)| release.to_string() != *version);
    // During a roll-back the cache may still show a pod as it was before the update renewed it. Any other release is ignored: a
    // node of the source reported it before the update too.
    let ahead = wrong.filter(|(_, release)| goal.back && release.to_string() == record.target.version);
    if let Some((pod, release)) = wrong
        && !goal.back
    {
        let cause = format!(
            "pod {}: image {image} holds release {release}, but CassandraVersion {name} says {version}",
            pod.name
        );
        return Some(Step::RollBack { cause, log_of: None });
    }
    let silent = observed.pods().find(|(_, pod)| !ring.releases.contains_key(&pod.name));
    let missing = silent.map(|(_, pod)| format!("pod {} has not answered", pod.name));
    let ahead = ahead.map(|(pod, release)| format!("pod {} still runs release {release}", pod.name));
    let problems: Vec<String> = if ring.problems.is_empty() {
        missing.into_iter().chain(ahead).collect()
    } else {
        ring.problems.clone()
    };
    (!problems.is_empty()).then(|| {
        Step::Wait(Wait {
            condition: condition.to_owned(),
            reason: "RingNotWhole",
            message: problems.join("; "),
            step: Some(step),
        })
    })
}

/// Seconds beyond its grace period after which a pod that is being deleted counts as stuck.
const OVERSTAY: i64 = 60;

/// Waits for a pod that is being deleted, and reports what prevents it from ending, if anything.
fn leaving(observed: &Observed, pod: &Node, back: bool) -> Step {
    match keeper(observed, pod, back) {
        None => pod_wait(&pod.name, "Cassandra to drain and stop"),
        Some(keeper) => pod_wait(&pod.name, &format!("its own end: it is Terminating, and held by {keeper}")),
    }
}

fn keeper(observed: &Observed, pod: &Node, back: bool) -> Option<String> {
    let overstayed = || {
        let type_ = format!("{}RunningPod--{}", if back { "RollBack" } else { "" }, pod.name);
        let told = condition::get(&observed.request.status.as_ref()?.conditions, &type_)?;
        let waited = since(observed, told.last_transition_time.0).as_secs();
        let host = pod.host.as_deref().unwrap_or("unknown");
        (told.status == "False" && waited > pod.grace.saturating_add(OVERSTAY)).then(|| {
            format!(
                "Kubernetes node {host} for longer than its grace of {} s; is that machine lost?",
                pod.grace
            )
        })
    };
    pod.held.clone().or_else(overstayed)
}

/// Whether a roll-back only waits for pods that do not end. They run the source (or did), and Kubernetes creates them again
/// from it once they are gone, with or without this request. So the halt need not stay for them.
fn only_leaving_are_left(observed: &Observed, goal: Goal<'_>) -> bool {
    let held = |rack: &Rack, pod: &Node| {
        pod.terminating
            && goal.is_renewed(rack, pod)
            && (keeper(observed, pod, true).is_some() || overdue(observed, &renewal_of(&pod.name)))
    };
    let given = |rack: &Rack| rack.revision.is_some() && goal.has_image(rack);
    observed.pods().any(|(rack, pod)| held(rack, pod))
        && observed.pods().all(|(rack, pod)| goal.is_done(rack, pod) || held(rack, pod))
        && observed.racks.iter().all(|rack| given(rack) && rack.pods.len() == rack.replicas)
}

fn pod_wait(pod: &str, what: &str) -> Step {
    Step::Wait(Wait {
        condition: format!("RunningPod--{pod}"),
        reason: "AwaitingPod",
        message: format!("pod {pod} waits for {what}"),
        step: Some(renewal_of(pod)),
    })
}
