//! Finds out why a pod is not created: a quota or Pod Security refuses it, and only an event of its StatefulSet says so.

use std::time::Duration;

use desired::Resolved;
use k8s_openapi::api::events::v1::Event;
use kube::api::ListParams;
use tokio::time::Instant;

use crate::context::Context;
use crate::observe::{Observed, PodSeen};
use crate::ring_state::Missing;

/// Normally a pod is created in less time than this.
const SOON: Duration = Duration::from_secs(10);
/// Interval between two reads of the events.
const AGAIN: Duration = Duration::from_secs(30);

/// Reports why the first missing pod is not created. Events are read only if it is missing for longer than it normally takes to
/// create one.
pub async fn explain(context: &Context, resolved: &Resolved<'_>, observed: &mut Observed) {
    let states = &context.health.states;
    let Some((petset, position)) = absent(context, resolved, observed) else {
        states.if_known(resolved.uid(), |state| state.missing = None);
        return;
    };
    let pod = observed.pods[position].name.clone();
    let missing = states.with(resolved.uid(), |state| {
        if state.missing.as_ref().is_none_or(|missing| missing.pod != pod) {
            state.missing = Some(Missing { pod: pod.clone(), since: Instant::now(), asked: None, why: None });
        }
        state.missing.clone()
    });
    let Some(missing) = missing.filter(|missing| missing.since.elapsed() >= SOON) else { return };
    let mut why = missing.why;
    if missing.asked.is_none_or(|asked| asked.elapsed() >= AGAIN) {
        why = refusal(context, resolved, &petset, &pod).await;
        let (asked, why) = (Some(Instant::now()), why.clone());
        states.if_known(resolved.uid(), |state| state.missing = Some(Missing { asked, why, ..missing }));
    }
    if let Some(why) = why {
        observed.pods[position].trouble = Some(format!("is not let in: {why}"));
    }
}

/// The first pod that is missing although its PetSet exists. `None` if a pod is in trouble, since that says more.
fn absent(context: &Context, resolved: &Resolved, observed: &Observed) -> Option<(String, usize)> {
    if observed.pods.iter().any(|pod| pod.trouble.is_some()) {
        return None;
    }
    let mut first = 0;
    for rack in &observed.racks {
        let size = usize::try_from(rack.desired).unwrap_or_default();
        let pods = observed.pods.get(first..first + size)?;
        let is_there = |pod: &PodSeen| context.caches.pods.get(&resolved.namespace, &pod.name).is_some();
        if rack.ready.is_some()
            && let Some(position) = pods.iter().position(|pod| !is_there(pod))
        {
            return Some((rack.petset.clone(), first + position));
        }
        first += size;
    }
    None
}

/// The API server's message when it refused to create the pod.
async fn refusal(context: &Context, resolved: &Resolved<'_>, petset: &str, pod: &str) -> Option<String> {
    let of = format!("regarding.kind=StatefulSet,regarding.name={petset},reason=FailedCreate");
    let params = ListParams::default().fields(&of).limit(50);
    let events = context.api::<Event>(&resolved.namespace).list(&params).await;
    let events =
        events.inspect_err(|error| tracing::debug!("no events of StatefulSet {petset}: {error}")).ok()?;
    let of_pod = |event: &&Event| {
        let regarding = event.regarding.as_ref();
        regarding.and_then(|object| object.name.as_deref()) == Some(petset)
            && event.reason.as_deref() == Some("FailedCreate")
            && event.note.as_ref().is_some_and(|note| note.contains(&format!("Pod {pod} ")))
    };
    let last = events.items.iter().filter(of_pod).max_by_key(|event| seen(event))?;
    // "create Pod a in StatefulSet b failed error: " comes before the API server's message.
    let note = last.note.as_deref()?;
    Some(note.split_once("failed error: ").map_or(note, |(_, said)| said).to_owned())
}

fn seen(event: &Event) -> Option<k8s_openapi::jiff::Timestamp> {
    let series = event.series.as_ref().map(|series| series.last_observed_time.0);
    series
        .or(event.deprecated_last_timestamp.as_ref().map(|time| time.0))
        .or(event.event_time.as_ref().map(|time| time.0))
}
