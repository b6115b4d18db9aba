//! Restart: all pods are renewed, and get the changes that their templates lack.

use api::ops_request::RestartRecord;
use api::{Cassandra, PetSet};
use kube::ResourceExt;

use super::{Names, Operation, Way};
use crate::observe::node::Node;
use crate::observe::{Observed, Rack};
use crate::preparation::one_release;
use crate::step::{Intent, Step, waiting};

/// The type.
pub(crate) struct Kind;

impl super::Kind for Kind {
    fn change(&self, _observed: &Observed, petset: &mut PetSet, waiting: Option<&PetSet>) {
        if let Some(waiting) = waiting {
            petset.spec.template = waiting.spec.template.clone();
        }
    }

    fn check(&self, observed: &Observed) -> Option<Step> {
        one_release::awaited(observed)
    }

    fn prepare(&self, observed: &Observed) -> Option<Step> {
        if let Some(what) = untaken(observed) {
            let message = format!(
                "waits for the provisioner to take {what}, which the restart brings; if it cannot, the condition \
                 ProvisioningStarted of the Cassandra says why"
            );
            return Some(waiting("AwaitingConfiguration", message, Some("preflight".to_owned())));
        }
        let unobserved = observed.racks.iter().find(|rack| rack.waits && rack.revision.is_none())?;
        let message =
            format!("waits for the controllers to see the template of PetSet {}", unobserved.petset);
        Some(waiting("AwaitingPetSet", message, Some("preflight".to_owned())))
    }

    fn begin(&self, observed: &Observed) -> Step {
        let intent = Intent::Restart(RestartRecord {
            cassandra: observed.cassandra.as_deref().and_then(ResourceExt::uid),
            pods: observed.pods().map(|(_, pod)| pod.uid.clone()).collect(),
            outdated: observed.racks.iter().filter(|rack| rack.waits).filter_map(named).collect(),
            stopped: None,
        });
        let waiting = observed.pods().filter(|(rack, pod)| rack.waits || rack.has_other_template_than(pod));
        let waiting: Vec<&str> = waiting.map(|(_, pod)| pod.name.as_str()).collect();
        let brings = match &*waiting {
            [] => String::new(),
            pods => {
                format!("; these lack changes of their template, which they get now: {}", pods.join(", "))
            }
        };
        Step::Begin { intent, message: format!("started to restart {} pods{brings}", observed.nodes()) }
    }
}

/// What the user may have edited and the provisioner has not seen yet.
fn untaken(observed: &Observed) -> Option<&'static str> {
    let cassandra = observed.cassandra.as_deref()?;
    let status = cassandra.status.clone().unwrap_or_default();
    let Some(stored) = status.configuration else { return Some("the configuration") };
    if status.observed_generation != cassandra.metadata.generation {
        return Some("the spec of the Cassandra");
    }
    let version = observed.ring.as_ref().and_then(|ring| ring.settings.as_ref());
    version
        .is_some_and(|version| stored.copied.as_ref() != Some(version))
        .then_some("the Secret of spec.configuration.secretName")
}

/// A restart under way. A pod is renewed if it is none of those that there were at the beginning, whoever has renewed it, and
/// has the template that the restart has given to its rack, if any.
pub(crate) struct Restart<'a>(pub &'a RestartRecord);

impl Restart<'_> {
    /// Whether this is the template that the rack had, and does not keep.
    fn is_outdated(&self, rack: &Rack, revision: Option<&String>) -> bool {
        self.0.outdated.get(&rack.petset).is_some_and(|outdated| Some(outdated) == revision)
    }

    /// Whether it has given the rack another template.
    fn is_given(&self, rack: &Rack) -> bool {
        self.0.outdated.contains_key(&rack.petset) && !self.is_outdated(rack, rack.revision.as_ref())
    }
}

fn named(rack: &Rack) -> Option<(String, String)> {
    Some((rack.petset.clone(), rack.revision.clone()?))
}

impl Operation for Restart<'_> {
    fn names(&self) -> &'static Names {
        &Names {
            running: "CheckPodRunning",
            renewed: "RestartNodes",
            successful: "completed the restart of all pods",
        }
    }

    fn cassandra(&self) -> Option<&str> {
        self.0.cassandra.as_deref()
    }

    fn way(&self) -> Way<'_> {
        self.0.stopped.as_deref().map_or(Way::Forward, Way::Stopped)
    }

    /// A rack gets what the spec says when its turn comes, and only once: an edit after that waits for the next restart.
    fn give(&self, rack: &Rack) -> Option<Step> {
        let is_due = rack.waits && self.is_outdated(rack, rack.revision.as_ref());
        (is_due && self.0.stopped.is_none()).then(|| Step::SetTemplate { petset: rack.petset.clone() })
    }

    fn templates(&self, observed: &Observed) -> Option<(bool, String)> {
        let all = self.0.outdated.len();
        let updated = observed.racks.iter().filter(|rack| self.is_given(rack)).count();
        (updated > 0).then(|| (updated == all, format!("{updated} of {all} PetSets have their new template")))
    }

    fn has_begun(&self, rack: &Rack) -> bool {
        self.is_given(rack) || rack.pods.iter().any(|pod| self.is_renewed(rack, pod))
    }

    fn is_renewed(&self, rack: &Rack, pod: &Node) -> bool {
        let lacks_template = rack.has_other_template_than(pod) && self.is_outdated(rack, Some(&pod.revision));
        !self.0.pods.contains(&pod.uid) && !lacks_template
    }

    fn is_reached(&self, observed: &Observed) -> bool {
        let given = || observed.racks.iter().all(|rack| self.give(rack).is_none());
        self.0.stopped.is_some() || (given() && observed.pods().all(|(rack, pod)| self.is_renewed(rack, pod)))
    }

    fn can_stop(&self, observed: &Observed, _cassandra: &Cassandra) -> bool {
        !self.is_reached(observed)
    }

    fn is_over(&self, _cassandra: &Cassandra) -> bool {
        false
    }

    fn is_untouched(&self, observed: &Observed, _cassandra: &Cassandra) -> bool {
        let old = |(rack, pod): &(&Rack, &Node)| self.0.pods.contains(&pod.uid) && !self.has_begun(rack);
        observed.pods().filter(old).count() == observed.nodes()
    }

    fn outcome(&self, observed: &Observed) -> String {
        let operation: &dyn Operation = self;
        let done = format!("{} of {} pods were renewed", operation.done(observed), observed.nodes());
        match self.way() {
            Way::Forward => done,
            Way::Back(cause) | Way::Stopped(cause) => format!("{cause}. {done}"),
        }
    }
}
