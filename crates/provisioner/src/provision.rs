//! Creates the objects of a Cassandra and keeps them, or says why not.

use std::sync::Arc;

use api::cassandra::StoredConfiguration;
use api::halt::WritePermit;
use api::names::{self, CASSANDRA_FINALIZER};
use api::{Cassandra, CassandraVersion, PetSet};
use desired::{Configuration, Inputs, Rack, Refusal, Resolved};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::ResourceExt;
use operator::patch;
use serde_json::json;

use crate::apply::{Applied, Waiting, apply};
use crate::configuration::{self, Custom};
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
    let permit = WritePermit::of(resolved.cassandra);
    if observed.has_begun() && permit.is_none() {
        return Ok(Provisioned::Halted);
    }
    let custom = match configuration::custom(context, resolved).await? {
        Custom::Read(settings) => settings,
        Custom::Unfit(refusal) => return Ok(Provisioned::Refused(refusal)),
    };
    if !observed.has_begun()
        && let Some(refusal) = accounts(context, resolved).await?
    {
        return Ok(Provisioned::Refused(refusal));
    }
    let Some(permit) = permit else { return Ok(Provisioned::Halted) };
    let Configuration { keys, data } = configuration::find(context, resolved, &custom);
    let inputs = Inputs { version, image: &context.image, keys: &keys };
    let mut objects = desired::objects(resolved, &inputs, data);
    let waiting = hold_templates(context, resolved, &mut objects.petsets);
    let configuration = StoredConfiguration { keys, copied: custom.version };
    let applied = Box::pin(apply(context, permit, resolved, observed, objects, configuration)).await?;
    Ok(Provisioned::Applied(Applied { waiting, ..applied }))
}

/// Leaves the PetSets of a ring in use the templates that they have, see [`desired::held`]. Pods without volumes cannot be
/// renewed by a request, so they get a new template as soon as there is one.
fn hold_templates(context: &Context, resolved: &Resolved<'_>, petsets: &mut [PetSet]) -> Vec<Waiting> {
    if !resolved.is_in_use() {
        return vec![];
    }
    let mut waiting = vec![];
    for (rack, petset) in resolved.racks.iter().zip(petsets).filter(|(rack, _)| rack.storage.is_some()) {
        let Some(present) = context.caches.petsets.get(&resolved.namespace, &rack.petset) else { continue };
        if desired::waits(petset, &present) {
            let field = operator::difference(&petset.spec.template, &present.spec.template);
            let pods = (0..rack.replicas).map(|ordinal| names::pod(&rack.petset, ordinal)).collect();
            waiting.push(Waiting { pods, field: field.unwrap_or_default() });
        }
        *petset = desired::held(std::mem::take(petset), &present);
    }
    waiting
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
