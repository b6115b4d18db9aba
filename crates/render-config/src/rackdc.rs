//! `cassandra-rackdc.properties`: datacenter and rack of the node.

/// The file that GossipingPropertyFileSnitch reads.
pub(crate) fn properties(datacenter: &str, rack: &str) -> String {
    format!("dc={datacenter}\nrack={rack}\n")
}
