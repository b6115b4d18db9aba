//! Which kinds the operators read and write, and where their objects live.

use std::fmt::Debug;

use kube::{Api, Client, Resource, core::ClusterResourceScope, core::NamespaceResourceScope};
use serde::{Serialize, de::DeserializeOwned};

/// A kind known at compile time. Implemented by every k8s-openapi resource and every derived custom resource.
pub trait Object:
    Resource<DynamicType = (), Scope: Placement>
    + Clone
    + Debug
    + Serialize
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
}

impl<K> Object for K where
    K: Resource<DynamicType = (), Scope: Placement>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned
        + Send
        + Sync
        + 'static
{
}

/// Whether objects of a kind live in a namespace or in the cluster.
pub trait Placement: Sized {
    /// The objects of one namespace, or of the whole cluster. A cluster-scoped kind ignores the namespace.
    fn api<K>(client: Client, namespace: Option<&str>) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = Self>;
}

impl Placement for NamespaceResourceScope {
    fn api<K>(client: Client, namespace: Option<&str>) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = Self>,
    {
        match namespace {
            Some(namespace) => Api::namespaced(client, namespace),
            None => Api::all(client),
        }
    }
}

impl Placement for ClusterResourceScope {
    fn api<K>(client: Client, _namespace: Option<&str>) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = Self>,
    {
        Api::all(client)
    }
}
