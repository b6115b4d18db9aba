//! Finds the former address of a node that has lost its data, by asking the other nodes.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use cassandra::{Credentials, Sessions, View};
use futures::future::join_all;
use settings::Members;
use tokio::net::lookup_host;
use tokio::time::sleep;

use crate::files::Error;
use crate::part::is_of;

/// How long to wait for the other nodes before this start fails with a message. Kubernetes then tries again.
const LONGEST_WAIT: Duration = Duration::from_mins(2);
const AGAIN: Duration = Duration::from_secs(2);
const ANSWER: Duration = Duration::from_secs(10);

/// What the other nodes know of a node that has lost its data.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Former {
    /// Its former address.
    pub address: IpAddr,
    /// Nodes of another major release. Since CASSANDRA-15158, a starting node waits for the schema of every node, but never
    /// takes it from these, so the start would fail.
    pub foreign: Vec<IpAddr>,
}

/// Asks the other nodes for the node with host id `was`; `None` if the ring does not know it any more. `major` is the release
/// that this node is going to run.
pub(crate) async fn ask(
    members: &Members,
    pod: &str,
    was: &str,
    major: Option<u64>,
    credentials: Option<&Credentials>,
) -> Result<Option<Former>, Error> {
    let others: Vec<&String> = members.order.iter().filter(|host| !is_of(host, pod)).collect();
    let problem = |why: &str| Error::Content { origin: "the volume of this node", problem: lost(was, why) };
    if others.is_empty() {
        let why = "it is the only node of its ring, so nobody else has the data. Bring the volume back; or, to begin anew";
        return Err(problem(why));
    }
    let started = Instant::now();
    loop {
        let answers = join_all(others.iter().map(|host| view(host, credentials))).await;
        match judge(&answers, was, major) {
            Ok(former) => return Ok(former),
            Err(why) if started.elapsed() >= LONGEST_WAIT => {
                let why = format!(
                    "{why}. It goes on by itself when that has changed; or, if the others are lost too, to begin anew"
                );
                return Err(problem(&why));
            }
            Err(_) => sleep(AGAIN).await,
        }
    }
}

/// Combines the answers; an error says why they do not suffice. Only if all nodes answer is the node taken to be unknown: a
/// node that was down for a long time may have forgotten it.
fn judge(answers: &[Result<View, String>], was: &str, major: Option<u64>) -> Result<Option<Former>, String> {
    let views = || answers.iter().filter_map(|answer| answer.as_ref().ok());
    let peers = || views().flat_map(|view| &view.peers);
    let is_it = |id: Option<uuid::Uuid>| id.is_some_and(|id| id.to_string() == was);
    let silent = answers.iter().find_map(|answer| answer.as_ref().err());
    let Some(address) = peers().find(|peer| is_it(peer.host_id)).map(|peer| peer.address) else {
        return match silent {
            Some(silent) if views().next().is_none() => {
                Err(format!("no other node of its ring answers ({silent})"))
            }
            Some(silent) => {
                Err(format!("of the others none knows where it was that answers, and not all do ({silent})"))
            }
            None => Ok(None),
        };
    };
    let of_views = views().map(|view| (view.address, view.release.major));
    let of_peers = peers().filter_map(|peer| Some((peer.address, peer.release.as_ref()?.major)));
    let others: Vec<_> = of_views.chain(of_peers).filter(|(other, _)| *other != address).collect();
    let is_foreign = |other: u64| major.is_some_and(|major| other != major);
    if let Some(major) = major.filter(|_| others.iter().all(|(_, other)| is_foreign(*other))) {
        return Err(format!(
            "no other node runs Cassandra {major}, and it can take the schema from such a node only"
        ));
    }
    let mut foreign: Vec<_> =
        others.into_iter().filter(|(_, other)| is_foreign(*other)).map(|(other, _)| other).collect();
    foreign.sort_unstable();
    foreign.dedup();
    Ok(Some(Former { address, foreign }))
}

fn lost(was: &str, why: &str) -> String {
    format!(
        "it is empty, but this node belongs to a ring that has data (its host id is {was}), and it does not begin a new ring by \
         itself: {why} without the data, annotate the Cassandra with {}={was}",
        api::names::ACCEPT_DATA_LOSS
    )
}

/// One node's view of the ring.
async fn view(host: &str, credentials: Option<&Credentials>) -> Result<View, String> {
    let asked = async {
        let found = lookup_host((host, api::names::CQL_PORT)).await;
        let address = found.map_err(|error| error.to_string())?.next().ok_or("it has no address")?;
        let node =
            Sessions::new().node(address, credentials, ANSWER).await.map_err(|error| error.to_string())?;
        node.view().await.map_err(|error| error.to_string())
    };
    asked.await.map_err(|error: String| format!("{host}: {error}"))
}

