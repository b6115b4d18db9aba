//! What a ring keeps when its objects are lost, restored or created again.

use api::names;
use k8s_openapi::ByteString;

use super::*;

/// The cluster name as the pods get it.
fn cluster_name(api: &FakeApi) -> String {
    let petset = api.list::<PetSet>().remove(0);
    let volumes = petset.spec.template.spec.unwrap().volumes.unwrap();
    let volume = volumes.into_iter().find(|volume| volume.name == "operator-config").unwrap();
    let secret: Secret = api.get(NAMESPACE, &volume.secret.unwrap().secret_name.unwrap()).unwrap();
    let settings = String::from_utf8(secret.data.unwrap()["operator.yaml"].0.clone()).unwrap();
    let line = settings.lines().find(|line| line.starts_with("cluster_name: ")).unwrap();
    line.trim_start_matches("cluster_name: ").trim_matches('"').to_owned()
}

/// Creates the claim from the claim template, like the StatefulSet controller.
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

/// A ring created by an older release: cluster name equal to the Cassandra's, settings in `db-config`, no annotations.
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
    let (api, states) = (durable(&json!({})), RingStates::default());
    begin(&api, &states).await;
    assert_eq!(cluster_name(&api), "db.demo");
}

#[tokio::test]
async fn a_ring_of_an_older_release_keeps_its_name_and_the_secret_that_its_pods_mount() {
    let (api, states) = (durable(&json!({})), RingStates::default());
    begin(&api, &states).await;
    make_old(&api);
    let before: Vec<_> = api.list::<PetSet>().into_iter().map(|petset| petset.spec).collect();
    for states in [states, RingStates::default()] {
        step(&api, &states).await.unwrap();
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
    let (api, states) = (durable(&json!({})), RingStates::default());
    let again = cassandra(&api);
    begin(&api, &states).await;
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
    end(&api, &states).await;
    assert!(api.list::<PetSet>().is_empty());
    api.put(&again);
    begin(&api, &RingStates::default()).await;
    assert_eq!(cluster_name(&api), name);
    assert_eq!(tokens(&api), None, "the data may have been made with others");
}

fn tokens(api: &FakeApi) -> Option<String> {
    api.list::<PetSet>().pop()?.annotations().get(names::NUM_TOKENS).cloned()
}

#[tokio::test]
async fn what_the_user_says_of_tokens_holds_from_the_first_time_that_the_ring_is_whole() {
    let said = |tokens: u32| {
        let text = format!("num_tokens: {tokens}");
        serde_json::from_value(json!({ "inline": { "cassandra.yaml": text } })).unwrap()
    };
    let (api, states) = (durable(&json!({})), RingStates::default());
    for tokens_said in [8, 4] {
        api.change(NAMESPACE, "db", |one: &mut Cassandra| one.spec.configuration = Some(said(tokens_said)));
        begin(&api, &states).await;
        assert_eq!(tokens(&api), Some(tokens_said.to_string()), "nothing has been made with others yet");
    }
    api.change(NAMESPACE, "db", |one: &mut Cassandra| {
        one.status.get_or_insert_default().host_ids.insert("db-rack-a-0".to_owned(), "1".to_owned());
        one.spec.configuration = Some(said(16));
    });
    begin(&api, &states).await;
    assert_eq!(tokens(&api), Some("4".to_owned()));
    let (reason, message) = condition(&api, "ProvisioningStarted");
    assert_eq!(reason, "ConfigInvalid", "{message}");
}

#[tokio::test]
async fn volumes_of_two_clusters_are_not_put_into_one_ring() {
    let (api, states) = (durable(&json!({})), RingStates::default());
    for (claim, cluster) in [("data-db-rack-a-0", "db.demo"), ("data-db-rack-b-0", "db.prod")] {
        let annotations = json!({ "kubedb.com/cluster-name": cluster });
        let metadata = json!({ "name": claim, "namespace": NAMESPACE, "annotations": annotations });
        api.put::<PersistentVolumeClaim>(&serde_json::from_value(json!({ "metadata": metadata })).unwrap());
    }
    step(&api, &states).await.unwrap();
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
    let (api, states) = (durable(&json!({})), RingStates::default());
    begin(&api, &states).await;
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

    step(&api, &RingStates::default()).await.unwrap();
    let uid = cassandra(&api).uid().unwrap();
    owned::<PetSet>(&api, &uid, 2);
    owned::<Service>(&api, &uid, 3);
    owned::<ServiceAccount>(&api, &uid, 1);
    owned::<PodDisruptionBudget>(&api, &uid, 1);
    owned::<AppBinding>(&api, &uid, 1);
    owned::<Secret>(&api, &uid, 1);
    assert_eq!(cluster_name(&api), "db");
}

/// As after the first time that all nodes were Ready.
fn is_in_use(api: &FakeApi) {
    api.change(NAMESPACE, "db", |cassandra: &mut Cassandra| {
        let provisioned = condition::Statement {
            type_: condition_type::PROVISIONED.to_owned(),
            status: true,
            reason: "DatabaseSuccessfullyProvisioned".to_owned(),
            message: String::new(),
            generation: None,
        };
        let status = cassandra.status.get_or_insert_default();
        condition::set(
            &mut status.conditions,
            provisioned,
            &serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap(),
        );
    });
}

fn edit_template(api: &FakeApi, rack: usize) {
    api.change(NAMESPACE, "db", |cassandra: &mut Cassandra| {
        let container = json!({ "name": "cassandra", "env": [{ "name": "EDITED", "value": "yes" }] });
        let template = json!({ "spec": { "containers": [container] } });
        cassandra.spec.topology.as_mut().unwrap().rack[rack].pod_template =
            serde_json::from_value(template).unwrap();
    });
}

fn templates(api: &FakeApi) -> Vec<Value> {
    api.list::<PetSet>().iter().map(|petset| serde_json::to_value(&petset.spec.template).unwrap()).collect()
}

#[tokio::test]
async fn a_ring_in_use_keeps_its_templates_and_says_what_they_lack() {
    let (api, states) = (durable(&json!({})), RingStates::default());
    begin(&api, &states).await;
    is_in_use(&api);
    let before = templates(&api);
    edit_template(&api, 1);
    api.change::<PetSet>(NAMESPACE, "db-rack-b", |petset| petset.spec.replicas = Some(7));
    api.forget_requests();
    step(&api, &states).await.unwrap();
    assert_eq!(templates(&api), before);
    assert_eq!(
        api.get::<PetSet>(NAMESPACE, "db-rack-b").unwrap().spec.replicas,
        Some(1),
        "the rest is kept up"
    );
    let (reason, message) = condition(&api, condition_type::RESTART_REQUIRED);
    assert_eq!(reason, "TemplateChanged");
    assert!(message.contains("in spec.containers[cassandra].env[EDITED]): db-rack-b-0. "), "{message}");

    api.forget_requests();
    step(&api, &states).await.unwrap();
    let of_petsets = api.writes().into_iter().filter(|write| write.path.contains("/petsets/")).count();
    assert_eq!(of_petsets, 0, "what waits costs no write");
}

#[rstest]
#[case::that_was_never_ready(false)]
#[case::without_volumes(true)]
#[tokio::test]
async fn a_ring_gets_an_edit_at_once(#[case] in_use: bool) {
    let (api, states) = (if in_use { fake(&json!({})) } else { durable(&json!({})) }, RingStates::default());
    begin(&api, &states).await;
    if in_use {
        is_in_use(&api);
    }
    edit_template(&api, 0);
    step(&api, &states).await.unwrap();
    assert!(templates(&api)[0].to_string().contains("EDITED"));
}

#[tokio::test]
async fn a_template_that_somebody_else_has_edited_is_put_back() {
    let (api, states) = (durable(&json!({})), RingStates::default());
    begin(&api, &states).await;
    is_in_use(&api);
    let before = templates(&api);
    api.change::<PetSet>(NAMESPACE, "db-rack-a", |petset| {
        petset.spec.template.spec.as_mut().unwrap().containers[0].image = Some("theirs:1".to_owned());
    });
    step(&api, &states).await.unwrap();
    assert_eq!(templates(&api), before);
}

/// What the nodes read of a file if they start now.
fn read(api: &FakeApi, file: &str) -> Vec<String> {
    let read = |petset: PetSet| {
        let mounted = desired::mounted_by(&petset).into_iter().find(|it| it.file == file)?;
        let data = api.get::<Secret>(NAMESPACE, mounted.secret)?.data?.remove(mounted.key)?;
        String::from_utf8(data.0).ok()
    };
    api.list::<PetSet>().into_iter().filter_map(read).collect()
}

#[tokio::test]
async fn settings_of_a_ring_in_use_wait_with_the_template() {
    let inline = |text: &str| json!({ "inline": { "cassandra.yaml": text } });
    let (api, states) =
        (durable(&json!({ "configuration": inline("max_hint_window: 2h") })), RingStates::default());
    begin(&api, &states).await;
    is_in_use(&api);
    let before = templates(&api);
    api.change(NAMESPACE, "db", |one: &mut Cassandra| {
        one.spec.configuration = serde_json::from_value(inline("max_hint_window: 5h")).unwrap();
    });
    step(&api, &states).await.unwrap();
    assert_eq!(
        (templates(&api), read(&api, "inline.yaml")),
        (before, vec!["max_hint_window: 2h".to_owned(); 2])
    );
    let (_, message) = condition(&api, condition_type::RESTART_REQUIRED);
    assert!(message.contains("in spec.volumes[operator-config]"), "{message}");
    let stored = cassandra(&api).status.unwrap().configuration.unwrap();
    let secret: Secret =
        api.get(NAMESPACE, &names::config_secret("db", &cassandra(&api).uid().unwrap())).unwrap();
    assert_eq!(secret.data.unwrap()[&stored.keys["inline.yaml"]].0, b"max_hint_window: 5h");

    api.forget_requests();
    step(&api, &states).await.unwrap();
    let of_objects = api.writes().into_iter().filter(|write| !write.path.ends_with("/status")).count();
    assert_eq!(of_objects, 0, "what waits costs no write");
}

#[tokio::test]
async fn a_secret_with_settings_is_copied_and_may_go() {
    let api = durable(&json!({ "configuration": { "secretName": "theirs" } }));
    let text = |hours: &str| format!("max_hint_window: {hours}h");
    let put = |hours: &str| {
        api.put(&Secret {
            data: Some([("cassandra.yaml".to_owned(), ByteString(text(hours).into_bytes()))].into()),
            ..secret("theirs", &json!({}))
        })
    };
    put("2");
    begin(&api, &RingStates::default()).await;
    is_in_use(&api);
    let (before, was) = (templates(&api), vec![text("2"); 2]);
    api.delete::<Secret>(NAMESPACE, "theirs");
    let theirs = put("5");
    step(&api, &RingStates::default()).await.unwrap();
    assert_eq!((templates(&api), read(&api, "cassandra.yaml")), (before, was.clone()));
    assert!(condition(&api, condition_type::RESTART_REQUIRED).1.contains("volumes[custom-config]"));
    let stored = cassandra(&api).status.unwrap().configuration.unwrap();
    assert_eq!(stored.copied, theirs.metadata.resource_version);

    api.delete::<Secret>(NAMESPACE, "theirs");
    step(&api, &RingStates::default()).await.unwrap();
    assert_eq!(condition(&api, condition_type::PROVISIONING_STARTED).0, "ConfigSecretInvalid");
    assert_eq!(read(&api, "cassandra.yaml"), was);
    assert_eq!(cassandra(&api).status.unwrap().configuration, Some(stored), "it is stored still");
}
