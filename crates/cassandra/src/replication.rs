//! How many copies a keyspace keeps, and where.

use std::collections::BTreeMap;
use std::fmt;

use scylla::statement::Consistency;

use crate::cql::{identifier, literal};
use crate::{Error, Node};

/// Copies per datacenter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replication(pub BTreeMap<String, u32>);

/// The replication strategy of a keyspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// This many copies in each datacenter, spread over racks.
    NetworkTopology(Replication),
    /// This many copies on consecutive nodes of the ring, whatever their racks and datacenters.
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

/// What to do if a keyspace has fewer copies than it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fewer {
    /// Raise the replication: nobody uses the ring yet.
    Raise,
    /// Only report it: whoever lowered the replication may have had a reason.
    Tell,
}

/// What [`ensure`] did, or found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The keyspace is new.
    Created,
    /// The keyspace had fewer copies.
    Altered,
    /// Nothing was to do.
    Unchanged,
    /// It has fewer copies than it should and was left so. Says what is wrong and how to correct it.
    Fewer(String),
}

/// Name of the operator's own keyspace (KubeDB's name).
pub(crate) const OWN_KEYSPACE: &str = "kubedb_keyspace";

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

/// Makes `keyspace` exist with at least this replication. Costs one local query if it does already. Additional copies are
/// kept, since somebody wanted them. Raising the replication does not copy existing data: see [`repair`].
pub async fn ensure(
    node: &Node,
    keyspace: &str,
    replication: &Replication,
    fewer: Fewer,
) -> Result<Change, Error> {
    let query = "SELECT keyspace_name, replication FROM system_schema.keyspaces WHERE keyspace_name = ";
    let found = node.rows::<Row>(DOING, &format!("{query}{}", literal(keyspace)), Consistency::One).await?;
    let (verb, change) = match found.into_iter().next() {
        None => ("CREATE KEYSPACE IF NOT EXISTS", Change::Created),
        Some((_, options)) => match Strategy::parse(&options).needs(replication, fewer) {
            Need::Nothing => return Ok(Change::Unchanged),
            Need::Raise => ("ALTER KEYSPACE", Change::Altered),
            Need::Tell(has) => {
                let keyspace = identifier(keyspace);
                return Ok(Change::Fewer(format!(
                    "keyspace {keyspace} has {has}, fewer than it was made with; ALTER KEYSPACE {keyspace} WITH \
                     replication = {replication}, then nodetool repair {keyspace} on every node"
                )));
            }
        },
    };
    let statement = format!("{verb} {} WITH replication = {replication}", identifier(keyspace));
    node.run("setting the replication of a keyspace", &statement, Consistency::LocalQuorum).await?;
    tracing::info!(node = %node.address(), keyspace, %replication, ?change, "replication set");
    Ok(change)
}

/// What an existing keyspace needs.
#[derive(Debug, PartialEq, Eq)]
enum Need {
    Nothing,
    Raise,
    /// To report the copies that it has.
    Tell(String),
}

/// Copies all rows of a small keyspace to all of their replicas by reading them at ALL: replicas that lack a row get it
/// before the read returns. Fails while a replica is down.
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
    let own = |name: &str| name == OWN_KEYSPACE || SYSTEM_KEYSPACES.contains(&name);
    let users = rows.into_iter().filter(|(name, _)| !own(name));
    Ok(users.map(|(name, options)| Keyspace { name, strategy: Strategy::parse(&options) }).collect())
}

/// A keyspace that can lose QUORUM when a single node is down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weakness {
    /// Name of the keyspace.
    pub keyspace: String,
    /// Its copies, in words.
    pub why: String,
}

/// The keyspaces that can lose QUORUM when a single node is down. `nodes` is the number of nodes in each datacenter.
/// Racks make no difference: they decide which nodes hold the copies, not how many do.
pub fn weaknesses(keyspaces: &[Keyspace], nodes: &BTreeMap<String, u32>) -> Vec<Weakness> {
    let weak = |keyspace: &Keyspace| {
        let why = keyspace.strategy.weakness(nodes)?;
        Some(Weakness { keyspace: keyspace.name.clone(), why })
    };
    keyspaces.iter().filter_map(weak).collect()
}

