//! The size of a node: its resources, and the heap that follows from them. Both are in the template of its pod.

use std::collections::BTreeMap;

use api::cassandra::{CassandraSpec, Rack as RackSpec};
use api::names::{self, CONTAINER, INIT_CONTAINER, RENDER_CONTAINER};
use api::ops_request::{NodeResources, NodeSize};
use api::pod_template::PodTemplate;
use k8s_openapi::api::core::v1::{Container, PodTemplateSpec, ResourceRequirements};

use crate::resolved::Rack;
use crate::resources;

/// What the spec of a Cassandra asks for.
pub fn asked(rack: &Rack) -> NodeResources {
    rack.node().map(|user| given(user.resources.as_ref())).unwrap_or_default()
}

/// Makes the spec of a Cassandra ask for these resources, which are by the names of the PetSets.
pub fn ask(spec: &mut CassandraSpec, cassandra: &str, resources: &BTreeMap<String, NodeResources>) {
    let set = |petset: String, template: &mut Option<PodTemplate>| {
        let Some(wanted) = resources.get(&petset) else { return };
        let containers = &mut template.get_or_insert_default().spec.get_or_insert_default().containers;
        if !containers.iter().any(|it| it.name == CONTAINER) {
            containers.push(Container { name: CONTAINER.to_owned(), ..Container::default() });
        }
        for node in containers.iter_mut().filter(|it| it.name == CONTAINER) {
            put(&mut node.resources, wanted);
        }
    };
    match &mut spec.topology {
        None => set(names::petset(cassandra, None), &mut spec.pod_template),
        Some(topology) => {
            for RackSpec { name, pod_template, .. } in &mut topology.rack {
                set(names::petset(cassandra, Some(name)), pod_template);
            }
        }
    }
}

/// The size that nodes of the rack have if the spec asks for these resources.
pub fn size_for(rack: &Rack, asked: &NodeResources) -> NodeSize {
    let mut resources = None;
    put(&mut resources, asked);
    let resources = resources::resources(resources.as_ref());
    let theirs = |name: &str| rack.node()?.env.as_ref()?.iter().find(|variable| variable.name == name);
    let heap = resources::heap(&resources).into_iter().filter_map(|(name, size)| {
        let size = theirs(name).map_or(Some(size), |theirs| theirs.value.clone());
        Some((name.to_owned(), size?))
    });
    NodeSize { resources: given(Some(&resources)), heap: heap.collect() }
}

/// The size that a template has; `None` if it has no node.
pub fn size(template: &PodTemplateSpec) -> Option<NodeSize> {
    let node = template.spec.as_ref()?.containers.iter().find(|it| it.name == CONTAINER)?;
    let of_heap = node.env.iter().flatten().filter(|variable| resources::HEAP.contains(&&*variable.name));
    let heap = of_heap.filter_map(|variable| Some((variable.name.clone(), variable.value.clone()?)));
    Some(NodeSize { resources: given(node.resources.as_ref()), heap: heap.collect() })
}

/// Gives a template another size.
pub fn set_size(template: &mut PodTemplateSpec, size: &NodeSize) {
    let Some(pod) = &mut template.spec else { return };
    let own = |it: &&mut Container| [CONTAINER, INIT_CONTAINER, RENDER_CONTAINER].contains(&it.name.as_str());
    for container in pod.containers.iter_mut().chain(pod.init_containers.iter_mut().flatten()).filter(own) {
        put(&mut container.resources, &size.resources);
        for variable in container.env.iter_mut().flatten() {
            if let Some(value) = size.heap.get(&variable.name) {
                variable.value = Some(value.clone());
            }
        }
    }
}

fn given(resources: Option<&ResourceRequirements>) -> NodeResources {
    let resources = resources.cloned().unwrap_or_default();
    NodeResources {
        requests: resources.requests.unwrap_or_default(),
        limits: resources.limits.unwrap_or_default(),
    }
}

fn put(resources: &mut Option<ResourceRequirements>, wanted: &NodeResources) {
    let some = |amounts: &BTreeMap<_, _>| Some(amounts.clone()).filter(|amounts| !amounts.is_empty());
    let resources = resources.get_or_insert_default();
    resources.requests = some(&wanted.requests);
    resources.limits = some(&wanted.limits);
}

#[cfg(test)]
mod tests {
    use api::{Cassandra, CassandraVersion};
    use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::{Configuration, Inputs, Resolved, Stored, petsets, racks};

    fn cassandra(container: &Value) -> Cassandra {
        let template = json!({ "spec": { "containers": [container] } });
        serde_json::from_value(json!({
            "metadata": { "name": "db", "namespace": "ns" },
            "spec": { "version": "4.1.10", "storage": {}, "podTemplate": template },
        }))
        .unwrap()
    }

    fn template(cassandra: &Cassandra) -> PodTemplateSpec {
        let version = json!({ "metadata": {}, "spec": { "version": "4.1.10", "db": { "image": "c:1" } } });
        let version: CassandraVersion = serde_json::from_value(version).unwrap();
        let resolved = Resolved::of(cassandra);
        let keys = Configuration::of(&resolved, None, &Stored::default()).keys;
        let inputs = Inputs { version: &version, image: "render-config:1", keys: &keys };
        petsets(&resolved, &inputs).remove(0).spec.template
    }

    fn limit(memory: &str) -> NodeResources {
        let limits = BTreeMap::from([("memory".to_owned(), Quantity(memory.to_owned()))]);
        NodeResources { limits, ..NodeResources::default() }
    }

    /// So that the provisioner has nothing to do when the Cassandra asks for it.
    #[rstest]
    #[case::of_nothing(json!({ "name": "sidecar", "image": "s:1" }), "2048M")]
    #[case::of_a_limit(json!({ "name": "cassandra", "resources": { "limits": { "memory": "1Gi", "cpu": "1" } } }), "2048M")]
    #[case::of_a_heap_that_the_user_sizes(
        json!({ "name": "cassandra", "env": [{ "name": "MAX_HEAP_SIZE", "value": "768M" }] }), "768M"
    )]
    fn a_template_of_another_size_is_the_one_that_is_built_for_it(
        #[case] container: Value,
        #[case] heap: &str,
    ) {
        let before = cassandra(&container);
        let (rack, wanted) = (racks(&before).remove(0), limit("4Gi"));
        let target = size_for(&rack, &wanted);
        assert_eq!(target.heap["MAX_HEAP_SIZE"], heap);
        assert_eq!(size(&template(&before)), Some(size_for(&rack, &asked(&rack))));

        let mut after = before.clone();
        ask(&mut after.spec, "db", &BTreeMap::from([("db".to_owned(), wanted.clone())]));
        assert_eq!(asked(&racks(&after)[0]), wanted);

        let mut changed = template(&before);
        set_size(&mut changed, &target);
        assert_eq!(changed, template(&after));
        set_size(&mut changed, &size(&template(&before)).unwrap());
        assert_eq!(changed, template(&before), "and back");
    }
}