#[cfg(test)]
mod tests {
    use cassandra::Peer;
    use rstest::rstest;

    use super::*;

    const WAS: &str = "00000000-0000-0000-0000-000000000001";

    #[expect(clippy::unnecessary_wraps, reason = "an answer, as `silent` is one")]
    /// A node at `10.0.0.<n>` with the given peers (number and release).
    fn view(n: u8, release: &str, peers: &[(u8, &str)]) -> Result<View, String> {
        let id = |n: u8| uuid::Uuid::from_u128(u128::from(n));
        let address = |n: u8| IpAddr::from([10, 0, 0, n]);
        let peers = peers.iter().map(|(n, release)| Peer {
            address: address(*n),
            host_id: Some(id(*n)),
            release: release.parse().ok(),
            schema: None,
            rack: None,
            datacenter: None,
        });
        Ok(View {
            address: address(n),
            host_id: id(n),
            release: release.parse().unwrap(),
            schema: id(0),
            cluster: "db".to_owned(),
            datacenter: "dc1".to_owned(),
            rack: "a".to_owned(),
            bootstrapped: "COMPLETED".to_owned(),
            peers: peers.collect(),
            gossip: None,
            streaming: None,
        })
    }

    fn silent() -> Result<View, String> {
        Err("db-2: no answer".to_owned())
    }

    #[rstest]
    #[case::all_know_it(&[view(2, "4.1.1", &[(1, "4.1.1"), (3, "4.1.1")]), view(3, "4.1.1", &[(1, "4.1.1"), (2, "4.1.1")])], Some(4), Some(vec![]))]
    #[case::one_has_forgotten_it(&[view(2, "4.1.1", &[(3, "4.1.1")]), view(3, "4.1.1", &[(1, "4.1.1")])], Some(4), Some(vec![]))]
    #[case::one_knows_it_and_one_is_away(&[silent(), view(3, "4.1.1", &[(1, "4.1.1")])], Some(4), Some(vec![]))]
    #[case::all_have_forgotten_it(&[view(2, "4.1.1", &[(3, "4.1.1")]), view(3, "4.1.1", &[])], Some(4), None)]
    #[case::in_the_middle_of_an_update(&[view(2, "5.0.6", &[(1, "4.1.1"), (3, "4.1.1")]), view(3, "4.1.1", &[(1, "4.1.1"), (2, "5.0.6")])], Some(5), Some(vec![3]))]
    #[case::which_was_not_reached_by_it(&[view(2, "5.0.6", &[(1, "4.1.1"), (3, "4.1.1")])], Some(4), Some(vec![2]))]
    #[case::of_an_image_without_a_version(&[view(2, "5.0.6", &[(1, "4.1.1"), (3, "4.1.1")])], None, Some(vec![]))]
    fn a_node_is_found(
        #[case] answers: &[Result<View, String>],
        #[case] major: Option<u64>,
        #[case] foreign: Option<Vec<u8>>,
    ) {
        let address = |n: &u8| IpAddr::from([10, 0, 0, *n]);
        let former = foreign
            .map(|foreign| Former { address: address(&1), foreign: foreign.iter().map(address).collect() });
        assert_eq!(judge(answers, WAS, major), Ok(former));
    }

    #[rstest]
    #[case::nobody_answers(&[silent(), silent()], "no other node of its ring answers (db-2: no answer)")]
    #[case::one_that_may_know_it_is_away(&[silent(), view(3, "4.1.1", &[])], "not all do (db-2: no answer)")]
    #[case::the_first_of_its_release(&[view(2, "4.1.1", &[(1, "5.0.6")])], "no other node runs Cassandra 5")]
    fn or_it_is_waited_for(#[case] answers: &[Result<View, String>], #[case] why: &str) {
        let said = judge(answers, WAS, Some(5)).unwrap_err();
        assert!(said.contains(why), "{said}");
    }

    #[tokio::test]
    async fn a_node_that_is_alone_does_not_begin_anew_by_itself() {
        let members = Members { order: vec!["db-0.db-pods.ns.svc".to_owned()], ..Members::default() };
        let error = ask(&members, "db-0", "7e2f", None, None).await.unwrap_err().to_string();
        assert!(error.contains("nobody else has the data"), "{error}");
        assert!(error.contains("kubedb.com/accept-data-loss=7e2f"), "{error}");
    }
}
