//! Rules of Cassandra, except those for its pods and for changes.

use rstest::rstest;

use super::{assert_refused, refusals, ring, standalone, with};

#[rstest]
#[case::bare("{}")]
#[case::one_replica("{spec: {replicas: 1}}")]
#[case::in_the_pod("{spec: {storageType: Ephemeral, storage: null}}")]
#[case::open("{spec: {disableSecurity: true}}")]
#[case::own_secret("{spec: {authSecret: {name: s, externallyManaged: true}}}")]
#[case::configured("{spec: {configuration: {secretName: s, inline: {cassandra.yaml: 'num_tokens: 4'}}}}")]
#[case::service("{spec: {serviceTemplates: [{alias: primary, spec: {type: NodePort}}]}}")]
#[case::published(
    "{spec: {serviceTemplates: [{alias: primary, spec: {type: LoadBalancer, externalTrafficPolicy: Local, loadBalancerSourceRanges: [10.0.0.0/8]}}]}}"
)]
#[case::called_default("{metadata: {name: default}}")]
#[case::longest("{metadata: {name: a23456789012345678901234567890123456789012345678901x}}")]
#[case::restored_from_a_backup_of_an_update(
    "{metadata: {annotations: {ops.kubedb.com/halted-by: 4d1c6f0e-0000-4000-8000-000000000000}}, spec: {halted: true}}"
)]
fn a_standalone_is_accepted(#[case] change: &str) {
    assert_eq!(refusals(&with(standalone(), change)), [""; 0]);
}

