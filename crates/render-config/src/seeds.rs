//! The seeds of a starting node.

use std::time::{Duration, Instant};

use api::names::{CQL_PORT, INTERNODE_PORT};
use serde_yaml::{Mapping, Value};
use settings::Members;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{sleep, timeout};

use crate::node::Node;
use crate::part::is_of;

/// A seed that cannot start must not delay the others for longer than this.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
const AGAIN: Duration = Duration::from_millis(500);
const CONNECT: Duration = Duration::from_secs(2);

/// Replaces this node's own host name among the seeds by its address, so that it recognizes itself as a seed whatever the DNS
/// server answers at that moment; or removes it, if the node must not be a seed. Returns the other seeds.
pub(crate) fn localize(settings: &mut Mapping, node: &Node, own_seed: bool) -> Result<Vec<String>, String> {
    let seeds = settings
        .get_mut("seed_provider")
        .and_then(|providers| providers.get_mut(0))
        .and_then(|provider| provider.get_mut("parameters"))
        .and_then(|parameters| parameters.get_mut(0))
        .and_then(|parameters| parameters.get_mut("seeds"));
    let Some(Value::String(seeds)) = seeds else {
        return Err("seed_provider has no text seeds".to_owned());
    };
    let list: Vec<String> = seeds.split(',').map(str::to_owned).collect();
    let mut others = list.clone();
    others.retain(|seed| !is_of(seed, &node.pod));
    if others.len() < list.len() {
        let ip = node.ip.to_string();
        let own = |seed: String| if is_of(&seed, &node.pod) { ip.clone() } else { seed };
        let named = list.into_iter().filter(|seed| own_seed || !is_of(seed, &node.pod)).map(own);
        *seeds = named.collect::<Vec<_>>().join(",");
    }
    Ok(others)
}

/// Whether any other node of the ring is up.
pub(crate) async fn anybody_is_up(members: &Members, pod: &str) -> bool {
    for host in members.order.iter().filter(|host| !is_of(host, pod)) {
        if answers(host, INTERNODE_PORT).await {
            return true;
        }
    }
    false
}

/// Waits until a node accepts clients, which means that it has joined: Cassandra lets one node join at a time. There is no time
/// limit, because it may have much data to stream; the status of the Cassandra shows which pods are not ready.
pub(crate) async fn wait_until_joined(host: &str) {
    let mut told = None;
    while !answers(host, CQL_PORT).await {
        let says = if resolves(host).await { "has not joined yet" } else { "does not resolve yet" };
        if told != Some(says) {
            eprintln!("waits for {host}, which {says}");
            told = Some(says);
        }
        sleep(AGAIN).await;
    }
}

/// Waits for a limited time until the other seeds have an address: after an outage of all racks their pods start at the same
/// time, and Cassandra looks up its seeds only once.
pub(crate) async fn wait_for_addresses(others: &[String]) {
    let started = Instant::now();
    loop {
        let mut missing = vec![];
        for seed in others {
            if !resolves(seed).await {
                missing.push(seed);
            }
        }
        if missing.is_empty() {
            return;
        }
        if started.elapsed() >= LONGEST_WAIT {
            eprintln!("starting without {missing:?}: no address within {LONGEST_WAIT:?}");
            return;
        }
        sleep(AGAIN).await;
    }
}

async fn resolves(host: &str) -> bool {
    lookup_host((host, INTERNODE_PORT)).await.is_ok_and(|mut addresses| addresses.next().is_some())
}

async fn answers(host: &str, port: u16) -> bool {
    matches!(timeout(CONNECT, TcpStream::connect((host, port))).await, Ok(Ok(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn localized(pod: &str, own_seed: bool) -> (String, Vec<String>) {
        let text = "seed_provider: [{parameters: [{seeds: 'a-0.a.ns.svc,a-1.a.ns.svc,b-0.b.ns.svc'}]}]";
        let mut settings: Mapping = serde_yaml::from_str(text).unwrap();
        let node = Node {
            ip: "10.0.0.7".parse().unwrap(),
            pod: pod.to_owned(),
            rack: "a".to_owned(),
            datacenter: "dc1".to_owned(),
        };
        let others = localize(&mut settings, &node, own_seed).unwrap();
        let seeds = settings["seed_provider"][0]["parameters"][0]["seeds"].as_str().unwrap().to_owned();
        (seeds, others)
    }

    #[test]
    fn a_seed_knows_itself_by_its_address() {
        let (seeds, others) = localized("a-1", true);
        assert_eq!(seeds, "a-0.a.ns.svc,10.0.0.7,b-0.b.ns.svc");
        assert_eq!(others, ["a-0.a.ns.svc", "b-0.b.ns.svc"]);
    }

    #[test]
    fn a_node_that_has_to_join_is_no_seed_to_itself() {
        let (seeds, others) = localized("a-1", false);
        assert_eq!(seeds, "a-0.a.ns.svc,b-0.b.ns.svc");
        assert_eq!(others.len(), 2);
    }

    #[test]
    fn one_that_is_no_seed_has_all_of_them() {
        let (seeds, others) = localized("a-10", true);
        assert_eq!(seeds, "a-0.a.ns.svc,a-1.a.ns.svc,b-0.b.ns.svc");
        assert_eq!(others.len(), 3);
    }

    #[tokio::test]
    async fn an_address_resolves_and_a_name_that_cannot_exist_does_not() {
        assert!(resolves("127.0.0.1").await);
        assert!(!resolves("no-such-host.invalid").await);
    }
}
