//! Reads what the schema and the user's settings use.

use std::net::{IpAddr, SocketAddr};

use api::{Cassandra, names};
use cassandra::Credentials;
use cassandra::schema::Use;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;

use super::names::Names;
use super::settings::{self, Setting};
use crate::context::Context;
use crate::observe::node::Node;

/// What the schema uses, according to the first of these nodes that answers.
pub(crate) async fn schema(
    context: &Context,
    nodes: impl Iterator<Item = &Node>,
    credentials: Option<&Credentials>,
) -> Result<Vec<Use>, String> {
    let mut why = "no node answers".to_owned();
    for pod in nodes {
        let Some(ip) = pod.ip.as_deref().and_then(|ip| ip.parse().ok()) else { continue };
        match schema_of(context, ip, credentials).await {
            Ok(uses) => return Ok(uses),
            Err(problem) => why = problem,
        }
    }
    Err(why)
}

async fn schema_of(
    context: &Context,
    ip: IpAddr,
    credentials: Option<&Credentials>,
) -> Result<Vec<Use>, String> {
    let asked = async {
        let address = SocketAddr::new(ip, names::CQL_PORT);
        context.sessions.node(address, credentials, crate::context::ANSWER).await?.schema_uses().await
    };
    asked.await.map_err(|error| error.to_string())
}

/// Both, for an update that has not begun yet.
pub(crate) async fn names(
    context: &Context,
    cassandra: &Cassandra,
    node: Option<IpAddr>,
    credentials: Option<&Credentials>,
) -> Names {
    let schema = match node {
        Some(ip) => schema_of(context, ip, credentials).await,
        None => Err("no node answers".to_owned()),
    };
    Names { schema: Some(schema), settings: Some(settings(context, cassandra).await) }
}

async fn settings(context: &Context, cassandra: &Cassandra) -> Result<Vec<Setting>, String> {
    let Some(configuration) = &cassandra.spec.configuration else { return Ok(vec![]) };
    let mut all = vec![];
    if let Some(name) = &configuration.secret_name {
        let secrets = context.operator.api::<Secret>(cassandra.namespace().as_deref());
        let secret = secrets.get(name).await.map_err(|e| format!("Secret {name} cannot be read: {e}"))?;
        let text = secret.data.as_ref().and_then(|data| data.get(names::CONFIG_KEY));
        let text = text.map(|bytes| String::from_utf8_lossy(&bytes.0)).unwrap_or_default();
        all.extend(settings::parse(&format!("Secret {name}"), &text)?);
    }
    if let Some(text) = configuration.inline.get(names::CONFIG_KEY) {
        all.extend(settings::parse("spec.configuration.inline", text)?);
    }
    Ok(all)
}
