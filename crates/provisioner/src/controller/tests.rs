//! Whole reconciles against an API server in memory; each test states what is in the cluster afterwards.

use api::{AppBinding, PetSet};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
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

fn context(api: &FakeApi, memory: &Memory) -> Arc<Context> {
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
    let health = Health { sessions: Sessions::new(), memory: memory.clone(), queue: Queue::new() };
    Arc::new(Context { operator: api.operator("provisioner"), caches, health, image: "p:1".to_owned() })
}

/// The cache of Secrets holds only what carries our labels.
fn of_ours(api: &FakeApi) -> operator::Cache<Secret> {
    let ours = |secret: &Secret| api::labels::cassandra_of(secret.labels()).is_some();
    operator::Cache::fixed(api.list::<Secret>().into_iter().filter(ours))
}

async fn step(api: &FakeApi, memory: &Memory) -> Result<Option<Duration>, Error> {
    Box::pin(reconcile(Arc::new(cassandra(api)), context(api, memory))).await
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

/// Reconciles until all racks have begun, the second after the first.
async fn begin(api: &FakeApi, memory: &Memory) {
    step(api, memory).await.unwrap();
    make_ready(api);
    step(api, memory).await.unwrap();
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

#[tokio::test]
async fn a_new_cassandra_gets_all_its_objects_and_a_finalizer() {
    let (api, memory) = (fake(&json!({})), Memory::default());
    begin(&api, &memory).await;
    let names = |list: Vec<String>| list.join(" ");
    assert_eq!(
        names(api.list::<PetSet>().iter().map(ResourceExt::name_any).collect()),
        "db-rack-a db-rack-b"
    );
    assert_eq!(
        names(api.list::<Service>().iter().map(ResourceExt::name_any).collect()),
        "db db-rack-a-pods db-rack-b-pods"
    );
    assert_eq!(names(api.list::<Secret>().iter().map(ResourceExt::name_any).collect()), "db-auth db-config");
    assert_eq!(api.list::<PodDisruptionBudget>().len(), 1);
    assert_eq!(api.list::<ServiceAccount>().len(), 1);
    assert_eq!(api.list::<AppBinding>().len(), 1);
    assert_eq!(cassandra(&api).finalizers(), [CASSANDRA_FINALIZER]);
    assert!(api.get::<Secret>(NAMESPACE, "db-auth").unwrap().owner_references().is_empty());
    assert_eq!(cassandra(&api).status.unwrap().phase, Some(api::cassandra::Phase::Provisioning));
}

#[tokio::test]
async fn a_rack_begins_when_the_one_before_it_is_ready() {
    let (api, memory) = (fake(&json!({})), Memory::default());
    let petsets = || api.list::<PetSet>().iter().map(ResourceExt::name_any).collect::<Vec<_>>();
    for _ in 0..2 {
        step(&api, &memory).await.unwrap();
        assert_eq!(petsets(), ["db-rack-a"]);
    }
    make_ready(&api);
    step(&api, &memory).await.unwrap();
    assert_eq!(petsets(), ["db-rack-a", "db-rack-b"]);
}

#[tokio::test]
async fn a_second_look_changes_and_reads_nothing() {
    let (api, memory) = (fake(&json!({})), Memory::default());
    step(&api, &memory).await.unwrap();
    step(&api, &memory).await.unwrap();
    api.forget_requests();
    step(&api, &memory).await.unwrap();
    assert_eq!(api.requests(), []);
}

#[tokio::test]
async fn a_failure_at_any_write_is_made_up_for() {
    for writes in 0..16 {
        let (api, memory) = (fake(&json!({})), Memory::default());
        api.fail_after(writes);
        let failed = step(&api, &memory).await;
        let first = api.get::<Secret>(NAMESPACE, "db-auth").map(|_| password(&api, "db-auth"));
        api.heal();
        begin(&api, &Memory::default()).await;
        assert_eq!(api.list::<AppBinding>().len(), 1, "after {writes} writes");
        assert!(first.is_none_or(|first| first == password(&api, "db-auth")), "after {writes} writes");
        assert!(failed.is_err() || writes > 8, "{writes}");
    }
}

#[tokio::test]
async fn a_change_of_an_owned_object_is_undone() {
    let (api, memory) = (fake(&json!({})), Memory::default());
    step(&api, &memory).await.unwrap();
    api.change::<PetSet>(NAMESPACE, "db-rack-a", |petset| petset.spec.replicas = Some(7));
    step(&api, &memory).await.unwrap();
    assert_eq!(api.get::<PetSet>(NAMESPACE, "db-rack-a").unwrap().spec.replicas, Some(1));
}

#[rstest]
#[case::from_the_start(false)]
#[case::of_a_ring(true)]
#[tokio::test]
async fn while_halted_nothing_is_written_but_the_status(#[case] begun: bool) {
    let (api, memory) = (fake(&json!({})), Memory::default());
    if begun {
        begin(&api, &memory).await;
        api.change::<PetSet>(NAMESPACE, "db-rack-a", |petset| petset.spec.replicas = Some(7));
        api.delete::<Service>(NAMESPACE, "db");
        make_ready(&api);
    }
    api.change::<Cassandra>(NAMESPACE, "db", |cassandra| cassandra.spec.halted = true);
    api.forget_requests();
    for _ in 0..3 {
        step(&api, &memory).await.unwrap();
    }
    let paths: std::collections::BTreeSet<_> = api.writes().into_iter().map(|write| write.path).collect();
    assert_eq!(paths.len(), 1, "{paths:?}");
    assert!(paths.iter().all(|path| path.ends_with("/cassandras/db/status")), "{paths:?}");
    assert!(halt::is_answered(&cassandra(&api)));
    let started = condition(&api, condition_type::PROVISIONING_STARTED).0;
    assert_eq!(started, if begun { "DatabaseProvisioningStartedSuccessfully" } else { "Halted" });

    api.change::<Cassandra>(NAMESPACE, "db", |cassandra| cassandra.spec.halted = false);
    step(&api, &memory).await.unwrap();
    assert!(!halt::is_answered(&cassandra(&api)));
    assert_eq!(api.get::<PetSet>(NAMESPACE, "db-rack-a").unwrap().spec.replicas, Some(1));
    assert!(api.get::<Service>(NAMESPACE, "db").is_some());
}

#[tokio::test]
async fn status_stays_true_while_halted() {
    let (api, memory) = (fake(&json!({})), Memory::default());
    begin(&api, &memory).await;
    api.change::<Cassandra>(NAMESPACE, "db", |cassandra| cassandra.spec.halted = true);
    step(&api, &memory).await.unwrap();
    assert_eq!(condition(&api, condition_type::REPLICA_READY).0, "SomeReplicasNotReady");
    make_ready(&api);
    step(&api, &memory).await.unwrap();
    assert_eq!(condition(&api, condition_type::REPLICA_READY).0, "AllReplicasReady");
}

#[tokio::test]
async fn an_outdated_cassandra_is_not_acted_on() {
    let (api, memory) = (fake(&json!({})), Memory::default());
    let context = context(&api, &memory);
    let old = cassandra(&api);
    api.change::<Cassandra>(NAMESPACE, "db", |cassandra| cassandra.spec.halted = true);
    api.forget_requests();
    let error = Box::pin(reconcile(Arc::new(old), context)).await.unwrap_err();
    assert!(matches!(error, Error::Outdated(_)), "{error}");
    assert_eq!(api.writes(), []);
}

#[tokio::test]
async fn an_unknown_version_is_refused_by_name_and_changes_nothing_that_runs() {
    let (api, memory) = (fake(&json!({})), Memory::default());
    step(&api, &memory).await.unwrap();
    api.delete::<CassandraVersion>("", "4.1.10");
    let before = api.list::<PetSet>();
    api.forget_requests();
    step(&api, &memory).await.unwrap();
    assert_eq!(api.list::<PetSet>(), before);
    assert!(api.writes().iter().all(|write| write.path.ends_with("/status")));
    let (reason, message) = condition(&api, condition_type::PROVISIONING_STARTED);
    assert_eq!(reason, "VersionNotFound");
    assert!(
        message.contains("spec.version") && message.contains("\"4.1.10\"") && message.contains("casversion")
    );
}

#[rstest]
#[case::missing(None, "AuthSecretNotFound", "Secret demo/mine does not exist")]
#[case::malformed(Some(json!({ "username": "YQ==" })), "AuthSecretMalformed", "its key password is missing")]
#[tokio::test]
async fn without_a_login_no_pods_are_made(
    #[case] data: Option<Value>,
    #[case] reason: &str,
    #[case] message: &str,
) {
    let (api, memory) =
        (fake(&json!({ "authSecret": { "name": "mine", "externallyManaged": true } })), Memory::default());
    if let Some(data) = data {
        api.put(&secret("mine", &data));
    }
    step(&api, &memory).await.unwrap();
    assert!(api.list::<PetSet>().is_empty());
    let told = condition(&api, condition_type::PROVISIONING_STARTED);
    assert_eq!(told.0, reason);
    assert!(told.1.contains(message), "{}", told.1);

    api.put(&secret("mine", &json!({ "username": "YQ==", "password": "Yg==" })));
    begin(&api, &memory).await;
    assert_eq!(password(&api, "mine"), b"b");
}

#[tokio::test]
async fn a_named_login_that_does_not_exist_is_made() {
    let (api, memory) = (fake(&json!({ "authSecret": { "name": "mine" } })), Memory::default());
    step(&api, &memory).await.unwrap();
    assert_eq!(password(&api, "mine").len(), 16);
    assert!(api.get::<Secret>(NAMESPACE, "db-auth").is_none());
}

#[tokio::test]
async fn a_lost_login_of_a_ring_is_not_replaced_by_another() {
    let (api, memory) = (fake(&json!({})), Memory::default());
    step(&api, &memory).await.unwrap();
    api.delete::<Secret>(NAMESPACE, "db-auth");
    step(&api, &Memory::default()).await.unwrap();
    assert!(api.get::<Secret>(NAMESPACE, "db-auth").is_none());
    assert_eq!(condition(&api, condition_type::PROVISIONING_STARTED).0, "AuthSecretNotFound");
    assert!(condition(&api, condition_type::READY).1.contains("Secret demo/db-auth does not exist"));
}

#[tokio::test]
async fn an_object_that_cannot_be_written_does_not_hide_how_the_ring_is() {
    let (api, memory) = (fake(&json!({})), Memory::default());
    begin(&api, &memory).await;
    make_ready(&api);
    step(&api, &memory).await.unwrap();
    assert_eq!(condition(&api, condition_type::REPLICA_READY).0, "AllReplicasReady");

    api.change::<PetSet>(NAMESPACE, "db-rack-a", |petset| petset.spec.replicas = Some(7));
    api.change::<Pod>(NAMESPACE, "db-rack-a-0", |pod| pod.status = None);
    api.fail_nth(1, 422);
    step(&api, &memory).await.unwrap_err();
    assert_eq!(condition(&api, condition_type::REPLICA_READY).0, "SomeReplicasNotReady");
}

#[rstest]
#[case::missing(None, "does not exist")]
#[case::without_key(Some(json!({ "other": "YQ==" })), "has no key cassandra.yaml")]
#[tokio::test]
async fn a_missing_configuration_is_told_before_pods_wait_for_it(
    #[case] data: Option<Value>,
    #[case] message: &str,
) {
    let (api, memory) = (fake(&json!({ "configuration": { "secretName": "custom" } })), Memory::default());
    if let Some(data) = data {
        api.put(&secret("custom", &data));
    }
    step(&api, &memory).await.unwrap();
    assert!(api.list::<PetSet>().is_empty());
    assert!(condition(&api, condition_type::PROVISIONING_STARTED).1.contains(message));
}

#[tokio::test]
async fn an_object_of_somebody_else_is_left_alone() {
    let (api, memory) = (fake(&json!({})), Memory::default());
    let theirs: Service = serde_json::from_value(json!({
        "metadata": { "name": "db", "namespace": NAMESPACE }, "spec": { "clusterIP": "None" }
    }))
    .unwrap();
    let theirs = api.put(&theirs);
    let error = step(&api, &memory).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "Service demo/db exists and does not belong to this Cassandra; delete or rename it"
    );
    assert_eq!(api.get::<Service>(NAMESPACE, "db"), Some(theirs));
}

fn claim(api: &FakeApi, name: &str) {
    let labels = api::labels::selectors("db");
    let metadata = json!({ "name": name, "namespace": NAMESPACE, "labels": labels });
    api.put::<PersistentVolumeClaim>(&serde_json::from_value(json!({ "metadata": metadata })).unwrap());
}

#[rstest]
#[case("DoNotTerminate", &["data-db-rack-a-0", "other"], true)]
#[case("Halt", &["data-db-rack-a-0", "other"], true)]
#[case("Delete", &["other"], true)]
#[case("WipeOut", &["other"], false)]
#[tokio::test]
async fn the_deletion_policy_says_what_remains(
    #[case] policy: &str,
    #[case] claims: &[&str],
    #[case] login_remains: bool,
    #[values(false, true)] halted: bool,
) {
    let (api, memory) = (fake(&json!({ "deletionPolicy": policy })), Memory::default());
    begin(&api, &memory).await;
    claim(&api, "data-db-rack-a-0");
    claim(&api, "other");
    api.change::<Cassandra>(NAMESPACE, "db", |cassandra| cassandra.spec.halted = halted);
    api.delete::<Cassandra>(NAMESPACE, "db");

    step(&api, &memory).await.unwrap();
    assert!(api.list::<PetSet>().is_empty());
    assert_eq!(api.list::<PersistentVolumeClaim>().len(), 2, "claims wait for the pods");
    step(&api, &memory).await.unwrap();
    assert!(api.get::<Cassandra>(NAMESPACE, "db").is_some(), "pods are still there");

    for pod in api.list::<Pod>() {
        api.delete::<Pod>(NAMESPACE, &pod.name_any());
    }
    step(&api, &memory).await.unwrap();
    assert!(api.get::<Cassandra>(NAMESPACE, "db").is_none());
    let left: Vec<_> = api.list::<PersistentVolumeClaim>().iter().map(ResourceExt::name_any).collect();
    assert_eq!(left, claims);
    assert_eq!(api.get::<Secret>(NAMESPACE, "db-auth").is_some(), login_remains);
}

async fn end(api: &FakeApi, memory: &Memory) {
    api.delete::<Cassandra>(NAMESPACE, "db");
    step(api, memory).await.unwrap();
    step(api, memory).await.unwrap();
    assert!(api.get::<Cassandra>(NAMESPACE, "db").is_none());
}

#[tokio::test]
async fn a_new_cassandra_of_the_same_name_keeps_the_password() {
    let (api, memory) = (fake(&json!({ "deletionPolicy": "Halt" })), Memory::default());
    let again = cassandra(&api);
    step(&api, &memory).await.unwrap();
    let before = password(&api, "db-auth");
    end(&api, &memory).await;
    for service in api.list::<Service>() {
        api.delete::<Service>(NAMESPACE, &service.name_any());
    }
    api.delete::<Secret>(NAMESPACE, "db-config");
    api.delete::<ServiceAccount>(NAMESPACE, "db");
    api.delete::<PodDisruptionBudget>(NAMESPACE, "db");
    api.delete::<AppBinding>(NAMESPACE, "db");
    api.put(&again);
    begin(&api, &memory).await;
    assert_eq!(password(&api, "db-auth"), before);
}

#[rstest]
#[case::externally_managed(true)]
#[case::of_the_user(false)]
#[tokio::test]
async fn a_secret_of_the_users_survives_a_wipe_out(#[case] external: bool) {
    let spec = json!({
        "deletionPolicy": "WipeOut", "authSecret": { "name": "mine", "externallyManaged": external }
    });
    let (api, memory) = (fake(&spec), Memory::default());
    api.put(&secret("mine", &json!({ "username": "YQ==", "password": "Yg==" })));
    step(&api, &memory).await.unwrap();
    end(&api, &memory).await;
    assert!(api.get::<Secret>(NAMESPACE, "mine").is_some());
}

#[tokio::test]
async fn a_secret_that_another_cassandra_uses_survives_a_wipe_out() {
    let (api, memory) = (fake(&json!({ "deletionPolicy": "WipeOut" })), Memory::default());
    step(&api, &memory).await.unwrap();
    let mut other = Cassandra::default();
    other.metadata.name = Some("other".to_owned());
    other.metadata.namespace = Some(NAMESPACE.to_owned());
    other.spec.auth_secret = serde_json::from_value(json!({ "name": "db-auth" })).unwrap();
    api.put(&other);
    end(&api, &memory).await;
    assert!(api.get::<Secret>(NAMESPACE, "db-auth").is_some());
}
