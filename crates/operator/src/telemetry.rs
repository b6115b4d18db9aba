//! Log lines.

use std::io::IsTerminal;

use anyhow::{Context, anyhow};
use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};

use crate::{LogFormat, Options};

/// Starts logging to standard error.
pub(crate) fn start(options: &Options) -> anyhow::Result<()> {
    let filter = filter(&options.log_level)?;
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let lines = match options.log_format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .try_init()
        .context("logging has been started twice")
}

/// kube's client logs each failed request as an error, and the database driver each connection. Here the caller decides what
/// is worth a line. A directive in --log-level turns them on again.
const QUIET: &str = "kube_client::client::builder=off,scylla=off";

fn filter(level: &str) -> anyhow::Result<EnvFilter> {
    format!("{QUIET},{level}").parse().map_err(|error| {
        anyhow!("--log-level {level:?} is neither a level nor a list of directives: {error}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_or_directives_are_accepted_and_nonsense_is_named() {
        assert!(filter("debug").is_ok());
        assert!(filter("info,kube=trace").is_ok());
        assert!(filter("loud=very").unwrap_err().to_string().contains("loud=very"));
    }
}
