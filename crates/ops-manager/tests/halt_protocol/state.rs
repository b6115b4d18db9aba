//! The whole system at one moment: the API server, the two operators, and what has gone wrong so far.

use std::collections::BTreeSet;

use crate::cluster::{Change, Cluster, Database, Object, Version};
use crate::judge::History;
use crate::{Bounds, Breakage, REQUESTS};

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct State {
    pub cluster: Cluster,
    pub manager: Manager,
    pub provisioner: Provisioner,
    /// Writes of deposed leaders that have not arrived yet.
    pub late: Vec<Write>,
    /// The events that may still happen.
    pub left: Bounds,
    /// Writes to objects of this kind are refused from now on, as a webhook or a quota does.
    pub refused: Option<Kind>,
    /// New pods with these images crash.
    pub bad: Vec<Version>,
    /// The renewals of each pod are counted.
    pub counted: bool,
    /// Both requests have been created.
    pub another: bool,
    pub history: History,
}

/// A write on its way.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Write {
    pub change: Change,
    /// The request for which it is made.
    pub of: Option<usize>,
    /// The object has not changed since the write was decided.
    pub current: bool,
}

/// The leading ops-manager: a worker for each request, and one that looks for orphaned halts.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Manager {
    pub cache: Option<Stale>,
    pub workers: [Option<Work>; REQUESTS],
    pub sweep: Option<Write>,
    /// Requests whose cached state the API server has confirmed since this process began.
    pub confirmed: [bool; REQUESTS],
}

/// A reconcile of a request: first the change, then the status.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Work {
    /// It asks the nodes, before the request has begun: what it saw before.
    pub asking: Option<Asking>,
    pub change: Option<Write>,
    pub report: Option<Write>,
}

/// The cluster as a reconcile saw it before it asked the nodes.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Asking {
    pub seen: Cluster,
    /// Objects that have changed since.
    pub outdated: BTreeSet<Object>,
}

/// The leading provisioner.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Provisioner {
    pub cache: Option<Stale>,
    pub confirmed: Option<u8>,
    pub round: Option<Round>,
}

/// A reconcile of the Cassandra.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Round {
    /// The Cassandra as this reconcile knows it.
    pub database: Database,
    pub current: bool,
    /// The next PetSet to apply.
    pub rack: usize,
    pub write: Option<Write>,
}

/// A watch of one kind that has stopped delivering, with its last content.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Stale {
    /// It is the watch of a replica that does not lead yet.
    pub standby: bool,
    pub kind: Kind,
    pub told: Cluster,
    /// Objects that have changed since.
    pub outdated: BTreeSet<u8>,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Kind {
    Database,
    Requests,
    PetSets,
    Pods,
}

impl Object {
    pub fn kind(self) -> Kind {
        match self {
            Self::Database => Kind::Database,
            Self::Request(_) => Kind::Requests,
            Self::PetSet(_) => Kind::PetSets,
            Self::Pod(_) => Kind::Pods,
        }
    }

    fn number(self) -> u8 {
        match self {
            Self::Database => 0,
            Self::Request(n) | Self::PetSet(n) | Self::Pod(n) => u8::try_from(n).expect("it is small"),
        }
    }
}

impl Stale {
    /// The present content for that kind; everything else is empty.
    pub fn new(cluster: &Cluster, kind: Kind, standby: bool) -> Self {
        let mut told =
            Cluster { database: None, petsets: vec![], pods: vec![], requests: Default::default() };
        overlay(&mut told, cluster, kind);
        Self { standby, kind, told, outdated: BTreeSet::new() }
    }
}

fn overlay(cluster: &mut Cluster, with: &Cluster, kind: Kind) {
    match kind {
        Kind::Database => cluster.database.clone_from(&with.database),
        Kind::Requests => cluster.requests.clone_from(&with.requests),
        Kind::PetSets => cluster.petsets.clone_from(&with.petsets),
        Kind::Pods => cluster.pods.clone_from(&with.pods),
    }
}

