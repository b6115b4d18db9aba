//! The goal of an update, and how far the ring is from it.

use std::collections::BTreeSet;

use api::ops_request::{Release, UpdateVersionRecord};

use crate::observe::node::Node;
use crate::observe::{Observed, Rack};

/// The release that an update moves the ring to, and which pods have it.
#[derive(Clone, Copy)]
pub(crate) struct Goal<'a> {
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
pub(crate) fn before(observed: &Observed, source: &Release, target: &Release) -> BTreeSet<String> {
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
