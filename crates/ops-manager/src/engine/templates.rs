//! The templates of the PetSets. They are written as the provisioner would write them, so that it has nothing to do when the
//! Cassandra is resumed.

use api::{Cassandra, CassandraVersion, PetSet, names};
use desired::{Inputs, Kept, Rack, Resolved};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use kube::ResourceExt;
use operator::WriteError;

use crate::context::Context;
use crate::observe::{self, Observed};
use crate::operation;

/// The PetSets that follow from the spec of a Cassandra; none if its version is not in the catalog, or its configuration not stored.
pub(super) fn built(
    context: &Context,
    cassandra: &Cassandra,
    version: Option<&CassandraVersion>,
) -> Vec<PetSet> {
    let stored = cassandra.status.as_ref().and_then(|status| status.configuration.as_ref());
    let (Some(version), Some(stored)) = (version, stored) else { return vec![] };
    let inputs = Inputs { version, image: &context.image, keys: &stored.keys };
    desired::petsets(&resolved(context, cassandra), &inputs)
}

/// The PetSets as they will be once their pods are renewed.
pub(super) fn renewed(context: &Context, observed: &Observed) -> Vec<PetSet> {
    let Some(cassandra) = &observed.cassandra else { return vec![] };
    let built = built(context, cassandra, observed.current.as_deref());
    let kind = operation::kind(observed.request.spec.type_);
    let namespace = observed.request.namespace().unwrap_or_default();
    let renewed = |rack: &observe::Rack| {
        let mut petset = (*context.petsets.get(&namespace, &rack.petset)?).clone();
        let waiting = built.iter().find(|built| built.name_any() == rack.petset).filter(|_| rack.waits);
        kind.change(observed, &mut petset, waiting);
        Some(petset)
    };
    observed.racks.iter().filter_map(renewed).collect()
}

/// Gives a PetSet the template that follows from the spec of the Cassandra.
pub(super) async fn deliver(context: &Context, observed: &Observed, petset: &str) -> Result<(), WriteError> {
    let Some(cassandra) = &observed.cassandra else { return Ok(()) };
    let built = built(context, cassandra, observed.current.as_deref());
    let Some(built) = built.into_iter().find(|built| built.name_any() == petset) else { return Ok(()) };
    change(context, observed, petset, |template| *template = built.spec.template).await
}

/// Changes the template that a PetSet has.
pub(super) async fn change(
    context: &Context,
    observed: &Observed,
    petset: &str,
    change: impl FnOnce(&mut PodTemplateSpec),
) -> Result<(), WriteError> {
    let Some(cassandra) = &observed.cassandra else { return Ok(()) };
    let resolved = resolved(context, cassandra);
    let Some(rack) = resolved.racks.iter().find(|rack| rack.petset == petset) else { return Ok(()) };
    let Some(present) = context.petsets.get(&resolved.namespace, petset) else { return Ok(()) };
    let mut template = present.spec.template.clone();
    change(&mut template);
    let given = desired::given(&resolved, rack, &present, template);
    context.operator.writer.manager(names::PROVISIONER).apply(given, Some(&present)).await.map(drop)
}

fn resolved<'a>(context: &Context, cassandra: &'a Cassandra) -> Resolved<'a> {
    let mut resolved = Resolved::of(cassandra);
    let petset = |rack: &Rack| context.petsets.get(&resolved.namespace, &rack.petset);
    let petsets: Vec<_> = resolved.racks.iter().filter_map(petset).collect();
    if let Some(kept) = Kept::of(&resolved.name, &petsets.iter().map(|petset| &**petset).collect::<Vec<_>>())
    {
        resolved.kept = kept;
    }
    resolved
}
