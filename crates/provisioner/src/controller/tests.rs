//! Whole reconciles against an API server in memory; each test states what is in the cluster afterwards.

use api::{AppBinding, PetSet};
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
    let health = Health {
        sessions: Sessions::new(),
        memory: memory.clone(),
        queue: Queue::new(),
        turns: Turns::default(),
    };
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

/// Reconciles until all racks are ready.
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
    assert_eq!(names(api.list::<Secret>().iter().map(ResourceExt::name_any).collect()), "db-auth db-uid-1");
    assert_eq!(api.list::<PodDisruptionBudget>().len(), 1);
    assert_eq!(api.list::<ServiceAccount>().len(), 1);
    assert_eq!(api.list::<AppBinding>().len(), 1);
    assert_eq!(cassandra(&api).finalizers(), [CASSANDRA_FINALIZER]);
    assert!(api.get::<Secret>(NAMESPACE, "db-auth").unwrap().owner_references().is_empty());
    assert_eq!(cassandra(&api).status.unwrap().phase, Some(api::cassandra::Phase::Provisioning));
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
    step(&api, &memory).await.unwrap();
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
    api.fail_nth(1, 503);
    step(&api, &memory).await.unwrap_err();
    assert_eq!(condition(&api, condition_type::REPLICA_READY).0, "SomeReplicasNotReady");
}

#[rstest]
#[case::missing(None, "does not exist")]
#[case::without_key(Some(json!({ "other": "YQ==" })), "has no key cassandra.yaml")]
#[case::unread(
    Some(json!({ "cassandra.yaml": "", "jvm-server.options": "", "logback.xml": "" })),
    "has the keys jvm-server.options, logback.xml, which nobody reads"
)]
#[case::no_yaml(Some(json!({ "cassandra.yaml": "WzE=" })), "key cassandra.yaml: it is no valid YAML")]
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

#[rstest]
#[case::settings(
    json!({ "configuration": { "inline": { "cassandra.yaml": "num_tokens: [1" } } }),
    "ConfigInvalid",
    "spec.configuration.inline: cassandra.yaml: it is no valid YAML"
)]
#[case::options(
    template(&json!({ "env": [{ "name": "JVM_EXTRA_OPTS", "value": "-Dcassandra.config=file:///x" }] })),
    "PodTemplateInvalid",
    "podTemplate of rack b: container cassandra: env JVM_EXTRA_OPTS: -Dcassandra.config=file:///x must not be set"
)]
#[tokio::test]
async fn what_no_node_could_start_with_makes_nothing_and_changes_nothing(
    #[case] spec: Value,
    #[case] reason: &str,
    #[case] message: &str,
) {
    let (api, memory) = (fake(&spec), Memory::default());
    step(&api, &memory).await.unwrap();
    assert!(api.list::<PetSet>().is_empty() && api.list::<Service>().is_empty());
    let told = condition(&api, condition_type::PROVISIONING_STARTED);
    assert!(told.0 == reason && told.1.contains(message), "{told:?}");

    let good = cassandra(&fake(&json!({}))).spec;
    let bad = cassandra(&api).spec;
    api.change::<Cassandra>(NAMESPACE, "db", |cassandra| cassandra.spec = good.clone());
    begin(&api, &memory).await;
    let before = (api.list::<PetSet>(), api.get::<Secret>(NAMESPACE, "db-config"));
    api.change::<Cassandra>(NAMESPACE, "db", |cassandra| cassandra.spec = bad.clone());
    step(&api, &memory).await.unwrap();
    assert_eq!((api.list::<PetSet>(), api.get::<Secret>(NAMESPACE, "db-config")), before);
    assert_eq!(condition(&api, condition_type::PROVISIONING_STARTED).0, reason);
}

fn template(container: &Value) -> Value {
    let mut container = container.clone();
    container["name"] = json!("cassandra");
    let pods = json!({ "spec": { "containers": [container] } });
    json!({ "topology": { "rack": [
        { "name": "a", "storageType": "Ephemeral" },
        { "name": "b", "storageType": "Ephemeral", "podTemplate": pods }
    ] } })
}

