//! From request to halt against an in-memory API server: what is created there, and what is left.

use api::condition::{self, Statement};
use api::halt::{HALTED_BY, Halt};
use api::labels;
use api::{Cassandra, CassandraOpsRequest, CassandraVersion, PetSet};
use cassandra::Sessions;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use operator::testing::FakeApi;
use operator::{Cache, Object};
use serde_json::{Value, json};

use super::*;

fn read<K: Object>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}

/// A ring of one node whose health is not required (`apply: Always`), and a request for it.
fn cluster() -> FakeApi {
    let api = FakeApi::new();
    for version in ["4.1.10", "5.0.6"] {
        let spec = json!({ "version": version, "db": { "image": format!("cassandra:{version}") } });
        api.put::<CassandraVersion>(&read(json!({ "metadata": { "name": version }, "spec": spec })));
    }
    api.put::<Cassandra>(&read(json!({
        "metadata": { "name": "db", "namespace": "ns" },
        "spec": { "version": "4.1.10", "disableSecurity": true, "storage": {} },
    })));
    let labels = labels::petset_selectors("db", "db");
    let pod =
        json!({ "nodeName": "k-1", "containers": [{ "name": "cassandra", "image": "cassandra:4.1.10" }] });
    api.put::<PetSet>(&read(json!({
        "metadata": { "name": "db", "namespace": "ns", "labels": labels },
        "spec": { "serviceName": "db-pods", "selector": {}, "template": { "spec": pod } },
    })));
    api.put::<Pod>(&read(json!({
        "metadata": { "name": "db-0", "namespace": "ns", "labels": labels },
        "spec": pod,
        "status": { "conditions": [{ "type": "Ready", "status": "True" }] },
    })));
    api.put::<CassandraOpsRequest>(&read(json!({
        "metadata": { "name": "update", "namespace": "ns" },
        "spec": {
            "type": "UpdateVersion", "databaseRef": { "name": "db" }, "apply": "Always",
            "updateVersion": { "targetVersion": "5.0.6" },
        },
    })));
    api
}

/// One reconcile of an operator that has just started.
async fn look(api: &FakeApi) -> bool {
    look_at(api, request(api)).await.is_ok()
}

/// The same, with `request` as its cache shows it.
async fn look_at(api: &FakeApi, request: CassandraOpsRequest) -> Result<Option<Duration>, WriteError> {
    look_beside(api, request, api.cache()).await
}

/// The same, with a given cache of requests.
async fn look_beside(
    api: &FakeApi,
    request: CassandraOpsRequest,
    requests: Cache<CassandraOpsRequest>,
) -> Result<Option<Duration>, WriteError> {
    Box::pin(advance(Arc::new(request), &context(api, requests))).await
}

fn context(api: &FakeApi, requests: Cache<CassandraOpsRequest>) -> Context {
    Context {
        operator: api.operator("ops-manager"),
        sessions: Sessions::new(),
        requests,
        cassandras: api.cache(),
        versions: api.cache(),
        petsets: api.cache(),
        pods: api.cache(),
        image: "render-config:1".to_owned(),
        newest: Arc::default(),
    }
}

fn request(api: &FakeApi) -> CassandraOpsRequest {
    api.get("ns", "update").unwrap()
}

fn pull_pod(api: &FakeApi) -> Option<Pod> {
    api.get("ns", "update-pull-db-0")
}

fn pull_image(api: &FakeApi) -> (String, String) {
    let conditions = request(api).status.unwrap_or_default().conditions;
    condition::get(&conditions, "PullImage")
        .map(|c| (c.status.clone(), c.message.clone()))
        .unwrap_or_default()
}

fn kubelet(api: &FakeApi, image_id: &str, state: &Value) {
    if pull_pod(api).is_some() {
        api.change("ns", "update-pull-db-0", |pod: &mut Pod| {
            pod.status = Some(
                serde_json::from_value(json!({ "containerStatuses": [{
                    "name": "pull", "image": "cassandra:5.0.6", "imageID": image_id,
                    "ready": false, "restartCount": 0, "state": state,
                }]}))
                .unwrap(),
            );
        });
    }
}

