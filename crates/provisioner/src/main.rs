//! The provisioner: an operator, and the init container of the pods that it creates.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match provisioner::Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // On one line: Kubernetes shows it as the reason why a pod does not start.
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
