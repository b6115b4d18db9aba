use k8s_openapi::api::apps::v1::StatefulSetStatus;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use operator::testing::FakeApi;

use super::*;

const PETSET: &str = r"
metadata: {name: db, namespace: demo, labels: {app.kubernetes.io/managed-by: kubedb.com}}
spec:
  replicas: 3
  serviceName: db-pods
  selector: {matchLabels: {app: db}}
  podPlacementPolicy: {name: default}
  updateStrategy: {type: OnDelete}
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: cassandra, image: cassandra:4.1.10}]}
";

/// A cluster with a PetSet and the policy that it names.
fn cluster() -> FakeApi {
    let api = FakeApi::new();
    api.put(&PlacementPolicy::new("default", serde_yaml::from_str("nodeSpreadConstraint: {}").unwrap()));
    let mut petset = serde_yaml::from_str::<serde_json::Value>(PETSET).unwrap();
    petset["apiVersion"] = "apps.k8s.appscode.com/v1".into();
    petset["kind"] = "PetSet".into();
    api.put(&serde_json::from_value::<PetSet>(petset).unwrap());
    api
}

fn context(api: &FakeApi) -> Arc<Context> {
    let operator = api.operator("provisioner");
    Arc::new(Context {
        stateful_sets: api.cache(),
        policies: api.cache(),
        writer: operator.writer.manager(MANAGER),
        events: operator.events.clone(),
        written: Written::default(),
    })
}

/// One reconcile with up-to-date caches.
async fn look(api: &FakeApi) -> Result<Option<Duration>, Error> {
    reconcile(Arc::new(petset(api)), context(api)).await
}

fn petset(api: &FakeApi) -> PetSet {
    api.get("demo", "db").unwrap()
}

fn stateful_set(api: &FakeApi) -> StatefulSet {
    api.get("demo", "db").unwrap()
}

fn image(api: &FakeApi) -> Option<String> {
    stateful_set(api).spec.unwrap().template.spec.unwrap().containers[0].image.clone()
}

fn set_image(api: &FakeApi, image: &str) {
    api.change("demo", "db", |petset: &mut PetSet| {
        petset.spec.template.spec.as_mut().unwrap().containers[0].image = Some(image.to_owned());
    });
}

/// Plays Kubernetes' own controller, which observes the StatefulSet.
fn observe(api: &FakeApi) {
    api.change("demo", "db", |set: &mut StatefulSet| {
        set.status = Some(StatefulSetStatus {
            observed_generation: set.metadata.generation,
            replicas: 3,
            ready_replicas: Some(3),
            ..StatefulSetStatus::default()
        });
    });
}

fn observed_generation(api: &FakeApi) -> Option<i64> {
    petset(api).status.and_then(|status| status.observed_generation)
}

#[tokio::test]
async fn the_generation_counts_as_observed_when_kubernetes_has_seen_it() {
    let api = cluster();
    look(&api).await.unwrap();
    assert_eq!(observed_generation(&api), None);
    observe(&api);
    look(&api).await.unwrap();
    assert_eq!(observed_generation(&api), petset(&api).metadata.generation);

    set_image(&api, "cassandra:5.0.6");
    look(&api).await.unwrap();
    assert_eq!(image(&api).as_deref(), Some("cassandra:5.0.6"));
    assert!(observed_generation(&api) < petset(&api).metadata.generation);
    observe(&api);
    look(&api).await.unwrap();
    assert_eq!(observed_generation(&api), petset(&api).metadata.generation);
}

#[tokio::test]
async fn a_steady_petset_costs_no_request() {
    let api = cluster();
    look(&api).await.unwrap();
    observe(&api);
    look(&api).await.unwrap();
    api.forget_requests();
    look(&api).await.unwrap();
    assert_eq!(api.requests(), []);
}

#[tokio::test]
async fn the_stateful_set_goes_with_its_petset() {
    let api = cluster();
    look(&api).await.unwrap();
    api.delete::<PetSet>("demo", "db");
    assert_eq!(api.get::<StatefulSet>("demo", "db"), None);
}

#[tokio::test]
async fn a_missing_policy_is_told_and_waited_for_while_the_status_stays_true() {
    let api = cluster();
    look(&api).await.unwrap();
    api.delete::<PlacementPolicy>("", "default");
    set_image(&api, "cassandra:5.0.6");
    observe(&api);
    assert_eq!(look(&api).await.unwrap(), None);
    assert_eq!(image(&api).as_deref(), Some("cassandra:4.1.10"));
    let event = api.list::<Event>().remove(0);
    assert_eq!(event.reason.as_deref(), Some("PlacementPolicyMissing"));
    assert!(event.note.unwrap().contains("PlacementPolicy default"));
    assert_eq!(petset(&api).status.unwrap().ready_replicas, Some(3));
    assert!(observed_generation(&api) < petset(&api).metadata.generation);
}

#[tokio::test]
async fn without_its_policy_a_new_petset_gets_no_stateful_set() {
    let api = cluster();
    api.delete::<PlacementPolicy>("", "default");
    look(&api).await.unwrap();
    assert_eq!(api.list::<StatefulSet>(), []);
}

