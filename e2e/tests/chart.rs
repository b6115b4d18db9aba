//! The chart as Helm renders it. No cluster is asked; it needs Helm, which the embedded cluster brings.

#![allow(clippy::unwrap_used, reason = "a panic is a failed test")]

use std::process::Command;

use serde::Deserialize;
use serde_json::{Value, json};

const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/cassandra-operators");
const EVERYTHING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/manifests/chart.yaml");

/// The rendered objects, or Helm's objection to the values.
fn render(arguments: &[&str]) -> Result<Vec<Value>, String> {
    let fixed = ["template", "ops", CHART, "--namespace", "operators"];
    let output = Command::new("helm").args(fixed).args(arguments).output().unwrap();
    if !output.status.success() {
        return Err(String::from_utf8(output.stderr).unwrap());
    }
    let documents = serde_yaml::Deserializer::from_slice(&output.stdout);
    let documents = documents.map(|document| Value::deserialize(document).unwrap());
    Ok(documents.filter(|document| !document.is_null()).collect())
}

fn with(values: &Value) -> Vec<Value> {
    render(&["--values", EVERYTHING, "--set-json", &values.to_string()]).unwrap()
}

/// Paths to the leaves of the values; lists and empty maps are leaves.
fn leaves(path: &[String], value: &Value, found: &mut Vec<(Vec<String>, Value)>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                leaves(&[path, std::slice::from_ref(name)].concat(), value, found);
            }
        }
        leaf => found.push((path.to_vec(), leaf.clone())),
    }
}

/// Something else of the same type that the schema allows.
fn another(path: &[String], value: &Value) -> Value {
    match (path.last().unwrap().as_str(), value) {
        ("digest", _) => json!(format!("sha256:{}", "0".repeat(64))),
        ("interval", _) => json!("17s"),
        ("pullPolicy", _) => json!("Never"),
        ("logFormat", _) => json!("json"),
        ("watchNamespaces", _) => json!(["a", "b"]),
        ("pullSecrets" | "tolerations" | "env" | "topologySpreadConstraints", _) => {
            json!([{"name": "other"}])
        }
        ("args" | "drop", _) => json!(["other"]),
        ("versions", _) => json!([{"name": "6.0.0"}]),
        ("metricsFrom", _) => json!([{"podSelector": {}}]),
        ("apiServerPorts", _) => json!([7]),
        // Helm merges maps, so that a new key makes a difference.
        (_, Value::Object(_)) => json!({"other": "thing"}),
        (_, Value::Bool(is)) => json!(!is),
        (_, Value::Number(number)) => json!(number.as_i64().unwrap() + 1),
        (_, Value::String(text)) => json!(format!("{text}x")),
        (_, Value::Array(_) | Value::Null) => unreachable!("no other value known for {path:?}"),
    }
}

#[test]
fn everything_bears_one_version() {
    let read = |path: &str| std::fs::read_to_string(format!("{CHART}/{path}")).unwrap();
    let chart: Value = serde_yaml::from_str(&read("Chart.yaml")).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!([&chart["version"], &chart["appVersion"]], [version; 2]);
    let values: Value = serde_yaml::from_str(&read("values.yaml")).unwrap();
    let own = format!("\nversion = {}\n", values["renderConfig"]["image"]["tag"]);
    assert!(read("../../crates/render-config/Cargo.toml").contains(&own), "render-config has its own: {own}");
    let changes = read("../../docs/CHANGELOG.md");
    let newest = changes.lines().find_map(|line| line.strip_prefix("## ")).unwrap();
    assert_eq!(newest.split(' ').next(), Some(version));
}

#[test]
fn no_value_is_accepted_and_ignored() {
    let values = std::fs::read_to_string(format!("{CHART}/values.yaml")).unwrap();
    let everything = std::fs::read_to_string(EVERYTHING).unwrap();
    let everything: Value = serde_yaml::from_str(&everything).unwrap();
    let (mut all, before) = (Vec::new(), with(&json!({})));
    leaves(&[], &serde_yaml::from_str(&values).unwrap(), &mut all);
    for (path, default) in all {
        let pointer = format!("/{}", path.join("/"));
        let set = everything.pointer(&pointer).unwrap_or(&default);
        // If the chart creates no ServiceAccount, its name is required.
        let name = if pointer.ends_with("serviceAccount/create") { json!({"name": "x"}) } else { json!({}) };
        let mut change = another(&path, set);
        for (depth, key) in path.iter().rev().enumerate() {
            let mut level = if depth == 0 { name.clone() } else { json!({}) };
            level[key] = change;
            change = level;
        }
        assert!(with(&change) != before, "{pointer} makes no difference");
    }
}

#[test]
fn a_value_that_does_not_exist_is_refused() {
    let unknown = [
        "nonsense=1",
        "operators.nonsense=1",
        "opsManager.petsetController=true",
        "provisioner.image.digest=latest",
        "provisioner.serviceAccount.create=false",
        "catalog.versions[0].image=a",
    ];
    for value in unknown {
        let said = render(&["--set", value]).expect_err(value);
        assert!(said.contains("values don't meet the specifications of the schema"), "{value}: {said}");
    }
}

#[test]
fn in_given_namespaces_nothing_of_the_whole_cluster_is_granted_but_the_catalog() {
    let objects = with(&json!({"watchNamespaces": ["a", "b"], "crds": {"apply": false}}));
    let roles = |kind: &'static str| objects.iter().filter(move |object| object["kind"] == kind);
    for role in roles("ClusterRole") {
        for rule in role["rules"].as_array().unwrap() {
            let resources = &rule["resources"];
            assert!(
                [json!(["cassandraversions"]), json!(["placementpolicies"])].contains(resources),
                "{resources} in {}",
                role["metadata"]["name"]
            );
        }
    }
    let namespaces: Vec<_> =
        roles("Role").map(|role| role["metadata"]["namespace"].as_str().unwrap()).collect();
    let count = |name| namespaces.iter().filter(|namespace| **namespace == name).count();
    assert_eq!([count("a"), count("b"), count("operators")], [2, 2, 2]);
}

#[test]
fn every_pod_of_the_chart_is_restricted() {
    let objects = render(&[]).unwrap();
    let pods = objects.iter().filter_map(|object| match object["kind"].as_str().unwrap() {
        "Deployment" | "Job" => object.pointer("/spec/template/spec"),
        "Pod" => Some(&object["spec"]),
        _ => None,
    });
    let mut seen = 0;
    for pod in pods {
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
        let container = &pod["containers"][0]["securityContext"];
        assert_eq!(container["allowPrivilegeEscalation"], false);
        assert_eq!(container["capabilities"]["drop"], json!(["ALL"]));
        seen += 1;
    }
    assert_eq!(seen, 4);
}
