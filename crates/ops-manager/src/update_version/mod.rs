//! UpdateVersion: observe, decide, do one thing, tell.

mod effects;
mod ending;
mod node;
mod observe;
mod pending;
mod probe;
mod progressing;
mod pull;
mod puller;
mod replication;
mod rolling;
mod step;
mod story;
mod timeout;

pub use effects::resume;
pub use ending::ROLL_BACK_UNFINISHED;
pub use node::{Node, Trouble};
pub use observe::{Copies, Observed, Rack, Ring};
pub use pull::Place;
pub use puller::{Pull, Puller};
pub use step::{Outcome, Step, Wait, next_step};
pub use story::status;

use std::sync::Arc;
use std::time::Duration;

use api::CassandraOpsRequest;
use kube::ResourceExt;
use operator::WriteError;

use crate::context::Context;
use crate::queue;

/// When to look again after a step was taken: what it has changed is in the caches by then.
const NEXT: Duration = Duration::from_millis(300);
/// When to look again for what no watch tells: what the nodes say, and time that runs out.
const LOOK: Duration = Duration::from_secs(2);

/// Takes the request one step further. Answers when to look again.
pub async fn advance(
    request: Arc<CassandraOpsRequest>,
    context: &Context,
) -> Result<Option<Duration>, WriteError> {
    let begun = request.status.as_ref().is_some_and(|status| status.update_version.is_some());
    if begun && !request.phase().is_final() {
        match context.confirm(&request).await {
            Ok(true) => {}
            // The watch brings what is missing, and that wakes the request.
            Ok(false) => {
                tracing::info!("waits until the cache of requests has caught up with the API server");
                return Ok(Some(LOOK));
            }
            Err(error) => {
                tracing::warn!("cannot read CassandraOpsRequest {}: {error}", request.name_any());
                return Ok(Some(LOOK));
            }
        }
    }
    let mut seen = picture(request, context);
    let mut step = next_step(&seen);
    if step == Step::Probe
        && let Some(cassandra) = &seen.cassandra
    {
        seen.ring = Some(probe::ask(context, cassandra, &seen).await);
        step = next_step(&seen);
    }
    let effect = effects::perform(context, &seen, &step).await?;
    if matches!(step, Step::Done | Step::Release) {
        return Ok(None);
    }
    // An eviction that a budget blocks is a wait.
    let waits = matches!((&step, &effect.note), (Step::Wait(_), _) | (Step::Evict { .. }, Some(_)));
    tell(context, &seen, &step, effect).await?;
    Ok(Some(if waits { LOOK } else { NEXT }))
}

/// Writes the status, if it says anything new, and an event for each piece of news.
async fn tell(
    context: &Context,
    seen: &Observed,
    step: &Step,
    effect: effects::Effect,
) -> Result<(), WriteError> {
    let told = status(seen, step, effect.note.as_deref());
    let request = effect.request.as_ref().unwrap_or(&seen.request);
    let before = seen.request.status.clone().unwrap_or_default();
    context.operator.writer.status(request, &told).await?;
    for (reason, sentence, warning) in story::news(&before.conditions, &told.conditions) {
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

/// The picture from the caches: no request is made for it.
fn picture(request: Arc<CassandraOpsRequest>, context: &Context) -> Observed {
    let namespace = request.namespace().unwrap_or_default();
    let all = context.requests.all();
    let neighbours = || all.iter().map(|r| &**r).filter(|r| r.namespace().as_deref() == Some(&*namespace));
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
        // A follower has looked at nothing yet.
        since: context.operator.leader.since().map_or(now, |since| context.operator.clock.at(since)),
        turn: queue::turn(&request, neighbours()),
        unfinished: queue::unfinished(&request, neighbours()),
        current: cassandra.as_ref().and_then(|c| context.versions.cluster(&c.spec.version)),
        target: target.and_then(|name| context.versions.cluster(name)),
        racks: racks.unwrap_or_default(),
        pullers: context.pods.owned_by(&*request).iter().map(|pod| puller::seen(pod)).collect(),
        ring: None,
        cassandra,
        request,
    }
}

#[cfg(test)]
mod tests;
