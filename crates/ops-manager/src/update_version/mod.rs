//! UpdateVersion: observe, decide, take one step, write the status.

mod absence;
mod clock;
mod decide;
mod effects;
mod ending;
mod goal;
mod image_pull;
mod known_to_target;
mod node;
mod observe;
mod pending;
mod probe;
mod progressing;
mod pull_pod;
mod refusal;
mod rehearsal;
mod replication;
mod report;
mod rolling;
mod step;
mod timeout;
mod way_back;

pub use decide::next_step;
pub use effects::resume;
pub use ending::ROLL_BACK_UNFINISHED;
pub use known_to_target::{Finding, Look, Names, Setting, not_loaded_by, unknown_to};
pub use node::{Node, Trouble};
pub use observe::{Admission, Copies, Observed, Rack, Ring};
pub use pull_pod::{Place, PullPod, PullState};
pub use report::{refused, status};
pub use step::{Outcome, Step, Wait};

use std::sync::Arc;
use std::time::Duration;

use api::CassandraOpsRequest;
use api::halt::Halt;
use api::ops_request::{CassandraOpsRequestStatus, Phase};
use kube::ResourceExt;
use operator::WriteError;

use crate::context::Context;
use crate::turn::{self, Turn};

/// Requeue interval after a step: by then the caches have its changes.
const NEXT: Duration = Duration::from_millis(300);
/// Requeue interval while waiting for what no watch reports: the nodes' answers, and timeouts.
const LOOK: Duration = Duration::from_secs(2);

/// Takes the request one step further. Returns after how long to look again.
pub async fn advance(
    request: Arc<CassandraOpsRequest>,
    context: &Context,
) -> Result<Option<Duration>, WriteError> {
    if request.phase() == Phase::Progressing {
        match context.confirm(&request).await {
            Ok(true) => {}
            Ok(false) => {
                tracing::info!("waits until the cache of requests has caught up with the API server");
                return Ok(Some(NEXT));
            }
            Err(error) => {
                tracing::warn!("cannot read CassandraOpsRequest {}: {error}", request.name_any());
                return Ok(Some(LOOK));
            }
        }
    }
    let mut observed = picture(request, context);
    let mut step = next_step(&observed);
    if step == Step::Probe
        && let Some(cassandra) = &observed.cassandra
    {
        observed.ring = Some(probe::ask(context, cassandra, &observed).await);
        probe::forget(context);
        // Asking the ring may have taken many seconds, in which another request may have begun.
        (observed.turn, observed.unfinished) = place(&observed.request, context);
        step = next_step(&observed);
    }
    if step == Step::Rehearse {
        observed.admission = Some(rehearsal::ask(context, &observed).await);
        (observed.turn, observed.unfinished) = place(&observed.request, context);
        step = next_step(&observed);
    }
    let performed = effects::perform(context, &observed, &step).await;
    if matches!(step, Step::Done | Step::Release) {
        probe::forget(context);
        context.forget(&observed.request);
        return performed.map(|_| None);
    }
    let (effect, told) = match performed {
        Ok(effect) => {
            let told = status(&observed, &step, effect.note.as_deref());
            (effect, told)
        }
        Err(error) => {
            let Some(why) = refusal::of(&observed, &step, &error) else { return Err(error) };
            tracing::warn!("{why}");
            write_status(context, &observed, None, &refused(&observed, &step, &why)).await?;
            return Ok(Some(refusal::again(&observed, LOOK)));
        }
    };
    write_status(context, &observed, effect.request.as_ref(), &told).await?;
    Ok(Some(match (&step, &effect.note) {
        (Step::Wait(_), _) => LOOK,
        // An eviction that a budget blocks counts as a wait.
        (Step::Evict { .. }, Some(_)) => refusal::again(&observed, LOOK),
        _ => NEXT,
    }))
}

/// Writes the status if it has changed, and an event for each change worth one.
async fn write_status(
    context: &Context,
    observed: &Observed,
    changed: Option<&CassandraOpsRequest>,
    told: &CassandraOpsRequestStatus,
) -> Result<(), WriteError> {
    let request = changed.unwrap_or(&observed.request);
    let before = observed.request.status.clone().unwrap_or_default();
    context.wrote(&context.operator.writer.status(request, told).await?);
    for (reason, sentence, warning) in report::news(&before.conditions, &told.conditions) {
        tracing::info!(step = reason, "{sentence}");
        let events = &context.operator.events;
        if warning {
            events.warning(request, reason, "UpdateVersion", sentence).await;
        } else {
            events.normal(request, reason, "UpdateVersion", sentence).await;
        }
    }
    Ok(())
}

/// Observes the cluster from the caches only, without a request to the API server.
fn picture(request: Arc<CassandraOpsRequest>, context: &Context) -> Observed {
    let namespace = request.namespace().unwrap_or_default();
    let (turn, unfinished) = place(&request, context);
    let cassandra = context.cassandras.get(&namespace, &request.spec.database_ref.name);
    let target = request.spec.update_version.as_ref().map(|u| u.target_version.as_str());
    let racks = cassandra.as_ref().map(|cassandra| {
        observe::racks(
            cassandra,
            |name| context.petsets.get(&namespace, name),
            |name| context.pods.get(&namespace, name),
        )
    });
    let now = context.operator.clock.now();
    Observed {
        now,
        // As a follower, no time counts yet.
        since: context.operator.leader.since().map_or(now, |since| context.operator.clock.at(since)),
        turn,
        unfinished,
        current: cassandra.as_ref().and_then(|c| context.versions.cluster(&c.spec.version)),
        target: target.and_then(|name| context.versions.cluster(name)),
        racks: racks.unwrap_or_default(),
        pull_pods: context.pods.owned_by(&*request).iter().map(|pod| pull_pod::observed(pod)).collect(),
        ring: None,
        admission: None,
        cassandra,
        request,
    }
}

/// The turn of the request, and which other requests are not finished.
fn place(request: &CassandraOpsRequest, context: &Context) -> (Turn, Vec<String>) {
    let namespace = request.namespace().unwrap_or_default();
    let database = &request.spec.database_ref;
    let rivals = context.requests.filtered(|other| {
        other.namespace().as_deref() == Some(&*namespace) && other.spec.database_ref == *database
    });
    let rivals = || rivals.iter().map(|rival| &**rival);
    let valid = |other: &CassandraOpsRequest| can_be_done(other, context);
    (turn::among(request, rivals(), valid), turn::unfinished(request, rivals()))
}

/// Whether a request is possible, going by the cached Cassandra and catalog.
fn can_be_done(request: &CassandraOpsRequest, context: &Context) -> bool {
    let namespace = request.namespace().unwrap_or_default();
    let Some(cassandra) = context.cassandras.get(&namespace, &request.spec.database_ref.name) else {
        return true;
    };
    let target = request.spec.update_version.as_ref().map(|update| update.target_version.as_str());
    let current = context.versions.cluster(&cassandra.spec.version);
    let (Some(current), Some(target)) = (current, target.and_then(|name| context.versions.cluster(name)))
    else {
        return false;
    };
    pending::refusal(request, &Halt::of(&cassandra), &current, &target, &[]).is_none()
}

#[cfg(test)]
mod tests;