#[rstest]
#[case::digit_first(
    "{metadata: {name: 1db}}",
    "<nil>: Invalid value: \"object\": metadata.name must be at most 63 characters, begin with a letter and hold lower case letters, digits and dashes"
)]
#[case::dot(
    "{metadata: {name: d.b}}",
    "<nil>: Invalid value: \"object\": metadata.name must be at most 63 characters, begin with a letter and hold lower case letters, digits and dashes"
)]
#[case::long(
    "{metadata: {name: a234567890123456789012345678901234567890123456789012x}}",
    "<nil>: Invalid value: \"object\": metadata.name must be at most 52 characters, since pods are named after it"
)]
#[case::no_version("{spec: {version: null}}", "spec.version: Required value")]
#[case::empty_version(
    "{spec: {version: ''}}",
    "spec.version: Invalid value: \"\": spec.version in body should be at least 1 chars long"
)]
#[case::replicas(
    "{spec: {replicas: 3}}",
    "spec: Invalid value: \"object\": spec.replicas must be 1 without spec.topology; name racks in spec.topology for more nodes"
)]
#[case::no_storage(
    "{spec: {storage: null}}",
    "spec: Invalid value: \"object\": spec.storage is needed when spec.storageType is Durable"
)]
#[case::no_room(
    "{spec: {storage: {resources: {requests: {storage: '0'}}}}}",
    "spec.storage: Invalid value: \"object\": resources.requests.storage must be more than 0"
)]
#[case::no_size(
    "{spec: {storage: {resources: null}}}",
    "spec.storage: Invalid value: \"object\": resources.requests.storage must be more than 0"
)]
#[case::block(
    "{spec: {storage: {volumeMode: Block}}}",
    "spec.storage: Invalid value: \"object\": volumeMode must be Filesystem"
)]
#[case::storage_type(
    "{spec: {storageType: Fast}}",
    "spec.storageType: Unsupported value: \"Fast\": supported values: \"Durable\", \"Ephemeral\""
)]
#[case::deletion_policy(
    "{spec: {deletionPolicy: Keep}}",
    "spec.deletionPolicy: Unsupported value: \"Keep\": supported values: \"DoNotTerminate\", \"Halt\", \"Delete\", \"WipeOut\""
)]
#[case::secret_kind(
    "{spec: {authSecret: {name: s, kind: Vault}}}",
    "spec.authSecret.kind: Unsupported value: \"Vault\": supported values: \"Secret\""
)]
#[case::secret_group(
    "{spec: {authSecret: {name: s, apiGroup: v}}}",
    "spec.authSecret.apiGroup: Too long: may not be more than 0 bytes"
)]
#[case::secret_without_name("{spec: {authSecret: {}}}", "spec.authSecret.name: Required value")]
#[case::other_file(
    "{spec: {configuration: {inline: {jvm.options: ''}}}}",
    "spec.configuration: Invalid value: \"object\": spec.configuration.inline: cassandra.yaml is the only file that can be given"
)]
#[case::service_alias(
    "{spec: {serviceTemplates: [{alias: standby}]}}",
    "spec.serviceTemplates[0].alias: Unsupported value: \"standby\": supported values: \"primary\""
)]
#[case::service_twice(
    "{spec: {serviceTemplates: [{alias: primary}, {alias: primary}]}}",
    "spec.serviceTemplates[1]: Duplicate value: {\"alias\":\"primary\"}"
)]
#[case::service_type(
    "{spec: {serviceTemplates: [{alias: primary, spec: {type: Nonsense}}]}}",
    "spec.serviceTemplates[0].spec.type: Unsupported value: \"Nonsense\": supported values: \"ClusterIP\", \"NodePort\", \"LoadBalancer\""
)]
#[case::service_without_address(
    "{spec: {serviceTemplates: [{alias: primary, spec: {type: LoadBalancer, clusterIP: None}}]}}",
    "spec.serviceTemplates[0].spec: Invalid value: \"object\": clusterIP None is for the type ClusterIP only"
)]
#[case::service_traffic(
    "{spec: {serviceTemplates: [{alias: primary, spec: {type: ClusterIP, externalTrafficPolicy: Local}}]}}",
    "spec.serviceTemplates[0].spec: Invalid value: \"object\": externalTrafficPolicy is for the types NodePort and LoadBalancer, or beside externalIPs"
)]
#[case::service_sources(
    "{spec: {serviceTemplates: [{alias: primary, spec: {type: NodePort, loadBalancerSourceRanges: [10.0.0.0/8]}}]}}",
    "spec.serviceTemplates[0].spec: Invalid value: \"object\": loadBalancerSourceRanges is for the type LoadBalancer only"
)]
#[case::health_period(
    "{spec: {healthChecker: {periodSeconds: 0}}}",
    "spec.healthChecker.periodSeconds: Invalid value: 0: spec.healthChecker.periodSeconds in body should be greater than or equal to 1"
)]
#[case::health_timeout(
    "{spec: {healthChecker: {timeoutSeconds: 0}}}",
    "spec.healthChecker.timeoutSeconds: Invalid value: 0: spec.healthChecker.timeoutSeconds in body should be greater than or equal to 1"
)]
#[case::health_threshold(
    "{spec: {healthChecker: {failureThreshold: 0}}}",
    "spec.healthChecker.failureThreshold: Invalid value: 0: spec.healthChecker.failureThreshold in body should be greater than or equal to 1"
)]
fn a_standalone_is_refused(#[case] change: &str, #[case] cause: &str) {
    assert_refused(&with(standalone(), change), cause);
}

#[rstest]
#[case::bare("{}")]
#[case::racks_called_by_numbers(
    "{spec: {topology: {rack: [{name: '1', storageType: Ephemeral}, {name: a-1, storageType: Ephemeral}]}}}"
)]
#[case::longest_names(
    "{spec: {topology: {rack: [{name: a234567890123456789012345678901234567890123x, replicas: 2, storageType: Ephemeral}]}}}"
)]
fn a_ring_is_accepted(#[case] change: &str) {
    assert_eq!(refusals(&with(ring(), change)), [""; 0]);
}

