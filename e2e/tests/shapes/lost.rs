//! Rings that lose volumes, pods and machines: three racks with two nodes each, one rack of three, and a single node.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use e2e::client::{Login, cql};
use e2e::kubectl::{
    apply, condition, fresh_namespace, get, kubectl, phase, remove_namespace, text, wait_for,
};
use e2e::table::Row;
use e2e::{load, machine, manifests, operators, update};

use crate::born::{LOGIN, borrowed, every_node_has_its_share, pods, ring};

const N: &str = "shapes-lost";
const SHAPE: &[usize] = &[2, 2, 2];
const M: &str = "shapes-lost-3";
const ONE_RACK: &[usize] = &[3];
const CHART: &str = "../charts/cassandra-operators";

pub fn rows() -> Vec<Row> {
    let row = |name: &str, play: fn() -> Result<String>| Row { name: name.to_owned(), play: Box::new(play) };
    vec![
        row("lost-volume-of-the-founder", || heals("ring-rack-a-0", false)),
        row("lost-volume-no-operator", || heals("ring-rack-b-1", true)),
        row("sick-neighbour", sick_neighbour),
        row("all-pods-at-once-2+2+2", || all_at_once(N, SHAPE, all_pods)),
        row("all-machines-2+2+2", || all_at_once(N, SHAPE, |_| machine::restart_nodes())),
        row("first-seed-corrupt", first_seed_corrupt),
        row("lost-volume-in-an-update", in_an_update),
        row("all-pods-at-once-3", || all_at_once(M, ONE_RACK, all_pods)),
        row("all-machines-3", || all_at_once(M, ONE_RACK, |_| machine::restart_nodes())),
        row("lost-volume-alone", alone),
    ]
}

/// Creates the ring with rows in it, unless it exists, and waits until it is Ready.
fn made(namespace: &str, shape: &[usize]) -> Result<()> {
    if text(&get(namespace, "cas/ring").unwrap_or_default(), "/status/phase").is_empty() {
        ring(namespace, shape, "4.1.10")?;
        let (_, first) = pods(shape);
        load::start(namespace, "ring", &borrowed(&first), 3)?;
        load::some_rows(namespace)?;
        let verdict = load::stop(namespace)?;
        ensure!(verdict.all_is_there(), "{verdict}");
    }
    phase(namespace, "cas/ring", &["Ready"], 300).map(drop)
}

fn lose(namespace: &str, pod: &str) -> Result<()> {
    kubectl(&["delete", "pvc", "-n", namespace, &format!("data-{pod}"), "--wait=false"])?;
    kubectl(&["delete", "pod", "-n", namespace, pod, "--wait=false"]).map(drop)
}

fn host_id(pod: &str) -> Result<String> {
    Ok(text(&get(N, "cas/ring")?, &format!("/status/hostIDs/{pod}")))
}

/// Waits until the pod is ready again, as another one than before.
fn pod_is_back(namespace: &str, pod: &str, before: &str, seconds: u64) -> Result<()> {
    wait_for(&format!("{pod} to come back"), namespace, seconds, || {
        let found = get(namespace, &format!("pod/{pod}"))?;
        let ready = condition(&found, "Ready").is_some_and(|ready| ready["status"] == "True");
        Ok((ready && text(&found, "/metadata/uid") != before).then_some(()))
    })
}

fn uid(namespace: &str, pod: &str) -> Result<String> {
    Ok(text(&get(namespace, &format!("pod/{pod}"))?, "/metadata/uid"))
}

/// A pod without its data takes its place in the ring again, with and without operators.
fn heals(pod: &str, without_operators: bool) -> Result<String> {
    made(N, SHAPE)?;
    let (before, was) = (uid(N, pod)?, host_id(pod)?);
    ensure!(!was.is_empty(), "the status does not tell the host id of {pod}");
    if without_operators {
        operators::in_cluster(0, Path::new(CHART))?;
    }
    lose(N, pod)?;
    let back = pod_is_back(N, pod, &before, 400);
    if without_operators {
        operators::in_cluster(1, Path::new(CHART))?;
    }
    back?;
    phase(N, "cas/ring", &["Ready"], 200)?;
    every_node_has_its_share(N, 6)?;
    let now = wait_for("its new host id", N, 60, || Ok(Some(host_id(pod)?).filter(|now| *now != was)))?;
    Ok(format!("{was} became {now}; Ready, 6 nodes, no other one known"))
}

/// The first pod of a rack cannot start; the second one comes back nevertheless.
fn sick_neighbour() -> Result<String> {
    made(N, SHAPE)?;
    let (sick, well) = ("ring-rack-a-0", "ring-rack-a-1");
    let claim = format!("data-{sick}");
    machine::in_volume(N, &claim, "chown -R 0:0 \"$1\"/data; chmod -R go-rwx \"$1\"/data")?;
    machine::kill(N, sick, "cassandra")?;
    let before = uid(N, well)?;
    kubectl(&["delete", "pod", "-n", N, well, "--wait=false"])?;
    let back = pod_is_back(N, well, &before, 240);
    let ring = get(N, "cas/ring")?;
    let said = condition(&ring, "ReplicaReady").map(|it| text(it, "/message")).unwrap_or_default();
    machine::in_volume(
        N,
        &claim,
        "chown -R --reference=\"$1\"/commitlog \"$1\"/data; chmod -R go+rX \"$1\"/data",
    )?;
    kubectl(&["delete", "pod", "-n", N, sick, "--grace-period=1"])?;
    back?;
    phase(N, "cas/ring", &["Ready"], 300)?;
    Ok(format!("{well} came back; meanwhile: {said}"))
}

