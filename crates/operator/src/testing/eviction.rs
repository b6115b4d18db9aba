//! Whether PodDisruptionBudgets let a pod be evicted, as the API server and its disruption controller decide it.

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;
use serde_json::Value;

use super::from_json;
use super::store::{Key, Refusal, Store, refusal};

/// Refuses as the API server does: with 429 because of one budget, with 500 if the pod has several.
pub(super) fn allowed(store: &Store, pod: &Value) -> Result<(), Refusal> {
    let pod: Pod = from_json(pod);
    // A pending pod counts for no budget, so it may always be evicted.
    if pod.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Pending")) {
        return Ok(());
    }
    let namespace = pod.namespace();
    let budgets = store.list(&Key::of::<PodDisruptionBudget>(namespace.as_deref(), ""));
    let budgets: Vec<PodDisruptionBudget> = budgets.iter().map(from_json).collect();
    let mut budgets = budgets.iter().filter(|budget| selects(budget, &pod));
    let Some(budget) = budgets.next() else { return Ok(()) };
    if budgets.next().is_some() {
        let message = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
        return Err(refusal(500, "", message));
    }
    let pods = store.list(&Key::of::<Pod>(namespace.as_deref(), ""));
    let pods: Vec<Pod> = pods.iter().map(from_json).filter(|pod| selects(budget, pod)).collect();
    let healthy = pods.iter().filter(|pod| is_ready(pod)).count();
    let needed = desired(budget, pods.len());
    let policy = budget.spec.as_ref().and_then(|spec| spec.unhealthy_pod_eviction_policy.as_deref());
    let allowed = match (is_ready(&pod), policy) {
        (true, _) => healthy > needed,
        (false, Some("AlwaysAllow")) => true,
        (false, _) => healthy >= needed && needed > 0,
    };
    if allowed {
        return Ok(());
    }
    let message = format!(
        "Cannot evict pod as it would violate the pod's disruption budget. The disruption budget {} needs {needed} healthy pods \
         and has {healthy} currently",
        budget.name_any()
    );
    Err(refusal(429, "TooManyRequests", message))
}

fn selects(budget: &PodDisruptionBudget, pod: &Pod) -> bool {
    let selector = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    selector.is_some_and(|selector| {
        selector.match_labels.iter().flatten().all(|(key, value)| pod.labels().get(key) == Some(value))
    })
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Number of healthy pods that the budget demands. Percentages are not supported.
fn desired(budget: &PodDisruptionBudget, pods: usize) -> usize {
    let number = |value: &Option<IntOrString>| match value {
        Some(IntOrString::Int(number)) => usize::try_from(*number).ok(),
        _ => None,
    };
    let Some(spec) = &budget.spec else { return 0 };
    number(&spec.max_unavailable)
        .map(|most| pods.saturating_sub(most))
        .or_else(|| number(&spec.min_available))
        .unwrap_or_default()
}