impl fmt::Display for Weakness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "keyspace {} ({})", self.keyspace, self.why)
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

    /// Cassandra creates its keyspaces with `SimpleStrategy`, which counts copies in the whole ring. Before anybody uses the
    /// ring, it is replaced by copies per datacenter. Later it is respected as somebody's choice, unless it has too few copies.
    fn needs(&self, wanted: &Replication, fewer: Fewer) -> Need {
        let Replication(wanted) = wanted;
        let short = match self {
            Strategy::NetworkTopology(Replication(has)) => wanted.iter().find_map(|(datacenter, wanted)| {
                let has = has.get(datacenter).copied().unwrap_or(0);
                (has < *wanted).then(|| format!("{} in datacenter {datacenter}", count(has)))
            }),
            Strategy::Simple(has) if fewer == Fewer::Raise || *has < wanted.values().sum() => {
                Some(format!("{} in the ring", count(*has)))
            }
            Strategy::Simple(_) | Strategy::Other(_) => None,
        };
        match (short, fewer) {
            (None, _) => Need::Nothing,
            (Some(_), Fewer::Raise) => Need::Raise,
            (Some(has), Fewer::Tell) => Need::Tell(has),
        }
    }

    /// Why the copies can lose their majority when one node is down; `None` if they cannot. Datacenters without a copy do not
    /// count.
    fn weakness(&self, nodes: &BTreeMap<String, u32>) -> Option<String> {
        let few = |copies: u32, nodes: u32, place: String| {
            let short = if nodes < copies { format!(", which has {nodes} nodes") } else { String::new() };
            let majority = copies / 2 + 1;
            (copies.min(nodes) <= majority).then(|| format!("{} in {place}{short}", count(copies)))
        };
        match self {
            Strategy::NetworkTopology(Replication(copies)) => {
                copies.iter().filter(|(_, copies)| **copies > 0).find_map(|(dc, copies)| {
                    few(*copies, nodes.get(dc).copied().unwrap_or(0), format!("datacenter {dc}"))
                })
            }
            Strategy::Simple(copies) => few(*copies, nodes.values().sum(), "the ring".to_owned()),
            // Data of each node alone, which nobody reads at QUORUM.
            Strategy::Other(class) if class.ends_with("LocalStrategy") => None,
            Strategy::Other(class) => Some(format!("replicated by {class}, whose copies are not known")),
        }
    }
}

fn count(copies: u32) -> String {
    format!("{copies} {}", if copies == 1 { "copy" } else { "copies" })
}

/// As a map literal of CQL.
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
    #[case::as_wanted(in_dc1(3), Need::Nothing, Need::Nothing)]
    #[case::more(in_dc1(4), Need::Nothing, Need::Nothing)]
    #[case::more_and_elsewhere(
        Strategy::NetworkTopology([("dc1", 5), ("dc2", 1)].into_iter().collect()), Need::Nothing, Need::Nothing
    )]
    #[case::fewer(in_dc1(1), Need::Raise, Need::Tell("1 copy in datacenter dc1".into()))]
    #[case::elsewhere(
        Strategy::NetworkTopology([("dc2", 3)].into_iter().collect()),
        Need::Raise,
        Need::Tell("0 copies in datacenter dc1".into())
    )]
    #[case::as_cassandra_starts(Strategy::Simple(3), Need::Raise, Need::Nothing)]
    #[case::as_cassandra_starts_alone(Strategy::Simple(1), Need::Raise, Need::Tell("1 copy in the ring".into()))]
    #[case::of_somebody(Strategy::Other("Everywhere".into()), Need::Nothing, Need::Nothing)]
    fn more_copies_stay_and_fewer_are_raised_only_before_anybody_uses_the_ring(
        #[case] strategy: Strategy,
        #[case] at_first: Need,
        #[case] later: Need,
    ) {
        let wanted = [("dc1", 3)].into_iter().collect();
        assert_eq!(strategy.needs(&wanted, Fewer::Raise), at_first);
        assert_eq!(strategy.needs(&wanted, Fewer::Tell), later);
    }

    fn in_dc1(copies: u32) -> Strategy {
        Strategy::NetworkTopology([("dc1", copies)].into_iter().collect())
    }

    #[rstest]
    #[case(in_dc1(3), 3, None)]
    #[case(in_dc1(5), 5, None)]
    #[case(in_dc1(0), 3, None)]
    #[case(in_dc1(1), 3, Some("1 copy in datacenter dc1"))]
    #[case(in_dc1(2), 3, Some("2 copies in datacenter dc1"))]
    #[case(in_dc1(3), 2, Some("3 copies in datacenter dc1, which has 2 nodes"))]
    #[case(Strategy::Simple(3), 3, None)]
    #[case(Strategy::Simple(2), 3, Some("2 copies in the ring"))]
    #[case(Strategy::Other("org.apache.cassandra.locator.LocalStrategy".into()), 3, None)]
    #[case(Strategy::Other("Everywhere".into()), 3, Some("replicated by Everywhere, whose copies are not known"))]
    fn a_majority_without_one_node_takes_three_copies_on_three_nodes(
        #[case] strategy: Strategy,
        #[case] nodes: u32,
        #[case] why: Option<&str>,
    ) {
        assert_eq!(strategy.weakness(&[("dc1".to_owned(), nodes)].into()).as_deref(), why);
    }

    #[test]
    fn each_datacenter_needs_a_majority_of_its_own() {
        let keyspace = |name: &str, copies: [(&str, u32); 2]| Keyspace {
            name: name.to_owned(),
            strategy: Strategy::NetworkTopology(copies.into_iter().collect()),
        };
        let keyspaces =
            [keyspace("good", [("dc1", 3), ("dc2", 3)]), keyspace("weak", [("dc1", 3), ("dc2", 2)])];
        let weak = weaknesses(&keyspaces, &[("dc1".to_owned(), 3), ("dc2".to_owned(), 3)].into());
        let weak: Vec<String> = weak.iter().map(Weakness::to_string).collect();
        assert_eq!(weak, ["keyspace weak (2 copies in datacenter dc2)"]);
    }
}
