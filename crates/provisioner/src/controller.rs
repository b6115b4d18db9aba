//! One reconcile: observe, decide, apply, check health, write the status.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use api::cassandra::condition_type;
use api::halt::WritePermit;
use api::{Cassandra, CassandraStatus, condition, halt};
use cassandra::replication::Fewer;
use cassandra::{Credentials, Sessions};
use desired::{Refusal, Resolved};
use futures::future::try_join_all;
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use operator::{Operator, Queue};

use crate::caches::Caches;
use crate::checks::Verdict;
use crate::context::Context;
use crate::delete::delete;
use crate::ended;
use crate::error::Error;
use crate::gauges;
use crate::health::{Health, Target};
use crate::login::{self, Found, Missing};
use crate::missing;
use crate::observe::{Observed, observe};
use crate::provision::{self, Provisioned, hold, provision};
use crate::recall::recall;
use crate::ring_state::RingStates;
use crate::setup::{Turns, set_up};
use crate::status::{self, Findings};

/// Requeue interval for problems that only the user can solve and that no watch reports.
const REFUSED: Duration = Duration::from_secs(30);
/// Requeue interval after the host ids have changed: the nodes get the new list as soon as the cache has the new status.
const AT_ONCE: Duration = Duration::from_millis(200);
/// Interval at which a ring in use is checked again whose login or replication is not as it should be.
const FLAWED: Duration = Duration::from_mins(1);

/// Takes one Cassandra a step further. Returns after how long to look again at the latest.
pub async fn reconcile(cassandra: Arc<Cassandra>, context: Arc<Context>) -> Result<Option<Duration>, Error> {
    let context = &*context;
    if cassandra.metadata.deletion_timestamp.is_some() {
        return delete(&cassandra, context).await;
    }
    // The namespace is being deleted: nothing can be created in it, and the deletion of this Cassandra triggers a reconcile.
    if let Some(left) = context.ends(&cassandra.namespace().unwrap_or_default()) {
        return Ok(Some(left));
    }
    context.confirm(&cassandra).await?;
    // Answer a halt before anything that takes time.
    let answered = status::answered(&cassandra, &context.clock().time());
    let mut cassandra = context.write_status(&cassandra, answered).await?;

    let version = provision::version(context, &cassandra);
    if version.is_ok()
        && let Some(permit) = WritePermit::of(&cassandra)
        && let Some(held) = hold(context, permit).await?
    {
        cassandra = held;
    }
    let mut resolved = Resolved::of(&cassandra);
    let unclear = recall(context, &mut resolved).await?;
    let resolved = resolved;
    let mut observed = observe(&resolved, &context.caches, context.clock().now());
    ended::explain(context, &resolved, &mut observed).await;
    missing::explain(context, &resolved, &mut observed).await;
    let when_missing = match (&version, WritePermit::of(&cassandra)) {
        _ if observed.has_begun() => Missing::Tell,
        (Ok(_), Some(permit)) => Missing::Make(permit),
        _ => Missing::Wait,
    };
    let login = login::find(context, &resolved, when_missing).await?;
    let provisioned = match (&version, &login, unclear) {
        (Err(refusal), ..) | (_, Found::Refused(refusal), _) => Ok(Provisioned::Refused(refusal.clone())),
        (.., Some(refusal)) => Ok(Provisioned::Refused(refusal)),
        (Ok(version), ..) => provision(context, &resolved, &observed, version).await,
    };
    let (verdict, lost) = match login {
        Found::Key(key) => (context.check(&resolved, &observed, key.credentials).await, key.lost),
        // Without a login the nodes cannot be asked; the verdict says why.
        Found::Refused(refusal) => (observed.has_begun().then(|| Verdict::known(&refusal.message)), None),
    };
    let (applied, refusal) = match &provisioned {
        Ok(Provisioned::Applied(applied)) => {
            (Some(applied), applied.refused.first().filter(|_| applied.held && !observed.has_begun()))
        }
        Ok(Provisioned::Refused(refusal)) => (None, Some(refusal)),
        Ok(Provisioned::Halted) | Err(_) => (None, None),
    };
    let findings = Findings {
        observed: &observed,
        refusal,
        not_applied: match (applied, lost) {
            (Some(applied), lost) => Some(applied.refused.iter().cloned().chain(lost).collect()),
            (None, lost) => lost.map(|lost| vec![lost]),
        },
        configuration: applied.and_then(|applied| applied.configuration.as_ref()),
        waiting: applied.map(|applied| &*applied.waiting),
        flaws: context
            .health
            .states
            .with(resolved.uid(), |state| state.kept_up.clone())
            .map(|(_, flaw)| flaw.into_iter().collect()),
        verdict: verdict.as_ref(),
    };
    let waits = refusal.is_some() && !observed.has_begun();
    let status = status::of(&cassandra, &findings, &context.clock().time());
    let host_ids = |one: &Cassandra| one.status.as_ref().map(|status| status.host_ids.clone());
    let known = host_ids(&cassandra);
    let cassandra = context.write_status(&cassandra, status).await?;
    // Only after the status is written: a failed write must not hide the state of the ring.
    provisioned?;
    Ok(Some(if waits {
        REFUSED
    } else if known == host_ids(&cassandra) {
        context.every(&cassandra)
    } else {
        AT_ONCE
    }))
}

