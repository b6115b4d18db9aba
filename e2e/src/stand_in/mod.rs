//! A stand-in for Cassandra on fake nodes, whose pods only pretend to run.
//!
//! It listens at the address of every pod of a fake node for as long as the pod exists, and answers the operators' CQL queries
//! with a whole ring, in which each node runs the release that its pod's image names. It accepts every login and stores only
//! the rows of the health check. How the operators work with Cassandra itself is proved by the tests of real rings.

mod frames;
mod tables;

use std::collections::HashSet;
use std::collections::hash_map::{Entry, HashMap};
use std::pin::pin;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use api::{labels, names};
use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::{WatchStreamExt, reflector, reflector::Store, watcher};
use kube::{Api, Client};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use frames::{Request, Response};
use tables::Node;

/// What all nodes share.
#[derive(Clone)]
struct World {
    pods: Store<Pod>,
    /// The rows of the health check: which node wrote what.
    health: Arc<Mutex<HashMap<String, String>>>,
}

/// Stands in for Cassandra in all pods of fake nodes, until it is dropped or cannot listen at an address.
pub async fn serve(client: Client) -> Result<()> {
    let config = watcher::Config::default().labels(labels::ALL_SELECTOR);
    let (pods, writer) = reflector::store();
    let news = watcher(Api::all(client), config).default_backoff();
    let mut news = pin!(reflector(writer, news));
    let world = World { pods, health: Arc::default() };
    let mut listeners = HashMap::<String, JoinSet<Result<()>>>::new();
    // The watch recovers from errors by itself.
    while news.next().await.is_some() {
        let nodes = world.nodes();
        let uids: HashSet<&str> = nodes.iter().map(|node| node.uid.as_str()).collect();
        // The node has stopped: the listener ends with its connections, and the address is free for another node.
        for (_, mut gone) in listeners.extract_if(|uid, _| !uids.contains(uid.as_str())) {
            gone.shutdown().await;
        }
        for node in &nodes {
            let Entry::Vacant(place) = listeners.entry(node.uid.clone()) else { continue };
            let listener = TcpListener::bind((node.address, names::CQL_PORT)).await;
            let listener = listener.with_context(|| format!("cannot listen at {}", node.address))?;
            place.insert(JoinSet::new()).spawn(accept(world.clone(), node.uid.clone(), listener));
        }
    }
    Ok(())
}

impl World {
    /// All nodes that are up.
    fn nodes(&self) -> Vec<Node> {
        let here = self.pods.state();
        here.iter()
            .filter(|pod| pod.metadata.deletion_timestamp.is_none())
            .filter_map(|pod| Node::of(pod))
            .collect()
    }
}

async fn accept(world: World, uid: String, listener: TcpListener) -> Result<()> {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        connections.spawn(converse(world.clone(), uid.clone(), stream));
    }
}

/// One connection, until either side ends it.
async fn converse(world: World, uid: String, mut stream: TcpStream) -> Result<()> {
    loop {
        let (number, request) = frames::read(&mut stream).await?;
        let response = match request {
            Request::Options => Response::Supported,
            Request::Startup => Response::Authenticate,
            Request::Login => Response::LoggedIn,
            Request::Register => Response::Ready,
            Request::Prepare(statement) => Response::Prepared(statement),
            Request::Statement(statement) => {
                let nodes = world.nodes();
                let own = nodes.iter().find(|node| node.uid == uid).context("the pod is gone")?;
                let mut health = world.health.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                tables::answer(&statement, own, &nodes, &mut health)
            }
        };
        frames::write(&mut stream, number, response).await?;
    }
}
