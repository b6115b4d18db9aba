//! What a Cassandra's status says.

use api::cassandra::{CassandraStatus, Phase, condition_type as type_};
use api::condition::{self, Statement};
use api::halt::Halt;
use api::{Cassandra, halt};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::checks::{Check, Verdict};
use crate::error::Refusal;
use crate::health::listed;
use crate::observe::Observed;

/// Reason of a pod that does not start, worth an event of its own.
pub const POD_FAILING: &str = "PodFailing";

/// What was found out about a Cassandra.
pub struct Findings<'a> {
    /// What is there.
    pub observed: &'a Observed,
    /// Why nothing more can be made.
    pub refusal: Option<&'a Refusal>,
    /// The objects that are not as they should be; `None` if nobody looked.
    pub not_applied: Option<Vec<Refusal>>,
    /// What is not any more as the ring was made; `None` if nobody looked.
    pub flaws: Option<Vec<Refusal>>,
    /// What the nodes say; `None` if they have not been asked yet.
    pub verdict: Option<&'a Verdict>,
}

/// The status with the answer to the halt, and all else as it was.
pub fn answered(cassandra: &Cassandra, now: &Time) -> CassandraStatus {
    let mut status = cassandra.status.clone().unwrap_or_default();
    if let Some(answer) = halt::answer(cassandra) {
        condition::set(&mut status.conditions, answer, now);
    }
    status
}

/// The status that follows from what was found out.
pub fn of(cassandra: &Cassandra, findings: &Findings, now: &Time) -> CassandraStatus {
    let Findings { observed, refusal, not_applied, flaws: of_ring, verdict } = findings;
    let mut status = answered(cassandra, now);
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
    let complete = observed.is_complete();
    let (reason, message) = replicas(observed);
    say(type_::REPLICA_READY, complete, reason, message);

    let Some(verdict) = verdict else { return finished(cassandra, status) };
    let threshold = u32::try_from(cassandra.spec.health_checker.failure_threshold).unwrap_or(1);
    // A True stays until enough checks in a row have failed.
    let holds = |type_: &str, failures: u32| failures < threshold && condition::is_true(before, type_);
    let Verdict { report, silent, failed } = verdict;
    // Its nodes are told who belongs to the ring before it is called Ready: from then on a request may halt the Cassandra.
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

/// A condition that is not there before something is wrong.
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

fn finished(cassandra: &Cassandra, mut status: CassandraStatus) -> CassandraStatus {
    status.phase = Phase::of(&status.conditions);
    status.observed_generation = cassandra.metadata.generation;
    status
}

fn name_of(cassandra: &Cassandra) -> &str {
    cassandra.metadata.name.as_deref().unwrap_or_default()
}

/// Conditions whose every new reason is worth an event.
const TELLS: [&str; 3] = [type_::PROVISIONING_STARTED, type_::OBJECTS_APPLIED, type_::SETTLED];

/// The conditions of `after` that an event should tell of: what turned, and each new reason why nothing goes on.
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

/// Whether news is bad. While a request has halted the Cassandra, its pods are renewed on purpose: that one is away is the
/// course of things, and what goes wrong is told by the request. A pod that does not start stays bad news.
pub fn is_bad(cassandra: &Cassandra, news: &Condition) -> bool {
    const COURSE: [&str; 3] = [type_::REPLICA_READY, type_::ACCEPTING_CONNECTION, type_::READY];
    if news.status == "True" || news.type_ == type_::PAUSED {
        return false;
    }
    let renewed = matches!(Halt::of(cassandra), Halt::Request(_));
    !(renewed && COURSE.contains(&news.type_.as_str()) && news.reason != POD_FAILING)
}

#[cfg(test)]
mod tests;
