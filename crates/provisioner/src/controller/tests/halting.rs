//! What happens while the Cassandra is halted.

use super::*;

#[rstest]
#[case::from_the_start(false)]
#[case::of_a_ring(true)]
#[tokio::test]
async fn while_halted_nothing_is_written_but_the_status(#[case] begun: bool) {
    let (api, states) = (fake(&json!({})), RingStates::default());
    if begun {
        begin(&api, &states).await;
        api.change::<PetSet>(NAMESPACE, "db-rack-a", |petset| petset.spec.replicas = Some(7));
        api.delete::<Service>(NAMESPACE, "db");
        make_ready(&api);
    }
    api.change::<Cassandra>(NAMESPACE, "db", |cassandra| cassandra.spec.halted = true);
    api.forget_requests();
    for _ in 0..3 {
        step(&api, &states).await.unwrap();
    }
    let paths: std::collections::BTreeSet<_> = api.writes().into_iter().map(|write| write.path).collect();
    assert_eq!(paths.len(), 1, "{paths:?}");
    assert!(paths.iter().all(|path| path.ends_with("/cassandras/db/status")), "{paths:?}");
    assert!(halt::is_answered(&cassandra(&api)));
    let started = condition(&api, condition_type::PROVISIONING_STARTED).0;
    assert_eq!(started, if begun { "DatabaseProvisioningStartedSuccessfully" } else { "Halted" });

    api.change::<Cassandra>(NAMESPACE, "db", |cassandra| cassandra.spec.halted = false);
    step(&api, &states).await.unwrap();
    assert!(!halt::is_answered(&cassandra(&api)));
    assert_eq!(api.get::<PetSet>(NAMESPACE, "db-rack-a").unwrap().spec.replicas, Some(1));
    assert!(api.get::<Service>(NAMESPACE, "db").is_some());
}

#[tokio::test]
async fn status_stays_true_while_halted() {
    let (api, states) = (fake(&json!({})), RingStates::default());
    step(&api, &states).await.unwrap();
    api.change::<Cassandra>(NAMESPACE, "db", |cassandra| cassandra.spec.halted = true);
    step(&api, &states).await.unwrap();
    assert_eq!(condition(&api, condition_type::REPLICA_READY).0, "SomeReplicasNotReady");
    make_ready(&api);
    step(&api, &states).await.unwrap();
    assert_eq!(condition(&api, condition_type::REPLICA_READY).0, "AllReplicasReady");
}

#[tokio::test]
async fn an_outdated_cassandra_is_not_acted_on() {
    let (api, states) = (fake(&json!({})), RingStates::default());
    let context = context(&api, &states);
    let old = cassandra(&api);
    api.change::<Cassandra>(NAMESPACE, "db", |cassandra| cassandra.spec.halted = true);
    api.forget_requests();
    let error = Box::pin(reconcile(Arc::new(old), context)).await.unwrap_err();
    assert!(matches!(error, Error::Outdated(_)), "{error}");
    assert_eq!(api.writes(), []);
}
