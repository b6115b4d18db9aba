//! All writes of an operator.

use std::{future::Future, time::Duration};

use k8s_openapi::{
    api::{core::v1::Pod, policy::v1::Eviction as EvictionRequest},
    apimachinery::pkg::apis::meta::v1::{DeleteOptions, ObjectMeta, Preconditions as BodyPreconditions},
};
use kube::{
    Api, Client, Error, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions},
    core::Status,
};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    Failure, Leader, Object, Request, WriteError, client, drift,
    ending::Ending,
    failure::error_chain,
    metrics::{self, Metrics},
    object::Placement,
    patch::{self, PatchOperation},
};

/// All writes of an operator. Each write first checks that this replica still leads, names the version or the UID of the
/// object that the decision was based on, and is sent once. To repeat it, decide again on the current state.
#[derive(Clone)]
pub struct Writer {
    client: Client,
    leader: Leader,
    manager: &'static str,
    metrics: Metrics,
    ending: Ending,
}

/// An object after [`Writer::apply`].
#[derive(Clone, Debug)]
pub struct Applied<K> {
    /// As the server answered, or as it was known if nothing had to be written.
    pub object: K,
    /// Whether a request was sent.
    pub written: bool,
}

/// The result of an eviction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Eviction {
    /// The pod is on its way out.
    Evicted,
    /// This pod (by its uid) was gone before.
    Gone,
    /// A `PodDisruptionBudget` forbids it at the moment, or the pod has several budgets, which forbids it for good. Holds the
    /// server's message.
    Blocked(String),
}

impl Eviction {
    /// Interprets a response. If a pod has several budgets, the body is a failed `Status`, while the HTTP status is 201 or 500,
    /// depending on the release
    /// (<https://github.com/kubernetes/kubernetes/blob/v1.34.4/pkg/registry/core/pod/storage/eviction.go#L223>).
    fn of(answer: kube::Result<Status>) -> kube::Result<Self> {
        const SEVERAL_BUDGETS: &str = "more than one PodDisruptionBudget";
        match answer {
            Ok(status) if status.is_failure() => Ok(Self::Blocked(status.message)),
            Ok(_) => Ok(Self::Evicted),
            Err(Error::Api(status)) if status.code == 429 || status.message.contains(SEVERAL_BUDGETS) => {
                Ok(Self::Blocked(status.message))
            }
            Err(Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(Self::Gone),
            Err(error) => Err(error),
        }
    }
}

impl Writer {
    pub(crate) fn new(
        client: Client,
        leader: Leader,
        manager: &'static str,
        metrics: Metrics,
        ending: Ending,
    ) -> Self {
        Self { client, leader, manager, metrics, ending }
    }

    /// How long to create nothing in this namespace, because it is being deleted; `None` if it is not known to be.
    pub fn ends(&self, namespace: &str) -> Option<Duration> {
        self.ending.left(namespace)
    }

    /// The same writer under another field manager.
    #[must_use]
    pub fn manager(&self, manager: &'static str) -> Self {
        Self { manager, ..self.clone() }
    }

    /// Brings an object to its desired state by a forced server-side apply, unless it has that state already.
    ///
    /// `current` is the object from the cache. `None` says that there is none: if one exists, it is left alone and the write
    /// is refused. With `current`, nothing is sent if it carries the hash of this desired state and still contains it.
    /// Otherwise the request names its version, so that a stale decision ends in a conflict.
    ///
    /// A Secret must have its content in `data`: `stringData` is never read back, so it would always differ.
    pub async fn apply<K: Object>(&self, desired: K, current: Option<&K>) -> Result<Applied<K>, WriteError> {
        let request = Request::new("apply", &desired);
        let mut body = match serde_json::to_value(&desired) {
            Ok(body) => body,
            Err(error) => return Err(refused(request, error.to_string())),
        };
        prepare::<K>(&mut body, self.manager);
        let api = self.api(&desired);
        if let Some(current) = current {
            let known =
                serde_json::to_value(current).map_err(|error| refused(request.clone(), error.to_string()))?;
            let Some(difference) = drift::find(&body, &known) else {
                return Ok(Applied { object: current.clone(), written: false });
            };
            tracing::debug!("{request}: {difference} differs");
            body["metadata"]["uid"] = json!(current.uid());
            body["metadata"]["resourceVersion"] = json!(current.resource_version());
        } else {
            self.expect_room(&request)?;
            self.expect_none(&api, &request).await?;
        }
        let params = PatchParams::apply(self.manager).force();
        let name = request.name.clone();
        let object = self.send(request, api.patch(&name, &params, &Patch::Apply(body))).await?;
        Ok(Applied { object, written: true })
    }

