//! Caches of watched objects: one list and watch per kind, for the whole life of the process.

use std::{collections::HashMap, sync::Arc};

use futures::{StreamExt, pin_mut};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{
    Api, Resource, ResourceExt,
    core::{DeserializeGuard, error_boundary::InvalidObject},
    runtime::{
        WatchStreamExt,
        reflector::{ObjectRef, Store, store::Writer},
        watcher::{Config, DefaultBackoff, Event, watcher},
    },
};

use crate::{
    Object, Operator, Queue,
    failure::error_chain,
    object::Placement,
    probes::{Health, Waiting},
};

/// The objects of a kind as last seen by the watch. Clones share them.
///
/// A cache may be behind our own last write: take what was just written from the response to the write.
pub struct Cache<K: Object> {
    store: Store<K>,
}

impl<K: Object> Cache<K> {
    /// Prepares to watch what `api` covers; [`CacheBuilder::start`] begins.
    pub fn builder(operator: &Operator, api: Api<K>) -> CacheBuilder<K> {
        CacheBuilder {
            operator: operator.clone(),
            api,
            config: Config::default(),
            listeners: Vec::new(),
            needed: None,
        }
    }

    /// An object in a namespace.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        self.store.get(&ObjectRef::new(name).within(namespace))
    }

    /// An object of a cluster-scoped kind.
    pub fn cluster(&self, name: &str) -> Option<Arc<K>> {
        self.store.get(&ObjectRef::new(name))
    }

    /// The objects whose controller (by uid) is `owner`, in the order of their names.
    pub fn owned_by(&self, owner: &impl Resource) -> Vec<Arc<K>> {
        let Some(uid) = owner.meta().uid.as_deref() else {
            return Vec::new();
        };
        sorted(self.store.state_filter(|object| controller_of(object).is_some_and(|owner| owner.uid == uid)))
    }

    /// The objects for which `wanted` is true, in the order of their namespaces and names.
    pub fn filtered(&self, wanted: impl Fn(&K) -> bool) -> Vec<Arc<K>> {
        sorted(self.store.state_filter(wanted))
    }

    /// All objects, in the order of their namespaces and names.
    pub fn all(&self) -> Vec<Arc<K>> {
        sorted(self.store.state())
    }

    /// Waits for the first complete list.
    pub async fn ready(&self) {
        if self.store.wait_until_ready().await.is_err() {
            // The watch has ended without a list, which happens only when the process ends.
            std::future::pending::<()>().await;
        }
    }

    pub(crate) fn store(&self) -> Store<K> {
        self.store.clone()
    }

    /// A cache of just these objects, for tests.
    #[cfg(any(test, feature = "testing"))]
    pub fn fixed(objects: impl IntoIterator<Item = K>) -> Self {
        let mut writer = Writer::default();
        let store = writer.as_reader();
        writer.apply_watcher_event(&Event::Init);
        for object in objects {
            writer.apply_watcher_event(&Event::InitApply(object));
        }
        writer.apply_watcher_event(&Event::InitDone);
        Self { store }
    }
}

impl<K: Object> Clone for Cache<K> {
    fn clone(&self) -> Self {
        Self { store: self.store.clone() }
    }
}

/// Called with the object before and after a change; one of them is `None` if the object was created or deleted.
type Listener<K> = Box<dyn Fn(Option<&K>, Option<&K>) + Send + Sync>;

/// What to watch, and which controllers to trigger.
pub struct CacheBuilder<K: Object> {
    operator: Operator,
    api: Api<K>,
    config: Config,
    listeners: Vec<Listener<K>>,
    /// Message of the readiness probe while there is no object; `None` if the operator can work without one.
    needed: Option<&'static str>,
}

impl<K: Object> CacheBuilder<K> {
    /// Watches only objects that match this label selector, so that foreign objects cost nothing, however many there are.
    #[must_use]
    pub fn labels(mut self, selector: &str) -> Self {
        self.config = self.config.labels(selector);
        self
    }

    /// While there is no object of this kind, the operator is not ready and reports `otherwise`.
    #[must_use]
    pub fn needed(mut self, otherwise: &'static str) -> Self {
        self.needed = Some(otherwise);
        self
    }

