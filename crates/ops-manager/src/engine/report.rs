//! Builds the status of the request from the observation and the step taken.

use api::condition::{self, Statement};
use api::halt::{self, Halt};
use api::ops_request::{CassandraOpsRequestStatus, PAUSE, Phase};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::ResourceExt;

use super::absence;
use super::clock;
use super::ending::{HALT_LIFTED, ROLL_BACK_UNFINISHED};
use crate::observe::Observed;
use crate::operation::{self, Way};
use crate::preparation::pull_pod::Place;
use crate::preparation::{image_pull, known_to_target, replication};
use crate::refusal;
use crate::step::{Commit, HELD_UP, Intent, Outcome, PULL_IMAGE, Step, Wait};

/// The status after `step` was taken. `note` comes from carrying it out: a cause with log lines, or why a budget blocked an
/// eviction.
pub fn status(observed: &Observed, step: &Step, note: Option<&str>) -> CassandraOpsRequestStatus {
    let mut report = Report::of(observed, step);
    report.preparation(observed, step);
    report.facts(observed, step);
    report.step(observed, step, note);
    report.status
}

/// The status after the API server refused `step`; `why` is its message.
pub fn refused(observed: &Observed, step: &Step, why: &str) -> CassandraOpsRequestStatus {
    let mut report = Report::of(observed, step);
    if let Some((type_, by_direction)) = refusal::condition_of(step) {
        let prefix = if by_direction { report.status.prefix() } else { "" };
        report.say(format!("{prefix}{type_}"), type_ == HELD_UP, refusal::REFUSED, why);
    }
    report.status
}

/// The conditions that deserve an event: reason, message, and whether it is a warning.
pub fn news<'a>(
    old: &'a [Condition],
    new: &'a [Condition],
) -> impl Iterator<Item = (&'a str, &'a str, bool)> {
    let is_refused = |c: &Condition| c.reason == refusal::REFUSED;
    let is_new = move |c: &&Condition| {
        condition::get(old, &c.type_)
            .is_none_or(|before| before.status != c.status || (is_refused(c) && !is_refused(before)))
    };
    new.iter().filter(is_new).map(move |c| {
        let reason = c.type_.split("--").next().unwrap_or_default();
        let warning = ["Failed", "Denied", "RollBack", STOPPED, HALT_LIFTED, absence::REPAIR_NEEDED]
            .contains(&reason)
            || (reason == replication::CONDITION && c.status == "False")
            || (reason == known_to_target::CONDITION && c.reason == "Unknown")
            || is_refused(c);
        (reason, c.message.as_str(), warning)
    })
}

/// Type of the condition that reports the end of the halt.
const RESUME: &str = "ResumeDatabase";
/// Prefixes of conditions about pods and PetSets. During a roll-back their types begin with `RollBack`.
const ROLLING: [&str; 5] = ["UpdatePetSets", "GetPod--", "EvictPod--", "RunningPod--", "CheckPodRunning--"];
/// Type of the condition of a request that was given up and has no way back.
const STOPPED: &str = "Stopped";

struct Report {
    status: CassandraOpsRequestStatus,
    generation: Option<i64>,
    now: Time,
}

impl Report {
    /// The present status, with the clock of the step that was taken or tried.
    fn of(observed: &Observed, step: &Step) -> Self {
        let mut status = observed.request.status.clone().unwrap_or_default();
        let generation = observed.request.metadata.generation;
        status.observed_generation = generation;
        status.phase.get_or_insert(Phase::Pending);
        // A wait that depends on the user has no time limit.
        match step.timed() {
            Some(name) => status.step = Some(clock::started(observed, status.step.as_ref(), name)),
            None if matches!(step, Step::Wait(_)) => status.step = None,
            None => {}
        }
        Self { status, generation, now: Time(observed.now) }
    }

    fn say(&mut self, type_: impl Into<String>, status: bool, reason: &str, message: impl Into<String>) {
        let statement = Statement {
            type_: type_.into(),
            status,
            reason: reason.to_owned(),
            message: message.into(),
            generation: self.generation,
        };
        condition::set(&mut self.status.conditions, statement, &self.now);
    }

    /// Adds the results of the checks before the request begins.
    fn preparation(&mut self, observed: &Observed, step: &Step) {
        if self.status.phase != Some(Phase::Pending)
            || step.is_held_up()
            || matches!(step, Step::RemovePullPods { .. })
        {
            return;
        }
        let replication = replication::condition(observed).map(|found| (replication::CONDITION, found));
        let of_kind = operation::kind(observed.request.spec.type_).conditions(observed);
        for (type_, (status, reason, message)) in replication.into_iter().chain(of_kind) {
            self.say(type_, status, reason, message);
        }
    }