    /// Creates an object that must not exist yet; an existing one is a conflict.
    pub async fn create<K: Object>(&self, object: &K) -> Result<K, WriteError> {
        let params = PostParams { field_manager: Some(self.manager.to_owned()), ..PostParams::default() };
        let request = Request::new("create", object);
        self.expect_room(&request)?;
        self.send(request, self.api(object).create(&params, object)).await
    }

    /// Checks by a dry run whether schema, quota, policies and webhooks would admit [`Writer::create`]. Nothing is stored.
    pub async fn rehearse<K: Object>(&self, object: &K) -> Result<(), WriteError> {
        let params = PostParams { dry_run: true, field_manager: Some(self.manager.to_owned()) };
        self.send(Request::new("create", object), self.api(object).create(&params, object)).await.map(drop)
    }

    /// Replaces the status of an object, if it differs from the one that `object` has. Returns the resulting object.
    pub async fn status<K: Object, S: Serialize>(&self, object: &K, status: &S) -> Result<K, WriteError> {
        let request = Request::new("update status of", object);
        let json = |value: serde_json::Result<Value>| {
            value.map_err(|error| refused(request.clone(), error.to_string()))
        };
        let wanted = json(serde_json::to_value(status))?;
        let known = json(serde_json::to_value(object))?;
        if known.get("status").unwrap_or(&Value::Null) == &wanted {
            return Ok(object.clone());
        }
        let patch =
            Patch::<()>::Json(json_patch::Patch(vec![on_version(object), patch::add(&["status"], wanted)]));
        let params = PatchParams { field_manager: Some(self.manager.to_owned()), ..PatchParams::default() };
        self.send(request.clone(), self.api(object).patch_status(&request.name, &params, &patch)).await
    }

    /// Changes single fields of an object and leaves its other fields to their owner. Any change of the object since it was
    /// read is a conflict, and so is a failed `test` operation.
    ///
    /// The patch sets the resource version instead of testing it: the server answers a wrong version with a conflict, but a
    /// failed `test` only with an invalid request.
    pub async fn patch<K: Object>(
        &self,
        object: &K,
        operations: Vec<PatchOperation>,
    ) -> Result<K, WriteError> {
        let operations = std::iter::once(on_version(object)).chain(operations).collect();
        let patch = Patch::<()>::Json(json_patch::Patch(operations));
        let params = PatchParams { field_manager: Some(self.manager.to_owned()), ..PatchParams::default() };
        let request = Request::new("patch", object);
        self.send(request.clone(), self.api(object).patch(&request.name, &params, &patch)).await
    }

    /// Deletes this object (by its UID) and, in the background, what it owns. It is no error if it is already gone.
    pub async fn delete<K: Object>(&self, object: &K) -> Result<(), WriteError> {
        self.remove(object, DeleteParams::background()).await
    }

    /// As [`Writer::delete`], but what the object owns stays as an orphan.
    pub async fn delete_alone<K: Object>(&self, object: &K) -> Result<(), WriteError> {
        self.remove(object, DeleteParams::orphan()).await
    }

    async fn remove<K: Object>(&self, object: &K, params: DeleteParams) -> Result<(), WriteError> {
        let preconditions = Preconditions { uid: object.uid(), resource_version: None };
        let params = params.preconditions(preconditions);
        let request = Request::new("delete", object);
        let api = self.api(object);
        let delete = async {
            match api.delete(&request.name, &params).await {
                Err(Error::Api(status)) if status.code == 404 => Ok(()),
                other => other.map(|_| ()),
            }
        };
        self.send(request.clone(), delete).await
    }

    /// Asks for the eviction of this pod (by its UID), so that `PodDisruptionBudget`s are respected.
    pub async fn evict(&self, pod: &Pod) -> Result<Eviction, WriteError> {
        // kube's own `Api::evict` sends `delete_options`, a name that the server ignores.
        let body = EvictionRequest {
            metadata: ObjectMeta { name: pod.metadata.name.clone(), ..ObjectMeta::default() },
            delete_options: Some(DeleteOptions {
                preconditions: Some(BodyPreconditions { uid: pod.uid(), resource_version: None }),
                ..DeleteOptions::default()
            }),
        };
        let request = Request::new("evict", pod);
        self.expect_room(&request)?;
        let api = self.api(pod);
        let evict = async {
            // For a wrong UID the server would retry the eviction for ten seconds before it answers.
            if api.get_metadata_opt(&request.name).await?.is_none_or(|there| there.uid() != pod.uid()) {
                return Ok(Eviction::Gone);
            }
            let params = PostParams::default();
            Eviction::of(api.create_subresource("eviction", &request.name, &params, &body).await)
        };
        self.send(request.clone(), evict).await
    }

