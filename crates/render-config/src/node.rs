//! The node whose configuration is rendered.

use std::net::IpAddr;

use serde_yaml::{Mapping, Value};

/// What is known of the node only in its pod.
#[derive(clap::Args, Clone, Debug)]
pub struct Node {
    /// Address of the pod.
    #[arg(long, env = "POD_IP")]
    pub ip: IpAddr,
    /// Name of the pod.
    #[arg(long, env = "POD_NAME")]
    pub pod: String,
    /// Rack of the node.
    #[arg(long, env = "RACK")]
    pub rack: String,
    /// Datacenter of the node.
    #[arg(long, env = "DC")]
    pub datacenter: String,
}

impl Node {
    /// The settings that differ from node to node.
    pub(crate) fn settings(&self) -> Mapping {
        let ip = || Value::from(self.ip.to_string());
        [("listen_address", ip()), ("broadcast_rpc_address", ip())]
            .into_iter()
            .map(|(key, value)| (Value::from(key), value))
            .collect()
    }
}
