//! Carries out steps: each is a change in the API server, conditional on the object version that the step was decided on.

use api::halt::HALTED_BY;
use api::names::OPS_REQUEST_FINALIZER;
use api::{Cassandra, CassandraOpsRequest};
use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::ResourceExt;
use operator::patch::{PatchOperation, add, remove, replace};
use operator::{Eviction, WriteError};
use serde_json::json;

use super::templates;
use crate::context::Context;
use crate::observe::Observed;
use crate::observe::node::Node;
use crate::preparation::known_to_target;
use crate::preparation::pull_pod::{self, Place, PullPod};
use crate::step::{Commit, Step};

/// Result of a step.
#[derive(Debug, Default)]
pub struct Effect {
    /// The request, if the step changed it.
    pub request: Option<CassandraOpsRequest>,
    /// Something to add to the status.
    pub note: Option<String>,
}

/// Carries out the step. Steps that only change the status of the request do nothing here.
pub async fn perform(context: &Context, observed: &Observed, step: &Step) -> Result<Effect, WriteError> {
    let writer = &context.operator.writer;
    let request = &*observed.request;
    let mut effect = Effect::default();
    match step {
        Step::Begin { .. } => {
            if !request.finalizers().iter().any(|f| f == OPS_REQUEST_FINALIZER) {
                effect.request = Some(writer.patch(request, claim(request)).await?);
            }
        }
        Step::Release => {
            writer.patch(request, release(request)).await?;
        }
        Step::Halt => {
            if let Some(cassandra) = &observed.cassandra {
                effect.note = lifted_by(context, request, cassandra).await;
                writer.patch(&**cassandra, halt(cassandra, &request.uid().unwrap_or_default())).await?;
            }
        }
        Step::Resume => {
            if let Some(cassandra) = &observed.cassandra {
                writer.patch(&**cassandra, resume(cassandra)).await?;
            }
        }
        Step::Commit(change) => {
            if let Some(cassandra) = &observed.cassandra {
                writer.patch(&**cassandra, vec![commit(cassandra, change)]).await?;
            }
        }
        Step::SetImage { petset, image, users } => {
            let change = |template: &mut PodTemplateSpec| desired::set_release(template, image, *users);
            Box::pin(templates::change(context, observed, petset, change)).await?;
        }
        Step::SetSize { petset, size } => {
            let change = |template: &mut PodTemplateSpec| desired::set_size(template, size);
            Box::pin(templates::change(context, observed, petset, change)).await?;
        }
        Step::SetTemplate { petset } => Box::pin(templates::deliver(context, observed, petset)).await?,
        Step::Pull { image, places } => effect.note = pull(context, observed, image, places).await?,
        Step::RemovePullPods { pods } => {
            for PullPod { name, uid, .. } in pods {
                writer.delete(&identity(request, name, uid)).await?;
            }
        }
        Step::Evict { pod } => effect.note = evict(context, request, pod).await?,
        Step::GiveUp { cause, log_of: Some((pod, container)) } => {
            let words = last_words(context, request, pod, container).await;
            effect.note = Some(format!("{cause}: {words}"));
        }
        Step::GiveUp { .. } | Step::Done | Step::Wait(_) | Step::Probe | Step::Rehearse | Step::Finish(_) => {
        }
    }
    Ok(effect)
}

/// Sets the halt and the mark that names the request, in one patch.
fn halt(cassandra: &Cassandra, uid: &str) -> Vec<PatchOperation> {
    let mut operations = vec![add(&["spec", "halted"], json!(true))];
    if cassandra.metadata.annotations.is_none() {
        operations.push(add(&["metadata", "annotations"], json!({})));
    }
    operations.push(add(&["metadata", "annotations", HALTED_BY], json!(uid)));
    operations
}

