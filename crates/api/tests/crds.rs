//! The definitions in the chart are those of the code.

use std::path::Path;

#[test]
fn the_chart_holds_the_definitions_of_the_code() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts/cassandra-operators/crds");
    for definition in api::schema::definitions().unwrap() {
        let name = definition.metadata.name.clone().unwrap();
        let written = std::fs::read_to_string(folder.join(format!("{name}.yaml"))).unwrap_or_default();
        let current = serde_yaml::to_string(&definition).unwrap();
        assert!(written == current, "{name}.yaml is stale: run `make crds`");
    }
}

#[test]
fn every_definition_is_small_enough_for_kubectl_apply() {
    for definition in api::schema::definitions().unwrap() {
        let size = serde_json::to_string(&definition).unwrap().len();
        assert!(size < 262_144, "{:?} has {size} bytes", definition.metadata.name);
    }
}
