use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::testing::FakeApi;

fn pod(status: &Value) -> Pod {
    let containers = json!([{ "name": "cassandra", "resources": { "limits": { "memory": "200Mi" } } }]);
    let spec = json!({ "nodeName": "k-1", "containers": containers });
    let metadata = json!({ "name": "db-0", "namespace": "ns" });
    serde_json::from_value(json!({ "metadata": metadata, "spec": spec, "status": status })).unwrap()
}

fn container(name: &str, state: &Value) -> Value {
    let mut status =
        json!({ "name": name, "image": "p:1", "imageID": "", "ready": false, "restartCount": 3 });
    status.as_object_mut().unwrap().extend(state.as_object().unwrap().clone());
    status
}

fn init(state: &Value) -> Option<Trouble> {
    trouble(&pod(&json!({ "initContainerStatuses": [container("render-config", state)] })))
}

fn node(state: &Value) -> Option<Trouble> {
    trouble(&pod(&json!({ "containerStatuses": [container("cassandra", state)] })))
}

#[rstest]
#[case::just_failed(json!({ "state": { "terminated": { "exitCode": 1, "message": "num_tokens is wrong\n" } } }))]
#[case::backs_off(json!({
    "state": { "waiting": { "reason": "CrashLoopBackOff" } },
    "lastState": { "terminated": { "exitCode": 1, "message": "num_tokens is wrong" } }
}))]
#[case::tries_again(json!({
    "state": { "running": {} },
    "lastState": { "terminated": { "exitCode": 1, "message": "num_tokens is wrong" } }
}))]
fn a_failing_container_tells_the_same_in_every_phase_of_its_crash_loop(#[case] state: Value) {
    let trouble = init(&state).unwrap();
    assert_eq!(trouble.what, "container render-config ended with exit code 1");
    assert_eq!(trouble.said.as_deref(), Some("num_tokens is wrong"));
    assert_eq!(trouble.ended.unwrap().container, "render-config");
}

#[rstest]
#[case::first(1, "CrashLoopBackOff", false)]
#[case::third(3, "CrashLoopBackOff", true)]
fn a_crash_lasts_when_it_has_come_again(#[case] restarts: i32, #[case] reason: &str, #[case] lasts: bool) {
    let crash = json!({
        "restartCount": restarts, "state": { "waiting": { "reason": reason } },
        "lastState": { "terminated": { "exitCode": 3, "reason": "Error" } }
    });
    assert_eq!(node(&crash).unwrap().lasts, lasts);
}

#[rstest]
#[case::may_pass("ErrImagePull", false)]
#[case::stays("ImagePullBackOff", true)]
fn a_missing_image_is_trouble(#[case] reason: &str, #[case] lasts: bool) {
    let waiting = json!({ "state": { "waiting": { "reason": reason, "message": "not there" } } });
    let trouble = init(&waiting).unwrap();
    assert_eq!(trouble.what, "image p:1 cannot be pulled (ImagePullBackOff, container render-config)");
    assert_eq!((trouble.said.as_deref(), trouble.lasts), (Some("not there"), lasts));
}

#[test]
fn a_container_that_cannot_be_made_says_what_it_lacks() {
    let waiting = json!({ "reason": "CreateContainerConfigError", "message": "secret \"custom\" not found" });
    let trouble = node(&json!({ "state": { "waiting": waiting } })).unwrap();
    let told = "container cassandra waits: CreateContainerConfigError: secret \"custom\" not found";
    assert_eq!((trouble.what.as_str(), trouble.lasts), (told, false));
}

#[rstest]
#[case(json!({ "state": { "terminated": { "exitCode": 0 } }, "ready": true }))]
#[case(json!({ "state": { "running": {} } }))]
#[case(json!({ "state": { "waiting": { "reason": "PodInitializing" } } }))]
fn a_container_on_its_way_is_no_trouble(#[case] state: Value) {
    assert_eq!(init(&state), None);
}

