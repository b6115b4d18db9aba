//! A halt whose request is gone: lifted by whoever finds it.
//!
//! A finalizer keeps a request until its halt is lifted, so this happens only when somebody has taken the finalizer away.

use std::sync::Arc;
use std::time::Duration;

use api::Cassandra;
use api::halt::Halt;
use kube::ResourceExt;
use operator::WriteError;

use crate::context::Context;
use crate::update_version::resume;

/// Lifts the halt of a Cassandra if it belongs to a request that does not exist.
pub async fn lift(cassandra: Arc<Cassandra>, context: Arc<Context>) -> Result<Option<Duration>, WriteError> {
    let Halt::Request(owner) = Halt::of(&cassandra) else { return Ok(None) };
    let exists = context.requests.all().iter().any(|request| request.uid().as_ref() == Some(&owner));
    if !exists && cassandra.metadata.deletion_timestamp.is_none() {
        context.operator.writer.patch(&*cassandra, resume(&cassandra)).await?;
        let note = format!("lifted the halt of CassandraOpsRequest {owner}, which does not exist any more");
        context.operator.events.warning(&*cassandra, "OrphanedHalt", "Resume", &note).await;
    }
    Ok(None)
}
