use k8s_openapi::api::{
    apps::v1::{StatefulSet, StatefulSetStatus},
    core::v1::{ConfigMap, Node, Pod},
    events::v1::Event,
    policy::v1::PodDisruptionBudget,
};
use serde::de::DeserializeOwned;

use super::*;
use crate::{Retry, testing::FakeApi};

fn object<K: DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}

fn config(color: &str) -> ConfigMap {
    object(json!({"metadata": {"name": "c", "namespace": "demo"}, "data": {"color": color}}))
}

fn set(replicas: i32) -> StatefulSet {
    object(json!({
        "metadata": {"name": "s", "namespace": "demo", "labels": {"app": "s"}},
        "spec": {"replicas": replicas, "serviceName": "s", "selector": {}, "template": {}}
    }))
}

#[tokio::test]
async fn applying_the_same_again_sends_nothing() {
    let api = FakeApi::new();
    let writer = api.operator("tester").writer;
    let first = writer.apply(set(3), None).await.unwrap();
    assert!(first.written);
    let again = writer.apply(set(3), Some(&first.object)).await.unwrap();
    assert!(!again.written);
    assert_eq!(api.writes().len(), 1);
    assert_eq!(api.writes()[0].manager.as_deref(), Some("tester"));
}

#[tokio::test]
async fn a_field_that_is_no_longer_desired_is_removed() {
    let api = FakeApi::new();
    let writer = api.operator("tester").writer;
    let first = writer.apply(set(3), None).await.unwrap().object;
    let mut desired = set(3);
    desired.metadata.labels = None;
    let second = writer.apply(desired, Some(&first)).await.unwrap();
    assert!(second.written);
    assert_eq!(second.object.metadata.labels, None);
}

#[tokio::test]
async fn what_somebody_else_changed_is_put_back() {
    let api = FakeApi::new();
    let writer = api.operator("tester").writer;
    writer.apply(set(3), None).await.unwrap();
    let drifted =
        api.change("demo", "s", |set: &mut StatefulSet| set.spec.as_mut().unwrap().replicas = Some(1));
    let applied = writer.apply(set(3), Some(&drifted)).await.unwrap();
    assert_eq!(applied.object.spec.unwrap().replicas, Some(3));
}

#[tokio::test]
async fn a_decision_on_an_old_picture_is_a_conflict() {
    let api = FakeApi::new();
    let writer = api.operator("tester").writer;
    let old = writer.apply(set(3), None).await.unwrap().object;
    api.change("demo", "s", |set: &mut StatefulSet| set.spec.as_mut().unwrap().replicas = Some(5));
    let error = writer.apply(set(4), Some(&old)).await.unwrap_err();
    assert!(matches!(error, WriteError::Conflict { .. }), "{error}");
    assert_eq!(error.retry(), Retry::Soon);
    assert_eq!(api.get::<StatefulSet>("demo", "s").unwrap().spec.unwrap().replicas, Some(5));
}

#[tokio::test]
async fn an_object_that_is_not_known_as_ours_is_never_taken_over() {
    let api = FakeApi::new();
    api.put(&config("theirs"));
    let error = api.operator("tester").writer.apply(config("ours"), None).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot apply ConfigMap demo/c: refused (it exists already and is not known as the operator's own; \
         delete or rename it)"
    );
    assert!(api.writes().is_empty());
}

#[tokio::test]
async fn two_managers_mark_the_same_object_side_by_side() {
    let api = FakeApi::new();
    let writer = api.operator("one").writer;
    let first = writer.apply(config("red"), None).await.unwrap().object;
    let second = writer.manager("two").apply(config("red"), Some(&first)).await.unwrap().object;
    let marks: Vec<_> = second.annotations().keys().cloned().collect();
    assert_eq!(marks, ["applied-by/one", "applied-by/two"]);
    assert!(!writer.apply(config("red"), Some(&second)).await.unwrap().written);
}

#[tokio::test]
async fn a_status_is_written_only_if_it_differs_and_as_a_whole() {
    let api = FakeApi::new();
    let writer = api.operator("tester").writer;
    let created = api.put(&set(3));
    let status = StatefulSetStatus { replicas: 3, ready_replicas: Some(2), ..StatefulSetStatus::default() };
    let two = writer.status(&created, &status).await.unwrap();
    assert_eq!(two.metadata.generation, created.metadata.generation);
    writer.status(&two, &status).await.unwrap();
    assert_eq!(api.writes().len(), 1);
    let none = StatefulSetStatus { replicas: 3, ..StatefulSetStatus::default() };
    assert_eq!(writer.status(&two, &none).await.unwrap().status, Some(none.clone()));
    let error = writer.status(&created, &none).await.unwrap_err();
    assert!(matches!(error, WriteError::Conflict { .. }), "{error}");
}

