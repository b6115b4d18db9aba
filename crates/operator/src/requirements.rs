//! What must be there before work begins: the kinds, in the right version and with all their fields, and the namespaces.
//!
//! The discovery API has the kinds and the OpenAPI documents have their fields; every client may read both. The API server
//! silently drops a field that the served definition lacks, and whoever waits for that field would wait for ever. What is
//! missing is reported by the readiness probe and the log, and waited for, since it may be installed a moment later.

use std::{future::Future, time::Duration};

use futures::future::join_all;
use http::Request;
use k8s_openapi::{
    api::core::v1::Namespace, apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{Api, Client, Error};
use serde_json::{Value, json};

use crate::{failure::error_chain, probes::Health};

const AGAIN: Duration = Duration::from_secs(5);

/// Returns when all the definitions are served and all the namespaces can be read.
pub(crate) async fn fulfilled(
    client: &Client,
    definitions: &[CustomResourceDefinition],
    namespaces: impl Iterator<Item = String>,
    health: &Health,
) {
    let definitions = definitions.iter().map(|definition| {
        let name = definition.metadata.name.as_deref().unwrap_or_default();
        there(format!("CustomResourceDefinition {name}"), health, || served(client, definition))
    });
    let namespaces = namespaces.map(|name| async move {
        there(format!("Namespace {name}"), health, || readable(client, &name)).await;
    });
    tokio::join!(join_all(definitions), join_all(namespaces));
}

/// Asks until the answer is yes. The reason why it is not is logged each time it changes.
async fn there<F>(what: String, health: &Health, ask: impl Fn() -> F)
where
    F: Future<Output = Result<(), String>>,
{
    let waiting = health.waiting(what.clone());
    let mut told = String::new();
    while let Err(why) = ask().await {
        if why != told {
            tracing::warn!("waiting for {what}: {why}");
        }
        waiting.because(&why);
        told = why;
        tokio::time::sleep(AGAIN).await;
    }
}

async fn served(client: &Client, definition: &CustomResourceDefinition) -> Result<(), String> {
    let spec = &definition.spec;
    let groups = client.list_api_groups().await.map_err(|error| error_chain(&error))?;
    let group = groups.groups.iter().find(|group| group.name == spec.group);
    let mut found = Vec::new();
    for version in group.map(|group| group.versions.as_slice()).unwrap_or_default() {
        let resources = client.list_api_group_resources(&version.group_version).await;
        let resources = resources.map_err(|error| error_chain(&error))?.resources;
        if resources.iter().any(|resource| resource.name == spec.names.plural) {
            found.push(version.version.as_str());
        }
    }
    let needed: Vec<_> = spec.versions.iter().map(|version| version.name.as_str()).collect();
    if found.is_empty() {
        return Err("it is not installed; the subcommand `crd` prints it".to_owned());
    }
    if !needed.iter().all(|version| found.contains(version)) {
        let (found, needed) = (found.join(", "), needed.join(", "));
        return Err(format!("it is there as {found}, needed is {needed}; the subcommand `crd` prints it"));
    }
    let mut lacking = Vec::new();
    for version in &needed {
        lacking.extend(lacking_fields(client, definition, version).await?);
    }
    if lacking.is_empty() {
        Ok(())
    } else {
        Err(format!("it lacks {}; the subcommand `crd` prints it", lacking.join(", ")))
    }
}

/// The fields of `spec` and `status` that our definition has and the one in the API server lacks.
async fn lacking_fields(
    client: &Client,
    definition: &CustomResourceDefinition,
    version: &str,
) -> Result<Vec<String>, String> {
    let (group, kind) = (&definition.spec.group, &definition.spec.names.kind);
    let path = format!("/openapi/v3/apis/{group}/{version}");
    let request = Request::get(path).body(Vec::new()).map_err(|error| error.to_string())?;
    let document: Value = client.request(request).await.map_err(|error| error_chain(&error))?;
    let this = json!({ "group": group, "version": version, "kind": kind });
    let is_this = |schema: &&Value| {
        schema["x-kubernetes-group-version-kind"].as_array().is_some_and(|kinds| kinds.contains(&this))
    };
    let schemas = document["components"]["schemas"].as_object();
    let served = schemas.into_iter().flat_map(|schemas| schemas.values()).find(is_this);
    let served = served.ok_or("the API server does not describe it yet")?;
    let ours = json!(definition.spec.versions.iter().find(|known| known.name == version));
    let mut lacking = Vec::new();
    for part in ["spec", "status"] {
        let ours = ours["schema"]["openAPIV3Schema"]["properties"][part]["properties"].as_object();
        let served = &served["properties"][part];
        if served["x-kubernetes-preserve-unknown-fields"] != true {
            let fields = ours.into_iter().flat_map(|fields| fields.keys());
            let unknown = fields.filter(|field| served["properties"][field.as_str()].is_null());
            lacking.extend(unknown.map(|field| format!("{part}.{field}")));
        }
    }
    Ok(lacking)
}

async fn readable(client: &Client, name: &str) -> Result<(), String> {
    match Api::<Namespace>::all(client.clone()).get_metadata_opt(name).await {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err("it does not exist; create it, or take it from --namespace".to_owned()),
        Err(Error::Api(status)) if status.code == 403 => {
            Err(format!("it does not exist, or there is no Role in it for this operator: {}", status.message))
        }
        Err(error) => Err(error_chain(&error)),
    }
}

#[cfg(test)]
mod tests;
