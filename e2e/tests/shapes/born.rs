//! A ring from its creation to its update.

use std::time::Instant;

use anyhow::{Result, ensure};
use e2e::client::{Login, cql};
use e2e::kubectl::{apply, fresh_namespace, phase, remove_namespace, text};
use e2e::table::Row;
use e2e::{load, manifests, update};
use serde_json::Value;

const SHAPES: [&[usize]; 11] =
    [&[1], &[2], &[3], &[5], &[1, 1], &[2, 2], &[1, 1, 1], &[2, 2, 2], &[3, 3, 3], &[2, 1, 1], &[1, 1, 1, 1]];
pub const LOGIN: Login = Login::Secret("ring-auth");

pub fn rows() -> Vec<Row> {
    let of = |shape: &'static [usize]| {
        let name = shape.iter().map(ToString::to_string).collect::<Vec<_>>().join("+");
        let row = |kind: &str, play: fn(&str, &[usize]) -> Result<String>| {
            let namespace = format!("shapes-{}", name.replace('+', "-"));
            Row { name: format!("{kind}-{name}"), play: Box::new(move || play(&namespace, shape)) }
        };
        [row("update", updated), row("born-on-5.0", born_on_the_latest)]
    };
    SHAPES.into_iter().flat_map(of).collect()
}

/// Names of the pods, in the order of their racks; the first of each rack alone. A single node has no rack.
pub fn pods(shape: &[usize]) -> (Vec<String>, Vec<String>) {
    if shape == [1] {
        return (vec!["ring-0".to_owned()], vec!["ring-0".to_owned()]);
    }
    let racks = || ["a", "b", "c", "d"].into_iter().zip(shape);
    let name = |rack: &str, n: usize| format!("ring-rack-{rack}-{n}");
    let all = racks().flat_map(|(rack, nodes)| (0..*nodes).map(move |n| name(rack, n))).collect();
    (all, racks().map(|(rack, _)| name(rack, 0)).collect())
}

/// Creates a ring in a fresh namespace and waits until it is Ready and all its nodes have tokens. Returns the seconds that it
/// took to become Ready.
pub fn ring(namespace: &str, shape: &[usize], version: &str) -> Result<u64> {
    fresh_namespace(namespace)?;
    let started = Instant::now();
    let manifest = match shape {
        [1] => manifests::standalone(namespace, "ring", version),
        _ => manifests::shape(namespace, "ring", version, shape),
    };
    apply(&manifest.to_string())?;
    let nodes = shape.iter().sum::<usize>();
    phase(namespace, "cas/ring", &["Ready"], 120 + 120 * nodes as u64)?;
    let took = started.elapsed().as_secs();
    every_node_has_its_share(namespace, nodes)?;
    Ok(took)
}

/// All nodes are known to the others (the Cassandra would not be Ready otherwise), each with tokens.
pub fn every_node_has_its_share(namespace: &str, nodes: usize) -> Result<()> {
    let peers = cql(namespace, "ring", &LOGIN, "SELECT peer, tokens FROM system.peers_v2")?;
    ensure!(peers.len() + 1 == nodes, "{} of {nodes} nodes are known", peers.len() + 1);
    let without = |peer: &&Value| peer["tokens"].is_null() || text(peer, "/tokens").len() < 3;
    ensure!(!peers.iter().any(|peer| without(&peer)), "a node owns nothing: {peers:?}");
    Ok(())
}

fn updated(namespace: &str, shape: &[usize]) -> Result<String> {
    let took = ring(namespace, shape, "4.1.10")?;
    let (all, first) = pods(shape);
    let (all, first) = (borrowed(&all), borrowed(&first));
    let copies = all.len().min(3);
    load::start(namespace, "ring", &first, copies)?;
    // Nine nodes whose code is still cold may time out on a small machine, before the update has begun.
    load::some_rows(namespace)?;
    let started = Instant::now();
    apply(&manifests::update(namespace, "to-5-0", "ring", "5.0.6").to_string())?;
    let seconds = 300 + 150 * all.len() as u64;
    let request = phase(namespace, "casops/to-5-0", &["Successful", "Failed", "Denied"], seconds)?;
    ensure!(text(&request, "/status/phase") == "Successful", "{:#}", request["status"]);
    let update = started.elapsed().as_secs();
    update::is_whole_on(namespace, "ring", &all, "5.0.6")?;
    let verdict = load::stop(namespace)?;
    ensure!(verdict.nothing_lost(), "{verdict}");
    // With three copies of each row, a quorum is always available.
    let failed = verdict.load.failures();
    ensure!(copies < 3 || failed == 0, "{failed} requests failed: {:?}", load::failures(namespace).first());
    let count = "SELECT count(*) FROM e2e.rows";
    ensure!(!cql(namespace, "ring", &LOGIN, count)?.is_empty(), "the rows cannot be counted");
    remove_namespace(namespace)?;
    Ok(format!(
        "Ready in {took} s, updated in {update} s; {} rows there, {failed} requests failed, 0 lost",
        verdict.verified
    ))
}

pub fn borrowed(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

fn born_on_the_latest(namespace: &str, shape: &[usize]) -> Result<String> {
    let took = ring(namespace, shape, "5.0.6")?;
    remove_namespace(namespace)?;
    Ok(format!("Ready in {took} s"))
}
