//! The demo: a ring of three racks goes from Cassandra 4.1 to 5.0 under a load that must not notice.
//!
//! It expects a cluster with the operators in it, which `make demo` brings.
#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

mod screen;
mod summary;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use api::CassandraOpsRequest;
use api::ops_request::Phase;
use e2e::kubectl::{apply, fresh_namespace, get, kubectl, phase, state};
use e2e::{load, manifests};

use screen::{Picture, Screen};
use summary::Releases;

const NAMESPACE: &str = "demo";
const RING: &str = "ring";
const REQUEST: &str = "to-5-0";
const SOURCE: &str = "4.1.10";
const TARGET: &str = "5.0.6";

fn main() -> ExitCode {
    let Err(error) = demo() else { return ExitCode::SUCCESS };
    let message = format!("{error:#}");
    println!("\nThe demo failed: {}", message.lines().next().unwrap_or_default());
    match evidence(&message) {
        Ok(folder) => println!("Objects, events and logs are in {}", folder.display()),
        Err(error) => println!("Nor could the evidence be kept: {error:#}"),
    }
    ExitCode::FAILURE
}

fn demo() -> Result<()> {
    step(&format!("an empty namespace: {NAMESPACE}"));
    fresh_namespace(NAMESPACE)?;

    let nodes = nodes()?;
    step(&format!(
        "a ring of Cassandra {SOURCE}, nodes in each of three racks: {nodes}. They join one after the other, in about a minute each"
    ));
    apply(&manifests::shape(NAMESPACE, RING, SOURCE, &[nodes; 3]).to_string())?;
    phase(NAMESPACE, &format!("cas/{RING}"), &["Ready"], 900)?;

    step("a client that writes and reads rows at QUORUM without pause");
    let pods = manifests::pods(RING);
    load::start(NAMESPACE, RING, &pods.each_ref().map(String::as_str), pods.len())?;
    let before = summary::releases()?;

    step(&format!("a CassandraOpsRequest: UpdateVersion to {TARGET}"));
    apply(&manifests::update(NAMESPACE, REQUEST, RING, TARGET).to_string())?;
    let request = follow()?;
    let (phase, last) = (request.phase(), last_word(&request));
    ensure!(phase == Phase::Successful, "the request ended as {phase:?}: {last}");

    step("the client stops and reads back every row that was acknowledged");
    let verdict = load::stop(NAMESPACE)?;
    let after = summary::releases()?;
    println!("\n{}", summary::text_of(&request, &Releases { before, after }, &verdict)?);
    println!("{}", kubectl(&["get", "cas,casops,petset,pods", "-n", NAMESPACE])?);
    println!("The ring stays. How it went, step by step: kubectl describe casops -n {NAMESPACE}");
    ensure!(verdict.all_is_there(), "{verdict}");
    Ok(())
}

/// Nodes of each rack: `make demo NODES=2`.
fn nodes() -> Result<usize> {
    let said = std::env::var("NODES").unwrap_or_default();
    let nodes = if said.is_empty() { 1 } else { said.parse().context("NODES is no number")? };
    ensure!((1..=5).contains(&nodes), "NODES={nodes}: the demo has 1 to 5 nodes in a rack");
    Ok(nodes)
}

fn step(what: &str) {
    println!("==> {what}");
}

/// Shows the update until it has ended.
fn follow() -> Result<CassandraOpsRequest> {
    let mut screen = Screen::default();
    loop {
        let request = get(NAMESPACE, &format!("casops/{REQUEST}"))?;
        let request: CassandraOpsRequest =
            serde_json::from_value(request).context("reading the CassandraOpsRequest")?;
        screen.show(&Picture::of(&request)?);
        if request.phase().is_final() {
            return Ok(request);
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// Message of the request's last condition.
fn last_word(request: &CassandraOpsRequest) -> String {
    let conditions = request.status.iter().flat_map(|status| &status.conditions);
    conditions.last().map(|condition| condition.message.clone()).unwrap_or_default()
}

/// Keeps what a person needs to find the cause.
fn evidence(message: &str) -> Result<PathBuf> {
    let folder = std::env::temp_dir().join(format!("cassandra-demo-{}", std::process::id()));
    fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    let log = kubectl(&["logs", "-n", NAMESPACE, load::POD]).unwrap_or_else(|error| error.to_string());
    for (file, content) in [("error.txt", message), ("state.txt", &state(NAMESPACE)), ("load.log", &log)] {
        fs::write(folder.join(file), content)?;
    }
    Ok(folder)
}
