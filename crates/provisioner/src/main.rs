//! The provisioner: an operator, and the init container of the pods that it makes.

use clap::Parser;

fn main() -> anyhow::Result<()> {
    provisioner::Cli::parse().run()
}