fn has(cassandra: &Cassandra, type_: &str) -> bool {
    cassandra.status.as_ref().is_some_and(|status| condition::is_true(&status.conditions, type_))
}

impl Context {
    /// Interval between two health checks.
    fn every(&self, cassandra: &Cassandra) -> Duration {
        let period = u64::try_from(cassandra.spec.health_checker.period_seconds).unwrap_or(1).max(1);
        let (ready, period) = (has(cassandra, condition_type::READY), Duration::from_secs(period));
        let uid = cassandra.metadata.uid.as_deref().unwrap_or_default();
        self.health.states.with(uid, |state| state.pace.every(ready, period))
    }

    /// Drops the memory of Cassandras that are gone. `delete` does not see those that had no finalizer yet.
    fn forget_what_is_gone(&self) {
        let there = self.caches.cassandras.all();
        if self.health.states.count() <= there.len() {
            return;
        }
        let there: HashSet<String> = there.iter().filter_map(|one| one.uid()).collect();
        for state in self.health.states.keep(|uid| there.contains(uid)) {
            state.checks.addresses.iter().for_each(|address| self.health.sessions.forget(address));
        }
    }

    /// Makes sure, once per generation, that the cached Cassandra is the newest one: see [`halt::is_newest`].
    async fn confirm(&self, cassandra: &Cassandra) -> Result<(), Error> {
        let (uid, generation) =
            (cassandra.uid().unwrap_or_default(), cassandra.metadata.generation.unwrap_or(0));
        if self.health.states.with(&uid, |state| state.confirmed) == Some(generation) {
            return Ok(());
        }
        let (namespace, name) = (cassandra.namespace().unwrap_or_default(), cassandra.name_any());
        let newest = self.read::<Cassandra>(&namespace, &name).await?;
        if !halt::is_newest(cassandra, newest.as_ref()) {
            return Err(Error::Outdated(format!("{namespace}/{name}")));
        }
        self.health.states.with(&uid, |state| state.confirmed = Some(generation));
        self.forget_what_is_gone();
        Ok(())
    }

    /// The latest result of the health checks. If due, sets up the ring first: superuser and keyspaces.
    async fn check(
        &self,
        resolved: &Resolved<'_>,
        observed: &Observed,
        credentials: Option<Credentials>,
    ) -> Option<Verdict> {
        let (uid, states) = (resolved.uid(), &self.health.states);
        let changed =
            states.with(uid, |state| state.pace.look(resolved.cassandra.metadata.generation, &observed.pods));
        let every = Some(self.every(resolved.cassandra)).filter(|_| !changed);
        let in_use = resolved.is_in_use();
        let (mut set_up, kept_up) = states.with(uid, |state| (state.set_up, state.kept_up.clone()));
        let due = match kept_up {
            Some((looked, Some(_))) => looked.elapsed() >= FLAWED,
            _ => !set_up,
        };
        let mut why = "the pods are not all ready yet".to_owned();
        if due
            && observed.is_complete()
            && let Some(permit) = WritePermit::of(resolved.cassandra)
        {
            let done = self.set_up(permit, resolved, observed, credentials.as_ref(), every, in_use).await;
            set_up = done.is_ok();
            if let Err(error) = done {
                why = error;
            }
        }
        if !set_up && !in_use {
            return Some(Verdict::known(&why));
        }
        let checker = &resolved.cassandra.spec.health_checker;
        let target = Target {
            uid: uid.to_owned(),
            cluster: resolved.kept.cluster.clone(),
            cassandra: ObjectRef::from_obj(resolved.cassandra),
            pods: observed.pods.clone(),
            credentials,
            threshold: u32::try_from(checker.failure_threshold).unwrap_or(1),
            timeout: Duration::from_secs(u64::try_from(checker.timeout_seconds).unwrap_or(1).max(1)),
            write: !checker.disable_write_check,
        };
        self.health.look(target, every)
    }

