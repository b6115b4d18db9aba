//! The objects of the fake server and what happens to them.

use std::collections::{BTreeMap, HashMap, HashSet};

use kube::Resource;
use serde_json::{Map, Value, json};
use tokio::sync::watch;

use super::Logged;

/// The time at which everything happens.
pub(super) const TIME: &str = "2026-01-01T00:00:00Z";

/// Where an object is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    /// Such as `/apis/apps/v1`.
    pub(super) version: String,
    pub(super) plural: String,
    pub(super) namespace: String,
    pub(super) name: String,
}

impl Key {
    pub(super) fn of<K: Resource<DynamicType = ()>>(namespace: Option<&str>, name: &str) -> Self {
        let root = if K::group(&()).is_empty() { "/api" } else { "/apis" };
        Self {
            version: format!("{root}/{}", K::api_version(&())),
            plural: K::plural(&()).into_owned(),
            namespace: namespace.unwrap_or_default().to_owned(),
            name: name.to_owned(),
        }
    }

    pub(super) fn same_kind(&self, other: &Self) -> bool {
        (&self.version, &self.plural) == (&other.version, &other.plural)
    }
}

/// An error response.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Refusal {
    pub(super) code: u16,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

pub(super) type Answer = Result<Value, Refusal>;

/// Which writes must fail.
pub(super) enum Fault {
    After { left: usize },
    Nth { left: usize, status: u16, done: bool },
}

/// A change that watchers receive.
#[derive(Clone)]
pub(super) struct Change {
    pub(super) version: u64,
    pub(super) verb: &'static str,
    pub(super) key: Key,
    pub(super) object: Value,
}

#[derive(Default)]
pub(super) struct Store {
    objects: BTreeMap<Key, Value>,
    /// What each manager applied last, to see what it no longer wants.
    applied: HashMap<(Key, String), Value>,
    pub(super) history: Vec<Change>,
    pub(super) version: watch::Sender<u64>,
    uids: u64,
    pub(super) log: Vec<Logged>,
    pub(super) fault: Option<Fault>,
    /// End of the path, status and message of writes that are refused.
    pub(super) refused: Vec<(String, u16, String)>,
    pub(super) evictions_blocked: Option<String>,
    /// Namespaces that are being deleted.
    pub(super) ending: HashSet<String>,
    /// What the containers of each pod have logged.
    pub(super) logs: HashMap<Key, String>,
}

impl Store {
    pub(super) fn get(&self, key: &Key) -> Option<&Value> {
        self.objects.get(key)
    }

    /// Objects of the kind of `key`, in its namespace if it has one.
    pub(super) fn list(&self, key: &Key) -> Vec<Value> {
        let wanted = |other: &Key| {
            key.same_kind(other) && (key.namespace.is_empty() || key.namespace == other.namespace)
        };
        self.objects.iter().filter(|(other, _)| wanted(other)).map(|(_, object)| object.clone()).collect()
    }

    pub(super) fn existing(&self, key: &Key) -> Answer {
        self.get(key)
            .cloned()
            .ok_or_else(|| refusal(404, "NotFound", format!("{} {:?} not found", key.plural, key.name)))
    }

    pub(super) fn create(&mut self, key: &Key, object: Value) -> Answer {
        if self.objects.contains_key(key) {
            let message = format!("{} {:?} already exists", key.plural, key.name);
            return Err(refusal(409, "AlreadyExists", message));
        }
        Ok(self.put(key, object))
    }

    /// Stores the result of a replace or a patch, if it was made on the stored version.
    pub(super) fn update(&mut self, key: &Key, mut wanted: Value, status: bool) -> Answer {
        let stored = self.existing(key)?;
        for (field, reason) in
            [("resourceVersion", "the object has been modified"), ("uid", "the uid differs")]
        {
            let named = wanted["metadata"][field].as_str().filter(|named| !named.is_empty());
            if named.is_some_and(|named| Some(named) != stored["metadata"][field].as_str()) {
                return Err(refusal(409, "Conflict", format!("{} {:?}: {reason}", key.plural, key.name)));
            }
        }
        if status {
            let mut object = stored;
            object["status"] = wanted["status"].take();
            return Ok(self.put(key, object));
        }
        let fields = wanted.as_object_mut().ok_or_else(|| refusal(400, "BadRequest", "not an object"))?;
        fields.remove("status");
        if let Some(status) = stored.get("status") {
            fields.insert("status".to_owned(), status.clone());
        }
        Ok(self.put(key, wanted))
    }

    /// Server-side apply that treats each list as one value.
    pub(super) fn apply(&mut self, key: &Key, manager: &str, wanted: Value) -> Answer {
        let mark = (key.clone(), manager.to_owned());
        let stored = match self.get(key).cloned() {
            None if wanted["metadata"]["uid"].is_string() => {
                return Err(refusal(409, "Conflict", "uid mismatch: the object is gone"));
            }
            None => self.put(key, wanted.clone()),
            Some(mut object) => {
                if let Some(before) = self.applied.get(&mark) {
                    remove_unwanted(&mut object, before, &wanted);
                }
                merge(&mut object, &wanted);
                self.update(key, object, false)?
            }
        };
        self.applied.insert(mark, wanted);
        Ok(stored)
    }

