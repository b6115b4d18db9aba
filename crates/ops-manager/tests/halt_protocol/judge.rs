//! The properties that must hold, and the history that is needed to judge them.

use std::collections::BTreeSet;

use api::ops_request::Phase;

use crate::cluster::{Change, Cluster, Database, Is, Pod, Record, Status, Template, Version};
use crate::state::{State, Write};
use crate::{PODS_PER_RACK, REQUESTS};

/// The properties that must hold.
pub mod property {
    pub const KEPT_WORD: &str = "after its answer the provisioner changes no PetSet";
    pub const ONE_WRITER: &str = "the provisioner changes no PetSet that was changed under the halt";
    pub const ANSWERED: &str = "nothing is updated before the answer";
    pub const HALTED: &str = "nothing is updated without a halt";
    pub const USERS_HALT: &str = "no operator lifts the user's halt";
    pub const TRUE_VERSION: &str = "spec.version is what all pods run";
    pub const ALL_RENEWED: &str =
        "a restart that succeeds has renewed every pod, from its new template if it has one";
    pub const ONE_AT_A_TIME: &str = "no request halts while another one is under way";
    pub const ONE_AWAY: &str = "no node is taken away while another one is";
    pub const HELD: &str = "the provisioner changes no template of a ring in use";
    pub const ENDS: &str = "every run ends resumed or says why";
    pub const ALL: [&str; 11] = [
        KEPT_WORD,
        ONE_WRITER,
        ANSWERED,
        HALTED,
        USERS_HALT,
        TRUE_VERSION,
        ALL_RENEWED,
        ONE_AT_A_TIME,
        ONE_AWAY,
        HELD,
        ENDS,
    ];
}

/// What is remembered only to judge; no part of the system sees it.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct History {
    pub breaches: BTreeSet<Breach>,
    /// The present halt was set by the user.
    pub users_halt: bool,
    /// The user has lifted a request's halt, or deleted the Cassandra, so writes on their way may arrive without a halt.
    pub overruled: bool,
    /// The present halt has been answered.
    pub promised: bool,
    /// A halt of this request has been answered, now or earlier.
    pub answered: [bool; REQUESTS],
    /// PetSets that the ops-manager has changed under the present halt.
    pub taken: BTreeSet<usize>,
}

impl Cluster {
    /// Whether this pod is up while another one is not.
    fn takes_another(&self, pod: usize) -> bool {
        let mut others = self.pods.iter().enumerate().filter(|(other, _)| *other != pod);
        self.pods[pod].is == Is::Up && others.any(|(_, other)| other.is != Is::Up)
    }

    /// Whether the request has halted the Cassandra and has not ended.
    fn is_under_way(&self, request: usize) -> bool {
        let status = self.requests[request].as_ref().map(|request| &request.status);
        status.is_some_and(|status| status.halted && !status.phase.is_final())
    }

    /// Whether a pod runs another version, or will once it is made.
    fn has_pod_not_of(&self, version: Version) -> bool {
        let image = |(place, pod): (usize, &Pod)| match pod.is {
            Is::Gone => self.petsets.get(place / PODS_PER_RACK).map(|petset| petset.followed.image),
            _ => Some(pod.template.image),
        };
        self.pods.iter().enumerate().any(|pod| image(pod) != Some(version))
    }

    /// Whether a pod is still the one that it was, or has the template of before.
    fn keeps(&self, pod: usize, uid: u8, outdated: Option<Template>) -> bool {
        self.pods.get(pod).is_some_and(|pod| pod.uid == uid || Some(pod.template) == outdated)
    }
}

/// Violations of the properties.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Breach {
    /// The provisioner changed a PetSet between its answer and the end of the halt.
    WroteUnderHalt,
    /// The provisioner changed a PetSet that the ops-manager had changed under the present halt.
    TwoWriters,
    /// The ops-manager changed an image, a pod or the version before any halt of its request was answered.
    BeforeAnswer,
    /// The ops-manager changed an image, a pod or the version without a halt of its request.
    WithoutHalt,
    /// An operator lifted a halt that the user had set.
    UsersHalt,
    /// `spec.version` names a version that not all pods run.
    UntrueVersion,
    /// A restart succeeded, and a pod is still the one that there was before, or has the template of before.
    NotRenewed,
    /// A request halted the Cassandra before another one had ended that had halted it.
    TwoUnderWay,
    /// The ops-manager evicted a pod that was up while another one was not.
    TwoAway,
    /// The provisioner changed the template of a PetSet.
    Template,
}

impl State {
    pub fn judge(&mut self, write: &Write, late: bool, before: &Cluster) {
        let history = &mut self.history;
        let halt_of =
            before.database.as_ref().filter(|database| database.halted).and_then(|database| database.mark);
        let ours = match &write.change {
            Change::SetImage(..) | Change::SetTemplate(..) | Change::Evict(_) | Change::SetVersion(_) => {
                write.of
            }
            _ => None,
        };
        if let Some(request) = ours {
            if !history.answered[request] {
                history.breaches.insert(Breach::BeforeAnswer);
            }
            if halt_of != Some(request) && !late && !history.overruled {
                history.breaches.insert(Breach::WithoutHalt);
            }
        }
        if let Change::Halt(request) = write.change
            && before.is_under_way(1 - request)
        {
            history.breaches.insert(Breach::TwoUnderWay);
        }
        match &write.change {
            Change::Halt(request) if history.promised => history.answered[*request] = true,
            // A late write may arrive before the answer; the PetSet is then looked at again after the answer.
            Change::SetImage(rack, _) | Change::SetTemplate(rack, _)
                if halt_of.is_some() && !late && !history.overruled =>
            {
                history.taken.insert(*rack);
            }
            Change::Evict(pod) if before.takes_another(*pod) => {
                history.breaches.insert(Breach::TwoAway);
            }
            Change::Apply(rack, template, _) => {
                if before.petsets[*rack].template != *template {
                    history.breaches.insert(Breach::Template);
                }
                if history.promised && !late {
                    history.breaches.insert(Breach::WroteUnderHalt);
                }
                if history.taken.contains(rack) {
                    history.breaches.insert(Breach::TwoWriters);
                }
            }
            Change::SetVersion(version) if !late && before.has_pod_not_of(*version) => {
                history.breaches.insert(Breach::UntrueVersion);
            }
            Change::Resume => {
                let untrue = |database: &Database| before.has_pod_not_of(database.version);
                if !late && !history.overruled && before.database.as_ref().is_some_and(untrue) {
                    history.breaches.insert(Breach::UntrueVersion);
                }
                if history.users_halt {
                    history.breaches.insert(Breach::UsersHalt);
                }
                self.lifted();
            }
            Change::Report(
                _,
                Status {
                    phase: Phase::Successful, record: Some(Record::Restart { pods, outdated, .. }), ..
                },
            ) if pods.iter().any(|(pod, uid)| before.keeps(*pod, *uid, *outdated)) => {
                history.breaches.insert(Breach::NotRenewed);
            }
            Change::Tell(told) => {
                if let Some(database) = before.database.as_ref().filter(|database| database.halted)
                    && told.paused == Some((true, database.generation))
                {
                    history.promised = true;
                    database.mark.into_iter().for_each(|request| history.answered[request] = true);
                }
            }
            _ => {}
        }
    }

    /// The halt has ended.
    pub fn lifted(&mut self) {
        self.history.users_halt = false;
        self.history.promised = false;
        self.history.taken.clear();
    }
}