/// Who has lifted the halt of this request, if somebody has: the mark is still there, and another field manager owns the field.
async fn lifted_by(
    context: &Context,
    request: &CassandraOpsRequest,
    cassandra: &Cassandra,
) -> Option<String> {
    if cassandra.annotations().get(HALTED_BY) != request.uid().as_ref() {
        return None;
    }
    let api = context.operator.api::<Cassandra>(request.namespace().as_deref());
    let found = api.get_metadata_opt(&cassandra.name_any()).await.ok().flatten();
    let fields = found.and_then(|found| found.metadata.managed_fields).unwrap_or_default();
    let holds = |entry: &&ManagedFieldsEntry| {
        let fields = entry.fields_v1.as_ref().map(|fields| &fields.0["f:spec"]["f:halted"]);
        fields.is_some_and(|field| !field.is_null())
    };
    let last = fields.iter().filter(holds).max_by_key(|entry| entry.time.as_ref().map(|time| time.0));
    let manager = last.and_then(|entry| entry.manager.as_deref());
    let who = manager.map_or_else(|| "somebody".to_owned(), |name| format!("field manager {name}"));
    Some(format!(
        "{who} sets spec.halted to false while this request is under way; it is set again each time. Leave halted out of the \
         manifest; to stop the request, delete it"
    ))
}

fn commit(cassandra: &Cassandra, commit: &Commit) -> PatchOperation {
    match commit {
        Commit::Version(name) => replace(&["spec", "version"], json!(name)),
        Commit::Resources(resources) => {
            let mut spec = cassandra.spec.clone();
            desired::ask(&mut spec, &cassandra.name_any(), resources);
            match spec.topology {
                Some(topology) => replace(&["spec", "topology"], json!(topology)),
                None => add(&["spec", "podTemplate"], json!(spec.pod_template)),
            }
        }
    }
}

/// Lifts a halt and removes its mark.
pub fn resume(cassandra: &Cassandra) -> Vec<PatchOperation> {
    let mut operations = vec![add(&["spec", "halted"], json!(false))];
    if cassandra.annotations().contains_key(HALTED_BY) {
        operations.push(remove(&["metadata", "annotations", HALTED_BY]));
    }
    operations
}

fn claim(request: &CassandraOpsRequest) -> Vec<PatchOperation> {
    let finalizers = request.finalizers().iter().cloned().chain([OPS_REQUEST_FINALIZER.to_owned()]);
    vec![add(&["metadata", "finalizers"], json!(finalizers.collect::<Vec<_>>()))]
}

fn release(request: &CassandraOpsRequest) -> Vec<PatchOperation> {
    let left: Vec<&String> = request.finalizers().iter().filter(|f| *f != OPS_REQUEST_FINALIZER).collect();
    vec![add(&["metadata", "finalizers"], json!(left))]
}

/// Creates the pods that pull the image. Returns why the API server refuses them, if it does: quota, admission, a missing right.
async fn pull(
    context: &Context,
    observed: &Observed,
    image: &str,
    places: &[Place],
) -> Result<Option<String>, WriteError> {
    let namespace = observed.request.namespace().unwrap_or_default();
    let user = observed.target.as_ref().map_or(0, |target| target.spec.security_context.run_as_user);
    let classes = known_to_target::classes(observed);
    for place in places {
        let petset = context.petsets.get(&namespace, &place.petset);
        let Some(template) = petset.as_ref().and_then(|petset| petset.spec.template.spec.as_ref()) else {
            continue;
        };
        let pod = pull_pod::pod(&observed.request, place, template, image, user, &classes);
        match context.operator.writer.create(&pod).await {
            Ok(_) => {}
            Err(WriteError::Refused { message, .. }) => return Ok(Some(message)),
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// A pod identified by name and uid, so that a new pod of the same name is not affected.
fn identity(request: &CassandraOpsRequest, name: &str, uid: &str) -> Pod {
    let mut pod = Pod::default();
    pod.metadata.namespace = request.namespace();
    pod.metadata.name = Some(name.to_owned());
    pod.metadata.uid = Some(uid.to_owned());
    pod
}

/// Evicts the pod. Returns why it cannot be evicted at the moment, if so.
async fn evict(
    context: &Context,
    request: &CassandraOpsRequest,
    node: &Node,
) -> Result<Option<String>, WriteError> {
    Ok(match context.operator.writer.evict(&identity(request, &node.name, &node.uid)).await? {
        Eviction::Evicted | Eviction::Gone => None,
        Eviction::Blocked(why) => Some(why),
    })
}

/// The cause of a crash, from the log of the container.
async fn last_words(context: &Context, request: &CassandraOpsRequest, pod: &str, container: &str) -> String {
    let pods = context.operator.api::<Pod>(request.namespace().as_deref());
    let log = operator::pod::last_log(&pods, pod, container).await;
    log.map_or_else(|| "its log cannot be read".to_owned(), |log| cassandra::cause::of(&log))
}
