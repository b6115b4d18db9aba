//! HTTP in front of the store: paths, verbs, selectors, watches, the log and the faults.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::body::Body;
use futures::stream;
use http::{Method, Request, Response, header::CONTENT_TYPE};
use kube::Client;
use serde_json::{Value, json};

use super::{
    Logged, eviction,
    store::{Answer, Change, Fault, Key, Refusal, Store, refusal},
};

type Shared = Arc<Mutex<Store>>;

pub(super) fn client(store: Shared) -> Client {
    let service = tower::service_fn(move |request: Request<kube::client::Body>| {
        let store = Arc::clone(&store);
        async move { Ok::<_, Infallible>(serve(store, request).await) }
    });
    Client::new(service, "default")
}

fn lock(store: &Shared) -> MutexGuard<'_, Store> {
    store.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(store: Shared, request: Request<kube::client::Body>) -> Response<Body> {
    let call = Call::read(request).await;
    if call.method == Method::GET && call.query.get("watch").is_some_and(|watch| watch == "true") {
        return watch(store, call);
    }
    let mut store = lock(&store);
    if call.makes_something(&store) && store.ending.contains(&call.key.namespace) {
        let body = namespace_terminating(&call.key);
        store.log.push(call.logged(403));
        return respond(403, Body::from(body.to_string()));
    }
    if call.method == Method::GET && call.subresource == "log" {
        let log = store.logs.get(&call.key).cloned();
        let status = if log.is_some() { 200 } else { 404 };
        store.log.push(call.logged(status));
        return respond(status, Body::from(log.unwrap_or_default()));
    }
    let fault = if call.is_counted() { strike(&mut store.fault) } else { None };
    let answer = match fault {
        Some((status, false)) => Err(refusal(status, "InternalError", "this was to fail")),
        Some((status, true)) => {
            let _ = call.answer(&mut store);
            Err(refusal(status, "Timeout", "the answer was lost"))
        }
        None => call.refused(&store).map_or_else(|| call.answer(&mut store), Err),
    };
    let (status, body) = match answer {
        Ok(object) => (200, object),
        Err(Refusal { code, reason, message }) => (
            code,
            json!({ "kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message }),
        ),
    };
    store.log.push(call.logged(status));
    respond(status, Body::from(body.to_string()))
}

/// As the admission plugin `NamespaceLifecycle` answers.
fn namespace_terminating(key: &Key) -> Value {
    let Key { plural, namespace, name, .. } = key;
    let message = format!(
        "{plural} {name:?} is forbidden: unable to create new content in namespace {namespace} because it is being terminated"
    );
    let cause = json!({
        "reason": "NamespaceTerminating", "field": "metadata.namespace",
        "message": format!("namespace {namespace} is being terminated"),
    });
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 403, "reason": "Forbidden",
        "message": message, "details": { "name": name, "kind": plural, "causes": [cause] },
    })
}

/// Whether this write must fail: with which status, and whether it is done nevertheless.
fn strike(fault: &mut Option<Fault>) -> Option<(u16, bool)> {
    match fault {
        None => None,
        Some(Fault::After { left: 0 }) => Some((503, false)),
        Some(Fault::Nth { left: 1, status, done }) => {
            let strike = (*status, *done);
            *fault = None;
            Some(strike)
        }
        Some(Fault::After { left } | Fault::Nth { left, .. }) => {
            *left = left.saturating_sub(1);
            None
        }
    }
}

fn respond(status: u16, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
    response
}

/// A parsed request.
struct Call {
    method: Method,
    path: String,
    query: HashMap<String, String>,
    content: String,
    body: Value,
    key: Key,
    subresource: String,
}

impl Call {
    async fn read(request: Request<kube::client::Body>) -> Self {
        let (parts, body) = request.into_parts();
        let bytes = body.collect_bytes().await.unwrap_or_default();
        let path = parts.uri.path().to_owned();
        let (key, subresource) = split(&path);
        Self {
            query: parts.uri.query().map(query).unwrap_or_default(),
            content: parts
                .headers
                .get(CONTENT_TYPE)
                .and_then(|content| content.to_str().ok())
                .unwrap_or_default()
                .to_owned(),
            body: serde_json::from_slice(&bytes).unwrap_or_default(),
            method: parts.method,
            path,
            key,
            subresource,
        }
    }

    /// The refusal that a test has set for this path, in place of a policy, a quota or a missing right.
    fn refused(&self, store: &Store) -> Option<Refusal> {
        let is_refused = |(path, ..): &&(String, u16, String)| self.path.ends_with(path.as_str());
        let (_, code, message) = store.refused.iter().find(is_refused)?;
        let reason = if *code == 403 { "Forbidden" } else { "Invalid" };
        (self.method != Method::GET).then(|| refusal(*code, reason, message.clone()))
    }

    fn answer(&self, store: &mut Store) -> Answer {
        let key = &self.key;
        match (&self.method, self.subresource.as_str()) {
            (&Method::GET, _) if key.name.is_empty() => Ok(self.list(store)),
            (&Method::GET, _) => store.existing(key),
            (&Method::POST, "eviction") => self.evict(store),
            (&Method::POST, "") => {
                let name = self.body["metadata"]["name"].as_str().unwrap_or_default();
                let key = Key { name: name.to_owned(), ..key.clone() };
                if self.is_rehearsal() && store.get(&key).is_none() {
                    return Ok(self.body.clone());
                }
                store.create(&key, self.body.clone())
            }
            (&Method::PUT, sub @ ("" | "status")) => store.update(key, self.body.clone(), sub == "status"),
            (&Method::PATCH, sub @ ("" | "status")) => self.patch(store, sub == "status"),
            (&Method::DELETE, "") => {
                if self.body["propagationPolicy"] == "Orphan" {
                    store.orphan(&self.key);
                }
                self.delete(store, &self.body["preconditions"]["uid"])
            }
            _ => Err(refusal(405, "MethodNotAllowed", format!("{} {}", self.method, self.path))),
        }
    }

