//! One reconcile: observe, decide, apply, look after health, tell the status.

use std::sync::Arc;
use std::time::Duration;

use api::cassandra::condition_type;
use api::names::CASSANDRA_FINALIZER;
use api::{Cassandra, CassandraStatus, CassandraVersion, condition, halt};
use cassandra::{Credentials, Sessions};
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use operator::json_patch::Patch;
use operator::{Object, Operator, Queue};

use crate::apply::apply;
use crate::caches::Caches;
use crate::delete::delete;
use crate::desired;
use crate::error::{Error, Refusal};
use crate::gauges;
use crate::health::{Health, Target, Verdict};
use crate::login::{self, Missing};
use crate::memory::Memory;
use crate::observe::{Observed, observe};
use crate::plan::Plan;
use crate::settle::settle;
use crate::status::{self, Findings};

/// While a ring is on its way, it is looked at this often.
const ON_ITS_WAY: Duration = Duration::from_secs(3);
/// What only the user can mend, and what no watch tells of.
const REFUSED: Duration = Duration::from_secs(30);

/// What all reconciles share.
pub struct Context {
    /// Writes, events, the time.
    pub operator: Operator,
    /// What is there.
    pub caches: Caches,
    /// What the nodes say, and what is remembered of each Cassandra.
    pub health: Health,
    /// Image of this program.
    pub image: String,
}

/// Brings one Cassandra a step on. Answers when to look again at the latest.
pub async fn reconcile(cassandra: Arc<Cassandra>, context: Arc<Context>) -> Result<Option<Duration>, Error> {
    let context = &*context;
    if cassandra.metadata.deletion_timestamp.is_some() {
        return delete(&cassandra, context).await;
    }
    context.confirm(&cassandra).await?;
    // The answer to a halt comes before anything that takes time.
    let answered = status::answered(&cassandra, &context.operator.clock.time());
    let mut cassandra = context.tell(&cassandra, answered).await?;

    let version = context.caches.versions.cluster(&cassandra.spec.version);
    if version.is_some() && halt::provisioner_may_write(&cassandra) {
        cassandra = context.hold(cassandra).await?;
    }
    let plan = Plan::of(&cassandra);
    let observed = observe(&plan, &context.caches);
    let when_missing = match version {
        _ if observed.has_begun() => Missing::Tell,
        Some(_) if halt::provisioner_may_write(&cassandra) => Missing::Make,
        _ => Missing::Wait,
    };
    let login = login::find(context, &plan, when_missing).await?;
    let provisioned = match (version, &login) {
        (None, _) => Ok(Err(unknown_version(&plan))),
        (_, Err(refusal)) => Ok(Err(refusal.clone())),
        (Some(version), Ok(_)) => context.provision(&plan, &observed, &version).await,
    };
    let refusal = provisioned.as_ref().ok().and_then(|refused| refused.as_ref().err());
    let verdict = match login {
        Ok(credentials) => context.check(&plan, &observed, credentials).await,
        // Nothing is known of nodes that cannot be asked.
        Err(refusal) => observed.has_begun().then(|| Verdict::known(&refusal.message)),
    };
    let findings = Findings { observed: &observed, refusal, verdict: verdict.as_ref() };
    let status = status::of(&cassandra, &findings, &context.operator.clock.time());
    let cassandra = context.tell(&cassandra, status).await?;
    // An object that cannot be written must not hide how the ring is.
    let refused = provisioned?.is_err();
    Ok(Some(if refused && !observed.has_begun() { REFUSED } else { every(&cassandra) }))
}

fn unknown_version(plan: &Plan) -> Refusal {
    let name = &plan.cassandra.spec.version;
    let message = format!(
        "spec.version: there is no CassandraVersion {name:?}; `kubectl get casversion` lists those that there are"
    );
    Refusal::new("VersionNotFound", message)
}

/// Time from one check of the nodes to the next.
fn every(cassandra: &Cassandra) -> Duration {
    let period = u64::try_from(cassandra.spec.health_checker.period_seconds).unwrap_or(1).max(1);
    let period = Duration::from_secs(period);
    if has(cassandra, condition_type::READY) { period } else { period.min(ON_ITS_WAY) }
}

fn has(cassandra: &Cassandra, type_: &str) -> bool {
    cassandra.status.as_ref().is_some_and(|status| condition::is_true(&status.conditions, type_))
}

impl Context {
    /// Makes sure that the cached Cassandra is the newest there is, once per generation: see [`halt::is_newest`].
    async fn confirm(&self, cassandra: &Cassandra) -> Result<(), Error> {
        let (uid, generation) =
            (cassandra.uid().unwrap_or_default(), cassandra.metadata.generation.unwrap_or(0));
        if self.health.memory.of(&uid, |known| known.confirmed) == Some(generation) {
            return Ok(());
        }
        let (namespace, name) = (cassandra.namespace().unwrap_or_default(), cassandra.name_any());
        let newest = self.read::<Cassandra>(&namespace, &name).await?;
        if !halt::is_newest(cassandra, newest.as_ref()) {
            return Err(Error::Outdated(format!("{namespace}/{name}")));
        }
        self.health.memory.of(&uid, |known| known.confirmed = Some(generation));
        Ok(())
    }

