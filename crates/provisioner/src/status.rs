//! Builds the status of a Cassandra.

use api::cassandra::{CassandraStatus, Phase, StoredConfiguration, condition_type as type_};
use api::condition::{self, Statement};
use api::halt::Halt;
use api::{Cassandra, halt};
use desired::Refusal;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::apply::Waiting;
use crate::checks::{Check, Verdict};
use crate::health::listed;
use crate::observe::{Observed, PodSeen};

/// Reason of the condition while a pod does not start; each new message gets an event.
pub const POD_FAILING: &str = "PodFailing";

/// The results of one reconcile.
pub struct Findings<'a> {
    /// Its objects.
    pub observed: &'a Observed,
    /// Why the ring cannot be provisioned.
    pub refusal: Option<&'a Refusal>,
    /// The objects that could not be applied; `None` if that was not tried.
    pub not_applied: Option<Vec<Refusal>>,
    /// The configuration; `None` if it was not stored.
    pub configuration: Option<&'a StoredConfiguration>,
    /// Templates that wait for a request; `None` if they were not built.
    pub waiting: Option<&'a [Waiting]>,
    /// What differs from how the ring was created; `None` if that was not checked.
    pub flaws: Option<Vec<Refusal>>,
    /// Result of the health checks; `None` before the first one.
    pub verdict: Option<&'a Verdict>,
}

/// The present status, with only the answer to the halt updated.
pub fn answered(cassandra: &Cassandra, now: &Time) -> CassandraStatus {
    let mut status = cassandra.status.clone().unwrap_or_default();
    if let Some(answer) = halt::answer(cassandra) {
        condition::set(&mut status.conditions, answer, now);
    }
    status
}

/// The status that follows from the findings.
pub fn of(cassandra: &Cassandra, findings: &Findings, now: &Time) -> CassandraStatus {
    let Findings { observed, refusal, not_applied, configuration, waiting, flaws: of_ring, verdict } =
        findings;
    let mut status = answered(cassandra, now);
    status.configuration = configuration.cloned().or(status.configuration);
    let name =
        format!("{}/{}", cassandra.metadata.namespace.as_deref().unwrap_or_default(), name_of(cassandra));
    let mut say = |type_: &str, status_is: bool, reason: &str, message: String| {
        let statement = Statement {
            type_: type_.to_owned(),
            status: status_is,
            reason: reason.to_owned(),
            message,
            generation: cassandra.metadata.generation,
        };
        condition::set(&mut status.conditions, statement, now);
    };

    if let Some(Refusal { reason, message }) = refusal {
        say(type_::PROVISIONING_STARTED, false, reason, message.clone());
    } else if observed.has_begun() || halt::provisioner_may_write(cassandra) {
        let message = format!("The operator has started to provision Cassandra {name}");
        say(type_::PROVISIONING_STARTED, true, "DatabaseProvisioningStartedSuccessfully", message);
    }
    let before = cassandra.status.as_ref().map_or(&[][..], |status| &status.conditions);
    let told = |type_: &str| condition::get(before, type_).is_some();
    let whole = ["AllObjectsApplied", "All objects are as they should be"];
    flaws(&mut say, type_::OBJECTS_APPLIED, not_applied.as_deref(), told(type_::OBJECTS_APPLIED), whole);
    let whole =
        ["RingSettled", "Superuser, copies of logins and the operator's keyspace are as they were made"];
    flaws(&mut say, type_::SETTLED, of_ring.as_deref(), told(type_::SETTLED), whole);
    // While the Cassandra is halted, no template is built, and a request renews pods one after the other.
    if let Some(waiting) = waiting {
        match outdated(observed, waiting) {
            Some(message) => say(type_::RESTART_REQUIRED, true, "TemplateChanged", message),
            None if told(type_::RESTART_REQUIRED) => {
                let message = "All pods have the present template".to_owned();
                say(type_::RESTART_REQUIRED, false, "UpToDate", message);
            }
            None => {}
        }
    }
    let complete = observed.is_complete();
    let (reason, message) = replicas(observed);
    say(type_::REPLICA_READY, complete, reason, message);

    let Some(verdict) = verdict else { return finished(cassandra, status) };
    let threshold = u32::try_from(cassandra.spec.health_checker.failure_threshold).unwrap_or(1);
    // A condition stays True until enough checks in a row have failed.
    let holds = |type_: &str, failures: u32| failures < threshold && condition::is_true(before, type_);
    let Verdict { report, silent, failed } = verdict;
    // The nodes must get the list of members before the ring becomes Ready, because a request may then halt the Cassandra.
    let others = !report.host_ids.is_empty() && report.host_ids != status.host_ids;
    if others {
        status.host_ids.clone_from(&report.host_ids);
    }
    let untold = others && halt::provisioner_may_write(cassandra);
    if report.accepting.is_ok() || !holds(type_::ACCEPTING_CONNECTION, *silent) {
        let [yes, no] = ["DatabaseAcceptingConnectionRequest", "DatabaseNotAcceptingConnectionRequest"];
        let message = format!("Cassandra {name} accepts client requests");
        check(&mut say, type_::ACCEPTING_CONNECTION, &report.accepting, [yes, no], message);
    }
    if !untold && (report.ready.is_ok() || !holds(type_::READY, *failed)) {
        let message = format!("Cassandra {name} is ready: all nodes answer and agree");
        let reasons = ["ReadinessCheckSucceeded", "ReadinessCheckFailed"];
        check(&mut say, type_::READY, &report.ready, reasons, message);
    }
    if !untold && report.ready.is_ok() && complete {
        let message = format!("Cassandra {name} is provisioned");
        say(type_::PROVISIONED, true, "DatabaseSuccessfullyProvisioned", message);
    }
    finished(cassandra, status)
}

