//! The CustomResourceDefinitions, with what the derived schemas cannot express.
//!
//! Types that are embedded from Kubernetes come without list keys, without limits and with long descriptions. Without
//! keys, server-side apply takes every list for one value; without limits, the API server cannot bound the cost of a
//! CEL rule; with the descriptions, the definitions outgrow what `kubectl apply` can handle.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::{Value, json};

use crate::template_rules;
use crate::{AppBinding, Cassandra, CassandraOpsRequest, CassandraVersion, PetSet, PlacementPolicy};

/// All definitions, in the order in which they are installed.
///
/// # Errors
/// Fails only if a derived schema is not valid JSON.
pub fn definitions() -> Result<Vec<CustomResourceDefinition>, serde_json::Error> {
    [
        CassandraVersion::crd(),
        Cassandra::crd(),
        CassandraOpsRequest::crd(),
        PetSet::crd(),
        PlacementPolicy::crd(),
        AppBinding::crd(),
    ]
    .into_iter()
    .map(|definition| {
        let mut value = serde_json::to_value(definition)?;
        let of_cassandra = value.pointer("/spec/names/kind") == Some(&json!("Cassandra"));
        if let Some(versions) = value.pointer_mut("/spec/versions").and_then(Value::as_array_mut) {
            for schema in versions.iter_mut().filter_map(|v| v.pointer_mut("/schema/openAPIV3Schema")) {
                complete(schema, false);
                if of_cassandra {
                    template_rules::add(schema);
                }
            }
        }
        serde_json::from_value(value)
    })
    .collect()
}

/// Fields whose types are embedded from Kubernetes.
const EMBEDDED: [&str; 10] = [
    "template",
    "containers",
    "initContainers",
    "volumes",
    "storage",
    "volumeClaimTemplates",
    "tolerations",
    "securityContext",
    "dnsConfig",
    "hostAliases",
];

/// Keys by which Kubernetes merges the items of a list.
fn list_keys(field: &str) -> Option<&'static [&'static str]> {
    Some(match field {
        "containers" | "initContainers" | "env" | "imagePullSecrets" | "rack" | "volumes" => &["name"],
        "volumeMounts" => &["mountPath"],
        "volumeDevices" => &["devicePath"],
        "ports" => &["containerPort", "protocol"],
        "hostAliases" => &["ip"],
        "topologySpreadConstraints" => &["topologyKey", "whenUnsatisfiable"],
        "conditions" => &["type"],
        "serviceTemplates" => &["alias"],
        _ => return None,
    })
}

/// Maximum lengths of the lists that CEL rules iterate over.
fn list_limit(field: &str) -> Option<u64> {
    Some(match field {
        "containers" | "initContainers" => 16,
        "volumes" | "volumeMounts" => 64,
        _ => return None,
    })
}

fn complete(schema: &mut Value, embedded: bool) {
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else {
        for nested in ["items", "additionalProperties"] {
            if let Some(schema) = schema.get_mut(nested) {
                complete(schema, embedded);
            }
        }
        return;
    };
    for (field, schema) in properties {
        let embedded = embedded || EMBEDDED.contains(&field.as_str());
        let list = schema.get("type") == Some(&json!("array"));
        let Some(map) = schema.as_object_mut() else {
            continue;
        };
        if embedded {
            map.remove("description");
        }
        if list {
            if let Some(limit) = list_limit(field) {
                map.insert("maxItems".to_owned(), json!(limit));
            }
            if let Some(keys) = list_keys(field).filter(|keys| has_keys(map, keys)) {
                map.insert("x-kubernetes-list-type".to_owned(), json!("map"));
                map.insert("x-kubernetes-list-map-keys".to_owned(), json!(keys));
                require_keys(map, keys);
            }
        }
        if embedded && field == "mountPath" {
            map.insert("maxLength".to_owned(), json!(4096));
        }
        complete(schema, embedded);
    }
}

fn has_keys(list: &serde_json::Map<String, Value>, keys: &[&str]) -> bool {
    let properties = list.get("items").and_then(|i| i.get("properties"));
    properties.is_some_and(|p| keys.iter().all(|key| p.get(*key).is_some()))
}

/// The API server demands that a list key is required or has a default. Kubernetes' own defaults are TCP for a protocol, and
/// the empty string for the name of a pull secret.
fn require_keys(list: &mut serde_json::Map<String, Value>, keys: &[&str]) {
    let Some(items) = list.get_mut("items") else {
        return;
    };
    let required: Vec<String> =
        items.get("required").and_then(|r| serde_json::from_value(r.clone()).ok()).unwrap_or_default();
    for key in keys.iter().filter(|key| !required.iter().any(|r| r == *key)) {
        if let Some(property) =
            items.pointer_mut(&format!("/properties/{key}")).and_then(Value::as_object_mut)
        {
            property.entry("default").or_insert(json!(if *key == "protocol" { "TCP" } else { "" }));
        }
    }
}
