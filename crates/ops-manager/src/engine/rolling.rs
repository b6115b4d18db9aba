//! Renews the pods: gives the racks their templates, checks the ring between two pods, and reacts to pods that fail.

use api::condition;
use api::ops_request::Apply;

use super::clock::{overdue, since};
use crate::observe::node::Node;
use crate::observe::{Observed, Rack};
use crate::operation::{Operation, Way};
use crate::step::{Step, Wait, renewal_of, template_of};

/// Renews the pods that are not as they should be, one at a time. `None`: all are, and the ring is whole; or the rest is left
/// as it is.
pub(super) fn roll(observed: &Observed, operation: &dyn Operation) -> Option<Step> {
    let back = operation.goes_back();
    if matches!(operation.way(), Way::Stopped(_)) {
        return on_its_way(observed, operation);
    }
    if back && only_leaving_are_left(observed, operation) {
        return None;
    }
    if let Some(step) = operation.obstacle(observed) {
        return Some(step);
    }
    let racks = in_order(observed, operation);
    // A new template is given to one rack at a time, so that a bad one never reaches a second pod. The old template is known to
    // be good and is given to all racks at once, so that the failed pod can be renewed first.
    let groups: Vec<&[&Rack]> = if back { vec![&racks[..]] } else { racks.chunks(1).collect() };
    groups
        .into_iter()
        .find_map(|group| renew(observed, group, operation))
        .or_else(|| gate(observed, operation, "VerifyRing", "verify".to_owned()))
}

/// Waits for the pod that is being renewed when the user stops a request that has no way back.
fn on_its_way(observed: &Observed, operation: &dyn Operation) -> Option<Step> {
    observed.request.metadata.deletion_timestamp.as_ref()?;
    let comes = |pod: &Node| pod.trouble.is_none() && !overdue(observed, &renewal_of(&pod.name));
    let (_, pod) = observed.pods().find(|(_, pod)| !pod.is_up() && comes(pod))?;
    Some(pod_wait(operation, &pod.name, &pod.waits_for))
}

/// The order in which racks are renewed; within a group, in the order of the spec:
///
/// 1. racks that have begun,
/// 2. racks with a pod that is down, since only its renewal can make the ring whole,
/// 3. the others.
///
/// With `apply: Always`, as soon as a pod has come up renewed, 2 comes before 1: the check before the next pod of a rack
/// that has begun would wait for the pods that are down.
fn in_order<'a>(observed: &'a Observed, operation: &dyn Operation) -> Vec<&'a Rack> {
    let mut order: Vec<&Rack> = observed.racks.iter().collect();
    let begun = |rack: &Rack| operation.has_begun(rack);
    let down = |rack: &Rack| rack.pods.iter().any(|pod| !pod.ready);
    let proven = observed.pods().any(|(rack, pod)| pod.ready && operation.is_renewed(rack, pod));
    if observed.request.spec.apply == Apply::Always && proven {
        order.sort_by_key(|rack| (!down(rack), !begun(rack)));
    } else {
        order.sort_by_key(|rack| (!begun(rack), !down(rack)));
    }
    order
}

