//! Asks every node of a ring for its view.

use std::collections::{BTreeMap, HashSet};
use std::net::{IpAddr, SocketAddr};

use api::ops_request::{Apply, Phase};
use api::{Cassandra, labels, names};
use cassandra::{Credentials, Error, View, replication, ring};
use desired::Login;
use futures::future::join_all;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::ResourceExt;

use crate::context::{ANSWER, Context};
use crate::observe::node::Node;
use crate::observe::{Copies, Observed, Ring};
use crate::operation;
use crate::preparation::known_to_target;

/// Asks all nodes at once. A node that cannot be asked counts as a problem of the ring.
pub async fn ask(context: &Context, cassandra: &Cassandra, observed: &Observed) -> Ring {
    let credentials = match credentials(context, cassandra).await {
        Ok(credentials) => credentials,
        Err(problem) => {
            let copies = Copies::Unknown(problem.clone());
            return Ring { problems: vec![problem], copies, ..Ring::default() };
        }
    };
    let expected: usize = observed.racks.iter().map(|rack| rack.replicas).sum();
    let pods: Vec<&Node> = observed.racks.iter().flat_map(|rack| &rack.pods).collect();
    let answers = join_all(pods.iter().map(|pod| ask_node(context, pod, credentials.as_ref()))).await;

    let (mut views, mut ring) = (Vec::new(), Ring::default());
    for (pod, answer) in pods.iter().zip(answers) {
        match answer {
            Ok(view) => {
                ring.releases.insert(pod.name.clone(), view.release.clone());
                views.push(view);
            }
            Err(problem) => ring.problems.push(format!("pod {}: {problem}", pod.name)),
        }
    }
    // Do not add that the other nodes miss those that did not answer.
    if ring.problems.is_empty() {
        ring.problems = ring::problems(expected, &views).iter().map(ToString::to_string).collect();
    }
    if observed.request.phase() == Phase::Pending {
        ring.copies = copies(context, &views, credentials.as_ref()).await;
        ring.settings = settings(context, cassandra).await;
        // Only then: the schema may be large, and a ring that is not whole is asked again and again.
        let kind = operation::kind(observed.request.spec.type_);
        if kind.asks_names() && (ring.problems.is_empty() || observed.request.spec.apply == Apply::Always) {
            let node = views.first().map(|view| view.address);
            ring.names = known_to_target::ask_names(context, cassandra, node, credentials.as_ref()).await;
        }
    }
    let nodes = operation::of(&observed.request).map(|it| it.nodes_to_ask(observed)).unwrap_or_default();
    if !nodes.is_empty() {
        let asked = known_to_target::ask_schema(context, nodes.into_iter(), credentials.as_ref()).await;
        ring.names.schema = Some(asked);
    }
    ring
}

/// If it cannot be read, nothing waits for it: the provisioner reads it too, and tells.
async fn settings(context: &Context, cassandra: &Cassandra) -> Option<String> {
    let name = cassandra.spec.configuration.as_ref()?.secret_name.as_ref()?;
    let secrets = context.operator.api::<Secret>(cassandra.namespace().as_deref());
    secrets.get_metadata_opt(name).await.ok()??.metadata.resource_version
}

/// Drops sessions to nodes that are gone, or whose ring has no request under way. A session keeps reconnecting to its address,
/// and would send the password to whatever pod has that address by then.
pub fn forget(context: &Context) {
    let busy: HashSet<(String, String)> = context
        .requests
        .filtered(|request| !request.phase().is_final())
        .iter()
        .map(|request| (request.namespace().unwrap_or_default(), request.spec.database_ref.name.clone()))
        .collect();
    let of_a_busy_ring = |pod: &Pod| {
        let name = labels::cassandra_of(pod.labels()).unwrap_or_default();
        busy.contains(&(pod.namespace().unwrap_or_default(), name.to_owned()))
    };
    let pods = context.pods.filtered(of_a_busy_ring);
    let ips = pods.iter().filter_map(|pod| pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok());
    let wanted: HashSet<IpAddr> = ips.collect();
    context.sessions.retain(|address| wanted.contains(&address.ip()));
}

/// Whether the keyspaces have enough copies. One node is asked, since all have the same schema.
async fn copies(context: &Context, views: &[View], credentials: Option<&Credentials>) -> Copies {
    let Some(view) = views.first() else { return Copies::Unknown("no node answers".to_owned()) };
    let mut nodes = BTreeMap::from([(view.datacenter.clone(), 1)]);
    for datacenter in view.peers.iter().filter_map(|peer| peer.datacenter.clone()) {
        *nodes.entry(datacenter).or_default() += 1;
    }
    let address = SocketAddr::new(view.address, names::CQL_PORT);
    let asked = async {
        let node = context.sessions.node(address, credentials, ANSWER).await?;
        replication::user_keyspaces(&node).await
    };
    match asked.await {
        Ok(keyspaces) => {
            let weak = replication::weaknesses(&keyspaces, &nodes);
            if weak.is_empty() {
                Copies::Enough
            } else {
                Copies::TooFew(weak.iter().map(ToString::to_string).collect())
            }
        }
        Err(error) => Copies::Unknown(error.to_string()),
    }
}

async fn ask_node(context: &Context, pod: &Node, credentials: Option<&Credentials>) -> Result<View, String> {
    let ip: IpAddr = pod.ip.as_deref().and_then(|ip| ip.parse().ok()).ok_or("has no address yet")?;
    let address = SocketAddr::new(ip, names::CQL_PORT);
    let asked = async {
        let node = context.sessions.node(address, credentials, ANSWER).await?;
        let view = node.view().await?;
        node.sees_all_up().await?;
        Ok::<_, Error>(view)
    };
    asked.await.map_err(|e| e.to_string())
}

/// The superuser's login. It is read each time, because a user's own Secret is not cached.
pub(super) async fn credentials(
    context: &Context,
    cassandra: &Cassandra,
) -> Result<Option<Credentials>, String> {
    let Login::Secret { name, .. } = Login::of(cassandra) else { return Ok(None) };
    let secrets = context.operator.api::<Secret>(cassandra.namespace().as_deref());
    let secret = secrets.get(&name).await.map_err(|e| format!("Secret {name} cannot be read: {e}"))?;
    let (username, password) =
        desired::credentials(&secret).map_err(|lack| format!("Secret {name} is no login: {lack}"))?;
    Ok(Some(Credentials { username, password }))
}
