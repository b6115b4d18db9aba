//! CEL rules for pod templates and volume claims, checked by the API server.
//!
//! Each rule stands at the list item that it checks, so that a refusal names the item (`containers[1].volumeMounts[0]`). The
//! derived schemas of Kubernetes' own types have no place for such rules, so they are added here. Only Cassandra gets them:
//! the template in a PetSet is built by the operator itself.
//!
//! The API server estimates the cost of each rule from the longest lists and strings that the schema allows (32 racks of 16
//! containers with 64 mounts), and rejects a definition that might cost too much. Therefore [`add`] sets the missing limits,
//! no rule matches a regular expression on a path, and no `x-kubernetes-int-or-string` is converted.

use serde_json::{Value, json};

/// Where a Cassandra has pod templates.
const TEMPLATES: [&str; 2] = [
    "/properties/spec/properties/podTemplate",
    "/properties/spec/properties/topology/properties/rack/items/properties/podTemplate",
];
/// Where it has claims.
const CLAIMS: [&str; 2] = [
    "/properties/spec/properties/storage",
    "/properties/spec/properties/topology/properties/rack/items/properties/storage",
];

/// A rule and the message for breaking it.
type Rule = (&'static str, &'static str);

/// The rules below compare paths as text, so each path must have only one spelling. A slash at the end is optional.
const PLAIN_PATH: Rule = (
    "self.startsWith('/') && !self.contains('//') && !self.contains('/./') && !self.contains('/../') && !self.endsWith('/.') && !self.endsWith('/..')",
    "a mountPath must be written plainly: beginning with /, without //, . or ..",
);

const MOUNT: [Rule; 2] = [
    (
        // In the official image /opt/cassandra/data and /opt/cassandra/conf are symbolic links, which a mount follows.
        "self.name in ['data', 'config'] || !(self.mountPath in ['/', '/var', '/var/', '/var/lib', '/var/lib/', '/etc', '/etc/', '/var/lib/cassandra', '/etc/cassandra', '/etc/git-secret', '/tmp/config', '/opt/cassandra/data', '/opt/cassandra/conf'] || ['/var/lib/cassandra/', '/etc/cassandra/', '/etc/git-secret/', '/tmp/config/', '/opt/cassandra/data/', '/opt/cassandra/conf/'].exists(p, self.mountPath.startsWith(p)))",
        "a volume must not be mounted at, above or below /var/lib/cassandra (also known as /opt/cassandra/data), /etc/cassandra (/opt/cassandra/conf), /etc/git-secret and /tmp/config: it would hide the data or the configuration. Choose another mountPath. A sidecar or an init container may mount the volume data there",
    ),
    (
        "self.name != 'config' || (has(self.readOnly) && self.readOnly)",
        "the volume config holds what Cassandra starts with: mount it with readOnly: true, and change it by spec.configuration",
    ),
];

