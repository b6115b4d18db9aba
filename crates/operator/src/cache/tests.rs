use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use serde_json::{Value, json};
use tokio::{sync::mpsc::UnboundedReceiver, time::timeout};

use super::*;
use crate::testing::FakeApi;

fn pod(value: Value) -> Pod {
    serde_json::from_value(value).unwrap()
}

fn named(name: &str) -> Pod {
    pod(
        json!({"metadata": {"name": name, "namespace": "demo", "labels": {"app": "ring"}}, "spec": {"containers": []}}),
    )
}

fn owned(name: &str, owner: &ConfigMap) -> Pod {
    let mut pod = named(name);
    pod.metadata.owner_references = owner.controller_owner_ref(&()).map(|owner| vec![owner]);
    pod
}

fn owner(api: &FakeApi) -> ConfigMap {
    api.put(
        &serde_json::from_value::<ConfigMap>(json!({"metadata": {"name": "owner", "namespace": "demo"}}))
            .unwrap(),
    )
}

/// The names that are triggered, until no more arrive.
async fn woken<K: Object>(receiver: &mut UnboundedReceiver<ObjectRef<K>>) -> Vec<String> {
    let mut names = Vec::new();
    while let Ok(Some(object)) = timeout(std::time::Duration::from_millis(50), receiver.recv()).await {
        names.push(object.name);
    }
    names.sort();
    names.dedup();
    names
}

#[tokio::test(start_paused = true)]
async fn a_cache_holds_what_is_selected_and_finds_it_by_name_and_owner() {
    let api = FakeApi::new();
    let owner = owner(&api);
    api.put(&owned("b", &owner));
    api.put(&named("a"));
    api.put(&pod(json!({"metadata": {"name": "foreign", "namespace": "demo"}})));
    let operator = api.operator("tester");
    let pods = Cache::builder(&operator, operator.api::<Pod>(None)).labels("app=ring").start();
    pods.ready().await;
    operator.health.ready().await;
    let names = |pods: Vec<Arc<Pod>>| pods.iter().map(|pod| pod.name_any()).collect::<Vec<_>>();
    assert_eq!(names(pods.all()), ["a", "b"]);
    assert_eq!(names(pods.owned_by(&owner)), ["b"]);
    assert!(pods.get("demo", "a").is_some() && pods.get("demo", "foreign").is_none());
}

#[tokio::test(start_paused = true)]
async fn what_comes_changes_and_goes_wakes_the_owner() {
    let api = FakeApi::new();
    let operator = api.operator("tester");
    let queue = Queue::<ConfigMap>::new();
    let mut receiver = queue.open().unwrap();
    let owner = owner(&api);
    let pods = Cache::builder(&operator, operator.api::<Pod>(Some("demo"))).notify(&queue, owner_of).start();
    pods.ready().await;
    assert_eq!(woken(&mut receiver).await, Vec::<String>::new());
    api.put(&owned("a", &owner));
    assert_eq!(woken(&mut receiver).await, ["owner"]);
    api.change("demo", "a", |pod: &mut Pod| {
        pod.status.get_or_insert_default().phase = Some("Running".to_owned());
    });
    assert_eq!(woken(&mut receiver).await, ["owner"]);
    api.delete::<Pod>("demo", "a");
    assert_eq!(woken(&mut receiver).await, ["owner"]);
    assert!(pods.all().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_change_of_the_status_alone_can_be_ignored_but_never_a_deletion() {
    let api = FakeApi::new();
    let operator = api.operator("tester");
    let queue = Queue::<Pod>::new();
    let mut receiver = queue.open().unwrap();
    let pods =
        Cache::builder(&operator, operator.api::<Pod>(None)).notify_if(&queue, spec_changed, itself).start();
    pods.ready().await;
    api.put(&named("a"));
    assert_eq!(woken(&mut receiver).await, ["a"]);
    api.change("demo", "a", |pod: &mut Pod| {
        pod.status.get_or_insert_default().phase = Some("Running".to_owned());
    });
    assert_eq!(woken(&mut receiver).await, Vec::<String>::new());
    api.change("demo", "a", |pod: &mut Pod| {
        pod.labels_mut().insert("x".to_owned(), "y".to_owned());
    });
    assert_eq!(woken(&mut receiver).await, ["a"]);
    api.delete::<Pod>("demo", "a");
    assert_eq!(woken(&mut receiver).await, ["a"]);
}

fn reflector(queue: &Queue<Pod>) -> Reflector<Pod> {
    let operator = FakeApi::new().operator("tester");
    let builder = Cache::builder(&operator, operator.api::<Pod>(None)).notify_if(queue, |_, _| false, itself);
    let writer = Writer::default();
    Reflector { store: writer.as_reader(), writer, listeners: builder.listeners, waiting: None, empty: None }
}

fn version(name: &str, version: &str, uid: &str) -> DeserializeGuard<Pod> {
    let mut pod = named(name);
    pod.metadata.resource_version = Some(version.to_owned());
    pod.metadata.uid = Some(uid.to_owned());
    DeserializeGuard(Ok(pod))
}

#[tokio::test(start_paused = true)]
async fn what_went_or_was_made_anew_while_the_watch_was_cut_is_noticed() {
    let queue = Queue::<Pod>::new();
    let mut receiver = queue.open().unwrap();
    let mut reflector = reflector(&queue);
    let lists = [
        vec![version("stays", "1", "a"), version("goes", "2", "b"), version("anew", "3", "c")],
        vec![version("stays", "1", "a"), version("anew", "4", "d")],
    ];
    for (list, expected) in lists.into_iter().zip([vec!["anew", "goes", "stays"], vec!["anew", "goes"]]) {
        reflector.take(Event::Init);
        for guard in list {
            reflector.take(Event::InitApply(guard));
        }
        reflector.take(Event::InitDone);
        assert_eq!(woken(&mut receiver).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn an_object_that_cannot_be_understood_keeps_its_last_good_form_until_it_is_deleted() {
    let invalid = || {
        let metadata = named("a").metadata;
        DeserializeGuard(Err(InvalidObject { error: "what is this".to_owned(), metadata }))
    };
    let mut reflector = reflector(&Queue::new());
    reflector.take(Event::Init);
    reflector.take(Event::InitApply(invalid()));
    reflector.take(Event::InitDone);
    assert!(reflector.store.is_empty());
    reflector.take(Event::Apply(version("a", "1", "a")));
    reflector.take(Event::Apply(invalid()));
    assert_eq!(reflector.store.len(), 1);
    reflector.take(Event::Delete(invalid()));
    assert!(reflector.store.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_empty_kind_that_is_needed_is_told_but_holds_nothing_up() {
    let api = FakeApi::new();
    let operator = api.operator("tester");
    let cache = Cache::<ConfigMap>::builder(&operator, operator.api(None)).needed("any ConfigMap").start();
    cache.ready().await;
    let told = async |expected: &[&str]| {
        while operator.health.missing() != expected {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    told(&["any ConfigMap"]).await;
    operator.health.ready().await;
    owner(&api);
    told(&[]).await;
}
