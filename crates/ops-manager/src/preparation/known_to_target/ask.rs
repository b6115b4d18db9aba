//! Reads what the schema and the user's settings use.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use ::settings::layout::{INLINE_KEY, OPERATOR_KEY};
use api::Cassandra;
use api::names::{CONFIG_KEY, CQL_PORT};
use cassandra::Credentials;
use cassandra::schema::Use;
use desired::{Mounted, mounted_by};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;

use super::names::Names;
use super::settings::{self, Setting};
use crate::context::Context;
use crate::observe::node::Node;

const INLINE: &str = "spec.configuration.inline";

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
        let address = SocketAddr::new(ip, CQL_PORT);
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

/// The settings of the spec, and those that the pods mount, which differ while an edit waits for a restart.
async fn settings(context: &Context, cassandra: &Cassandra) -> Result<Vec<Setting>, String> {
    let namespace = cassandra.namespace().unwrap_or_default();
    let configuration = cassandra.spec.configuration.clone().unwrap_or_default();
    let named = configuration.secret_name.as_deref();
    let inline = configuration.inline.get(CONFIG_KEY);
    let mut all = inline.map(|text| settings::parse(INLINE, text)).transpose()?.unwrap_or_default();

    let racks = desired::racks(cassandra).into_iter();
    let petsets: Vec<_> = racks.filter_map(|rack| context.petsets.get(&namespace, &rack.petset)).collect();
    let mut files: BTreeSet<Mounted<'_>> = petsets.iter().flat_map(|petset| mounted_by(petset)).collect();
    files.extend(named.map(|secret| Mounted { secret, key: CONFIG_KEY, file: CONFIG_KEY }));
    files.retain(|it| it.file != OPERATOR_KEY);
    let secrets: BTreeSet<&str> = files.iter().map(|it| it.secret).collect();
    let api = context.operator.api::<Secret>(Some(&namespace));
    for name in secrets {
        let secret = api.get(name).await.map_err(|e| format!("Secret {name} cannot be read: {e}"))?;
        for Mounted { key, file, .. } in files.iter().filter(|it| it.secret == name) {
            // A volume without items has the files that there are.
            let Some(text) = secret.data.as_ref().and_then(|data| data.get(*key)) else { continue };
            let origin = match *file {
                INLINE_KEY => INLINE.to_owned(),
                _ => format!("Secret {}", named.unwrap_or(name)),
            };
            let found = settings::parse(&origin, &String::from_utf8_lossy(&text.0))?;
            all.extend(found.into_iter().filter(|one| !all.contains(one)).collect::<Vec<_>>());
        }
    }
    Ok(all)
}
