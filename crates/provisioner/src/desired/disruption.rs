//! One node may be away at a time, over all racks: that is what QUORUM with three copies survives.

use api::labels;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::plan::Plan;

/// A single node gets none: it would only keep its Kubernetes node from being drained.
pub(super) fn budget(plan: &Plan) -> Option<PodDisruptionBudget> {
    (plan.nodes() > 1).then(|| PodDisruptionBudget {
        metadata: plan.meta(plan.name.clone()),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(LabelSelector {
                match_labels: Some(labels::selectors(&plan.name)),
                ..LabelSelector::default()
            }),
            ..PodDisruptionBudgetSpec::default()
        }),
        ..PodDisruptionBudget::default()
    })
}
