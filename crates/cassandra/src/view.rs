//! What one node knows about itself and the ring.

use std::collections::HashSet;
use std::net::IpAddr;

use scylla::deserialize::row::DeserializeRow;
use scylla::statement::Consistency::One;
use semver::Version;
use uuid::Uuid;

use crate::{Error, Node};

/// What one node knows at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The address at which the node was queried.
    pub address: IpAddr,
    /// Identity of the node; it stays when the address changes.
    pub host_id: Uuid,
    /// The Cassandra release that the node runs.
    pub release: Version,
    /// Version of the schema that the node holds.
    pub schema: Uuid,
    /// Name of the cluster.
    pub cluster: String,
    /// Datacenter of the node.
    pub datacenter: String,
    /// Rack of the node.
    pub rack: String,
    /// `COMPLETED` once the node has joined the ring.
    pub bootstrapped: String,
    /// The other nodes that it knows (`system.peers_v2`).
    pub peers: Vec<Peer>,
    /// Gossip's state of every node, itself included. `None` before 4.1, which has no such table.
    pub gossip: Option<Vec<Gossip>>,
    /// Number of running streams. `None` before 4.1, which has no such table.
    pub streaming: Option<usize>,
}

/// Another node as a node knows it. A field is `None` while the node has not learned it yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Address of the peer.
    pub address: IpAddr,
    /// Identity of the peer.
    pub host_id: Option<Uuid>,
    /// The Cassandra release that the peer runs.
    pub release: Option<Version>,
    /// Version of the schema that the peer holds.
    pub schema: Option<Uuid>,
    /// Rack of the peer.
    pub rack: Option<String>,
    /// Datacenter of the peer.
    pub datacenter: Option<String>,
}

/// A node as gossip describes it. Gossip keeps addresses for days after their node has left them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gossip {
    /// Address of the described node.
    pub address: IpAddr,
    /// First word of its status, in capitals: `NORMAL`, `SHUTDOWN`, `BOOT`, `LEAVING`, `MOVING`, `LEFT` …
    pub status: Option<String>,
    /// Changes with each start of the node.
    pub generation: i32,
    /// Grows each second while the node is alive.
    pub heartbeat: i32,
    /// The Cassandra release that the node runs.
    pub release: Option<Version>,
    /// Version of the schema that the node holds.
    pub schema: Option<Uuid>,
}

const LOCAL: &str = "SELECT host_id, release_version, schema_version, cluster_name, data_center, rack, bootstrapped \
                     FROM system.local";
const PEERS: &str =
    "SELECT peer, host_id, release_version, schema_version, rack, data_center FROM system.peers_v2";
const TABLES: &str =
    "SELECT table_name FROM system_virtual_schema.tables WHERE keyspace_name = 'system_views'";
const GOSSIP: &str = "SELECT address, status_with_port, generation, heartbeat, release_version, \"schema\" \
                      FROM system_views.gossip_info";
const STREAMING: &str = "SELECT status FROM system_views.streaming";

const DOING: &str = "reading its view of the ring";

type LocalRow = (Uuid, String, Uuid, String, String, String, String);
type PeerRow = (IpAddr, Option<Uuid>, Option<String>, Option<Uuid>, Option<String>, Option<String>);
type GossipRow = (IpAddr, Option<String>, i32, i32, Option<String>, Option<String>);

impl Node {
    /// One snapshot of what this node knows: three to five queries of local tables, in two rounds.
    pub async fn view(&self) -> Result<View, Error> {
        let (mut local, peers, tables) = futures::try_join!(
            self.rows::<LocalRow>(DOING, LOCAL, One),
            self.rows::<PeerRow>(DOING, PEERS, One),
            self.rows::<(String,)>(DOING, TABLES, One),
        )?;
        let tables: HashSet<String> = tables.into_iter().map(|(name,)| name).collect();
        let gossip = self.rows_of::<GossipRow>("gossip_info", GOSSIP, &tables);
        let streaming = self.rows_of::<(String,)>("streaming", STREAMING, &tables);
        let (gossip, streaming) = futures::try_join!(gossip, streaming)?;

        let (host_id, release, schema, cluster, datacenter, rack, bootstrapped) =
            local.pop().ok_or_else(|| self.unexpected(DOING, &"system.local is empty"))?;
        let release = parse_release(&release)
            .ok_or_else(|| self.unexpected(DOING, &format!("{release:?} is no release")))?;
        Ok(View {
            address: self.address().ip(),
            host_id,
            release,
            schema,
            cluster,
            datacenter,
            rack,
            bootstrapped,
            peers: peers.into_iter().map(Peer::from).collect(),
            gossip: gossip.map(|rows| rows.into_iter().map(Gossip::from).collect()),
            // Rows of finished streams stay for days.
            streaming: streaming.map(|rows| rows.iter().filter(|(status,)| is_running(status)).count()),
        })
    }

    /// The rows of a table that older releases do not have.
    async fn rows_of<R>(
        &self,
        table: &str,
        query: &str,
        tables: &HashSet<String>,
    ) -> Result<Option<Vec<R>>, Error>
    where
        R: for<'row> DeserializeRow<'row, 'row>,
    {
        if !tables.contains(table) {
            return Ok(None);
        }
        self.rows(DOING, query, One).await.map(Some)
    }
}

impl From<PeerRow> for Peer {
    fn from((address, host_id, release, schema, rack, datacenter): PeerRow) -> Self {
        let release = release.as_deref().and_then(parse_release);
        Self { address, host_id, release, schema, rack, datacenter }
    }
}

impl From<GossipRow> for Gossip {
    fn from((address, status, generation, heartbeat, release, schema): GossipRow) -> Self {
        Self {
            address,
            status: status.as_deref().map(status_word),
            generation,
            heartbeat,
            release: release.as_deref().and_then(parse_release),
            schema: schema.and_then(|schema| schema.parse().ok()),
        }
    }
}

/// First word of a status in gossip, such as `NORMAL,-9151314442816847872` or `shutdown,true`.
fn status_word(status: &str) -> String {
    status.split(',').next().unwrap_or_default().to_ascii_uppercase()
}

fn is_running(stream_status: &str) -> bool {
    !["success", "failure"].contains(&stream_status.to_ascii_lowercase().as_str())
}

/// Cassandra's pre-releases leave out the patch number (`5.0-beta1`), which semver does not allow.
fn parse_release(text: &str) -> Option<Version> {
    let (number, suffix) = text.split_once('-').map_or((text, String::new()), |(n, s)| (n, format!("-{s}")));
    let padding = ".0".repeat(2_usize.saturating_sub(number.matches('.').count()));
    Version::parse(&format!("{number}{padding}{suffix}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_of_all_forms_are_understood() {
        let parsed = |text| parse_release(text).map(|version| version.to_string());
        assert_eq!(parsed("4.1.10").as_deref(), Some("4.1.10"));
        assert_eq!(parsed("5.0-beta1").as_deref(), Some("5.0.0-beta1"));
        assert_eq!(parsed("4.0.17-SNAPSHOT").as_deref(), Some("4.0.17-SNAPSHOT"));
        assert_eq!(parsed("unknown"), None);
    }

    #[test]
    fn status_is_the_first_word() {
        assert_eq!(status_word("NORMAL,-915131"), "NORMAL");
        assert_eq!(status_word("shutdown,true"), "SHUTDOWN");
    }

    #[test]
    fn finished_streams_do_not_count() {
        let running = ["INIT", "start", "SUCCESS", "failure"].map(is_running);
        assert_eq!(running, [true, true, false, false]);
    }
}
