//! The provisioner: an operator, and the init container of the pods that it makes.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match provisioner::Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line: Kubernetes shows it as the reason of a pod that does not start.
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
