use serde_json::{Value, json};

use super::*;

fn state_of(status: &Value) -> PullState {
    let pod = json!({
        "metadata": { "name": "update-pull-db-0", "uid": "u" },
        "spec": { "nodeName": "k-1", "containers": [{ "name": "pull", "image": "c:2" }] },
        "status": status,
    });
    let pull_pod = read(&serde_json::from_value(pod).unwrap());
    assert_eq!(pull_pod.host, "k-1");
    pull_pod.state
}

fn container(image_id: &str, state: &Value) -> Value {
    json!({ "phase": "Pending", "containerStatuses": [{
        "name": "pull", "image": "c:2", "imageID": image_id, "ready": false, "restartCount": 0, "state": state,
    }]})
}

fn waiting(reason: &str) -> Value {
    container("", &json!({ "waiting": { "reason": reason, "message": "not found" } }))
}

#[test]
fn a_container_that_ran_or_could_not_run_had_its_image() {
    for ended in ["Completed", "StartError"] {
        let ended = container("sha256:1", &json!({ "terminated": { "exitCode": 128, "reason": ended } }));
        assert_eq!(state_of(&ended), PullState::Pulled);
    }
    for reason in ["CreateContainerConfigError", "CreateContainerError", "RunContainerError"] {
        assert_eq!(state_of(&waiting(reason)), PullState::Pulled, "{reason}");
    }
}

/// The search takes a moment, and its answer is the termination message.
#[test]
fn a_container_that_still_looks_is_waited_for() {
    let running = container("sha256:1", &json!({ "running": {} }));
    assert!(matches!(state_of(&running), PullState::Pulling(_)));
    let mut pod = made(&["com.example.Audit".to_owned()]);
    let said = "com/example/Audit.class\norg/apache/cassandra/service/CassandraDaemon.class\n";
    let ended = container("sha256:1", &json!({ "terminated": { "exitCode": 0, "message": said } }));
    pod.status = Some(serde_json::from_value(ended).unwrap());
    let observed = read(&pod);
    assert_eq!(observed.state, PullState::Pulled);
    assert_eq!(observed.look.found, Some(["com.example.Audit".to_owned()].into()));
    assert_eq!(observed.look.asked, ["com.example.Audit".to_owned()].into());
}

#[test]
fn a_missing_image_is_told_from_a_first_failure() {
    assert_eq!(state_of(&waiting("ErrImagePull")), PullState::Pulling("ErrImagePull".to_owned()));
    let PullState::Missing(why) = state_of(&waiting("ImagePullBackOff")) else { panic!("it is missing") };
    assert!(why.contains("image c:2 cannot be pulled") && why.contains("not found"), "{why}");
}

#[test]
fn a_node_without_room_says_nothing_about_the_image() {
    let refused = json!({ "phase": "Failed", "reason": "OutOfpods", "message": "the node has no room" });
    assert_eq!(state_of(&refused), PullState::Refused("OutOfpods: the node has no room".to_owned()));
    let lost = json!({ "phase": "Failed", "reason": "Evicted", "containerStatuses": [{
        "name": "pull", "image": "c:2", "imageID": "", "ready": false, "restartCount": 0,
        "state": { "terminated": { "exitCode": 137, "reason": "ContainerStatusUnknown" } },
    }]});
    assert!(matches!(state_of(&lost), PullState::Refused(_)));
}

#[test]
fn a_pod_on_its_way_waits() {
    assert!(matches!(state_of(&json!({})), PullState::Pulling(_)));
    assert_eq!(state_of(&waiting("ContainerCreating")), PullState::Pulling("ContainerCreating".to_owned()));
}

fn made(classes: &[String]) -> Pod {
    let mut request = CassandraOpsRequest::new("update", api::CassandraOpsRequestSpec::default());
    request.metadata.namespace = Some("ns".to_owned());
    request.metadata.uid = Some("r".to_owned());
    let place =
        Place { host: "k-1".to_owned(), pod: "db-rack-a-0".to_owned(), petset: "db-rack-a".to_owned() };
    let template = json!({
        "containers": [
            { "name": "sidecar", "imagePullPolicy": "Never" },
            { "name": "cassandra", "image": "c:1", "imagePullPolicy": "Always" },
        ],
        "imagePullSecrets": [{ "name": "registry" }],
        "serviceAccountName": "db",
    });
    pod(&request, &place, &serde_json::from_value(template).unwrap(), "c:2", 999, classes)
}

#[test]
fn a_webhook_that_rewrites_its_image_does_not_make_it_one_of_another_image() {
    let mut pod = made(&[]);
    pod.spec.as_mut().unwrap().containers[0].image = Some("mirror/c:2".to_owned());
    assert_eq!(read(&pod).image, "c:2");
}

#[test]
fn it_may_pull_what_the_pods_of_the_ring_may() {
    let pod = serde_json::to_value(made(&[])).unwrap();
    assert_eq!(pod["metadata"]["name"], "update-pull-db-rack-a-0");
    assert_eq!(pod["metadata"]["ownerReferences"][0]["uid"], "r");
    assert_eq!(pod["spec"]["nodeName"], "k-1");
    assert_eq!(pod["spec"]["serviceAccountName"], "db");
    assert_eq!(pod["spec"]["imagePullSecrets"], json!([{ "name": "registry" }]));
    assert_eq!(pod["spec"]["containers"][0]["imagePullPolicy"], "Always");
    assert_eq!(pod["spec"]["containers"][0]["image"], "c:2");
    assert_eq!(pod["spec"]["automountServiceAccountToken"], false);
}

#[test]
fn it_is_watched_and_is_no_pod_of_the_ring() {
    let labels = made(&[]).metadata.labels.unwrap();
    let selected: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert!(labels::ALL_SELECTOR.split(',').all(|one| selected.iter().any(|label| label == one)));
    assert_eq!(labels::cassandra_of(&labels), None);
    let selectors = labels::selectors("db");
    assert!(!selectors.iter().all(|(key, value)| labels.get(key) == Some(value)));
}
