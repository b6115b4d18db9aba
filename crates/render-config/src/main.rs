//! The binary: see the library.

use anyhow::Context as _;
use clap::Parser;
use render_config::{Error, Login, Node, run};
use tokio::signal::unix::{SignalKind, signal};

/// Render the configuration of one node; runs as an init container in the pods of Cassandra.
#[derive(Parser)]
#[command(name = "render-config", version)]
struct Cli {
    #[command(flatten)]
    node: Node,
    #[command(flatten)]
    login: Login,
}

fn main() -> anyhow::Result<()> {
    let Cli { node, login } = Cli::parse();
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    runtime.block_on(until_terminated(run(&node, login)))
}

/// The first process of a container does not end at SIGTERM by itself, and a node may wait for others for a long time.
async fn until_terminated(work: impl Future<Output = Result<(), Error>>) -> anyhow::Result<()> {
    let mut terminated = signal(SignalKind::terminate()).context("cannot listen to signals")?;
    tokio::select! {
        done = work => Ok(done?),
        _ = terminated.recv() => anyhow::bail!("ended before the node could start"),
    }
}