#[tokio::test]
async fn the_pod_that_pulls_is_there_before_the_halt_and_gone_with_it() {
    let api = cluster();
    assert!(look(&api).await);
    assert_eq!(pull_pod(&api).unwrap().spec.unwrap().node_name.as_deref(), Some("k-1"));
    assert_eq!(pull_image(&api), ("False".to_owned(), "image cassandra:5.0.6 is pulled on k-1".to_owned()));
    assert!(look(&api).await);
    assert_eq!(request(&api).phase(), Phase::Pending);

    kubelet(&api, "sha256:1", &json!({ "terminated": { "exitCode": 0 } }));
    assert!(look(&api).await);
    assert_eq!(request(&api).phase(), Phase::Progressing);
    assert_eq!(pull_image(&api), ("True".to_owned(), "image cassandra:5.0.6 is on 1 of 1 nodes".to_owned()));
    assert!(look(&api).await);
    assert_eq!((pull_pod(&api), api.list::<Pod>().len()), (None, 1));
    assert_eq!(Halt::of(&api.get("ns", "db").unwrap()), Halt::None);
    assert!(look(&api).await);
    assert_ne!(Halt::of(&api.get("ns", "db").unwrap()), Halt::None);
}

#[tokio::test]
async fn a_new_leader_does_not_go_on_from_what_an_old_cache_tells() {
    let api = cluster();
    api.fail_nth(1, 403);
    while request(&api).phase() != Phase::Progressing {
        assert!(look(&api).await);
    }
    let old = request(&api);
    api.change("ns", "update", |request: &mut CassandraOpsRequest| {
        let record = request.status.as_mut().and_then(|status| status.update_version.as_mut());
        record.unwrap().roll_back = Some("it crashes".to_owned());
    });
    let before = request(&api);
    assert!(look_at(&api, old).await.is_ok());
    assert_eq!(request(&api), before, "nothing was told");
    assert_eq!(Halt::of(&api.get("ns", "db").unwrap()), Halt::None, "nothing was done");
    assert!(look(&api).await);
}

/// A pod event triggers a reconcile before the watch event of the status write has arrived.
#[tokio::test]
async fn nothing_is_done_again_before_the_own_status_is_seen() {
    let api = cluster();
    api.fail_nth(1, 403);
    while request(&api).phase() != Phase::Progressing {
        assert!(look(&api).await);
    }
    let context = context(&api, api.cache());
    while Halt::of(&api.get("ns", "db").unwrap()) == Halt::None {
        let before = Arc::new(request(&api));
        assert!(Box::pin(advance(Arc::clone(&before), &context)).await.is_ok());
        let written = request(&api);
        api.forget_requests();
        assert!(Box::pin(advance(before, &context)).await.is_ok(), "the own status is no conflict");
        assert_eq!((api.writes().len(), request(&api)), (0, written));
    }
}

/// The operator dies after any of its writes, and another one continues.
#[tokio::test]
async fn a_missing_image_is_found_and_nothing_is_left_wherever_the_operator_ends() {
    for last in 0..6 {
        let api = cluster();
        let database: Cassandra = api.get("ns", "db").unwrap();
        api.fail_after(last);
        for n in 0..12 {
            look(&api).await;
            kubelet(
                &api,
                "",
                &json!({ "waiting": { "reason": "ImagePullBackOff", "message": "not there" } }),
            );
            if n == 5 {
                api.heal();
            }
        }
        assert_eq!(request(&api).phase(), Phase::Failed, "ended after write {last}");
        assert_eq!((pull_pod(&api), api.list::<Pod>().len()), (None, 1));
        assert_eq!(api.get::<Cassandra>("ns", "db").unwrap(), database);
    }
}

#[tokio::test]
async fn a_pod_that_is_not_let_in_is_told_and_not_waited_for() {
    let api = cluster();
    api.fail_nth(1, 403);
    assert!(look(&api).await);
    assert!(pull_image(&api).1.contains("is not pulled before the update begins"));
    assert!(look(&api).await);
    assert_eq!((request(&api).phase(), pull_pod(&api)), (Phase::Progressing, None));
    assert!(pull_image(&api).1.contains("is not pulled before the update begins"));
}