#[tokio::test]
async fn a_patch_changes_single_fields_of_the_version_it_was_made_for() {
    let api = FakeApi::new();
    let writer = api.operator("tester").writer;
    let first = api.put(&set(3));
    let replicas = |replicas: i32| vec![patch::replace(&["spec", "replicas"], json!(replicas))];
    let second = writer.patch(&first, replicas(4)).await.unwrap();
    assert_eq!(second.spec.as_ref().unwrap().replicas, Some(4));
    let error = writer.patch(&first, replicas(5)).await.unwrap_err();
    assert!(matches!(error, WriteError::Conflict { .. }), "{error}");
}

#[tokio::test]
async fn a_failed_test_in_a_patch_and_a_vanished_object_are_conflicts() {
    let api = FakeApi::new();
    let writer = api.operator("tester").writer;
    let set = api.put(&set(3));
    let test = patch::test(&["spec", "replicas"], json!(1));
    for _ in 0..2 {
        let error = writer.patch(&set, vec![test.clone()]).await.unwrap_err();
        assert!(matches!(error, WriteError::Conflict { .. }), "{error}");
        api.delete::<StatefulSet>("demo", "s");
    }
}

#[tokio::test]
async fn only_the_object_that_was_meant_is_deleted() {
    let api = FakeApi::new();
    let writer = api.operator("tester").writer;
    let meant = api.put(&config("red"));
    api.delete::<ConfigMap>("demo", "c");
    writer.delete(&meant).await.unwrap();
    let other = api.put(&config("red"));
    let error = writer.delete(&meant).await.unwrap_err();
    assert!(matches!(error, WriteError::Conflict { .. }), "{error}");
    writer.delete(&other).await.unwrap();
    assert_eq!(api.list::<ConfigMap>(), []);
}

#[tokio::test]
async fn an_eviction_is_of_this_pod_only_and_may_be_blocked() {
    let api = FakeApi::new();
    let writer = api.operator("tester").writer;
    let pod = api.put::<Pod>(&object(json!({"metadata": {"name": "p", "namespace": "demo"}})));
    api.block_evictions(Some("needs 2 healthy pods"));
    assert_eq!(writer.evict(&pod).await.unwrap(), Eviction::Blocked("needs 2 healthy pods".to_owned()));
    api.block_evictions(None);
    assert_eq!(writer.evict(&pod).await.unwrap(), Eviction::Evicted);
    assert_eq!(writer.evict(&pod).await.unwrap(), Eviction::Gone);
    api.put::<Pod>(&object(json!({"metadata": {"name": "p", "namespace": "demo"}})));
    assert_eq!(writer.evict(&pod).await.unwrap(), Eviction::Gone);
    assert_eq!(api.list::<Pod>().len(), 1);
}

/// For a pod with two budgets the API server answers with a failure, even if the HTTP status is a success.
#[tokio::test]
async fn a_pod_with_two_budgets_is_not_evicted() {
    let api = FakeApi::new();
    let writer = api.operator("tester").writer;
    let pod = object(json!({"metadata": {"name": "p", "namespace": "demo", "labels": {"app": "p"}}}));
    let pod = api.put::<Pod>(&pod);
    for name in ["ours", "theirs"] {
        api.put::<PodDisruptionBudget>(&object(json!({
            "metadata": {"name": name, "namespace": "demo"},
            "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "p"}}},
        })));
    }
    let Eviction::Blocked(why) = writer.evict(&pod).await.unwrap() else { panic!("it was evicted") };
    assert!(why.contains("more than one PodDisruptionBudget"), "{why}");
    assert_eq!(api.list::<Pod>().len(), 1);
    let failure = Status::failure("This pod has more than one PodDisruptionBudget", "").with_code(500);
    let why = failure.message.clone();
    assert_eq!(Eviction::of(Ok(failure)).unwrap(), Eviction::Blocked(why));
}

/// The pod may be replaced by another one of its name after the check and before the eviction.
#[tokio::test]
async fn an_eviction_names_the_pod_that_is_meant() {
    let api = FakeApi::new();
    let writer = api.operator("tester").writer;
    let pod = api.put::<Pod>(&object(json!({"metadata": {"name": "p", "namespace": "demo"}})));
    writer.evict(&pod).await.unwrap();
    let sent = api.writes();
    let named = &sent[0].body["deleteOptions"]["preconditions"]["uid"];
    assert_eq!(named.as_str(), pod.uid().as_deref(), "{sent:?}");
}

