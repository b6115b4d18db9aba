//! From the record of the intent to the end: halt, roll, set the version, resume.

use api::Cassandra;
use api::cassandra::Phase as CassandraPhase;
use api::halt::{self, Halt, OWNER};
use api::ops_request::{Release, UpdateVersionRecord};
use kube::ResourceExt;

use super::observe::Observed;
use super::rolling::roll;
use super::step::{Outcome, Step, Wait, alive, waiting};

/// The next step of a request that has written down what it is going to do.
pub(super) fn progressing(seen: &Observed, record: &UpdateVersionRecord) -> Step {
    let Some(cassandra) = alive(seen) else {
        return Step::Finish(Outcome::Failed("the Cassandra was deleted".to_owned()));
    };
    let back = record.roll_back.is_some();
    let goal = if back { &record.source } else { &record.target };
    // On the way back too: the write of a leader that has lost the lease may have set the target late.
    let versioned = cassandra.spec.version == goal.name;
    let uid = seen.request.uid().unwrap_or_default();
    match Halt::of(cassandra) {
        halt if halt.is_of(&uid) => {
            if !halt::is_answered(cassandra) {
                // Lifting the halt changes nothing in the ring, so it needs no answer.
                if versioned && is_at(seen, goal) {
                    return Step::Resume;
                }
                return Step::Wait(Wait {
                    condition: "PauseDatabase".to_owned(),
                    reason: "AwaitingAnswer",
                    message: "waits for the provisioner to answer the halt".to_owned(),
                    step: Some("halt".to_owned()),
                });
            }
            // A deletion asks to stop. What is done already stays done: the version is set last.
            if seen.request.metadata.deletion_timestamp.is_some() && !versioned && !back {
                return Step::RollBack { cause: "the request was deleted".to_owned(), log_of: None };
            }
            roll(seen, record).unwrap_or(if versioned {
                Step::Resume
            } else {
                Step::SetVersion { name: goal.name.clone() }
            })
        }
        // Somebody else has lifted it, and the mark is left: a later halt of the user must not be taken for this one.
        Halt::None if versioned && is_at(seen, goal) && cassandra.annotations().get(OWNER) == Some(&uid) => {
            Step::Resume
        }
        _ if versioned && is_at(seen, goal) => settle(cassandra, record),
        _ if seen.request.metadata.deletion_timestamp.is_some()
            && cassandra.spec.version == record.source.name
            && is_at(seen, &record.source) =>
        {
            Step::Finish(Outcome::Failed("the request was deleted. Nothing was touched".to_owned()))
        }
        Halt::Request(other) if seen.unfinished.contains(&other) => {
            waiting("Queued", "waits for another CassandraOpsRequest to lift its halt".to_owned(), None)
        }
        Halt::User => waiting("HaltedByUser", "the user has halted the Cassandra".to_owned(), None),
        Halt::None | Halt::Request(_) => Step::Halt,
    }
}

/// Nothing is left to renew.
pub(super) fn is_at(seen: &Observed, goal: &Release) -> bool {
    seen.racks.iter().all(|rack| {
        rack.image.as_deref() == Some(&goal.image) && rack.pods.iter().all(|pod| pod.image == goal.image)
    })
}

/// The ring is at its goal and resumed.
fn settle(cassandra: &Cassandra, record: &UpdateVersionRecord) -> Step {
    if let Some(cause) = &record.roll_back {
        let message = format!("{cause}. The ring is whole on version {}, as before", record.source.name);
        return Step::Finish(Outcome::Failed(message));
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
        step: Some("ready".to_owned()),
    })
}
