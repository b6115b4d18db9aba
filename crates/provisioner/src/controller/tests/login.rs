//! The login of a ring.

use super::*;

#[rstest]
#[case::missing(None, "AuthSecretNotFound", "Secret demo/mine does not exist")]
#[case::malformed(Some(json!({ "username": "YQ==" })), "AuthSecretMalformed", "its key password is missing")]
#[tokio::test]
async fn without_a_login_no_pods_are_made(
    #[case] data: Option<Value>,
    #[case] reason: &str,
    #[case] message: &str,
) {
    let (api, states) = (
        fake(&json!({ "authSecret": { "name": "mine", "externallyManaged": true } })),
        RingStates::default(),
    );
    if let Some(data) = data {
        api.put(&secret("mine", &data));
    }
    step(&api, &states).await.unwrap();
    assert!(api.list::<PetSet>().is_empty());
    let told = condition(&api, condition_type::PROVISIONING_STARTED);
    assert_eq!(told.0, reason);
    assert!(told.1.contains(message), "{}", told.1);

    api.put(&secret("mine", &json!({ "username": "YQ==", "password": "Yg==" })));
    begin(&api, &states).await;
    assert_eq!(password(&api, "mine"), b"b");
}

#[tokio::test]
async fn a_named_login_that_does_not_exist_is_made() {
    let (api, states) = (fake(&json!({ "authSecret": { "name": "mine" } })), RingStates::default());
    step(&api, &states).await.unwrap();
    assert_eq!(password(&api, "mine").len(), 16);
    assert!(api.get::<Secret>(NAMESPACE, "db-auth").is_none());
}

#[tokio::test]
async fn a_lost_login_of_a_ring_is_not_replaced_by_another() {
    let (api, states) = (fake(&json!({})), RingStates::default());
    step(&api, &states).await.unwrap();
    api.delete::<Secret>(NAMESPACE, "db-auth");
    step(&api, &RingStates::default()).await.unwrap();
    assert!(api.get::<Secret>(NAMESPACE, "db-auth").is_none());
    assert_eq!(condition(&api, condition_type::PROVISIONING_STARTED).0, "AuthSecretNotFound");
    assert!(condition(&api, condition_type::READY).1.contains("Secret demo/db-auth does not exist"));
}

#[tokio::test]
async fn the_login_has_no_label_of_the_users_and_asks_tools_to_leave_it() {
    let (api, states) = (fake(&json!({})), RingStates::default());
    api.change::<Cassandra>(NAMESPACE, "db", |cassandra| {
        cassandra.labels_mut().insert("argocd.argoproj.io/instance".to_owned(), "shop".to_owned());
    });
    begin(&api, &states).await;
    let check = |secret: Secret| {
        assert!(!secret.labels().contains_key("argocd.argoproj.io/instance"));
        assert_eq!(api::labels::cassandra_of(secret.labels()), Some("db"));
        assert_eq!(secret.annotations()["argocd.argoproj.io/sync-options"], "Prune=false");
        assert_eq!(secret.annotations()["kustomize.toolkit.fluxcd.io/prune"], "disabled");
    };
    check(api.get(NAMESPACE, "db-auth").unwrap());

    // As an older release created it; what others have added to it stays.
    api.change::<Secret>(NAMESPACE, "db-auth", |secret| {
        secret.metadata.annotations = Some([("note".to_owned(), "mine".to_owned())].into());
        let labels = [("argocd.argoproj.io/instance", "shop"), ("team", "a")];
        secret.labels_mut().extend(labels.map(|(key, value)| (key.to_owned(), value.to_owned())));
    });
    step(&api, &states).await.unwrap();
    let secret: Secret = api.get(NAMESPACE, "db-auth").unwrap();
    assert_eq!((secret.annotations()["note"].as_str(), secret.labels()["team"].as_str()), ("mine", "a"));
    check(secret);
    api.forget_requests();
    step(&api, &states).await.unwrap();
    assert_eq!(api.writes(), []);
}

#[rstest]
#[case::at_work(false)]
#[case::halted(true)]
#[tokio::test]
async fn a_lost_login_is_put_back_while_the_password_is_known(#[case] halted: bool) {
    let (api, states) = (fake(&json!({})), RingStates::default());
    begin(&api, &states).await;
    let before = password(&api, "db-auth");
    api.change::<Cassandra>(NAMESPACE, "db", |cassandra| cassandra.spec.halted = halted);
    step(&api, &states).await.unwrap();
    api.delete::<Secret>(NAMESPACE, "db-auth");
    step(&api, &states).await.unwrap();
    if halted {
        assert!(api.get::<Secret>(NAMESPACE, "db-auth").is_none(), "nothing is written while halted");
        let (reason, message) = condition(&api, condition_type::OBJECTS_APPLIED);
        assert_eq!(reason, "AuthSecretNotFound");
        assert!(message.contains("Secret demo/db-auth was deleted"), "{message}");
        api.change::<Cassandra>(NAMESPACE, "db", |cassandra| cassandra.spec.halted = false);
        step(&api, &states).await.unwrap();
        step(&api, &states).await.unwrap();
        assert_eq!(condition(&api, condition_type::OBJECTS_APPLIED).0, "AllObjectsApplied");
    }
    assert_eq!(password(&api, "db-auth"), before);
}
