//! The metrics of each Cassandra on /metrics.

use api::cassandra::Phase;
use api::{Cassandra, halt};
use kube::ResourceExt;
use operator::Sample;

/// The gauges of one Cassandra.
pub fn of(cassandra: &Cassandra) -> [Sample; 2] {
    let name =
        [("namespace", cassandra.namespace().unwrap_or_default()), ("cassandra", cassandra.name_any())];
    let phase = cassandra.status.as_ref().and_then(|status| status.phase);
    let labels = name.iter().cloned().chain([("phase", phase.map_or("Unknown", word).to_owned())]);
    [
        Sample {
            gauge: "provisioner_cassandra_phase",
            help: "1 for the phase that a Cassandra is in",
            labels: labels.collect(),
            value: 1,
        },
        Sample {
            gauge: "provisioner_cassandra_halted",
            help: "1 while spec.halted is true",
            labels: name.into(),
            value: i64::from(!halt::provisioner_may_write(cassandra)),
        },
    ]
}

fn word(phase: Phase) -> &'static str {
    match phase {
        Phase::Provisioning => "Provisioning",
        Phase::Ready => "Ready",
        Phase::Critical => "Critical",
        Phase::NotReady => "NotReady",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn phase_and_halt_are_told_of_each_cassandra() {
        let cassandra: Cassandra = serde_json::from_value(json!({
            "apiVersion": "kubedb.com/v1alpha2",
            "kind": "Cassandra",
            "metadata": {"name": "ring", "namespace": "shop"},
            "spec": {"version": "5.0.6", "halted": true},
            "status": {"phase": "Critical"},
        }))
        .unwrap();
        let [phase, halted] = of(&cassandra);
        let name = [("namespace", "shop".to_owned()), ("cassandra", "ring".to_owned())];
        assert_eq!(phase.labels, [&name[..], &[("phase", "Critical".to_owned())]].concat());
        assert_eq!((halted.labels.as_slice(), halted.value), (&name[..], 1));
    }
}