/// Rules for the items of `containers`; all but the last are about the container `cassandra`.
const DATABASE: [Rule; 6] = [
    (
        "self.name != 'cassandra' || !has(self.volumeMounts) || self.volumeMounts.all(m, !(m.name in ['data', 'config']))",
        "container cassandra: the volumes data and config are mounted by the operator",
    ),
    (
        "self.name != 'cassandra' || !has(self.env) || self.env.all(e, !(e.name in ['CASSANDRA_SEEDS', 'CASSANDRA_LISTEN_ADDRESS', 'CASSANDRA_BROADCAST_ADDRESS', 'CASSANDRA_BROADCAST_RPC_ADDRESS', 'CASSANDRA_RPC_ADDRESS', 'CASSANDRA_START_RPC', 'CASSANDRA_CLUSTER_NAME', 'CASSANDRA_ENDPOINT_SNITCH', 'CASSANDRA_NUM_TOKENS', 'CASSANDRA_DC', 'CASSANDRA_RACK']))",
        "container cassandra: nobody reads the CASSANDRA_ variables of the image, since its entrypoint is not used. Settings such as num_tokens belong in spec.configuration, racks in spec.topology; name, datacenter, snitch, seeds and addresses are the operator's",
    ),
    (
        "self.name != 'cassandra' || !has(self.env) || self.env.all(e, !(e.name in ['CASSANDRA_CONF', 'CASSANDRA_HOME', 'CASSANDRA_INCLUDE', 'LOCAL_JMX']))",
        "container cassandra: CASSANDRA_CONF, CASSANDRA_HOME, CASSANDRA_INCLUDE and LOCAL_JMX would have Cassandra start with other settings or open JMX without a password. Settings belong in spec.configuration",
    ),
    (
        "self.name != 'cassandra' || !has(self.ports) || self.ports.all(p, !(p.containerPort in [7000, 7001, 7199]) && (!has(p.name) || (p.containerPort == 9042 ? p.name == 'cql' : !(p.name in ['cql', 'internode', 'internode-ssl', 'jmx']))))",
        "container cassandra: the ports 7000, 7001 and 7199 and the names cql, internode, internode-ssl and jmx are the operator's: nodes talk to each other without a login there, and Services go by the names",
    ),
    (
        "self.name != 'cassandra' || !has(self.resources) || (has(self.env) && self.env.exists(e, e.name == 'MAX_HEAP_SIZE')) || (!(has(self.resources.limits) && 'memory' in self.resources.limits) && !(has(self.resources.requests) && 'memory' in self.resources.requests)) || (has(self.resources.limits) && 'memory' in self.resources.limits && (type(self.resources.limits['memory']) == int ? self.resources.limits['memory'] >= 536870912 : isQuantity(self.resources.limits['memory']) && quantity(self.resources.limits['memory']).compareTo(quantity('512Mi')) >= 0)) || (has(self.resources.requests) && 'memory' in self.resources.requests && (type(self.resources.requests['memory']) == int ? self.resources.requests['memory'] >= 536870912 : isQuantity(self.resources.requests['memory']) && quantity(self.resources.requests['memory']).compareTo(quantity('512Mi')) >= 0))",
        "container cassandra: memory must be at least 512Mi: 256 MiB of heap, and as much beside it; Kubernetes would kill the node again and again. With MAX_HEAP_SIZE in env, the heap and 256Mi",
    ),
    (
        "!(self.name in ['cassandra-init', 'render-config'])",
        "the container names cassandra-init and render-config are the operator's",
    ),
];

const INIT: Rule = (
    "!(self.name in ['cassandra', 'cassandra-init', 'render-config'])",
    "initContainers: the names cassandra, cassandra-init and render-config are the operator's",
);

/// Without this rule, the operator's own labels would silently win.
const LABELS: Rule = (
    "!('app.kubernetes.io/name' in self) && !('app.kubernetes.io/instance' in self) && !('app.kubernetes.io/managed-by' in self) && !('app.kubernetes.io/part-of' in self) && !('app.kubernetes.io/component' in self)",
    "the labels app.kubernetes.io/name, instance, managed-by, part-of and component of the pods are the operator's, whose Services and budget go by them. Choose another key",
);

const CLAIM: [Rule; 3] = [
    (
        "has(self.resources) && has(self.resources.requests) && 'storage' in self.resources.requests && (type(self.resources.requests['storage']) == int ? self.resources.requests['storage'] > 0 : isQuantity(self.resources.requests['storage']) && quantity(self.resources.requests['storage']).isGreaterThan(quantity('0')))",
        "resources.requests.storage must be more than 0",
    ),
    ("!has(self.volumeMode) || self.volumeMode == 'Filesystem'", "volumeMode must be Filesystem"),
    (
        "(has(self.resources) && has(self.resources.requests) && 'storage' in self.resources.requests && has(oldSelf.resources) && has(oldSelf.resources.requests) && 'storage' in oldSelf.resources.requests && type(self.resources.requests['storage']) == string && type(oldSelf.resources.requests['storage']) == string ? quantity(self.resources.requests['storage']).compareTo(quantity(oldSelf.resources.requests['storage'])) == 0 : self.resources == oldSelf.resources) && (!has(self.resources) || !has(oldSelf.resources) || (has(self.resources.limits) == has(oldSelf.resources.limits) && (!has(self.resources.limits) || self.resources.limits == oldSelf.resources.limits))) && (has(self.accessModes) == has(oldSelf.accessModes) && (!has(self.accessModes) || self.accessModes == oldSelf.accessModes)) && (has(self.dataSource) == has(oldSelf.dataSource) && (!has(self.dataSource) || self.dataSource == oldSelf.dataSource)) && (has(self.dataSourceRef) == has(oldSelf.dataSourceRef) && (!has(self.dataSourceRef) || self.dataSourceRef == oldSelf.dataSourceRef)) && (has(self.selector) == has(oldSelf.selector) && (!has(self.selector) || self.selector == oldSelf.selector)) && (has(self.storageClassName) == has(oldSelf.storageClassName) && (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)) && (has(self.volumeAttributesClassName) == has(oldSelf.volumeAttributesClassName) && (!has(self.volumeAttributesClassName) || self.volumeAttributesClassName == oldSelf.volumeAttributesClassName)) && (has(self.volumeMode) == has(oldSelf.volumeMode) && (!has(self.volumeMode) || self.volumeMode == oldSelf.volumeMode)) && (has(self.volumeName) == has(oldSelf.volumeName) && (!has(self.volumeName) || self.volumeName == oldSelf.volumeName))",
        "storage cannot be changed on an existing Cassandra",
    ),
];

