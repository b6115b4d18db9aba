//! Runs as a pod beside the database: writes and reads without pause, or runs single statements.

mod connection;
mod cql;
mod ledger;
mod load;

use std::path::PathBuf;

use clap::Parser;

/// CQL client of the end-to-end tests.
#[derive(Parser)]
enum Command {
    /// Writes and reads at QUORUM until told to stop, then reads back every row that was acknowledged.
    Load(load::Options),
    /// Counts, claims and fills a view until told to stop, then reads all of it back.
    Ledger(ledger::Options),
    /// Tells a `load` in the same container to stop: `load --until-file PATH` and `stop PATH`.
    Stop {
        /// The file to create.
        path: PathBuf,
    },
    /// Runs statements and prints their rows as JSON, one a line.
    Cql(cql::Options),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Command::parse() {
        Command::Load(options) => load::run(options).await,
        Command::Ledger(options) => ledger::run(options).await,
        Command::Stop { path } => Ok(std::fs::write(path, [])?),
        Command::Cql(options) => cql::run(options).await,
    }
}
