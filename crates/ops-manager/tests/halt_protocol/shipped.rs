//! The decisions of the shipped code: converts the few facts of the model into real objects and back.

use std::collections::HashMap;
use std::iter;
use std::sync::{Arc, Mutex, PoisonError};

use api::cassandra::{Phase as CassandraPhase, condition_type::PAUSED};
use api::condition::{self, Statement};
use api::halt::{self, HALTED_BY};
use api::names::OPS_REQUEST_FINALIZER;
use api::ops_request::{
    Apply, CassandraOpsRequestStatus, OpsType, Phase, Release, RestartRecord, StepRecord, UpdateVersion,
    UpdateVersionRecord,
};
use api::{Cassandra, CassandraOpsRequest, CassandraVersion};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use ops_manager::engine::{self, ROLL_BACK_UNFINISHED, next_step};
use ops_manager::observe::node::{Node, Trouble};
use ops_manager::observe::{Admission, Observed, Rack};
use ops_manager::step::{Commit, Step};
use ops_manager::{orphaned_halt, turn};

use crate::cluster::{
    Ask, Change, Cluster, Database, Is, Object, Pod, Record, Request, Status, Template, Version,
};
use crate::state::Kind;
use crate::{Breakage, PODS_PER_RACK, RACKS, REQUESTS, fixtures};

const FAILED: &str = "Failed";
const REFUSED: &str = "WriteRefused";
const PAUSE: &str = "PauseDatabase";
const NAMES: [&str; 3] = ["a", "b", "c"];
/// Names of the versions.
const RELEASES: [&str; Version::ALL.len()] = ["4.1.10", "5.0.6", "5.0.7"];

/// Result of a reconcile of a request.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// It asks the nodes first.
    pub asks: bool,
    /// It first makes sure that it has seen these objects as they are.
    pub confirms: Vec<Object>,
    /// The change to make.
    pub change: Option<Change>,
    /// The status to write; `None` at the very end.
    pub status: Option<Status>,
}

/// What a decision goes by.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Question {
    pub request: usize,
    /// The cluster as the cache showed it at the beginning.
    pub seen: Cluster,
    /// The real state of the pods, by which the nodes answer.
    pub nodes: Vec<Pod>,
    /// The kind of which writes are refused.
    pub refused: Option<Kind>,
    /// The requests as the cache shows them after the nodes have answered.
    pub later: Option<[Option<Request>; REQUESTS]>,
}

/// The shipped decisions. Each distinct question is decided once and cached.
pub struct Shipped {
    breakage: Option<Breakage>,
    racks: Vec<&'static str>,
    database: Cassandra,
    asks: [Ask; REQUESTS],
    requests: [CassandraOpsRequest; REQUESTS],
    versions: [Arc<CassandraVersion>; Version::ALL.len()],
    answers: Mutex<HashMap<Question, Verdict>>,
}

impl Shipped {
    pub fn new(asks: [Ask; REQUESTS], breakage: Option<Breakage>) -> Self {
        let racks = NAMES[..RACKS].to_vec();
        let mut requests = [1, 2].map(fixtures::request);
        let versions = RELEASES.map(|name| Arc::new(fixtures::version(name)));
        for (request, ask) in iter::zip(&mut requests, asks) {
            let (type_, target) = match ask {
                Ask::Update(version) => (OpsType::UpdateVersion, Some(RELEASES[version as usize].to_owned())),
                Ask::Restart => (OpsType::Restart, None),
            };
            request.spec.type_ = type_;
            request.spec.update_version = target.map(|target_version| UpdateVersion { target_version });
        }
        // So that the second request may repair what the first has left.
        requests[1].spec.apply = Apply::Always;
        Self {
            breakage,
            database: fixtures::cassandra(&racks, replicas()),
            racks,
            asks,
            requests,
            versions,
            answers: Mutex::default(),
        }
    }

    /// The next step of a request.
    pub fn next(&self, question: Question) -> Verdict {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = answers.get(&question) {
            return known.clone();
        }
        let verdict = self.decide(&question);
        answers.insert(question, verdict.clone());
        verdict
    }

