//! A client of Cassandra that runs inside the cluster: a load whose every acknowledged write is read back at the end, and
//! single statements.

mod cql;
mod load;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;

#[derive(Parser)]
#[command(version, about = "Client of Cassandra for tests: load, verification, single statements")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write and read without pause until told to stop, then read back every acknowledged write.
    Load(load::Options),
    /// End the load that runs in this container.
    Stop {
        /// The file that ends the load.
        #[arg(long, default_value = load::UNTIL)]
        until_file: String,
    },
    /// Run statements and print each row as a JSON list.
    Cql(cql::Options),
}

/// How to connect.
#[derive(Args)]
struct Target {
    /// Host to begin with; may be given several times.
    #[arg(long = "contact", required = true, value_name = "HOST")]
    contacts: Vec<String>,
    /// Name to log in with; without it there is no login.
    #[arg(long, env = "CASSANDRA_USERNAME")]
    username: Option<String>,
    /// Password to log in with.
    #[arg(long, env = "CASSANDRA_PASSWORD", hide_env_values = true, default_value = "")]
    password: String,
}

impl Target {
    /// Connects with the driver's defaults, as an application would.
    async fn connect(&self) -> Result<Session> {
        let contacts = self.contacts.iter().map(|host| format!("{host}:9042"));
        let mut builder = SessionBuilder::new().known_nodes(contacts);
        if let Some(username) = &self.username {
            builder = builder.user(username, &self.password);
        }
        Ok(builder.build().await?)
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Load(options) => load::run(options).await,
        Command::Stop { until_file } => Ok(std::fs::write(until_file, "")?),
        Command::Cql(options) => cql::run(options).await,
    }
}

/// One line of JSON on standard output: the protocol with whoever reads the log of the pod.
#[expect(clippy::print_stdout, reason = "the output is what this program is for")]
fn say(line: &serde_json::Value) {
    println!("{line}");
}
