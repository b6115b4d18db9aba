//! Checks by dry run, before anything is changed, whether the quotas of the namespace have room for what all nodes together will ask
//! for beyond what they have. The dry run of one renewed pod does not tell: a quota counts it beside the pod that it replaces, and
//! the other nodes follow.

use std::collections::BTreeMap;

use api::ops_request::NodeResources;
use api::{PetSet, names};
use k8s_openapi::api::core::v1::{Pod, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::ResourceExt;
use operator::WriteError;

use crate::context::Context;

/// Why a quota has no room, if so. `renewed` are the PetSets with the templates of the renewed pods, and `pod` is one of these.
pub(crate) async fn lack(
    context: &Context,
    namespace: &str,
    renewed: &[PetSet],
    pod: &Pod,
) -> Option<String> {
    let present = |renewed: &PetSet| context.petsets.get(namespace, &renewed.name_any());
    let present: Vec<_> = renewed.iter().filter_map(present).collect();
    let growth = growth(present.iter().map(|petset| &**petset), renewed)?;
    for of_limits in [true, false] {
        let stand_in = stand_in(pod.clone(), &growth, of_limits);
        if let Err(WriteError::Refused { message, .. }) = context.operator.writer.rehearse(&stand_in).await
            && is_about(&message, of_limits)
        {
            return Some(format!("all nodes together would ask for {growth} more than they do: {message}"));
        }
    }
    None
}

/// What all pods ask for beyond what they did, of everything that they ask for; `None`: no more of anything.
fn growth<'a>(present: impl Iterator<Item = &'a PetSet>, renewed: &[PetSet]) -> Option<NodeResources> {
    let (before, after) = (sums(present), sums(renewed.iter()));
    let grown = |(name, after): (&(bool, String), &i128)| {
        let grown = after.saturating_sub(before.get(name).copied().unwrap_or_default()).max(0);
        (name.clone(), grown)
    };
    let all: BTreeMap<_, _> = after.iter().map(grown).collect();
    let amounts = |of_limits: bool| {
        let of_kind = all.iter().filter(|((limit, _), _)| *limit == of_limits);
        of_kind.map(|((_, name), nanos)| (name.clone(), quantity(*nanos))).collect()
    };
    let growth = NodeResources { requests: amounts(false), limits: amounts(true) };
    all.values().any(|nanos| *nanos > 0).then_some(growth)
}

/// The requests (`false`) and limits (`true`) of all nodes in billionths of their units.
fn sums<'a>(petsets: impl Iterator<Item = &'a PetSet>) -> BTreeMap<(bool, String), i128> {
    let mut sums = BTreeMap::new();
    for petset in petsets {
        let nodes = i128::from(petset.spec.replicas.unwrap_or_default());
        let Some(resources) = desired::size(&petset.spec.template).map(|size| size.resources) else {
            continue;
        };
        for (limit, amounts) in [(false, resources.requests), (true, resources.limits)] {
            for (name, amount) in amounts {
                let nanos = operator::amount(&amount.0).unwrap_or_default();
                let sum: &mut i128 = sums.entry((limit, name)).or_default();
                *sum = sum.saturating_add(nanos.saturating_mul(nodes));
            }
        }
    }
    sums
}

/// In mebi where that is exact, as people write memory, or else in thousandths, rounded up: Kubernetes keeps no smaller ones.
fn quantity(nanos: i128) -> Quantity {
    const MEBI: i128 = 1_000_000_000 << 20;
    Quantity(match nanos {
        0 => "0".to_owned(),
        _ if nanos % MEBI == 0 => format!("{}Mi", nanos / MEBI),
        _ => format!("{}m", nanos.saturating_add(999_999) / 1_000_000),
    })
}

