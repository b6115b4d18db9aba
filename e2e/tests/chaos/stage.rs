//! What every row uses: a ring, one process of each operator, and a client.

use std::fs;
use std::mem;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::kubectl::{apply, fresh_namespace, get, kubectl, phase, state, text, wait_for};
use e2e::machine::{self, api_server};
use e2e::operators::Operator;
use e2e::proxy::{Fault, When, Write};
use e2e::{load, manifests, update};
use serde_json::{Value, json};

use crate::step::Step;

pub const NAMESPACE: &str = "chaos";
pub const RING: &str = "ring";
pub const PODS: [&str; 3] = ["ring-rack-a-0", "ring-rack-b-0", "ring-rack-c-0"];
/// Pods of a ring that is one node.
const SINGLE: [&str; 1] = ["ring-0"];
pub const RELEASES: [&str; 3] = ["4.1.9", "4.1.10", "5.0.6"];
/// Builds of each release. Each update goes to the next build; after the last one the ring is created anew.
const BUILDS: usize = 4;
/// Timeout of a request: more than any step takes.
const TIMEOUT: &str = "10m";
/// How long an update may take, with anything that happens to it.
const PATIENCE: Duration = Duration::from_mins(10);

/// What the ring is like.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Shape {
    /// Three racks with a node each; what it holds has three copies.
    Three,
    /// One node.
    Single,
}

impl Shape {
    /// Names of its pods.
    pub fn pods(self) -> &'static [&'static str] {
        match self {
            Self::Three => &PODS,
            Self::Single => &SINGLE,
        }
    }

    fn manifest(self, version: &str) -> Value {
        match self {
            Self::Three => manifests::ring(NAMESPACE, RING, version),
            Self::Single => {
                let mut single = manifests::standalone(NAMESPACE, RING, version);
                // In the periodic mode, which is the default, a process that is killed loses what it acknowledged in its last
                // 100 ms (CASSANDRA-13987), and no other node has it.
                let settings = json!({ "cassandra.yaml": "commitlog_sync: batch" });
                single["spec"]["configuration"] = json!({ "inline": settings });
                single
            }
        }
    }
}

pub struct Stage {
    /// Logs of the operators, and what was found when a row failed.
    pub folder: PathBuf,
    pub provisioner: Operator,
    pub ops_manager: Operator,
    /// The version that the ring has, and the one that it is to get.
    pub source: String,
    pub target: String,
    /// Seconds that Kubernetes itself needs to renew all pods, once measured.
    pub floor: Option<f64>,
    /// How long a step of the next request may take.
    pub timeout: &'static str,
    /// What the ring is like now.
    pub shape: Shape,
    /// A row has failed: the next one begins with a ring of its own.
    spoilt: bool,
    requests: usize,
}

impl Stage {
    pub fn new() -> Result<Self> {
        offer_builds()?;
        let folder = std::env::temp_dir().join(format!("cassandra-chaos-{}", std::process::id()));
        fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
        Ok(Self {
            provisioner: Operator::new("provisioner", 1, &folder)?,
            ops_manager: Operator::new("ops-manager", 1, &folder)?,
            folder,
            source: String::new(),
            target: String::new(),
            floor: None,
            timeout: TIMEOUT,
            shape: Shape::Three,
            spoilt: false,
            requests: 0,
        })
    }

    /// Prepares a ring of this shape that is Ready, has a version left to update to, and is under load. With `release`, the ring
    /// runs a build of that release.
    pub fn prepare(&mut self, shape: Shape, release: Option<&str>) -> Result<()> {
        for operator in [&mut self.provisioner, &mut self.ops_manager] {
            operator.proxy.set(Fault::None);
            operator.start()?;
        }
        wait_for("both operators to lead", NAMESPACE, 60, || {
            Ok((self.provisioner.leads()? && self.ops_manager.leads()?).then_some(()))
        })?;
        let version = version_of_ready_ring()?;
        let fits =
            version.is_some_and(|version| release.is_none_or(|release| is_build_of(&version, release)));
        if mem::take(&mut self.spoilt) || !fits || self.shape != shape {
            fresh_namespace(NAMESPACE)?;
            apply(&shape.manifest(&build(release.unwrap_or(RELEASES[0]), 1)).to_string())?;
            self.shape = shape;
        }
        phase(NAMESPACE, &cassandra(), &["Ready"], 300)?;
        self.source = version_of_ready_ring()?.context("the ring has no version to go to")?;
        self.target = next(&self.source).context("no later build")?;
        kubectl(&["delete", "pod", "-n", NAMESPACE, load::POD, "--ignore-not-found", "--grace-period=1"])?;
        load::start(NAMESPACE, RING, shape.pods(), shape.pods().len())
    }

    /// Asks for the update.
    pub fn request(&mut self) -> Result<()> {
        self.requests += 1;
        let mut request = manifests::update(NAMESPACE, &self.name(), RING, &self.target);
        request["spec"]["timeout"] = json!(mem::replace(&mut self.timeout, TIMEOUT));
        apply(&request.to_string()).map(drop)
    }

