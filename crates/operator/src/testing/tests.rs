use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::{Resource, ResourceExt, api::ListParams};

use super::*;

fn config(name: &str) -> ConfigMap {
    from_json(&json!({"metadata": {"name": name, "namespace": "demo"}, "data": {"a": "b"}}))
}

#[test]
fn an_object_with_a_finalizer_is_marked_and_goes_with_the_finalizer() {
    let api = FakeApi::new();
    let mut guarded = config("c");
    guarded.metadata.finalizers = Some(vec!["guard/it".to_owned()]);
    api.put(&guarded);
    api.delete::<ConfigMap>("demo", "c");
    assert!(api.get::<ConfigMap>("demo", "c").unwrap().metadata.deletion_timestamp.is_some());
    api.change("demo", "c", |config: &mut ConfigMap| config.metadata.finalizers = None);
    assert_eq!(api.get::<ConfigMap>("demo", "c"), None);
}

#[test]
fn what_an_object_owned_goes_with_it() {
    let api = FakeApi::new();
    let owner = api.put(&config("owner"));
    let mut pod: Pod = from_json(&json!({"metadata": {"name": "p", "namespace": "demo"}}));
    pod.metadata.owner_references = owner.controller_owner_ref(&()).map(|owner| vec![owner]);
    api.put(&pod);
    api.delete::<ConfigMap>("demo", "owner");
    assert!(api.list::<Pod>().is_empty());
}

#[test]
fn versions_change_with_the_content_and_generations_with_more_than_status_and_metadata() {
    let api = FakeApi::new();
    let first = api.put(&config("c"));
    assert_eq!(api.put(&config("c")), first);
    let labelled = api.change("demo", "c", |config: &mut ConfigMap| {
        config.labels_mut().insert("x".to_owned(), "y".to_owned());
    });
    assert_ne!(labelled.resource_version(), first.resource_version());
    assert_eq!(labelled.metadata.generation, Some(1));
    let changed = api.change("demo", "c", |config: &mut ConfigMap| config.data = None);
    assert_eq!(changed.metadata.generation, Some(2));
}

#[tokio::test]
async fn after_the_given_number_of_writes_the_server_refuses_until_it_is_healed() {
    let api = FakeApi::new();
    let writer = api.operator("tester").writer;
    api.fail_after(1);
    assert!(writer.create(&config("one")).await.is_ok());
    assert!(writer.create(&config("two")).await.is_err());
    assert!(writer.create(&config("three")).await.is_err());
    api.heal();
    assert!(writer.create(&config("two")).await.is_ok());
    assert_eq!(api.writes().iter().map(|write| write.status).collect::<Vec<_>>(), [200, 503, 503, 200]);
}

#[tokio::test]
async fn lists_are_of_a_namespace_and_by_labels() {
    let api = FakeApi::new();
    for (name, namespace, color) in [("a", "demo", "red"), ("b", "demo", "blue"), ("a", "other", "red")] {
        let metadata = json!({"name": name, "namespace": namespace, "labels": {"color": color}});
        api.put::<ConfigMap>(&from_json(&json!({ "metadata": metadata })));
    }
    let operator = api.operator("tester");
    let count = async |namespace: Option<&str>, selector: &str| {
        let found = operator.api::<ConfigMap>(namespace).list(&ListParams::default().labels(selector)).await;
        found.unwrap().items.len()
    };
    assert_eq!(count(None, "").await, 3);
    assert_eq!(count(Some("demo"), "").await, 2);
    assert_eq!(count(None, "color=red").await, 2);
    assert_eq!(count(Some("demo"), "color==red").await, 1);
    assert_eq!(count(None, "color,shape").await, 0);
}