/// A pod with these limits and no requests; or with these requests, and limits that let it have them. The requests may grow by more
/// than the limits do, and no pod may ask for more than its limit.
fn stand_in(mut pod: Pod, growth: &NodeResources, of_limits: bool) -> Pod {
    let mut wanted = growth.clone();
    for (name, request) in &mut wanted.requests {
        if of_limits {
            *request = Quantity("0".to_owned());
        } else if let Some(limit) = wanted.limits.get_mut(name)
            && operator::amount(&request.0) > operator::amount(&limit.0)
        {
            *limit = request.clone();
        }
    }
    if let Some(spec) = &mut pod.spec {
        spec.init_containers = None;
        spec.containers.retain(|container| container.name == names::CONTAINER);
        for container in &mut spec.containers {
            container.resources = Some(ResourceRequirements {
                requests: Some(wanted.requests.clone()),
                limits: Some(wanted.limits.clone()),
                claims: None,
            });
        }
    }
    pod
}

/// Whether a refusal is that of a quota for limits, or for requests; and not only for the number of pods.
fn is_about(message: &str, of_limits: bool) -> bool {
    let requested = message.split_once("exceeded quota").and_then(|(_, rest)| rest.split_once("requested: "));
    let names = requested.and_then(|(_, rest)| rest.split_once(", used: ")).map(|(names, _)| names);
    let is_meant = |name: &str| {
        (name.contains("cpu=") || name.contains("memory=")) && name.starts_with("limits.") == of_limits
    };
    names.is_some_and(|names| names.split(',').any(is_meant))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn petset(replicas: i32, cpu: &str, memory: &str) -> PetSet {
        let resources =
            json!({ "requests": { "cpu": cpu, "memory": memory }, "limits": { "memory": memory } });
        let template = json!({ "spec": { "containers": [{ "name": "cassandra", "resources": resources }] } });
        let spec = json!({
            "replicas": replicas, "serviceName": "db", "selector": {}, "template": template,
        });
        serde_json::from_value(json!({ "metadata": { "name": "db" }, "spec": spec })).unwrap()
    }

    #[test]
    fn what_all_nodes_ask_for_beyond_what_they_did_is_asked_for_once() {
        let present = [petset(2, "500m", "1Gi"), petset(1, "1", "3Gi")];
        let renewed = [petset(2, "250m", "2Gi"), petset(1, "250m", "2Gi")];
        let growth = growth(present.iter(), &renewed).unwrap();
        assert_eq!(growth.to_string(), "cpu 0, memory 1024Mi (at most 1024Mi)");
        assert_eq!(super::growth(renewed.iter(), &renewed), None);
    }

    #[test]
    fn an_absurd_amount_is_left_to_the_api_server() {
        let huge = [petset(1000, "9e27", "9e28")];
        assert!(growth([petset(1000, "1", "1Gi")].iter(), &huge).is_some());
    }

    #[test]
    fn limits_and_requests_are_asked_for_by_a_pod_each() {
        let resources = json!({ "requests": { "memory": "3Gi", "cpu": "1" }, "limits": { "memory": "2Gi" } });
        let growth: NodeResources = serde_json::from_value(resources).unwrap();
        let spec = petset(1, "1", "1Gi").spec.template.spec;
        let pod = Pod { spec, ..Pod::default() };
        let asked = |of_limits: bool| {
            let pod = stand_in(pod.clone(), &growth, of_limits).spec.unwrap();
            serde_json::to_value(pod.containers[0].resources.as_ref().unwrap()).unwrap()
        };
        let limits = json!({ "requests": { "memory": "0", "cpu": "0" }, "limits": { "memory": "2Gi" } });
        let requests = json!({ "requests": { "memory": "3Gi", "cpu": "1" }, "limits": { "memory": "3Gi" } });
        assert_eq!([asked(true), asked(false)], [limits, requests]);
    }

    #[test]
    fn a_quota_for_the_number_of_pods_does_not_count() {
        let of = |requested: &str| {
            format!(
                "pods \"p\" is forbidden: exceeded quota: q, requested: {requested}, used: pods=3, limited: pods=3"
            )
        };
        let both = |message: &str| [true, false].map(|of_limits| is_about(message, of_limits));
        assert_eq!(both(&of("pods=1")), [false, false]);
        assert_eq!(both(&of("limits.memory=1Gi,pods=1")), [true, false]);
        assert_eq!(both(&of("requests.cpu=1")), [false, true]);
        assert_eq!(both(&of("memory=1Gi")), [false, true]);
        assert_eq!(both("violates PodSecurity \"restricted:latest\""), [false, false]);
    }
}
