//! How many copies a keyspace keeps, and where.

use std::collections::BTreeMap;
use std::fmt;

use scylla::statement::Consistency;

use crate::cql::{identifier, literal};
use crate::{Error, Node};

/// Copies per datacenter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replication(pub BTreeMap<String, u32>);

/// What a keyspace says about its copies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// So many copies in each datacenter, spread over racks.
    NetworkTopology(Replication),
    /// So many copies, wherever the ring leads.
    Simple(u32),
    /// Anything else, by the name of its class.
    Other(String),
}

/// A keyspace and its copies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyspace {
    /// Name, with its exact case.
    pub name: String,
    /// Its copies.
    pub strategy: Strategy,
}

/// What [`ensure`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The keyspace is new.
    Created,
    /// The keyspace had another replication.
    Altered,
    /// Nothing was to do.
    Unchanged,
}

const SYSTEM_KEYSPACES: [&str; 7] = [
    "system",
    "system_auth",
    "system_distributed",
    "system_schema",
    "system_traces",
    "system_views",
    "system_virtual_schema",
];

const DOING: &str = "reading replication settings";

type Row = (String, BTreeMap<String, String>);

/// Makes `keyspace` exist with exactly this replication. One local query when it does already. Data that existed
/// before a change is not copied by it: see [`repair`].
pub async fn ensure(node: &Node, keyspace: &str, replication: &Replication) -> Result<Change, Error> {
    let query = "SELECT keyspace_name, replication FROM system_schema.keyspaces WHERE keyspace_name = ";
    let found = node.rows::<Row>(DOING, &format!("{query}{}", literal(keyspace)), Consistency::One).await?;
    let wanted = Strategy::NetworkTopology(replication.clone());
    let (verb, change) = match found.into_iter().next() {
        None => ("CREATE KEYSPACE IF NOT EXISTS", Change::Created),
        Some((_, options)) if Strategy::parse(&options) != wanted => ("ALTER KEYSPACE", Change::Altered),
        Some(_) => return Ok(Change::Unchanged),
    };
    let statement = format!("{verb} {} WITH replication = {replication}", identifier(keyspace));
    node.run("setting the replication of a keyspace", &statement, Consistency::LocalQuorum).await?;
    tracing::info!(node = %node.address(), keyspace, %replication, ?change, "replication set");
    Ok(change)
}

/// Copies all rows of a small keyspace to all of their replicas, by reading them from all replicas at once: those
/// that lack a row get it before the answer. Refused while a node is down.
pub async fn repair(node: &Node, keyspace: &str) -> Result<(), Error> {
    let query = "SELECT table_name FROM system_schema.tables WHERE keyspace_name = ";
    let doing = "listing tables";
    let tables =
        node.rows::<(String,)>(doing, &format!("{query}{}", literal(keyspace)), Consistency::One).await?;
    for (table,) in tables {
        let all_rows = format!("SELECT * FROM {}.{}", identifier(keyspace), identifier(&table));
        node.run("copying a system table to all of its replicas", &all_rows, Consistency::All).await?;
    }
    Ok(())
}

/// All keyspaces that are neither Cassandra's nor the operator's own.
pub async fn user_keyspaces(node: &Node) -> Result<Vec<Keyspace>, Error> {
    let query = "SELECT keyspace_name, replication FROM system_schema.keyspaces";
    let rows = node.rows::<Row>(DOING, query, Consistency::One).await?;
    let own = |name: &str| name == crate::keyspace::NAME || SYSTEM_KEYSPACES.contains(&name);
    let users = rows.into_iter().filter(|(name, _)| !own(name));
    Ok(users.map(|(name, options)| Keyspace { name, strategy: Strategy::parse(&options) }).collect())
}

/// Whether reads and writes at QUORUM go on while any single node is down: a majority must be left without it, so
/// three copies are the least.
pub fn survives_one_down(strategy: &Strategy) -> bool {
    match strategy {
        Strategy::NetworkTopology(Replication(copies)) => {
            !copies.is_empty() && copies.values().all(|&copies| copies >= 3)
        }
        Strategy::Simple(copies) => *copies >= 3,
        Strategy::Other(_) => false,
    }
}