/// A ring may take many seconds to answer. Here another request begins meanwhile.
#[tokio::test]
async fn a_request_that_begins_while_the_ring_is_asked_goes_first() {
    const ADDRESS: &str = "127.245.9.1";
    let api = cluster();
    api.change("ns", "db-0", |pod: &mut Pod| {
        pod.status.as_mut().unwrap().pod_ip = Some(ADDRESS.to_owned());
    });
    let operator = api.operator("ops-manager");
    let requests = Cache::builder(&operator, operator.api(None)).start();
    requests.ready().await;
    let node = tokio::net::TcpListener::bind((ADDRESS, 9042)).await.unwrap();
    let busy = {
        let (api, requests) = (api.clone(), requests.clone());
        async move {
            let (asked, _) = node.accept().await.unwrap();
            let mut other = request(&api);
            other.metadata.name = Some("other".to_owned());
            other.status.get_or_insert_default().phase = Some(Phase::Progressing);
            api.put(&other);
            while requests.get("ns", "other").is_none() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            drop((asked, node));
        }
    };
    let looked = look_beside(&api, request(&api), requests);
    let (looked, ()) = tokio::join!(looked, busy);
    assert!(looked.is_ok());
    let conditions = request(&api).status.unwrap_or_default().conditions;
    let waiting = condition::get(&conditions, "Waiting").cloned().unwrap();
    assert_eq!((waiting.reason.as_str(), pull_pod(&api)), ("Queued", None), "{}", waiting.message);
}

/// Somebody else may get the address of a pod that is gone, and would be sent the password.
#[tokio::test]
async fn no_session_is_kept_to_a_node_that_is_gone_or_without_need() {
    let [there, gone] = ["127.245.9.2", "127.245.9.3"].map(|ip| format!("{ip}:9042").parse().unwrap());
    let api = cluster();
    let ip = |ip: &str| {
        let ip = ip.to_owned();
        move |pod: &mut Pod| pod.status.as_mut().unwrap().pod_ip = Some(ip.clone())
    };
    api.change("ns", "db-0", ip("127.245.9.2"));
    let busy = context(&api, api.cache());
    for address in [there, gone] {
        assert!(busy.sessions.node(address, None, Duration::from_secs(1)).await.is_err(), "nobody listens");
    }
    probe::forget(&busy);
    assert_eq!(busy.sessions.addresses(), [there]);

    api.change("ns", "update", |request: &mut CassandraOpsRequest| {
        request.status.get_or_insert_default().phase = Some(Phase::Successful);
    });
    let idle = Context { sessions: busy.sessions.clone(), ..context(&api, api.cache()) };
    probe::forget(&idle);
    assert_eq!(idle.sessions.addresses(), [], "no request is under way");
}

/// A policy may refuse for ever, and events expire after an hour.
#[tokio::test]
async fn a_write_that_is_refused_is_told_and_timed() {
    let api = cluster();
    // The pod that pulls is refused too.
    api.fail_nth(1, 403);
    assert!(look(&api).await && look(&api).await);
    assert_eq!(request(&api).phase(), Phase::Progressing);
    api.refuse("/cassandras/db", 403, "frozen until Monday");
    for _ in 0..2 {
        assert!(look(&api).await, "it is no failure of the operator");
    }
    let status = request(&api).status.unwrap();
    let halting = condition::get(&status.conditions, "PauseDatabase").unwrap();
    assert_eq!(halting.reason, "WriteRefused");
    assert!(halting.message.contains("frozen until Monday"), "{}", halting.message);
    assert_eq!(status.step.unwrap().name, "halt");
}

#[tokio::test]
async fn a_newer_request_that_cannot_be_done_takes_nobody_s_place() {
    for (target, phase) in [("9.9.9", Phase::Pending), ("5.0.6", Phase::Skipped)] {
        let api = cluster();
        let mut later = request(&api);
        later.metadata = serde_json::from_value(json!({
            "name": "later", "namespace": "ns", "uid": "later", "creationTimestamp": "2126-01-01T00:00:00Z",
        }))
        .unwrap();
        later.spec.update_version.as_mut().unwrap().target_version = target.to_owned();
        api.put(&later);
        assert!(look(&api).await);
        assert_eq!(request(&api).phase(), phase, "beside one that asks for {target}");
    }
}