    /// Name of the request.
    pub fn name(&self) -> String {
        format!("update-{}-{}", std::process::id(), self.requests)
    }

    /// Requests the update and waits until the ops-manager reaches the step. From then on its proxy lets nothing pass.
    pub fn hold(&mut self, when: When, step: Step) -> Result<Write> {
        self.ops_manager.proxy.set(Fault::Cut(when, step.select()));
        self.request()?;
        let write = self.ops_manager.proxy.cut(PATIENCE);
        write.with_context(|| format!("the update has not come to the step {step:?}"))
    }

    /// Lets the requests and responses of the ops-manager pass again.
    pub fn release(&self) {
        self.ops_manager.proxy.set(Fault::None);
    }

    /// Waits until the request has ended or is gone. An operator that ends by itself is started again, as the kubelet would.
    pub fn end(&mut self) -> Result<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.provisioner.start()?;
            self.ops_manager.start()?;
            if let Some(request) = self.ended() {
                return Ok(request);
            }
            ensure!(Instant::now() < deadline, "the request has not ended within {} s", PATIENCE.as_secs());
            sleep(Duration::from_millis(500));
        }
    }

    /// The request if it has ended.
    pub fn ended(&self) -> Option<Value> {
        update::ended(NAMESPACE, &self.name())
    }

    /// The request as it is now.
    pub fn seen(&self) -> Result<Value> {
        get(NAMESPACE, &format!("casops/{}", self.name()))
    }

    /// Uids of the pods, which change when they are renewed.
    pub fn pods(&self) -> Result<Vec<String>> {
        self.shape
            .pods()
            .iter()
            .map(|pod| Ok(text(&get(NAMESPACE, &format!("pod/{pod}"))?, "/metadata/uid")))
            .collect()
    }

    /// The pod that is renewed first.
    pub fn first_pod(&self) -> &'static str {
        self.shape.pods()[0]
    }

    /// Keeps what a person needs to find the cause.
    pub fn evidence(&self, name: &str) {
        let log = kubectl(&["logs", "-n", NAMESPACE, load::POD]).unwrap_or_else(|error| error.to_string());
        let writes = [self.provisioner.log(), self.ops_manager.log()].join("\n");
        for (kind, content) in [("state", state(NAMESPACE)), ("load", log), ("writes", writes)] {
            // The row has failed already, and says so.
            _ = fs::write(self.folder.join(format!("{name}.{kind}.txt")), content);
        }
    }

    /// Marks the ring as unusable: after a failed row nobody knows its state.
    pub fn spoil(&mut self) {
        self.spoilt = true;
        self.floor = None;
        // What fails here fails in the next row too, and is reported there.
        _ = api_server("CONT");
        _ = self.provisioner.kill();
        _ = self.ops_manager.kill();
    }

    /// Removes everything.
    pub fn leave(mut self) -> Result<()> {
        self.provisioner.start()?;
        self.ops_manager.start()?;
        kubectl(&["delete", "casops,cas", "-n", NAMESPACE, "--all", "--timeout=180s"])?;
        kubectl(&["delete", "namespace", NAMESPACE, "--timeout=180s"]).map(drop)
    }
}

/// Name of a version, and tag of its image.
fn build(release: &str, number: usize) -> String {
    if number == 1 { release.to_owned() } else { format!("{release}-{number}") }
}

/// All builds, in the order of the updates, with what they are builds of.
fn builds() -> impl Iterator<Item = (&'static str, String)> {
    let of = |release| (1..=BUILDS).map(move |number| (release, build(release, number)));
    RELEASES.into_iter().flat_map(of)
}

fn is_build_of(version: &str, release: &str) -> bool {
    builds().any(|(of, name)| of == release && name == version)
}

fn next(version: &str) -> Option<String> {
    builds().map(|(_, name)| name).skip_while(|name| name != version).nth(1)
}

/// Puts all builds into the catalog, and on the nodes.
fn offer_builds() -> Result<()> {
    for (release, name) in builds().filter(|(release, name)| name != release) {
        let image = |tag: &str| format!("localhost/cassandra:{tag}");
        let version = manifests::version_of(&name, &image(&name), release);
        apply(&version.to_string())?;
        machine::tag_image(&image(release), &image(&name))?;
    }
    Ok(())
}

/// The version of the ring, if it is Ready and there is one to go to.
fn version_of_ready_ring() -> Result<Option<String>> {
    let ring = get(NAMESPACE, &cassandra())?;
    let fit = text(&ring, "/status/phase") == "Ready" && text(&ring, "/spec/halted") != "true";
    let version = text(&ring, "/spec/version");
    Ok((fit && next(&version).is_some()).then_some(version))
}

/// The Cassandra as an argument of kubectl.
pub fn cassandra() -> String {
    format!("cas/{RING}")
}
