//! The AppBinding, by which applications find the database.

use api::app_binding::{AppBindingSpec, ClientConfig, SecretRef, ServiceReference, TypedReference};
use api::{AppBinding, Cassandra, names};
use kube::{Resource, ResourceExt};

use crate::resolved::{Login, Resolved};

pub(crate) fn binding(resolved: &Resolved) -> AppBinding {
    let mut metadata = resolved.meta(resolved.name.clone());
    metadata.annotations = Some(
        resolved
            .cassandra
            .annotations()
            .iter()
            .filter(|(key, _)| is_for_applications(key))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
    );
    let spec = AppBindingSpec {
        type_: Some("kubedb.com/cassandra".to_owned()),
        version: Some(resolved.cassandra.spec.version.clone()),
        app_ref: Some(TypedReference {
            api_group: Cassandra::group(&()).into_owned(),
            kind: Cassandra::kind(&()).into_owned(),
            namespace: resolved.namespace.clone(),
            name: resolved.name.clone(),
        }),
        client_config: ClientConfig {
            service: Some(ServiceReference {
                name: resolved.name.clone(),
                port: i32::from(names::CQL_PORT),
                scheme: "http".to_owned(),
            }),
        },
        secret: match &resolved.login {
            Login::Open => None,
            Login::Secret { name, .. } => Some(SecretRef { kind: "Secret".to_owned(), name: name.clone() }),
        },
    };
    AppBinding { metadata, spec }
}

/// Annotations for tools that act on the Cassandra itself are not copied.
fn is_for_applications(key: &str) -> bool {
    let domain = key.split('/').next().unwrap_or_default();
    let of = |owner: &str| domain == owner || domain.ends_with(&format!(".{owner}"));
    !of("kubedb.com") && !of("kubernetes.io")
}
