//! A ring that only pretends to run, with operators of its own: one request after the other, each cut once.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e::kubectl::{apply, condition, fresh_namespace, get, kubectl, patch, phase, state, text};
use e2e::operators::{Operator, RELEASE};
use e2e::proxy::{Fault, Write};
use e2e::{manifests, update};
use serde_json::{Value, json};

use crate::cut::{Cut, Kind, Line, OPERATORS};

/// Each update goes to the next release; after the last one the ring is created anew.
const RELEASES: usize = 60;
/// How long a request may take, with anything that happens to it.
const PATIENCE: Duration = Duration::from_mins(3);
/// Operators that have not written for this long are done.
const QUIET: Duration = Duration::from_millis(1500);

pub struct Lane {
    namespace: String,
    folder: PathBuf,
    operators: [Operator; 2],
    /// Number of rings so far. The last one is at `release`, and is no longer used if a cut has `spoilt` it.
    rings: usize,
    release: usize,
    spoilt: bool,
    /// Number of requests so far, and the UIDs of the pods before the last one.
    requests: usize,
    before: Vec<String>,
}

/// Puts the releases into the catalog, before any operator looks at it.
pub fn offer_releases() -> Result<()> {
    let versions = (0..=RELEASES).map(|number| {
        let version = release(number);
        manifests::version(&version, &format!("localhost/fake:{version}"))
    });
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": versions.collect::<Vec<_>>() });
    apply(&list.to_string()).map(drop)
}

fn release(number: usize) -> String {
    format!("4.1.{}", 100 + number)
}

impl Lane {
    pub fn new(number: usize, folder: &Path) -> Result<Self> {
        let namespace = format!("cuts-{number}");
        fresh_namespace(&namespace)?;
        grant(&namespace)?;
        let operator = |component| {
            let mut operator = Operator::new(component, number, folder)?;
            operator.set("WATCH_NAMESPACES", &namespace);
            // The other lanes have operators too; and a new process would wait for the lease of the one before.
            operator.set("LEADER_ELECT", "false");
            anyhow::Ok(operator)
        };
        let [provisioner, ops_manager] = OPERATORS;
        let operators = [operator(provisioner)?, operator(ops_manager)?];
        Ok(Self {
            namespace,
            folder: folder.to_owned(),
            operators,
            rings: 0,
            release: 0,
            spoilt: true,
            requests: 0,
            before: vec![],
        })
    }

    /// Carries out a request without a cut; returns the number of writes of each operator. They are ended here, since they die
    /// with the thread that has started them, and the next one might still find them alive.
    pub fn count(&mut self, kind: Kind) -> Result<[usize; 2]> {
        self.prepare()?;
        let before = self.written();
        self.request(kind)?;
        let request = self.end(None)?.0;
        self.check(&request)?;
        self.quiet();
        let after = self.written();
        self.operators.iter_mut().try_for_each(Operator::kill)?;
        Ok([0, 1].map(|operator| after[operator] - before[operator]))
    }

    /// Carries out a request with a cut.
    pub fn play(&mut self, cut: Cut) -> Line {
        let mut line =
            Line { cut, write: String::new(), resumed: None, seconds: 0.0, outcome: Ok(String::new()) };
        match self.prepare().and_then(|()| self.cut_once(cut, &mut line)) {
            Ok(outcome) => line.outcome = Ok(outcome),
            Err(error) => {
                self.evidence(cut);
                self.spoilt = true;
                // What follows the first line is the state of the namespace, which is kept as evidence.
                line.outcome = Err(format!("{error:#}").lines().take(1).collect());
            }
        }
        line
    }

    /// Removes everything.
    pub fn leave(&mut self) -> Result<()> {
        self.run()?;
        kubectl(&["delete", "casops,cas", "-n", &self.namespace, "--all", "--timeout=120s"])?;
        kubectl(&["delete", "namespace", &self.namespace, "--timeout=120s"]).map(drop)
    }

