//! The content of the API server, as far as the two operators use it, and the effect of each write.

use std::collections::BTreeSet;

use api::ops_request::Phase;

use crate::{Breakage, PODS_PER_RACK, RACKS, REQUESTS};

/// The ring's version in the beginning, and those that requests target.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Version {
    Old,
    New,
    Newer,
}

impl Version {
    pub const ALL: [Self; 3] = [Self::Old, Self::New, Self::Newer];
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ask {
    Update(Version),
    Restart,
}

/// A template of pods, and so a revision: what the release and an edit of the user's make of it.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Template {
    pub image: Version,
    pub edited: bool,
}

/// The Cassandra.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Database {
    pub generation: u8,
    pub halted: bool,
    /// The request named by the annotation.
    pub mark: Option<usize>,
    pub version: Version,
    /// The user has changed something of the templates, and something else of the PetSets.
    pub edited: bool,
    pub deleted: bool,
    pub told: Told,
}

/// Its status, as the provisioner reports it.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Told {
    /// Status and observed generation of the condition `Paused`.
    pub paused: Option<(bool, u8)>,
    pub observed: u8,
    pub ready: bool,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct PetSet {
    /// It has an edit that concerns no template.
    pub edited: bool,
    pub template: Template,
    /// The template that the controllers have observed and make new pods from.
    pub followed: Template,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Pod {
    pub template: Template,
    pub is: Is,
    /// How often it was renewed. Counted only if a restart is asked for: nothing else goes by it.
    pub uid: u8,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Is {
    Up,
    Leaving,
    /// It does not exist: the controllers have not made it yet.
    Gone,
    Starting,
    /// It crashes again and again.
    Broken,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Request {
    pub finalizer: bool,
    pub deleted: bool,
    pub status: Status,
}

/// The part of the request's status that the ops-manager itself reads; messages for the user are left out.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Status {
    pub phase: Phase,
    pub record: Option<Record>,
    /// The step under way, whether its time has run out, and how far the update had got when it began.
    pub clock: Option<(String, bool, u32)>,
    /// It has reported a halt of its own.
    pub halted: bool,
    /// Types of the conditions that report a refused write.
    pub refused: BTreeSet<String>,
    /// It reports that the roll-back could not finish and the Cassandra stays halted.
    pub stuck: bool,
}

/// What a request has recorded when it began.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Record {
    /// The source, the revisions of its pods, and whether it is being rolled back.
    Update { source: Version, before: BTreeSet<Template>, back: bool },
    /// Numbers and UIDs of the pods, the template that the restart replaces, and whether it was stopped.
    Restart { pods: BTreeSet<(usize, u8)>, outdated: Option<Template>, stopped: bool },
}

/// All content of the API server.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Cluster {
    pub database: Option<Database>,
    pub petsets: Vec<PetSet>,
    pub pods: Vec<Pod>,
    pub requests: [Option<Request>; REQUESTS],
}

/// Identifies an object.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Object {
    Database,
    PetSet(usize),
    Pod(usize),
    Request(usize),
}

/// A write request to the API server.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Change {
    Halt(usize),
    Resume,
    SetVersion(Version),
    SetImage(usize, Version),
    SetTemplate(usize, Template),
    Evict(usize),
    /// Sets (`true`) or removes the finalizer of a request.
    Hold(usize, bool),
    Report(usize, Status),
    /// The provisioner writes its status.
    Tell(Told),
    /// The provisioner applies a PetSet: the template that it has as far as the provisioner knows, and an edit of the rest.
    Apply(usize, Template, bool),
    /// The PetSets and their pods are deleted.
    Dismantle,
    /// The finalizer of the Cassandra is removed, and so the Cassandra is gone.
    LetGo,
}

impl Object {
    pub fn all() -> impl Iterator<Item = Self> {
        let petsets = (0..RACKS).map(Self::PetSet);
        let pods = (0..RACKS * PODS_PER_RACK).map(Self::Pod);
        [Self::Database].into_iter().chain(petsets).chain(pods).chain((0..REQUESTS).map(Self::Request))
    }
}

