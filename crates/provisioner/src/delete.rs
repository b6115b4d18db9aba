//! Deletion of a Cassandra, by its deletionPolicy: what the policy does not name is kept.
//!
//! The garbage collector removes the owned objects. The PetSets must go first: while they exist, pods are created again and
//! with them their volume claims.

use std::time::Duration;

use api::cassandra::DeletionPolicy;
use api::halt::WritePermit;
use api::names::{self, CASSANDRA_FINALIZER};
use api::{Cassandra, labels};
use desired::{Login, Resolved};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Secret};
use kube::ResourceExt;
use kube::api::ListParams;
use operator::patch::{self, PatchOperation};
use serde_json::json;

use crate::context::Context;
use crate::error::Error;

/// What is removed besides the owned objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Removal {
    claims: bool,
    login: bool,
}

/// A deletion that `DoNotTerminate` should have prevented must still not lose data.
fn removal(policy: DeletionPolicy) -> Removal {
    match policy {
        DeletionPolicy::DoNotTerminate | DeletionPolicy::Halt => Removal { claims: false, login: false },
        DeletionPolicy::Delete => Removal { claims: true, login: false },
        DeletionPolicy::WipeOut => Removal { claims: true, login: true },
    }
}

/// One step of the deletion; called again until the finalizer is gone. Steps can be repeated; objects that are already gone
/// are fine.
pub async fn delete(cassandra: &Cassandra, context: &Context) -> Result<Option<Duration>, Error> {
    const AGAIN: Duration = Duration::from_secs(2);
    let resolved = Resolved::of(cassandra);
    let finalizers = cassandra.finalizers();
    let Some(position) = finalizers.iter().position(|one| one == CASSANDRA_FINALIZER) else {
        return Ok(None);
    };
    // A deletion goes ahead even under a halt.
    let Some(permit) = WritePermit::of(cassandra) else { return Ok(None) };
    let petsets = context.caches.petsets.owned_by(cassandra);
    for petset in petsets.iter().filter(|petset| petset.metadata.deletion_timestamp.is_none()) {
        context.writer(permit).delete(&**petset).await?;
    }
    let pods = resolved.pods().any(|pod| context.caches.pods.get(&resolved.namespace, &pod).is_some());
    if pods || !petsets.is_empty() {
        return Ok(Some(AGAIN));
    }
    let Removal { claims, login } = removal(cassandra.spec.deletion_policy);
    if claims {
        delete_claims(context, permit, &resolved).await?;
    }
    if login {
        delete_login(context, permit, &resolved).await?;
    }
    context.writer(permit).patch(cassandra, without_finalizer(position)).await?;
    if let Some(state) = context.health.states.forget(resolved.uid()) {
        state.checks.addresses.iter().for_each(|address| context.health.sessions.forget(address));
    }
    tracing::info!("gone, by deletionPolicy {:?}", cassandra.spec.deletion_policy);
    Ok(None)
}

fn without_finalizer(position: usize) -> Vec<PatchOperation> {
    let position = position.to_string();
    let item = ["metadata", "finalizers", &position];
    vec![patch::test(&item, json!(CASSANDRA_FINALIZER)), patch::remove(&item)]
}

/// Selected by label and by name, so that claims with the operator's labels that somebody else has created are kept.
async fn delete_claims(
    context: &Context,
    permit: WritePermit<'_>,
    resolved: &Resolved<'_>,
) -> Result<(), Error> {
    let selector: Vec<_> =
        labels::selectors(&resolved.name).into_iter().map(|(key, value)| format!("{key}={value}")).collect();
    let api = context.api::<PersistentVolumeClaim>(&resolved.namespace);
    let claims = api.list(&ListParams::default().labels(&selector.join(","))).await.map_err(|source| {
        let what =
            format!("the PersistentVolumeClaims of Cassandra {}/{}", resolved.namespace, resolved.name);
        Error::Read { what, source }
    })?;
    for claim in claims.items.iter().filter(|claim| is_claim_of(resolved, &claim.name_any())) {
        context.writer(permit).delete(claim).await?;
    }
    Ok(())
}

/// Also claims of pods that no longer exist, such as after a rack was made smaller.
pub(crate) fn is_claim_of(resolved: &Resolved, claim: &str) -> bool {
    let of_rack = |petset: &str| {
        claim
            .strip_prefix(names::DATA_VOLUME)
            .and_then(|rest| rest.strip_prefix('-')?.strip_prefix(petset)?.strip_prefix('-'))
            .is_some_and(|ordinal| ordinal.parse::<u32>().is_ok())
    };
    resolved.racks.iter().any(|rack| of_rack(&rack.petset))
}

/// Deletes the auth Secret, if the operator created it for this Cassandra and no other Cassandra uses it.
async fn delete_login(
    context: &Context,
    permit: WritePermit<'_>,
    resolved: &Resolved<'_>,
) -> Result<(), Error> {
    let Login::Secret { name, external: false } = &resolved.login else { return Ok(()) };
    let Some(secret) = context.read::<Secret>(&resolved.namespace, name).await? else { return Ok(()) };
    if labels::cassandra_of(secret.labels()) != Some(&resolved.name)
        || is_used_elsewhere(resolved, name, context)
    {
        return Ok(());
    }
    Ok(context.writer(permit).delete(&secret).await?)
}

fn is_used_elsewhere(resolved: &Resolved, secret: &str, context: &Context) -> bool {
    context.caches.cassandras.all().iter().any(|other| {
        let other = Resolved::of(other);
        let here = other.namespace == resolved.namespace && other.name != resolved.name;
        here && matches!(&other.login, Login::Secret { name, .. } if name == secret)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_claims_of_the_own_pods_count() {
        let cassandra: Cassandra = serde_json::from_value(json!({
            "metadata": { "name": "db", "namespace": "ns" },
            "spec": { "version": "1", "topology": { "rack": [{ "name": "a", "replicas": 2 }] } },
        }))
        .unwrap();
        let resolved = Resolved::of(&cassandra);
        let ours = |claim: &str| is_claim_of(&resolved, claim);
        assert!(ours("data-db-rack-a-0") && ours("data-db-rack-a-12"));
        assert!(!ours("data-db-rack-a-b-0") && !ours("data-db-rack-a-") && !ours("backup-db-rack-a-0"));
        assert!(!ours("data-db-0") && !ours("data-db2-rack-a-0"));
    }
}