#[tokio::test]
async fn an_object_of_somebody_else_is_left_alone() {
    let (api, memory) = (fake(&json!({})), Memory::default());
    let theirs: Service = serde_json::from_value(json!({
        "metadata": { "name": "db", "namespace": NAMESPACE }, "spec": { "clusterIP": "None" }
    }))
    .unwrap();
    let theirs = api.put(&theirs);
    step(&api, &memory).await.unwrap();
    let (reason, message) = condition(&api, condition_type::OBJECTS_APPLIED);
    assert_eq!(reason, "NameTaken");
    assert!(
        message
            .starts_with("Service demo/db exists and does not belong to this Cassandra; delete or rename it"),
        "{message}"
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

/// As a pod is told.
fn cluster_name(api: &FakeApi) -> String {
    let petset = api.list::<PetSet>().remove(0);
    let volumes = petset.spec.template.spec.unwrap().volumes.unwrap();
    let volume = volumes.into_iter().find(|volume| volume.name == "operator-config").unwrap();
    let secret: Secret = api.get(NAMESPACE, &volume.secret.unwrap().secret_name.unwrap()).unwrap();
    let settings = String::from_utf8(secret.data.unwrap()["operator.yaml"].0.clone()).unwrap();
    let line = settings.lines().find(|line| line.starts_with("cluster_name: ")).unwrap();
    line.trim_start_matches("cluster_name: ").trim_matches('"').to_owned()
}

/// As the StatefulSet controller does: what the template of the claim says is on the claim.
fn claim_of_the_first_pod(api: &FakeApi) {
    let petset = api.list::<PetSet>().remove(0);
    let mut claim = petset.spec.volume_claim_templates.unwrap().remove(0);
    claim.metadata.name = Some("data-db-rack-a-0".to_owned());
    claim.metadata.namespace = Some(NAMESPACE.to_owned());
    api.put(&claim);
}

fn durable(spec: &Value) -> FakeApi {
    let storage = json!({ "resources": { "requests": { "storage": "1Gi" } } });
    let rack = |name: &str| json!({ "name": name, "storage": storage });
    let api = fake(&json!({ "topology": { "rack": [rack("a"), rack("b")] }, "deletionPolicy": "Halt" }));
    api.change::<Cassandra>(NAMESPACE, "db", |cassandra| {
        let mut whole = serde_json::to_value(&cassandra.spec).unwrap();
        whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        cassandra.spec = serde_json::from_value(whole).unwrap();
    });
    api
}

/// A ring as the release before made it: named as the Cassandra, its settings in `db-config`, no notes.
fn make_old(api: &FakeApi) {
    for petset in api.list::<PetSet>().iter().map(ResourceExt::name_any) {
        api.change::<PetSet>(NAMESPACE, &petset, |petset| {
            petset.metadata.annotations = None;
            let claims = petset.spec.volume_claim_templates.as_mut().unwrap();
            claims[0].metadata.annotations = None;
            for volume in petset.spec.template.spec.as_mut().unwrap().volumes.as_mut().unwrap() {
                if let (Some(secret), "operator-config") = (&mut volume.secret, volume.name.as_str()) {
                    secret.secret_name = Some("db-config".to_owned());
                }
            }
        });
    }
}

#[tokio::test]
async fn rings_of_one_name_in_two_namespaces_have_clusters_of_two_names() {
    let (api, memory) = (durable(&json!({})), Memory::default());
    begin(&api, &memory).await;
    assert_eq!(cluster_name(&api), "db.demo");
}

#[tokio::test]
async fn a_ring_of_an_older_release_keeps_its_name_and_the_secret_that_its_pods_mount() {
    let (api, memory) = (durable(&json!({})), Memory::default());
    begin(&api, &memory).await;
    make_old(&api);
    let before: Vec<_> = api.list::<PetSet>().into_iter().map(|petset| petset.spec).collect();
    for memory in [memory, Memory::default()] {
        step(&api, &memory).await.unwrap();
        assert_eq!(cluster_name(&api), "db");
        let after: Vec<_> = api.list::<PetSet>().into_iter().map(|petset| petset.spec).collect();
        assert_eq!(after, before, "no pod gets another template");
    }
}

#[rstest]
#[case::made_by_an_older_release(true, "db")]
#[case::made_now(false, "db.demo")]
#[tokio::test]
async fn a_new_cassandra_on_old_volumes_gives_its_cluster_the_name_that_they_have(
    #[case] old: bool,
    #[case] name: &str,
    #[values(true, false)] unlabelled: bool,
) {
    let (api, memory) = (durable(&json!({})), Memory::default());
    let again = cassandra(&api);
    begin(&api, &memory).await;
    if old {
        make_old(&api);
    }
    claim_of_the_first_pod(&api);
    if unlabelled {
        let bare = |claim: &mut PersistentVolumeClaim| claim.metadata.labels = None;
        api.change::<PersistentVolumeClaim>(NAMESPACE, "data-db-rack-a-0", bare);
    }
    for pod in api.list::<Pod>() {
        api.delete::<Pod>(NAMESPACE, &pod.name_any());
    }
    end(&api, &memory).await;
    assert!(api.list::<PetSet>().is_empty());
    api.put(&again);
    begin(&api, &Memory::default()).await;
    assert_eq!(cluster_name(&api), name);
}

#[tokio::test]
async fn volumes_of_two_clusters_are_not_put_into_one_ring() {
    let (api, memory) = (durable(&json!({})), Memory::default());
    for (claim, cluster) in [("data-db-rack-a-0", "db.demo"), ("data-db-rack-b-0", "db.prod")] {
        let annotations = json!({ "kubedb.com/cluster-name": cluster });
        let metadata = json!({ "name": claim, "namespace": NAMESPACE, "annotations": annotations });
        api.put::<PersistentVolumeClaim>(&serde_json::from_value(json!({ "metadata": metadata })).unwrap());
    }
    step(&api, &memory).await.unwrap();
    assert!(api.list::<PetSet>().is_empty());
    let (reason, message) = condition(&api, condition_type::PROVISIONING_STARTED);
    assert_eq!(reason, "ClusterNameUnclear");
    assert!(message.contains("data-db-rack-b-0 of \"db.prod\""), "{message}");
}

fn orphan<K: Object>(api: &FakeApi) {
    for object in api.list::<K>() {
        api.change::<K>(NAMESPACE, &object.name_any(), |object| {
            object.meta_mut().owner_references = None;
        });
    }
}

fn owned<K: Object>(api: &FakeApi, uid: &str, count: usize) {
    let objects = api.list::<K>();
    let owned = objects.iter().filter(|object| object.owner_references().iter().any(|it| it.uid == uid));
    assert_eq!(owned.count(), count, "{}", K::kind(&()));
}

#[tokio::test]
async fn a_restored_ring_without_owners_is_adopted() {
    let (api, memory) = (durable(&json!({})), Memory::default());
    begin(&api, &memory).await;
    make_old(&api);
    orphan::<PetSet>(&api);
    orphan::<Service>(&api);
    orphan::<Secret>(&api);
    orphan::<ServiceAccount>(&api);
    orphan::<PodDisruptionBudget>(&api);
    orphan::<AppBinding>(&api);
    let restored = api.change::<Cassandra>(NAMESPACE, "db", |cassandra| {
        cassandra.metadata.finalizers = None;
        cassandra.status = None;
    });
    api.delete::<Cassandra>(NAMESPACE, "db");
    api.put(&Cassandra {
        metadata: ObjectMeta { uid: None, ..restored.metadata.clone() },
        ..restored.clone()
    });
    assert_ne!(cassandra(&api).uid(), restored.uid());

    step(&api, &Memory::default()).await.unwrap();
    let uid = cassandra(&api).uid().unwrap();
    owned::<PetSet>(&api, &uid, 2);
    owned::<Service>(&api, &uid, 3);
    owned::<ServiceAccount>(&api, &uid, 1);
    owned::<PodDisruptionBudget>(&api, &uid, 1);
    owned::<AppBinding>(&api, &uid, 1);
    owned::<Secret>(&api, &uid, 1);
    assert_eq!(cluster_name(&api), "db");
}

#[tokio::test]
async fn a_service_that_is_refused_stops_nothing_else_and_is_told() {
    const SAID: &str = "Service \"db\" is invalid: spec.externalTrafficPolicy: Invalid value: \"Local\"";
    let (api, memory) = (fake(&json!({})), Memory::default());
    api.refuse("/services/db", 422, SAID);
    begin(&api, &memory).await;
    assert!(api.get::<Service>(NAMESPACE, "db").is_none());
    assert_eq!(api.list::<PodDisruptionBudget>().len(), 1);
    assert_eq!(api.list::<AppBinding>().len(), 1);
    let (reason, message) = condition(&api, condition_type::OBJECTS_APPLIED);
    assert_eq!(reason, "WriteRefused");
    for word in ["Service demo/db", SAID, "spec.serviceTemplates"] {
        assert!(message.contains(word), "{message}");
    }
    let started = condition(&api, condition_type::PROVISIONING_STARTED).0;
    assert_eq!(started, "DatabaseProvisioningStartedSuccessfully");

    // What runs is kept up, and what is refused is not asked for at every look.
    api.change::<PetSet>(NAMESPACE, "db-rack-a", |petset| petset.spec.replicas = Some(7));
    api.forget_requests();
    for _ in 0..3 {
        step(&api, &memory).await.unwrap();
    }
    assert_eq!(api.get::<PetSet>(NAMESPACE, "db-rack-a").unwrap().spec.replicas, Some(1));
    assert!(!api.writes().iter().any(|write| write.path.ends_with("/services/db")));

    api.heal();
    api.change::<Cassandra>(NAMESPACE, "db", |cassandra| cassandra.spec.service_templates = vec![]);
    step(&api, &Memory::default()).await.unwrap();
    assert!(api.get::<Service>(NAMESPACE, "db").is_some());
    assert_eq!(condition(&api, condition_type::OBJECTS_APPLIED).0, "AllObjectsApplied");
}

#[tokio::test]
async fn no_pods_are_made_without_the_settings_that_they_need() {
    let (api, memory) = (fake(&json!({})), Memory::default());
    api.refuse("/secrets/db-uid-1", 403, "exceeded quota: secrets");
    step(&api, &memory).await.unwrap();
    assert!(api.list::<PetSet>().is_empty());
    assert_eq!(api.list::<Service>().len(), 3);
    let (reason, message) = condition(&api, condition_type::PROVISIONING_STARTED);
    assert!(reason == "WriteRefused" && message.contains("exceeded quota: secrets"), "{reason} {message}");
}

#[rstest]
#[case::of_the_cassandras_name("db", &["db"])]
#[case::of_another_name("theirs", &["theirs"])]
#[tokio::test]
async fn an_account_of_the_users_is_used_as_it_is(#[case] name: &str, #[case] accounts: &[&str]) {
    let (api, memory) = (account_named(name), Memory::default());
    let theirs: ServiceAccount = serde_json::from_value(json!({
        "metadata": { "name": name, "namespace": NAMESPACE }, "imagePullSecrets": [{ "name": "registry" }]
    }))
    .unwrap();
    let theirs = api.put(&theirs);
    begin(&api, &memory).await;
    assert_eq!(api.get::<ServiceAccount>(NAMESPACE, name), Some(theirs));
    let there: Vec<_> = api.list::<ServiceAccount>().iter().map(ResourceExt::name_any).collect();
    assert_eq!(there, accounts);
}

fn account_named(name: &str) -> FakeApi {
    let rack = |rack: &str| {
        let template = json!({ "spec": { "serviceAccountName": name } });
        json!({ "name": rack, "storageType": "Ephemeral", "podTemplate": template })
    };
    fake(&json!({ "topology": { "rack": [rack("a"), rack("b")] } }))
}

#[tokio::test]
async fn an_account_that_does_not_exist_is_told_before_pods_wait_for_it() {
    let (api, memory) = (account_named("theirs"), Memory::default());
    step(&api, &memory).await.unwrap();
    assert!(api.list::<PetSet>().is_empty());
    let (reason, message) = condition(&api, condition_type::PROVISIONING_STARTED);
    assert_eq!(reason, "ServiceAccountNotFound");
    assert!(message.contains("ServiceAccount demo/theirs does not exist"), "{message}");
}

#[tokio::test]
async fn settings_of_the_users_may_be_in_a_secret_called_config() {
    let (api, memory) = (fake(&json!({ "configuration": { "secretName": "db-config" } })), Memory::default());
    let theirs = api.put(&secret("db-config", &json!({ "cassandra.yaml": "YTogMQ==" })));
    begin(&api, &memory).await;
    assert_eq!(api.get::<Secret>(NAMESPACE, "db-config"), Some(theirs));
}

#[tokio::test]
async fn the_login_has_no_label_of_the_users_and_asks_tools_to_leave_it() {
    let (api, memory) = (fake(&json!({})), Memory::default());
    api.change::<Cassandra>(NAMESPACE, "db", |cassandra| {
        cassandra.labels_mut().insert("argocd.argoproj.io/instance".to_owned(), "shop".to_owned());
    });
    begin(&api, &memory).await;
    let check = |secret: Secret| {
        assert!(!secret.labels().contains_key("argocd.argoproj.io/instance"));
        assert_eq!(api::labels::cassandra_of(secret.labels()), Some("db"));
        assert_eq!(secret.annotations()["argocd.argoproj.io/sync-options"], "Prune=false");
        assert_eq!(secret.annotations()["kustomize.toolkit.fluxcd.io/prune"], "disabled");
    };
    check(api.get(NAMESPACE, "db-auth").unwrap());

    // As an older release made it; what somebody else wrote on it stays.
    api.change::<Secret>(NAMESPACE, "db-auth", |secret| {
        secret.metadata.annotations = Some([("note".to_owned(), "mine".to_owned())].into());
        let labels = [("argocd.argoproj.io/instance", "shop"), ("team", "a")];
        secret.labels_mut().extend(labels.map(|(key, value)| (key.to_owned(), value.to_owned())));
    });
    step(&api, &memory).await.unwrap();
    let secret: Secret = api.get(NAMESPACE, "db-auth").unwrap();
    assert_eq!((secret.annotations()["note"].as_str(), secret.labels()["team"].as_str()), ("mine", "a"));
    check(secret);
    api.forget_requests();
    step(&api, &memory).await.unwrap();
    assert_eq!(api.writes(), []);
}

#[rstest]
#[case::at_work(false)]
#[case::halted(true)]
#[tokio::test]
async fn a_lost_login_is_put_back_while_the_password_is_known(#[case] halted: bool) {
    let (api, memory) = (fake(&json!({})), Memory::default());
    begin(&api, &memory).await;
    let before = password(&api, "db-auth");
    api.change::<Cassandra>(NAMESPACE, "db", |cassandra| cassandra.spec.halted = halted);
    step(&api, &memory).await.unwrap();
    api.delete::<Secret>(NAMESPACE, "db-auth");
    step(&api, &memory).await.unwrap();
    if halted {
        assert!(api.get::<Secret>(NAMESPACE, "db-auth").is_none(), "nothing is written while halted");
        let (reason, message) = condition(&api, condition_type::OBJECTS_APPLIED);
        assert_eq!(reason, "AuthSecretNotFound");
        assert!(message.contains("Secret demo/db-auth was deleted"), "{message}");
        api.change::<Cassandra>(NAMESPACE, "db", |cassandra| cassandra.spec.halted = false);
        step(&api, &memory).await.unwrap();
        step(&api, &memory).await.unwrap();
        assert_eq!(condition(&api, condition_type::OBJECTS_APPLIED).0, "AllObjectsApplied");
    }
    assert_eq!(password(&api, "db-auth"), before);
}

/// The first pod ended by itself; `run` tells one run of its container from another.
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
    let (api, memory) = (fake(&json!({})), Memory::default());
    begin(&api, &memory).await;
    crash(&api, "containerd://1");
    step(&api, &memory).await.unwrap();
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
        step(&api, &memory).await.unwrap();
    }
    let cause = "ConfigurationException: Saved cluster name a != configured name b";
    assert_eq!(told().1, format!("{ended}{cause}"));
    assert_eq!(api.requests().iter().filter(|request| request.path.ends_with("/log")).count(), 1);
}