    fn cut_once(&mut self, cut: Cut, line: &mut Line) -> Result<String> {
        self.operators[cut.operator].proxy.set(cut.fault());
        let started = Instant::now();
        self.request(cut.kind)?;
        let request = if let Some(write) = self.cut(cut) {
            line.write = told(&write);
            let operator = &mut self.operators[cut.operator];
            operator.kill()?;
            operator.proxy.set(Fault::None);
            operator.start()?;
            let (request, resumed) = self.end(Some(cut.operator))?;
            line.resumed = resumed.map(|resumed| resumed.as_secs_f64());
            request
        } else {
            "no such write this time".clone_into(&mut line.write);
            self.end(None)?.0
        };
        line.seconds = started.elapsed().as_secs_f64();
        let outcome = self.check(&request)?;
        self.quiet();
        Ok(outcome)
    }

    /// Makes sure that both operators run, and that there is a Ready ring with a release left to update to.
    fn prepare(&mut self) -> Result<()> {
        self.run()?;
        if self.spoilt || self.release == RELEASES {
            kubectl(&["delete", "casops,cas", "-n", &self.namespace, "--all", "--timeout=120s"])?;
            (self.spoilt, self.release) = (false, 0);
            self.rings += 1;
            apply(&manifests::fake_ring(&self.namespace, &self.ring(), &release(0)).to_string())?;
        }
        phase(&self.namespace, &format!("cas/{}", self.ring()), &["Ready"], 120)?;
        self.quiet();
        Ok(())
    }

    fn run(&mut self) -> Result<()> {
        self.operators.iter_mut().try_for_each(|operator| {
            operator.proxy.set(Fault::None);
            operator.start()
        })
    }

    fn ring(&self) -> String {
        format!("ring-{}", self.rings)
    }

    /// Name of the request.
    fn name(&self) -> String {
        format!("{}-request-{}", self.ring(), self.requests)
    }

    /// Asks for the next release, edits a setting and asks for a restart, or asks for more memory.
    fn request(&mut self, kind: Kind) -> Result<()> {
        self.before = self.uids()?;
        self.requests += 1;
        let request = match kind {
            Kind::Update => {
                self.release += 1;
                manifests::update(&self.namespace, &self.name(), &self.ring(), &release(self.release))
            }
            Kind::Restart => {
                let settings = json!({ "cassandra.yaml": format!("max_hint_window: {}h", self.requests) });
                let edit = json!({ "spec": { "configuration": { "inline": settings } } });
                patch(&self.namespace, &format!("cas/{}", self.ring()), &edit)?;
                manifests::restart(&self.namespace, &self.name(), &self.ring())
            }
            Kind::VerticalScaling => {
                let more = json!({ "limits": { "memory": self.memory() } });
                manifests::vertical_scaling(&self.namespace, &self.name(), &self.ring(), &more)
            }
        };
        apply(&request.to_string()).map(drop)
    }

    fn uids(&self) -> Result<Vec<String>> {
        let pods = manifests::pods(&self.ring());
        let uid = |pod| Ok(text(&get(&self.namespace, &format!("pod/{pod}"))?, "/metadata/uid"));
        pods.into_iter().map(uid).collect()
    }

    /// Waits for the cut; `None` if the request ends without it.
    fn cut(&self, cut: Cut) -> Option<Write> {
        let proxy = &self.operators[cut.operator].proxy;
        let deadline = Instant::now() + PATIENCE;
        let mut ended = None;
        while Instant::now() < deadline {
            if let Some(write) = proxy.cut(Duration::from_millis(100)) {
                return Some(write);
            }
            // The operators may have something to write after the end of the request too.
            if ended.is_none() && update::ended(&self.namespace, &self.name()).is_some() {
                ended = Some(Instant::now());
            }
            if ended.is_some_and(|ended| ended.elapsed() > 2 * QUIET) {
                return None;
            }
        }
        None
    }

    /// Waits until the request has ended; returns it, and the time until the restarted operator wrote again.
    fn end(&mut self, restarted: Option<usize>) -> Result<(Value, Option<Duration>)> {
        let (started, before) = (Instant::now(), self.written());
        let (mut looked, mut resumed) = (started, None);
        loop {
            sleep(Duration::from_millis(20));
            let elapsed = started.elapsed();
            ensure!(elapsed < PATIENCE, "the request has not ended within {} s", PATIENCE.as_secs());
            if restarted.is_some_and(|n| self.operators[n].proxy.count() > before[n]) {
                resumed.get_or_insert(elapsed);
            }
            if looked.elapsed() < Duration::from_millis(500) {
                continue;
            }
            looked = Instant::now();
            if let Some(request) = update::ended(&self.namespace, &self.name()) {
                return Ok((request, resumed));
            }
        }
    }