    fn decide(&self, question: &Question) -> Verdict {
        let Question { request: number, seen, nodes, refused, later } = question;
        let all = self.requests(&seen.requests);
        let Some(request) = all.iter().find(|it| it.name_any() == self.requests[*number].name_any()) else {
            return Verdict::default();
        };
        let place = |all: &[Arc<CassandraOpsRequest>]| {
            let all = || all.iter().map(|request| &**request);
            (turn::among(request, all(), |_| true), turn::unfinished(request, all()))
        };
        let (turn, unfinished) = place(&all);
        let mut observed = Observed {
            now: now(),
            since: Timestamp::UNIX_EPOCH,
            turn,
            unfinished,
            cassandra: seen.database.as_ref().map(|database| Arc::new(self.cassandra(database, *number))),
            current: seen.database.as_ref().map(|database| self.version(database.version)),
            target: self.target(*number),
            racks: self.racks(seen, &seen.pods),
            pull_pods: vec![],
            ring: None,
            admission: Some(Admission::Fine),
            request: Arc::clone(request),
        };
        let mut step = next_step(&observed);
        if step == Step::Probe {
            // A request under way has its turn, so nothing that matters to it changes meanwhile.
            if later.is_none() && request.phase() == Phase::Pending {
                return Verdict { asks: true, ..Verdict::default() };
            }
            observed.ring = Some(fixtures::ring(&self.racks(seen, nodes)));
            if let Some(later) = later {
                (observed.turn, observed.unfinished) = place(&self.requests(later));
            }
            step = next_step(&observed);
        }
        let change = self.change(*number, seen, &observed, &step);
        if change.as_ref().is_some_and(|change| Some(change.object().kind()) == *refused) {
            let told = engine::refused(&observed, &step, "a webhook refuses it");
            return Verdict { status: Some(self.status(&told)), ..Verdict::default() };
        }
        let told = !matches!(step, Step::Done | Step::Release);
        let status = told.then(|| self.status(&engine::status(&observed, &step, None)));
        let confirms = match step {
            Step::Halt => (0..REQUESTS).filter(|other| other != number).map(Object::Request).collect(),
            _ if step.ends() && request.has_begun() => (0..RACKS).map(Object::PetSet).collect(),
            _ => vec![],
        };
        Verdict { asks: false, confirms, change, status }
    }

    fn change(&self, request: usize, cluster: &Cluster, seen: &Observed, step: &Step) -> Option<Change> {
        let version =
            |image: &str| Version::ALL.into_iter().find(|it| self.version(*it).spec.db.image == image);
        let rack = |petset: &str| seen.racks.iter().position(|rack| rack.petset == petset);
        match step {
            Step::Begin { .. } => seen.request.finalizers().is_empty().then_some(Change::Hold(request, true)),
            Step::Release => Some(Change::Hold(request, false)),
            Step::Halt => Some(Change::Halt(request)),
            Step::Resume => Some(Change::Resume),
            Step::Commit(Commit::Version(name)) => version(&fixtures::image(name)).map(Change::SetVersion),
            Step::SetImage { petset, image, .. } => Some(Change::SetImage(rack(petset)?, version(image)?)),
            Step::SetTemplate { petset } => {
                Some(Change::SetTemplate(rack(petset)?, cluster.database.as_ref()?.template()))
            }
            Step::Evict { pod } => {
                let mut all = self.racks.iter().flat_map(|name| fixtures::rack(name, replicas()).pods);
                Some(Change::Evict(all.position(|other| other.name == pod.name)?))
            }
            Step::Done
            | Step::Wait(_)
            | Step::Probe
            | Step::Rehearse
            | Step::GiveUp { .. }
            | Step::Finish(_) => None,
            Step::Pull { .. } | Step::RemovePullPods { .. } => unreachable!("these racks never pull"),
            Step::SetSize { .. } | Step::Commit(Commit::Resources(_)) => unreachable!("nothing is scaled"),
        }
    }

    fn status(&self, status: &CassandraOpsRequestStatus) -> Status {
        let stuck =
            condition::get(&status.conditions, FAILED).is_some_and(|c| c.reason == ROLL_BACK_UNFINISHED);
        Status {
            phase: status.phase.unwrap_or(Phase::Pending),
            record: self.recorded(status),
            clock: status.step.as_ref().map(|step| {
                (step.name.clone(), step.started != Time(now()), step.reached.unwrap_or_default())
            }),
            halted: condition::get(&status.conditions, PAUSE).is_some(),
            refused: status
                .conditions
                .iter()
                .filter(|c| c.reason == REFUSED)
                .map(|c| c.type_.clone())
                .collect(),
            stuck,
        }
    }

    /// Whether the halt belongs to a request that does not exist.
    pub fn is_orphan(&self, seen: &Cluster) -> bool {
        let Some(database) = &seen.database else { return false };
        let requests = self.requests(&seen.requests);
        orphaned_halt::orphaned(
            &self.cassandra(database, REQUESTS),
            requests.iter().map(|request| &**request),
        )
        .is_some()
    }