#[tokio::test]
async fn a_pod_that_stays_is_told_in_the_place_of_a_number() {
    let (api, memory) = (fake(&json!({})), Memory::default());
    begin(&api, &memory).await;
    api.change::<PetSet>(NAMESPACE, "db-rack-a", |petset| {
        petset.status = serde_json::from_value(json!({ "replicas": 1, "readyReplicas": 0 })).unwrap();
    });
    api.change::<Pod>(NAMESPACE, "db-rack-a-0", |pod| {
        pod.metadata.finalizers = Some(vec!["example.com/lost-node".to_owned()]);
        pod.metadata.deletion_timestamp = serde_json::from_value(json!("2025-12-31T23:00:00Z")).unwrap();
    });
    step(&api, &memory).await.unwrap();
    let message = condition(&api, condition_type::REPLICA_READY).1;
    assert!(
        message.starts_with("Pod db-rack-a-0: is Terminating, and was to be gone at 2025-12-31T23:00:00Z"),
        "{message}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_not_let_in_is_told_with_the_words_of_the_api_server() {
    const SAID: &str = "pods \"db-rack-a-0\" is forbidden: exceeded quota: small";
    let (api, memory) = (fake(&json!({})), Memory::default());
    step(&api, &memory).await.unwrap();
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
    step(&api, &memory).await.unwrap();
    assert_eq!(looks(), 0, "it may be about to be made");
    for _ in 0..3 {
        tokio::time::advance(Duration::from_secs(9)).await;
        step(&api, &memory).await.unwrap();
    }
    assert_eq!(looks(), 1);
    let told = condition(&api, condition_type::REPLICA_READY);
    assert_eq!(told, ("PodFailing".to_owned(), format!("Pod db-rack-a-0: is not let in: {SAID}")));
    make_ready(&api);
    step(&api, &memory).await.unwrap();
    assert!(!condition(&api, condition_type::REPLICA_READY).1.contains("quota"));
}

#[tokio::test]
async fn in_a_namespace_that_is_being_deleted_nothing_is_made_again() {
    let (api, memory) = (fake(&json!({})), Memory::default());
    begin(&api, &memory).await;
    let whole = context(&api, &memory);
    api.end_namespace(NAMESPACE);
    // What the namespace controller does, object by object; each loss wakes the provisioner.
    for service in api.list::<Service>() {
        api.delete::<Service>(NAMESPACE, &service.name_any());
    }
    api.delete::<AppBinding>(NAMESPACE, "db");
    api.forget_requests();
    for _ in 0..10 {
        let context =
            Context { operator: whole.operator.clone(), ..Arc::into_inner(context(&api, &memory)).unwrap() };
        // It says no word of it and does not count as a failure that is told.
        let _ = Box::pin(reconcile(Arc::new(cassandra(&api)), Arc::new(context))).await;
    }
    let refused: Vec<_> = api.requests().into_iter().filter(|request| request.status == 403).collect();
    assert_eq!(refused.len(), 1, "{refused:#?}");
    assert!(api.list::<Service>().is_empty());

    // Its own deletion goes on as ever.
    api.delete::<Cassandra>(NAMESPACE, "db");
    for pod in api.list::<Pod>() {
        api.delete::<Pod>(NAMESPACE, &pod.name_any());
    }
    end(&api, &memory).await;
}

#[tokio::test]
async fn a_cassandra_that_was_deleted_before_it_was_held_is_forgotten() {
    let (api, memory) = (fake(&json!({})), Memory::default());
    memory.of("long gone", |known| known.settled = true);
    step(&api, &memory).await.unwrap();
    assert_eq!(memory.still("long gone", |_| ()), None);
    assert_eq!(memory.count(), 1);
}

/// Nobody listens at the addresses of these pods.
#[tokio::test]
async fn a_ring_that_does_not_answer_is_looked_at_ever_less_often_and_a_change_wakes_it() {
    let (api, memory) = (fake(&json!({ "healthChecker": { "periodSeconds": 30 } })), Memory::default());
    begin(&api, &memory).await;
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
        waits.push(step(&api, &memory).await.unwrap().unwrap().as_secs());
        // As if that time had passed.
        memory.of(&uid, |known| {
            let ago = Instant::now().checked_sub(Duration::from_mins(1)).unwrap();
            known.unsettled.iter_mut().for_each(|(tried, _)| *tried = ago);
        });
    }
    assert_eq!(waits, [3, 6, 12, 24, 30, 30]);
    answering_nothing("db-rack-a-0", "127.0.0.2");
    assert_eq!(step(&api, &memory).await.unwrap().unwrap().as_secs(), 3);
}