    /// Triggers a controller for the objects that `map` returns whenever an object is created, changed or deleted.
    #[must_use]
    pub fn notify<T, R>(self, queue: &Queue<T>, map: impl Fn(&K) -> R + Send + Sync + 'static) -> Self
    where
        T: Object,
        R: IntoIterator<Item = ObjectRef<T>>,
    {
        self.notify_if(queue, |_, _| true, map)
    }

    /// As [`CacheBuilder::notify`], but a change counts only if `changed(before, after)` is true. Creations and deletions always do.
    #[must_use]
    pub fn notify_if<T, R>(
        mut self,
        queue: &Queue<T>,
        changed: impl Fn(&K, &K) -> bool + Send + Sync + 'static,
        map: impl Fn(&K) -> R + Send + Sync + 'static,
    ) -> Self
    where
        T: Object,
        R: IntoIterator<Item = ObjectRef<T>>,
    {
        let queue = queue.clone();
        self.listeners.push(Box::new(move |before, after| {
            let same = |before: &K, after: &K| before.meta().uid == after.meta().uid;
            if let (Some(before), Some(after)) = (before, after)
                && same(before, after)
                && !changed(before, after)
            {
                return;
            }
            // Map both versions: an object that moved from one target to another concerns both.
            for object in before.into_iter().chain(after) {
                map(object).into_iter().for_each(|target| queue.trigger(target));
            }
        }));
        self
    }

    /// Calls `look` for each change of an object. It must be quick, since it runs in the watch.
    #[must_use]
    pub fn observe(mut self, look: impl Fn(&K, &K) + Send + Sync + 'static) -> Self {
        self.listeners.push(Box::new(move |before, after| {
            if let (Some(before), Some(after)) = (before, after) {
                look(before, after);
            }
        }));
        self
    }

    /// Begins to watch. The operator is ready when the first list is complete.
    pub fn start(self) -> Cache<K> {
        let Self { operator, api, config, listeners, needed } = self;
        let name = match api.namespace() {
            Some(namespace) => format!("cache of {} in {namespace}", K::plural(&())),
            None => format!("cache of {}", K::plural(&())),
        };
        let writer = Writer::default();
        let store = writer.as_reader();
        let waiting = operator.health.waiting(name.clone());
        let alive = operator.health.task(name.clone());
        // Guarded: one object that cannot be deserialized must not hide all the others.
        let namespace = api.namespace().map(str::to_owned);
        let guarded =
            <K::Scope as Placement>::api::<DeserializeGuard<K>>(api.into_client(), namespace.as_deref());
        let waiting = Some(waiting);
        let empty =
            needed.map(|otherwise| Empty { health: operator.health.clone(), otherwise, lacking: None });
        let reflector = Reflector { store: store.clone(), writer, listeners, waiting, empty };
        tokio::spawn(async move {
            let _alive = alive;
            follow(&name, guarded, config, reflector).await;
        });
        Cache { store }
    }
}

async fn follow<K: Object>(
    name: &str,
    api: Api<DeserializeGuard<K>>,
    config: Config,
    mut reflector: Reflector<K>,
) {
    let events = watcher(api, config).backoff(DefaultBackoff::default());
    pin_mut!(events);
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                reflector.take(event);
                reflector.look_for_any();
            }
            Err(error) => {
                let why = error_chain(&error);
                tracing::warn!("{name}: {why}");
                reflector.waiting.iter().for_each(|waiting| waiting.because(&why));
            }
        }
    }
}

/// Updates the store first, then calls the listeners.
struct Reflector<K: Object> {
    store: Store<K>,
    writer: Writer<K>,
    listeners: Vec<Listener<K>>,
    /// Dropped with the first complete list.
    waiting: Option<Waiting>,
    empty: Option<Empty>,
}

/// Reports in the readiness probe that there is no object.
struct Empty {
    health: Health,
    otherwise: &'static str,
    lacking: Option<Waiting>,
}