    /// Sets up the ring, unless the last attempt failed less than `every` ago; `None`: at once.
    async fn set_up(
        &self,
        permit: WritePermit<'_>,
        resolved: &Resolved<'_>,
        observed: &Observed,
        credentials: Option<&Credentials>,
        every: Option<Duration>,
        in_use: bool,
    ) -> Result<(), String> {
        let (uid, Health { states, sessions, turns, .. }) = (resolved.uid(), &self.health);
        let last = states.with(uid, |state| state.setup_failed.clone());
        if let (Some((tried, why)), Some(every)) = (&last, every)
            && tried.elapsed() < every
        {
            return Err(why.clone());
        }
        let addresses = observed.addresses();
        let fewer = if in_use { Fewer::Tell } else { Fewer::Raise };
        let setting_up = Box::pin(set_up(permit, resolved, sessions, &addresses, credentials, fewer));
        let Some(set_up) = turns.take(last.is_some(), setting_up).await else {
            return Err("it is made ready for clients when other rings have been".to_owned());
        };
        let flaw = match &set_up {
            Ok(flaws) if flaws.is_empty() => None,
            Ok(flaws) => Some(Refusal::new("FewerCopies", flaws.join("; "))),
            Err(error) => Some(Refusal::new("NotSettled", error.clone())),
        };
        states.with(uid, |state| {
            state.set_up = set_up.is_ok();
            state.kept_up = in_use.then(|| (Instant::now(), flaw));
            state.setup_failed = set_up.as_ref().err().map(|why| (Instant::now(), why.clone()));
            let same = set_up.as_ref().err() == last.as_ref().map(|(_, why)| why);
            state.pace.tried(same && set_up.is_err());
        });
        set_up.map(drop).inspect_err(|error| tracing::debug!("not set up: {error}"))
    }

    /// Writes the status if it has changed, and an event for each change worth one.
    async fn write_status(&self, cassandra: &Cassandra, status: CassandraStatus) -> Result<Cassandra, Error> {
        let written = self.status(cassandra, &status).await?;
        let before = cassandra.status.as_ref().map_or(&[][..], |status| &status.conditions);
        for condition in status::news(before, &status.conditions) {
            let (reason, action, note) = (&condition.reason, &condition.type_, &condition.message);
            if status::is_bad(cassandra, condition) {
                self.events().warning(cassandra, reason, action, note).await;
            } else {
                self.events().normal(cassandra, reason, action, note).await;
            }
        }
        Ok(written)
    }
}

/// Runs the controllers until the process is asked to end: one set for each watched namespace.
pub async fn run(operator: &Operator, image: &str, petset_controller: bool) -> anyhow::Result<()> {
    let namespaces = operator.scope.instances();
    let sets =
        namespaces.iter().map(|namespace| run_in(operator, namespace.as_deref(), image, petset_controller));
    try_join_all(sets).await.map(drop)
}

async fn run_in(
    operator: &Operator,
    namespace: Option<&str>,
    image: &str,
    petset_controller: bool,
) -> anyhow::Result<()> {
    let (queue, petset_queue) = (Queue::new(), Queue::new());
    let caches = Caches::start(operator, namespace, &queue, &petset_queue);
    let (cassandras, petsets) = (caches.cassandras.clone(), caches.petsets.clone());
    let told = cassandras.clone();
    operator.register_gauges(move || told.all().iter().flat_map(|one| gauges::of(one)).collect());
    let health = Health {
        sessions: Sessions::new(),
        states: RingStates::default(),
        queue: queue.clone(),
        turns: Turns::default(),
    };
    let context = Arc::new(Context::new(operator.clone(), caches, health, image.to_owned()));
    let provisioner =
        operator::controller::run(operator, "cassandra", &cassandras, queue, context, reconcile);
    let petset = async {
        if petset_controller {
            petset::run(operator, namespace, &petsets, petset_queue).await
        } else {
            Ok(())
        }
    };
    tokio::try_join!(provisioner, petset).map(drop)
}

#[cfg(test)]
mod tests;
