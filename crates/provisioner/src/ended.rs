//! Finds in its log why a node stopped by itself.

use api::names;
use desired::Resolved;
use k8s_openapi::api::core::v1::Pod;

use crate::context::Context;
use crate::observe::Observed;

/// Replaces the end of the log, which is what Kubernetes keeps and only shows the shutdown, by the cause found in the whole log.
///
/// Only for the first pod in trouble, since the status reports no other. The log is read once per run of the container.
pub async fn explain(context: &Context, resolved: &Resolved<'_>, observed: &mut Observed) {
    let Some(seen) = observed.pods.iter_mut().find(|pod| pod.trouble.is_some()) else { return };
    let Some(pod) = context.caches.pods.get(&resolved.namespace, &seen.name) else { return };
    let Some(trouble) = operator::pod::trouble(&pod).filter(|_| pod.metadata.deletion_timestamp.is_none())
    else {
        return;
    };
    // The other containers print one line and end.
    let Some(ended) = trouble.ended.filter(|ended| ended.container == names::CONTAINER) else { return };
    let states = &context.health.states;
    let run = format!("{} {}", pod.metadata.uid.as_deref().unwrap_or_default(), ended.id);
    let known = states.with(resolved.uid(), |state| state.ended.clone().filter(|(of, _)| *of == run));
    let cause = if let Some((_, cause)) = known {
        cause
    } else {
        let pods = context.api::<Pod>(&resolved.namespace);
        let log = operator::pod::last_log(&pods, &seen.name, &ended.container).await;
        let is_whole = log.is_some();
        // Until the log can be read, use its end as kept by Kubernetes.
        let log = log.or(trouble.said).unwrap_or_default();
        let cause = cassandra::cause::of(&log);
        if is_whole {
            states.with(resolved.uid(), |state| state.ended = Some((run, cause.clone())));
        }
        cause
    };
    seen.trouble = Some(format!("{}: {cause}", trouble.what));
}
