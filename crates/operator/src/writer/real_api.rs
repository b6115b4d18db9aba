//! What the fake server only claims: the answers of a real API server. Any one will do; neither nodes nor CRDs are needed.

use k8s_openapi::api::{
    apps::v1::{StatefulSet, StatefulSetStatus},
    core::v1::{ConfigMap, Namespace, Pod},
    policy::v1::PodDisruptionBudget,
};
use serde::de::DeserializeOwned;

use super::*;

fn object<K: DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}

fn set(namespace: &str, image: &str) -> StatefulSet {
    object(json!({
        "metadata": {"name": "s", "namespace": namespace, "labels": {"app": "s"}},
        "spec": {
            "replicas": 3,
            "serviceName": "s",
            "selector": {"matchLabels": {"app": "s"}},
            "template": {
                "metadata": {"labels": {"app": "s"}},
                "spec": {"containers": [{
                    "name": "c",
                    "image": image,
                    "ports": [{"containerPort": 9042, "name": "cql"}],
                    "resources": {"requests": {"cpu": "0.5", "memory": "1024Mi"}}
                }]}
            },
            "volumeClaimTemplates": [{
                "metadata": {"name": "data"},
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "0.5Gi"}}}
            }]
        }
    }))
}

fn pod(namespace: &str) -> Pod {
    object(json!({
        "metadata": {"name": "p", "namespace": namespace, "labels": {"app": "s"}},
        "spec": {"automountServiceAccountToken": false, "containers": [{"name": "c", "image": "c"}]}
    }))
}

fn is_conflict<T>(result: Result<T, WriteError>) -> bool {
    let Err(error) = result else { return false };
    eprintln!("{error}");
    matches!(error, WriteError::Conflict { .. })
}

struct Cluster {
    writer: Writer,
    namespace: String,
}

impl Cluster {
    async fn connect() -> Self {
        let client = client::connect("operator-test").await.unwrap();
        let writer = Writer::new(client, Leader::always(), "operator-test", Metrics::new());
        let name = format!("operator-test-{:08x}", rand::random::<u32>());
        let namespace: Namespace = object(json!({"metadata": {"name": name}}));
        writer.create(&namespace).await.unwrap();
        Self { writer, namespace: name }
    }

    async fn leave(self) {
        let namespace: Namespace = object(json!({"metadata": {"name": self.namespace}}));
        self.writer.delete(&namespace).await.unwrap();
    }
}

#[tokio::test]
#[ignore = "needs cluster (defaults, quantities and conflicts as the real server makes them)"]
async fn apply_status_and_patch_are_fenced_by_the_version_and_idle_when_nothing_differs() {
    let cluster = Cluster::connect().await;
    let (writer, namespace) = (&cluster.writer, &cluster.namespace);
    let first = writer.apply(set(namespace, "c:1"), None).await.unwrap();
    assert!(first.written);
    let again = writer.apply(set(namespace, "c:1"), Some(&first.object)).await.unwrap();
    assert!(!again.written, "defaults and spellings of the server are no drift");

    let status = StatefulSetStatus { replicas: 3, ..StatefulSetStatus::default() };
    let second = writer.status(&first.object, &status).await.unwrap();
    assert_eq!(second.status.as_ref().map(|status| status.replicas), Some(3));
    assert!(is_conflict(writer.apply(set(namespace, "c:2"), Some(&first.object)).await));
    assert!(is_conflict(writer.status(&first.object, &StatefulSetStatus::default()).await));
    let replicas = PatchOperation::Replace(ReplaceOperation {
        path: PointerBuf::from_tokens(["spec", "replicas"]),
        value: json!(2),
    });
    assert!(is_conflict(writer.patch(&first.object, vec![replicas.clone()]).await));
    let patched = writer.patch(&second, vec![replicas]).await.unwrap();
    assert_eq!(patched.spec.as_ref().and_then(|spec| spec.replicas), Some(2));
    let wrong = PatchOperation::Test(json_patch::TestOperation {
        path: PointerBuf::from_tokens(["spec", "replicas"]),
        value: json!(7),
    });
    assert!(is_conflict(writer.patch(&patched, vec![wrong]).await));

    let mut unlabelled = set(namespace, "c:1");
    unlabelled.metadata.labels = None;
    let third = writer.apply(unlabelled, Some(&patched)).await.unwrap().object;
    assert_eq!(third.metadata.labels, None, "a field that is no longer desired goes");
    assert_eq!(third.spec.as_ref().and_then(|spec| spec.replicas), Some(3));
    let error = writer.apply(set(namespace, "c:1"), None).await.unwrap_err();
    assert!(matches!(error, WriteError::Refused { .. }), "{error}");

    writer.delete(&third).await.unwrap();
    writer.delete(&third).await.unwrap();
    assert!(is_conflict(writer.apply(set(namespace, "c:1"), Some(&third)).await));
    assert!(is_conflict(writer.status(&third, &status).await));
    writer.apply(set(namespace, "c:1"), None).await.unwrap();
    assert!(is_conflict(writer.delete(&third).await));
    cluster.leave().await;
}

#[tokio::test]
#[ignore = "needs cluster (the eviction API and its preconditions)"]
async fn an_eviction_is_of_this_pod_only() {
    let cluster = Cluster::connect().await;
    let (writer, namespace) = (&cluster.writer, &cluster.namespace);
    let first = writer.create(&pod(namespace)).await.unwrap();
    assert_eq!(writer.evict(&first).await.unwrap(), Eviction::Evicted);
    assert_eq!(writer.evict(&first).await.unwrap(), Eviction::Gone);
    let second = writer.create(&pod(namespace)).await.unwrap();
    assert_eq!(writer.evict(&first).await.unwrap(), Eviction::Gone);
    let budget: PodDisruptionBudget = object(json!({
        "metadata": {"name": "b", "namespace": namespace},
        "spec": {"maxUnavailable": 0, "selector": {"matchLabels": {"app": "s"}}}
    }));
    writer.apply(budget, None).await.unwrap();
    let ready = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]});
    let second = writer.status(&second, &ready).await.unwrap();
    let blocked = writer.evict(&second).await.unwrap();
    assert!(matches!(blocked, Eviction::Blocked(_)), "{blocked:?}");
    cluster.leave().await;
}

#[tokio::test]
#[ignore = "needs cluster (events are accepted and counted)"]
async fn events_are_accepted_and_counted() {
    let cluster = Cluster::connect().await;
    let (writer, namespace) = (&cluster.writer, &cluster.namespace);
    let config: ConfigMap = object(json!({"metadata": {"name": "c", "namespace": namespace}}));
    let config = writer.create(&config).await.unwrap();
    let events =
        crate::Events::new(writer.client.clone(), Leader::always(), "operator-test", "here".to_owned());
    for note in ["one", "one", "two"] {
        events.normal(&config, "Stepped", "Step", note).await;
    }
    let api: Api<k8s_openapi::api::events::v1::Event> = Api::namespaced(writer.client.clone(), namespace);
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
