//! Creates the objects of a Cassandra and keeps them, or says why not.

use std::sync::Arc;

use api::halt::WritePermit;
use api::names::CASSANDRA_FINALIZER;
use api::{Cassandra, CassandraVersion};
use desired::{Rack, Refusal, Resolved};
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::ResourceExt;
use operator::patch;
use serde_json::json;

use crate::apply::{Applied, apply};
use crate::context::Context;
use crate::error::Error;
use crate::observe::Observed;

/// What has come of it.
#[derive(Debug)]
pub enum Provisioned {
    /// Every object was tried.
    Applied(Applied),
    /// Nothing was: the Cassandra is halted.
    Halted,
    /// Nothing was: the user must change something first.
    Refused(Refusal),
}

/// The version that the spec names.
pub fn version(context: &Context, cassandra: &Cassandra) -> Result<Arc<CassandraVersion>, Refusal> {
    let name = &cassandra.spec.version;
    context.caches.versions.cluster(name).ok_or_else(|| {
        let message = format!(
            "spec.version: there is no CassandraVersion {name:?}; `kubectl get casversion` lists those that there are"
        );
        Refusal::new("VersionNotFound", message)
    })
}

/// Adds the finalizer before anything is created that a deletion must clean up. `None`: it is there.
pub async fn hold(context: &Context, permit: WritePermit<'_>) -> Result<Option<Cassandra>, Error> {
    let cassandra = permit.cassandra();
    let finalizers = cassandra.finalizers();
    if finalizers.iter().any(|one| one == CASSANDRA_FINALIZER) {
        return Ok(None);
    }
    let finalizers: Vec<_> = finalizers.iter().map(String::as_str).chain([CASSANDRA_FINALIZER]).collect();
    let hold = patch::add(&["metadata", "finalizers"], json!(finalizers));
    Ok(Some(context.writer(permit).patch(cassandra, vec![hold]).await?))
}

/// Applies all objects.
pub async fn provision(
    context: &Context,
    resolved: &Resolved<'_>,
    observed: &Observed,
    version: &CassandraVersion,
) -> Result<Provisioned, Error> {
    if let Some(refusal) = desired::unfit(resolved, observed.has_begun()) {
        return Ok(Provisioned::Refused(refusal));
    }
    if !observed.has_begun()
        && let Some(refusal) = lacking(context, resolved).await?
    {
        return Ok(Provisioned::Refused(refusal));
    }
    let Some(permit) = WritePermit::of(resolved.cassandra) else { return Ok(Provisioned::Halted) };
    let objects = desired::objects(resolved, version, &context.image);
    Box::pin(apply(context, permit, resolved, observed, objects)).await.map(Provisioned::Applied)
}

/// An object of the user's that a new ring needs.
async fn lacking(context: &Context, resolved: &Resolved<'_>) -> Result<Option<Refusal>, Error> {
    Ok(match configuration(context, resolved).await? {
        None => accounts(context, resolved).await?,
        refusal => refusal,
    })
}

/// Pods with a missing ServiceAccount are never created, and only an event of their StatefulSet says why.
async fn accounts(context: &Context, resolved: &Resolved<'_>) -> Result<Option<Refusal>, Error> {
    for name in resolved.racks.iter().filter_map(Rack::account).filter(|name| *name != resolved.name) {
        if context.read::<ServiceAccount>(&resolved.namespace, name).await?.is_none() {
            let message = format!(
                "podTemplate.spec.serviceAccountName: ServiceAccount {}/{name} does not exist; create it, or leave the field \
                 out: the pods need no rights",
                resolved.namespace
            );
            return Ok(Some(Refusal::new("ServiceAccountNotFound", message)));
        }
    }
    Ok(None)
}

/// A pod that mounts a missing Secret would wait without an error, see [`desired::lack`].
async fn configuration(context: &Context, resolved: &Resolved<'_>) -> Result<Option<Refusal>, Error> {
    let configuration = resolved.cassandra.spec.configuration.as_ref();
    let Some(name) = configuration.and_then(|it| it.secret_name.as_ref()) else { return Ok(None) };
    let secret = context.read::<Secret>(&resolved.namespace, name).await?;
    let Some(lack) = desired::lack(secret.as_ref()) else { return Ok(None) };
    let message = format!("spec.configuration.secretName: Secret {}/{name} {lack}", resolved.namespace);
    Ok(Some(Refusal::new("ConfigSecretInvalid", message)))
}