    /// Stores an object with what the server adds. One that is equal to the stored one changes nothing.
    pub(super) fn put(&mut self, key: &Key, mut object: Value) -> Value {
        let stored = self.objects.get(key).cloned();
        let before = stored.as_ref().map(|stored| stored["metadata"].clone());
        object["metadata"]["name"] = json!(key.name);
        if !key.namespace.is_empty() {
            object["metadata"]["namespace"] = json!(key.namespace);
        }
        for (field, first) in
            [("uid", ""), ("creationTimestamp", TIME), ("resourceVersion", ""), ("generation", "")]
        {
            object["metadata"][field] =
                before.as_ref().map_or_else(|| json!(first), |before| before[field].clone());
        }
        if stored.as_ref() == Some(&object) {
            return object;
        }
        let version = self.next_version();
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        let generation = before.as_ref().and_then(|before| before["generation"].as_i64());
        if let Some(stored) = &stored {
            let changed = without_status(stored) != without_status(&object);
            object["metadata"]["generation"] = json!(generation.unwrap_or(1) + i64::from(changed));
        } else {
            self.uids += 1;
            object["metadata"]["uid"] = json!(format!("uid-{}", self.uids));
            object["metadata"]["generation"] = json!(1);
        }
        if is_marked(&object) && !has_finalizers(&object) {
            self.remove(key);
            return object;
        }
        let verb = if stored.is_some() { "MODIFIED" } else { "ADDED" };
        self.objects.insert(key.clone(), object.clone());
        self.notify(Change { version, verb, key: key.clone(), object: object.clone() });
        object
    }

    pub(super) fn delete(&mut self, key: &Key) {
        let Some(mut object) = self.objects.get(key).cloned() else { return };
        if !has_finalizers(&object) {
            self.remove(key);
        } else if !is_marked(&object) {
            object["metadata"]["deletionTimestamp"] = json!(TIME);
            self.put(key, object);
        }
    }

    /// Removes an object, and what it owned.
    fn remove(&mut self, key: &Key) {
        let Some(mut object) = self.objects.remove(key) else { return };
        self.applied.retain(|(applied, _), _| applied != key);
        let version = self.next_version();
        let uid = object["metadata"]["uid"].clone();
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        self.notify(Change { version, verb: "DELETED", key: key.clone(), object });
        for owned in self.owned_by(&uid) {
            self.delete(&owned);
        }
    }

    /// Removes the owner reference from everything that the object owns.
    pub(super) fn orphan(&mut self, key: &Key) {
        let Some(uid) = self.objects.get(key).map(|object| object["metadata"]["uid"].clone()) else { return };
        for owned in self.owned_by(&uid) {
            let Some(mut object) = self.objects.get(&owned).cloned() else { continue };
            if let Some(owners) = object["metadata"]["ownerReferences"].as_array_mut() {
                owners.retain(|owner| owner["uid"] != uid);
            }
            self.put(&owned, object);
        }
    }

    fn owned_by(&self, uid: &Value) -> Vec<Key> {
        let owned = |object: &Value| {
            let owners = object["metadata"]["ownerReferences"].as_array();
            owners.is_some_and(|owners| owners.iter().any(|owner| owner["uid"] == *uid))
        };
        self.objects.iter().filter(|(_, object)| owned(object)).map(|(key, _)| key.clone()).collect()
    }

    fn next_version(&self) -> u64 {
        *self.version.borrow() + 1
    }

    fn notify(&mut self, change: Change) {
        let version = change.version;
        self.history.push(change);
        self.version.send_replace(version);
    }
}

pub(super) fn refusal(code: u16, reason: &'static str, message: impl Into<String>) -> Refusal {
    Refusal { code, reason, message: message.into() }
}

fn has_finalizers(object: &Value) -> bool {
    object["metadata"]["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty())
}

fn is_marked(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_string()
}

fn without_status(object: &Value) -> Map<String, Value> {
    let mut fields = object.as_object().cloned().unwrap_or_default();
    fields.remove("status");
    fields.remove("metadata");
    fields
}

fn remove_unwanted(object: &mut Value, before: &Value, wanted: &Value) {
    let (Some(fields), Some(before)) = (object.as_object_mut(), before.as_object()) else { return };
    for (name, before) in before {
        match wanted.get(name) {
            None => {
                fields.remove(name);
            }
            Some(wanted) => {
                if let Some(field) = fields.get_mut(name) {
                    remove_unwanted(field, before, wanted);
                }
            }
        }
    }
}

/// As a JSON merge patch, but without the special meaning of null.
fn merge(object: &mut Value, wanted: &Value) {
    match (object.as_object_mut(), wanted.as_object()) {
        (Some(fields), Some(wanted)) => {
            for (name, wanted) in wanted {
                merge(fields.entry(name).or_insert(Value::Null), wanted);
            }
        }
        _ => *object = wanted.clone(),
    }
}