#[rstest]
#[case::pods_beside_racks(
    "{podTemplate: {}}",
    "spec: Invalid value: \"object\": spec.podTemplate must be empty with spec.topology; set it per rack"
)]
#[case::replicas_beside_racks(
    "{replicas: 3}",
    "spec: Invalid value: \"object\": spec.replicas must be empty with spec.topology; set it per rack"
)]
#[case::storage_type_beside_racks(
    "{storageType: Ephemeral}",
    "spec: Invalid value: \"object\": spec.storageType must be empty with spec.topology; set it per rack"
)]
#[case::storage_beside_racks(
    "{storage: {resources: {requests: {storage: 1Gi}}}}",
    "spec: Invalid value: \"object\": spec.storage must be empty with spec.topology; set it per rack"
)]
#[case::one_node(
    "{topology: {rack: [{name: a, storageType: Ephemeral}]}}",
    "spec.topology: Invalid value: \"object\": the racks together must have more than 1 replica; leave out spec.topology for a single node"
)]
#[case::no_storage(
    "{topology: {rack: [{name: a, replicas: 2}]}}",
    "spec.topology.rack[0]: Invalid value: \"object\": storage is needed when storageType is Durable"
)]
#[case::no_room(
    "{topology: {rack: [{name: a, replicas: 2, storage: {resources: {requests: {storage: 0}}}}]}}",
    "spec.topology.rack[0].storage: Invalid value: \"object\": resources.requests.storage must be more than 0"
)]
#[case::rack_name(
    "{topology: {rack: [{name: A_1, replicas: 2, storageType: Ephemeral}]}}",
    "spec.topology.rack[0].name: Invalid value: \"A_1\": spec.topology.rack[0].name in body should match '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'"
)]
#[case::rack_without_name(
    "{topology: {rack: [{replicas: 2, storageType: Ephemeral}]}}",
    "spec.topology.rack[0].name: Required value"
)]
#[case::long_names(
    "{topology: {rack: [{name: a2345678901234567890123456789012345678901234x, replicas: 2, storageType: Ephemeral}]}}",
    "<nil>: Invalid value: \"object\": metadata.name and the name of a rack together must be at most 46 characters, since pods are named after both"
)]
#[case::same_name(
    "{topology: {rack: [{name: a, storageType: Ephemeral}, {name: a, storageType: Ephemeral}]}}",
    "spec.topology.rack[1]: Duplicate value: {\"name\":\"a\"}"
)]
#[case::no_replicas(
    "{topology: {rack: [{name: a, replicas: 0, storageType: Ephemeral}, {name: b, replicas: 2, storageType: Ephemeral}]}}",
    "spec.topology.rack[0].replicas: Invalid value: 0: spec.topology.rack[0].replicas in body should be greater than or equal to 1"
)]
#[case::many_replicas(
    "{topology: {rack: [{name: a, replicas: 1001, storageType: Ephemeral}]}}",
    "spec.topology.rack[0].replicas: Invalid value: 1001: spec.topology.rack[0].replicas in body should be less than or equal to 1000"
)]
#[case::rack_storage_type(
    "{topology: {rack: [{name: a, replicas: 2, storageType: Fast}]}}",
    "spec.topology.rack[0].storageType: Unsupported value: \"Fast\": supported values: \"Durable\", \"Ephemeral\""
)]
#[case::no_racks("{topology: {rack: null}}", "spec.topology.rack: Required value")]
fn a_ring_is_refused(#[case] spec: &str, #[case] cause: &str) {
    assert_refused(&with(ring(), &format!("{{spec: {spec}}}")), cause);
}

#[test]
fn a_ring_has_racks_from_1_to_32() {
    let none = refusals(&with(ring(), "{spec: {topology: {rack: []}}}"));
    assert_eq!(
        none[0],
        "spec.topology.rack: Invalid value: 0: spec.topology.rack in body should have at least 1 items"
    );
    let racks: Vec<_> = (0..33).map(|n| format!("{{name: r{n}, storageType: Ephemeral}}")).collect();
    let many = with(ring(), &format!("{{spec: {{topology: {{rack: [{}]}}}}}}", racks.join(", ")));
    assert_eq!(refusals(&many)[0], "spec.topology.rack: Too many: 33: must have at most 32 items");
}
