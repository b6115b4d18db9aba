//! The goal of an update, and how many of the pods have reached it.

use api::ops_request::{Release, UpdateVersionRecord};

use super::node::Node;
use super::observe::{Observed, Rack};

/// The release that the update currently moves the ring to: the target, or the source during a roll-back.
pub(super) fn goal(record: &UpdateVersionRecord) -> &Release {
    if record.roll_back.is_some() { &record.source } else { &record.target }
}

/// Whether the pod is Ready on the goal's image.
pub(super) fn is_done(pod: &Node, goal: &Release) -> bool {
    pod.image == goal.image && pod.ready && !pod.terminating
}

/// Whether all pods exist and are Ready on the goal's image.
pub(super) fn is_whole(observed: &Observed, goal: &Release) -> bool {
    observed.racks.iter().all(|rack| {
        rack.image.as_deref() == Some(&goal.image)
            && rack.pods.len() == rack.replicas
            && rack.pods.iter().all(|pod| is_done(pod, goal))
    })
}

/// Whether all templates and existing pods have the goal's image, so that nothing is left to renew. The pods may not be Ready.
pub(super) fn is_at(observed: &Observed, goal: &Release) -> bool {
    observed.racks.iter().all(|rack| {
        rack.image.as_deref() == Some(&goal.image) && rack.pods.iter().all(|pod| pod.image == goal.image)
    })
}

/// A sentence about the outcome for the ring, with nothing left to renew.
pub(super) fn settled(observed: &Observed, record: &UpdateVersionRecord) -> String {
    let goal = goal(record);
    let Some(cause) = &record.roll_back else {
        return format!("The Cassandra has version {}", goal.name);
    };
    if is_whole(observed, goal) {
        return format!("{cause}. The ring is whole on version {}, as before", goal.name);
    }
    let there = |name: &String| {
        observed.racks.iter().flat_map(|rack| &rack.pods).any(|pod| pod.name == *name && is_done(pod, goal))
    };
    let missing = observed.racks.iter().flat_map(Rack::names).filter(|name| !there(name));
    format!(
        "{cause}. The ring is on version {}, as before, but for what is not Ready: pod {}. Kubernetes makes it of that version",
        goal.name,
        missing.collect::<Vec<_>>().join(", pod ")
    )
}
