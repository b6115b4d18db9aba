//! From the recorded intent to the end: halt, renew the pods, set the version, resume.

use api::Cassandra;
use api::cassandra::Phase as CassandraPhase;
use api::condition;
use api::halt::{self, HALTED_BY, Halt};
use api::ops_request::UpdateVersionRecord;
use kube::ResourceExt;

use super::goal::{Goal, outcome};
use super::observe::Observed;
use super::rolling::roll;
use super::step::{Outcome, READY, Step, Wait, waiting};

/// The next step of a request that has recorded what it is going to do.
pub(super) fn progressing(observed: &Observed, record: &UpdateVersionRecord) -> Step {
    let Some(cassandra) = observed.alive() else {
        return Step::Finish(Outcome::Failed("the Cassandra was deleted".to_owned()));
    };
    if record.cassandra.is_some() && record.cassandra != cassandra.uid() {
        let message = "the Cassandra was deleted. Another one has its name now, and was not touched";
        return Step::Finish(Outcome::Failed(message.to_owned()));
    }
    let goal = Goal::of(record);
    let back = goal.back;
    // Also during a roll-back: the late write of a leader that lost its lease may have set the target.
    let versioned = cassandra.spec.version == goal.release.name;
    let uid = observed.request.uid().unwrap_or_default();
    match Halt::of(cassandra) {
        halt if halt.is_of(&uid) => {
            if !halt::is_answered(cassandra) {
                // Lifting the halt changes nothing in the ring, so it needs no answer. During a roll-back, wait for nodes that
                // are still starting: nothing else has proven yet that they will come up.
                if versioned && goal.is_reached(observed) && (!back || goal.is_whole(observed)) {
                    return Step::Resume;
                }
                return Step::Wait(Wait {
                    condition: "PauseDatabase".to_owned(),
                    reason: "AwaitingAnswer",
                    message: "waits for the provisioner to answer the halt".to_owned(),
                    step: Some("halt".to_owned()),
                });
            }
            // Deleting the request stops the update. Once the version is set, which is the last change, it is not rolled back.
            if observed.request.metadata.deletion_timestamp.is_some() && !versioned && !back {
                return Step::RollBack { cause: "the request was deleted".to_owned(), log_of: None };
            }
            roll(observed, record).unwrap_or(if versioned {
                Step::Resume
            } else {
                Step::SetVersion { name: goal.release.name.clone() }
            })
        }
        // Somebody else has lifted the halt and left the mark. Remove it, or a later halt of the user would count as this one.
        Halt::None
            if versioned
                && goal.is_reached(observed)
                && cassandra.annotations().get(HALTED_BY) == Some(&uid) =>
        {
            Step::Resume
        }
        _ if versioned && goal.is_reached(observed) => settle(observed, cassandra, record),
        _ if observed.request.metadata.deletion_timestamp.is_some()
            && cassandra.spec.version == record.source.name
            && Goal::source(record).is_reached(observed) =>
        {
            Step::Finish(Outcome::Failed("the request was deleted. Nothing was touched".to_owned()))
        }
        Halt::Request(other) if observed.unfinished.contains(&other) => {
            waiting("Queued", "waits for another CassandraOpsRequest to lift its halt".to_owned(), None)
        }
        Halt::User => waiting("HaltedByUser", "the user has halted the Cassandra".to_owned(), None),
        // Another request began at the same time and came first: the version that this one starts from is no longer there.
        Halt::None | Halt::Request(_)
            if !back && cassandra.spec.version != record.source.name && !has_halted(observed) =>
        {
            let (version, source) = (&cassandra.spec.version, &record.source.name);
            Step::Finish(Outcome::Failed(format!(
                "the Cassandra has version {version} by now, and not {source} as when this request began. Nothing was touched"
            )))
        }
        Halt::None | Halt::Request(_) => Step::Halt,
    }
}

/// Whether this request has set its halt before.
fn has_halted(observed: &Observed) -> bool {
    let conditions = observed.request.status.as_ref().map_or(&[][..], |status| &status.conditions);
    condition::get(conditions, "PauseDatabase").is_some()
}

/// Ends the request, once the ring is at its goal and the halt is lifted.
fn settle(observed: &Observed, cassandra: &Cassandra, record: &UpdateVersionRecord) -> Step {
    if record.roll_back.is_some() {
        return Step::Finish(Outcome::Failed(outcome(observed, record)));
    }
    let status = cassandra.status.as_ref();
    let fresh = status.and_then(|s| s.observed_generation) == cassandra.metadata.generation;
    if fresh && status.and_then(|s| s.phase) == Some(CassandraPhase::Ready) {
        return Step::Finish(Outcome::Successful);
    }
    Step::Wait(Wait {
        condition: "DatabaseReady".to_owned(),
        reason: "AwaitingReady",
        message: "waits for the provisioner to report the Cassandra Ready".to_owned(),
        step: Some(READY.to_owned()),
    })
}