#[tokio::test]
async fn a_rehearsal_stores_nothing_and_tells_what_the_server_would_say() {
    let api = FakeApi::new();
    let writer = api.operator("tester").writer;
    writer.rehearse(&config("red")).await.unwrap();
    assert_eq!(api.list::<ConfigMap>(), []);
    api.refuse("/configmaps", 403, "exceeded quota");
    let error = writer.rehearse(&config("red")).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot create ConfigMap demo/c: refused (exceeded quota)");
}

#[tokio::test]
async fn an_existing_object_is_not_created_again() {
    let api = FakeApi::new();
    let writer = api.operator("tester").writer;
    writer.create(&config("red")).await.unwrap();
    let error = writer.create(&config("blue")).await.unwrap_err();
    assert!(matches!(error, WriteError::Conflict { .. }), "{error}");
}

#[tokio::test]
async fn an_answer_that_did_not_come_names_the_request() {
    let api = FakeApi::new();
    let writer = api.operator("tester").writer;
    api.lose_answer(1);
    let error = writer.create(&object::<Node>(json!({"metadata": {"name": "n"}}))).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot create Node n: no answer from the API server (the answer was lost)"
    );
    assert_eq!((error.reason(), error.retry()), ("ApiServerUnavailable", Retry::Backoff));
    assert_eq!(api.list::<Node>().len(), 1);
}

#[tokio::test]
async fn a_follower_writes_nothing_and_tells_no_events() {
    let api = FakeApi::new();
    let follower = Leader::follower();
    let writer = Writer::new(api.client(), follower.clone(), "tester", Metrics::new(), Ending::default());
    let error = writer.create(&config("red")).await.unwrap_err();
    assert!(matches!(error, WriteError::NotLeader { .. }), "{error}");
    let events =
        crate::Events::new(api.client(), follower, "tester", "tester-0".to_owned(), Ending::default());
    events.normal(&config("red"), "Created", "Create", "It is there").await;
    assert!(api.requests().is_empty());
}

#[tokio::test]
async fn equal_events_are_counted_and_different_texts_stay_apart() {
    let api = FakeApi::new();
    let events = api.operator("tester").events;
    let config = api.put(&config("red"));
    for note in ["one", "one", "two"] {
        events.normal(&config, "Stepped", "Step", note).await;
    }
    let mut told: Vec<_> = api
        .list::<Event>()
        .into_iter()
        .map(|event| (event.note.unwrap(), event.series.map_or(1, |series| series.count)))
        .collect();
    told.sort();
    assert_eq!(told, [("one".to_owned(), 2), ("two".to_owned(), 1)]);
}

#[tokio::test(start_paused = true)]
async fn into_a_namespace_that_is_being_deleted_nothing_is_sent_but_the_first_request() {
    let api = FakeApi::new();
    let operator = api.operator("tester");
    let known = api.put(&config("red"));
    api.end_namespace("demo");
    for _ in 0..5 {
        let error = operator.writer.apply(set(3), None).await.unwrap_err();
        assert_eq!((error.reason(), error.retry()), ("NamespaceTerminating", Retry::Quietly));
        assert_eq!(error.to_string(), "cannot apply StatefulSet demo/s: its namespace is being deleted");
        operator.writer.create(&set(3)).await.unwrap_err();
        operator.events.warning(&known, "Some", "Thing", "that nobody can be told").await;
    }
    let refused: Vec<_> = api.requests().into_iter().filter(|request| request.status == 403).collect();
    assert_eq!(refused.len(), 1, "{refused:?}");
    // Existing objects can still be changed and deleted, and other namespaces are not affected.
    operator.writer.patch(&known, vec![]).await.unwrap();
    operator.writer.delete(&known).await.unwrap();
    assert_eq!((operator.writer.ends("demo").is_some(), operator.writer.ends("other")), (true, None));
    // Another namespace of the same name may have been created.
    tokio::time::advance(crate::ending::BELIEVED).await;
    assert_eq!(operator.writer.ends("demo"), None);
}

#[tokio::test]
async fn an_event_finds_out_too_that_its_namespace_is_being_deleted() {
    let api = FakeApi::new();
    let operator = api.operator("tester");
    let known = api.put(&config("red"));
    api.end_namespace("demo");
    for note in ["one", "two"] {
        operator.events.normal(&known, "Some", "Thing", note).await;
    }
    assert_eq!(api.requests().len(), 1);
    assert!(operator.writer.ends("demo").is_some());
}