    /// Adds what the cluster shows while the halt is ours. Setting `spec.version` starts a new generation, for which the halt
    /// is not answered yet, and resume does not wait for that. If the operator died in between, or just after the resume, the
    /// progress is reported at the end.
    fn facts(&mut self, observed: &Observed, step: &Step) {
        let (Some(operation), Some(cassandra)) = (operation::of(&observed.request), &observed.cassandra)
        else {
            return;
        };
        let ours = Halt::of(cassandra).is_of(&observed.request.uid().unwrap_or_default());
        let answered = halt::is_answered(cassandra);
        let committed = *step == Step::Resume && operation.way() == Way::Forward;
        let finished = *step == Step::Finish(Outcome::Successful);
        if !finished && !(ours && (answered || committed)) {
            return;
        }
        if ours && answered {
            self.say(PAUSE, true, "Paused", "the provisioner leaves the Cassandra alone");
        }
        if let Some(commit) = operation.commit().filter(|_| committed) {
            self.committed(&commit);
        }
        let (running, on) = (operation.names().running, operation.on());
        let nodes = observed.nodes();
        let done = if finished { nodes } else { operation.done(observed) };
        self.status.progress = Some(format!("{done}/{nodes}"));
        if let Some((all, message)) = operation.templates(observed) {
            self.roll("UpdatePetSets", all, message);
        }
        for (_, pod) in observed.pods().filter(|(rack, pod)| operation.is_done(rack, pod)) {
            // During a roll-back, most pods were never evicted.
            let evicted = format!("RollBackEvictPod--{}", pod.name);
            if operation.goes_back() && condition::get(&self.status.conditions, &evicted).is_none() {
                continue;
            }
            self.roll(&format!("{running}--{}", pod.name), true, format!("pod {} is Ready{on}", pod.name));
        }
        let names = observed.pods().map(|(_, pod)| pod.name.as_str());
        if let Some(repair) = absence::repair(&self.status.conditions, running, names) {
            self.say(absence::REPAIR_NEEDED, true, "HintsExpired", repair);
        }
        // The eviction's response or status write was lost, or somebody else has deleted the pod.
        for (rack, pod) in observed.pods().filter(|(rack, _)| operation.give(rack).is_none()) {
            let steps = ["GetPod", "EvictPod"].map(|step| format!("{step}--{}", pod.name));
            let told = |step: &String| {
                let type_ = format!("{}{step}", self.status.prefix());
                condition::get(&self.status.conditions, &type_).map(|told| told.status == "True")
            };
            let told = steps.each_ref().map(told);
            let away = pod.terminating || (operation.is_renewed(rack, pod) && told != [None, None]);
            for (step, told) in steps.iter().zip(told) {
                if away && told != Some(true) {
                    self.roll(step, true, format!("pod {} was taken away", pod.name));
                }
            }
        }
        if done == nodes {
            self.roll(operation.names().renewed, true, format!("all {nodes} pods are Ready{on}"));
        }
    }

    fn step(&mut self, observed: &Observed, step: &Step, note: Option<&str>) {
        if !step.is_held_up() {
            self.status.conditions.retain(|c| c.type_ != "Waiting");
        }
        match step {
            Step::Done | Step::Release | Step::Probe | Step::Rehearse | Step::RemovePullPods { .. } => {}
            Step::Wait(Wait { condition, message, .. })
                if ROLLING.iter().any(|r| condition.starts_with(r)) =>
            {
                self.roll(condition, false, message.clone());
            }
            // The condition `Waiting` is True during the wait; any other one is False until the wait is over.
            Step::Wait(wait) => {
                self.say(wait.condition.clone(), step.is_held_up(), wait.reason, wait.message.clone());
            }
            Step::Pull { image, places } => self.pull(image, places, note),
            Step::Begin { intent, message } => self.begin(observed, intent, message),
            Step::Halt => {
                if let Some(lifted) = note {
                    self.say(HALT_LIFTED, true, HALT_LIFTED, lifted);
                }
                self.say(PAUSE, false, "Halting", "spec.halted is set; the provisioner has not answered yet");
            }
            Step::SetImage { petset, image, .. } => {
                self.roll("UpdatePetSets", false, format!("image of PetSet {petset} set to {image}"));
            }
            Step::SetSize { petset, size } => {
                self.roll("UpdatePetSets", false, format!("PetSet {petset} was given {}", size.resources));
            }
            Step::SetTemplate { petset } => {
                self.roll("UpdatePetSets", false, format!("PetSet {petset} was given its new template"));
            }
            Step::Evict { pod } => {
                let name = &pod.name;
                let why = if pod.ready { "the ring is whole without it" } else { "it is down already" };
                self.roll(&format!("GetPod--{name}"), true, format!("pod {name} is next; {why}"));
                let message = note.map_or(format!("pod {name} was evicted"), |why| {
                    format!("pod {name} cannot be evicted at this moment: {why}")
                });
                self.roll(&format!("EvictPod--{name}"), note.is_none(), message);
            }
            Step::GiveUp { cause, .. } => self.give_up(note.unwrap_or(cause)),
            Step::Commit(commit) => self.committed(commit),
            Step::Resume => {
                if observed.ring.as_ref().is_some_and(|ring| ring.problems.is_empty()) {
                    self.whole();
                }
                self.resumed();
            }
            Step::Finish(outcome) => self.finish(observed, outcome),
        }
    }