    /// The provisioner's answer to a halt.
    pub fn answer(&self, database: &Database) -> Option<(bool, u8)> {
        let mut cassandra = self.cassandra(database, REQUESTS);
        let answer = halt::answer(&cassandra)?;
        let status = cassandra.status.get_or_insert_default();
        condition::set(&mut status.conditions, answer, &Time(now()));
        let paused = condition::get(&status.conditions, PAUSED)?;
        Some((paused.status == "True", u8::try_from(paused.observed_generation?).ok()?))
    }

    pub fn may_write(&self, database: &Database) -> bool {
        halt::provisioner_may_write(&self.cassandra(database, REQUESTS))
    }

    pub fn is_newest(&self, cached: &Database, newest: Option<&Database>) -> bool {
        let real = |database: &Database| self.cassandra(database, REQUESTS);
        halt::is_newest(&real(cached), newest.map(real).as_ref())
            || self.breakage == Some(Breakage::NoConfirmation)
    }

    fn version(&self, version: Version) -> Arc<CassandraVersion> {
        Arc::clone(&self.versions[version as usize])
    }

    /// The version that a request targets.
    fn target(&self, request: usize) -> Option<Arc<CassandraVersion>> {
        match self.asks[request] {
            Ask::Update(version) => Some(self.version(version)),
            Ask::Restart => None,
        }
    }

    /// The Cassandra as seen by `reader`: the number of a request, or any other number for the provisioner.
    fn cassandra(&self, database: &Database, reader: usize) -> Cassandra {
        let mut cassandra = self.database.clone();
        cassandra.metadata.generation = Some(database.generation.into());
        cassandra.metadata.deletion_timestamp = database.deleted.then(|| Time(now()));
        self.version(database.version).name_any().clone_into(&mut cassandra.spec.version);
        cassandra.spec.halted = database.halted;
        let mut mark = database.mark;
        let told = &database.told;
        let mut paused = told.paused;
        if reader < REQUESTS && database.halted {
            match self.breakage {
                Some(Breakage::NoAnswer) => paused = Some((true, database.generation)),
                Some(Breakage::NoMark) => mark = Some(reader),
                _ => {}
            }
        }
        if let Some(mark) = mark {
            let uid = self.requests[mark].uid().unwrap_or_default();
            cassandra.annotations_mut().insert(HALTED_BY.to_owned(), uid);
        }
        let status = cassandra.status.get_or_insert_default();
        status.phase = Some(if told.ready { CassandraPhase::Ready } else { CassandraPhase::Critical });
        status.observed_generation = Some(told.observed.into());
        if let Some((paused, generation)) = paused {
            let paused = statement(PAUSED, paused, "", Some(generation.into()));
            condition::set(&mut status.conditions, paused, &Time(now()));
        }
        cassandra
    }

    fn requests(&self, seen: &[Option<Request>]) -> Vec<Arc<CassandraOpsRequest>> {
        let all = seen.iter().enumerate();
        all.filter_map(|(number, request)| Some(Arc::new(self.request(number, request.as_ref()?)))).collect()
    }

    fn request(&self, number: usize, request: &Request) -> CassandraOpsRequest {
        let mut real = self.requests[number].clone();
        if request.finalizer {
            real.finalizers_mut().push(OPS_REQUEST_FINALIZER.to_owned());
        }
        real.metadata.deletion_timestamp = request.deleted.then(|| Time(now()));
        let Status { phase, record, clock, halted, refused, .. } = &request.status;
        let status = real.status.get_or_insert_default();
        status.phase = Some(*phase);
        let why = |yes: bool| yes.then(|| "it went wrong".to_owned());
        match record {
            Some(Record::Update { source, before, back }) => {
                status.update_version = self.target(number).map(|target| UpdateVersionRecord {
                    cassandra: None,
                    source: release(&self.version(*source)),
                    target: release(&target),
                    before: Some(before.iter().map(|template| self.revision(*template)).collect()),
                    roll_back: why(*back),
                });
            }
            Some(Record::Restart { pods, outdated, stopped }) => {
                let pods = pods.iter().map(|(pod, uid)| uid_of(*pod, *uid)).collect();
                let petset = || fixtures::rack(NAMES[0], 0).petset;
                let outdated = outdated.iter().map(|template| (petset(), self.revision(*template))).collect();
                let stopped = why(*stopped);
                status.restart = Some(RestartRecord { cassandra: None, pods, outdated, stopped });
            }
            None => {}
        }
        status.step = clock.as_ref().map(|(name, overdue, reached)| {
            let started = if *overdue { now() - SignedDuration::from_hours(1) } else { now() };
            StepRecord { name: name.clone(), started: Time(started), reached: Some(*reached) }
        });
        if *halted {
            condition::set(&mut status.conditions, statement(PAUSE, true, "", None), &Time(now()));
        }
        for type_ in refused {
            condition::set(&mut status.conditions, statement(type_, false, REFUSED, None), &Time(now()));
        }
        if request.status.stuck {
            condition::set(
                &mut status.conditions,
                statement(FAILED, true, ROLL_BACK_UNFINISHED, None),
                &Time(now()),
            );
        }
        real
    }

