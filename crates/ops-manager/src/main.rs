//! Operator that carries out CassandraOpsRequests.

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
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
    run: Run,
}

#[derive(Subcommand)]
enum Command {
    /// Run the operator; the default.
    Run(Run),
    #[command(flatten)]
    Tool(Tool),
}

#[derive(Args)]
struct Run {
    #[command(flatten)]
    options: Options,

    /// Image of `render-config`, as the provisioner has it: the pods get it with the next restart.
    #[arg(long, env = "RENDER_CONFIG_IMAGE", value_name = "IMAGE")]
    render_config_image: Option<String>,
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
    let run = match cli.command {
        Some(Command::Tool(tool)) => return tool.run(NAME, &definitions).await,
        Some(Command::Run(run)) => run,
        None => cli.run,
    };
    let Run { options, render_config_image } = run;
    let image = render_config_image
        .context("--render-config-image or RENDER_CONFIG_IMAGE must name the image of render-config")?;
    let controllers = |operator| async move { controller::run(operator, &image).await };
    Box::pin(operator::run(NAME, options, &definitions, controllers)).await
}
