//! The goal of an update, and how far the ring is from it.

use std::collections::BTreeSet;

use api::ops_request::{Release, UpdateVersionRecord};

use super::node::Node;
use super::observe::{Observed, Rack};

/// The release that an update moves the ring to, and which pods have it.
#[derive(Clone, Copy)]
pub(super) struct Goal<'a> {
    /// The target, or the source during a roll-back.
    pub release: &'a Release,
    /// It is a roll-back.
    pub back: bool,
    before: Option<&'a BTreeSet<String>>,
}

impl<'a> Goal<'a> {
    /// The present goal.
    pub fn of(record: &'a UpdateVersionRecord) -> Self {
        if record.roll_back.is_some() { Self::source(record) } else { Self::target(record) }
    }

    /// The goal of a roll-back.
    pub fn source(record: &'a UpdateVersionRecord) -> Self {
        Self { release: &record.source, back: true, before: record.before.as_ref() }
    }

    /// The goal of an update that is not rolled back.
    pub fn target(record: &'a UpdateVersionRecord) -> Self {
        Self { release: &record.target, back: false, before: record.before.as_ref() }
    }

    /// Whether the template of the rack has the image.
    pub fn has_image(self, rack: &Rack) -> bool {
        rack.image.as_deref() == Some(&self.release.image)
    }

    /// Whether the pod was made from the goal's template, which its revision tells. Its image may not: a webhook may rewrite
    /// the images of pods (<https://github.com/cloudnative-pg/cloudnative-pg/issues/3231>).
    ///
    /// During a roll-back, a pod that the update has not renewed counts too, whatever else has changed in the template.
    pub fn is_renewed(self, rack: &Rack, pod: &Node) -> bool {
        let Some(before) = self.before else { return pod.image == self.release.image };
        let of_template = self.has_image(rack) && rack.revision.as_ref() == Some(&pod.revision);
        of_template || (self.back && before.contains(&pod.revision))
    }

    /// Whether the pod is Ready, and made from the goal's template.
    pub fn is_done(self, rack: &Rack, pod: &Node) -> bool {
        self.is_renewed(rack, pod) && pod.ready && !pod.terminating
    }

    /// How many pods are done.
    pub fn done(self, observed: &Observed) -> usize {
        let of_rack = |rack: &Rack| rack.pods.iter().filter(|pod| self.is_done(rack, pod)).count();
        observed.racks.iter().map(of_rack).sum()
    }

    /// Whether all templates have the image, and all pods exist and are done.
    pub fn is_whole(self, observed: &Observed) -> bool {
        observed.racks.iter().all(|rack| self.has_image(rack)) && self.done(observed) == observed.nodes()
    }

    /// Whether nothing is left to renew. The pods may not be Ready.
    ///
    /// Once the halt is lifted, the provisioner may change the templates, so a pod with the image counts too.
    pub fn is_reached(self, observed: &Observed) -> bool {
        let has = |rack: &Rack, pod: &Node| pod.image == self.release.image || self.is_renewed(rack, pod);
        let all = |rack: &Rack| self.has_image(rack) && rack.pods.iter().all(|pod| has(rack, pod));
        observed.racks.iter().all(all)
    }
}

/// The revisions to record when an update begins: those of the templates with the source's image, and of the pods that run the
/// source, as their image or the node itself tells.
///
/// None if source and target have the same image: then a roll-back leaves no pod alone.
pub(super) fn before(observed: &Observed, source: &Release, target: &Release) -> BTreeSet<String> {
    if source.image == target.image {
        return BTreeSet::new();
    }
    let releases = observed.ring.as_ref().map(|ring| &ring.releases);
    let reports_source = |pod: &Node| {
        let release = releases.and_then(|releases| releases.get(&pod.name));
        release.is_some_and(|release| release.to_string() == source.version)
    };
    let runs_source =
        |pod: &&Node| pod.image == source.image || (pod.image != target.image && reports_source(pod));
    let of_rack = |rack: &Rack| {
        let template = rack.revision.clone().filter(|_| rack.image.as_ref() == Some(&source.image));
        let pods = rack.pods.iter().filter(runs_source).map(|pod| pod.revision.clone());
        pods.chain(template).collect::<Vec<_>>()
    };
    observed.racks.iter().flat_map(of_rack).collect()
}

/// A sentence about the outcome for the ring, with nothing left to renew.
pub(super) fn outcome(observed: &Observed, record: &UpdateVersionRecord) -> String {
    let goal = Goal::of(record);
    let name = &goal.release.name;
    let Some(cause) = &record.roll_back else {
        return format!("The Cassandra has version {name}");
    };
    if goal.is_whole(observed) {
        return format!("{cause}. The ring is whole on version {name}, as before");
    }
    let missing = observed.racks.iter().flat_map(|rack| {
        let done = |name: &String| rack.pods.iter().any(|pod| pod.name == *name && goal.is_done(rack, pod));
        rack.names().filter(move |name| !done(name))
    });
    format!(
        "{cause}. The ring is on version {name}, as before, but for what is not Ready: pod {}. Kubernetes makes it of that version",
        missing.collect::<Vec<_>>().join(", pod ")
    )
}
