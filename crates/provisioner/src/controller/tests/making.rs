//! What is created for a Cassandra, and what is not.

use super::*;

#[tokio::test]
async fn a_new_cassandra_gets_all_its_objects_and_a_finalizer() {
    let (api, states) = (fake(&json!({})), RingStates::default());
    begin(&api, &states).await;
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
    let (api, states) = (fake(&json!({})), RingStates::default());
    step(&api, &states).await.unwrap();
    step(&api, &states).await.unwrap();
    api.forget_requests();
    step(&api, &states).await.unwrap();
    assert_eq!(api.requests(), []);
}

#[tokio::test]
async fn a_failure_at_any_write_is_made_up_for() {
    for writes in 0..16 {
        let (api, states) = (fake(&json!({})), RingStates::default());
        api.fail_after(writes);
        let failed = step(&api, &states).await;
        let first = api.get::<Secret>(NAMESPACE, "db-auth").map(|_| password(&api, "db-auth"));
        api.heal();
        begin(&api, &RingStates::default()).await;
        assert_eq!(api.list::<AppBinding>().len(), 1, "after {writes} writes");
        assert!(first.is_none_or(|first| first == password(&api, "db-auth")), "after {writes} writes");
        assert!(failed.is_err() || writes > 8, "{writes}");
    }
}

#[tokio::test]
async fn a_change_of_an_owned_object_is_undone() {
    let (api, states) = (fake(&json!({})), RingStates::default());
    step(&api, &states).await.unwrap();
    api.change::<PetSet>(NAMESPACE, "db-rack-a", |petset| petset.spec.replicas = Some(7));
    step(&api, &states).await.unwrap();
    assert_eq!(api.get::<PetSet>(NAMESPACE, "db-rack-a").unwrap().spec.replicas, Some(1));
}

#[tokio::test]
async fn an_unknown_version_is_refused_by_name_and_changes_nothing_that_runs() {
    let (api, states) = (fake(&json!({})), RingStates::default());
    step(&api, &states).await.unwrap();
    api.delete::<CassandraVersion>("", "4.1.10");
    let before = api.list::<PetSet>();
    api.forget_requests();
    step(&api, &states).await.unwrap();
    assert_eq!(api.list::<PetSet>(), before);
    assert!(api.writes().iter().all(|write| write.path.ends_with("/status")));
    let (reason, message) = condition(&api, condition_type::PROVISIONING_STARTED);
    assert_eq!(reason, "VersionNotFound");
    assert!(
        message.contains("spec.version") && message.contains("\"4.1.10\"") && message.contains("casversion")
    );
}

#[tokio::test]
async fn an_object_that_cannot_be_written_does_not_hide_how_the_ring_is() {
    let (api, states) = (fake(&json!({})), RingStates::default());
    begin(&api, &states).await;
    make_ready(&api);
    step(&api, &states).await.unwrap();
    assert_eq!(condition(&api, condition_type::REPLICA_READY).0, "AllReplicasReady");

    api.change::<PetSet>(NAMESPACE, "db-rack-a", |petset| petset.spec.replicas = Some(7));
    api.change::<Pod>(NAMESPACE, "db-rack-a-0", |pod| pod.status = None);
    api.fail_nth(1, 503);
    step(&api, &states).await.unwrap_err();
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
    let (api, states) =
        (fake(&json!({ "configuration": { "secretName": "custom" } })), RingStates::default());
    if let Some(data) = data {
        api.put(&secret("custom", &data));
    }
    step(&api, &states).await.unwrap();
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
    let (api, states) = (fake(&spec), RingStates::default());
    step(&api, &states).await.unwrap();
    assert!(api.list::<PetSet>().is_empty() && api.list::<Service>().is_empty());
    let told = condition(&api, condition_type::PROVISIONING_STARTED);
    assert!(told.0 == reason && told.1.contains(message), "{told:?}");

    let good = cassandra(&fake(&json!({}))).spec;
    let bad = cassandra(&api).spec;
    api.change::<Cassandra>(NAMESPACE, "db", |cassandra| cassandra.spec = good.clone());
    begin(&api, &states).await;
    let before = (api.list::<PetSet>(), api.get::<Secret>(NAMESPACE, "db-config"));
    api.change::<Cassandra>(NAMESPACE, "db", |cassandra| cassandra.spec = bad.clone());
    step(&api, &states).await.unwrap();
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
    let (api, states) = (fake(&json!({})), RingStates::default());
    let theirs: Service = serde_json::from_value(json!({
        "metadata": { "name": "db", "namespace": NAMESPACE }, "spec": { "clusterIP": "None" }
    }))
    .unwrap();
    let theirs = api.put(&theirs);
    step(&api, &states).await.unwrap();
    let (reason, message) = condition(&api, condition_type::OBJECTS_APPLIED);
    assert_eq!(reason, "NameTaken");
    assert!(
        message
            .starts_with("Service demo/db exists and does not belong to this Cassandra; delete or rename it"),
        "{message}"
    );
    assert_eq!(api.get::<Service>(NAMESPACE, "db"), Some(theirs));
}

