//! Which nodes a starting node asks for the ring.

use std::net::ToSocketAddrs;
use std::time::{Duration, Instant};

use serde_yaml::{Mapping, Value};

use super::Node;

/// A rack whose pods cannot start must not hold up the others for longer.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
const AGAIN: Duration = Duration::from_millis(500);

/// Puts this node's own address in the place of its name among the seeds, so that it knows itself for a seed whatever the
/// DNS server says at that moment. Returns the others.
pub(super) fn localize(settings: &mut Mapping, node: &Node) -> Result<Vec<String>, String> {
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
    let (mine, others): (Vec<&str>, Vec<&str>) = seeds.split(',').partition(|seed| seed.starts_with(&own));
    let others: Vec<String> = others.into_iter().map(str::to_owned).collect();
    let ip = mine.first().map(|_| node.ip.to_string());
    *seeds = ip.into_iter().chain(others.iter().cloned()).collect::<Vec<_>>().join(",");
    Ok(others)
}

/// Waits until the first pods of the other racks have an address. Racks start side by side, and a seed that finds no other
/// begins a ring of its own. Later pods of a rack come only when the first one is ready, so nobody waits for them.
pub(super) fn wait_for_others(seeds: &[String]) {
    let started = Instant::now();
    let mut missing: Vec<&String> = seeds.iter().filter(|seed| is_first_pod(seed)).collect();
    loop {
        missing.retain(|seed| !resolves(seed));
        if missing.is_empty() {
            return;
        }
        if started.elapsed() >= LONGEST_WAIT {
            eprintln!("starting without {missing:?}: no address within {LONGEST_WAIT:?}");
            return;
        }
        std::thread::sleep(AGAIN);
    }
}

fn is_first_pod(host: &str) -> bool {
    host.split('.').next().is_some_and(|pod| pod.ends_with("-0"))
}

fn resolves(host: &str) -> bool {
    (host, api::names::INTERNODE_PORT).to_socket_addrs().is_ok_and(|mut addresses| addresses.next().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

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
