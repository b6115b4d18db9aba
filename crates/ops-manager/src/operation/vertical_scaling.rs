//! VerticalScaling: the nodes get other CPU and memory, and the heap that follows from it.

use std::collections::BTreeMap;

use api::ops_request::{NodeResources, NodeSize, VerticalScalingRecord};
use api::{Cassandra, PetSet};
use kube::ResourceExt;

use super::{Names, Operation, Way};
use crate::observe::node::Node;
use crate::observe::{Observed, Rack};
use crate::preparation::one_release;
use crate::step::{Commit, Intent, Step};

/// The type.
pub(crate) struct Kind;

impl super::Kind for Kind {
    fn refusal(&self, observed: &Observed) -> Option<(&'static str, String)> {
        let cassandra = observed.cassandra.as_deref()?;
        let (racks, asked) = (desired::racks(cassandra), asked(observed)?);
        let resources = racks.into_iter().map(|rack| (rack.petset, asked.clone())).collect();
        let mut scaled = cassandra.clone();
        desired::ask(&mut scaled.spec, &cassandra.name_any(), &resources);
        let problem = desired::too_small(&scaled)?;
        Some(("TooLittleMemory", format!("spec.verticalScaling.node.{problem}")))
    }

    fn change(&self, observed: &Observed, petset: &mut PetSet, _waiting: Option<&PetSet>) {
        if let Some(size) = targets(observed).get(&petset.name_any()) {
            desired::set_size(&mut petset.spec.template, size);
        }
    }

    fn check(&self, observed: &Observed) -> Option<Step> {
        one_release::awaited(observed)
    }

    fn begin(&self, observed: &Observed) -> Step {
        let cassandra = observed.cassandra.as_deref();
        let former = cassandra.map(desired::racks).unwrap_or_default();
        let source = observed.racks.iter().filter_map(|rack| Some((rack.petset.clone(), rack.size.clone()?)));
        let of_racks = observed.racks.iter().filter_map(|rack| rack.revision.clone());
        let record = VerticalScalingRecord {
            cassandra: cassandra.and_then(ResourceExt::uid),
            former: former.iter().map(|rack| (rack.petset.clone(), desired::asked(rack))).collect(),
            resources: asked(observed).unwrap_or_default(),
            source: source.collect(),
            target: targets(observed),
            before: observed.pods().map(|(_, pod)| pod.revision.clone()).chain(of_racks).collect(),
            roll_back: None,
        };
        let message =
            format!("started to give {} nodes {}{}", observed.nodes(), record.resources, heap(&record));
        Step::Begin { intent: Intent::VerticalScaling(record), message }
    }
}

fn asked(observed: &Observed) -> Option<NodeResources> {
    Some(observed.request.spec.vertical_scaling.as_ref()?.node.resources.clone())
}

/// The sizes that the nodes of each PetSet get.
fn targets(observed: &Observed) -> BTreeMap<String, NodeSize> {
    let (Some(cassandra), Some(asked)) = (&observed.cassandra, asked(observed)) else {
        return BTreeMap::new();
    };
    let racks = desired::racks(cassandra);
    racks.iter().map(|rack| (rack.petset.clone(), desired::size_for(rack, &asked))).collect()
}

/// What becomes of the heap: it follows the limit of the memory, unless the user sizes it.
fn heap(record: &VerticalScalingRecord) -> String {
    let mut told = BTreeMap::<String, Vec<&str>>::new();
    for (petset, target) in &record.target {
        let Some(source) = record.source.get(petset) else { continue };
        let [before, after] = [source, target].map(|size| size.heap.get("MAX_HEAP_SIZE"));
        let memory = [source, target].map(|size| size.resources.limits.get("memory"));
        let words = match (before, after) {
            (Some(before), Some(after)) if before != after => format!("goes from {before} to {after}"),
            (Some(before), Some(_)) if memory[0] != memory[1] => {
                format!("stays at {before}, as the pod template says")
            }
            _ => continue,
        };
        told.entry(words).or_default().push(petset);
    }
    let each = told.iter().map(|(words, petsets)| format!("; the heap of {} {words}", petsets.join(", ")));
    each.collect()
}

/// A vertical scaling under way.
pub(crate) struct VerticalScaling<'a> {
    record: &'a VerticalScalingRecord,
    /// It goes back.
    back: bool,
}