    /// Sets the condition of a rolling step, with the prefix of the present direction.
    fn roll(&mut self, type_: &str, status: bool, message: impl Into<String>) {
        let prefix = self.status.prefix();
        let reason = type_.split("--").next().unwrap_or_default().to_owned();
        self.say(format!("{prefix}{type_}"), status, &reason, message);
    }

    /// The spec is changed only when the ring was found whole, so this sets both conditions.
    fn committed(&mut self, commit: &Commit) {
        let (type_, message) = commit.told();
        if !condition::is_true(&self.status.conditions, type_) {
            self.whole();
            self.say(type_, true, type_, message);
        }
    }

    fn whole(&mut self) {
        self.say("VerifyRing", true, "RingWhole", "every node is up and reports the release that it should");
    }

    fn resumed(&mut self) {
        self.say(RESUME, true, "Resumed", "spec.halted is lifted; the provisioner is at work again");
    }

    fn pull(&mut self, image: &str, places: &[Place], refusal: Option<&str>) {
        let (reason, message) = match refusal {
            None => {
                let hosts: Vec<&str> = places.iter().map(|place| place.host.as_str()).collect();
                ("Pulling", format!("image {image} is pulled on {}", hosts.join(", ")))
            }
            Some(why) => {
                (image_pull::REFUSED, format!("image {image} is not pulled before the update begins: {why}"))
            }
        };
        self.say(PULL_IMAGE, false, reason, message);
    }

    fn begin(&mut self, observed: &Observed, intent: &Intent, message: &str) {
        self.status.phase = Some(Phase::Progressing);
        self.status.step = None;
        match intent.clone() {
            Intent::UpdateVersion(record) => self.status.update_version = Some(record),
            Intent::Restart(record) => self.status.restart = Some(record),
            Intent::VerticalScaling(record) => self.status.vertical_scaling = Some(record),
        }
        let type_ = observed.request.spec.type_.name();
        self.say(type_, true, type_, message);
    }

    fn give_up(&mut self, cause: &str) {
        self.status.step = None;
        let update = self.status.update_version.as_mut().map(|record| &mut record.roll_back);
        let scaling = self.status.vertical_scaling.as_mut().map(|record| &mut record.roll_back);
        if let Some(roll_back) = update.or(scaling) {
            *roll_back = Some(cause.to_owned());
            self.say("RollBack", true, "RollBack", format!("going back to what there was before: {cause}"));
        } else if let Some(record) = &mut self.status.restart {
            record.stopped = Some(cause.to_owned());
            self.say(STOPPED, true, STOPPED, format!("no further pod is renewed: {cause}"));
        }
    }

    fn finish(&mut self, observed: &Observed, outcome: &Outcome) {
        self.status.step = None;
        match outcome {
            Outcome::Successful => {
                self.status.phase = Some(Phase::Successful);
                // The operator may have died before it could tell.
                if !condition::is_true(&self.status.conditions, RESUME) {
                    self.whole();
                    self.resumed();
                }
                self.say("DatabaseReady", true, "Ready", "the provisioner reports the Cassandra Ready");
                let message = operation::of(&observed.request).map_or("", |it| it.names().successful);
                self.say("Successful", true, "Successful", message);
            }
            Outcome::Failed(message) => {
                self.status.phase = Some(Phase::Failed);
                self.say("Failed", true, "Failed", message.clone());
            }
            Outcome::Stuck(message) => {
                self.status.phase = Some(Phase::Failed);
                self.say("Failed", true, ROLL_BACK_UNFINISHED, message.clone());
            }
            Outcome::Denied { reason, message } => {
                self.status.phase = Some(Phase::Denied);
                self.say("Denied", true, reason, format!("{message}. Nothing was touched"));
            }
            Outcome::Skipped(newer) => {
                self.status.phase = Some(Phase::Skipped);
                let message =
                    format!("CassandraOpsRequest {newer} is newer and takes its place; nothing was touched");
                self.say("Skipped", true, "Skipped", message);
            }
        }
    }
}