/// Adds the rules to the schema of Cassandra.
pub(crate) fn add(schema: &mut Value) {
    for template in TEMPLATES {
        let mut at =
            |path: &str, rules: &[Rule]| rule(schema.pointer_mut(&format!("{template}{path}")), rules);
        at("/properties/metadata/properties/labels", &[LABELS]);
        at("/properties/spec/properties/containers/items", &DATABASE);
        at("/properties/spec/properties/initContainers/items", &[INIT]);
        for list in ["containers", "initContainers"] {
            let mounts = format!("/properties/spec/properties/{list}/items/properties/volumeMounts/items");
            at(&mounts, &MOUNT);
            at(&format!("{mounts}/properties/mountPath"), &[PLAIN_PATH]);
        }
        let mut limit = |path: &str, name: &str, most: u32| {
            bound(schema.pointer_mut(&format!("{template}/properties/spec/properties/{path}")), name, most);
        };
        for list in ["containers", "initContainers"] {
            let container = format!("{list}/items/properties");
            limit(&format!("{container}/volumeMounts/items/properties/mountPath"), "maxLength", 200);
            limit(&format!("{container}/env"), "maxItems", 128);
            limit(&format!("{container}/env/items/properties/name"), "maxLength", 256);
            limit(&format!("{container}/ports"), "maxItems", 64);
            limit(&format!("{container}/resources/properties/limits/additionalProperties"), "maxLength", 32);
            limit(
                &format!("{container}/resources/properties/requests/additionalProperties"),
                "maxLength",
                32,
            );
        }
    }
    for claim in CLAIMS {
        rule(schema.pointer_mut(claim), &CLAIM);
        let mut limit = |path: &str, name: &str, most: u32| {
            bound(schema.pointer_mut(&format!("{claim}/properties/{path}")), name, most);
        };
        limit("accessModes", "maxItems", 4);
        limit("accessModes/items", "maxLength", 64);
        limit("resources/properties/limits/additionalProperties", "maxLength", 32);
        limit("resources/properties/requests/additionalProperties", "maxLength", 32);
        for name in ["storageClassName", "volumeAttributesClassName", "volumeMode", "volumeName"] {
            limit(name, "maxLength", 253);
        }
    }
}

fn bound(schema: Option<&mut Value>, name: &str, most: u32) {
    if let Some(schema) = schema.and_then(Value::as_object_mut) {
        schema.insert(name.to_owned(), json!(most));
    }
}

fn rule(schema: Option<&mut Value>, rules: &[Rule]) {
    let Some(schema) = schema.and_then(Value::as_object_mut) else { return };
    let rules = rules.iter().map(|(rule, message)| json!({ "message": message, "rule": rule }));
    schema.insert("x-kubernetes-validations".to_owned(), rules.collect());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::definitions;

    /// A wrong path would silently drop its rules.
    #[test]
    fn every_rule_is_in_the_definition_for_each_template_and_claim() {
        let cassandra = definitions().unwrap().swap_remove(1);
        let text = serde_json::to_string(&cassandra).unwrap();
        let count = |(rule, _): &Rule| text.matches(&json!(rule).to_string()).count();
        assert!(DATABASE.iter().chain(&CLAIM).chain([&INIT, &LABELS]).all(|rule| count(rule) == 2));
        assert!(MOUNT.iter().chain([&PLAIN_PATH]).all(|rule| count(rule) == 4));
    }
}
