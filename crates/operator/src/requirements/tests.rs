use std::{
    convert::Infallible,
    iter,
    sync::{Arc, Mutex},
};

use http::{Request, Response, StatusCode};
use kube::client::Body;
use serde_json::{Value, json};
use tower::service_fn;

use super::*;

/// A server that answers paths with what is in `there`, and others with 404.
fn client(there: &Arc<Mutex<Vec<(&'static str, Value)>>>) -> Client {
    let there = Arc::clone(there);
    let service = service_fn(move |request: Request<Body>| {
        let known = there.lock().unwrap();
        let found = known.iter().find(|(path, _)| *path == request.uri().path());
        let answer = found.map_or_else(
            || json!({"kind": "Status", "code": 404, "reason": "NotFound", "message": "not found"}),
            |(_, answer)| answer.clone(),
        );
        let code = answer["code"].as_u64().and_then(|code| u16::try_from(code).ok()).unwrap_or(200);
        let mut response = Response::new(Body::from(answer.to_string().into_bytes()));
        *response.status_mut() = StatusCode::from_u16(code).unwrap();
        async move { Ok::<_, Infallible>(response) }
    });
    Client::new(service, "default")
}

fn group(version: &str, resources: &[&str]) -> [(&'static str, Value); 2] {
    let group_version = format!("kubedb.com/{version}");
    let resources: Vec<_> = resources
        .iter()
        .map(|name| json!({"name": name, "singularName": "", "namespaced": true, "kind": "K", "verbs": []}))
        .collect();
    let path = if version == "v1alpha2" { "/apis/kubedb.com/v1alpha2" } else { "/apis/kubedb.com/v1" };
    let versions = json!([{"groupVersion": group_version, "version": version}]);
    [
        ("/apis", json!({"groups": [{"name": "kubedb.com", "versions": versions}]})),
        (path, json!({"groupVersion": group_version, "resources": resources})),
    ]
}

/// The description of a Cassandra whose spec has these fields.
fn described(fields: &Value) -> (&'static str, Value) {
    let kinds = json!([{"group": "kubedb.com", "version": "v1alpha2", "kind": "Cassandra"}]);
    let properties =
        json!({"spec": {"properties": fields}, "status": {"x-kubernetes-preserve-unknown-fields": true}});
    let schema = json!({"x-kubernetes-group-version-kind": kinds, "properties": properties});
    ("/openapi/v3/apis/kubedb.com/v1alpha2", json!({"components": {"schemas": {"Cassandra": schema}}}))
}

fn definition() -> CustomResourceDefinition {
    serde_json::from_value(json!({
        "metadata": {"name": "cassandras.kubedb.com"},
        "spec": {
            "group": "kubedb.com",
            "names": {"plural": "cassandras", "kind": "Cassandra"},
            "scope": "Namespaced",
            "versions": [{"name": "v1alpha2", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"properties": {
                "spec": {"properties": {"halted": {"type": "boolean"}, "version": {"type": "string"}}},
                "status": {"properties": {"phase": {"type": "string"}}},
            }}}}],
        },
    }))
    .unwrap()
}

async fn is_waiting(wait: impl Future<Output = ()>) -> bool {
    tokio::time::timeout(Duration::from_mins(1), wait).await.is_err()
}

#[tokio::test(start_paused = true)]
async fn a_definition_that_is_missing_or_another_or_lacks_a_field_is_waited_for_and_named() {
    let there = Arc::new(Mutex::new(group("v1alpha2", &[]).to_vec()));
    let (client, health, definitions) = (client(&there), Health::new(), [definition()]);
    let wait = fulfilled(&client, &definitions, iter::empty(), &health);
    tokio::pin!(wait);
    assert!(is_waiting(&mut wait).await);
    let name = "CustomResourceDefinition cassandras.kubedb.com";
    let hint = "the subcommand `crd` prints it";
    assert_eq!(health.missing(), [format!("{name}: it is not installed; {hint}")]);
    *there.lock().unwrap() = group("v1", &["cassandras"]).to_vec();
    assert!(is_waiting(&mut wait).await);
    assert_eq!(health.missing(), [format!("{name}: it is there as v1, needed is v1alpha2; {hint}")]);
    let served = group("v1alpha2", &["cassandras"]);
    let without = described(&json!({"version": {}}));
    *there.lock().unwrap() = [served.to_vec(), vec![without]].concat();
    assert!(is_waiting(&mut wait).await);
    assert_eq!(health.missing(), [format!("{name}: it lacks spec.halted; {hint}")]);
    let whole = described(&json!({"halted": {}, "version": {}}));
    *there.lock().unwrap() = [served.to_vec(), vec![whole]].concat();
    wait.await;
    assert!(health.missing().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_is_unknown_or_forbidden_is_waited_for_and_named() {
    let there = Arc::new(Mutex::new(vec![]));
    let (client, health) = (client(&there), Health::new());
    let wait = fulfilled(&client, &[], iter::once("shop".to_owned()), &health);
    tokio::pin!(wait);
    assert!(is_waiting(&mut wait).await);
    let path = "/api/v1/namespaces/shop";
    assert_eq!(
        health.missing(),
        ["Namespace shop: it does not exist; create it, or take it from --namespace"]
    );
    *there.lock().unwrap() = vec![(path, json!({"kind": "Status", "code": 403, "message": "who are you"}))];
    assert!(is_waiting(&mut wait).await);
    let forbidden =
        "Namespace shop: it does not exist, or there is no Role in it for this operator: who are you";
    assert_eq!(health.missing(), [forbidden]);
    *there.lock().unwrap() = vec![(path, json!({"metadata": {"name": "shop"}}))];
    wait.await;
    assert!(health.missing().is_empty());
}
