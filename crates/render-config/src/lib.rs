//! `render-config`: an init container that turns the image's own configuration into that of one node.
//!
//! It merges, in this order, the user's Secret, the user's inline settings and the operator's settings over the image's
//! `cassandra.yaml`, and writes the datacenter and rack of the node. Its only network access is to the DNS server and, before a
//! node has joined its ring, to the other nodes.
//!
//! It is an image of its own, so that a release of the operators changes no template of a pod.

mod commit_log;
mod files;
mod former;
mod node;
mod part;
mod rackdc;
mod seeds;

use std::path::Path;

use api::names::CONFIG_KEY;
use cassandra::Credentials;
use serde_yaml::Mapping;
use settings::layout::{
    CONFIG_PATH, CUSTOM_CONFIG_PATH, DATA_PATH, INLINE_KEY, MEMBERS_KEY, OPERATOR_CONFIG_PATH, OPERATOR_KEY,
    RELEASE_FILE,
};
use settings::{Members, owned, yaml};

use self::files::{read, write};
use self::former::Former;
use self::part::{Found, Part};

pub use self::files::Error;
pub use self::node::Node;

/// Who asks the other nodes, where a login is needed.
#[derive(clap::Args, Clone)]
pub struct Login {
    /// Name of the superuser.
    #[arg(long, env = "CASSANDRA_LOGIN_USERNAME", hide_env_values = true)]
    username: Option<String>,
    /// Its password.
    #[arg(long, env = "CASSANDRA_LOGIN_PASSWORD", hide_env_values = true)]
    password: Option<String>,
}

impl Login {
    fn credentials(self) -> Option<Credentials> {
        Some(Credentials { username: self.username?, password: self.password? })
    }
}

/// Renders the configuration in place. It can be repeated, because the image's own configuration is copied first each time.
pub async fn run(node: &Node, login: Login) -> Result<(), Error> {
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
    let members = members(&operator.join(MEMBERS_KEY))?;
    let data = Path::new(DATA_PATH);
    let found = Found::on(data)?;
    let ring_is_up = !found.data && seeds::anybody_is_up(&members, &node.pod).await;
    let part = Part::of(&members, &node.pod, &found, ring_is_up);
    part.note(data)?;
    let release = release(config)?;
    let defaults = owned::defaults(release, members.order.len());
    let rendered = sources.render(node, defaults, part.is_own_seed())?;
    // Whatever its part: a node that has joined may not be listed as a member yet.
    if found.data {
        adapt_commit_log(release)?;
    }
    match &part {
        Part::Founder => eprintln!("begins the ring"),
        Part::Member => seeds::wait_for_addresses(&rendered.seeds).await,
        Part::Newcomer { after } => {
            eprintln!("joins the ring");
            if let Some(host) = after {
                seeds::wait_until_joined(host).await;
            }
        }
        Part::Successor { was } => {
            let (major, credentials) = (release.map(|(major, _)| major), login.credentials());
            match former::ask(&members, &node.pod, was, major, credentials.as_ref()).await? {
                Some(former) => replace(config, &former)?,
                None => eprintln!("its ring does not know it any more: it joins as a new node"),
            }
        }
    }
    write(&base_path, &rendered.cassandra_yaml)?;
    write(&config.join("cassandra-rackdc.properties"), &rackdc::properties(&node.datacenter, &node.rack))
}

/// The members of the ring; none if the Secret is older than this key.
fn members(path: &Path) -> Result<Members, Error> {
    let Some(text) = read(path)? else { return Ok(Members::default()) };
    serde_json::from_str(&text).map_err(|error| Error::Content {
        origin: "the operator's own list of nodes",
        problem: format!("it cannot be read: {error}"),
    })
}

/// Makes Cassandra take over its former place in the ring. A node that has joined ignores the option.
fn replace(config: &Path, former: &Former) -> Result<(), Error> {
    let Former { address, foreign } = former;
    eprintln!(
        "its data is gone: it takes the place that it had at {address}, and fetches its share from the others"
    );
    let path = config.join(JVM_OPTIONS);
    let mut options =
        vec![read(&path)?.unwrap_or_default(), format!("-Dcassandra.replace_address_first_boot={address}")];
    if !foreign.is_empty() {
        let foreign = foreign.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        eprintln!("does not wait for the schema of nodes of another major release: {foreign}");
        options.push(format!("-Dcassandra.skip_schema_check_for_endpoints={foreign}"));
    }
    write(&path, &(options.join("\n") + "\n"))
}

/// File with JVM options, one per line; the launch script of all releases since 4.0 reads it.
const JVM_OPTIONS: &str = "jvm-server.options";

const USER: &str = "spec.configuration.secretName";

/// The settings to merge; later ones win.
struct Sources {
    base: String,
    user: Option<String>,
    inline: Option<String>,
    operator: String,
}

struct Rendered {
    cassandra_yaml: String,
    /// The other seeds.
    seeds: Vec<String>,
}

impl Sources {
    fn render(&self, node: &Node, defaults: Mapping, own_seed: bool) -> Result<Rendered, Error> {
        let refused = |origin| move |problem| Error::Content { origin, problem };
        let base = "cassandra.yaml of the image";
        let mut settings = yaml::parse(&self.base).map_err(refused(base))?;
        yaml::lay_over(&mut settings, defaults).map_err(refused(base))?;
        for (origin, text) in [(USER, &self.user), ("spec.configuration.inline", &self.inline)] {
            let Some(text) = text else { continue };
            let user = yaml::parse(text).map_err(refused(origin))?;
            owned::check(&user).map_err(refused(origin))?;
            yaml::lay_over(&mut settings, user).map_err(refused(origin))?;
        }
        let origin = "settings of the operator";
        let operator = yaml::parse(&self.operator).map_err(refused(origin))?;
        yaml::lay_over(&mut settings, operator).map_err(refused(origin))?;
        yaml::lay_over(&mut settings, node.settings()).map_err(refused(origin))?;
        let seeds = seeds::localize(&mut settings, node, own_seed).map_err(refused(origin))?;
        let cassandra_yaml = yaml::print(&settings).map_err(refused(base))?;
        Ok(Rendered { cassandra_yaml, seeds })
    }
}

/// Major and minor release of the image, if the image states it.
fn release(config: &Path) -> Result<Option<(u64, u64)>, Error> {
    let text = read(&config.join(RELEASE_FILE))?.unwrap_or_default();
    let mut numbers = text.trim().split('.').map(str::parse);
    let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else { return Ok(None) };
    Ok(Some((major, minor)))
}

/// Removes what a newer release has left in the commit log: see [`commit_log`].
fn adapt_commit_log(release: Option<(u64, u64)>) -> Result<(), Error> {
    let Some(release) = release else {
        eprintln!(
            "the image has no variable CASSANDRA_VERSION: the commit log of a newer release would not be adapted"
        );
        return Ok(());
    };
    let folder = Path::new(DATA_PATH).join("commitlog");
    let lines = commit_log::adapt(&folder, release).map_err(|source| Error::File {
        verb: "adapt",
        path: folder,
        source,
    })?;
    for line in lines {
        eprintln!("{line}");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