impl<K: Object> Reflector<K> {
    fn take(&mut self, event: Event<DeserializeGuard<K>>) {
        match event {
            Event::Init => self.writer.apply_watcher_event(&Event::Init),
            Event::InitApply(guard) => {
                if let Some(object) = self.readable(guard) {
                    self.writer.apply_watcher_event(&Event::InitApply(object));
                }
            }
            Event::InitDone => self.listed(),
            Event::Apply(guard) => {
                if let Some(object) = self.readable(guard) {
                    let before = self.store.get(&ObjectRef::from_obj(&object));
                    self.writer.apply_watcher_event(&Event::Apply(object.clone()));
                    self.notify(before.as_deref(), Some(&object));
                }
            }
            Event::Delete(guard) => {
                if let Some(object) = self.readable(guard) {
                    self.writer.apply_watcher_event(&Event::Delete(object.clone()));
                    self.notify(Some(&object), None);
                }
            }
        }
    }

    /// A list after a gap in the watch: comparison with the store finds what was created, changed or deleted in the gap.
    fn listed(&mut self) {
        let before: HashMap<_, _> =
            self.store.state().into_iter().map(|it| (ObjectRef::from_obj(&*it), it)).collect();
        self.writer.apply_watcher_event(&Event::InitDone);
        for object in self.store.state() {
            let known = before.get(&ObjectRef::from_obj(&*object));
            if known.is_none_or(|known| known.resource_version() != object.resource_version()) {
                self.notify(known.map(AsRef::as_ref), Some(&object));
            }
        }
        for (name, object) in &before {
            if self.store.get(name).is_none() {
                self.notify(Some(object), None);
            }
        }
        self.waiting = None;
    }

    /// Updates the readiness when the last object goes or the first one comes.
    fn look_for_any(&mut self) {
        let Some(Empty { health, otherwise, lacking }) = &mut self.empty else { return };
        if self.waiting.is_some() || !self.store.is_empty() {
            *lacking = None;
        } else if lacking.is_none() {
            tracing::warn!("waiting for {otherwise}");
            *lacking = Some(health.lacking((*otherwise).to_owned()));
        }
    }

    fn notify(&self, before: Option<&K>, after: Option<&K>) {
        for listener in &self.listeners {
            listener(before, after);
        }
    }

    /// The object without its managed fields, which nobody reads. If it cannot be deserialized, its last good version, if any.
    fn readable(&self, guard: DeserializeGuard<K>) -> Option<K> {
        match guard.0 {
            Ok(mut object) => {
                object.managed_fields_mut().clear();
                Some(object)
            }
            Err(InvalidObject { error, metadata }) => {
                let mut name = ObjectRef::<K>::new(metadata.name.as_deref().unwrap_or_default());
                name.namespace = metadata.namespace;
                tracing::warn!("{name} cannot be understood, its last change is ignored: {error}");
                self.store.get(&name).map(|object| K::clone(&object))
            }
        }
    }
}

fn sorted<K: Object>(mut objects: Vec<Arc<K>>) -> Vec<Arc<K>> {
    objects.sort_by(|one, other| key(&**one).cmp(&key(&**other)));
    objects
}

fn key<K: Object>(object: &K) -> (Option<&str>, Option<&str>) {
    (object.meta().namespace.as_deref(), object.meta().name.as_deref())
}

fn controller_of(object: &impl Resource) -> Option<&OwnerReference> {
    object.meta().owner_references.as_ref()?.iter().find(|owner| owner.controller == Some(true))
}

/// Maps an object to the `Owner` that controls it.
pub fn owner_of<Owner: Object>(object: &impl Resource) -> Option<ObjectRef<Owner>> {
    let owner = controller_of(object)?;
    let mut target = ObjectRef::from_owner_ref(object.meta().namespace.as_deref(), owner, ())?;
    target.extra = kube::runtime::reflector::ObjectRefExtra::default();
    Some(target)
}

/// Maps an object to itself.
pub fn itself<K: Object>(object: &K) -> Option<ObjectRef<K>> {
    Some(ObjectRef::from_obj(object))
}

/// Whether more than the status changed: the spec, labels, annotations, finalizers, owners or the deletion timestamp.
pub fn spec_changed<K: Object>(before: &K, after: &K) -> bool {
    fn relevant<K: Object>(object: &K) -> impl PartialEq + use<'_, K> {
        let meta = object.meta();
        (
            meta.generation,
            &meta.labels,
            &meta.annotations,
            &meta.finalizers,
            &meta.owner_references,
            &meta.deletion_timestamp,
        )
    }
    relevant(before) != relevant(after)
}

#[cfg(test)]
mod tests;
