//! Waiting for the kinds that the operator works on.
//!
//! Asked of the discovery API, which every client may read: no permission on `CustomResourceDefinitions` is needed.

use std::time::Duration;

use kube::Client;

use crate::{failure::story, probes::Health};

const AGAIN: Duration = Duration::from_secs(5);

/// Returns when all the named definitions (`plural.group`) are served.
pub(crate) async fn served(client: &Client, names: &[&str], health: &Health) {
    let mut missing: Vec<_> = names
        .iter()
        .map(|name| (*name, health.waiting(format!("CustomResourceDefinition {name}"))))
        .collect();
    loop {
        let mut still = Vec::new();
        for (name, waiting) in missing {
            match is_served(client, name).await {
                Ok(true) => {}
                Ok(false) => {
                    tracing::warn!("waiting for CustomResourceDefinition {name}: install the chart's crds");
                    still.push((name, waiting));
                }
                Err(error) => {
                    tracing::warn!("cannot ask for CustomResourceDefinition {name}: {}", story(&error));
                    still.push((name, waiting));
                }
            }
        }
        if still.is_empty() {
            return;
        }
        missing = still;
        tokio::time::sleep(AGAIN).await;
    }
}

async fn is_served(client: &Client, name: &str) -> kube::Result<bool> {
    let (plural, group) = name.split_once('.').unwrap_or((name, ""));
    let groups = client.list_api_groups().await?;
    let versions =
        groups.groups.iter().filter(|served| served.name == group).flat_map(|group| &group.versions);
    for version in versions {
        let resources = client.list_api_group_resources(&version.group_version).await?;
        if resources.resources.iter().any(|resource| resource.name == plural) {
            return Ok(true);
        }
    }
    Ok(false)
}
