//! Whole reconciles against an in-memory API server; each test checks what is in the cluster afterwards.

mod deleting;
mod halting;
mod keeping;
mod login;
mod making;
mod telling;

use api::names::CASSANDRA_FINALIZER;
use api::{AppBinding, CassandraVersion, PetSet};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use operator::Object;
use operator::testing::FakeApi;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;

const NAMESPACE: &str = "demo";

fn fake(spec: &Value) -> FakeApi {
    let api = FakeApi::new();
    let mut whole = json!({ "version": "4.1.10", "topology": { "rack": [
        { "name": "a", "storageType": "Ephemeral" }, { "name": "b", "storageType": "Ephemeral" }
    ] } });
    whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    api.put::<Cassandra>(
        &serde_json::from_value(json!({
            "metadata": { "name": "db", "namespace": NAMESPACE }, "spec": whole
        }))
        .unwrap(),
    );
    api.put::<CassandraVersion>(
        &serde_json::from_value(json!({
            "metadata": { "name": "4.1.10" },
            "spec": { "version": "4.1.10", "db": { "image": "cassandra:4.1.10" } },
        }))
        .unwrap(),
    );
    api
}

fn context(api: &FakeApi, states: &RingStates) -> Arc<Context> {
    context_of(api, states, api.operator("provisioner"))
}

fn context_of(api: &FakeApi, states: &RingStates, operator: Operator) -> Arc<Context> {
    let caches = Caches {
        cassandras: api.cache(),
        versions: api.cache(),
        petsets: api.cache(),
        pods: api.cache(),
        services: api.cache(),
        secrets: of_ours(api),
        budgets: api.cache(),
        accounts: api.cache(),
        bindings: api.cache(),
    };
    let health = Health {
        sessions: Sessions::new(),
        states: states.clone(),
        queue: Queue::new(),
        turns: Turns::default(),
    };
    Arc::new(Context::new(operator, caches, health, "p:1".to_owned()))
}

/// The real cache of Secrets holds only those with the operator's labels.
fn of_ours(api: &FakeApi) -> operator::Cache<Secret> {
    let ours = |secret: &Secret| api::labels::cassandra_of(secret.labels()).is_some();
    operator::Cache::fixed(api.list::<Secret>().into_iter().filter(ours))
}

async fn step(api: &FakeApi, states: &RingStates) -> Result<Option<Duration>, Error> {
    Box::pin(reconcile(Arc::new(cassandra(api)), context(api, states))).await
}

fn cassandra(api: &FakeApi) -> Cassandra {
    api.get(NAMESPACE, "db").unwrap()
}

fn condition(api: &FakeApi, type_: &str) -> (String, String) {
    let status = cassandra(api).status.unwrap();
    let condition = condition::get(&status.conditions, type_).unwrap();
    (condition.reason.clone(), condition.message.clone())
}

fn password(api: &FakeApi, secret: &str) -> Vec<u8> {
    api.get::<Secret>(NAMESPACE, secret).unwrap().data.unwrap()["password"].0.clone()
}

fn secret(name: &str, data: &Value) -> Secret {
    let metadata = json!({ "name": name, "namespace": NAMESPACE });
    serde_json::from_value(json!({ "metadata": metadata, "data": data })).unwrap()
}

/// Reconciles until all racks are ready.
async fn begin(api: &FakeApi, states: &RingStates) {
    step(api, states).await.unwrap();
    make_ready(api);
    step(api, states).await.unwrap();
    assert_eq!(api.list::<PetSet>().len(), 2);
}

fn make_ready(api: &FakeApi) {
    for petset in api.list::<PetSet>().iter().map(ResourceExt::name_any) {
        api.change::<PetSet>(NAMESPACE, &petset, |petset| {
            petset.status = serde_json::from_value(json!({ "replicas": 1, "readyReplicas": 1 })).unwrap();
        });
        let labels = api::labels::petset_selectors("db", &petset);
        api.put::<Pod>(
            &serde_json::from_value(json!({
                "metadata": { "name": format!("{petset}-0"), "namespace": NAMESPACE, "labels": labels },
                "status": { "conditions": [{ "type": "Ready", "status": "True" }] },
            }))
            .unwrap(),
        );
    }
}

async fn end(api: &FakeApi, states: &RingStates) {
    api.delete::<Cassandra>(NAMESPACE, "db");
    step(api, states).await.unwrap();
    step(api, states).await.unwrap();
    assert!(api.get::<Cassandra>(NAMESPACE, "db").is_none());
}