fn all_pods(namespace: &str) -> Result<()> {
    let label = "app.kubernetes.io/name=cassandras.kubedb.com";
    kubectl(&["delete", "pods", "-n", namespace, "-l", label, "--wait=false"]).map(drop)
}

/// All nodes of the ring end at the same moment.
fn all_at_once(namespace: &str, shape: &[usize], end: fn(&str) -> Result<()>) -> Result<String> {
    made(namespace, shape)?;
    let started = Instant::now();
    end(namespace)?;
    wait_for("the ring to notice", namespace, 120, || {
        Ok((text(&get(namespace, "cas/ring")?, "/status/phase") != "Ready").then_some(()))
    })?;
    phase(namespace, "cas/ring", &["Ready"], 600)?;
    let took = started.elapsed().as_secs();
    every_node_has_its_share(namespace, shape.iter().sum())?;
    let count = cql(namespace, "ring", &LOGIN, "SELECT count(*) AS rows FROM e2e.rows")?;
    let rows = count.first().map(|row| text(row, "/rows")).unwrap_or_default();
    ensure!(rows.parse::<u64>().is_ok_and(|rows| rows > 1000), "{rows} rows are there");
    Ok(format!("Ready again after {took} s, {rows} rows there"))
}

/// All pods are gone and the first seed cannot start: the others do, and the condition says which one is missing and why.
fn first_seed_corrupt() -> Result<String> {
    made(N, SHAPE)?;
    let (seed, claim) = ("ring-rack-a-0", "data-ring-rack-a-0");
    let file = "\"$1\"/commitlog/CommitLog-7-1.log";
    let corrupt = format!("head -c 4096 /dev/urandom >{file}; chown --reference=\"$1\"/commitlog {file}");
    machine::in_volume(N, claim, &corrupt)?;
    let (all, _) = pods(SHAPE);
    let before = all.iter().map(|pod| uid(N, pod)).collect::<Result<Vec<_>>>()?;
    all_pods(N)?;
    let others = all.iter().zip(&before).filter(|(pod, _)| *pod != seed);
    let back = others.into_iter().try_for_each(|(pod, before)| pod_is_back(N, pod, before, 400));
    let said = wait_for("the cause", N, 120, || {
        let ring = get(N, "cas/ring")?;
        let said = condition(&ring, "ReplicaReady").map(|it| text(it, "/message")).unwrap_or_default();
        Ok((said.contains(seed) && said.contains("CommitLog-7-1.log")).then_some(said))
    });
    machine::in_volume(N, claim, &format!("rm {file}"))?;
    kubectl(&["delete", "pod", "-n", N, seed, "--grace-period=1"])?;
    back?;
    let said = said?;
    phase(N, "cas/ring", &["Ready"], 300)?;
    Ok(format!("five came back; meanwhile: {said}"))
}

fn in_an_update() -> Result<String> {
    made(N, SHAPE)?;
    let pod = "ring-rack-a-0";
    apply(&manifests::update(N, "to-5-0", "ring", "5.0.6").to_string())?;
    wait_for("the second rack", N, 600, || {
        Ok(condition(&get(N, "casops/to-5-0")?, "EvictPod--ring-rack-b-0").map(drop))
    })?;
    let before = uid(N, pod)?;
    lose(N, pod)?;
    pod_is_back(N, pod, &before, 400)?;
    let request = phase(N, "casops/to-5-0", &["Successful", "Failed", "Denied"], 1200)?;
    ensure!(text(&request, "/status/phase") == "Successful", "{:#}", request["status"]);
    let (all, _) = pods(SHAPE);
    update::is_whole_on(N, "ring", &borrowed(&all), "5.0.6")?;
    every_node_has_its_share(N, 6)?;
    remove_namespace(N)?;
    Ok("back while the update went on; Successful, 6 nodes".to_owned())
}

/// No other node has the data: the node does not start empty by itself, and nobody can log in.
fn alone() -> Result<String> {
    const ALONE: &str = "shapes-alone";
    fresh_namespace(ALONE)?;
    apply(&manifests::standalone(ALONE, "ring", "4.1.10").to_string())?;
    phase(ALONE, "cas/ring", &["Ready"], 240)?;
    let lost = text(&get(ALONE, "cas/ring")?, "/status/hostIDs/ring-0");
    lose(ALONE, "ring-0")?;
    let said = wait_for("a word on the loss", ALONE, 240, || {
        let ring = get(ALONE, "cas/ring")?;
        let said = condition(&ring, "ReplicaReady").map(|it| text(it, "/message")).unwrap_or_default();
        Ok(Some(said).filter(|said| said.contains(&lost)))
    })?;
    let standard =
        cql(ALONE, "ring", &Login::Plain("cassandra", "cassandra"), "SELECT key FROM system.local");
    ensure!(standard.is_err(), "cassandra/cassandra can log in");
    kubectl(&["annotate", "cas", "ring", "-n", ALONE, &format!("kubedb.com/accept-data-loss={lost}")])?;
    wait_for("a new ring", ALONE, 600, || {
        let ring = get(ALONE, "cas/ring")?;
        let id = text(&ring, "/status/hostIDs/ring-0");
        Ok((text(&ring, "/status/phase") == "Ready" && id != lost).then_some(()))
    })
    .context("after the loss was accepted")?;
    remove_namespace(ALONE)?;
    Ok(said)
}
