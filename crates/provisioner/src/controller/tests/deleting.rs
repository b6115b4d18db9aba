//! What remains of a deleted Cassandra.

use super::*;

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
    let (api, states) = (fake(&json!({ "deletionPolicy": policy })), RingStates::default());
    begin(&api, &states).await;
    claim(&api, "data-db-rack-a-0");
    claim(&api, "other");
    api.change::<Cassandra>(NAMESPACE, "db", |cassandra| cassandra.spec.halted = halted);
    api.delete::<Cassandra>(NAMESPACE, "db");

    step(&api, &states).await.unwrap();
    assert!(api.list::<PetSet>().is_empty());
    assert_eq!(api.list::<PersistentVolumeClaim>().len(), 2, "claims wait for the pods");
    step(&api, &states).await.unwrap();
    assert!(api.get::<Cassandra>(NAMESPACE, "db").is_some(), "pods are still there");

    for pod in api.list::<Pod>() {
        api.delete::<Pod>(NAMESPACE, &pod.name_any());
    }
    step(&api, &states).await.unwrap();
    assert!(api.get::<Cassandra>(NAMESPACE, "db").is_none());
    let left: Vec<_> = api.list::<PersistentVolumeClaim>().iter().map(ResourceExt::name_any).collect();
    assert_eq!(left, claims);
    assert_eq!(api.get::<Secret>(NAMESPACE, "db-auth").is_some(), login_remains);
}

#[tokio::test]
async fn a_new_cassandra_of_the_same_name_keeps_the_password() {
    let (api, states) = (fake(&json!({ "deletionPolicy": "Halt" })), RingStates::default());
    let again = cassandra(&api);
    step(&api, &states).await.unwrap();
    let before = password(&api, "db-auth");
    end(&api, &states).await;
    for service in api.list::<Service>() {
        api.delete::<Service>(NAMESPACE, &service.name_any());
    }
    api.delete::<ServiceAccount>(NAMESPACE, "db");
    api.delete::<PodDisruptionBudget>(NAMESPACE, "db");
    api.delete::<AppBinding>(NAMESPACE, "db");
    api.put(&again);
    begin(&api, &states).await;
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
    let (api, states) = (fake(&spec), RingStates::default());
    api.put(&secret("mine", &json!({ "username": "YQ==", "password": "Yg==" })));
    step(&api, &states).await.unwrap();
    end(&api, &states).await;
    assert!(api.get::<Secret>(NAMESPACE, "mine").is_some());
}

#[tokio::test]
async fn a_secret_that_another_cassandra_uses_survives_a_wipe_out() {
    let (api, states) = (fake(&json!({ "deletionPolicy": "WipeOut" })), RingStates::default());
    step(&api, &states).await.unwrap();
    let mut other = Cassandra::default();
    other.metadata.name = Some("other".to_owned());
    other.metadata.namespace = Some(NAMESPACE.to_owned());
    other.spec.auth_secret = serde_json::from_value(json!({ "name": "db-auth" })).unwrap();
    api.put(&other);
    end(&api, &states).await;
    assert!(api.get::<Secret>(NAMESPACE, "db-auth").is_some());
}

#[tokio::test]
async fn in_a_namespace_that_is_being_deleted_nothing_is_made_again() {
    let (api, states) = (fake(&json!({})), RingStates::default());
    begin(&api, &states).await;
    let operator = api.operator("provisioner");
    api.end_namespace(NAMESPACE);
    // The namespace controller deletes object by object; each deletion triggers a reconcile.
    for service in api.list::<Service>() {
        api.delete::<Service>(NAMESPACE, &service.name_any());
    }
    api.delete::<AppBinding>(NAMESPACE, "db");
    api.forget_requests();
    for _ in 0..10 {
        let context = context_of(&api, &states, operator.clone());
        // An error here is neither reported to the user nor counted as a failure.
        let _ = Box::pin(reconcile(Arc::new(cassandra(&api)), context)).await;
    }
    let refused: Vec<_> = api.requests().into_iter().filter(|request| request.status == 403).collect();
    assert_eq!(refused.len(), 1, "{refused:#?}");
    assert!(api.list::<Service>().is_empty());

    // The deletion of the Cassandra itself works as usual.
    api.delete::<Cassandra>(NAMESPACE, "db");
    for pod in api.list::<Pod>() {
        api.delete::<Pod>(NAMESPACE, &pod.name_any());
    }
    end(&api, &states).await;
}

#[tokio::test]
async fn a_cassandra_that_was_deleted_before_it_was_held_is_forgotten() {
    let (api, states) = (fake(&json!({})), RingStates::default());
    states.with("long gone", |state| state.set_up = true);
    step(&api, &states).await.unwrap();
    assert_eq!(states.if_known("long gone", |_| ()), None);
    assert_eq!(states.count(), 1);
}
