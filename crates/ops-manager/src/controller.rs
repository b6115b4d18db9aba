//! The watched objects, and which request or Cassandra each change concerns.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use api::halt::HALTED_BY;
use api::labels::{self, ALL_SELECTOR};
use api::{Cassandra, CassandraOpsRequest, CassandraVersion, PetSet};
use cassandra::Sessions;
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use operator::{Cache, Operator, Queue, WriteError, controller, itself, owner_of, spec_changed};

use crate::context::Context;
use crate::metrics::{self, Renewals};
use crate::{engine, orphaned_halt};

/// Readiness message while the catalog is empty.
const CATALOG: &str = "a CassandraVersion: the catalog is empty, so no request can be carried out";

/// Runs the controllers until the process is asked to end: one set for each watched namespace.
/// `image` is that of `render-config`.
pub async fn run(operator: Operator, image: &str) -> Result<()> {
    let renewals = Renewals::register(&operator);
    let namespaces = operator.scope.instances();
    let sets =
        namespaces.iter().map(|namespace| run_in(&operator, namespace.as_deref(), image, renewals.clone()));
    try_join_all(sets).await.map(drop)
}

async fn run_in(operator: &Operator, namespace: Option<&str>, image: &str, renewals: Renewals) -> Result<()> {
    let (requests, halts) = (Queue::<CassandraOpsRequest>::new(), Queue::<Cassandra>::new());
    // A change of a request triggers only that request: the ones that wait for their turn poll every few seconds.
    let request_cache = Cache::builder(operator, operator.api(namespace))
        .notify_if(&requests, spec_changed, itself)
        .notify_if(
            &halts,
            |before, after| before.phase() != after.phase(),
            |r: &CassandraOpsRequest| [database(r)],
        )
        .observe({
            let leader = operator.leader.clone();
            move |before, after| {
                if leader.is_leading() {
                    renewals.changed(before, after);
                }
            }
        })
        .start();
    let told = request_cache.clone();
    operator.register_gauges(move || metrics::gauges(&told.all()));
    let of_database = {
        let cache: Cache<CassandraOpsRequest> = request_cache.clone();
        move |namespace: &str, name: &str, mark: Option<&String>| -> Vec<ObjectRef<CassandraOpsRequest>> {
            let concerned = |r: &CassandraOpsRequest| {
                r.spec.database_ref.name == name
                    && r.metadata.namespace.as_deref() == Some(namespace)
                    // Also a finished request whose halt is still set: it may have finished before this cache showed the halt.
                    && (!r.phase().is_final() || (mark.is_some() && r.uid().as_ref() == mark))
            };
            cache.filtered(concerned).iter().map(|r| ObjectRef::from_obj(&**r)).collect()
        }
    };
    let (of_cassandra, of_pod, of_petset) = (of_database.clone(), of_database.clone(), of_database);
    let context = Arc::new(Context {
        cassandras: Cache::builder(operator, operator.api(namespace))
            .notify_if(&halts, spec_changed, itself)
            .notify(&requests, move |c: &Cassandra| {
                of_cassandra(
                    &c.namespace().unwrap_or_default(),
                    &c.name_any(),
                    c.annotations().get(HALTED_BY),
                )
            })
            .start(),
        versions: Cache::builder(operator, operator.api::<CassandraVersion>(None)).needed(CATALOG).start(),
        petsets: Cache::builder(operator, operator.api(namespace))
            .labels(ALL_SELECTOR)
            .notify(&requests, move |p: &PetSet| labelled(p, &of_petset))
            .start(),
        pods: Cache::builder(operator, operator.api(namespace))
            .labels(ALL_SELECTOR)
            .notify(&requests, move |p: &Pod| labelled(p, &of_pod))
            .notify(&requests, owner_of)
            .start(),
        requests: request_cache.clone(),
        sessions: Sessions::new(),
        operator: operator.clone(),
        image: image.to_owned(),
        newest: Arc::default(),
    });
    tokio::try_join!(
        controller::run(operator, "requests", &request_cache, requests, Arc::clone(&context), reconcile),
        controller::run(
            operator,
            "halts",
            &context.cassandras,
            halts,
            Arc::clone(&context),
            orphaned_halt::lift
        ),
    )?;
    Ok(())
}

async fn reconcile(
    request: Arc<CassandraOpsRequest>,
    context: Arc<Context>,
) -> Result<Option<Duration>, WriteError> {
    engine::advance(request, &context).await
}

fn database(request: &CassandraOpsRequest) -> ObjectRef<Cassandra> {
    ObjectRef::new(&request.spec.database_ref.name).within(&request.namespace().unwrap_or_default())
}

fn labelled<K: ResourceExt>(
    object: &K,
    of_database: &impl Fn(&str, &str, Option<&String>) -> Vec<ObjectRef<CassandraOpsRequest>>,
) -> Vec<ObjectRef<CassandraOpsRequest>> {
    let name = labels::cassandra_of(object.labels()).unwrap_or_default();
    of_database(&object.namespace().unwrap_or_default(), name, None)
}