    fn api<K: Object>(&self, object: &K) -> Api<K> {
        <K::Scope as Placement>::api(self.client.clone(), object.meta().namespace.as_deref())
    }

    /// Fails without a request if the namespace is being deleted: the server would refuse.
    fn expect_room(&self, request: &Request) -> Result<(), WriteError> {
        match self.ends(&request.namespace) {
            Some(_) => Err(WriteError::NamespaceEnding { request: request.clone() }),
            None => Ok(()),
        }
    }

    /// A forced apply would take over an object that somebody else created, or that this cache has not seen yet.
    async fn expect_none<K: Object>(&self, api: &Api<K>, request: &Request) -> Result<(), WriteError> {
        match api.get_metadata_opt(&request.name).await {
            Ok(None) => Ok(()),
            Ok(Some(_)) => Err(refused(
                request.clone(),
                "it exists already and is not known as the operator's own; delete or rename it".to_owned(),
            )),
            Err(error) => Err(classify(request.clone(), error)),
        }
    }

    async fn send<T>(
        &self,
        request: Request,
        call: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, WriteError> {
        if !self.leader.is_leading() {
            return Err(WriteError::NotLeader { request });
        }
        let (verb, kind) = (request.verb, request.kind.clone());
        let result = match tokio::time::timeout(WHOLE_ANSWER, call).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) if self.ending.is_why(&request.namespace, &error) => {
                Err(WriteError::NamespaceEnding { request })
            }
            Ok(Err(error)) => Err(classify(request, error)),
            Err(_) => Err(WriteError::Unavailable {
                request,
                message: format!("not within {} s", WHOLE_ANSWER.as_secs()),
            }),
        };
        let outcome = result.as_ref().map_or_else(Failure::reason, |_| "ok");
        self.metrics.writes.get_or_create(&metrics::Write { verb, kind, outcome }).inc();
        result
    }
}

/// The client bounds the wait for the beginning of a response; a write must also have its end within this time.
const WHOLE_ANSWER: Duration = client::ANSWER;

/// Turns the desired object into the body of the request: typed, without status, and annotated with its own hash. A changed
/// hash reveals that a field is no longer desired, which otherwise looks like a field that the server has filled in.
fn prepare<K: Object>(body: &mut Value, manager: &str) {
    if let Some(fields) = body.as_object_mut() {
        fields.insert("apiVersion".to_owned(), json!(K::api_version(&())));
        fields.insert("kind".to_owned(), json!(K::kind(&())));
        fields.remove("status");
    }
    let hash = Sha256::digest(body.to_string());
    let mark = hash.iter().take(8).fold(0_u64, |mark, byte| mark << 8 | u64::from(*byte));
    body["metadata"]["annotations"][format!("applied-by/{manager}")] = json!(format!("{mark:016x}"));
}

fn on_version<K: Object>(object: &K) -> PatchOperation {
    patch::replace(&["metadata", "resourceVersion"], json!(object.resource_version()))
}

fn refused(request: Request, message: String) -> WriteError {
    WriteError::Refused { request, code: 0, message }
}

fn classify(request: Request, error: Error) -> WriteError {
    /// What the server says when a JSON patch does not fit the object: a `test` failed or a path is not there.
    const UNFIT_PATCH: &str = "the server rejected our request due to an error in our request";
    let status = match error {
        Error::Api(status) => status,
        error => {
            return WriteError::Unavailable { request, message: error_chain(&error) };
        }
    };
    let (code, message) = (status.code, status.message);
    match code {
        409 => WriteError::Conflict { request, message },
        404 if request.verb != "create" && request.verb != "apply" => {
            WriteError::Conflict { request, message }
        }
        422 if message == UNFIT_PATCH => WriteError::Conflict { request, message },
        429 | 500.. => WriteError::Unavailable { request, message },
        code => WriteError::Refused { request, code, message },
    }
}

#[cfg(test)]
mod tests;