impl<'a> VerticalScaling<'a> {
    /// The present direction.
    pub fn of(record: &'a VerticalScalingRecord) -> Self {
        Self { record, back: record.roll_back.is_some() }
    }

    /// The size that the nodes of a rack get.
    fn goal(&self, rack: &Rack) -> Option<&NodeSize> {
        let sizes = if self.back { &self.record.source } else { &self.record.target };
        sizes.get(&rack.petset)
    }

    /// What the spec asks for at the end.
    fn resources(&self) -> BTreeMap<String, NodeResources> {
        if self.back {
            return self.record.former.clone();
        }
        self.record.former.keys().map(|petset| (petset.clone(), self.record.resources.clone())).collect()
    }

    /// Whether a Cassandra asks for this.
    fn asks_for(cassandra: &Cassandra, resources: &BTreeMap<String, NodeResources>) -> bool {
        let mut racks = desired::racks(cassandra).into_iter();
        racks.all(|rack| resources.get(&rack.petset).is_none_or(|asked| *asked == desired::asked(&rack)))
    }
}

impl Operation for VerticalScaling<'_> {
    fn names(&self) -> &'static Names {
        &Names { running: "RunningPod", renewed: "RestartPods", successful: "completed the vertical scaling" }
    }

    fn cassandra(&self) -> Option<&str> {
        self.record.cassandra.as_deref()
    }

    fn way(&self) -> Way<'_> {
        self.record.roll_back.as_deref().map_or(Way::Forward, Way::Back)
    }

    fn give(&self, rack: &Rack) -> Option<Step> {
        let size = self.goal(rack).filter(|size| rack.size.as_ref() != Some(size))?;
        Some(Step::SetSize { petset: rack.petset.clone(), size: size.clone() })
    }

    fn templates(&self, observed: &Observed) -> Option<(bool, String)> {
        let all = observed.racks.len();
        let updated = observed.racks.iter().filter(|rack| self.give(rack).is_none()).count();
        let words = if self.back { "their former size" } else { "their new size" };
        (updated > 0).then(|| (updated == all, format!("{updated} of {all} PetSets have {words}")))
    }

    fn is_renewed(&self, rack: &Rack, pod: &Node) -> bool {
        let of_template = self.give(rack).is_none() && rack.revision.as_ref() == Some(&pod.revision);
        of_template || (self.back && self.record.before.contains(&pod.revision))
    }

    fn is_reached(&self, observed: &Observed) -> bool {
        observed.racks.iter().all(|rack| self.give(rack).is_none())
            && observed.pods().all(|(rack, pod)| self.is_renewed(rack, pod))
    }

    fn commit(&self) -> Option<Commit> {
        Some(Commit::Resources(self.resources()))
    }

    fn is_committed(&self, cassandra: &Cassandra) -> bool {
        Self::asks_for(cassandra, &self.resources())
    }

    fn can_stop(&self, _observed: &Observed, cassandra: &Cassandra) -> bool {
        !self.is_committed(cassandra)
    }

    fn is_over(&self, cassandra: &Cassandra) -> bool {
        !self.back && !Self::asks_for(cassandra, &self.record.former) && self.is_committed(cassandra)
    }

    fn is_untouched(&self, observed: &Observed, cassandra: &Cassandra) -> bool {
        let source = Self { back: true, ..*self };
        source.is_committed(cassandra) && source.is_reached(observed)
    }

    fn outdated(&self, cassandra: &Cassandra) -> Option<String> {
        (!Self::asks_for(cassandra, &self.record.former)).then(|| {
            "the spec of the Cassandra asks for other resources by now than when this request began"
                .to_owned()
        })
    }

    fn outcome(&self, observed: &Observed) -> String {
        let Way::Back(cause) = self.way() else { return "The nodes have their new size".to_owned() };
        let operation: &dyn Operation = self;
        let missing = operation.missing(observed);
        if missing.is_empty() {
            return format!("{cause}. The ring is whole, and its nodes have the size that they had");
        }
        format!(
            "{cause}. The ring is as before, but for what is not Ready: pod {}. Kubernetes makes it with the size that it had",
            missing.join(", pod ")
        )
    }
}
