//! Every rule of the API, checked with a real API server by dry runs, which store nothing.

#![allow(clippy::unwrap_used, reason = "a panic is a failed test")]

mod cassandra;
mod kubedb;
mod others;
mod pods;
mod pulls;
mod transitions;
mod unsupported;

use e2e::kubectl;
use serde_json::{Value, json};

/// Reported beside the real causes when a rule could not be evaluated.
const NOT_CHECKED: &str = "some validation rules were not checked";

/// Why `kubectl apply` of a manifest is refused, cause by cause; empty if it is accepted.
fn refusals(manifest: &Value) -> Vec<String> {
    kubectl::try_apply(&manifest.to_string()).err().map_or(vec![], |error| causes(&error.to_string()))
}

fn causes(said: &str) -> Vec<String> {
    let starts = ["is invalid: ", "strict decoding error: ", "denied request: "];
    let said = starts.iter().find_map(|start| said.split_once(start)).map_or(said, |(_, causes)| causes);
    said.split("\n* ")
        .map(|cause| cause.trim().trim_start_matches("* ").to_owned())
        .filter(|cause| !cause.is_empty() && !cause.contains(NOT_CHECKED))
        .collect()
}

fn assert_refused(manifest: &Value, cause: &str) {
    assert_eq!(refusals(manifest), [cause], "{manifest:#}");
}

/// Lays a change, written as YAML, over an object: a JSON merge patch.
fn with(mut object: Value, change: &str) -> Value {
    merge(&mut object, serde_yaml::from_str(change).unwrap());
    object
}

fn merge(object: &mut Value, change: Value) {
    let Value::Object(change) = change else {
        *object = change;
        return;
    };
    if !object.is_object() {
        *object = json!({});
    }
    for (key, value) in change {
        if value.is_null() {
            object.as_object_mut().unwrap().remove(&key);
        } else {
            merge(&mut object[&key], value);
        }
    }
}

fn standalone() -> Value {
    object(
        "kubedb.com/v1alpha2",
        "Cassandra",
        "{version: '1', storage: {resources: {requests: {storage: 1Gi}}}}",
    )
}

fn ring() -> Value {
    let rack = "storageType: Ephemeral";
    let racks = format!("{{version: '1', topology: {{rack: [{{name: a, {rack}}}, {{name: b, {rack}}}]}}}}");
    object("kubedb.com/v1alpha2", "Cassandra", &racks)
}

fn request() -> Value {
    let spec = "{type: UpdateVersion, databaseRef: {name: db}, updateVersion: {targetVersion: '2'}}";
    object("ops.kubedb.com/v1alpha1", "CassandraOpsRequest", spec)
}

fn object(api_version: &str, kind: &str, spec: &str) -> Value {
    json!({
        "apiVersion": api_version,
        "kind": kind,
        "metadata": { "name": "db", "namespace": "default" },
        "spec": serde_yaml::from_str::<Value>(spec).unwrap(),
    })
}