impl Change {
    /// The object whose resource version makes the write conditional.
    pub fn object(&self) -> Object {
        match self {
            Self::Halt(_)
            | Self::Resume
            | Self::SetVersion(_)
            | Self::Tell(_)
            | Self::Dismantle
            | Self::LetGo => Object::Database,
            Self::SetImage(rack, _) | Self::SetTemplate(rack, _) | Self::Apply(rack, ..) => {
                Object::PetSet(*rack)
            }
            Self::Evict(pod) => Object::Pod(*pod),
            Self::Hold(request, _) | Self::Report(request, _) => Object::Request(*request),
        }
    }
}

const OLD: Template = Template { image: Version::Old, edited: false };

impl Database {
    /// The template that follows from its spec.
    pub fn template(&self) -> Template {
        Template { image: self.version, edited: self.edited }
    }
}

impl Cluster {
    /// A Ready ring at the old version, and one request.
    pub fn new() -> Self {
        let told = Told { paused: None, observed: 1, ready: true };
        Self {
            database: Some(Database {
                generation: 1,
                halted: false,
                mark: None,
                version: Version::Old,
                edited: false,
                deleted: false,
                told,
            }),
            petsets: vec![PetSet { edited: false, template: OLD, followed: OLD }; RACKS],
            pods: vec![Pod { template: OLD, is: Is::Up, uid: 0 }; RACKS * PODS_PER_RACK],
            requests: std::array::from_fn(|i| (i == 0).then(Request::new)),
        }
    }

    /// Carries out a change. Returns whether anything is different now.
    pub fn carry_out(&mut self, change: &Change, breakage: Option<Breakage>) -> bool {
        let before = self.clone();
        match change {
            Change::Halt(request) => self.spec(|database| {
                database.halted = true;
                database.mark = Some(*request);
            }),
            Change::Resume => self.spec(|database| {
                database.halted = false;
                database.mark = None;
            }),
            Change::SetVersion(version) => self.spec(|database| database.version = *version),
            Change::Tell(told) => {
                if let Some(database) = &mut self.database {
                    database.told = told.clone();
                }
            }
            Change::SetImage(rack, image) => self.petsets[*rack].template.image = *image,
            Change::SetTemplate(rack, template) => self.petsets[*rack].template = *template,
            Change::Apply(rack, template, edited) => {
                self.petsets[*rack] =
                    PetSet { template: *template, edited: *edited, ..self.petsets[*rack].clone() };
            }
            Change::Evict(pod) if breakage == Some(Breakage::NoBudget) || self.budget_allows(*pod) => {
                self.pods[*pod].is = Is::Leaving;
            }
            Change::Evict(_) => {}
            Change::Hold(request, held) => {
                let request = &mut self.requests[*request];
                if let Some(there) = request {
                    there.finalizer = *held;
                    if there.deleted && !held {
                        *request = None;
                    }
                }
            }
            Change::Report(request, status) => {
                if let Some(request) = &mut self.requests[*request] {
                    request.status = status.clone();
                }
            }
            Change::Dismantle => {
                self.petsets.clear();
                self.pods.clear();
            }
            Change::LetGo => self.database = None,
        }
        *self != before
    }

    /// Edits the spec of the Cassandra.
    pub fn spec(&mut self, edit: impl FnOnce(&mut Database)) {
        if let Some(database) = &mut self.database {
            // The mark is metadata and does not count.
            let spec = |it: &Database| (it.halted, it.version, it.edited, it.deleted);
            let before = spec(database);
            edit(database);
            database.generation += u8::from(spec(database) != before);
        }
    }

    /// The PodDisruptionBudget: one pod may be down at a time, and a pod that is down may always go.
    fn budget_allows(&self, pod: usize) -> bool {
        let others = self.pods.iter().enumerate().filter(|(other, _)| *other != pod);
        match self.pods[pod].is {
            Is::Up => others.into_iter().all(|(_, other)| other.is == Is::Up),
            Is::Leaving | Is::Gone => false,
            Is::Starting | Is::Broken => true,
        }
    }

    pub fn whole(&self) -> bool {
        self.pods.len() == RACKS * PODS_PER_RACK && self.pods.iter().all(|pod| pod.is == Is::Up)
    }
}

impl Request {
    pub fn new() -> Self {
        let status = Status {
            phase: Phase::Pending,
            record: None,
            clock: None,
            halted: false,
            refused: BTreeSet::new(),
            stuck: false,
        };
        Self { finalizer: false, deleted: false, status }
    }
}
