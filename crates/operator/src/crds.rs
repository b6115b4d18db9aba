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

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        sync::{
            Arc,
            atomic::{AtomicBool, Ordering},
        },
    };

    use http::{Request, Response};
    use kube::client::Body;
    use serde_json::json;
    use tower::service_fn;

    use super::*;

    /// A server that has one group with one resource, once it is told so.
    fn client(there: &Arc<AtomicBool>) -> Client {
        let there = Arc::clone(there);
        let service = service_fn(move |request: Request<Body>| {
            let versions = json!([{"groupVersion": "kubedb.com/v1alpha2", "version": "v1alpha2"}]);
            let resource = json!({"name": "cassandras", "singularName": "", "namespaced": true, "kind": "Cassandra", "verbs": []});
            let answer = match request.uri().path() {
                "/apis" => json!({"groups": [{"name": "kubedb.com", "versions": versions}]}),
                _ if there.load(Ordering::SeqCst) => {
                    json!({"groupVersion": "kubedb.com/v1alpha2", "resources": [resource]})
                }
                _ => json!({"groupVersion": "kubedb.com/v1alpha2", "resources": []}),
            };
            async move { Ok::<_, Infallible>(Response::new(Body::from(answer.to_string().into_bytes()))) }
        });
        Client::new(service, "default")
    }

    #[tokio::test(start_paused = true)]
    async fn a_missing_definition_is_waited_for_and_named() {
        let there = Arc::new(AtomicBool::new(false));
        let (client, health) = (client(&there), Health::new());
        let names = ["cassandras.kubedb.com"];
        let wait = served(&client, &names, &health);
        tokio::pin!(wait);
        let ended = tokio::time::timeout(Duration::from_mins(1), &mut wait).await;
        assert!(ended.is_err());
        assert_eq!(health.missing(), ["CustomResourceDefinition cassandras.kubedb.com"]);
        there.store(true, Ordering::SeqCst);
        wait.await;
        assert!(health.missing().is_empty());
    }
}
