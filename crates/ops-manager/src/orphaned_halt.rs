//! Cleans up halts and marks left behind by finished or deleted requests. The mark is the annotation that names the request.
//!
//! A finalizer keeps a running request until its halt is lifted. A halt without a request remains if somebody removed that
//! finalizer, or deleted a request whose roll-back has failed. A mark without a halt remains if a user lifts the halt of a failed
//! request by hand; it must go, or the user's own next halt would count as that request's.

use std::sync::Arc;
use std::time::Duration;

use api::halt::HALTED_BY;
use api::{Cassandra, CassandraOpsRequest};
use kube::ResourceExt;
use kube::api::ListParams;
use operator::WriteError;

use crate::context::Context;
use crate::engine::resume;

/// Delay before the API server is asked again.
const RETRY: Duration = Duration::from_secs(5);

/// Lifts the halt of a Cassandra if its request does not exist, and removes a mark without a halt.
pub async fn lift(cassandra: Arc<Cassandra>, context: Arc<Context>) -> Result<Option<Duration>, WriteError> {
    let requests = context.requests.all();
    let Some(owner) = orphaned(&cassandra, requests.iter().map(|request| &**request)) else {
        return Ok(None);
    };
    // The cache of requests may be older than that of Cassandras, so ask the API server.
    let api = context.operator.api::<CassandraOpsRequest>(cassandra.namespace().as_deref());
    match api.list(&ListParams::default()).await {
        Ok(requests) if orphaned(&cassandra, requests.iter()).is_none() => return Ok(None),
        Ok(_) => {}
        Err(error) => {
            tracing::warn!(
                "cannot list the CassandraOpsRequests beside Cassandra {}: {error}",
                cassandra.name_any()
            );
            return Ok(Some(RETRY));
        }
    }
    context.operator.writer.patch(&*cassandra, resume(&cassandra)).await?;
    if cassandra.spec.halted {
        let note = format!("lifted the halt of CassandraOpsRequest {owner}, which does not exist any more");
        context.operator.events.warning(&*cassandra, "OrphanedHalt", "Resume", &note).await;
    }
    Ok(None)
}

/// UID of the request that the Cassandra is marked with, if none of `requests` needs the mark.
pub fn orphaned<'a>(
    cassandra: &Cassandra,
    mut requests: impl Iterator<Item = &'a CassandraOpsRequest>,
) -> Option<String> {
    let owner = cassandra.annotations().get(HALTED_BY)?;
    // A running request whose halt was lifted sets it again, or removes the mark itself.
    let needs = |request: &CassandraOpsRequest| {
        request.uid().as_ref() == Some(owner)
            // If a manifest was copied, the mark may name a request for another Cassandra.
            && request.spec.database_ref.name == cassandra.name_any()
            && (cassandra.spec.halted || !request.phase().is_final())
    };
    (cassandra.metadata.deletion_timestamp.is_none() && !requests.any(needs)).then(|| owner.clone())
}

#[cfg(test)]
mod tests {
    use api::ops_request::Phase;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::lost(None, true, true)]
    #[case::lost_and_lifted_by_hand(None, false, true)]
    #[case::it_runs(Some(Phase::Progressing), true, false)]
    #[case::it_runs_and_sets_its_halt_again(Some(Phase::Progressing), false, false)]
    #[case::a_failed_roll_back_stays_halted(Some(Phase::Failed), true, false)]
    #[case::lifted_by_hand_after_a_failed_roll_back(Some(Phase::Failed), false, true)]
    fn only_what_no_request_needs_is_taken_away(
        #[case] phase: Option<Phase>,
        #[case] halted: bool,
        #[case] taken: bool,
    ) {
        let mut cassandra = Cassandra::default();
        cassandra.spec.halted = halted;
        cassandra.annotations_mut().insert(HALTED_BY.to_owned(), "u".to_owned());
        let request = phase.map(|phase| {
            let mut request = CassandraOpsRequest::default();
            request.metadata.uid = Some("u".to_owned());
            request.status.get_or_insert_default().phase = Some(phase);
            request
        });
        assert_eq!(orphaned(&cassandra, request.iter()), taken.then(|| "u".to_owned()));
    }
}
