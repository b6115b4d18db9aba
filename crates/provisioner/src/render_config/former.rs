//! Where a node was that has lost its data: the others know, and are asked.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use cassandra::{Credentials, Sessions};
use tokio::net::lookup_host;
use tokio::time::sleep;

use super::Error;
use super::part::is_of;
use crate::members::Members;

/// How long the others are waited for before this start is given up, and said so. Kubernetes tries again.
const LONGEST_WAIT: Duration = Duration::from_mins(2);
const AGAIN: Duration = Duration::from_secs(2);
const ANSWER: Duration = Duration::from_secs(10);

/// The address at which the ring knows the node with this host id; `None` if it knows no such node any more.
pub(super) async fn address(
    members: &Members,
    pod: &str,
    was: &str,
    credentials: Option<&Credentials>,
) -> Result<Option<IpAddr>, Error> {
    let others: Vec<&String> = members.order.iter().filter(|host| !is_of(host, pod)).collect();
    let problem = |why: &str| Error::Content { origin: "the volume of this node", problem: lost(was, why) };
    if others.is_empty() {
        return Err(problem("it is the only node of its ring, so nobody else has the data"));
    }
    let started = Instant::now();
    let mut said = String::new();
    while started.elapsed() < LONGEST_WAIT {
        for host in &others {
            match ask(host, was, credentials).await {
                Ok(address) => return Ok(address),
                Err(error) => said = format!("{host}: {error}"),
            }
        }
        sleep(AGAIN).await;
    }
    Err(problem(&format!("no other node of its ring answers ({said})")))
}

fn lost(was: &str, why: &str) -> String {
    format!(
        "it is empty, but this node belongs to a ring that has data (its host id is {was}), and {why}. It does not begin a new \
         ring by itself. Bring the volume back; or, to begin anew without the data, annotate the Cassandra with \
         {}={was}",
        api::names::ACCEPT_DATA_LOSS
    )
}

/// Asks one node.
async fn ask(host: &str, was: &str, credentials: Option<&Credentials>) -> Result<Option<IpAddr>, String> {
    let found = lookup_host((host, api::names::CQL_PORT)).await;
    let address = found.map_err(|error| error.to_string())?.next().ok_or("it has no address")?;
    let node = Sessions::new().node(address, credentials, ANSWER).await.map_err(|error| error.to_string())?;
    let view = node.view().await.map_err(|error| error.to_string())?;
    let peer = view.peers.iter().find(|peer| peer.host_id.is_some_and(|id| id.to_string() == was));
    Ok(peer.map(|peer| peer.address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_node_that_is_alone_does_not_begin_anew_by_itself() {
        let members = Members { order: vec!["db-0.db-pods.ns.svc".to_owned()], ..Members::default() };
        let error = address(&members, "db-0", "7e2f", None).await.unwrap_err().to_string();
        assert!(error.contains("nobody else has the data"), "{error}");
        assert!(error.contains("kubedb.com/accept-data-loss=7e2f"), "{error}");
    }
}
