//! The operator's own keyspace: a place to prove that the ring takes writes, and to ask every node at once.

use scylla::statement::Consistency;
use uuid::Uuid;

use crate::cql::literal;
use crate::replication::{self, Change, Fewer, OWN_KEYSPACE, Replication};
use crate::{Error, Node};

/// Rows of addresses that are gone expire after a day.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS kubedb_keyspace.health (node text PRIMARY KEY, value uuid) \
                     WITH default_time_to_live = 86400";

/// Creates the keyspace and its table if they are missing. `replication` must have as many copies as each datacenter has
/// nodes, so that a read at ALL asks every node. Costs two local queries if both exist.
pub async fn ensure(node: &Node, replication: &Replication, fewer: Fewer) -> Result<Change, Error> {
    let change = replication::ensure(node, OWN_KEYSPACE, replication, fewer).await?;
    let query = "SELECT table_name FROM system_schema.tables \
                 WHERE keyspace_name = 'kubedb_keyspace' AND table_name = 'health'";
    let doing = "looking for the health table";
    if node.rows::<(String,)>(doing, query, Consistency::One).await?.is_empty() {
        node.run("creating the health table", TABLE, Consistency::LocalQuorum).await?;
        return Ok(if change == Change::Unchanged { Change::Altered } else { change });
    }
    Ok(change)
}

impl Node {
    /// Checks that this node sees every node of the ring as up, and that all of them answer it. Otherwise
    /// [`Error::Unavailable`] says how many do.
    pub async fn sees_all_up(&self) -> Result<(), Error> {
        let query = format!("SELECT value FROM kubedb_keyspace.health WHERE node = {}", self.row());
        self.run("asking all nodes at once", &query, Consistency::All).await.map(drop)
    }

    /// Proves that this node serves requests: writes a row of its own at LOCAL_QUORUM and reads it back.
    pub async fn write_and_read(&self) -> Result<(), Error> {
        let (row, written) = (self.row(), Uuid::new_v4());
        let write = format!("INSERT INTO kubedb_keyspace.health (node, value) VALUES ({row}, {written})");
        let read = format!("SELECT value FROM kubedb_keyspace.health WHERE node = {row}");
        self.run("writing the health row", &write, Consistency::LocalQuorum).await?;
        let doing = "reading the health row";
        match self.rows::<(Uuid,)>(doing, &read, Consistency::LocalQuorum).await?.as_slice() {
            [(read,)] if *read == written => Ok(()),
            read => Err(self.unexpected(doing, &format!("wrote {written}, then read {read:?}"))),
        }
    }

    fn row(&self) -> String {
        literal(&self.address().ip().to_string())
    }
}