#[test]
fn a_pod_that_fits_nowhere_is_trouble() {
    let condition = json!({ "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes" });
    let trouble = trouble(&pod(&json!({ "conditions": [condition] }))).unwrap();
    assert_eq!((trouble.what.as_str(), trouble.lasts), ("cannot be scheduled: 0/1 nodes", false));
}

#[rstest]
#[case::out_of_memory(
    json!({ "exitCode": 137, "reason": "OOMKilled", "message": "noise" }),
    "out of memory: container cassandra was killed at its limit of 200Mi (exit code 137); raise \
     resources.limits.memory of cassandra in the podTemplate, then delete the pod"
)]
#[case::killed(
    json!({ "exitCode": 137, "reason": "Error", "message": "noise" }),
    "container cassandra was killed (exit code 137) for want of memory, or because it did not stop in time; its limit is \
     200Mi"
)]
#[case::stopped(
    json!({ "exitCode": 143, "reason": "Error", "message": "noise" }),
    "container cassandra was stopped by Kubernetes (exit code 143): its liveness or startup probe failed, see the events of \
     the pod"
)]
fn what_ended_a_container_from_outside_is_not_in_its_log(#[case] ended: Value, #[case] what: &str) {
    let trouble = node(&json!({ "state": { "terminated": ended } })).unwrap();
    assert_eq!((trouble.what.as_str(), trouble.said, trouble.ended), (what, None, None));
}

const LOST: &str = "\
is Terminating, and was to be gone at 2026-01-01T00:00:00Z: Kubernetes node k-1 does not report that it has stopped (Taint \
manager: deleting due to NoExecute taint): look whether that machine is Ready, and delete the Node if it is lost";
const HELD: &str = "\
is Terminating, and was to be gone at 2026-01-01T00:00:00Z: whoever has set the finalizers example.com/lost-node holds it";

#[rstest]
#[case::in_time(-200, &[], None)]
#[case::a_little_late(59, &[], None)]
#[case::a_lost_machine(61, &[], Some(LOST))]
#[case::the_same_an_hour_later(3600, &[], Some(LOST))]
#[case::held(61, &["example.com/lost-node"], Some(HELD))]
fn a_pod_that_does_not_go_says_so(
    #[case] late: i64,
    #[case] finalizers: &[&str],
    #[case] told: Option<&str>,
) {
    let reason = json!({
        "type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager",
        "message": "Taint manager: deleting due to NoExecute taint",
    });
    let mut pod = pod(&json!({ "conditions": [reason] }));
    let end: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    assert_eq!(overstay(&pod, end), None, "it is not leaving");
    pod.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(end));
    pod.metadata.finalizers = Some(finalizers.iter().map(ToString::to_string).collect());
    assert_eq!(overstay(&pod, end + jiff::SignedDuration::from_secs(late)).as_deref(), told);
}

#[tokio::test]
async fn the_log_of_the_run_before_is_read_and_no_more_than_its_end() {
    let api = FakeApi::new();
    let pods = api.operator("provisioner").api::<Pod>(Some("ns"));
    assert_eq!(last_log(&pods, "db-0", "cassandra").await, None);
    api.log("ns", "db-0", "ERROR why\nnoise\n");
    api.forget_requests();
    assert_eq!(last_log(&pods, "db-0", "cassandra").await.as_deref(), Some("ERROR why\nnoise\n"));
    let asked: Vec<_> = api.requests().into_iter().map(|request| request.query).collect();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert_eq!((asked[0]["previous"].as_str(), asked[0]["container"].as_str()), ("true", "cassandra"));
    assert!(asked[0].contains_key("tailLines") && asked[0].contains_key("limitBytes"), "{asked:?}");
    api.log("ns", "db-0", "unable to retrieve container logs for containerd://7d7d0f50");
    assert_eq!(last_log(&pods, "db-0", "cassandra").await, None, "that is the kubelet's own word");
}
