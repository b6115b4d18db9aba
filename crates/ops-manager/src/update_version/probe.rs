//! Asking every node of a ring what it sees.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use api::{Cassandra, names};
use cassandra::{Credentials, Error, View, ring};
use futures::future::join_all;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;

use super::observe::{Node, Rack, Ring};
use crate::context::Context;

/// A node that takes longer than this is not fit to lose a neighbour.
const ANSWER: Duration = Duration::from_secs(10);

/// What all nodes say, side by side. A node that cannot be asked is a problem like any other.
pub async fn ask(context: &Context, cassandra: &Cassandra, racks: &[Rack]) -> Ring {
    let credentials = match credentials(context, cassandra).await {
        Ok(credentials) => credentials,
        Err(problem) => return Ring { problems: vec![problem], releases: BTreeMap::new() },
    };
    let expected: usize = racks.iter().map(|rack| rack.replicas).sum();
    let pods: Vec<&Node> = racks.iter().flat_map(|rack| &rack.pods).collect();
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
    // Nodes that did not answer are named already; that others miss them would only repeat it.
    if ring.problems.is_empty() {
        ring.problems = ring::problems(expected, &views).iter().map(ToString::to_string).collect();
    }
    ring
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

/// The superuser, read when it is needed: a Secret of the user's is in no cache.
async fn credentials(context: &Context, cassandra: &Cassandra) -> Result<Option<Credentials>, String> {
    if cassandra.spec.disable_security {
        return Ok(None);
    }
    let name = match &cassandra.spec.auth_secret {
        Some(reference) => reference.name.clone(),
        None => names::auth_secret(&cassandra.name_any()),
    };
    let secrets = context.operator.api::<Secret>(cassandra.namespace().as_deref());
    let secret = secrets.get(&name).await.map_err(|e| format!("Secret {name} cannot be read: {e}"))?;
    let key = |key: &str| {
        let bytes = secret.data.as_ref().and_then(|data| data.get(key))?;
        String::from_utf8(bytes.0.clone()).ok().filter(|text| !text.is_empty())
    };
    match (key("username"), key("password")) {
        (Some(username), Some(password)) => Ok(Some(Credentials { username, password })),
        _ => Err(format!("Secret {name} needs the keys username and password")),
    }
}
