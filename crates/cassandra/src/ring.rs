//! Whether the views of all nodes describe one whole and quiet ring.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use semver::Version;
use uuid::Uuid;

use crate::{Gossip, View};

/// One reason why the ring is not whole and quiet. Its text is one sentence that names the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// Fewer or more nodes answered than the ring should have.
    Count {
        /// How many nodes the ring should have.
        expected: usize,
        /// How many different nodes answered.
        answered: usize,
    },
    /// The node has not finished joining the ring.
    NotJoined {
        /// The node.
        node: IpAddr,
        /// State of its bootstrap, as it reports it.
        bootstrapped: String,
    },
    /// Other nodes see the node as joining, leaving, moving or down.
    NotNormal {
        /// The node.
        node: IpAddr,
        /// Its status in gossip.
        status: String,
        /// The nodes that see it so.
        seen_by: BTreeSet<IpAddr>,
    },
    /// The node is sending or receiving data.
    Streaming {
        /// The node.
        node: IpAddr,
    },
    /// A node does not know another one.
    Unknown {
        /// The unknown node.
        node: IpAddr,
        /// The node that does not know it.
        to: IpAddr,
    },
    /// A node knows another one that the ring should not have.
    Foreign {
        /// The node that should not be there.
        node: IpAddr,
        /// The node that knows it.
        to: IpAddr,
    },
    /// A node has outdated facts about another one.
    Stale {
        /// The node.
        node: IpAddr,
        /// The node with the outdated fact.
        to: IpAddr,
        /// The outdated fact: address, release or schema.
        what: &'static str,
    },
    /// The node belongs to another ring.
    Stranger {
        /// The node.
        node: IpAddr,
        /// Name of its cluster.
        cluster: String,
        /// Name of the cluster that was asked for.
        expected: String,
    },
    /// Nodes of one release hold different schemas.
    Schema {
        /// The release.
        release: Version,
        /// The nodes that hold each schema.
        versions: BTreeMap<Uuid, BTreeSet<IpAddr>>,
    },
}

/// All that keeps the ring of `expected` nodes from being whole and quiet, judged by the views of its nodes. Schemas are
/// compared among nodes of the same release only: two majors have different system tables, so that their schema versions
/// differ even when all is well.
pub fn problems(expected: usize, views: &[View]) -> Vec<Problem> {
    let answered = views.iter().map(|view| view.host_id).collect::<BTreeSet<_>>().len();
    let whole = answered == expected;
    let mut problems = Vec::new();
    if !whole {
        problems.push(Problem::Count { expected, answered });
    }
    for view in views {
        own(view, &mut problems);
        peers(view, views, whole, &mut problems);
    }
    status(views, &mut problems);
    schema(views, &mut problems);
    problems
}

/// The nodes whose cluster has another name than `cluster`.
pub fn strangers(cluster: &str, views: &[View]) -> Vec<Problem> {
    let strange = views.iter().filter(|view| view.cluster != cluster);
    let problem = |view: &View| Problem::Stranger {
        node: view.address,
        cluster: view.cluster.clone(),
        expected: cluster.to_owned(),
    };
    strange.map(problem).collect()
}

fn own(view: &View, problems: &mut Vec<Problem>) {
    if view.bootstrapped != "COMPLETED" {
        problems.push(Problem::NotJoined { node: view.address, bootstrapped: view.bootstrapped.clone() });
    }
    // Without the number of streams, which changes with each check and would change the message.
    if let Some(1..) = view.streaming {
        problems.push(Problem::Streaming { node: view.address });
    }
}

/// Compares what this node knows about the others with what they report about themselves.
fn peers(view: &View, views: &[View], whole: bool, problems: &mut Vec<Problem>) {
    let to = view.address;
    for other in views.iter().filter(|other| other.host_id != view.host_id) {
        let node = other.address;
        let Some(peer) = view.peers.iter().find(|peer| peer.host_id == Some(other.host_id)) else {
            problems.push(Problem::Unknown { node, to });
            continue;
        };
        let news = [
            ("address", peer.address != other.address),
            ("release", peer.release.as_ref() != Some(&other.release)),
            ("schema", peer.schema != Some(other.schema)),
        ];
        let missed = news.into_iter().filter(|(_, missed)| *missed);
        problems.extend(missed.map(|(what, _)| Problem::Stale { node, to, what }));
    }
    // Only if all nodes answer: otherwise an unknown peer may be a node that does not answer.
    if whole {
        let known = |host_id| views.iter().any(|view| Some(view.host_id) == host_id);
        let foreign = view.peers.iter().filter(|peer| !known(peer.host_id));
        problems.extend(foreign.map(|peer| Problem::Foreign { node: peer.address, to }));
    }
}

/// Gossip remembers addresses that nodes no longer use, so a status counts only if its address is in use. A joining
/// node is not among the peers yet, so `BOOT` always counts.
fn status(views: &[View], problems: &mut Vec<Problem>) {
    let mut seen: BTreeMap<(IpAddr, &str), BTreeSet<IpAddr>> = BTreeMap::new();
    for view in views {
        for Gossip { address, status, .. } in view.gossip.iter().flatten() {
            let status = status.as_deref().unwrap_or("UNKNOWN");
            let in_use = view.address == *address || view.peers.iter().any(|peer| peer.address == *address);
            if status.starts_with("BOOT") || (in_use && status != "NORMAL") {
                seen.entry((*address, status)).or_default().insert(view.address);
            }
        }
    }
    let not_normal = seen.into_iter().map(|((node, status), seen_by)| Problem::NotNormal {
        node,
        status: status.to_owned(),
        seen_by,
    });
    problems.extend(not_normal);
}

fn schema(views: &[View], problems: &mut Vec<Problem>) {
    let mut releases: BTreeMap<&Version, BTreeMap<Uuid, BTreeSet<IpAddr>>> = BTreeMap::new();
    for view in views {
        releases.entry(&view.release).or_default().entry(view.schema).or_default().insert(view.address);
    }
    let split = releases.into_iter().filter(|(_, versions)| versions.len() > 1);
    problems.extend(split.map(|(release, versions)| Problem::Schema { release: release.clone(), versions }));
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Count { expected, answered } => {
                write!(f, "{answered} nodes answer where the ring should have {expected}")
            }
            Problem::NotJoined { node, bootstrapped } => {
                write!(f, "node {node} has not finished joining the ring (bootstrap: {bootstrapped})")
            }
            Problem::NotNormal { node, status, seen_by } => {
                write!(f, "node {node} is {status} in the eyes of {}", list(seen_by))
            }
            Problem::Streaming { node } => write!(f, "node {node} is streaming data"),
            Problem::Unknown { node, to } => write!(f, "node {node} is not known to {to}"),
            Problem::Foreign { node, to } => {
                write!(f, "node {to} still knows {node}, which is not a node of this ring")
            }
            Problem::Stale { node, to, what } => {
                write!(f, "the current {what} of node {node} has not reached {to}")
            }
            Problem::Stranger { node, cluster, expected } => {
                write!(
                    f,
                    "node {node} is of cluster {cluster:?} and not of {expected:?}: it belongs to another ring"
                )
            }
            Problem::Schema { release, versions } => {
                write!(f, "nodes of release {release} disagree on the schema:")?;
                let mut separator = "";
                for (schema, nodes) in versions {
                    write!(f, "{separator} {schema} on {}", list(nodes))?;
                    separator = ";";
                }
                Ok(())
            }
        }
    }
}

fn list(nodes: &BTreeSet<IpAddr>) -> String {
    nodes.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
