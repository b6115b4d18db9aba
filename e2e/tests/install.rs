//! The operators are installed, upgraded and removed beside a running Cassandra: whatever Helm does, its pod stays.

use std::fs;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use e2e::audit::{self, Mark};
use e2e::kubectl::{apply, condition, fresh_namespace, get, patch, phase, remove_namespace, text, wait_for};
use e2e::machine;
use e2e::manifests;
use e2e::operators::RELEASE;
use serde_json::{Value, json};

const CHART: &str = "../charts/cassandra-operators";
const NAMESPACE: &str = "e2e-install";
const ELSEWHERE: &str = "e2e-elsewhere";
const CASSANDRA: &str = "cas/db";
const OPERATORS: [&str; 2] = ["provisioner", "ops-manager"];
/// Another name of the operators' images, as if they were those of the next release.
const NEXT: &str = "next";

#[test]
fn no_pod_of_a_cassandra_is_touched() -> Result<()> {
    fresh_namespace(NAMESPACE)?;
    fresh_namespace(ELSEWHERE)?;
    apply(&manifests::standalone(NAMESPACE, "db", "4.1.10").to_string())?;
    phase(NAMESPACE, CASSANDRA, &["Ready"], 180)?;
    let (pod, values) = (pod()?, helm(&["get", "values", RELEASE, "-o", "yaml"])?);
    helm(&["test", RELEASE])?;

    upgrade("logFormat=json,operators.replicas=2")?;
    ensure!(pod == self::pod()?, "an upgrade of the chart has touched the pod");
    OPERATORS.iter().try_for_each(|operator| another_leads(operator))?;

    upgrade_of_the_images()?;
    ensure!(pod == self::pod()?, "new images of the operators have touched the pod");

    upgrade(&format!("watchNamespaces={{{NAMESPACE}}},operators.replicas=1"))?;
    ensure!(pod == self::pod()?, "the change to one namespace has touched the pod");
    helm(&["test", RELEASE])?;
    only_one_namespace_is_looked_after()?;

    helm(&["uninstall", RELEASE, "--wait"])?;
    ensure!(pod == self::pod()?, "the end of the operators has touched the pod");
    install(&values)?;
    observed()?;
    ensure!(pod == self::pod()?, "new operators have touched the pod");
    remove_namespace(ELSEWHERE)?;
    remove_namespace(NAMESPACE)
}

/// New operators and a new render-config leave the template of a ring in use as it is. The latter waits for a restart.
fn upgrade_of_the_images() -> Result<()> {
    let template = || Ok::<_, anyhow::Error>(get(NAMESPACE, "statefulset/db")?["spec"]["template"].clone());
    let before = template()?;
    for operator in OPERATORS {
        next_image(operator, "E2E_TAG")?;
    }
    upgrade(&format!("image.tag={NEXT}"))?;
    observed()?;
    ensure!(before == template()?, "new images of the operators have changed the template of the pods");
    next_image("render-config", "E2E_RENDER_CONFIG_TAG")?;
    upgrade(&format!("renderConfig.image.tag={NEXT}"))?;
    observed()?;
    let said = wait_for("the new image to wait for a restart", NAMESPACE, 30, || {
        let cassandra = get(NAMESPACE, CASSANDRA)?;
        let told = condition(&cassandra, "RestartRequired").filter(|it| it["status"] == "True");
        Ok(told.map(|it| text(it, "/message")))
    })?;
    ensure!(said.contains(": db-0. "), "{said}");
    ensure!(before == template()?, "a new render-config has changed the template of the pods");
    Ok(())
}

fn next_image(name: &str, tag: &'static str) -> Result<()> {
    let (image, tag) = (format!("localhost/cassandra-{name}"), std::env::var(tag).context(tag)?);
    machine::tag_image(&format!("{image}:{tag}"), &format!("{image}:{NEXT}"))
}

