//! PlacementPolicy -> where the pods of a PetSet may run.

use api::PlacementPolicy;
use api::placement_policy::{SpreadConstraint, WhenUnsatisfiable};
use k8s_openapi::api::core::v1::{PodAffinityTerm, PodSpec, TopologySpreadConstraint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

const ZONE: &str = "topology.kubernetes.io/zone";
const NODE: &str = "kubernetes.io/hostname";

/// Spreads the pods that `selector` selects. A constraint in the pods' own spec wins over one with the same key.
pub fn place(pods: &mut PodSpec, policy: &PlacementPolicy, selector: &LabelSelector) {
    let axes = [(ZONE, &policy.spec.zone_spread_constraint), (NODE, &policy.spec.node_spread_constraint)];
    for (topology, constraint) in axes {
        if let Some(constraint) = constraint {
            spread(pods, topology, constraint, selector);
            if constraint.when_unsatisfiable == WhenUnsatisfiable::DoNotSchedule {
                keep_apart(pods, topology, selector);
            }
        }
    }
}

fn spread(pods: &mut PodSpec, topology: &str, constraint: &SpreadConstraint, selector: &LabelSelector) {
    let when_unsatisfiable = match constraint.when_unsatisfiable {
        WhenUnsatisfiable::DoNotSchedule => "DoNotSchedule",
        WhenUnsatisfiable::ScheduleAnyway => "ScheduleAnyway",
    };
    let constraints = pods.topology_spread_constraints.get_or_insert_default();
    // These two fields are the key of the list: the API server accepts each pair only once.
    if constraints.iter().any(|c| c.topology_key == topology && c.when_unsatisfiable == when_unsatisfiable) {
        return;
    }
    constraints.push(TopologySpreadConstraint {
        topology_key: topology.to_owned(),
        max_skew: constraint.max_skew,
        when_unsatisfiable: when_unsatisfiable.to_owned(),
        label_selector: Some(selector.clone()),
        ..TopologySpreadConstraint::default()
    });
}

/// A skew of 1 alone would still let two pods share a domain once each domain has one.
fn keep_apart(pods: &mut PodSpec, topology: &str, selector: &LabelSelector) {
    pods.affinity
        .get_or_insert_default()
        .pod_anti_affinity
        .get_or_insert_default()
        .required_during_scheduling_ignored_during_execution
        .get_or_insert_default()
        .push(PodAffinityTerm {
            topology_key: topology.to_owned(),
            label_selector: Some(selector.clone()),
            ..PodAffinityTerm::default()
        });
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn placed(policy: &str, pods: &str) -> PodSpec {
        let policy = PlacementPolicy::new("p", serde_yaml::from_str(policy).unwrap());
        let mut pods: PodSpec = serde_yaml::from_str(pods).unwrap();
        place(&mut pods, &policy, &selector());
        pods
    }

    fn selector() -> LabelSelector {
        serde_yaml::from_str("matchLabels: {app: db}").unwrap()
    }

    fn constraints(pods: &PodSpec) -> Vec<(&str, i32, &str)> {
        pods.topology_spread_constraints
            .iter()
            .flatten()
            .map(|c| (c.topology_key.as_str(), c.max_skew, c.when_unsatisfiable.as_str()))
            .collect()
    }

    fn apart(pods: &PodSpec) -> Vec<&str> {
        let anti = pods.affinity.as_ref().and_then(|a| a.pod_anti_affinity.as_ref());
        anti.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref())
            .into_iter()
            .flatten()
            .map(|t| t.topology_key.as_str())
            .collect()
    }

    const ANYWAY: &str = "{maxSkew: 1, whenUnsatisfiable: ScheduleAnyway}";

    #[rstest]
    #[case::nothing("{}", &[], &[])]
    #[case::zone_by_default("zoneSpreadConstraint: {}", &[(ZONE, 1, "DoNotSchedule")], &[ZONE])]
    #[case::node(
        "nodeSpreadConstraint: {maxSkew: 2, whenUnsatisfiable: DoNotSchedule}",
        &[(NODE, 2, "DoNotSchedule")],
        &[NODE]
    )]
    #[case::both_softly(
        &format!("{{zoneSpreadConstraint: {ANYWAY}, nodeSpreadConstraint: {ANYWAY}}}"),
        &[(ZONE, 1, "ScheduleAnyway"), (NODE, 1, "ScheduleAnyway")],
        &[]
    )]
    #[case::both_strictly(
        "{zoneSpreadConstraint: {}, nodeSpreadConstraint: {}}",
        &[(ZONE, 1, "DoNotSchedule"), (NODE, 1, "DoNotSchedule")],
        &[ZONE, NODE]
    )]
    fn a_policy_spreads_the_pods(
        #[case] policy: &str,
        #[case] expected: &[(&str, i32, &str)],
        #[case] expected_apart: &[&str],
    ) {
        let pods = placed(policy, "containers: []");
        assert_eq!(constraints(&pods), expected);
        assert_eq!(apart(&pods), expected_apart);
        for constraint in pods.topology_spread_constraints.iter().flatten() {
            assert_eq!(constraint.label_selector, Some(selector()));
        }
    }

    #[test]
    fn what_the_pods_say_themselves_stays() {
        let own = "{containers: [], topologySpreadConstraints: \
                   [{topologyKey: topology.kubernetes.io/zone, maxSkew: 5, whenUnsatisfiable: ScheduleAnyway}]}";
        let pods = placed(&format!("zoneSpreadConstraint: {ANYWAY}"), own);
        assert_eq!(constraints(&pods), [(ZONE, 5, "ScheduleAnyway")]);
    }
}
