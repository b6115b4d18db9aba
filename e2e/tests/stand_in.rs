//! The stand-in for Cassandra, queried by the operators' own client: it shows a ring as they want it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is a failed test")]

use std::net::SocketAddr;
use std::time::Duration;

use cassandra::replication::{Change, Fewer};
use cassandra::{Credentials, Error, Replication, Sessions, View, keyspace, ring, roles};
use e2e::stand_in;
use k8s_openapi::api::core::v1::Pod;
use operator::testing::FakeApi;
use serde_json::json;

const NODES: [(&str, &str); 3] = [("a", "127.245.0.1"), ("b", "127.245.0.2"), ("c", "127.245.0.3")];
const TIMEOUT: Duration = Duration::from_secs(5);

fn pod(rack: &str, address: &str, release: &str) -> Pod {
    let labels = json!({
        "app.kubernetes.io/name": "cassandras.kubedb.com",
        "app.kubernetes.io/managed-by": "kubedb.com",
        "app.kubernetes.io/instance": "ring",
        "app.kubernetes.io/part-of": format!("ring-rack-{rack}"),
    });
    serde_json::from_value(json!({
        "metadata": { "namespace": "n", "name": format!("ring-rack-{rack}-0"), "labels": labels },
        "spec": { "nodeName": "fake-a", "containers": [{ "name": "cassandra", "image": format!("c:{release}") }] },
        "status": { "podIP": address },
    }))
    .unwrap()
}

fn login() -> Credentials {
    Credentials { username: "admin".to_owned(), password: "p".to_owned() }
}

fn socket(address: &str) -> SocketAddr {
    SocketAddr::new(address.parse().unwrap(), 9042)
}

async fn views(sessions: &Sessions, addresses: &[&str]) -> Result<Vec<View>, Error> {
    let mut views = vec![];
    for address in addresses {
        let node = sessions.node(socket(address), Some(&login()), TIMEOUT).await?;
        views.push(node.view().await?);
        node.sees_all_up().await?;
        node.write_and_read().await?;
    }
    Ok(views)
}

/// The stand-in listens a moment after the pod has its address.
async fn whole(sessions: &Sessions, addresses: &[&str]) -> Vec<View> {
    for _ in 0..50 {
        if let Ok(views) = views(sessions, addresses).await
            && ring::problems(NODES.len(), &views).is_empty()
        {
            return views;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let views = views(sessions, addresses).await;
    panic!("{:?}, {views:?}", views.as_ref().map(|views| ring::problems(NODES.len(), views)));
}

#[tokio::test]
async fn it_tells_of_a_whole_ring_before_and_after_the_renewal_of_a_pod() {
    let api = FakeApi::new();
    for (rack, address) in NODES {
        api.put(&pod(rack, address, "5.0.1"));
    }
    let stand_in = tokio::spawn(stand_in::serve(api.client()));
    let sessions = Sessions::new();
    let [a, b, c] = NODES.map(|(_, address)| address);
    let before = whole(&sessions, &[a, b, c]).await;
    assert!(before.iter().all(|view| view.release.to_string() == "5.0.1"));

    let three: Replication = [("dc1", 3)].into_iter().collect();
    let secured = roles::secure(&sessions, socket(a), &login(), &three, Fewer::Tell).await.unwrap();
    assert_eq!(secured, roles::Outcome::default(), "all is settled already");
    let node = sessions.node(socket(a), Some(&login()), TIMEOUT).await.unwrap();
    assert_eq!(keyspace::ensure(&node, &three, Fewer::Tell).await.unwrap(), Change::Unchanged);

    let elsewhere = "127.245.0.4";
    api.delete::<Pod>("n", "ring-rack-c-0");
    api.put(&pod("c", elsewhere, "5.0.2"));
    let after = whole(&sessions, &[a, b, elsewhere]).await;
    assert_eq!(after[2].release.to_string(), "5.0.2");
    assert_eq!(after[2].host_id, before[2].host_id, "it is the same node");
    assert!(views(&Sessions::new(), &[c]).await.is_err(), "nobody answers where it was");
    assert!(!stand_in.is_finished());
}