    fn check(&self, request: &Value) -> Result<String> {
        let found = text(request, "/status/phase");
        let word = condition(request, "Failed").map(|failed| text(failed, "/message")).unwrap_or_default();
        ensure!(found == "Successful", "the request ended as {found:?}: {word}");
        let progress = text(request, "/status/progress");
        ensure!(progress == "3/3", "the request says that {progress} of the nodes were renewed");
        let pods = manifests::pods(&self.ring());
        let pods = pods.each_ref().map(String::as_str);
        update::is_whole_on(&self.namespace, &self.ring(), &pods, &release(self.release))?;
        match &*text(request, "/spec/type") {
            "Restart" => self.has_its_setting()?,
            "VerticalScaling" => self.has_its_size()?,
            _ => {}
        }
        let kept = self.uids()?.into_iter().filter(|uid| self.before.contains(uid)).count();
        ensure!(kept == 0, "{kept} pods were not renewed");
        Ok(found)
    }

    /// The templates name the setting that was edited last.
    fn has_its_setting(&self) -> Result<()> {
        let ring = get(&self.namespace, &format!("cas/{}", self.ring()))?;
        let key = text(&ring["status"]["configuration"]["keys"], "/inline.yaml");
        let template = "jsonpath={.items[*].spec.template.spec.volumes}";
        let templates = kubectl(&["get", "petsets", "-n", &self.namespace, "-o", template])?;
        ensure!(templates.matches(&format!("\"{key}\"")).count() == 3, "not all templates name {key:?}");
        Ok(())
    }

    /// The memory that the present request asks for.
    fn memory(&self) -> String {
        format!("{}Mi", 1024 + self.requests)
    }

    /// Every template has the memory, and the spec asks for it.
    fn has_its_size(&self) -> Result<()> {
        let containers = |object: &str, path: &str| -> Result<usize> {
            let limits = format!("jsonpath={{{path}.spec.containers[*].resources.limits.memory}}");
            let found = kubectl(&["get", object, "-n", &self.namespace, "-o", &limits])?;
            Ok(found.split_whitespace().filter(|memory| *memory == self.memory()).count())
        };
        let ring = format!("cas/{}", self.ring());
        let asked = containers(&ring, ".spec.topology.rack[*].podTemplate")?;
        let given = containers("petsets", ".items[*].spec.template")?;
        ensure!(
            [asked, given] == [3, 3],
            "{asked} racks ask for {}, {given} templates have it",
            self.memory()
        );
        Ok(())
    }

    fn written(&self) -> [usize; 2] {
        [0, 1].map(|n| self.operators[n].proxy.count())
    }

    /// Waits until neither operator has anything left to write.
    fn quiet(&self) {
        let (mut since, mut written) = (Instant::now(), self.written());
        while since.elapsed() < QUIET {
            sleep(Duration::from_millis(50));
            let now = self.written();
            if now != written {
                (since, written) = (Instant::now(), now);
            }
        }
    }

    /// Keeps what a person needs to find the cause.
    fn evidence(&self, cut: Cut) {
        let writes = self.operators.each_ref().map(Operator::log).join("\n");
        for (kind, content) in [("state", state(&self.namespace)), ("writes", writes)] {
            // The cut has failed already, and says so.
            _ = fs::write(self.folder.join(format!("{cut}.{kind}.txt")), content);
        }
    }
}

/// Grants what the chart grants to operators of single namespaces: they check that their namespace exists.
fn grant(namespace: &str) -> Result<()> {
    let accounts = OPERATORS.map(|operator| format!("--serviceaccount={RELEASE}:{RELEASE}-{operator}"));
    kubectl(&["create", "role", "lane", "-n", namespace, "--verb=get", "--resource=namespaces"])?;
    let [provisioner, ops_manager] = &accounts;
    kubectl(&["create", "rolebinding", "lane", "-n", namespace, "--role=lane", provisioner, ops_manager])
        .map(drop)
}

fn told(write: &Write) -> String {
    let Write { verb, resource, name, .. } = write;
    format!("{verb} {resource} {name}")
}
