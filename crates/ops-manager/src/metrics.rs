//! The metrics of requests on /metrics, derived from the status of the requests.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::ops_request::Phase;
use api::{CassandraOpsRequest, condition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use operator::prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use operator::{Operator, Sample};

/// Prefixes of the conditions about pods that come back.
const RUNNING: [&str; 2] = ["RunningPod--", "CheckPodRunning--"];

/// How long nodes are down when their pod is renewed.
#[derive(Clone)]
pub struct Renewals(Histogram);

impl Renewals {
    /// Registers the histogram. Must be called once per process.
    pub fn register(operator: &Operator) -> Self {
        // 8 s to 4096 s.
        let seconds = Histogram::new(exponential_buckets(8.0, 2.0, 10));
        let help = "From the eviction of a pod until it is Ready on the image of the update";
        operator.register_metrics(|registry| {
            registry.register("ops_manager_pod_renewal_seconds", help, seconds.clone());
        });
        Self(seconds)
    }

    /// Records the pods that came back with this change of a request.
    pub fn changed(&self, before: &CassandraOpsRequest, after: &CassandraOpsRequest) {
        renewed(conditions(before), conditions(after)).for_each(|seconds| self.0.observe(seconds));
    }
}

fn conditions(request: &CassandraOpsRequest) -> &[Condition] {
    request.status.as_ref().map_or(&[], |status| &status.conditions)
}

fn renewed<'a>(before: &'a [Condition], after: &'a [Condition]) -> impl Iterator<Item = f64> + 'a {
    let news = after.iter().filter(|now| now.status == "True" && !condition::is_true(before, &now.type_));
    news.filter_map(|now| {
        let running = RUNNING.into_iter().find(|running| now.type_.contains(running))?;
        let evicted = condition::get(after, &now.type_.replace(running, "EvictPod--"))?;
        let took = now.last_transition_time.0.duration_since(evicted.last_transition_time.0);
        Some(took.as_secs_f64())
    })
}

/// Requests by namespace, type and phase, and the progress of the running ones.
pub fn gauges(requests: &[Arc<CassandraOpsRequest>]) -> Vec<Sample> {
    let mut counts = BTreeMap::new();
    for request in requests {
        let key = (request.namespace(), request.spec.type_.name());
        let phases: &mut [i64; PHASES.len()] = counts.entry(key).or_default();
        for (count, (phase, _)) in phases.iter_mut().zip(PHASES) {
            *count += i64::from(phase == request.phase());
        }
    }
    let counted = counts.into_iter().flat_map(|((namespace, type_), counts)| {
        PHASES.into_iter().zip(counts).map(move |((_, phase), value)| Sample {
            gauge: "ops_manager_requests",
            help: "Requests by type and phase",
            labels: vec![
                ("namespace", namespace.clone().unwrap_or_default()),
                ("type", type_.to_owned()),
                ("phase", phase.to_owned()),
            ],
            value,
        })
    });
    counted.chain(requests.iter().filter_map(|request| progress(request)).flatten()).collect()
}

/// All phases: one without requests counts as 0, so that its first request shows as an increase.
const PHASES: [(Phase, &str); 6] = [
    (Phase::Pending, "Pending"),
    (Phase::Progressing, "Progressing"),
    (Phase::Successful, "Successful"),
    (Phase::Failed, "Failed"),
    (Phase::Denied, "Denied"),
    (Phase::Skipped, "Skipped"),
];

fn progress(request: &CassandraOpsRequest) -> Option<[Sample; 2]> {
    if request.phase() != Phase::Progressing {
        return None;
    }
    let progress = request.status.as_ref()?.progress.as_deref().unwrap_or("0/0");
    let (done, nodes) = progress.split_once('/')?;
    let sample = |gauge, help, value: &str| {
        let labels = vec![
            ("namespace", request.namespace().unwrap_or_default()),
            ("request", request.name_any()),
            ("cassandra", request.spec.database_ref.name.clone()),
        ];
        Some(Sample { gauge, help, labels, value: value.parse().ok()? })
    };
    Some([
        sample("ops_manager_request_nodes", "Nodes that a running request is about", nodes)?,
        sample("ops_manager_request_nodes_done", "Nodes that a running request is done with", done)?,
    ])
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn request(name: &str, status: &Value) -> CassandraOpsRequest {
        let spec = json!({
            "type": "UpdateVersion",
            "databaseRef": {"name": "ring"},
            "updateVersion": {"targetVersion": "5.0.6"},
        });
        serde_json::from_value(json!({
            "apiVersion": "ops.kubedb.com/v1alpha1",
            "kind": "CassandraOpsRequest",
            "metadata": {"name": name, "namespace": "shop"},
            "spec": spec,
            "status": status,
        }))
        .unwrap()
    }

    #[test]
    fn requests_are_counted_by_phase_and_a_running_one_tells_its_progress() {
        let requests = [
            request("a", &json!({"phase": "Failed", "progress": "1/3"})),
            request("b", &json!({"phase": "Progressing", "progress": "2/3"})),
            request("c", &Value::Null),
        ];
        let told: Vec<_> = gauges(&requests.map(Arc::new))
            .into_iter()
            .map(|sample| (sample.gauge, sample.labels[2].1.clone(), sample.value))
            .filter(|(_, _, value)| *value > 0)
            .collect();
        let expected = [
            ("ops_manager_requests", "Pending", 1),
            ("ops_manager_requests", "Progressing", 1),
            ("ops_manager_requests", "Failed", 1),
            ("ops_manager_request_nodes", "ring", 3),
            ("ops_manager_request_nodes_done", "ring", 2),
        ];
        assert_eq!(told, expected.map(|(gauge, label, value)| (gauge, label.to_owned(), value)));
    }

    #[test]
    fn a_pod_is_measured_once_from_its_eviction_until_it_runs() {
        let condition = |type_: &str, second: u32| {
            json!({
                "type": type_,
                "status": "True",
                "reason": "R",
                "message": "",
                "lastTransitionTime": format!("2026-01-01T00:00:{second:02}Z"),
            })
        };
        let evicted = condition("EvictPod--ring-0", 5);
        let before = request("a", &json!({"conditions": [evicted]}));
        let after = request("a", &json!({"conditions": [evicted, condition("RunningPod--ring-0", 47)]}));
        let measured = |before, after| renewed(conditions(before), conditions(after)).collect::<Vec<_>>();
        assert_eq!(measured(&before, &after), [42.0]);
        assert_eq!(measured(&after, &after), [0.0; 0]);
    }
}