    fn list(&self, store: &Store) -> Value {
        let mut items = store.list(&self.key);
        items.retain(|object| self.selects(object));
        let version = store.version.borrow().to_string();
        json!({ "kind": "List", "apiVersion": "v1", "metadata": { "resourceVersion": version }, "items": items })
    }

    fn patch(&self, store: &mut Store, status: bool) -> Answer {
        if self.is_apply() && !status {
            let manager = self.query.get("fieldManager").map(String::as_str).unwrap_or_default();
            return store.apply(&self.key, manager, self.body.clone());
        }
        let mut object = store.existing(&self.key)?;
        if self.content.starts_with("application/json-patch") {
            let unfit =
                |_| refusal(422, "Invalid", "the server rejected our request due to an error in our request");
            let patch: json_patch::Patch = serde_json::from_value(self.body.clone()).map_err(unfit)?;
            json_patch::patch(&mut object, &patch).map_err(|_| {
                refusal(422, "Invalid", "the server rejected our request due to an error in our request")
            })?;
        } else {
            json_patch::merge(&mut object, &self.body);
        }
        store.update(&self.key, object, status)
    }

    fn evict(&self, store: &mut Store) -> Answer {
        if let Some(message) = &store.evictions_blocked {
            return Err(refusal(429, "TooManyRequests", message.clone()));
        }
        eviction::allowed(store, &store.existing(&self.key)?)?;
        self.delete(store, &self.body["deleteOptions"]["preconditions"]["uid"])
    }

    fn delete(&self, store: &mut Store, uid: &Value) -> Answer {
        let object = store.existing(&self.key)?;
        if uid.is_string() && *uid != object["metadata"]["uid"] {
            return Err(refusal(409, "Conflict", "the uid in the precondition does not match"));
        }
        store.delete(&self.key);
        Ok(json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success" }))
    }

    fn selects(&self, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        self.query.get("labelSelector").is_none_or(|selector| {
            selector.split(',').filter(|term| !term.is_empty()).all(|term| match term.split_once('=') {
                Some((name, value)) => {
                    labels[name.trim_end_matches('!')] == value.trim_start_matches('=')
                        && !name.ends_with('!')
                }
                None => labels.get(term).is_some(),
            })
        })
    }

    fn makes_something(&self, store: &Store) -> bool {
        self.method == Method::POST || (self.is_apply() && store.get(&self.key).is_none())
    }

    fn is_apply(&self) -> bool {
        self.content.starts_with("application/apply-patch")
    }

    fn is_counted(&self) -> bool {
        self.method != Method::GET && self.key.plural != "events" && !self.is_rehearsal()
    }

    fn is_rehearsal(&self) -> bool {
        self.query.contains_key("dryRun")
    }

    fn logged(self, status: u16) -> Logged {
        Logged {
            method: if self.is_apply() { "APPLY".to_owned() } else { self.method.to_string() },
            manager: self.query.get("fieldManager").cloned(),
            rehearsal: self.is_rehearsal(),
            query: self.query,
            path: self.path,
            body: self.body,
            status,
        }
    }
}

/// Streams all changes after the named version, for ever.
fn watch(store: Shared, call: Call) -> Response<Body> {
    let after = call.query.get("resourceVersion").and_then(|version| version.parse().ok()).unwrap_or(0_u64);
    let changes = lock(&store).version.subscribe();
    let call = Arc::new(call);
    let lines = stream::unfold((after, changes), move |(after, mut changes)| {
        let (store, call) = (Arc::clone(&store), Arc::clone(&call));
        async move {
            loop {
                changes.borrow_and_update();
                let found = lock(&store).history.iter().find_map(|change| call.line(change, after));
                if let Some((version, line)) = found {
                    return Some((Ok::<_, Infallible>(line), (version, changes)));
                }
                changes.changed().await.ok()?;
            }
        }
    });
    respond(200, Body::from_stream(lines))
}

impl Call {
    /// The watch event of a change, if the watcher does not know it yet.
    fn line(&self, change: &Change, after: u64) -> Option<(u64, String)> {
        let Change { version, verb, key, object } = change;
        let here = self.key.namespace.is_empty() || self.key.namespace == key.namespace;
        if *version <= after || !here || !self.key.same_kind(key) {
            return None;
        }
        let verb = match (self.selects(object), *verb) {
            (true, verb) => verb,
            (false, "ADDED") => return None,
            (false, _) => "DELETED",
        };
        Some((*version, format!("{}\n", json!({ "type": verb, "object": object }))))
    }
}

/// `/api/v1/namespaces/a/pods/b/eviction` and its shorter forms.
fn split(path: &str) -> (Key, String) {
    let parts: Vec<_> = path.trim_matches('/').split('/').collect();
    let root = if parts.first() == Some(&"api") { 2 } else { 3 }.min(parts.len());
    let (version, rest) = parts.split_at(root);
    let (namespace, rest) = match rest {
        ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
        rest => ("", rest),
    };
    let part = |position: usize| rest.get(position).copied().unwrap_or_default().to_owned();
    let key = Key {
        version: format!("/{}", version.join("/")),
        plural: part(0),
        namespace: namespace.to_owned(),
        name: part(1),
    };
    (key, part(2))
}

fn query(text: &str) -> HashMap<String, String> {
    text.split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), decoded(value)))
        .collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits: String = rest.by_ref().take(2).map(char::from).collect();
                u8::from_str_radix(&digits, 16).unwrap_or(b'%')
            }
            byte => byte,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
