//! Where the database is and who logs in.

use std::time::Duration;

use anyhow::Context;
use clap::Args;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use tokio::time::{Instant, sleep};

#[derive(Args)]
pub struct Connection {
    /// Nodes to begin with, as host names or addresses, parted by commas.
    #[arg(long, env = "CASSANDRA_CONTACTS", value_delimiter = ',', required = true)]
    contacts: Vec<String>,
    /// Name of the role; without it there is no login.
    #[arg(long, env = "CASSANDRA_USERNAME")]
    username: Option<String>,
    /// Password of the role.
    #[arg(long, env = "CASSANDRA_PASSWORD", default_value = "", hide_env_values = true)]
    password: String,
    /// Seconds to keep trying to connect.
    #[arg(long, default_value_t = 60)]
    patience: u64,
}

impl Connection {
    /// Connects as any application would: with the driver's own choice of nodes, pools and retries. Only what it
    /// knows of the ring is refreshed more often, since the address of a pod changes with each restart.
    pub async fn open(&self) -> anyhow::Result<Session> {
        let deadline = Instant::now() + Duration::from_secs(self.patience);
        loop {
            let mut builder = SessionBuilder::new()
                .known_nodes(&self.contacts)
                .cluster_metadata_refresh_interval(Duration::from_secs(10));
            if let Some(username) = &self.username {
                builder = builder.user(username, &self.password);
            }
            match builder.build().await {
                Ok(session) => return Ok(session),
                Err(error) if Instant::now() >= deadline => {
                    return Err(error).with_context(|| format!("connecting to {}", self.contacts.join(", ")));
                }
                Err(_) => sleep(Duration::from_secs(1)).await,
            }
        }
    }
}
