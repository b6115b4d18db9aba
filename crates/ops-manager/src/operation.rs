//! What a type of request must say: what it asks for, what it changes, and what proves a node. The engine carries any of them
//! out.

pub(crate) mod restart;
pub(crate) mod update_version;
pub(crate) mod vertical_scaling;

use api::ops_request::OpsType;
use api::{Cassandra, CassandraOpsRequest, PetSet};
use semver::Version;

use crate::observe::node::Node;
use crate::observe::{Observed, Rack};
use crate::step::{Commit, Step};

use self::restart::Restart;
use self::update_version::UpdateVersion;
use self::vertical_scaling::VerticalScaling;

/// A type of request, for those that have not begun.
pub(crate) trait Kind {
    /// An object that the request names and that does not exist: CamelCase reason and message.
    fn lack(&self, _observed: &Observed) -> Option<(&'static str, String)> {
        None
    }

    /// Why the request is impossible, whatever the state of the ring: CamelCase reason and message.
    fn refusal(&self, _observed: &Observed) -> Option<(&'static str, String)> {
        None
    }

    /// Changes the template of a PetSet as the request will. `waiting` has the one that it lacks changes of, if so.
    fn change(&self, observed: &Observed, petset: &mut PetSet, waiting: Option<&PetSet>);

    /// Whether it must be known what the schema and the user's settings use.
    fn asks_names(&self) -> bool {
        false
    }

    /// The step if the nodes' answers are a reason to deny the request.
    fn check(&self, _observed: &Observed) -> Option<Step> {
        None
    }

    /// The step that prepares the change while nothing is touched yet. `None`: it is prepared.
    fn prepare(&self, _observed: &Observed) -> Option<Step> {
        None
    }

    /// The results of the checks: type, status, reason and message of a condition each.
    fn conditions(&self, _observed: &Observed) -> Vec<(&'static str, (bool, &'static str, String))> {
        vec![]
    }

    /// The step that records what is going to be done.
    fn begin(&self, observed: &Observed) -> Step;
}

/// Which way a request goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Way<'a> {
    /// To what it asks for.
    Forward,
    /// Back to where it came from: why.
    Back(&'a str),
    /// Nowhere: the rest is left as it is, and why.
    Stopped(&'a str),
}

/// Names and words of a type (the names are KubeDB's).
pub(crate) struct Names {
    /// Prefix of the conditions about pods that come back.
    pub running: &'static str,
    /// Type of the condition once all pods are renewed.
    pub renewed: &'static str,
    /// Message of the condition `Successful`.
    pub successful: &'static str,
}

/// A request that has recorded what it is going to do.
pub(crate) trait Operation {
    /// The names of its conditions.
    fn names(&self) -> &'static Names;

    /// UID of the Cassandra that it is about.
    fn cassandra(&self) -> Option<&str>;

    /// Which way it goes.
    fn way(&self) -> Way<'_>;

    /// The step that gives a rack the template of its goal; `None`: the rack has it.
    fn give(&self, rack: &Rack) -> Option<Step>;

    /// How many PetSets have their template: whether all have, and a message. `None`: no template is changed.
    fn templates(&self, _observed: &Observed) -> Option<(bool, String)> {
        None
    }

    /// Whether the renewal of a rack has begun.
    fn has_begun(&self, rack: &Rack) -> bool {
        self.give(rack).is_none()
    }

    /// Whether the pod is as it should be, apart from being Ready.
    fn is_renewed(&self, rack: &Rack, pod: &Node) -> bool;

    /// Whether nothing is left to renew. The pods may not be Ready.
    fn is_reached(&self, observed: &Observed) -> bool;

    /// What a pod is Ready on, to be added to a sentence.
    fn on(&self) -> String {
        String::new()
    }

    /// Why a renewed node is not what it should be, going by the release that it reports.
    fn wrong(&self, _pod: &Node, _release: &Version) -> Option<String> {
        None
    }

    /// Something that must be asked or waited for before any pod is renewed in this direction.
    fn obstacle(&self, _observed: &Observed) -> Option<Step> {
        None
    }

    /// The nodes that must be asked what the schema uses.
    fn nodes_to_ask<'o>(&self, _observed: &'o Observed) -> Vec<&'o Node> {
        vec![]
    }

    /// What the Cassandra says once the ring is where it goes; `None`: nothing else than before.
    fn commit(&self) -> Option<Commit> {
        None
    }

    /// Whether the Cassandra says so already.
    fn is_committed(&self, _cassandra: &Cassandra) -> bool {
        true
    }

    /// Whether a user who deletes the request stops it.
    fn can_stop(&self, observed: &Observed, cassandra: &Cassandra) -> bool;

    /// Whether the last change is made, so that there is no way back any more.
    fn is_over(&self, cassandra: &Cassandra) -> bool;

    /// Whether nothing was touched.
    fn is_untouched(&self, observed: &Observed, cassandra: &Cassandra) -> bool;

    /// Why it makes no sense any more, if the Cassandra is not what it was when the request began.
    fn outdated(&self, _cassandra: &Cassandra) -> Option<String> {
        None
    }

    /// A sentence about the outcome for the ring, with nothing left to renew.
    fn outcome(&self, observed: &Observed) -> String;
}

impl dyn Operation + '_ {
    /// Whether it goes back to where it came from.
    pub fn goes_back(&self) -> bool {
        matches!(self.way(), Way::Back(_))
    }

    /// Whether the pod is Ready and as it should be.
    pub fn is_done(&self, rack: &Rack, pod: &Node) -> bool {
        pod.is_up() && self.is_renewed(rack, pod)
    }

    /// How many pods are done.
    pub fn done(&self, observed: &Observed) -> usize {
        observed.pods().filter(|(rack, pod)| self.is_done(rack, pod)).count()
    }

    /// The names of the pods that are not done.
    pub fn missing(&self, observed: &Observed) -> Vec<String> {
        let missing = |rack: &Rack, name: &String| {
            !rack.pods.iter().any(|pod| pod.name == *name && self.is_done(rack, pod))
        };
        observed.racks.iter().flat_map(|rack| rack.names().filter(|name| missing(rack, name))).collect()
    }

    /// Whether all racks have their template, and all pods exist and are done.
    pub fn is_whole(&self, observed: &Observed) -> bool {
        observed.racks.iter().all(|rack| self.give(rack).is_none()) && self.done(observed) == observed.nodes()
    }
}

/// What says how a request of this type begins.
pub(crate) fn kind(type_: OpsType) -> &'static dyn Kind {
    match type_ {
        OpsType::UpdateVersion => &update_version::Kind,
        OpsType::Restart => &restart::Kind,
        OpsType::VerticalScaling => &vertical_scaling::Kind,
    }
}

/// What a request has recorded; `None`: it has not begun.
pub(crate) fn of(request: &CassandraOpsRequest) -> Option<Box<dyn Operation + '_>> {
    let status = request.status.as_ref()?;
    let update = status.update_version.as_ref().map(|it| Box::new(UpdateVersion(it)) as Box<dyn Operation>);
    let restart = || status.restart.as_ref().map(|it| Box::new(Restart(it)) as Box<dyn Operation>);
    let scaling =
        || status.vertical_scaling.as_ref().map(|it| Box::new(VerticalScaling::of(it)) as Box<dyn Operation>);
    update.or_else(restart).or_else(scaling)
}