/// Two requests have begun at the same moment, and the cache does not show yet that the other one has halted and resumed.
#[tokio::test]
async fn no_request_halts_while_another_one_is_under_way() {
    let api = cluster();
    api.fail_nth(1, 403);
    while request(&api).phase() == Phase::Pending {
        assert!(look(&api).await);
    }
    let outdated = api.cache::<CassandraOpsRequest>();
    let mut other = request(&api);
    other.metadata.name = Some("other".to_owned());
    other.metadata.uid = Some("other".to_owned());
    let status = other.status.get_or_insert_default();
    let [type_, reason, message] = ["PauseDatabase", "Paused", ""].map(str::to_owned);
    let halted = Statement { type_, status: true, reason, message, generation: None };
    condition::set(&mut status.conditions, halted, &Time(Timestamp::UNIX_EPOCH));
    api.put(&other);
    let halt = || Halt::of(&api.get::<Cassandra>("ns", "db").unwrap());
    assert!(look_beside(&api, request(&api), outdated).await.is_ok());
    assert_eq!(halt(), Halt::None, "it waits for its cache");
    assert!(look(&api).await);
    assert_eq!(halt(), Halt::None, "it waits for the other one");
    api.change("ns", "other", |other: &mut CassandraOpsRequest| {
        other.status.get_or_insert_default().phase = Some(Phase::Failed);
    });
    assert!(look(&api).await);
    assert!(matches!(halt(), Halt::Request(_)), "its turn has come");
}

/// A user has lifted the halt of a roll-back. By a PetSet of before its image was set, nothing is left to do.
#[tokio::test]
async fn no_halt_ends_by_an_outdated_petset() {
    let api = cluster();
    api.fail_nth(1, 403);
    let database = || api.get::<Cassandra>("ns", "db").unwrap();
    while Halt::of(&database()) == Halt::None {
        assert!(look(&api).await);
    }
    let outdated = api.cache::<PetSet>();
    api.change("ns", "db", |petset: &mut PetSet| {
        desired::set_release(&mut petset.spec.template, "cassandra:5.0.6", None);
    });
    api.change("ns", "db", |cassandra: &mut Cassandra| cassandra.spec.halted = false);
    api.change("ns", "update", |request: &mut CassandraOpsRequest| {
        let record = request.status.as_mut().and_then(|status| status.update_version.as_mut());
        record.unwrap().roll_back = Some("it was deleted".to_owned());
    });
    let stale = Context { petsets: outdated, ..context(&api, api.cache()) };
    assert!(Box::pin(advance(Arc::new(request(&api)), &stale)).await.is_ok());
    assert!(database().annotations().contains_key(HALTED_BY), "it waits for its cache");
    assert!(look(&api).await);
    assert_ne!(Halt::of(&database()), Halt::None, "it goes on with its roll-back");
}

/// After the resume the provisioner has nothing to do.
#[tokio::test]
async fn a_petset_is_changed_as_the_provisioner_would_change_it() {
    let api = cluster();
    let image = context(&api, api.cache()).image;
    let cassandra: Cassandra = api.get("ns", "db").unwrap();
    let built = |version: &str| {
        let version: CassandraVersion = api.get("", version).unwrap();
        let (resolved, version) = (desired::Resolved::of(&cassandra), &version);
        let keys = desired::Configuration::of(&resolved, None, &desired::Stored::default()).keys;
        desired::petsets(&resolved, &desired::Inputs { version, image: &image, keys: &keys }).remove(0)
    };
    api.delete::<PetSet>("ns", "db");
    let provisioner = api.operator("provisioner").writer;
    assert!(provisioner.apply(built("4.1.10"), None).await.unwrap().written);
    let context = context(&api, api.cache());
    let observed = picture(Arc::new(request(&api)), &context);
    let step = Step::SetImage { petset: "db".to_owned(), image: "cassandra:5.0.6".to_owned(), users: None };
    assert!(effects::perform(&context, &observed, &step).await.is_ok());
    let present: PetSet = api.get("ns", "db").unwrap();
    assert_eq!(present.spec, built("5.0.6").spec);
    assert!(!provisioner.apply(built("5.0.6"), Some(&present)).await.unwrap().written);
}
