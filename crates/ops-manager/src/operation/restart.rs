//! Restart: all pods are renewed. They get what waits in their templates, so the request says what that is.

use api::Cassandra;
use api::halt::Halt;
use api::ops_request::RestartRecord;
use kube::ResourceExt;

use super::{Names, Operation, Way};
use crate::observe::node::Node;
use crate::observe::{Observed, Rack};
use crate::step::{Intent, Step, waiting};

/// The type.
pub(crate) struct Kind;

impl super::Kind for Kind {
    /// The halt of a roll-back that could not finish protects a ring on two versions. To lift it at the end of a restart would give
    /// nodes of the target back to the source.
    fn check(&self, observed: &Observed) -> Option<Step> {
        let Halt::Request(_) = Halt::of(observed.cassandra.as_deref()?) else { return None };
        let message = "the Cassandra is halted by a CassandraOpsRequest that has ended without lifting its halt; one of type \
                       UpdateVersion with apply: Always takes over, a restart does not";
        Some(waiting("HaltedByRequest", message.to_owned(), Some("preflight".to_owned())))
    }

    fn begin(&self, observed: &Observed) -> Step {
        let intent = Intent::Restart(RestartRecord {
            cassandra: observed.cassandra.as_deref().and_then(ResourceExt::uid),
            pods: observed.pods().map(|(_, pod)| pod.uid.clone()).collect(),
            stopped: None,
        });
        let waiting = observed.pods().filter(|(rack, pod)| rack.has_other_template_than(pod));
        let waiting: Vec<&str> = waiting.map(|(_, pod)| pod.name.as_str()).collect();
        let brings = match &*waiting {
            [] => String::new(),
            pods => format!(
                "; their template has changed since these were made, which get it now: {}",
                pods.join(", ")
            ),
        };
        Step::Begin { intent, message: format!("started to restart {} pods{brings}", observed.nodes()) }
    }
}

/// A restart under way. A pod is renewed if it is none of those that there were at the beginning, whoever has renewed it.
pub(crate) struct Restart<'a>(pub &'a RestartRecord);

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

    fn give(&self, _rack: &Rack) -> Option<Step> {
        None
    }

    fn has_begun(&self, rack: &Rack) -> bool {
        rack.pods.iter().any(|pod| self.is_renewed(rack, pod))
    }

    fn is_renewed(&self, _rack: &Rack, pod: &Node) -> bool {
        !self.0.pods.contains(&pod.uid)
    }

    fn is_reached(&self, observed: &Observed) -> bool {
        self.0.stopped.is_some() || observed.pods().all(|(rack, pod)| self.is_renewed(rack, pod))
    }

    fn can_stop(&self, observed: &Observed, _cassandra: &Cassandra) -> bool {
        !self.is_reached(observed)
    }

    fn is_over(&self, _cassandra: &Cassandra) -> bool {
        false
    }

    fn is_untouched(&self, observed: &Observed, _cassandra: &Cassandra) -> bool {
        observed.pods().filter(|(_, pod)| self.0.pods.contains(&pod.uid)).count() == observed.nodes()
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
