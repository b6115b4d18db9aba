//! Checks with a real API server what the operators' fake one only claims. Needs neither nodes nor CustomResourceDefinitions.

#![allow(clippy::unwrap_used, reason = "a panic is a failed test")]

use k8s_openapi::api::{
    core::v1::{ConfigMap, Namespace, Pod},
    policy::v1::PodDisruptionBudget,
};
use kube::Api;
use operator::patch::{self, PatchOperation};
use operator::{Eviction, Operator, WriteError, testing};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn object<K: DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}

/// A pod that nobody touches, since its scheduler does not exist, with quantities that the server rewrites.
fn pod(namespace: &str, image: &str) -> Pod {
    object(json!({
        "metadata": {"name": "p", "namespace": namespace, "labels": {"app": "p"}},
        "spec": {
            "schedulerName": "nobody",
            "automountServiceAccountToken": false,
            "containers": [{
                "name": "c",
                "image": image,
                "ports": [{"containerPort": 9042, "name": "cql"}],
                "resources": {"requests": {"cpu": "0.5", "memory": "1024Mi"}}
            }]
        }
    }))
}

fn image(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.containers.first()?.image.as_deref()
}

fn is_conflict<T>(result: Result<T, WriteError>) -> bool {
    let Err(error) = result else { return false };
    eprintln!("{error}");
    matches!(error, WriteError::Conflict { .. })
}

struct Cluster {
    operator: Operator,
    namespace: String,
}

impl Cluster {
    async fn enter(name: &str) -> Self {
        let operator = testing::connect("operator-test").await.unwrap();
        let name = format!("e2e-{name}-{:08x}", rand::random::<u32>());
        let namespace: Namespace = object(json!({"metadata": {"name": name}}));
        operator.writer.create(&namespace).await.unwrap();
        Self { operator, namespace: name }
    }

    async fn leave(self) {
        let namespace: Namespace = object(json!({"metadata": {"name": self.namespace}}));
        self.operator.writer.delete(&namespace).await.unwrap();
    }
}

type Operation = fn(&[&str], Value) -> PatchOperation;

fn on_image(operation: Operation, image: &str) -> Vec<PatchOperation> {
    vec![operation(&["spec", "containers", "0", "image"], json!(image))]
}

#[tokio::test]
async fn apply_status_and_patch_are_fenced_by_the_version_and_idle_when_nothing_differs() {
    let cluster = Cluster::enter("apply").await;
    let (writer, namespace) = (&cluster.operator.writer, &cluster.namespace);
    let first = writer.apply(pod(namespace, "c:1"), None).await.unwrap();
    assert!(first.written);
    let again = writer.apply(pod(namespace, "c:1"), Some(&first.object)).await.unwrap();
    assert!(!again.written, "defaults and spellings of the server are no drift");

    let status = json!({"phase": "Running"});
    let second = writer.status(&first.object, &status).await.unwrap();
    assert_eq!(second.status.as_ref().and_then(|status| status.phase.as_deref()), Some("Running"));
    assert!(is_conflict(writer.apply(pod(namespace, "c:2"), Some(&first.object)).await));
    assert!(is_conflict(writer.status(&first.object, &json!({"phase": "Pending"})).await));
    assert!(is_conflict(writer.patch(&first.object, on_image(patch::replace, "c:2")).await));
    let patched = writer.patch(&second, on_image(patch::replace, "c:2")).await.unwrap();
    assert_eq!(image(&patched), Some("c:2"));
    assert!(is_conflict(writer.patch(&patched, on_image(patch::test, "c:7")).await));

    let mut unlabelled = pod(namespace, "c:1");
    unlabelled.metadata.labels = None;
    let third = writer.apply(unlabelled, Some(&patched)).await.unwrap().object;
    assert_eq!(third.metadata.labels, None, "a field that is no longer desired goes");
    assert_eq!(image(&third), Some("c:1"));
    let error = writer.apply(pod(namespace, "c:1"), None).await.unwrap_err();
    assert!(matches!(error, WriteError::Refused { .. }), "{error}");

    writer.delete(&third).await.unwrap();
    writer.delete(&third).await.unwrap();
    assert!(is_conflict(writer.apply(pod(namespace, "c:1"), Some(&third)).await));
    assert!(is_conflict(writer.status(&third, &status).await));
    writer.apply(pod(namespace, "c:1"), None).await.unwrap();
    assert!(is_conflict(writer.delete(&third).await));
    cluster.leave().await;
}

#[tokio::test]
async fn an_eviction_is_of_this_pod_only() {
    let cluster = Cluster::enter("evict").await;
    let (writer, namespace) = (&cluster.operator.writer, &cluster.namespace);
    let first = writer.create(&pod(namespace, "c:1")).await.unwrap();
    assert_eq!(writer.evict(&first).await.unwrap(), Eviction::Evicted);
    assert_eq!(writer.evict(&first).await.unwrap(), Eviction::Gone);
    let second = writer.create(&pod(namespace, "c:1")).await.unwrap();
    assert_eq!(writer.evict(&first).await.unwrap(), Eviction::Gone);
    let budget: PodDisruptionBudget = object(json!({
        "metadata": {"name": "b", "namespace": namespace},
        "spec": {"maxUnavailable": 0, "selector": {"matchLabels": {"app": "p"}}}
    }));
    writer.apply(budget, None).await.unwrap();
    let ready = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]});
    let second = writer.status(&second, &ready).await.unwrap();
    let blocked = writer.evict(&second).await.unwrap();
    assert!(matches!(blocked, Eviction::Blocked(_)), "{blocked:?}");
    cluster.leave().await;
}

#[tokio::test]
async fn events_are_accepted_and_counted() {
    let cluster = Cluster::enter("events").await;
    let (writer, namespace) = (&cluster.operator.writer, &cluster.namespace);
    let config: ConfigMap = object(json!({"metadata": {"name": "c", "namespace": namespace}}));
    let config = writer.create(&config).await.unwrap();
    let events = &cluster.operator.events;
    for note in ["one", "one", "two"] {
        events.normal(&config, "Stepped", "Step", note).await;
    }
    let api: Api<k8s_openapi::api::events::v1::Event> = cluster.operator.api(Some(namespace));
    let mut counts: Vec<_> = api
        .list(&kube::api::ListParams::default())
        .await
        .unwrap()
        .into_iter()
        .map(|event| event.series.map_or(1, |series| series.count))
        .collect();
    counts.sort_unstable();
    assert_eq!(counts, [1, 2]);
    cluster.leave().await;
}