fn check(
    say: &mut impl FnMut(&str, bool, &str, String),
    type_: &str,
    check: &Check,
    [yes, no]: [&str; 2],
    message: String,
) {
    match check {
        Ok(()) => say(type_, true, yes, message),
        Err(why) => say(type_, false, no, why.clone()),
    }
}

/// Sets a condition that appears only once something is wrong.
fn flaws(
    say: &mut impl FnMut(&str, bool, &str, String),
    type_: &str,
    found: Option<&[Refusal]>,
    told: bool,
    [reason, message]: [&str; 2],
) {
    match found {
        Some([]) if told => say(type_, true, reason, message.to_owned()),
        Some([first, ..]) => {
            let all: Vec<_> = found.into_iter().flatten().map(|one| one.message.clone()).collect();
            say(type_, false, first.reason, listed(&all));
        }
        None | Some([]) => {}
    }
}

fn replicas(observed: &Observed) -> (&'static str, String) {
    let trouble = observed.pods.iter().find_map(|pod| Some((&pod.name, pod.trouble.as_ref()?)));
    if let Some((pod, trouble)) = trouble {
        return (POD_FAILING, format!("Pod {pod}: {trouble}"));
    }
    let missing = observed.racks.iter().find_map(|rack| match rack.ready {
        None => Some(format!("PetSet {} does not exist yet", rack.petset)),
        Some(ready) if ready != rack.desired => {
            let next = observed.joins.as_ref().filter(|_| observed.pods.len() > 1);
            let next =
                next.map(|pod| format!(". Nodes join the ring one after the other; the next one is {pod}"));
            let next = next.unwrap_or_default();
            Some(format!("PetSet {}: {ready} of {} pods are ready{next}", rack.petset, rack.desired))
        }
        Some(_) => None,
    });
    let missing = missing.or_else(|| {
        let pod = observed.pods.iter().find(|pod| !pod.ready)?;
        Some(format!("Pod {} is not ready", pod.name))
    });
    match missing {
        Some(missing) => ("SomeReplicasNotReady", missing),
        None => ("AllReplicasReady", "All pods of all racks are ready".to_owned()),
    }
}

/// A message about the pods that lack a change of their template, if there are any.
fn outdated(observed: &Observed, waiting: &[Waiting]) -> Option<String> {
    let lacks = |pod: &&PodSeen| pod.outdated || waiting.iter().any(|it| it.pods.contains(&pod.name));
    let pods: Vec<_> = observed.pods.iter().filter(lacks).map(|pod| pod.name.as_str()).collect();
    let field = waiting.first().map(|it| format!(" (the first one is in {})", it.field)).unwrap_or_default();
    (!pods.is_empty()).then(|| {
        format!(
            "Pods that lack changes of their template{field}: {}. Templates follow spec.podTemplate, spec.configuration, the \
             CassandraVersion and the release of the operators. A CassandraOpsRequest of type Restart brings the changes",
            pods.join(", ")
        )
    })
}

fn finished(cassandra: &Cassandra, mut status: CassandraStatus) -> CassandraStatus {
    status.phase = Phase::of(&status.conditions);
    status.observed_generation = cassandra.metadata.generation;
    status
}

fn name_of(cassandra: &Cassandra) -> &str {
    cassandra.metadata.name.as_deref().unwrap_or_default()
}

/// Conditions for which every new reason or message gets an event.
const TELLS: [&str; 3] = [type_::PROVISIONING_STARTED, type_::OBJECTS_APPLIED, type_::SETTLED];

/// The conditions of `after` that deserve an event: those whose status has changed, and each new reason why something is stuck.
pub fn news<'a>(before: &[Condition], after: &'a [Condition]) -> Vec<&'a Condition> {
    let is_news = |new: &&Condition| match condition::get(before, &new.type_) {
        Some(old) if old.status != new.status => true,
        old => {
            let told = old.is_some_and(|old| (&old.reason, &old.message) == (&new.reason, &new.message));
            let stuck =
                new.status == "False" && (TELLS.contains(&new.type_.as_str()) || new.reason == POD_FAILING);
            !told && (stuck || (old.is_none() && new.status == "True"))
        }
    };
    after.iter().filter(is_news).collect()
}

/// Whether a condition is a warning. While a request has halted the Cassandra, its pods are replaced on purpose, so a missing one
/// is normal and the request reports any failure. A pod that does not start is a warning even then.
pub fn is_bad(cassandra: &Cassandra, news: &Condition) -> bool {
    const COURSE: [&str; 3] = [type_::REPLICA_READY, type_::ACCEPTING_CONNECTION, type_::READY];
    if news.status == "True" || [type_::PAUSED, type_::RESTART_REQUIRED].contains(&news.type_.as_str()) {
        return false;
    }
    let renewed = matches!(Halt::of(cassandra), Halt::Request(_));
    !(renewed && COURSE.contains(&news.type_.as_str()) && news.reason != POD_FAILING)
}

#[cfg(test)]
mod tests;