/// What an operator sees through its cache.
pub struct View<'a> {
    pub cluster: Cluster,
    stale: Option<&'a Stale>,
}

impl View<'_> {
    pub fn is_current(&self, object: Object) -> bool {
        self.stale
            .is_none_or(|stale| stale.kind != object.kind() || !stale.outdated.contains(&object.number()))
    }
}

impl State {
    pub fn new(bounds: Bounds, bad: Vec<Version>, counted: bool) -> Self {
        Self {
            cluster: Cluster::new(),
            manager: Manager::default(),
            provisioner: Provisioner { confirmed: Some(1), ..Provisioner::default() },
            late: vec![],
            left: bounds,
            refused: None,
            bad,
            counted,
            another: false,
            history: History::default(),
        }
    }

    /// What an operator with this cache sees.
    pub fn view<'a>(&self, cache: Option<&'a Stale>) -> View<'a> {
        let stale = cache.filter(|stale| !stale.standby);
        let mut cluster = self.cluster.clone();
        if let Some(stale) = stale {
            overlay(&mut cluster, &stale.told, stale.kind);
        }
        View { cluster, stale }
    }

    /// The API server receives a write. Returns whether it was accepted.
    pub fn receive(&mut self, write: &Write, late: bool, breakage: Option<Breakage>) -> bool {
        let object = write.change.object();
        let fenced = !(breakage == Some(Breakage::NoFence) && matches!(write.change, Change::Apply(..)));
        let there = match object {
            Object::Database => self.cluster.database.is_some(),
            Object::PetSet(rack) => rack < self.cluster.petsets.len(),
            Object::Pod(pod) => pod < self.cluster.pods.len(),
            Object::Request(request) => self.cluster.requests[request].is_some(),
        };
        if !there || (fenced && !write.current) {
            // An eviction that names another uid is no conflict: the pod that was meant is gone.
            return matches!(write.change, Change::Evict(_));
        }
        let before = self.cluster.clone();
        if self.cluster.carry_out(&write.change, breakage) {
            self.judge(write, late, &before);
            // An eviction does not create the next pod yet, and writes to a pod are not conditional on its resource version.
            if !matches!(write.change, Change::Evict(_)) {
                self.changed(object);
            }
            if write.change == Change::Dismantle {
                (0..before.petsets.len()).for_each(|rack| self.changed(Object::PetSet(rack)));
                (0..before.pods.len()).for_each(|pod| self.changed(Object::Pod(pod)));
            }
        }
        true
    }

    /// Marks everything that was decided on the earlier state of this object as outdated.
    pub fn changed(&mut self, object: Object) {
        for asking in self.manager.workers.iter_mut().flatten().filter_map(|work| work.asking.as_mut()) {
            asking.outdated.insert(object);
        }
        let works = self.manager.workers.iter_mut().flatten();
        let writes = works
            .flat_map(|work| [&mut work.change, &mut work.report])
            .chain([&mut self.manager.sweep])
            .flatten()
            .chain(self.provisioner.round.iter_mut().filter_map(|round| round.write.as_mut()))
            .chain(&mut self.late);
        for write in writes.filter(|write| write.change.object() == object) {
            write.current = false;
        }
        if let (Object::Database, Some(round)) = (object, &mut self.provisioner.round) {
            round.current = false;
        }
        for stale in [&mut self.manager.cache, &mut self.provisioner.cache].into_iter().flatten() {
            if stale.kind == object.kind() {
                stale.outdated.insert(object.number());
            }
        }
    }

    /// Requests that have not ended.
    pub fn running(&self) -> impl Iterator<Item = usize> {
        let running =
            |i: &usize| self.cluster.requests[*i].as_ref().is_some_and(|r| !r.status.phase.is_final());
        (0..REQUESTS).filter(running)
    }
}
