//! The tables of a node: its system tables, and the table of the health check.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use api::{labels, names};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::{Value, json};

use super::frames::Response;

/// Prefix of the names of fake nodes.
const FAKE: &str = "fake-";

/// A node as its pod describes it.
pub struct Node {
    pub uid: String,
    pub address: IpAddr,
    /// Namespace and name of its Cassandra.
    ring: (String, String),
    /// Namespace and name of its pod, which stay when the pod is renewed.
    identity: (String, String),
    rack: String,
    cluster: String,
    /// The tag of its image.
    release: String,
}

impl Node {
    /// `None` if the pod runs elsewhere, has no address yet or is no node of Cassandra.
    pub fn of(pod: &Pod) -> Option<Self> {
        let label = |key: &str| pod.labels().get(key).cloned().unwrap_or_default();
        let spec = pod.spec.as_ref()?;
        if !spec.node_name.as_ref()?.starts_with(FAKE) {
            return None;
        }
        let image =
            spec.containers.iter().find(|container| container.name == names::CONTAINER)?.image.as_ref()?;
        let (namespace, ring) = (pod.namespace()?, label(labels::INSTANCE));
        let old = names::old_config_secret(&ring);
        let mut volumes = spec.volumes.iter().flatten().filter_map(|volume| volume.secret.as_ref());
        let is_old = volumes.any(|secret| secret.secret_name.as_ref() == Some(&old));
        Some(Self {
            cluster: if is_old { ring.clone() } else { format!("{ring}.{namespace}") },
            uid: pod.uid()?,
            address: pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok()?,
            ring: (namespace.clone(), ring),
            identity: (namespace, pod.name_any()),
            rack: label(labels::PART_OF),
            release: image.rsplit(':').next()?.to_owned(),
        })
    }

    /// A row of `system.local`, `system.peers` or `system.peers_v2`.
    fn row(&self) -> Value {
        json!({
            "key": "local",
            "peer": self.address,
            "rpc_address": self.address,
            "host_id": uuid(&self.identity),
            "release_version": self.release,
            // Two releases have different system tables, and so different schema versions.
            "schema_version": uuid(&self.release),
            "cluster_name": self.cluster,
            "data_center": "dc1",
            "rack": self.rack,
            "bootstrapped": "COMPLETED",
            "tokens": [format!("{}", number(&self.identity) >> 1)],
        })
    }

    /// A row of `system_views.gossip_info`.
    fn gossip(&self) -> Value {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_millis());
        json!({
            "address": self.address,
            "status_with_port": "NORMAL,0",
            "generation": 1,
            // Changes between any two queries.
            "heartbeat": now / 10 % 1_000_000_000,
            "release_version": self.release,
            "schema": uuid(&self.release),
        })
    }
}

/// The response of the node `own` to a statement. `nodes` are those that are up, `health` the rows of the health check.
pub fn answer(statement: &str, own: &Node, nodes: &[Node], health: &mut HashMap<String, String>) -> Response {
    if let Some((node, value)) = health_row(statement) {
        health.insert(node.to_owned(), value.to_owned());
        return Response::Void;
    }
    let ring: Vec<&Node> = nodes.iter().filter(|node| node.ring == own.ring).collect();
    let rows = |table: &str| rows(table, own, &ring, health);
    select(statement, rows)
        .unwrap_or_else(|| Response::Invalid(format!("no answer is known to: {statement}")))
}

fn health_row(statement: &str) -> Option<(&str, &str)> {
    let values = statement.strip_prefix("INSERT INTO kubedb_keyspace.health (node, value) VALUES (")?;
    let (node, value) = values.strip_suffix(')')?.split_once(", ")?;
    Some((node.trim_matches('\''), value))
}

/// All rows of a table; `None` if there is no such table.
fn rows(table: &str, own: &Node, ring: &[&Node], health: &HashMap<String, String>) -> Option<Vec<Value>> {
    let peers = ring.iter().filter(|node| node.uid != own.uid);
    Some(match table {
        "system.local" => vec![own.row()],
        "system.peers" | "system.peers_v2" => peers.map(|node| node.row()).collect(),
        "system_views.gossip_info" => ring.iter().map(|node| node.gossip()).collect(),
        "system_views.streaming" => vec![],
        "system_virtual_schema.tables" => ["gossip_info", "streaming"]
            .map(|table| json!({ "keyspace_name": "system_views", "table_name": table }))
            .into(),
        "system_schema.keyspaces" => ["system_auth", "kubedb_keyspace"].map(keyspace).into(),
        "system_schema.tables" => vec![json!({ "keyspace_name": "kubedb_keyspace", "table_name": "health" })],
        // The default superuser, locked out.
        "system_auth.roles" => {
            vec![json!({ "role": "cassandra", "can_login": false, "is_superuser": false })]
        }
        "kubedb_keyspace.health" => {
            health.iter().map(|(node, value)| json!({ "node": node, "value": value })).collect()
        }
        _ => return None,
    })
}

/// A keyspace that is replicated as the provisioner wants it in a ring of three nodes.
fn keyspace(name: &str) -> Value {
    let class = "org.apache.cassandra.locator.NetworkTopologyStrategy";
    json!({ "keyspace_name": name, "durable_writes": true, "replication": { "class": class, "dc1": "3" } })
}

/// The rows that a SELECT asks for. It may have conditions of the form `column = constant`.
fn select(statement: &str, rows: impl Fn(&str) -> Option<Vec<Value>>) -> Option<Response> {
    let (columns, from) = statement.strip_prefix("SELECT ")?.split_once(" FROM ")?;
    let (table, conditions) = from.split_once(" WHERE ").unwrap_or((from, ""));
    let conditions: Vec<(&str, &str)> =
        conditions.split(" AND ").filter_map(|condition| condition.split_once('=')).collect();
    let meets = |row: &Value| {
        conditions.iter().all(|(column, value)| row[column.trim()] == value.trim().trim_matches('\''))
    };
    let columns: Vec<String> =
        columns.split(',').map(|column| column.trim().trim_matches('"').to_owned()).collect();
    let rows = rows(table.trim())?.into_iter().filter(meets).collect();
    Some(Response::Rows { columns, rows })
}

/// A UUID that is always the same for the same thing.
fn uuid(thing: &impl Hash) -> String {
    let digits = format!("{:016x}{:016x}", number(thing), number(&("more", number(thing))));
    format!("{}-{}-{}-{}-{}", &digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..])
}

fn number(thing: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    thing.hash(&mut hasher);
    hasher.finish()
}
