//! An API server in memory, so that tests state what is in the cluster afterwards and not which requests were sent.
//!
//! It implements versions and conflicts, generations, server-side apply, status, finalizers, owner references, evictions,
//! PodDisruptionBudgets, watches and dry runs. It has no schemas, no defaults, and no admission except what a test refuses.
//! Names, UIDs and times are the same in every run.

#![expect(clippy::panic, reason = "only tests use it, and there a panic is a failed test")]

mod eviction;
mod http_api;
mod store;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    Cache, Clock, Events, Leader, Object, Operator, Scope, Writer, ending::Ending, metrics::Metrics,
    probes::Health,
};
use store::{Key, Store};

/// An API server in memory. Clones are the same server.
#[derive(Clone, Default)]
pub struct FakeApi {
    store: Arc<Mutex<Store>>,
}

/// A request that the server received.
#[derive(Clone, Debug, PartialEq)]
pub struct Logged {
    /// HTTP method; a server-side apply is `APPLY`.
    pub method: String,
    /// Path without query.
    pub path: String,
    /// The parsed query.
    pub query: HashMap<String, String>,
    /// The `fieldManager`, if the request named one.
    pub manager: Option<String>,
    /// Whether it is a dry run.
    pub rehearsal: bool,
    /// Body as JSON; null without one.
    pub body: Value,
    /// HTTP status of the answer.
    pub status: u16,
}

impl Logged {
    /// Whether the request was to change something.
    pub fn is_write(&self) -> bool {
        self.method != "GET" && !self.rehearsal
    }
}

impl FakeApi {
    /// A server without objects.
    pub fn new() -> Self {
        Self::default()
    }

    /// A client of this server.
    pub fn client(&self) -> Client {
        http_api::client(Arc::clone(&self.store))
    }

    /// An operator on this server which always leads, at 2026-01-01T00:00:00Z until a test moves its clock.
    pub fn operator(&self, name: &'static str) -> Operator {
        operator(self.client(), Clock::fixed(store::TIME.parse().unwrap_or_default()), name)
    }

    /// Creates the object, or replaces the one of this name, status included. Returns it as stored.
    pub fn put<K: Object>(&self, object: &K) -> K {
        let key = Key::of::<K>(
            object.meta().namespace.as_deref(),
            object.meta().name.as_deref().unwrap_or_default(),
        );
        let mut value = to_json(object);
        value["apiVersion"] = json!(K::api_version(&()));
        value["kind"] = json!(K::kind(&()));
        from_json(&self.lock().put(&key, value))
    }

    /// An object as stored.
    pub fn get<K: Object>(&self, namespace: &str, name: &str) -> Option<K> {
        let namespace = Some(namespace).filter(|namespace| !namespace.is_empty());
        self.lock().get(&Key::of::<K>(namespace, name)).map(from_json)
    }

    /// All objects of a kind, in the order of namespace and name.
    pub fn list<K: Object>(&self) -> Vec<K> {
        self.lock().list(&Key::of::<K>(None, "")).iter().map(from_json).collect()
    }

    /// Changes an object as somebody else would, status included.
    ///
    /// # Panics
    /// If there is none of this name.
    pub fn change<K: Object>(&self, namespace: &str, name: &str, change: impl FnOnce(&mut K)) -> K {
        let mut object: K =
            self.get(namespace, name).unwrap_or_else(|| panic!("no {} {namespace}/{name}", K::kind(&())));
        change(&mut object);
        self.put(&object)
    }

    /// Deletes an object as somebody else would: one with finalizers is only marked.
    pub fn delete<K: Object>(&self, namespace: &str, name: &str) {
        let namespace = Some(namespace).filter(|namespace| !namespace.is_empty());
        self.lock().delete(&Key::of::<K>(namespace, name));
    }

    /// A cache of the objects of a kind as they are now; it does not follow later changes.
    pub fn cache<K: Object>(&self) -> Cache<K> {
        Cache::fixed(self.list())
    }

    /// All requests since the start or the last [`FakeApi::forget_requests`].
    pub fn requests(&self) -> Vec<Logged> {
        self.lock().log.clone()
    }

    /// The requests that were to change something, events aside.
    pub fn writes(&self) -> Vec<Logged> {
        let mut requests = self.requests();
        requests.retain(|request| request.is_write() && !request.path.contains("/events"));
        requests
    }

    /// Empties the log.
    pub fn forget_requests(&self) {
        self.lock().log.clear();
    }

    /// Lets `count` writes pass and answers all later ones with 503 until [`FakeApi::heal`]: to the cluster it is as if the
    /// writer had died there. Reads pass, and events do not count.
    pub fn fail_after(&self, count: usize) {
        self.lock().fault = Some(store::Fault::After { left: count });
    }

    /// Answers the `n`-th write from now (from 1) with this status and does not carry it out. Events do not count.
    pub fn fail_nth(&self, n: usize, status: u16) {
        self.lock().fault = Some(store::Fault::Nth { left: n, status, done: false });
    }

    /// Carries out the `n`-th write from now (from 1), but loses the response. Events do not count.
    pub fn lose_answer(&self, n: usize) {
        self.lock().fault = Some(store::Fault::Nth { left: n, status: 504, done: true });
    }

    /// Answers every write to a path that ends with `path` (such as `/services/db`) with this status and message until
    /// [`FakeApi::heal`], as a quota, a webhook or an invalid field does.
    pub fn refuse(&self, path: &str, status: u16, message: &str) {
        self.lock().refused.push((path.to_owned(), status, message.to_owned()));
    }

    /// No more faults.
    pub fn heal(&self) {
        let mut store = self.lock();
        store.fault = None;
        store.refused.clear();
    }

    /// Evictions are answered with 429 and this message; `None` lets them pass.
    pub fn block_evictions(&self, message: Option<&str>) {
        self.lock().evictions_blocked = message.map(str::to_owned);
    }

    /// Sets what the containers of a pod have logged.
    pub fn log(&self, namespace: &str, pod: &str, log: &str) {
        self.lock().logs.insert(Key::of::<Pod>(Some(namespace), pod), log.to_owned());
    }

    /// Marks the namespace as being deleted: nothing can be created in it.
    pub fn end_namespace(&self, namespace: &str) {
        self.lock().ending.insert(namespace.to_owned());
    }

    fn lock(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An operator on the real API server that the environment names, as a process that always leads.
pub async fn connect(name: &'static str) -> anyhow::Result<Operator> {
    Ok(operator(crate::client::connect(name, &Metrics::new()).await?, Clock::system(), name))
}

fn operator(client: Client, clock: Clock, name: &'static str) -> Operator {
    let (leader, metrics, ending) = (Leader::always(), Metrics::new(), Ending::default());
    Operator {
        writer: Writer::new(client.clone(), leader.clone(), name, metrics.clone(), ending.clone()),
        events: Events::new(client.clone(), leader.clone(), name, format!("{name}-0"), ending),
        leader,
        shutdown: CancellationToken::new(),
        clock,
        scope: Scope::default(),
        concurrency: 4,
        client,
        metrics,
        health: Health::new(),
    }
}

fn to_json(object: &impl Object) -> Value {
    serde_json::to_value(object).unwrap_or_else(|error| panic!("{object:?} is not JSON: {error}"))
}

fn from_json<K: Object>(value: &Value) -> K {
    serde_json::from_value(value.clone())
        .unwrap_or_else(|error| panic!("no {}: {error}: {value}", K::kind(&())))
}

#[cfg(test)]
mod tests;
