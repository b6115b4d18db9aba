//! A Prometheus that scrapes the operators as a platform team's would: by the endpoints of their Services.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use e2e::operators::RELEASE;

const CLUSTER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/cluster/cluster");
/// How long it may take until it answers.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running Prometheus, which ends when it is dropped.
pub struct Prometheus {
    process: Child,
    tools: PathBuf,
    /// Where it answers.
    pub url: String,
}

impl Prometheus {
    /// Builds it, unless that was done before, and starts it with files in the folder.
    pub fn start(folder: &Path, rules: &str) -> Result<Self> {
        let tools = tools()?;
        fs::create_dir_all(folder)?;
        let alerts = folder.join("alerts.yaml");
        fs::write(&alerts, rules)?;
        let settings = folder.join("prometheus.json");
        // JSON is YAML too.
        fs::write(&settings, configuration(&alerts)?.to_string())?;
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let log = fs::File::create(folder.join("prometheus.log"))?;
        let process = Command::new(tools.join("prometheus"))
            .arg(format!("--config.file={}", settings.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .context("Prometheus cannot be started")?;
        let this = Self { process, tools, url: format!("http://127.0.0.1:{port}") };
        let started = Instant::now();
        while this.query("vector(1)").is_err() {
            ensure!(started.elapsed() < PATIENCE, "Prometheus does not answer; see {}", folder.display());
            sleep(Duration::from_millis(200));
        }
        Ok(this)
    }

    /// The current value of an expression: series with their labels and values.
    pub fn query(&self, expression: &str) -> Result<Vec<Value>> {
        self.ask(&["instant", &self.url, expression])
    }

    /// The series of an expression over the last minutes.
    pub fn range(&self, expression: &str, minutes: u32) -> Result<Vec<Value>> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let start = format!("--start={}", now.as_secs().saturating_sub(u64::from(minutes) * 60));
        self.ask(&["range", &start, "--step=5s", &self.url, expression])
    }

    fn ask(&self, arguments: &[&str]) -> Result<Vec<Value>> {
        let said = promtool(&self.tools, &[&["query", "--format=json"], arguments].concat())?;
        serde_json::from_str(&said).with_context(|| format!("promtool said {said}"))
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // Nothing can be done about a failure here.
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

/// Whether the tests of a file of rules pass.
pub fn test_rules(file: &Path) -> Result<()> {
    promtool(&tools()?, &["test", "rules", &file.to_string_lossy()]).map(drop)
}

fn promtool(tools: &Path, arguments: &[&str]) -> Result<String> {
    let output = Command::new(tools.join("promtool")).args(arguments).output();
    let output = output.context("promtool cannot be started")?;
    let (said, errors) = (String::from_utf8(output.stdout)?, String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "promtool {}: {said}{errors}", arguments.join(" "));
    Ok(said)
}

/// The folder of both binaries.
fn tools() -> Result<PathBuf> {
    let output = Command::new(CLUSTER).args(["tool", "prometheus"]).stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "Prometheus cannot be built");
    Ok(String::from_utf8(output.stdout)?.trim().into())
}

/// Jobs are named as the chart's ServiceMonitors name them: by the Service.
fn configuration(alerts: &Path) -> Result<Value> {
    let kubeconfig = std::env::var("KUBECONFIG").context("KUBECONFIG")?;
    Ok(json!({
        "global": { "scrape_interval": "2s", "evaluation_interval": "2s" },
        "rule_files": [alerts],
        "scrape_configs": [{
            "job_name": "operators",
            "honor_labels": true,
            "kubernetes_sd_configs": [{
                "role": "endpointslice",
                "kubeconfig_file": kubeconfig,
                "namespaces": { "names": [RELEASE] },
            }],
            "relabel_configs": [
                { "source_labels": ["__meta_kubernetes_endpointslice_port_name"], "regex": "http", "action": "keep" },
                { "source_labels": ["__meta_kubernetes_service_name"], "target_label": "job" },
                { "source_labels": ["__meta_kubernetes_pod_name"], "target_label": "pod" },
            ],
        }],
    }))
}
