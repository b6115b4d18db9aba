//! Operator that turns a Cassandra object into a running ring.
//!
//! `controller` shows from top to bottom what happens to a Cassandra: observe, decide, apply, check health, write the status.
//! `render_config` is the part that runs in the pods.

mod apply;
mod caches;
mod checks;
mod configuration;
mod context;
mod controller;
mod delete;
mod desired;
mod ended;
mod error;
mod gauges;
mod health;
mod kept;
mod layout;
mod login;
mod members;
mod memory;
mod missing;
mod observe;
mod pace;
mod plan;
mod recall;
mod render_config;
mod settle;
mod status;

use anyhow::Context as _;
use clap::{ArgAction, Args, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

/// Name of the binary, its lease and its field manager.
const NAME: &str = "provisioner";

/// Makes and keeps Cassandra rings as their `Cassandra` objects want them.
///
/// Outside of a cluster it uses KUBECONFIG or ~/.kube/config. It is live and ready as /livez and /readyz tell; the body says
/// what it waits for. SIGTERM ends it within 20 seconds: it finishes what it is at and gives up its lease.
#[derive(Parser)]
#[command(name = "provisioner", version = operator::version(), args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: Run,
}

#[derive(Subcommand)]
enum Command {
    /// Run the operator; the default.
    Run(Run),
    /// Render the configuration of one node; runs as an init container in the pods of Cassandra.
    RenderConfig {
        #[command(flatten)]
        node: render_config::Node,
        #[command(flatten)]
        login: render_config::Login,
    },
    #[command(flatten)]
    Tool(operator::Tool),
}

#[derive(Args)]
struct Run {
    #[command(flatten)]
    options: operator::Options,

    /// Image of this program, for the init container of the pods.
    #[arg(long, env = "PROVISIONER_IMAGE", value_name = "IMAGE")]
    image: Option<String>,

    /// Make StatefulSets of PetSets. Switch it off where KubeDB's own PetSet operator runs.
    #[arg(long, env = "PETSET_CONTROLLER", default_value_t = true, action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    petset_controller: bool,
}

impl Cli {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<()> {
        let definitions = api::schema::definitions()?;
        let runtime = || tokio::runtime::Runtime::new().context("cannot start the runtime");
        let run = match self.command {
            Some(Command::RenderConfig { node, login }) => {
                return runtime()?.block_on(until_terminated(render_config::run(&node, login)));
            }
            Some(Command::Tool(tool)) => return runtime()?.block_on(tool.run(NAME, &definitions)),
            Some(Command::Run(run)) => run,
            None => self.run,
        };
        let Run { options, image, petset_controller } = run;
        let image = image.context("--image or PROVISIONER_IMAGE must name the image of this program")?;
        let controllers =
            |operator| async move { controller::run(&operator, &image, petset_controller).await };
        runtime()?.block_on(operator::run(NAME, options, &definitions, controllers))
    }
}

/// Ends at SIGTERM, which the first process of a container ignores by default; a node may wait for others for a long time.
async fn until_terminated(
    work: impl Future<Output = Result<(), render_config::Error>>,
) -> anyhow::Result<()> {
    let mut terminated = signal(SignalKind::terminate()).context("cannot listen to signals")?;
    tokio::select! {
        done = work => Ok(done?),
        _ = terminated.recv() => anyhow::bail!("ended before the node could start"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operator_is_the_default_and_has_a_petset_controller() {
        let cli = Cli::try_parse_from(["provisioner", "--image", "a"]).ok().unwrap();
        assert!(cli.command.is_none());
        assert!(cli.run.petset_controller);
        assert_eq!(cli.run.image.as_deref(), Some("a"));
    }

    #[test]
    fn the_petset_controller_can_be_switched_off() {
        let cli = Cli::try_parse_from(["provisioner", "run", "--image=a", "--petset-controller=false"]).ok();
        assert!(matches!(cli.unwrap().command, Some(Command::Run(Run { petset_controller: false, .. }))));
    }

    #[test]
    fn a_node_is_rendered_without_an_image() {
        let node = ["--ip=10.0.0.1", "--pod=db-0", "--rack=a", "--datacenter=dc1"];
        let cli = Cli::try_parse_from(["provisioner", "render-config"].into_iter().chain(node)).ok();
        assert!(matches!(cli.unwrap().command, Some(Command::RenderConfig { .. })));
    }
}
