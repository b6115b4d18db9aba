//! One reconcile loop: what every controller does around its own function.

use std::{
    collections::{HashMap, HashSet},
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context;
use futures::{StreamExt, stream};
use kube::runtime::{
    applier,
    controller::{Action, Config, Error},
    reflector::ObjectRef,
};
use prometheus_client::metrics::gauge::Gauge;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

use crate::{Cache, Failure, Object, Operator, Queue, Retry, backoff, ending, failure::error_chain};

/// A burst of changes causes one reconcile.
const DEBOUNCE: Duration = Duration::from_millis(100);

/// Reconciles the objects of `cache` until the process is asked to end, and then finishes the reconciles under way.
///
/// It begins when all caches are complete and this replica leads: first with every object once, then with those that the
/// queue names. An object is never in two workers at once. `reconcile` returns when to run again at the latest; `None` means
/// only after a change.
///
/// For all controllers alike, this function measures each reconcile, logs a failure and records an event for it, and waits
/// before the next try, longer with each failure in a row. It fails if the queue already has a controller.
pub async fn run<K, C, E, F, Fut>(
    operator: &Operator,
    name: &'static str,
    cache: &Cache<K>,
    queue: Queue<K>,
    context: Arc<C>,
    reconcile: F,
) -> anyhow::Result<()>
where
    K: Object,
    C: Send + Sync + 'static,
    E: Failure + Send + 'static,
    F: Fn(Arc<K>, Arc<C>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Option<Duration>, E>> + Send + 'static,
{
    let _alive = operator.health.task(format!("controller {name}"));
    tokio::select! {
        () = operator.shutdown.cancelled() => return Ok(()),
        () = async { operator.health.ready().await; operator.leader.acquired().await; } => {}
    }
    let mut triggers =
        queue.open().with_context(|| format!("controller {name}: its queue has a controller already"))?;
    // The queue is opened before the objects are taken from the store, so that no change is lost in between.
    let all: Vec<_> = cache.all().iter().map(|object| ObjectRef::from_obj(&**object)).collect();
    let waiting = Arc::new(Waiting { objects: Mutex::default(), depth: operator.metrics.queued(name) });
    let requests = stream::iter(all)
        .chain(stream::poll_fn(move |context| triggers.poll_recv(context)))
        .take_until(operator.shutdown.clone().cancelled_owned())
        .inspect({
            let waiting = Arc::clone(&waiting);
            move |object| waiting.add(object)
        })
        .map(Ok::<_, Infallible>);

    tracing::info!("controller {name} starts");
    let attempts = Arc::new(Attempts { operator: operator.clone(), name, failures: Mutex::default() });
    let worker = {
        let (attempts, waiting) = (Arc::clone(&attempts), Arc::clone(&waiting));
        move |object: Arc<K>, context: Arc<C>| {
            waiting.remove(&name_of(&*object), object.meta().namespace.as_deref());
            let work = tokio::spawn(reconcile(Arc::clone(&object), context).in_current_span());
            let attempts = Arc::clone(&attempts);
            Box::pin(async move {
                Ok::<_, Infallible>(attempts.action(&object, AbortOnDropHandle::new(work)).await)
            })
        }
    };
    let config = Config::default().concurrency(operator.concurrency).debounce(DEBOUNCE);
    applier(worker, |_, never, _| match *never {}, context, cache.store(), requests, config)
        .for_each(|result| {
            match result {
                Ok(_) => {}
                Err(Error::ObjectNotFound(gone)) => {
                    waiting.remove(&gone.name, gone.namespace.as_deref());
                    attempts.forget(gone.namespace.as_deref().unwrap_or_default(), &gone.name);
                }
                Err(error) => tracing::warn!("controller {name}: {}", error_chain(&error)),
            }
            std::future::ready(())
        })
        .await;
    Ok(())
}

/// The objects that are queued for a controller and not yet in a worker.
struct Waiting<K: Object> {
    objects: Mutex<HashSet<ObjectRef<K>>>,
    depth: Gauge,
}

impl<K: Object> Waiting<K> {
    fn add(&self, object: &ObjectRef<K>) {
        // By name and namespace only: a reference may carry more, and `remove` must find it again.
        let object = named(&object.name, object.namespace.as_deref());
        if self.objects.lock().unwrap_or_else(PoisonError::into_inner).insert(object) {
            self.depth.inc();
        }
    }

    fn remove(&self, name: &str, namespace: Option<&str>) {
        let object = named(name, namespace);
        if self.objects.lock().unwrap_or_else(PoisonError::into_inner).remove(&object) {
            self.depth.dec();
        }
    }
}

fn named<K: Object>(name: &str, namespace: Option<&str>) -> ObjectRef<K> {
    let object = ObjectRef::new(name);
    if let Some(namespace) = namespace { object.within(namespace) } else { object }
}

/// Remembers how often each object failed in a row.
struct Attempts {
    operator: Operator,
    name: &'static str,
    failures: Mutex<HashMap<(String, String), u32>>,
}

/// How a reconcile failed.
struct Failed {
    reason: &'static str,
    retry: Retry,
    chain: String,
}

impl Attempts {
    /// Waits for the reconcile and returns when to run the next one.
    async fn action<K, E>(
        &self,
        object: &Arc<K>,
        work: AbortOnDropHandle<Result<Option<Duration>, E>>,
    ) -> Action
    where
        K: Object,
        E: Failure,
    {
        let started = Instant::now();
        let outcome = match work.await {
            Ok(Ok(again)) => Ok(again),
            Ok(Err(error)) => {
                Err(Failed { reason: error.reason(), retry: error.retry(), chain: error_chain(&error) })
            }
            Err(panic) => Err(Failed { reason: "Panicked", retry: Retry::Backoff, chain: panic.to_string() }),
        };
        let reason = outcome.as_ref().err().map(|failed| failed.reason);
        self.operator.metrics.reconciles.observe(self.name, started.elapsed(), reason);
        match outcome {
            Ok(again) => {
                self.forget(object.meta().namespace.as_deref().unwrap_or_default(), &name_of(&**object));
                again.map_or_else(Action::await_change, |again| Action::requeue(backoff::jitter(again)))
            }
            Err(failed) => self.failed(&**object, failed).await,
        }
    }

    async fn failed<K: Object>(&self, object: &K, failed: Failed) -> Action {
        let Failed { reason, retry, chain } = failed;
        let failures = self.count(object);
        let delay = match retry {
            Retry::Soon => {
                tracing::debug!("{reason}: {chain}");
                return Action::requeue(backoff::jitter(backoff::delay(backoff::CONFLICT, failures)));
            }
            Retry::Quietly => {
                tracing::debug!("{reason}: {chain}");
                return Action::requeue(backoff::jitter(ending::BELIEVED));
            }
            Retry::Never => None,
            Retry::Backoff => Some(backoff::jitter(backoff::delay(backoff::FIRST, failures))),
        };
        let next = delay.map_or_else(|| "after a change".to_owned(), |delay| format!("in {delay:.0?}"));
        tracing::warn!("{reason}: {chain} ({failures} in a row, again {next})");
        self.operator.events.warning(object, reason, "Reconcile", &chain).await;
        delay.map_or_else(Action::await_change, Action::requeue)
    }

    fn count<K: Object>(&self, object: &K) -> u32 {
        let key = (object.meta().namespace.clone().unwrap_or_default(), name_of(object));
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let count = failures.entry(key).or_default();
        *count = count.saturating_add(1);
        *count
    }

    fn forget(&self, namespace: &str, name: &str) {
        let key = (namespace.to_owned(), name.to_owned());
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
    }
}

fn name_of<K: Object>(object: &K) -> String {
    object.meta().name.clone().unwrap_or_default()
}

#[cfg(test)]
mod tests;
