//! A simulated cluster for the step machine. It carries out steps as the API server, the provisioner, the controllers and the
//! kubelet would, checks after every step what must never happen, and lets a test inject faults.

#![expect(clippy::expect_used, reason = "a broken expectation ends the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::halt::{self, HALTED_BY, Halt};
use api::names::OPS_REQUEST_FINALIZER;
use api::ops_request::{Apply, Phase, UpdateVersion};
use api::{Cassandra, CassandraOpsRequest, CassandraSpec, CassandraStatus, CassandraVersion, condition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use ops_manager::engine::{next_step, refused, status};
use ops_manager::observe::node::{Node, Trouble};
use ops_manager::observe::{Admission, Copies, Observed, Rack, Ring};
use ops_manager::preparation::known_to_target::{Look, Names};
use ops_manager::preparation::pull_pod::{Place, PullPod, PullState};
use ops_manager::step::{Commit, Step};
use ops_manager::turn::Turn;

use crate::fixtures;

/// Puts an image into the template of a rack.
pub fn give(rack: &mut Rack, image: Option<&str>) {
    rack.image = image.map(str::to_owned);
    rack.revision = None;
}

/// Makes a pod one of another template.
pub fn replace(pod: &mut Node, image: &str) {
    image.clone_into(&mut pod.image);
    image.clone_into(&mut pod.revision);
}

/// Selects steps.
pub type Which = fn(&Step) -> bool;

#[expect(clippy::struct_excessive_bools, reason = "each is a fault of its own that a test may choose")]
pub struct World {
    pub now: Timestamp,
    /// When the operator was started.
    pub since: Timestamp,
    pub cassandra: Option<Cassandra>,
    pub request: CassandraOpsRequest,
    pub catalog: BTreeMap<String, CassandraVersion>,
    pub racks: Vec<Rack>,
    /// Images and revisions that crash.
    pub bad: BTreeSet<String>,
    /// Images that do not exist in any registry.
    pub missing: BTreeSet<String>,
    /// No pod can be scheduled.
    pub full: bool,
    /// Pulling never ends.
    pub slow: bool,
    /// Why the API server refuses the pods that pull.
    pub no_pull_pods: Option<String>,
    /// Why the kubelets refuse these pods.
    pub no_room: Option<String>,
    pub pull_pods: Vec<PullPod>,
    /// Whether the keyspaces have enough copies.
    pub copies: Copies,
    /// What the schema and the settings use.
    pub names: Names,
    /// Resource version of the user's Secret with settings.
    pub settings: Option<String>,
    /// The user's classes that the pods that pull search for, and whether they are in the image; `None`: no answer.
    pub classes: BTreeMap<String, Option<bool>>,
    /// Why a budget blocks every eviction.
    pub budget: Option<String>,
    /// The ring's own budget does not let an unhealthy pod be evicted while another one is down.
    pub keeps_unhealthy: bool,
    /// Steps whose writes the API server refuses, and its message.
    pub refused: Option<(Which, &'static str)>,
    /// Whether the API server would accept pods of the target.
    pub admission: Admission,
    /// Pods that are being deleted and do not end, with what holds them.
    pub held: BTreeMap<String, String>,
    /// How often the status changed.
    pub writes: usize,
    /// Problems that every check of the ring finds.
    pub problems: Vec<String>,
    /// Whether the provisioner answers a halt.
    pub answers: bool,
    pub turn: Turn,
    pub unfinished: Vec<String>,
    /// Pods that were evicted, in order.
    pub evicted: Vec<String>,
    /// What a webhook puts before the image of every new pod.
    pub rewrites: &'static str,
    /// PetSets whose template has an edit.
    pub edited: BTreeSet<String>,
    /// Every pair of pod and image that has run.
    pub ran: BTreeSet<(String, String)>,
    renewals: u32,
}

impl World {
    /// A Ready ring of three racks with `replicas` nodes each at 4.1.10, and a request to go to 5.0.6.
    pub fn new(replicas: i32) -> Self {
        let racks = ["a", "b", "c"];
        let versions = ["3.11.19", "4.1.9", "4.1.10", "5.0.6", "6.0.0"];
        Self {
            now: Timestamp::UNIX_EPOCH + SignedDuration::from_mins(1),
            since: Timestamp::UNIX_EPOCH,
            cassandra: Some(fixtures::cassandra(&racks, replicas)),
            request: fixtures::request(1),
            catalog: versions.map(|name| (name.to_owned(), fixtures::version(name))).into(),
            racks: racks.map(|name| fixtures::rack(name, replicas)).into(),
            bad: BTreeSet::new(),
            missing: BTreeSet::new(),
            full: false,
            slow: false,
            no_pull_pods: None,
            no_room: None,
            pull_pods: vec![],
            copies: Copies::Enough,
            names: Names::default(),
            settings: None,
            classes: BTreeMap::new(),
            budget: None,
            keeps_unhealthy: false,
            refused: None,
            admission: Admission::Fine,
            held: BTreeMap::new(),
            writes: 0,
            problems: vec![],
            answers: true,
            turn: Turn::Now,
            unfinished: vec![],
            evicted: vec![],
            rewrites: "",
            edited: BTreeSet::new(),
            ran: BTreeSet::new(),
            renewals: 0,
        }
    }

    pub fn target(&mut self, name: &str) {
        self.request.spec.update_version = Some(UpdateVersion { target_version: name.to_owned() });
    }

    pub fn spec(&mut self) -> &mut CassandraSpec {
        &mut self.cassandra.as_mut().expect("there is a Cassandra").spec
    }

    pub fn status(&mut self) -> &mut CassandraStatus {
        self.cassandra.as_mut().expect("there is a Cassandra").status.get_or_insert_default()
    }

    /// Reconciles until nothing changes but time. Returns the steps that were taken.
    pub fn run(&mut self) -> Vec<Step> {
        let steps = (0..500).map_while(|_| self.reconcile(true)).collect();
        assert!(self.pull_pods.is_empty() || self.phase() == Phase::Pending, "pods are left that pull");
        steps
    }

    /// One reconcile; `None` if it would only wait for something that never comes. If `told` is false, the operator dies
    /// after the effect and before the status is written.
    pub fn reconcile(&mut self, told: bool) -> Option<Step> {
        let mut observed = self.picture();
        let mut step = next_step(&observed);
        if step == Step::Probe {
            observed.ring = Some(self.ring());
            step = next_step(&observed);
        }
        if step == Step::Rehearse {
            observed.admission = Some(self.admission.clone());
            step = next_step(&observed);
        }
        let before = self.request.clone();
        let refusal = self.refused.filter(|(what, _)| what(&step)).map(|(_, why)| why);
        let note = if refusal.is_none() { self.perform(&step) } else { None };
        if told && !matches!(step, Step::Done | Step::Release) {
            self.request.status = Some(match refusal {
                Some(why) => refused(&observed, &step, why),
                None => status(&observed, &step, note.as_deref()),
            });
            self.writes += usize::from(before.status != self.request.status);
        }
        let moved = self.live();
        // A missing object is waited for only for a few seconds, so that wait is not quiet.
        let brief =
            self.request.status.as_ref().and_then(|s| s.step.as_ref()).is_some_and(|s| s.name == "absence");
        let waits = matches!(step, Step::Done | Step::Wait(_)) || refusal.is_some();
        let quiet = waits && !moved && before == self.request && !(brief && self.phase() == Phase::Pending);
        (!quiet).then_some(step)
    }

    fn picture(&self) -> Observed {
        let version = |name: &str| self.catalog.get(name).cloned().map(Arc::new);
        let target = self.request.spec.update_version.as_ref().map(|u| u.target_version.clone());
        Observed {
            now: self.now,
            since: self.since,
            request: Arc::new(self.request.clone()),
            turn: self.turn.clone(),
            cassandra: self.cassandra.clone().map(Arc::new),
            unfinished: self.unfinished.clone(),
            current: self.cassandra.as_ref().and_then(|c| version(&c.spec.version)),
            target: target.and_then(|name| version(&name)),
            racks: if self.cassandra.is_some() { self.racks.clone() } else { vec![] },
            pull_pods: self.pull_pods.clone(),
            ring: None,
            admission: None,
        }
    }

    fn rack(&mut self, petset: &str) -> &mut Rack {
        self.racks.iter_mut().find(|rack| rack.petset == petset).expect("it is there")
    }

    fn ring(&self) -> Ring {
        let mut ring = fixtures::ring(&self.racks);
        ring.problems.extend(self.problems.iter().cloned());
        ring.copies.clone_from(&self.copies);
        ring.names.clone_from(&self.names);
        ring.settings.clone_from(&self.settings);
        ring
    }

    fn perform(&mut self, step: &Step) -> Option<String> {
        let uid = self.request.uid().unwrap_or_default();
        let changes_ring = matches!(
            step,
            Step::SetImage { .. }
                | Step::SetTemplate { .. }
                | Step::SetSize { .. }
                | Step::Evict { .. }
                | Step::Commit(_)
        );
        if changes_ring {
            let cassandra = self.cassandra.as_ref().expect("nothing is changed without a Cassandra");
            assert!(Halt::of(cassandra).is_of(&uid), "{step:?} without a halt of its own");
            assert!(halt::is_answered(cassandra), "{step:?} before the provisioner has answered");
            assert!(self.pull_pods.is_empty(), "{step:?} with pods left that pull");
        }
        match step {
            Step::Begin { .. } => self.request.finalizers_mut().push(OPS_REQUEST_FINALIZER.to_owned()),
            Step::Release => self.request.finalizers_mut().clear(),
            Step::Halt => {
                let cassandra = self.cassandra.as_mut().expect("it is alive");
                assert_ne!(Halt::of(cassandra), Halt::User, "took the user's halt");
                let lifted = cassandra.annotations().get(HALTED_BY) == Some(&uid);
                cassandra.annotations_mut().insert(HALTED_BY.to_owned(), uid);
                cassandra.spec.halted = true;
                bump(cassandra);
                return lifted.then(|| "field manager gitops sets spec.halted to false".to_owned());
            }
            Step::Resume => {
                let cassandra = self.cassandra.as_mut().expect("it is alive");
                assert_eq!(
                    cassandra.annotations().get(HALTED_BY),
                    Some(&uid),
                    "lifted a halt that is not its own"
                );
                cassandra.annotations_mut().remove(HALTED_BY);
                cassandra.spec.halted = false;
                bump(cassandra);
            }
            Step::Commit(commit) => {
                let cassandra = self.cassandra.as_mut().expect("it is alive");
                match commit {
                    Commit::Version(name) => cassandra.spec.version.clone_from(name),
                    Commit::Resources(resources) => desired::ask(&mut cassandra.spec, "db", resources),
                }
                bump(cassandra);
            }
            Step::SetSize { petset, size } => {
                let rack = self.rack(petset);
                assert_ne!(rack.size.replace(size.clone()).as_ref(), Some(size), "{petset} has this size");
                rack.revision = None;
            }
            Step::SetImage { petset, image, .. } => give(self.rack(petset), Some(image)),
            Step::SetTemplate { petset } => {
                let rack = self.rack(petset);
                assert!(std::mem::take(&mut rack.waits), "{petset} has its template");
                rack.revision = None;
                self.edited.insert(petset.clone());
            }
            Step::Evict { .. } if self.budget.is_some() => return self.budget.clone(),
            Step::Evict { pod } if self.keeps_unhealthy && self.others_down(&pod.name) > 0 => {
                return Some("it would violate the pod's disruption budget".to_owned());
            }
            Step::Evict { pod } => self.evict(&pod.name),
            Step::Pull { .. } if self.no_pull_pods.is_some() => return self.no_pull_pods.clone(),
            Step::Pull { image, places } => self.pull(image, places),
            Step::RemovePullPods { pods } => self.pull_pods.retain(|pull_pod| !pods.contains(pull_pod)),
            _ => {}
        }
        None
    }

    fn pull(&mut self, image: &str, places: &[Place]) {
        for Place { host, pod, .. } in places {
            assert!(self.pull_pods.iter().all(|pull_pod| pull_pod.host != *host), "two pull on {host}");
            let name = format!("pull-{pod}");
            self.pull_pods.push(PullPod {
                uid: name.clone(),
                name,
                host: host.clone(),
                image: image.to_owned(),
                state: PullState::Pulling("ContainerCreating".to_owned()),
                look: Look { asked: self.asked(), found: None },
                terminating: false,
            });
        }
    }

    fn asked(&self) -> BTreeSet<String> {
        self.classes.keys().cloned().collect()
    }

    fn others_down(&self, name: &str) -> usize {
        let all = self.racks.iter().flat_map(|rack| &rack.pods);
        all.filter(|pod| pod.name != name && (!pod.ready || pod.terminating)).count()
    }

    fn evict(&mut self, name: &str) {
        let others_down = self.others_down(name);
        let pod = self.racks.iter_mut().flat_map(|rack| &mut rack.pods).find(|pod| pod.name == name);
        let pod = pod.expect("it was observed");
        assert!(others_down == 0 || !pod.ready, "{name} was taken down while {others_down} others were down");
        pod.terminating = true;
        self.evicted.push(name.to_owned());
    }

    /// What the rest of the cluster does meanwhile. Returns whether it did anything.
    fn live(&mut self) -> bool {
        self.now += SignedDuration::from_secs(2);
        let mut moved = self.provisioner();
        moved |= self.kubelets_pull();
        for rack in &mut self.racks {
            moved |= rack.revision.is_none();
            let image = rack.image.clone().unwrap_or_default();
            let edit = if self.edited.contains(&rack.petset) { " with an edit" } else { "" };
            let memory = rack.size.as_ref().and_then(|size| size.resources.limits.get("memory"));
            let memory = memory.filter(|memory| memory.0 != "1536Mi");
            let size = memory.map_or(String::new(), |memory| format!(" with {}", memory.0));
            let revision = rack.revision.get_or_insert_with(|| format!("{image}{edit}{size}")).clone();
            for pod in &mut rack.pods {
                if pod.terminating
                    && let Some(held) = self.held.get(&pod.name)
                {
                    pod.held = Some(held.clone()).filter(|held| !held.is_empty());
                    pod.ready = false;
                } else if pod.terminating {
                    self.renewals += 1;
                    *pod = fixtures::pod(&pod.name, &format!("{}{image}", self.rewrites), self.renewals);
                    pod.revision.clone_from(&revision);
                    pod.ready = false;
                    self.ran.insert((pod.name.clone(), image.clone()));
                    moved = true;
                } else if !pod.ready && pod.trouble.is_none() {
                    if self.full {
                        "a node to run on (0/3 nodes are available)".clone_into(&mut pod.waits_for);
                        continue;
                    }
                    let image = pod.image.trim_start_matches(self.rewrites);
                    if [image, &pod.revision].iter().any(|it| self.bad.contains(*it)) {
                        pod.trouble = Some(Trouble { what: "it crashes".to_owned(), log_of: None });
                    } else {
                        pod.ready = true;
                    }
                    moved = true;
                }
            }
        }
        moved
    }

    fn kubelets_pull(&mut self) -> bool {
        let before = self.pull_pods.clone();
        for pull_pod in &mut self.pull_pods {
            pull_pod.state = match &self.no_room {
                Some(why) => PullState::Refused(why.clone()),
                None if self.slow => continue,
                None if self.missing.contains(&pull_pod.image) => {
                    PullState::Missing(format!("image {} cannot be pulled", pull_pod.image))
                }
                None => PullState::Pulled,
            };
            if pull_pod.state == PullState::Pulled && self.classes.values().all(Option::is_some) {
                let there = self.classes.iter().filter(|(_, there)| **there == Some(true));
                pull_pod.look.found = Some(there.map(|(class, _)| class.clone()).collect());
            }
        }
        before != self.pull_pods
    }

    fn provisioner(&mut self) -> bool {
        let Some(cassandra) = &mut self.cassandra else { return false };
        let before = cassandra.status.clone();
        if self.answers {
            let statement = halt::answer(cassandra);
            let generation = cassandra.metadata.generation;
            let status = cassandra.status.get_or_insert_default();
            status.observed_generation = generation;
            if let Some(statement) = statement {
                condition::set(&mut status.conditions, statement, &Time(self.now));
            }
        }
        before != cassandra.status
    }

    /// Reconciles until `happened` is true.
    pub fn until(&mut self, happened: impl Fn(&Self) -> bool) {
        let mut looks = 0;
        while !happened(self) && looks < 500 {
            self.reconcile(true);
            looks += 1;
        }
        assert!(looks < 500, "it did not happen: {:?}", self.request.status);
    }

    /// Somebody else edits the Cassandra.
    pub fn edit(&mut self, change: impl Fn(&mut Cassandra)) {
        let cassandra = self.cassandra.as_mut().expect("there is a Cassandra");
        change(cassandra);
        bump(cassandra);
    }

    /// A manifest with `halted: false` is applied: the mark stays. The provisioner sees it before the ops-manager does.
    pub fn lift(&mut self) {
        self.edit(|cassandra| cassandra.spec.halted = false);
        self.provisioner();
    }

    pub fn halt(&self) -> Halt {
        Halt::of(self.cassandra.as_ref().expect("there is a Cassandra"))
    }

    /// Makes a pod crash.
    pub fn crash(&mut self, rack: usize, pod: usize) {
        let pod = &mut self.racks[rack].pods[pod];
        pod.ready = false;
        pod.trouble = Some(Trouble { what: "it crashes".to_owned(), log_of: None });
    }

    /// Another request for the same update, in the world that the first one has left.
    pub fn again(self) -> Self {
        let mut next = Self { cassandra: self.cassandra, racks: self.racks, now: self.now, ..Self::new(1) };
        next.request.metadata.uid = Some("request-2".to_owned());
        next.request.spec.apply = Apply::Always;
        next
    }

    pub fn phase(&self) -> Phase {
        self.request.phase()
    }

    pub fn images(&self) -> BTreeSet<&str> {
        self.racks.iter().flat_map(|rack| &rack.pods).map(|pod| pod.image.as_str()).collect()
    }

    pub fn is_true(&self, type_: &str) -> bool {
        self.request.status.as_ref().is_some_and(|status| condition::is_true(&status.conditions, type_))
    }

    /// The message of a condition.
    pub fn says(&self, type_: &str) -> String {
        let conditions = self.request.status.as_ref().map_or(&[][..], |s| &s.conditions);
        condition::get(conditions, type_).map(|c| c.message.clone()).unwrap_or_default()
    }
}

fn bump(cassandra: &mut Cassandra) {
    cassandra.metadata.generation = cassandra.metadata.generation.map(|g| g + 1);
}
