//! The Service that clients use, and for each PetSet the one that gives its pods their names.

use api::cassandra::{ServiceAlias, ServiceTemplateSpec};
use api::{labels, names};
use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::resolved::{Rack, Resolved};

pub(crate) fn all(resolved: &Resolved) -> Vec<Service> {
    std::iter::once(primary(resolved))
        .chain(resolved.racks.iter().map(|rack| governing(resolved, rack)))
        .collect()
}

fn primary(resolved: &Resolved) -> Service {
    let templates = &resolved.cassandra.spec.service_templates;
    let template = templates.iter().find(|template| template.alias == ServiceAlias::Primary);
    let mut metadata = resolved.meta(resolved.name.clone());
    if let Some(user) = template.and_then(|template| template.metadata.as_ref()) {
        let mut all = labels::inheritable(&user.labels);
        all.append(metadata.labels.get_or_insert_default());
        metadata.labels = Some(all);
        metadata.annotations = Some(user.annotations.clone());
    }
    let user = template.and_then(|template| template.spec.clone()).unwrap_or_default();
    let ServiceTemplateSpec {
        type_,
        cluster_ip,
        external_ips,
        load_balancer_ip,
        load_balancer_source_ranges,
        external_traffic_policy,
    } = user;
    let some = |list: Vec<String>| Some(list).filter(|list| !list.is_empty());
    Service {
        metadata,
        spec: Some(ServiceSpec {
            type_: Some(type_.unwrap_or_else(|| "ClusterIP".to_owned())),
            cluster_ip,
            external_ips: some(external_ips),
            load_balancer_ip,
            load_balancer_source_ranges: some(load_balancer_source_ranges),
            external_traffic_policy,
            selector: Some(labels::selectors(&resolved.name)),
            ports: Some(vec![port(CQL)]),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

/// Also publishes pods that are not ready: a ring that starts needs its seeds before any node is ready.
fn governing(resolved: &Resolved, rack: &Rack) -> Service {
    Service {
        metadata: resolved.meta(names::governing_service(&rack.petset)),
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".to_owned()),
            cluster_ip: Some("None".to_owned()),
            publish_not_ready_addresses: Some(true),
            selector: Some(labels::petset_selectors(&resolved.name, &rack.petset)),
            ports: Some(PORTS.map(port).into()),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

/// The port for clients. The ports between nodes need no login, so the Service that can be exposed does not have them.
const CQL: (&str, u16) = ("cql", names::CQL_PORT);

/// The ports of a node, by name.
pub(crate) const PORTS: [(&str, u16); 4] = [
    CQL,
    ("internode", names::INTERNODE_PORT),
    ("internode-ssl", names::INTERNODE_SSL_PORT),
    ("jmx", names::JMX_PORT),
];

fn port((name, port): (&str, u16)) -> ServicePort {
    ServicePort {
        name: Some(name.to_owned()),
        port: i32::from(port),
        protocol: Some("TCP".to_owned()),
        target_port: Some(IntOrString::String(name.to_owned())),
        ..ServicePort::default()
    }
}
