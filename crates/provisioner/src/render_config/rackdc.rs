//! `cassandra-rackdc.properties`: where the node stands.

/// The file that GossipingPropertyFileSnitch reads.
pub(super) fn properties(datacenter: &str, rack: &str) -> String {
    format!("dc={datacenter}\nrack={rack}\n")
}
