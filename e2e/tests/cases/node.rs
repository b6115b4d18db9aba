//! What can happen to a single node in use.

use anyhow::{Result, ensure};
use e2e::client::{Login, cql};
use e2e::kubectl::{apply, fresh_namespace, get, kubectl, patch, phase, text, wait_for};
use e2e::manifests::standalone;
use serde_json::{Value, json};

use crate::made::restart_the_provisioner;
use crate::{Case, told};

pub const CASES: &[Case] = &[
    ("the login is pruned", pruned),
    ("a Service that cannot change", service),
    ("restored from a backup", restored),
    ("restored in the middle", restored_in_the_middle),
];

pub const N: &str = "cases-node";
pub const DB: &str = "cas/db";
pub const LOGIN: Login = Login::Secret("db-auth");
const TRACKED: &str = "argocd.argoproj.io/instance";

/// Creates the node with a row in it, unless it exists, and waits until it is Ready.
pub fn node() -> Result<()> {
    if text(&get(N, DB).unwrap_or_default(), "/status/phase").is_empty() {
        fresh_namespace(N)?;
        let mut db = standalone(N, "db", "5.0.6");
        db["metadata"]["labels"] = json!({
            TRACKED: "shop-db", "kapp.k14s.io/app": "1700000000000000000", "app.kubernetes.io/instance": "db",
        });
        db["spec"]["deletionPolicy"] = json!("Halt");
        let settings = "commitlog_sync: group\ncommitlog_sync_group_window: 15ms\n";
        db["spec"]["configuration"] = json!({ "inline": { "cassandra.yaml": settings } });
        apply(&db.to_string())?;
        ready()?;
        let replication = "{'class': 'SimpleStrategy', 'replication_factor': 1}";
        cql(N, "db", &LOGIN, &format!("CREATE KEYSPACE shop WITH replication = {replication}"))?;
        cql(N, "db", &LOGIN, "CREATE TABLE shop.orders (id int PRIMARY KEY)")?;
        cql(N, "db", &LOGIN, "INSERT INTO shop.orders (id) VALUES (7)")?;
    }
    ready()
}

pub fn ready() -> Result<()> {
    phase(N, DB, &["Ready"], 240).map(drop)
}

/// The acknowledged row is there.
pub fn has_its_row() -> Result<()> {
    let rows = cql(N, "db", &LOGIN, "SELECT id FROM shop.orders")?;
    ensure!(rows.len() == 1, "{} rows instead of one", rows.len());
    Ok(())
}

/// A GitOps tool deletes objects that have the application's label, no owner, and are not in Git. Then the Secret itself is
/// deleted.
fn pruned() -> Result<String> {
    node()?;
    let label = format!("{TRACKED}=shop-db");
    let tracked: Value =
        serde_json::from_str(&kubectl(&["get", "secret", "-n", N, "-l", &label, "-o", "json"])?)?;
    let orphans = tracked["items"].as_array().into_iter().flatten();
    let orphans: Vec<_> = orphans
        .filter(|secret| secret["metadata"]["ownerReferences"].is_null())
        .map(|secret| text(secret, "/metadata/name"))
        .collect();
    ensure!(orphans.is_empty(), "the tool would prune {orphans:?}");
    let password = text(&get(N, "secret/db-auth")?, "/data/password");
    kubectl(&["delete", "secret", "db-auth", "-n", N])?;
    wait_for("the Secret of the login", N, 90, || {
        Ok((text(&get(N, "secret/db-auth")?, "/data/password") == password).then_some(()))
    })?;
    restart_the_provisioner()?;
    ready()?;
    has_its_row()?;
    Ok("nothing to prune; put back with the same password".to_owned())
}

/// Kubernetes cannot make a Service headless that has an address; the pods are looked after all the same.
fn service() -> Result<String> {
    node()?;
    let with = |spec: Value| {
        patch(N, DB, &json!({ "spec": { "serviceTemplates": [{ "alias": "primary", "spec": spec }] } }))
    };
    with(json!({ "type": "ClusterIP", "clusterIP": "None" }))?;
    let said = told(N, DB, "ObjectsApplied", "Service")?;
    patch(
        N,
        DB,
        &json!({ "spec": { "podTemplate": { "metadata": { "annotations": { "seen": "yes" } } } } }),
    )?;
    wait_for("the change of the pod template", N, 60, || {
        let set = get(N, "statefulset/db")?;
        Ok((text(&set, "/spec/template/metadata/annotations/seen") == "yes").then_some(()))
    })?;
    patch(N, DB, &json!({ "spec": { "serviceTemplates": Value::Null } }))?;
    told(N, DB, "ObjectsApplied", "as they should be")?;
    ready()?;
    Ok(said)
}

/// Restores as a backup tool does: without UIDs, owners, finalizers and status.
fn restored() -> Result<String> {
    node()?;
    let mut dump = get(N, "sa,secret,svc,pdb,petset,appbinding,cassandra")?;
    let items = dump["items"].as_array_mut().map(std::mem::take).unwrap_or_default();
    let kept = items
        .into_iter()
        .filter(|object| !["default", "kube-root-ca.crt"].contains(&text(object, "/metadata/name").as_str()));
    let stripped: Vec<Value> = kept.map(stripped).collect();
    kubectl(&["delete", DB, "-n", N, "--timeout=180s"])?;
    for object in &stripped {
        let created = apply(&object.to_string());
        ensure!(created.is_ok(), "{} {}: {created:?}", object["kind"], object["metadata"]["name"]);
    }
    // No status was restored: the provisioner must find out everything anew.
    wait_for("the provisioner to look at it", N, 60, || {
        Ok((!get(N, DB)?["status"]["phase"].is_null()).then_some(()))
    })?;
    ready()?;
    told(N, DB, "ObjectsApplied", "as they should be").or_else(|_| Ok::<_, anyhow::Error>(String::new()))?;
    has_its_row()?;
    let owners = text(&get(N, "petset/db")?, "/metadata/ownerReferences/0/uid");
    ensure!(owners == text(&get(N, DB)?, "/metadata/uid"), "the PetSet is nobody's");
    Ok("all objects adopted, Ready, the row is there".to_owned())
}

fn stripped(mut object: Value) -> Value {
    if let Some(it) = object.as_object_mut() {
        it.remove("status");
    }
    if let Some(metadata) = object["metadata"].as_object_mut() {
        for key in [
            "uid",
            "resourceVersion",
            "creationTimestamp",
            "generation",
            "managedFields",
            "ownerReferences",
            "finalizers",
        ] {
            metadata.remove(key);
        }
    }
    if object["kind"] == "Service"
        && object["spec"]["clusterIP"] != "None"
        && let Some(spec) = object["spec"].as_object_mut()
    {
        spec.remove("clusterIP");
        spec.remove("clusterIPs");
    }
    object
}

/// The backup was taken while a request had halted the Cassandra, and that request does not exist any more.
fn restored_in_the_middle() -> Result<String> {
    const M: &str = "cases-middle";
    fresh_namespace(M)?;
    let mut middle = standalone(M, "db", "4.1.10");
    middle["spec"]["halted"] = json!(true);
    middle["metadata"]["annotations"] =
        json!({ "ops.kubedb.com/halted-by": "4d1c6f0e-0000-4000-8000-000000000000" });
    apply(&middle.to_string())?;
    phase(M, DB, &["Ready"], 240)?;
    let found = get(M, DB)?;
    ensure!(text(&found, "/spec/halted") == "false", "it is still halted");
    e2e::kubectl::remove_namespace(M)?;
    Ok("Ready, resumed".to_owned())
}
