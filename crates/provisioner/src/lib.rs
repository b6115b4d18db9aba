//! Operator that turns a Cassandra object into a running ring.
//!
//! `controller` shows from top to bottom what happens to a Cassandra: observe, decide, apply, check health, write the status.

mod apply;
mod caches;
mod checks;
mod configuration;
mod context;
mod controller;
mod delete;
mod ended;
mod error;
mod gauges;
mod health;
mod login;
mod missing;
mod observe;
mod pace;
mod password;
mod provision;
mod recall;
mod ring_state;
mod setup;
mod status;

use anyhow::Context as _;
use clap::{ArgAction, Args, Parser, Subcommand};

/// Name of the binary, its lease and its field manager.
const NAME: &str = api::names::PROVISIONER;

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
    #[command(flatten)]
    Tool(operator::Tool),
}

#[derive(Args)]
struct Run {
    #[command(flatten)]
    options: operator::Options,

    /// Image of `render-config`, for the init container of the pods.
    #[arg(long, env = "RENDER_CONFIG_IMAGE", value_name = "IMAGE")]
    render_config_image: Option<String>,

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
            Some(Command::Tool(tool)) => return runtime()?.block_on(tool.run(NAME, &definitions)),
            Some(Command::Run(run)) => run,
            None => self.run,
        };
        let Run { options, render_config_image, petset_controller } = run;
        let image = render_config_image
            .context("--render-config-image or RENDER_CONFIG_IMAGE must name the image of render-config")?;
        let controllers =
            |operator| async move { controller::run(&operator, &image, petset_controller).await };
        runtime()?.block_on(operator::run(NAME, options, &definitions, controllers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operator_is_the_default_and_has_a_petset_controller() {
        let cli = Cli::try_parse_from(["provisioner", "--render-config-image", "a"]).ok().unwrap();
        assert!(cli.command.is_none());
        assert!(cli.run.petset_controller);
        assert_eq!(cli.run.render_config_image.as_deref(), Some("a"));
    }

    #[test]
    fn the_petset_controller_can_be_switched_off() {
        let cli = Cli::try_parse_from([
            "provisioner",
            "run",
            "--render-config-image=a",
            "--petset-controller=false",
        ])
        .ok();
        assert!(matches!(cli.unwrap().command, Some(Command::Run(Run { petset_controller: false, .. }))));
    }
}