    /// The revision of a template.
    fn revision(&self, template: Template) -> String {
        let edit = if template.edited { " with an edit" } else { "" };
        format!("{}{edit}", self.version(template.image).spec.db.image)
    }

    fn recorded(&self, status: &CassandraOpsRequestStatus) -> Option<Record> {
        let all = Version::ALL.map(|image| [false, true].map(|edited| Template { image, edited }));
        let of = |revision: &String| {
            all.as_flattened().iter().find(|it| self.revision(**it) == *revision).copied()
        };
        if let Some(record) = &status.update_version {
            let source =
                Version::ALL.into_iter().find(|it| self.version(*it).name_any() == record.source.name)?;
            let before = record.before.iter().flatten();
            return Some(Record::Update {
                source,
                before: before.filter_map(of).collect(),
                back: record.roll_back.is_some(),
            });
        }
        let record = status.restart.as_ref()?;
        let pod = |uid: &String| {
            let (place, renewals) = uid.split_once('/')?;
            Some((place.parse().ok()?, renewals.parse().ok()?))
        };
        Some(Record::Restart {
            pods: record.pods.iter().filter_map(pod).collect(),
            outdated: record.outdated.values().find_map(of),
            stopped: record.stopped.is_some(),
        })
    }

    fn racks(&self, seen: &Cluster, pods: &[Pod]) -> Vec<Rack> {
        let image = |version: Version| self.version(version).spec.db.image.clone();
        let mut pods = pods.iter().enumerate();
        let mut racks: Vec<Rack> = self.racks.iter().map(|name| fixtures::rack(name, replicas())).collect();
        for (number, rack) in racks.iter_mut().enumerate() {
            let petset = seen.petsets.get(number);
            let wanted = seen.database.as_ref().map(Database::template);
            rack.never_pulls = true;
            rack.image = petset.map(|petset| image(petset.template.image));
            let observed = petset.filter(|petset| petset.followed == petset.template);
            rack.revision = observed.map(|petset| self.revision(petset.template));
            rack.waits = petset.zip(wanted).is_some_and(|(petset, wanted)| petset.template != wanted);
            rack.pods = iter::zip(&rack.pods, pods.by_ref())
                .filter(|(_, (_, pod))| pod.is != Is::Gone)
                .map(|(blank, (place, pod))| Node {
                    uid: uid_of(place, pod.uid),
                    revision: self.revision(pod.template),
                    ..node(blank, *pod, image(pod.template.image))
                })
                .collect();
        }
        racks
    }
}

fn node(blank: &Node, pod: Pod, image: String) -> Node {
    let trouble = (pod.is == Is::Broken).then(|| Trouble { what: "it crashes".to_owned(), log_of: None });
    Node { image, ready: pod.is == Is::Up, terminating: pod.is == Is::Leaving, trouble, ..blank.clone() }
}

/// Pods of a rack.
fn replicas() -> i32 {
    i32::try_from(PODS_PER_RACK).expect("it is small")
}

/// UID of a pod by its place in the ring.
fn uid_of(place: usize, uid: u8) -> String {
    format!("{place}/{uid}")
}

fn statement(type_: &str, status: bool, reason: &str, generation: Option<i64>) -> Statement {
    let [type_, reason] = [type_, reason].map(str::to_owned);
    Statement { type_, status, reason, message: String::new(), generation }
}

fn release(version: &CassandraVersion) -> Release {
    let spec = &version.spec;
    Release {
        name: version.name_any(),
        version: spec.version.clone(),
        image: spec.db.image.clone(),
        run_as_user: None,
    }
}

/// Time stands still; only the time limits of steps run out, at any moment.
fn now() -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24)
}