fn renew(observed: &Observed, racks: &[&Rack], operation: &dyn Operation) -> Option<Step> {
    let back = operation.goes_back();
    if let Some(rack) = racks.iter().find(|rack| rack.image.is_none()) {
        return Some(Step::Wait(Wait {
            condition: "UpdatePetSets".to_owned(),
            reason: "NoPetSet",
            message: format!(
                "PetSet {} is gone; the provisioner makes it again when it is resumed",
                rack.petset
            ),
            step: Some(template_of(&rack.petset)),
        }));
    }
    if let Some(step) = racks.iter().find_map(|rack| operation.give(rack)) {
        return Some(step);
    }
    if let Some(rack) = racks.iter().find(|rack| rack.revision.is_none()) {
        return Some(Step::Wait(Wait {
            condition: "UpdatePetSets".to_owned(),
            reason: "AwaitingPetSet",
            message: format!("waits for the controllers to see the new template of PetSet {}", rack.petset),
            step: Some(template_of(&rack.petset)),
        }));
    }
    if let Some(rack) = racks.iter().find(|rack| rack.pods.len() < rack.replicas) {
        let absent =
            rack.names().find(|name| !rack.pods.iter().any(|pod| pod.name == *name)).unwrap_or_default();
        return Some(pod_wait(operation, &absent, "Kubernetes to make it"));
    }
    let pods = || racks.iter().flat_map(|rack| rack.pods.iter().map(move |pod| (rack, pod)));
    if let Some((_, pod)) = pods().find(|(_, pod)| pod.terminating) {
        return Some(leaving(observed, operation, pod));
    }
    if let Some((_, pod)) = pods().find(|(rack, pod)| !pod.ready && operation.is_renewed(rack, pod)) {
        return Some(match &pod.trouble {
            Some(trouble) if !back => Step::GiveUp {
                cause: format!("pod {}: {}", pod.name, trouble.what),
                log_of: trouble.log_of.clone().map(|container| (pod.name.clone(), container)),
            },
            trouble => pod_wait(operation, &pod.name, trouble.as_ref().map_or(&pod.waits_for, |t| &t.what)),
        });
    }
    // Renewing a pod that is down costs nothing. Any other pod may be renewed only while all the others are up.
    let (_, next) =
        pods().filter(|(rack, pod)| !operation.is_renewed(rack, pod)).min_by_key(|(_, pod)| pod.ready)?;
    let evict = Step::Evict { pod: next.clone() };
    if !next.ready {
        return Some(evict);
    }
    let condition = format!("GetPod--{}", next.name);
    Some(gate(observed, operation, &condition, renewal_of(&next.name)).unwrap_or(evict))
}

/// Returns a step unless every node sees every node up and each renewed node is what it should be.
fn gate(observed: &Observed, operation: &dyn Operation, condition: &str, step: String) -> Option<Step> {
    let Some(ring) = &observed.ring else { return Some(Step::Probe) };
    let mut renewed = observed.pods().filter(|(rack, pod)| operation.is_renewed(rack, pod));
    let wrong = renewed.find_map(|(_, pod)| operation.wrong(pod, ring.releases.get(&pod.name)?));
    if let Some(cause) = &wrong
        && !operation.goes_back()
    {
        return Some(Step::GiveUp { cause: cause.clone(), log_of: None });
    }
    let silent = observed.pods().find(|(_, pod)| !ring.releases.contains_key(&pod.name));
    let silent = silent.map(|(_, pod)| format!("pod {} has not answered", pod.name));
    let problems: Vec<String> = if ring.problems.is_empty() {
        silent.into_iter().chain(wrong).collect()
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
fn leaving(observed: &Observed, operation: &dyn Operation, pod: &Node) -> Step {
    let what = match keeper(observed, operation, pod) {
        None => "Cassandra to drain and stop".to_owned(),
        Some(keeper) => format!("its own end: it is Terminating, and held by {keeper}"),
    };
    pod_wait(operation, &pod.name, &what)
}

fn keeper(observed: &Observed, operation: &dyn Operation, pod: &Node) -> Option<String> {
    let overstayed = || {
        let status = observed.request.status.as_ref()?;
        let type_ = format!("{}{}--{}", status.prefix(), operation.names().running, pod.name);
        let told = condition::get(&status.conditions, &type_)?;
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
fn only_leaving_are_left(observed: &Observed, operation: &dyn Operation) -> bool {
    let held = |rack: &Rack, pod: &Node| {
        pod.terminating
            && operation.is_renewed(rack, pod)
            && (keeper(observed, operation, pod).is_some() || overdue(observed, &renewal_of(&pod.name)))
    };
    let given = |rack: &Rack| rack.revision.is_some() && operation.give(rack).is_none();
    observed.pods().any(|(rack, pod)| held(rack, pod))
        && observed.pods().all(|(rack, pod)| operation.is_done(rack, pod) || held(rack, pod))
        && observed.racks.iter().all(|rack| given(rack) && rack.pods.len() == rack.replicas)
}

fn pod_wait(operation: &dyn Operation, pod: &str, what: &str) -> Step {
    Step::Wait(Wait {
        condition: format!("{}--{pod}", operation.names().running),
        reason: "AwaitingPod",
        message: format!("pod {pod} waits for {what}"),
        step: Some(renewal_of(pod)),
    })
}
