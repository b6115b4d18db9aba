//! Carries out requests of every type: observe, decide, take one step, write the status.

mod absence;
mod clock;
mod decide;
mod effects;
mod ending;
mod pending;
mod probe;
mod progressing;
mod report;
mod rolling;
mod templates;
mod timeout;

pub use decide::next_step;
pub use effects::resume;
pub use ending::ROLL_BACK_UNFINISHED;
pub use report::{refused, status};

use std::sync::Arc;
use std::time::Duration;

use api::CassandraOpsRequest;
use api::ops_request::{CassandraOpsRequestStatus, Phase};
use kube::ResourceExt;
use operator::WriteError;

use crate::context::Context;
use crate::observe::{self, Observed};
use crate::preparation::{pull_pod, rehearsal};
use crate::refusal;
use crate::step::Step;
use crate::turn::{self, Turn};

/// Requeue interval after a step: by then the caches have its changes.
const NEXT: Duration = Duration::from_millis(300);
/// Requeue interval while waiting for what no watch reports: the nodes' answers, and timeouts.
const LOOK: Duration = Duration::from_secs(2);

/// Longest interval between two attempts of a write that is refused.
const SELDOM: Duration = Duration::from_secs(30);

/// Takes the request one step further. Returns after how long to look again.
pub async fn advance(
    request: Arc<CassandraOpsRequest>,
    context: &Context,
) -> Result<Option<Duration>, WriteError> {
    if request.phase() == Phase::Progressing
        && let Some(later) = stale("requests", context.confirm(&request).await)
    {
        return Ok(Some(later));
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
        let renewed = templates::renewed(context, &observed);
        observed.admission = Some(rehearsal::ask(context, &observed, &renewed).await);
        (observed.turn, observed.unfinished) = place(&observed.request, context);
        step = next_step(&observed);
    }
    if step.ends() && observed.request.has_begun() {
        let petsets = observed.racks.iter().map(|rack| &*rack.petset);
        let namespace = observed.request.namespace().unwrap_or_default();
        if let Some(later) = stale("PetSets", context.confirm_petsets(&namespace, petsets).await) {
            return Ok(Some(later));
        }
    }
    // An old cache may not show that another request has halted the Cassandra, lifted its halt, and is not over yet.
    if step == Step::Halt
        && let Some(later) = stale("requests", context.confirm_others(&observed.request).await)
    {
        return Ok(Some(later));
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
            return Ok(Some(again(&observed)));
        }
    };
    write_status(context, &observed, effect.request.as_ref(), &told).await?;
    Ok(Some(match (&step, &effect.note) {
        (Step::Wait(_), _) => LOOK,
        // An eviction that a budget blocks counts as a wait.
        (Step::Evict { .. }, Some(_)) => again(&observed),
        _ => NEXT,
    }))
}

/// After how long to look again unless the cache is known to be up to date.
fn stale(what: &str, confirmed: kube::Result<bool>) -> Option<Duration> {
    match confirmed {
        Ok(true) => None,
        Ok(false) => {
            tracing::info!("waits until the cache of {what} has caught up with the API server");
            Some(NEXT)
        }
        Err(error) => {
            tracing::warn!("cannot read {what}: {error}");
            Some(LOOK)
        }
    }
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
        let (events, action) = (&context.operator.events, request.spec.type_.name());
        if warning {
            events.warning(request, reason, action, sentence).await;
        } else {
            events.normal(request, reason, action, sentence).await;
        }
    }
    Ok(())
}

/// Interval between two attempts of a write that is refused: it grows with the time waited so far.
fn again(observed: &Observed) -> Duration {
    let started = observed.request.status.as_ref().and_then(|status| Some(status.step.as_ref()?.started.0));
    let waited = started.and_then(|started| Duration::try_from(clock::since(observed, started)).ok());
    (waited.unwrap_or_default() / 10).max(LOOK).min(SELDOM)
}

/// Observes the cluster from the caches only, without a request to the API server.
fn picture(request: Arc<CassandraOpsRequest>, context: &Context) -> Observed {
    let namespace = request.namespace().unwrap_or_default();
    let (turn, unfinished) = place(&request, context);
    let now = context.operator.clock.now();
    let pull_pods = context.pods.owned_by(&*request).iter().map(|pod| pull_pod::read(pod)).collect();
    let observed = named(request, context);
    let racks = observed.cassandra.as_ref().map(|cassandra| {
        observe::racks(
            cassandra,
            &templates::built(context, cassandra, observed.current.as_deref()),
            |name| context.petsets.get(&namespace, name),
            |name| context.pods.get(&namespace, name),
        )
    });
    Observed {
        now,
        // As a follower, no time counts yet.
        since: context.operator.leader.since().map_or(now, |since| context.operator.clock.at(since)),
        turn,
        unfinished,
        racks: racks.unwrap_or_default(),
        pull_pods,
        ..observed
    }
}

/// Only the request and what it names.
fn named(request: Arc<CassandraOpsRequest>, context: &Context) -> Observed {
    let namespace = request.namespace().unwrap_or_default();
    let cassandra = context.cassandras.get(&namespace, &request.spec.database_ref.name);
    let target = request.spec.update_version.as_ref().map(|update| update.target_version.as_str());
    Observed {
        current: cassandra.as_ref().and_then(|c| context.versions.cluster(&c.spec.version)),
        target: target.and_then(|name| context.versions.cluster(name)),
        cassandra,
        request,
        ..Observed::default()
    }
}

/// The turn of the request, and which other requests are not finished.
fn place(request: &CassandraOpsRequest, context: &Context) -> (Turn, Vec<String>) {
    let namespace = request.namespace().unwrap_or_default();
    let database = &request.spec.database_ref;
    let rivals = context.requests.filtered(|other| {
        other.namespace().as_deref() == Some(&*namespace) && other.spec.database_ref == *database
    });
    let valid = |other: &CassandraOpsRequest| pending::can_be_done(&named(Arc::new(other.clone()), context));
    let rivals = || rivals.iter().map(|other| &**other);
    (turn::among(request, rivals(), valid), turn::unfinished(request, rivals()))
}

#[cfg(test)]
mod tests;
