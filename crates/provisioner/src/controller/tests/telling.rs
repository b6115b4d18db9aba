//! The content of the status, and the interval between checks.

use super::*;

/// The first pod stops by itself; `run` identifies the run of its container.
fn crash(api: &FakeApi, run: &str) {
    let crash = json!({ "containerStatuses": [{
        "name": "cassandra", "image": "c:1", "imageID": "", "ready": false, "restartCount": 4,
        "state": { "waiting": { "reason": "CrashLoopBackOff" } },
        "lastState": { "terminated": { "exitCode": 3, "containerID": run, "message": "Paused hints dispatch" } },
    }]});
    api.change::<Pod>(NAMESPACE, "db-rack-a-0", |pod| pod.status = serde_json::from_value(crash).unwrap());
}

#[tokio::test]
async fn a_node_that_ends_by_itself_says_why_and_its_log_is_read_once() {
    const LOG: &str = "\
ERROR [main] 2026-11-26 19:05:09,333 CassandraDaemon.java:900 - Exception encountered during startup
org.apache.cassandra.exceptions.ConfigurationException: Saved cluster name a != configured name b
INFO  [StorageServiceShutdownHook] 2026-11-26 19:08:18,947 HintsService.java:234 - Paused hints dispatch
";
    let (api, states) = (fake(&json!({})), RingStates::default());
    begin(&api, &states).await;
    crash(&api, "containerd://1");
    step(&api, &states).await.unwrap();
    let told = || condition(&api, condition_type::REPLICA_READY);
    let ended = "Pod db-rack-a-0: container cassandra ended with exit code 3: ";
    let (reason, message) = told();
    assert_eq!(reason, "PodFailing");
    assert_eq!(
        message,
        format!("{ended}Paused hints dispatch"),
        "what Kubernetes keeps, for want of the log"
    );

    api.log(NAMESPACE, "db-rack-a-0", LOG);
    crash(&api, "containerd://2");
    api.forget_requests();
    for _ in 0..3 {
        step(&api, &states).await.unwrap();
    }
    let cause = "ConfigurationException: Saved cluster name a != configured name b";
    assert_eq!(told().1, format!("{ended}{cause}"));
    assert_eq!(api.requests().iter().filter(|request| request.path.ends_with("/log")).count(), 1);
}

#[tokio::test]
async fn a_pod_that_stays_is_told_in_the_place_of_a_number() {
    let (api, states) = (fake(&json!({})), RingStates::default());
    begin(&api, &states).await;
    api.change::<PetSet>(NAMESPACE, "db-rack-a", |petset| {
        petset.status = serde_json::from_value(json!({ "replicas": 1, "readyReplicas": 0 })).unwrap();
    });
    api.change::<Pod>(NAMESPACE, "db-rack-a-0", |pod| {
        pod.metadata.finalizers = Some(vec!["example.com/lost-node".to_owned()]);
        pod.metadata.deletion_timestamp = serde_json::from_value(json!("2025-12-31T23:00:00Z")).unwrap();
    });
    step(&api, &states).await.unwrap();
    let message = condition(&api, condition_type::REPLICA_READY).1;
    assert!(
        message.starts_with("Pod db-rack-a-0: is Terminating, and was to be gone at 2025-12-31T23:00:00Z"),
        "{message}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_not_let_in_is_told_with_the_words_of_the_api_server() {
    const SAID: &str = "pods \"db-rack-a-0\" is forbidden: exceeded quota: small";
    let (api, states) = (fake(&json!({})), RingStates::default());
    step(&api, &states).await.unwrap();
    let event = |name: &str, pod: &str, said: &str, at: &str| {
        let note = format!("create Pod {pod} in StatefulSet db-rack-a failed error: {said}");
        let regarding = json!({ "kind": "StatefulSet", "name": "db-rack-a", "namespace": NAMESPACE });
        api.put::<k8s_openapi::api::events::v1::Event>(
            &serde_json::from_value(json!({
                "metadata": { "name": name, "namespace": NAMESPACE }, "reason": "FailedCreate", "note": note,
                "regarding": regarding, "deprecatedLastTimestamp": at, "eventTime": null,
            }))
            .unwrap(),
        );
    };
    event("a", "db-rack-a-0", SAID, "2026-01-01T00:00:02Z");
    event("b", "db-rack-a-0", "something older", "2026-01-01T00:00:01Z");
    event("c", "db-rack-a-01", "of another pod", "2026-01-01T00:00:03Z");
    let looks =
        || api.requests().iter().filter(|one| one.method == "GET" && one.path.ends_with("/events")).count();
    step(&api, &states).await.unwrap();
    assert_eq!(looks(), 0, "it may be about to be made");
    for _ in 0..3 {
        tokio::time::advance(Duration::from_secs(9)).await;
        step(&api, &states).await.unwrap();
    }
    assert_eq!(looks(), 1);
    let told = condition(&api, condition_type::REPLICA_READY);
    assert_eq!(told, ("PodFailing".to_owned(), format!("Pod db-rack-a-0: is not let in: {SAID}")));
    make_ready(&api);
    step(&api, &states).await.unwrap();
    assert!(!condition(&api, condition_type::REPLICA_READY).1.contains("quota"));
}

/// Nothing listens at the addresses of these pods.
#[tokio::test]
async fn a_ring_that_does_not_answer_is_looked_at_ever_less_often_and_a_change_wakes_it() {
    let (api, states) = (fake(&json!({ "healthChecker": { "periodSeconds": 30 } })), RingStates::default());
    begin(&api, &states).await;
    let answering_nothing = |pod: &str, address: &str| {
        api.change::<Pod>(NAMESPACE, pod, |pod| {
            pod.status.as_mut().unwrap().pod_ip = Some(address.to_owned());
        });
    };
    make_ready(&api);
    answering_nothing("db-rack-a-0", "127.0.0.1");
    answering_nothing("db-rack-b-0", "127.0.0.1");
    let uid = cassandra(&api).uid().unwrap();
    let mut waits = vec![];
    for _ in 0..6 {
        waits.push(step(&api, &states).await.unwrap().unwrap().as_secs());
        // As if a minute had passed.
        states.with(&uid, |state| {
            let ago = Instant::now().checked_sub(Duration::from_mins(1)).unwrap();
            state.setup_failed.iter_mut().for_each(|(tried, _)| *tried = ago);
        });
    }
    assert_eq!(waits, [3, 6, 12, 24, 30, 30]);
    answering_nothing("db-rack-a-0", "127.0.0.2");
    assert_eq!(step(&api, &states).await.unwrap().unwrap().as_secs(), 3);
}
