//! Operator that carries out CassandraOpsRequests.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use operator::{Options, Tool};
use ops_manager::controller;

/// Name of the binary, its lease and its field manager.
const NAME: &str = "ops-manager";

/// Watches CassandraOpsRequests and carries them out: halt, change, verify, resume.
///
/// Outside of a cluster it uses KUBECONFIG or ~/.kube/config. It is live and ready as /livez and /readyz tell; the body says
/// what it waits for. SIGTERM ends it within 20 seconds: it finishes what it is at and gives up its lease. A request under
/// way goes on where it was with the next start, or with the next leader.
#[derive(Parser)]
#[command(name = NAME, version = operator::version(), args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    options: Options,
}

#[derive(Subcommand)]
enum Command {
    /// Run the operator; the default.
    Run(Options),
    #[command(flatten)]
    Tool(Tool),
}

#[tokio::main]
async fn main() -> ExitCode {
    match act(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // On one line, with all causes.
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn act(cli: Cli) -> Result<()> {
    let definitions = api::schema::definitions()?;
    let options = match cli.command {
        Some(Command::Tool(tool)) => return tool.run(NAME, &definitions).await,
        Some(Command::Run(options)) => options,
        None => cli.options,
    };
    Box::pin(operator::run(NAME, options, &definitions, controller::run)).await
}
