//! A single node: its settings, and what remains after its deletion.

#![allow(clippy::unwrap_used, reason = "a panic is a failed test")]

use std::path::Path;

use anyhow::Result;
use e2e::client::{Login, cql};
use e2e::kubectl::{apply, condition, fresh_namespace, get, kubectl, patch, phase, text, wait_for};
use e2e::{manifests, operators};
use serde_json::{Value, json};

const CHART: &str = "../charts/cassandra-operators";
const NAMESPACE: &str = "e2e-standalone";
const CASSANDRA: &str = "cas/db";
const CLAIM: &str = "pvc/data-db-0";
const SECRET: &str = "secret/db-auth";

#[test]
fn the_lives_of_a_node() -> Result<()> {
    fresh_namespace(NAMESPACE)?;
    wrong_settings_are_named()?;
    settings_take_effect()?;
    a_set_of_the_release_before_is_made_anew_around_its_pod()?;
    do_not_terminate_means_it()?;
    halt_keeps_volume_and_login()?;
    delete_keeps_the_login()?;
    wipe_out_keeps_nothing()?;
    kubectl(&["delete", "namespace", NAMESPACE, "--timeout=120s"]).map(drop)
}

fn create(settings: &str, policy: &str) -> Result<()> {
    let mut node = manifests::standalone(NAMESPACE, "db", "4.1.10");
    node["spec"]["configuration"] = json!({ "inline": { "cassandra.yaml": settings } });
    node["spec"]["deletionPolicy"] = json!(policy);
    apply(&node.to_string()).map(drop)
}

fn delete() -> Result<()> {
    kubectl(&["delete", "-n", NAMESPACE, CASSANDRA, "--timeout=180s"]).map(drop)
}

/// Invalid YAML and a setting of the operator's own are refused before there is a pod; an unknown setting fails in Cassandra.
/// The status names each.
fn wrong_settings_are_named() -> Result<()> {
    for (settings, type_, said) in [
        ("num_tokens: [4", "ProvisioningStarted", "it is no valid YAML"),
        (
            "listen_address: 1.2.3.4",
            "ProvisioningStarted",
            "listen_address is set by the operator (it is the address of the pod); remove it",
        ),
        ("no_such_setting: 1", "ReplicaReady", "no_such_setting"),
    ] {
        create(settings, "WipeOut")?;
        wait_for(&format!("a word on {settings}"), NAMESPACE, 90, || {
            let cassandra = get(NAMESPACE, CASSANDRA)?;
            let message = condition(&cassandra, type_).map(|c| text(c, "/message")).unwrap_or_default();
            Ok(message.contains(said).then_some(()))
        })?;
        delete()?;
    }
    Ok(())
}

/// Cassandra refuses `commitlog_sync: batch` beside the period that its image has.
fn settings_take_effect() -> Result<()> {
    create("max_hint_window: 7h\ncommitlog_sync: batch\n", "DoNotTerminate")?;
    phase(NAMESPACE, CASSANDRA, &["Ready"], 180)?;
    let rows = cql(
        NAMESPACE,
        "db",
        &Login::Secret("db-auth"),
        "SELECT value FROM system_views.settings WHERE name = 'max_hint_window'",
    )?;
    assert!(rows[0].to_string().contains("7h"), "{rows:?}");
    Ok(())
}

/// `podManagementPolicy` of a StatefulSet is immutable.
fn a_set_of_the_release_before_is_made_anew_around_its_pod() -> Result<()> {
    const SET: &str = "statefulset/db";
    let uid = |object: &str| Ok::<_, anyhow::Error>(text(&get(NAMESPACE, object)?, "/metadata/uid"));
    let (pod, mut set) = (uid("pod/db-0")?, get(NAMESPACE, SET)?);
    assert_eq!(set["spec"]["podManagementPolicy"], "Parallel");
    set["spec"]["podManagementPolicy"] = json!("OrderedReady");
    set["status"] = Value::Null;
    for key in ["uid", "resourceVersion", "creationTimestamp", "generation", "managedFields"] {
        set["metadata"][key] = Value::Null;
    }
    operators::in_cluster(0, Path::new(CHART))?;
    kubectl(&["delete", "-n", NAMESPACE, SET, "--cascade=orphan", "--timeout=60s"])?;
    apply(&set.to_string())?;
    let old = uid(SET)?;
    operators::in_cluster(1, Path::new(CHART))?;
    wait_for("another StatefulSet around the pod", NAMESPACE, 60, || {
        let set = get(NAMESPACE, SET)?;
        let counted = set["status"]["readyReplicas"] == 1;
        Ok((counted && text(&set, "/metadata/uid") != old).then_some(()))
    })?;
    assert_eq!(get(NAMESPACE, SET)?["spec"]["podManagementPolicy"], "Parallel");
    assert_eq!(uid("pod/db-0")?, pod);
    phase(NAMESPACE, CASSANDRA, &["Ready"], 60).map(drop)
}

fn do_not_terminate_means_it() -> Result<()> {
    let said = kubectl(&["delete", "-n", NAMESPACE, CASSANDRA]).unwrap_err().to_string();
    assert!(said.contains("spec.deletionPolicy of Cassandra db is DoNotTerminate"), "{said}");
    assert!(get(NAMESPACE, CASSANDRA)?["metadata"]["deletionTimestamp"].is_null());
    Ok(())
}

/// The node comes back with its data and its password.
fn halt_keeps_volume_and_login() -> Result<()> {
    let login = Login::Secret("db-auth");
    let replication = "{'class': 'SimpleStrategy', 'replication_factor': 1}";
    cql(NAMESPACE, "db", &login, &format!("CREATE KEYSPACE kept WITH replication = {replication}"))?;
    let password = text(&get(NAMESPACE, SECRET)?, "/data/password");
    let volume = text(&get(NAMESPACE, CLAIM)?, "/metadata/uid");
    patch(NAMESPACE, CASSANDRA, &json!({ "spec": { "deletionPolicy": "Halt" } }))?;
    delete()?;
    assert_eq!(remains(), (true, true));

    create("max_hint_window: 7h\ncommitlog_sync: group\ncommitlog_sync_group_window: 15ms\n", "Delete")?;
    phase(NAMESPACE, CASSANDRA, &["Ready"], 180)?;
    assert_eq!(text(&get(NAMESPACE, SECRET)?, "/data/password"), password);
    assert_eq!(text(&get(NAMESPACE, CLAIM)?, "/metadata/uid"), volume);
    let kept = "SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = 'kept'";
    assert_eq!(cql(NAMESPACE, "db", &login, kept)?.len(), 1);
    Ok(())
}

fn delete_keeps_the_login() -> Result<()> {
    delete()?;
    assert_eq!(remains(), (false, true));
    Ok(())
}

/// This works even if the Cassandra was never Ready.
fn wipe_out_keeps_nothing() -> Result<()> {
    create("max_hint_window: 7h", "WipeOut")?;
    wait_for("volume and login", NAMESPACE, 60, || Ok((remains() == (true, true)).then_some(())))?;
    delete()?;
    assert_eq!(remains(), (false, false));
    Ok(())
}

/// Whether volume and login exist and are not being deleted.
fn remains() -> (bool, bool) {
    let stays = |object: &str| {
        let found = get(NAMESPACE, object).unwrap_or_default();
        found != Value::Null && found["metadata"]["deletionTimestamp"].is_null()
    };
    (stays(CLAIM), stays(SECRET))
}