#[tokio::test]
async fn a_service_that_is_refused_stops_nothing_else_and_is_told() {
    const SAID: &str = "Service \"db\" is invalid: spec.externalTrafficPolicy: Invalid value: \"Local\"";
    let (api, states) = (fake(&json!({})), RingStates::default());
    api.refuse("/services/db", 422, SAID);
    begin(&api, &states).await;
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

    // Running objects are still kept up to date, and a refused one is not requested at every reconcile.
    api.change::<PetSet>(NAMESPACE, "db-rack-a", |petset| petset.spec.replicas = Some(7));
    api.forget_requests();
    for _ in 0..3 {
        step(&api, &states).await.unwrap();
    }
    assert_eq!(api.get::<PetSet>(NAMESPACE, "db-rack-a").unwrap().spec.replicas, Some(1));
    assert!(!api.writes().iter().any(|write| write.path.ends_with("/services/db")));

    api.heal();
    api.change::<Cassandra>(NAMESPACE, "db", |cassandra| cassandra.spec.service_templates = vec![]);
    step(&api, &RingStates::default()).await.unwrap();
    assert!(api.get::<Service>(NAMESPACE, "db").is_some());
    assert_eq!(condition(&api, condition_type::OBJECTS_APPLIED).0, "AllObjectsApplied");
}

#[tokio::test]
async fn no_pods_are_made_without_the_settings_that_they_need() {
    let (api, states) = (fake(&json!({})), RingStates::default());
    api.refuse("/secrets/db-uid-1", 403, "exceeded quota: secrets");
    step(&api, &states).await.unwrap();
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
    let (api, states) = (account_named(name), RingStates::default());
    let theirs: ServiceAccount = serde_json::from_value(json!({
        "metadata": { "name": name, "namespace": NAMESPACE }, "imagePullSecrets": [{ "name": "registry" }]
    }))
    .unwrap();
    let theirs = api.put(&theirs);
    begin(&api, &states).await;
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
    let (api, states) = (account_named("theirs"), RingStates::default());
    step(&api, &states).await.unwrap();
    assert!(api.list::<PetSet>().is_empty());
    let (reason, message) = condition(&api, condition_type::PROVISIONING_STARTED);
    assert_eq!(reason, "ServiceAccountNotFound");
    assert!(message.contains("ServiceAccount demo/theirs does not exist"), "{message}");
}

#[tokio::test]
async fn settings_of_the_users_may_be_in_a_secret_called_config() {
    let (api, states) =
        (fake(&json!({ "configuration": { "secretName": "db-config" } })), RingStates::default());
    let theirs = api.put(&secret("db-config", &json!({ "cassandra.yaml": "YTogMQ==" })));
    begin(&api, &states).await;
    assert_eq!(api.get::<Secret>(NAMESPACE, "db-config"), Some(theirs));
}