/// The leader is killed, and the other replica takes over.
fn another_leads(operator: &str) -> Result<()> {
    let holder =
        || Ok::<_, anyhow::Error>(text(&get(RELEASE, &format!("lease/{operator}"))?, "/spec/holderIdentity"));
    // A leader that was asked to end has released the lease, and the next one takes it a moment later.
    let before = wait_for(&format!("a leader of the {operator}"), RELEASE, 30, || {
        Ok(Some(holder()?).filter(|holder| !holder.is_empty()))
    })?;
    let leader = before.rsplit_once('_').context("the lease names no pod")?.0;
    let lost = Instant::now();
    machine::kill(RELEASE, leader, operator)?;
    wait_for(&format!("another {operator} to lead"), RELEASE, 60, || {
        let now = holder()?;
        Ok((!now.is_empty() && now != before).then_some(()))
    })?;
    eprintln!(
        "{operator}: another replica leads {:.1} s after the leader was killed",
        lost.elapsed().as_secs_f64()
    );
    observed()
}

/// The operators work in that namespace, request nothing elsewhere, and have all the rights that they need.
fn only_one_namespace_is_looked_after() -> Result<()> {
    let mark = audit::mark()?;
    apply(&manifests::standalone(ELSEWHERE, "db", "4.1.10").to_string())?;
    observed()?;
    let left_alone = get(ELSEWHERE, CASSANDRA)?;
    ensure!(left_alone["status"].is_null(), "the Cassandra elsewhere has a status");
    ensure!(left_alone["metadata"]["finalizers"].is_null(), "the Cassandra elsewhere has a finalizer");
    strays(&mark)
}

fn strays(mark: &Mark) -> Result<()> {
    let requests = audit::since(mark)?;
    ensure!(
        requests.iter().any(|request| request.namespace == NAMESPACE),
        "the audit log shows no work at all"
    );
    let refused: Vec<_> = requests.iter().filter(|request| !request.allowed).collect();
    ensure!(refused.is_empty(), "the operators were refused {refused:#?}");
    let own = [NAMESPACE, RELEASE];
    // Objects without a namespace: the catalog, placement policies, and the namespaces whose existence is checked.
    let wide = ["cassandraversions", "placementpolicies", "namespaces"];
    let strays: Vec<_> = requests
        .iter()
        .filter(|request| {
            !own.contains(&request.namespace.as_str()) && !wide.contains(&request.resource.as_str())
        })
        .filter(|request| !request.resource.is_empty())
        .collect();
    ensure!(strays.is_empty(), "the operators asked outside of their namespace: {strays:#?}");
    Ok(())
}

/// Edits the Cassandra, and waits until the provisioner has seen it and says that it is Ready.
fn observed() -> Result<()> {
    let timeout =
        text(&get(NAMESPACE, CASSANDRA)?, "/spec/healthChecker/timeoutSeconds").parse().unwrap_or(10);
    patch(NAMESPACE, CASSANDRA, &json!({ "spec": { "healthChecker": { "timeoutSeconds": timeout + 1 } } }))?;
    wait_for("the provisioner to see an edit", NAMESPACE, 90, || {
        let cassandra = get(NAMESPACE, CASSANDRA)?;
        let seen = cassandra["status"]["observedGeneration"] == cassandra["metadata"]["generation"];
        Ok((seen && cassandra["status"]["phase"] == "Ready").then_some(()))
    })
}

/// UID of the pod, and how often it was restarted.
fn pod() -> Result<(String, Value)> {
    let pod = get(NAMESPACE, "pod/db-0")?;
    let ready = pod["status"]["containerStatuses"][0]["ready"] == true;
    ensure!(ready, "the pod is not ready");
    Ok((text(&pod, "/metadata/uid"), pod["status"]["containerStatuses"][0]["restartCount"].clone()))
}

fn upgrade(values: &str) -> Result<()> {
    helm(&[
        "upgrade",
        RELEASE,
        CHART,
        "--reset-then-reuse-values",
        "--wait",
        "--timeout",
        "3m",
        "--set",
        values,
    ])
    .map(drop)
}

fn install(values: &str) -> Result<()> {
    let file = std::env::temp_dir().join(format!("cassandra-operators-values-{}.yaml", std::process::id()));
    fs::write(&file, values)?;
    let path = file.to_string_lossy();
    let installed = helm(&["install", RELEASE, CHART, "--wait", "--timeout", "3m", "--values", &path]);
    fs::remove_file(&file)?;
    installed.map(drop)
}

fn helm(arguments: &[&str]) -> Result<String> {
    let output = Command::new("helm").args(arguments).args(["--namespace", RELEASE]).output();
    let output = output.context("helm cannot be started")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "helm {}: {said}", arguments.join(" "));
    Ok(String::from_utf8(output.stdout)?)
}
