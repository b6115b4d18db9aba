//! Which nodes a starting node asks for the ring.

use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use serde_yaml::{Mapping, Value};

use super::Node;

/// A rack whose pods cannot start must not hold up the others for longer.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
const AGAIN: Duration = Duration::from_millis(500);
const CONNECT: Duration = Duration::from_secs(2);

/// The seeds but the node itself.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Others {
    /// Those before it in the list: they began before this node.
    pub earlier: Vec<String>,
    /// Those after it.
    pub later: Vec<String>,
}

/// Puts this node's own address in the place of its name among the seeds, so that it knows itself for a seed whatever the
/// DNS server says at that moment. Returns the others.
pub(super) fn localize(settings: &mut Mapping, node: &Node) -> Result<Others, String> {
    let seeds = settings
        .get_mut("seed_provider")
        .and_then(|providers| providers.get_mut(0))
        .and_then(|provider| provider.get_mut("parameters"))
        .and_then(|parameters| parameters.get_mut(0))
        .and_then(|parameters| parameters.get_mut("seeds"));
    let Some(Value::String(seeds)) = seeds else {
        return Err("seed_provider has no text seeds".to_owned());
    };
    let own = format!("{}.", node.pod);
    let list: Vec<String> = seeds.split(',').map(str::to_owned).collect();
    let Some(position) = list.iter().position(|seed| seed.starts_with(&own)) else {
        return Ok(Others { earlier: list, later: vec![] });
    };
    let others = Others { earlier: list[..position].to_vec(), later: list[position + 1..].to_vec() };
    let all = others.earlier.iter().cloned().chain([node.ip.to_string()]).chain(others.later.iter().cloned());
    *seeds = all.collect::<Vec<_>>().join(",");
    Ok(others)
}

/// Waits until a node that began before this one answers. Only the very first node of a ring may begin one: any other that
/// starts without data and finds nobody would begin a second ring.
pub(super) fn wait_for_ring(others: &Others) -> Result<(), String> {
    if others.earlier.is_empty() || wait(|| others.earlier.iter().any(|seed| answers(seed))) {
        return Ok(());
    }
    Err(nobody_answers(&others.earlier, resolves))
}

/// A name that has no address and a node that does not answer are two things, mended in two places.
fn nobody_answers(seeds: &[String], resolves: impl Fn(&str) -> bool) -> String {
    let begin = "this node has no data yet and joins a ring that is there, but";
    let port = api::names::INTERNODE_PORT;
    let (known, unknown): (Vec<&str>, Vec<&str>) =
        seeds.iter().map(String::as_str).partition(|seed| resolves(seed));
    let unknown = unknown.join(", ");
    match known.join(", ") {
        known if unknown.is_empty() => format!("{begin} none of {known} answers on port {port}"),
        known if known.is_empty() => format!(
            "{begin} {unknown} does not resolve: it is a name of the cluster's DNS server, so dnsPolicy must be ClusterFirst, \
             and a network policy must let this pod ask that server"
        ),
        known => format!("{begin} {known} does not answer on port {port}, and {unknown} does not resolve"),
    }
}

/// Waits until the first pods of the other racks have an address, or not for ever: after an outage of all racks their pods
/// start side by side, and Cassandra looks up its seeds only once. Later pods of a rack come only when its first one is
/// ready, so nobody waits for them.
pub(super) fn wait_for_addresses(others: &Others) {
    let first_pods = || others.earlier.iter().chain(&others.later).filter(|seed| is_first_pod(seed));
    if !wait(|| first_pods().all(|seed| resolves(seed))) {
        let missing: Vec<_> = first_pods().filter(|seed| !resolves(seed)).collect();
        eprintln!("starting without {missing:?}: no address within {LONGEST_WAIT:?}");
    }
}

fn wait(done: impl Fn() -> bool) -> bool {
    let started = Instant::now();
    while !done() {
        if started.elapsed() >= LONGEST_WAIT {
            return false;
        }
        std::thread::sleep(AGAIN);
    }
    true
}

fn is_first_pod(host: &str) -> bool {
    host.split('.').next().is_some_and(|pod| pod.ends_with("-0"))
}

fn resolves(host: &str) -> bool {
    (host, api::names::INTERNODE_PORT).to_socket_addrs().is_ok_and(|mut addresses| addresses.next().is_some())
}

fn answers(host: &str) -> bool {
    let addresses = (host, api::names::INTERNODE_PORT).to_socket_addrs();
    addresses.is_ok_and(|mut all| all.any(|address| TcpStream::connect_timeout(&address, CONNECT).is_ok()))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn localized(pod: &str) -> (String, Others) {
        let text = "seed_provider: [{parameters: [{seeds: 'a-0.a.ns.svc,a-1.a.ns.svc,b-0.b.ns.svc'}]}]";
        let mut settings: Mapping = serde_yaml::from_str(text).unwrap();
        let node = Node {
            ip: "10.0.0.7".parse().unwrap(),
            pod: pod.to_owned(),
            rack: "a".to_owned(),
            datacenter: "dc1".to_owned(),
        };
        let others = localize(&mut settings, &node).unwrap();
        let seeds = settings["seed_provider"][0]["parameters"][0]["seeds"].as_str().unwrap().to_owned();
        (seeds, others)
    }

    #[test]
    fn a_seed_knows_itself_by_its_address_and_who_began_before_it() {
        let (seeds, others) = localized("a-1");
        assert_eq!(seeds, "a-0.a.ns.svc,10.0.0.7,b-0.b.ns.svc");
        assert_eq!(others.earlier, ["a-0.a.ns.svc"]);
        assert_eq!(others.later, ["b-0.b.ns.svc"]);
    }

    #[test]
    fn to_a_node_that_is_no_seed_all_seeds_began_before() {
        let (seeds, others) = localized("a-10");
        assert_eq!(seeds, "a-0.a.ns.svc,a-1.a.ns.svc,b-0.b.ns.svc");
        assert_eq!(others.earlier.len(), 3);
    }

    #[test]
    fn the_first_node_of_all_waits_for_nobody() {
        assert_eq!(wait_for_ring(&localized("a-0").1), Ok(()));
    }

    #[rstest]
    #[case::silent("", "none of a.svc, b.svc answers on port 7000")]
    #[case::unknown("a.svc b.svc", "a.svc, b.svc does not resolve: it is a name of the cluster's DNS server")]
    #[case::both("b.svc", "a.svc does not answer on port 7000, and b.svc does not resolve")]
    fn a_name_without_address_is_told_from_a_node_that_does_not_answer(
        #[case] unknown: &str,
        #[case] said: &str,
    ) {
        let seeds = ["a.svc".to_owned(), "b.svc".to_owned()];
        let told = nobody_answers(&seeds, |seed| !unknown.contains(seed));
        assert!(told.contains(said), "{told}");
    }

    #[test]
    fn only_the_first_pod_of_a_rack_is_waited_for() {
        assert!(is_first_pod("db-rack-a-0.db-rack-a-pods.ns.svc"));
        assert!(!is_first_pod("db-rack-a-1.db-rack-a-pods.ns.svc"));
        assert!(!is_first_pod("db-rack-0-10.db-rack-0-pods.ns.svc"));
    }

    #[test]
    fn an_address_resolves_and_a_name_that_cannot_exist_does_not() {
        assert!(resolves("127.0.0.1"));
        assert!(!resolves("no-such-host.invalid"));
    }
}
