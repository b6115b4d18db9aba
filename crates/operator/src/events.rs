//! Events on objects, for `kubectl describe`.
//!
//! kube's recorder counts events as one if only their text differs. Here the text is part of an event's identity, so
//! that each step remains readable.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use k8s_openapi::{
    api::events::v1::{Event, EventSeries},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use tokio::time::Instant;

use crate::{Leader, Object, ending::Ending, failure::error_chain};

/// An event that repeats within this time is counted instead of created again. API servers keep events for an hour.
const SERIES: Duration = Duration::from_mins(10);
/// The API server refuses longer notes.
const LONGEST_NOTE: usize = 1000;

/// Publishes events. A failure to publish one is logged, and never fails the work that the event is about.
#[derive(Clone)]
pub struct Events {
    client: Client,
    leader: Leader,
    controller: &'static str,
    instance: String,
    ending: Ending,
    recent: Arc<Mutex<HashMap<Key, Recent>>>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    uid: String,
    kind: &'static str,
    reason: String,
    action: String,
    note: String,
}

#[derive(Clone)]
struct Recent {
    name: String,
    count: i32,
    last: Instant,
}

impl Events {
    pub(crate) fn new(
        client: Client,
        leader: Leader,
        controller: &'static str,
        instance: String,
        ending: Ending,
    ) -> Self {
        Self { client, leader, controller, instance, ending, recent: Arc::default() }
    }

    /// Records that something went well. `reason` and `action` are in CamelCase, `note` is a sentence.
    pub async fn normal(&self, object: &impl Object, reason: &str, action: &str, note: &str) {
        self.publish("Normal", object, reason, action, note).await;
    }

    /// Records that something is wrong. `reason` and `action` are in CamelCase, `note` is a sentence.
    pub async fn warning(&self, object: &impl Object, reason: &str, action: &str, note: &str) {
        self.publish("Warning", object, reason, action, note).await;
    }

    async fn publish<K: Object>(
        &self,
        kind: &'static str,
        object: &K,
        reason: &str,
        action: &str,
        note: &str,
    ) {
        if !self.leader.is_leading() {
            return;
        }
        let key = Key {
            uid: object.meta().uid.clone().unwrap_or_default(),
            kind,
            reason: reason.to_owned(),
            action: action.to_owned(),
            note: shortened(note),
        };
        let namespace = object.meta().namespace.as_deref().unwrap_or("default");
        if self.ending.left(namespace).is_some() {
            return;
        }
        let api: Api<Event> = Api::namespaced(self.client.clone(), namespace);
        let sent = match self.recent(&key) {
            Some(recent) => self.repeat(&api, &recent).await.map(|()| recent.name),
            None => self.first(&api, object, &key, namespace).await,
        };
        match sent {
            Ok(name) => self.remember(key, name),
            Err(error) if self.ending.is_why(namespace, &error) => {}
            Err(error) => {
                tracing::warn!("event {reason} was not recorded: {}", error_chain(&error));
                self.forget(&key);
            }
        }
    }

    fn recent(&self, key: &Key) -> Option<Recent> {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.retain(|_, event| event.last.elapsed() < SERIES);
        recent.get(key).cloned()
    }

    fn remember(&self, key: Key, name: String) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let event = recent.entry(key).or_insert(Recent { name, count: 0, last: Instant::now() });
        event.count += 1;
        event.last = Instant::now();
    }

    fn forget(&self, key: &Key) {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    async fn first<K: Object>(
        &self,
        api: &Api<Event>,
        object: &K,
        key: &Key,
        namespace: &str,
    ) -> kube::Result<String> {
        let now = Timestamp::now();
        let name = format!("{}.{:x}", object.meta().name.as_deref().unwrap_or_default(), now.as_nanosecond());
        let event = Event {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                namespace: Some(namespace.to_owned()),
                ..ObjectMeta::default()
            },
            event_time: Some(MicroTime(now)),
            type_: Some(key.kind.to_owned()),
            reason: Some(key.reason.clone()),
            action: Some(key.action.clone()),
            note: Some(key.note.clone()),
            regarding: Some(object.object_ref(&())),
            reporting_controller: Some(self.controller.to_owned()),
            reporting_instance: Some(self.instance.clone()),
            ..Event::default()
        };
        api.create(&PostParams::default(), &event).await?;
        Ok(name)
    }

    async fn repeat(&self, api: &Api<Event>, recent: &Recent) -> kube::Result<()> {
        let series = EventSeries { count: recent.count + 1, last_observed_time: MicroTime(Timestamp::now()) };
        let patch = serde_json::json!({ "series": series });
        api.patch_metadata(&recent.name, &PatchParams::default(), &Patch::Merge(patch)).await?;
        Ok(())
    }
}

fn shortened(note: &str) -> String {
    if note.len() <= LONGEST_NOTE {
        return note.to_owned();
    }
    let mut end = LONGEST_NOTE;
    while !note.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &note[..end])
}
