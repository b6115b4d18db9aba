//! Alerts and dashboard, as a real Prometheus sees them while a real ring is updated.

#[path = "monitoring/prometheus.rs"]
mod prometheus;

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use e2e::kubectl::{apply, fresh_namespace, patch, phase, remove_namespace, wait_for};
use e2e::manifests;
use serde_json::{Value, json};

use prometheus::Prometheus;

const ALERTS: &str = "../charts/cassandra-operators/files/alerts.yaml";
const DASHBOARD: &str = "../charts/cassandra-operators/files/dashboard.json";
/// Draws a dashboard; see the README there.
const DRAWER: &str = "tests/monitoring/dashboard";
/// Names the file of a picture, for a run that is to make one.
const PICTURE: &str = "PICTURE";
/// How many minutes back panels look.
const MINUTES: u32 = 10;
const NAMESPACE: &str = "e2e-monitoring";
const CASSANDRA: &str = "cas/db";
/// Panels that show nothing as long as nothing is wrong with the operators.
const EMPTY: [&str; 2] = ["Reconciles that failed", "Requests to the API server that failed"];
/// A release that there is no image of.
const MISSING: &str = "4.1.99";

#[test]
fn alerts_fire_when_they_should() -> Result<()> {
    prometheus::test_rules(Path::new("tests/monitoring/alerts.yaml"))
}

#[test]
fn alerts_and_dashboard_show_what_happens() -> Result<()> {
    let folder = env::temp_dir().join(format!("cassandra-monitoring-{}", std::process::id()));
    // The alerts detect what is new by a comparison with 15 minutes ago, for which this test cannot wait.
    let rules = fs::read_to_string(ALERTS)?.replace("offset 15m", "offset 1m");
    let prometheus = Prometheus::start(&folder, &rules)?;
    eprintln!("==> Prometheus answers at {}, with files in {}", prometheus.url, folder.display());
    let all = "count by (job) (up == 1)";
    wait_for("Prometheus to scrape both operators", NAMESPACE, 60, || {
        Ok((prometheus.query(all)?.len() == 2).then_some(()))
    })?;

    fresh_namespace(NAMESPACE)?;
    apply(&manifests::ring(NAMESPACE, "db", "4.1.10").to_string())?;
    phase(NAMESPACE, CASSANDRA, &["Ready"], 300)?;
    apply(&manifests::version(MISSING, "localhost/cassandra:missing").to_string())?;
    update("to-nowhere", MISSING, "Failed")?;
    alert(&prometheus, "CassandraOpsRequestFailed", "firing", &format!("namespace=\"{NAMESPACE}\""))?;
    update("to-5-0", "5.0.6", "Successful")?;
    if let Some(file) = env::var_os(PICTURE).filter(|file| !file.is_empty()) {
        draw(&prometheus, Path::new(&file))?;
    }
    patch(NAMESPACE, CASSANDRA, &json!({ "spec": { "halted": true } }))?;
    alert(&prometheus, "CassandraHaltStuck", "pending", "cassandra=\"db\"")?;
    let quiet = prometheus.query(r#"ALERTS{alertname="CassandraOperatorWithoutLeader"}"#)?;
    ensure!(quiet.is_empty(), "an operator is said to have no leader: {quiet:?}");
    for (panel, expression) in panels()? {
        let series = prometheus.range(&expression, MINUTES)?;
        ensure!(!series.is_empty() || EMPTY.contains(&panel.as_str()), "{panel} shows nothing: {expression}");
    }
    drop(prometheus);
    remove_namespace(NAMESPACE)?;
    fs::remove_dir_all(folder).map_err(Into::into)
}

fn update(name: &str, version: &str, end: &str) -> Result<()> {
    apply(&manifests::update(NAMESPACE, name, "db", version).to_string())?;
    phase(NAMESPACE, &format!("casops/{name}"), &[end], 300).map(drop)
}

fn alert(prometheus: &Prometheus, name: &str, state: &str, labels: &str) -> Result<()> {
    let alert = format!(r#"ALERTS{{alertname="{name}", alertstate="{state}", {labels}}}"#);
    wait_for(&format!("the alert {name}"), NAMESPACE, 60, || {
        Ok((!prometheus.query(&alert)?.is_empty()).then_some(()))
    })
}

/// Draws the dashboard as it looks now.
fn draw(prometheus: &Prometheus, picture: &Path) -> Result<()> {
    let installed = Command::new("npm").args(["ci", "--ignore-scripts", "--prefix", DRAWER]).status();
    ensure!(installed.context("npm cannot be started")?.success(), "npm ci has failed in {DRAWER}");
    let drawn = Command::new("node")
        .arg(format!("{DRAWER}/screenshot.mjs"))
        .args([&prometheus.url, DASHBOARD])
        .arg(picture)
        .arg(MINUTES.to_string())
        .status();
    ensure!(drawn.context("node cannot be started")?.success(), "the dashboard cannot be drawn");
    Ok(())
}

/// Title and expression of each query of the dashboard, with its variables filled in as Grafana does.
fn panels() -> Result<Vec<(String, String)>> {
    let dashboard: Value = serde_json::from_str(&fs::read_to_string(DASHBOARD)?)?;
    let panels = dashboard["panels"].as_array().context("the dashboard has no panels")?;
    let targets = panels.iter().flat_map(|panel| {
        let targets = panel["targets"].as_array().into_iter().flatten();
        targets.map(move |target| (panel, target))
    });
    targets
        .map(|(panel, target)| {
            let title = panel["title"].as_str().context("a panel has no title")?;
            let expression = target["expr"].as_str().context("a target has no expression")?;
            let filled = expression.replace("$namespace", ".*").replace("$__rate_interval", "1m");
            Ok((title.to_owned(), filled))
        })
        .collect()
}
