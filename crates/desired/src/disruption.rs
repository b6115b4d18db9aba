//! One node of the whole ring may be down at a time: that is what QUORUM with three copies survives.

use api::labels;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::resolved::Resolved;

/// A single node gets none: it would only prevent its Kubernetes node from being drained.
pub(crate) fn budget(resolved: &Resolved) -> Option<PodDisruptionBudget> {
    (resolved.nodes() > 1).then(|| PodDisruptionBudget {
        metadata: resolved.meta(resolved.name.clone()),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            // By default, a pod that runs and is not ready cannot be evicted while another one is down, so neither of them
            // could get a fixed image: https://github.com/kubernetes/kubernetes/issues/103970
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            selector: Some(LabelSelector {
                match_labels: Some(labels::selectors(&resolved.name)),
                ..LabelSelector::default()
            }),
            ..PodDisruptionBudgetSpec::default()
        }),
        ..PodDisruptionBudget::default()
    })
}
