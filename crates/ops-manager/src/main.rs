//! Operator that carries out CassandraOpsRequests.

use anyhow::Result;
use clap::Parser;
use futures::future::try_join_all;
use operator::{Operator, Options};
use ops_manager::controller;

/// Watches CassandraOpsRequests and carries them out: halt, change, verify, resume.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(flatten)]
    options: Options,
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Cli::parse().options;
    let controllers = |operator: Operator| async move {
        let namespaces = operator.scope.instances();
        try_join_all(namespaces.into_iter().map(|n| controller::run(operator.clone(), n))).await?;
        Ok(())
    };
    Box::pin(operator::run("ops-manager", options, controller::DEFINITIONS, controllers)).await
}
