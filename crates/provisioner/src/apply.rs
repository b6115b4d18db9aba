//! Bringing what is there to what is desired.

use api::PetSet;
use kube::ResourceExt;
use operator::{Cache, Object};

use crate::controller::Context;
use crate::desired::Objects;
use crate::error::Error;
use crate::observe::Observed;
use crate::plan::Plan;

/// Applies all objects that differ. First what pods need to start, then the pods, last what tells others of them.
pub async fn apply(
    context: &Context,
    plan: &Plan<'_>,
    observed: &Observed,
    objects: Objects,
) -> Result<(), Error> {
    // Without `..`: a new kind of object that nobody applies does not compile.
    let Objects { account, config, services, disruption, petsets, binding } = objects;
    let caches = &context.caches;
    one(context, plan, &caches.accounts, account).await?;
    one(context, plan, &caches.secrets, config).await?;
    for service in services {
        one(context, plan, &caches.services, service).await?;
    }
    if let Some(budget) = disruption {
        one(context, plan, &caches.budgets, budget).await?;
    }
    let in_turn = observed.in_turn();
    for petset in petsets.into_iter().filter(|petset| in_turn.contains(&&*petset.name_any())) {
        one::<PetSet>(context, plan, &caches.petsets, petset).await?;
    }
    one(context, plan, &caches.bindings, binding).await
}

async fn one<K: Object>(
    context: &Context,
    plan: &Plan<'_>,
    cache: &Cache<K>,
    desired: K,
) -> Result<(), Error> {
    let name = desired.name_any();
    let current = match cache.get(&plan.namespace, &name) {
        Some(current) => Some(current),
        // Perhaps just made, and not in the cache yet.
        None => context.read::<K>(&plan.namespace, &name).await?.map(Into::into),
    };
    if let Some(current) = &current
        && !belongs(&**current, plan.uid())
    {
        let what = format!("{} {}/{name}", K::kind(&()), plan.namespace);
        return Err(Error::Foreign { what });
    }
    let applied = context.operator.writer.apply(desired, current.as_deref()).await?;
    if applied.written {
        tracing::info!("applied {} {name}", K::kind(&()));
    }
    Ok(())
}

fn belongs(object: &impl ResourceExt, uid: &str) -> bool {
    object.owner_references().iter().any(|owner| owner.uid == uid)
}
