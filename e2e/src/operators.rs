//! The operators as processes on this machine, each behind a proxy of its own: the binaries that the images hold, with the
//! arguments, the settings and the ServiceAccount that the chart gives them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use kube::Config;
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};

use crate::kubectl::{get, kubectl, text};
use crate::proxy::{Proxy, Write};

/// Namespace and release of the operators.
pub const RELEASE: &str = "cassandra-operators";

/// One replica of an operator.
pub struct Operator {
    /// Such as `ops-manager-1`.
    pub name: String,
    /// Its way to the API server.
    pub proxy: Proxy,
    component: String,
    command: Command,
    process: Option<Child>,
}

impl Operator {
    /// A replica of `provisioner` or `ops-manager`, not started yet. Its kubeconfig and its log go into the folder.
    pub fn new(component: &str, replica: usize, folder: &Path) -> Result<Self> {
        let name = format!("{component}-{replica}");
        let proxy = Proxy::start(identity(component)?, replica as u64)?;
        let kubeconfig = folder.join(format!("{name}.kubeconfig"));
        fs::write(&kubeconfig, anonymous(&proxy.url()).to_string())?;
        let deployment = get(RELEASE, &format!("deployment/{RELEASE}-{component}"))?;
        let container = &deployment["spec"]["template"]["spec"]["containers"][0];
        ensure!(container.is_object(), "there is no Deployment {RELEASE}-{component}: `e2e/run` installs it");
        // The operator dies with this process, whatever ends it: otherwise it would keep its lease and work on.
        let mut command = Command::new("setpriv");
        let log = File::options().create(true).append(true).open(folder.join(format!("{name}.log")))?;
        command
            .args(["--pdeathsig", "KILL", component])
            .args(container["args"].as_array().into_iter().flatten().filter_map(Value::as_str))
            .envs(settings(container))
            .env("POD_NAME", &name)
            .env("POD_NAMESPACE", RELEASE)
            .env("LISTEN", "127.0.0.1:0")
            .env("KUBECONFIG", kubeconfig)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        Ok(Self { name, proxy, component: component.to_owned(), command, process: None })
    }

    /// Changes its environment from the next start on.
    pub fn set(&mut self, variable: &str, value: &str) {
        self.command.env(variable, value);
    }

    /// Starts it, if it does not run.
    pub fn start(&mut self) -> Result<()> {
        if !self.runs()? {
            let hint = "`e2e/run` puts the binaries of the operators on the PATH";
            self.process = Some(self.command.spawn().with_context(|| format!("{}: {hint}", self.name))?);
        }
        Ok(())
    }

    /// Whether its process runs.
    pub fn runs(&mut self) -> Result<bool> {
        Ok(self.process.as_mut().map(Child::try_wait).transpose()?.is_some_and(|ended| ended.is_none()))
    }

    /// Whether it holds the lease, so that it is the replica that writes.
    pub fn leads(&self) -> Result<bool> {
        let lease = get(RELEASE, &format!("lease/{}", self.component))?;
        Ok(text(&lease, "/spec/holderIdentity").starts_with(&format!("{}_", self.name)))
    }

    /// All its writes, one a line.
    pub fn log(&self) -> String {
        let writes = self.proxy.writes_after(0);
        let line = |write: &Write| format!("{} {write} {:?}", self.name, write.status);
        writes.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    /// Kills it, as the loss of its machine would.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            process.kill()?;
            process.wait()?;
        }
        Ok(())
    }

    /// Sends a signal such as `STOP`.
    pub fn signal(&self, signal: &str) -> Result<()> {
        let process = self.process.as_ref().with_context(|| format!("{} does not run", self.name))?;
        let sent = Command::new("kill").args(["-s", signal, &process.id().to_string()]).status()?;
        ensure!(sent.success(), "{} cannot be sent {signal}", self.name);
        Ok(())
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        _ = self.kill();
    }
}

/// Sets through the chart how many replicas of each operator run in the cluster.
pub fn in_cluster(replicas: u32, chart: &Path) -> Result<()> {
    let values = format!("provisioner.replicas={replicas},opsManager.replicas={replicas}");
    let done = Command::new("helm")
        .args(["upgrade", RELEASE])
        .arg(chart)
        .args(["--namespace", RELEASE, "--reuse-values", "--wait", "--timeout", "2m", "--set", &values])
        .stdout(Stdio::null())
        .status()
        .context("helm cannot be started")?;
    ensure!(done.success(), "helm could not set {values}");
    Ok(())
}

/// Access as the operator's ServiceAccount: to rights, policies and the audit log it is the operator in the cluster.
fn identity(component: &str) -> Result<Config> {
    let account = format!("{RELEASE}-{component}");
    let token = kubectl(&["create", "token", &account, "-n", RELEASE, "--duration=12h"])?;
    let kubeconfig = Kubeconfig::read_from(PathBuf::from(
        std::env::var("KUBECONFIG").context("fault injection needs the embedded cluster")?,
    ))?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let options = KubeConfigOptions::default();
    let mut config = runtime.block_on(Config::from_custom_kubeconfig(kubeconfig, &options))?;
    config.auth_info = AuthInfo { token: Some(token.trim().to_owned().into()), ..AuthInfo::default() };
    Ok(config)
}

/// A kubeconfig without a login.
fn anonymous(server: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": "proxy", "cluster": { "server": server } }],
        "users": [{ "name": "nobody", "user": {} }],
        "contexts": [{ "name": "proxy", "context": { "cluster": "proxy", "user": "nobody" } }],
        "current-context": "proxy",
    })
}

/// The environment variables of the chart, without those that only the kubelet can fill in.
fn settings(container: &Value) -> Vec<(String, String)> {
    let variables = container["env"].as_array().into_iter().flatten();
    variables.filter(|v| v["value"].is_string()).map(|v| (text(v, "/name"), text(v, "/value"))).collect()
}