impl Strategy {
    fn parse(options: &BTreeMap<String, String>) -> Self {
        let class = options.get("class").map_or("", String::as_str);
        // "3/1" is three copies, one of them transient.
        let copies = |text: &String| text.split('/').next().and_then(|copies| copies.parse::<u32>().ok());
        let parsed = match class.rsplit('.').next() {
            Some("NetworkTopologyStrategy") => options
                .iter()
                .filter(|(key, _)| *key != "class")
                .map(|(datacenter, value)| Some((datacenter.clone(), copies(value)?)))
                .collect::<Option<_>>()
                .map(|copies| Strategy::NetworkTopology(Replication(copies))),
            Some("SimpleStrategy") => {
                options.get("replication_factor").and_then(copies).map(Strategy::Simple)
            }
            _ => None,
        };
        parsed.unwrap_or_else(|| Strategy::Other(class.to_owned()))
    }
}

/// The map that CQL takes.
impl fmt::Display for Replication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{'class': 'NetworkTopologyStrategy'")?;
        for (datacenter, copies) in &self.0 {
            write!(f, ", {}: {copies}", literal(datacenter))?;
        }
        write!(f, "}}")
    }
}

impl<D: Into<String>> FromIterator<(D, u32)> for Replication {
    fn from_iter<I: IntoIterator<Item = (D, u32)>>(copies: I) -> Self {
        Self(copies.into_iter().map(|(datacenter, copies)| (datacenter.into(), copies)).collect())
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn strategy(options: &[(&str, &str)]) -> Strategy {
        Strategy::parse(&options.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect())
    }

    #[rstest]
    #[case(&[("class", "org.apache.cassandra.locator.NetworkTopologyStrategy"), ("dc1", "3"), ("dc2", "2")],
        Strategy::NetworkTopology([("dc1", 3), ("dc2", 2)].into_iter().collect()))]
    #[case(&[("class", "org.apache.cassandra.locator.NetworkTopologyStrategy"), ("dc1", "3/1")],
        Strategy::NetworkTopology([("dc1", 3)].into_iter().collect()))]
    #[case(&[("class", "SimpleStrategy"), ("replication_factor", "2")], Strategy::Simple(2))]
    #[case(&[("class", "SimpleStrategy")], Strategy::Other("SimpleStrategy".into()))]
    #[case(&[("class", "org.apache.cassandra.locator.LocalStrategy")],
        Strategy::Other("org.apache.cassandra.locator.LocalStrategy".into()))]
    fn strategies_are_read_from_the_options_of_a_keyspace(
        #[case] options: &[(&str, &str)],
        #[case] expected: Strategy,
    ) {
        assert_eq!(strategy(options), expected);
    }

    #[test]
    fn replication_is_written_as_a_map_with_quoted_names() {
        let replication: Replication = [("dc1", 3), ("it's", 1)].into_iter().collect();
        assert_eq!(replication.to_string(), "{'class': 'NetworkTopologyStrategy', 'dc1': 3, 'it''s': 1}");
    }

    #[rstest]
    #[case(Strategy::Simple(1), false)]
    #[case(Strategy::Simple(2), false)]
    #[case(Strategy::Simple(3), true)]
    #[case(Strategy::NetworkTopology([("dc1", 3), ("dc2", 3)].into_iter().collect()), true)]
    #[case(Strategy::NetworkTopology([("dc1", 3), ("dc2", 2)].into_iter().collect()), false)]
    #[case(Strategy::NetworkTopology(Replication::default()), false)]
    #[case(Strategy::Other("LocalStrategy".into()), false)]
    fn a_majority_without_one_node_takes_three_copies(#[case] strategy: Strategy, #[case] survives: bool) {
        assert_eq!(survives_one_down(&strategy), survives);
    }
}
