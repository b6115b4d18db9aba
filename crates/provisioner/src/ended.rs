//! Why a node ended by itself, from its log.

use api::names;
use k8s_openapi::api::core::v1::Pod;

use crate::context::Context;
use crate::observe::Observed;
use crate::plan::Plan;

/// Puts the cause from the log in the place of the end of the log, which Kubernetes keeps and which is the noise of the shutdown.
///
/// Of the first pod in trouble, since the status tells of no other one. The log is read once for each run of the container.
pub async fn explain(context: &Context, plan: &Plan<'_>, observed: &mut Observed) {
    let Some(seen) = observed.pods.iter_mut().find(|pod| pod.trouble.is_some()) else { return };
    let Some(pod) = context.caches.pods.get(&plan.namespace, &seen.name) else { return };
    let Some(trouble) = operator::pod::trouble(&pod).filter(|_| pod.metadata.deletion_timestamp.is_none())
    else {
        return;
    };
    // The other containers say one line and end.
    let Some(ended) = trouble.ended.filter(|ended| ended.container == names::CONTAINER) else { return };
    let memory = &context.health.memory;
    let run = format!("{} {}", pod.metadata.uid.as_deref().unwrap_or_default(), ended.id);
    let known = memory.of(plan.uid(), |known| known.ended.clone().filter(|(of, _)| *of == run));
    let cause = if let Some((_, cause)) = known {
        cause
    } else {
        let pods = context.operator.api::<Pod>(Some(&plan.namespace));
        let log = operator::pod::last_log(&pods, &seen.name, &ended.container).await;
        let is_whole = log.is_some();
        // What Kubernetes keeps is the end of the same log, until that can be read.
        let log = log.or(trouble.said).unwrap_or_default();
        let cause = cassandra::cause::of(&log);
        if is_whole {
            memory.of(plan.uid(), |known| known.ended = Some((run, cause.clone())));
        }
        cause
    };
    seen.trouble = Some(format!("{}: {cause}", trouble.what));
}
