//! Whether all keyspaces stay available while one node is down: reported before a request begins, and a reason to deny the
//! request if the user asks for that.

use api::CassandraOpsRequest;
use api::ops_request::REPLICATION_CHECK;
use kube::ResourceExt;

use crate::observe::{Copies, Observed};

/// Type of the condition.
pub(crate) const CONDITION: &str = "ReplicationCheck";
/// Reason of the condition if it could not be found out.
pub(crate) const UNKNOWN: &str = "Unknown";
/// How many keyspaces a message lists: nobody reads hundreds.
const NAMED: usize = 5;

/// Whether too few copies deny the request; otherwise they are a warning. An error if the annotation has an unknown value.
pub(crate) fn is_strict(request: &CassandraOpsRequest) -> Result<bool, String> {
    match request.annotations().get(REPLICATION_CHECK).map(String::as_str) {
        None | Some("Warn") => Ok(false),
        Some("Refuse") => Ok(true),
        Some(other) => Err(format!("annotation {REPLICATION_CHECK}: {other:?} is neither Warn nor Refuse")),
    }
}

/// The condition to set: status, reason and message. `None`: the ring was not asked.
pub(crate) fn condition(observed: &Observed) -> Option<(bool, &'static str, String)> {
    let ring = observed.ring.as_ref()?;
    let nodes: usize = observed.racks.iter().map(|rack| rack.replicas).sum();
    if nodes == 1 {
        // <https://issues.apache.org/jira/browse/CASSANDRA-13987>
        let message = "the ring has one node: it serves nobody while that is renewed; and if that is killed instead of stopped, what \
                       it acknowledged in the last 100 ms may be lost, unless commitlog_sync is batch";
        return Some((false, "SingleNode", message.to_owned()));
    }
    Some(match &ring.copies {
        Copies::Enough => {
            (true, "Sufficient", "every keyspace is available at QUORUM while a node is renewed".to_owned())
        }
        Copies::TooFew(keyspaces) => {
            let names = keyspaces.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
            let more = match keyspaces.len().saturating_sub(NAMED) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let message = format!("not available at QUORUM while a node is renewed: {names}{more}");
            (false, "TooFewCopies", message)
        }
        Copies::Unknown(why) => (false, UNKNOWN, format!("the keyspaces could not be asked for: {why}")),
    })
}
