//! Reads the values that a ring keeps (see [`desired::Kept`]) from its existing objects.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::{PetSet, names};
use desired::{Kept, Refusal, Resolved, noted};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Secret};
use kube::ResourceExt;
use kube::api::ListParams;

use crate::context::Context;
use crate::delete::is_claim_of;
use crate::error::Error;

/// Finds the values that the ring keeps. Until all nodes were up once, the user can still change the settings.
pub async fn recall(context: &Context, resolved: &mut Resolved<'_>) -> Result<Option<Refusal>, Error> {
    if let Some(refusal) = named(context, resolved).await? {
        return Ok(Some(refusal));
    }
    let known = resolved.cassandra.status.as_ref().is_some_and(|status| !status.host_ids.is_empty());
    if !known && !resolved.kept.fixed.is_empty() {
        let settings = user_settings(context, resolved).await?;
        resolved.kept.choose(|setting| settings.iter().find_map(|text| settings::value(text, setting)));
    }
    Ok(None)
}

/// The cluster name and the name of the Secret. Volume claims are listed only if there is no PetSet.
async fn named(context: &Context, resolved: &mut Resolved<'_>) -> Result<Option<Refusal>, Error> {
    let petsets: Vec<Arc<PetSet>> = resolved
        .racks
        .iter()
        .filter_map(|rack| context.caches.petsets.get(&resolved.namespace, &rack.petset))
        .collect();
    let petsets: Vec<&PetSet> = petsets.iter().map(|petset| &**petset).collect();
    if let Some(kept) = Kept::of(&resolved.name, &petsets) {
        resolved.kept = kept;
        return Ok(None);
    }
    let api = context.api::<PersistentVolumeClaim>(&resolved.namespace);
    let claims = api.list_metadata(&ListParams::default()).await.map_err(|source| {
        let what =
            format!("the PersistentVolumeClaims of Cassandra {}/{}", resolved.namespace, resolved.name);
        Error::Read { what, source }
    })?;
    let ours = claims.items.iter().filter(|claim| is_claim_of(resolved, &claim.name_any()));
    let noted: BTreeMap<_, _> = ours
        .map(|claim| (claim.name_any(), noted(claim.metadata.annotations.as_ref()).unwrap_or(&resolved.name)))
        .collect();
    let clusters: BTreeSet<_> = noted.values().copied().collect();
    match clusters.into_iter().collect::<Vec<_>>()[..] {
        [] => Ok(None),
        // The volumes carry no note of the settings that their data was written with.
        [one] => {
            one.clone_into(&mut resolved.kept.cluster);
            resolved.kept.fixed.clear();
            Ok(None)
        }
        _ => Ok(Some(Refusal::new("ClusterNameUnclear", unclear(&noted)))),
    }
}

/// The user's settings; the inline ones win over those of the Secret.
async fn user_settings(context: &Context, resolved: &Resolved<'_>) -> Result<Vec<String>, Error> {
    let Some(configuration) = &resolved.cassandra.spec.configuration else { return Ok(vec![]) };
    let secret = match &configuration.secret_name {
        Some(name) => context.read::<Secret>(&resolved.namespace, name).await?,
        None => None,
    };
    let data = secret.and_then(|secret| secret.data?.remove(names::CONFIG_KEY));
    let of_secret = data.map(|data| String::from_utf8_lossy(&data.0).into_owned());
    let inline = configuration.inline.get(names::CONFIG_KEY).cloned();
    Ok(inline.into_iter().chain(of_secret).collect())
}

fn unclear(noted: &BTreeMap<String, &str>) -> String {
    let claims: Vec<_> = noted.iter().map(|(claim, cluster)| format!("{claim} of {cluster:?}")).collect();
    format!(
        "the volumes that are there are of different clusters (PersistentVolumeClaim {}): delete those that do not belong \
         to this ring, or set their annotation {}",
        claims.join(", "),
        names::CLUSTER_NAME
    )
}
