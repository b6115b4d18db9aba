//! `provisioner render-config`: an init container that turns the image's own configuration into that of one node.
//!
//! It lays, in this order, the user's Secret, the user's inline settings and the operator's settings over the image's
//! `cassandra.yaml`, and writes where the node stands. It talks to nobody but the DNS server
//! and, before the first start of a node, to the nodes before it.
//!
//! What can be known of the user's settings before there is a pod is asked of [`problem`].

mod commit_log;
mod exclusive;
mod owned;
mod rackdc;
mod seeds;
mod spelling;
mod yaml;

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use api::names::CONFIG_KEY;
use thiserror::Error;

use crate::desired::{
    CONFIG_PATH, CUSTOM_CONFIG_PATH, DATA_PATH, INLINE_KEY, OPERATOR_CONFIG_PATH, OPERATOR_KEY, RELEASE_FILE,
};

/// What is known of the node only in its pod.
#[derive(clap::Args, Clone, Debug)]
pub struct Node {
    /// Address of the pod.
    #[arg(long, env = "POD_IP")]
    pub ip: IpAddr,
    /// Name of the pod.
    #[arg(long, env = "POD_NAME")]
    pub pod: String,
    /// Rack of the node.
    #[arg(long, env = "RACK")]
    pub rack: String,
    /// Datacenter of the node.
    #[arg(long, env = "DC")]
    pub datacenter: String,
}

/// Why there is no configuration. Kubernetes shows it as the message of the failed init container.
#[derive(Debug, Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error("cannot {verb} {path}: {source}")]
    File {
        /// What was tried: `read`, `write`, `adapt`.
        verb: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file could not be understood, or says what it must not.
    #[error("{origin}: {problem}")]
    Content {
        /// Where the content comes from, in the user's words.
        origin: &'static str,
        /// What is wrong, and what to do.
        problem: String,
    },
}

/// Renders the configuration in place. Repeating it gives the same: the copy of the image's own comes first each time.
pub fn run(node: &Node) -> Result<(), Error> {
    let config = Path::new(CONFIG_PATH);
    let base_path = config.join(CONFIG_KEY);
    let base = read(&base_path)?.ok_or_else(|| Error::Content {
        origin: "the image of Cassandra",
        problem: format!(
            "it has no {}; the catalog must name an image laid out like the official one",
            base_path.display()
        ),
    })?;
    let operator = Path::new(OPERATOR_CONFIG_PATH);
    let sources = Sources {
        base,
        user: read(&Path::new(CUSTOM_CONFIG_PATH).join(CONFIG_KEY))?,
        inline: read(&operator.join(INLINE_KEY))?,
        operator: read(&operator.join(OPERATOR_KEY))?.unwrap_or_default(),
    };
    if sources.user.is_none() && Path::new(CUSTOM_CONFIG_PATH).exists() {
        let problem = format!("the Secret has no key {CONFIG_KEY}");
        return Err(Error::Content { origin: USER, problem });
    }
    let rendered = sources.render(node)?;
    if is_first_start(Path::new(DATA_PATH)) {
        seeds::wait_for_ring(&rendered.seeds)
            .map_err(|problem| Error::Content { origin: "seeds", problem })?;
    } else {
        adapt_commit_log(config)?;
        seeds::wait_for_addresses(&rendered.seeds);
    }
    write(&base_path, &rendered.cassandra_yaml)?;
    write(&config.join("cassandra-rackdc.properties"), &rackdc::properties(&node.datacenter, &node.rack))
}

const USER: &str = "spec.configuration.secretName";

/// The settings to lay over each other, the last one wins.
struct Sources {
    base: String,
    user: Option<String>,
    inline: Option<String>,
    operator: String,
}

struct Rendered {
    cassandra_yaml: String,
    /// The other nodes that this one asks for the ring.
    seeds: seeds::Others,
}

impl Sources {
    fn render(&self, node: &Node) -> Result<Rendered, Error> {
        let refused = |origin| move |problem| Error::Content { origin, problem };
        let base = "cassandra.yaml of the image";
        let mut settings = yaml::parse(&self.base).map_err(refused(base))?;
        for (origin, text) in [(USER, &self.user), ("spec.configuration.inline", &self.inline)] {
            let Some(text) = text else { continue };
            let user = yaml::parse(text).map_err(refused(origin))?;
            owned::check(&user).map_err(refused(origin))?;
            yaml::lay_over(&mut settings, user).map_err(refused(origin))?;
        }
        let origin = "settings of the operator";
        let operator = yaml::parse(&self.operator).map_err(refused(origin))?;
        yaml::lay_over(&mut settings, operator).map_err(refused(origin))?;
        yaml::lay_over(&mut settings, owned::of_node(node)).map_err(refused(origin))?;
        let seeds = seeds::localize(&mut settings, node).map_err(refused(origin))?;
        let cassandra_yaml = yaml::print(&settings).map_err(refused(base))?;
        Ok(Rendered { cassandra_yaml, seeds })
    }
}

/// After a newer release: see [`commit_log`].
fn adapt_commit_log(config: &Path) -> Result<(), Error> {
    let release = read(&config.join(RELEASE_FILE))?.unwrap_or_default();
    let mut numbers = release.trim().split('.').map(str::parse);
    let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else {
        eprintln!(
            "the image has no variable CASSANDRA_VERSION: the commit log of a newer release would not be adapted"
        );
        return Ok(());
    };
    let folder = Path::new(DATA_PATH).join("commitlog");
    let lines = commit_log::adapt(&folder, (major, minor)).map_err(|source| Error::File {
        verb: "adapt",
        path: folder,
        source,
    })?;
    for line in lines {
        eprintln!("{line}");
    }
    Ok(())
}

/// What is wrong with settings of the user's, whatever the image: the first thing that would keep a node from starting.
pub(crate) fn problem(settings: &str) -> Option<String> {
    let checked = yaml::parse(settings).and_then(|user| {
        owned::check(&user)?;
        yaml::lay_over(&mut serde_yaml::Mapping::new(), user)
    });
    checked.err()
}

/// Whether this node has never been part of a ring: Cassandra makes its system tables before anything else.
fn is_first_start(data: &Path) -> bool {
    !data.join("data/system").exists()
}

fn read(path: &Path) -> Result<Option<String>, Error> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::File { verb: "read", path: path.to_owned(), source }),
    }
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    std::fs::write(path, text).map_err(|source| Error::File { verb: "write", path: path.to_owned(), source })
}

#[cfg(test)]
mod tests;
