//! Applies the desired objects of a Cassandra.
//!
//! Every object is tried, so that one refused by the API server does not block the others. A refusal is reported in the
//! status, and the object is tried again after a while or when the Cassandra changes.

use std::time::{Duration, Instant};

use api::cassandra::StoredConfiguration;
use api::halt::WritePermit;
use api::labels;
use desired::{Objects, Refusal, Resolved};
use kube::ResourceExt;
use kube::api::ObjectMeta;
use operator::{Cache, Failure, Object, WriteError};

use crate::context::Context;
use crate::error::Error;
use crate::login;
use crate::observe::Observed;
use crate::ring_state::Refused;

/// Delay before a refused object is tried again. No watch fires when a quota or a webhook changes.
const AGAIN: Duration = Duration::from_secs(30);

/// Result of one pass over all objects.
#[derive(Debug, Default)]
pub struct Applied {
    /// What was refused, and why.
    pub refused: Vec<Refusal>,
    /// New pods were not created because something that they need was refused.
    pub held: bool,
    /// The configuration, if it is stored now.
    pub configuration: Option<StoredConfiguration>,
    /// Templates that PetSets in use do not get before a request gives them.
    pub waiting: Vec<Waiting>,
}

/// A template that waits for a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The pods that lack it.
    pub pods: Vec<String>,
    /// The first field that is different in it.
    pub field: String,
}

/// Applies every object that differs: first what pods need to start, then the PetSets, last the AppBinding.
pub async fn apply(
    context: &Context,
    permit: WritePermit<'_>,
    resolved: &Resolved<'_>,
    observed: &Observed,
    objects: Objects,
    configuration: StoredConfiguration,
) -> Result<Applied, Error> {
    // No `..`, so that a new field of `Objects` which is not applied here does not compile.
    let Objects { account, config, services, disruption, petsets, binding } = objects;
    let caches = &context.caches;
    let mut round = Round { context, permit, resolved, refused: vec![], failed: None };
    let what = format!("the login of Cassandra {}/{}", resolved.namespace, resolved.name);
    round.attempt(what, "", login::keep(context, permit, resolved)).await?;
    let mut complete = true;
    if let Some(account) = account {
        complete &= round.one(&caches.accounts, account, "podTemplate.spec.serviceAccountName").await?;
    }
    let stored = round.one(&caches.secrets, config, "spec.configuration").await?;
    complete &= stored;
    for service in services {
        let of_clients = service.name_any() == resolved.name;
        let field = if of_clients { "spec.serviceTemplates" } else { "" };
        complete &= round.one(&caches.services, service, field).await? || of_clients;
    }
    if let Some(budget) = disruption {
        round.one(&caches.budgets, budget, "").await?;
    }
    for petset in petsets {
        if complete || observed.has(&petset.name_any()) {
            Box::pin(round.one(&caches.petsets, petset, "the podTemplate and storage of its rack")).await?;
        }
    }
    round.one(&caches.bindings, binding, "").await?;
    match round.failed {
        Some(error) => Err(error),
        None => Ok(Applied {
            refused: round.refused,
            held: !complete,
            configuration: stored.then_some(configuration),
            waiting: vec![],
        }),
    }
}

struct Round<'a> {
    context: &'a Context,
    permit: WritePermit<'a>,
    resolved: &'a Resolved<'a>,
    refused: Vec<Refusal>,
    /// The first error that a retry may solve.
    failed: Option<Error>,
}

impl Round<'_> {
    /// Returns whether the object is as desired now. `field` names the field of the spec that the user can change, if any.
    async fn one<K: Object>(&mut self, cache: &Cache<K>, desired: K, field: &str) -> Result<bool, Error> {
        let what = format!("{} {}/{}", K::kind(&()), self.resolved.namespace, desired.name_any());
        let (context, permit, resolved) = (self.context, self.permit, self.resolved);
        self.attempt(what, field, bring(context, permit, resolved, cache, desired)).await
    }

    /// Returns an error only if the whole pass must end because this replica does not lead any more.
    async fn attempt(
        &mut self,
        what: String,
        field: &str,
        work: impl Future<Output = Result<(), Error>>,
    ) -> Result<bool, Error> {
        let (uid, generation) = (self.resolved.uid(), self.resolved.cassandra.metadata.generation);
        let states = &self.context.health.states;
        let known = states.with(uid, |state| state.refused.get(&what).cloned());
        if let Some(known) = known.filter(|it| it.generation == generation && it.since.elapsed() < AGAIN) {
            self.refused.push(known.why);
            return Ok(false);
        }
        let error = match work.await {
            Ok(()) => {
                states.with(uid, |state| state.refused.remove(&what));
                return Ok(true);
            }
            Err(error @ Error::Write(WriteError::NotLeader { .. })) => return Err(error),
            Err(error) => error,
        };
        if is_lasting(&error) {
            let hint = if field.is_empty() { String::new() } else { format!("; it follows from {field}") };
            let why = Refusal::new(error.reason(), format!("{error}{hint}"));
            let refused = Refused { generation, since: Instant::now(), why: why.clone() };
            states.with(uid, |state| state.refused.insert(what, refused));
            self.refused.push(why);
        } else {
            self.failed.get_or_insert(error);
        }
        Ok(false)
    }
}

/// A failing webhook is not an outage of the API server: it affects only some kinds of objects, and may last.
fn is_lasting(error: &Error) -> bool {
    match error {
        Error::Foreign { .. } | Error::Write(WriteError::Refused { .. }) => true,
        Error::Write(WriteError::Unavailable { message, .. }) => message.contains("webhook"),
        _ => false,
    }
}

async fn bring<K: Object>(
    context: &Context,
    permit: WritePermit<'_>,
    resolved: &Resolved<'_>,
    cache: &Cache<K>,
    desired: K,
) -> Result<(), Error> {
    let name = desired.name_any();
    let current = match cache.get(&resolved.namespace, &name) {
        Some(current) => Some(current),
        // It may have been created a moment ago and be missing from the cache.
        None => context.read::<K>(&resolved.namespace, &name).await?.map(Into::into),
    };
    if let Some(current) = &current
        && !belongs(current.meta(), resolved)
    {
        // Pods only need the ServiceAccount to exist, whoever owns it: they get no token.
        if K::kind(&()) == "ServiceAccount" {
            return Ok(());
        }
        let what = format!("{} {}/{name}", K::kind(&()), resolved.namespace);
        return Err(Error::Foreign { what });
    }
    let applied = context.writer(permit).apply(desired, current.as_deref()).await?;
    if applied.written {
        tracing::info!("applied {} {name}", K::kind(&()));
    }
    Ok(())
}

/// An object with the operator's labels but no controller was restored from a backup; applying it sets its owner.
fn belongs(object: &ObjectMeta, resolved: &Resolved) -> bool {
    let mut owners = object.owner_references.iter().flatten();
    let is_ours = object.labels.as_ref().and_then(labels::cassandra_of) == Some(&resolved.name);
    owners.clone().any(|owner| owner.uid == resolved.uid())
        || (is_ours && !owners.any(|owner| owner.controller == Some(true)))
}