    /// Sets the finalizer before there is anything that a deletion would have to care for.
    async fn hold(&self, cassandra: Cassandra) -> Result<Cassandra, Error> {
        if cassandra.finalizers().iter().any(|one| one == CASSANDRA_FINALIZER) {
            return Ok(cassandra);
        }
        let finalizers: Vec<_> =
            cassandra.finalizers().iter().map(String::as_str).chain([CASSANDRA_FINALIZER]).collect();
        let patch = serde_json::json!([{ "op": "add", "path": "/metadata/finalizers", "value": finalizers }]);
        let patch = serde_json::from_value::<Patch>(patch).map(|patch| patch.0).unwrap_or_default();
        Ok(self.operator.writer.patch(&cassandra, patch).await?)
    }

    /// Makes all objects what they should be, or nothing at all while halted.
    async fn provision(
        &self,
        plan: &Plan<'_>,
        observed: &Observed,
        version: &CassandraVersion,
    ) -> Result<Result<(), Refusal>, Error> {
        if !observed.has_begun()
            && let Err(refusal) = self.user_configuration(plan).await?
        {
            return Ok(Err(refusal));
        }
        if halt::provisioner_may_write(plan.cassandra) {
            Box::pin(apply(self, plan, observed, desired::objects(plan, version, &self.image))).await?;
        }
        Ok(Ok(()))
    }

    /// A pod that mounts a Secret which does not exist would wait without a word.
    async fn user_configuration(&self, plan: &Plan<'_>) -> Result<Result<(), Refusal>, Error> {
        let configuration = plan.cassandra.spec.configuration.as_ref();
        let Some(name) = configuration.and_then(|it| it.secret_name.as_ref()) else { return Ok(Ok(())) };
        let secret = self.read::<Secret>(&plan.namespace, name).await?;
        let key = api::names::CONFIG_KEY;
        let lack = match secret {
            None => "does not exist".to_owned(),
            Some(Secret { data: Some(data), .. }) if data.contains_key(key) => return Ok(Ok(())),
            Some(_) => format!("has no key {key}"),
        };
        let message = format!("spec.configuration.secretName: Secret {}/{name} {lack}", plan.namespace);
        Ok(Err(Refusal::new("ConfigSecretInvalid", message)))
    }

    /// What the nodes say. Before the first time, the ring is made fit to be asked.
    async fn check(
        &self,
        plan: &Plan<'_>,
        observed: &Observed,
        credentials: Option<Credentials>,
    ) -> Option<Verdict> {
        let (uid, memory) = (plan.uid(), &self.health.memory);
        let may_write = halt::provisioner_may_write(plan.cassandra);
        let mut settled = memory.of(uid, |known| known.settled);
        let mut why = "the pods are not all ready yet".to_owned();
        if !settled && may_write && observed.is_complete() {
            match settle(plan, &self.health.sessions, &observed.addresses(), credentials.as_ref()).await {
                Ok(()) => settled = true,
                Err(error) => {
                    tracing::debug!("not settled: {error}");
                    why = error;
                }
            }
            memory.of(uid, |known| known.settled = settled);
        }
        if !settled && !has(plan.cassandra, condition_type::PROVISIONED) {
            return Some(Verdict::known(&why));
        }
        let checker = &plan.cassandra.spec.health_checker;
        let target = Target {
            uid: uid.to_owned(),
            cassandra: ObjectRef::from_obj(plan.cassandra),
            pods: observed.pods.clone(),
            credentials,
            timeout: Duration::from_secs(u64::try_from(checker.timeout_seconds).unwrap_or(1).max(1)),
            write: !checker.disable_write_check,
        };
        self.health.look(target, every(plan.cassandra))
    }

    /// Writes the status if it says something new, and tells the news as events.
    async fn tell(&self, cassandra: &Cassandra, status: CassandraStatus) -> Result<Cassandra, Error> {
        let written = self.operator.writer.status(cassandra, &status).await?;
        let before = cassandra.status.as_ref().map_or(&[][..], |status| &status.conditions);
        for condition in status::news(before, &status.conditions) {
            let (reason, action, note) = (&condition.reason, &condition.type_, &condition.message);
            if condition.status == "True" || *action == condition_type::PAUSED {
                self.operator.events.normal(cassandra, reason, action, note).await;
            } else {
                self.operator.events.warning(cassandra, reason, action, note).await;
            }
        }
        Ok(written)
    }

    /// An object that no cache holds, or holds yet.
    pub async fn read<K: Object>(&self, namespace: &str, name: &str) -> Result<Option<K>, Error> {
        let api = self.operator.api::<K>(Some(namespace));
        api.get_opt(name).await.map_err(|source| {
            let what = format!("{} {namespace}/{name}", K::kind(&()));
            Error::Read { what, source }
        })
    }
}

/// Runs the controllers until the process is asked to end, one set for each namespace to work in.
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
    let health = Health { sessions: Sessions::new(), memory: Memory::default(), queue: queue.clone() };
    let context = Arc::new(Context { operator: operator.clone(), caches, health, image: image.to_owned() });
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
