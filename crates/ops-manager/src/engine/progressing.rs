//! From the recorded intent to the end: halt, renew the pods, commit, resume.

use api::Cassandra;
use api::cassandra::Phase as CassandraPhase;
use api::halt::{self, HALTED_BY, Halt};
use api::ops_request::PAUSE;
use kube::ResourceExt;

use super::rolling::roll;
use crate::observe::Observed;
use crate::operation::{Operation, Way};
use crate::step::{Outcome, READY, Step, Wait, queued, waiting};
use crate::turn::Turn;

/// The next step of a request that has recorded what it is going to do.
pub(super) fn progressing(observed: &Observed, operation: &dyn Operation) -> Step {
    let Some(cassandra) = observed.alive() else {
        return Step::Finish(Outcome::Failed("the Cassandra was deleted".to_owned()));
    };
    if operation.cassandra().is_some_and(|uid| cassandra.metadata.uid.as_deref() != Some(uid)) {
        let message = "the Cassandra was deleted. Another one has its name now, and was not touched";
        return Step::Finish(Outcome::Failed(message.to_owned()));
    }
    let forward = operation.way() == Way::Forward;
    let deleted = observed.request.metadata.deletion_timestamp.is_some();
    let commit = operation.commit().filter(|_| !operation.is_committed(cassandra)).map(Step::Commit);
    let reached = commit.is_none() && operation.is_reached(observed);
    let uid = observed.request.uid().unwrap_or_default();
    match Halt::of(cassandra) {
        halt if halt.is_of(&uid) => {
            if !halt::is_answered(cassandra) {
                // Lifting the halt changes nothing in the ring, so it needs no answer. During a roll-back, wait for nodes that
                // are still starting: nothing else has proven yet that they will come up.
                if reached && (!operation.goes_back() || operation.is_whole(observed)) {
                    return Step::Resume;
                }
                return Step::Wait(Wait {
                    condition: PAUSE.to_owned(),
                    reason: "AwaitingAnswer",
                    message: "waits for the provisioner to answer the halt".to_owned(),
                    step: Some("halt".to_owned()),
                });
            }
            if deleted && forward && operation.can_stop(observed, cassandra) {
                return Step::GiveUp { cause: "the request was deleted".to_owned(), log_of: None };
            }
            roll(observed, operation).or(commit).unwrap_or(Step::Resume)
        }
        // Somebody else has lifted the halt and left the mark. Remove it, or a later halt of the user would count as this one.
        Halt::None if reached && cassandra.annotations().get(HALTED_BY) == Some(&uid) => Step::Resume,
        _ if reached => settle(observed, cassandra, operation),
        _ if deleted && operation.is_untouched(observed, cassandra) => {
            Step::Finish(Outcome::Failed("the request was deleted. Nothing was touched".to_owned()))
        }
        // Also if somebody has lifted that halt: the other request will set it again.
        _ if cassandra
            .annotations()
            .get(HALTED_BY)
            .is_some_and(|mark| observed.unfinished.contains(mark)) =>
        {
            waiting("Queued", "waits for another CassandraOpsRequest to lift its halt".to_owned(), None)
        }
        Halt::User => waiting("HaltedByUser", "the user has halted the Cassandra".to_owned(), None),
        // Another request may have begun at the same time and come first.
        Halt::None | Halt::Request(_) => match (&observed.turn, operation.outdated(cassandra)) {
            (Turn::After(other), _) => queued(other),
            (_, Some(why)) if forward && !observed.request.has_halted() => {
                Step::Finish(Outcome::Failed(format!("{why}. Nothing was touched")))
            }
            _ => Step::Halt,
        },
    }
}

/// Ends the request, once nothing is left to do and the halt is lifted.
fn settle(observed: &Observed, cassandra: &Cassandra, operation: &dyn Operation) -> Step {
    if operation.way() != Way::Forward {
        return Step::Finish(Outcome::Failed(operation.outcome(observed)));
    }
    let status = cassandra.status.as_ref();
    let fresh = status.and_then(|s| s.observed_generation) == cassandra.metadata.generation;
    // While another request has halted the Cassandra, its phase may be that of before.
    let ready = fresh && status.and_then(|s| s.phase) == Some(CassandraPhase::Ready);
    if ready && operation.is_whole(observed) {
        return Step::Finish(Outcome::Successful);
    }
    let message = if ready {
        let (done, all) = (operation.done(observed), observed.nodes());
        format!("waits for all pods to be renewed and Ready; {done} of {all} are")
    } else {
        "waits for the provisioner to report the Cassandra Ready".to_owned()
    };
    Step::Wait(Wait {
        condition: "DatabaseReady".to_owned(),
        reason: "AwaitingReady",
        message,
        step: Some(READY.to_owned()),
    })
}
