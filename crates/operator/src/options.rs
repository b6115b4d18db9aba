//! The command line of both binaries, and which namespaces it selects.

use std::net::{Ipv4Addr, SocketAddr};

use clap::{ArgAction, Args, ValueEnum};

// Options of every operator, from its command line or its environment.
#[expect(missing_docs, reason = "clap would show it as the description of the binary that flattens this")]
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Namespace to work in; may be given several times. Without it, the operator works in all namespaces.
    #[arg(long = "namespace", env = "WATCH_NAMESPACES", value_delimiter = ',', value_name = "NAME")]
    pub namespaces: Vec<String>,

    /// Address that serves /livez, /readyz and /metrics.
    #[arg(long, env = "LISTEN", default_value_t = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8080)), value_name = "ADDRESS")]
    pub listen: SocketAddr,

    /// Namespace of the leader lease. Without it, the namespace of the current context.
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAME")]
    pub lease_namespace: Option<String>,

    /// Elect one leader among the replicas. Without election there must never be a second replica.
    #[arg(long, env = "LEADER_ELECT", default_value_t = true, action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub leader_elect: bool,

    /// Log level (error, warn, info, debug, trace), or filter directives such as `info,operator=debug`.
    #[arg(long, env = "LOG_LEVEL", default_value = "info", value_name = "LEVEL")]
    pub log_level: String,

    /// Log format.
    #[arg(long, env = "LOG_FORMAT", default_value = "text", value_name = "FORMAT")]
    pub log_format: LogFormat,

    /// How many objects of a kind are worked on at the same time.
    #[arg(long, env = "CONCURRENCY", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..), value_name = "N")]
    pub concurrency: u16,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// The namespaces an operator works in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope(Vec<String>);

impl Scope {
    /// The named namespaces, each once; none means all. Empty names, as an unset variable gives them, do not count.
    pub fn new(namespaces: impl IntoIterator<Item = String>) -> Self {
        let mut names: Vec<String> = namespaces.into_iter().map(|name| name.trim().to_owned()).collect();
        names.retain(|name| !name.is_empty());
        names.sort();
        names.dedup();
        Self(names)
    }

    /// What to start one set of caches and controllers for: each namespace, or `None` once for the whole cluster.
    pub fn instances(&self) -> Vec<Option<String>> {
        if self.0.is_empty() { vec![None] } else { self.0.iter().cloned().map(Some).collect() }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        options: Options,
    }

    #[test]
    fn without_flags_an_operator_works_everywhere_and_elects_a_leader() {
        let options = Cli::parse_from(["operator"]).options;
        assert_eq!(Scope::new(options.namespaces).instances(), [None]);
        assert!(options.leader_elect);
        assert_eq!(options.concurrency, 10);
        assert_eq!(options.log_format, LogFormat::Text);
    }

    #[test]
    fn namespaces_are_repeated_or_separated_by_commas() {
        let options = Cli::parse_from(["operator", "--namespace", "b,a", "--namespace=a"]).options;
        assert_eq!(Scope::new(options.namespaces).instances(), [Some("a".to_owned()), Some("b".to_owned())]);
    }

    #[test]
    fn an_empty_namespace_variable_means_all() {
        assert_eq!(Scope::new([String::new(), " ".to_owned()]).instances(), [None]);
    }

    #[test]
    fn leader_election_can_be_switched_off() {
        assert!(!Cli::parse_from(["operator", "--leader-elect=false"]).options.leader_elect);
        assert!(Cli::parse_from(["operator", "--leader-elect"]).options.leader_elect);
    }
}