#[tokio::test]
async fn a_stateful_set_of_somebody_else_is_left_alone() {
    let api = cluster();
    look(&api).await.unwrap();
    api.change("demo", "db", |set: &mut StatefulSet| {
        let owner = &mut set.owner_references_mut()[0];
        (owner.kind, owner.uid) = ("Database".to_owned(), "other".to_owned());
    });
    api.forget_requests();
    let error = look(&api).await.unwrap_err();
    assert_eq!((error.reason(), error.retry()), ("StatefulSetNotOurs", Retry::Never));
    assert!(error.to_string().contains("Database db"), "{error}");
    assert_eq!(api.writes(), []);
}

#[tokio::test]
async fn an_orphaned_stateful_set_is_taken_over() {
    let api = cluster();
    look(&api).await.unwrap();
    api.change("demo", "db", |set: &mut StatefulSet| set.owner_references_mut().clear());
    look(&api).await.unwrap();
    assert_eq!(controller_of(&stateful_set(&api)).map(|owner| owner.uid.clone()), petset(&api).uid());
}

/// Kubernetes refuses to change this field. The pods stay, and the operator may end between the two steps.
#[tokio::test]
async fn a_stateful_set_is_made_anew_around_its_pods() {
    let api = cluster();
    look(&api).await.unwrap();
    observe(&api);
    look(&api).await.unwrap();
    let before = stateful_set(&api);
    api.put::<Pod>(
        &serde_json::from_value(serde_json::json!({
            "metadata": { "name": "db-0", "namespace": "demo", "ownerReferences": [before.controller_owner_ref(&())] },
        }))
        .unwrap(),
    );
    let status = petset(&api).status;
    api.change("demo", "db", |petset: &mut PetSet| {
        petset.spec.pod_management_policy = Some("Parallel".to_owned());
    });
    look(&api).await.unwrap();
    assert_eq!(api.list::<StatefulSet>(), []);
    look(&api).await.unwrap();
    let after = stateful_set(&api);
    assert_ne!(after.uid(), before.uid());
    assert_eq!(after.spec.unwrap().pod_management_policy.as_deref(), Some("Parallel"));
    assert_eq!(api.get::<Pod>("demo", "db-0").unwrap().owner_references(), []);
    assert_eq!(
        petset(&api).status.map(|status| status.ready_replicas),
        status.map(|status| status.ready_replicas)
    );
}

#[tokio::test]
async fn what_an_earlier_petset_of_the_name_has_left_must_go_first() {
    let api = cluster();
    look(&api).await.unwrap();
    api.change("demo", "db", |set: &mut StatefulSet| set.owner_references_mut()[0].uid = "old".to_owned());
    api.forget_requests();
    look(&api).await.unwrap();
    assert_eq!(api.writes(), []);
}

#[tokio::test]
async fn a_petset_that_is_being_deleted_is_left_to_the_garbage_collector() {
    let api = cluster();
    api.change("demo", "db", |petset: &mut PetSet| {
        petset.finalizers_mut().push("foregroundDeletion".to_owned());
        petset.metadata.deletion_timestamp = Some(Time(k8s_openapi::jiff::Timestamp::UNIX_EPOCH));
    });
    look(&api).await.unwrap();
    assert_eq!(api.list::<StatefulSet>(), []);
}

#[tokio::test]
async fn a_refused_change_waits_for_another_one() {
    let api = cluster();
    look(&api).await.unwrap();
    set_image(&api, "");
    api.fail_nth(1, 422);
    let error = look(&api).await.unwrap_err();
    assert_eq!((error.reason(), error.retry()), ("InvalidSpec", Retry::Never));
}

#[test]
fn an_immutable_field_is_explained() {
    let refused = WriteError::Refused {
        request: operator::Request {
            verb: "apply",
            kind: "StatefulSet".to_owned(),
            namespace: "demo".to_owned(),
            name: "db".to_owned(),
        },
        code: 422,
        message: "spec: Forbidden: updates to statefulset spec for fields other than 'replicas'".to_owned(),
    };
    let error = Error::from(refused);
    assert_eq!((error.reason(), error.retry()), ("ImmutableField", Retry::Never));
    assert!(error.to_string().contains("kubectl delete statefulset db --cascade=orphan"), "{error}");
}

#[tokio::test]
async fn a_cache_behind_our_own_write_is_not_believed() {
    let api = cluster();
    look(&api).await.unwrap();
    observe(&api);
    let before = context(&api);
    set_image(&api, "cassandra:5.0.6");
    reconcile(Arc::new(petset(&api)), Arc::clone(&before)).await.unwrap();
    set_image(&api, "cassandra:4.1.10");
    // The same caches: they still show the StatefulSet with the image that is wanted again.
    reconcile(Arc::new(petset(&api)), before).await.unwrap();
    assert!(observed_generation(&api) < petset(&api).metadata.generation);
    look(&api).await.unwrap();
    assert_eq!(image(&api).as_deref(), Some("cassandra:4.1.10"));
}
