//! Updates of a ring in use.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::client::{Login, cql};
use e2e::kubectl::{apply, condition, get, kubectl, phase, remove_namespace, text, wait_for};
use e2e::manifests::update;
use e2e::{ledger, update as updated};
use serde_json::Value;

use crate::Case;
use crate::refused::{LOGIN, N, PODS, RING, made};

pub const CASES: &[Case] =
    &[("the manifest lifts the halt", lifted), ("tables made in the middle", in_the_middle)];

/// A GitOps tool applies a manifest every few seconds, in which the Cassandra is not halted.
fn lifted() -> Result<String> {
    made()?;
    let mut manifest = get(N, RING)?;
    if let Some(object) = manifest.as_object_mut() {
        object.remove("status");
    }
    let metadata = serde_json::json!({ "name": "ring", "namespace": N });
    manifest["metadata"] = metadata;
    let file = std::env::temp_dir().join(format!("cassandra-cases-{}.json", std::process::id()));
    std::fs::write(&file, manifest.to_string())?;
    let path = file.to_string_lossy().into_owned();
    let as_git = || {
        kubectl(&["apply", "--server-side", "--force-conflicts", "--field-manager=gitops", "-f", &path])
            .map(drop)
    };
    apply(&update(N, "gitops", "ring", "4.1.10").to_string())?;
    let over = AtomicBool::new(false);
    let request = thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                // It is refused now and then; such a tool simply tries again.
                _ = as_git();
                thread::sleep(Duration::from_secs(5));
            }
        });
        let ended = phase(N, "casops/gitops", &["Successful", "Failed", "Denied"], 600);
        over.store(true, Ordering::Relaxed);
        ended
    })?;
    let lifts = condition(&request, "HaltLifted").map(|it| text(it, "/message")).unwrap_or_default();
    let version = text(&get(N, RING)?, "/spec/version");
    updated::is_whole_on(N, "ring", &PODS, &version)?;
    let after = as_git().err().map(|error| error.to_string()).unwrap_or_default();
    ensure!(version == "4.1.9" || after.contains("manifest"), "the stale manifest: {after}");
    Ok(format!(
        "{} on {version}; {lifts}; then: {}",
        text(&request, "/status/phase"),
        after.replace('\n', " ")
    ))
}

/// Counters, conditional inserts and a view are written all the time, and a node of each release creates a table.
fn in_the_middle() -> Result<String> {
    made()?;
    ledger::start(N, "ring", &LOGIN)?;
    let warnings = || {
        let events = get(N, "events")?;
        let events = events["items"].as_array().cloned().unwrap_or_default();
        let of_ring =
            |event: &&Value| event["type"] == "Warning" && event["involvedObject"]["kind"] == "Cassandra";
        let texts: Vec<_> = events.iter().filter(of_ring).map(|event| text(event, "/message")).collect();
        anyhow::Ok(texts)
    };
    let before = warnings()?.len();
    apply(&update(N, "to-5-0", "ring", "5.0.6").to_string())?;
    wait_for("the first pod on 5.0", N, 300, || {
        let request = get(N, "casops/to-5-0")?;
        let runs =
            condition(&request, "RunningPod--ring-rack-a-0").is_some_and(|runs| runs["status"] == "True");
        Ok(runs.then_some(()))
    })?;
    for (node, table) in [("ring-rack-c-pods", "mid41"), ("ring-rack-a-pods", "mid50")] {
        let made = cql(N, node, &LOGIN, &format!("CREATE TABLE ledger.{table} (id int PRIMARY KEY)"));
        println!("    {table}: {made:?}");
    }
    let request = phase(N, "casops/to-5-0", &["Successful", "Failed", "Denied"], 600)?;
    ensure!(text(&request, "/status/phase") == "Successful", "{:#}", request["status"]);
    updated::is_whole_on(N, "ring", &PODS, "5.0.6")?;
    let news = warnings()?.len() - before;
    for pod in ["a", "b", "c"] {
        let node = format!("ring-rack-{pod}-pods");
        for table in ["mid41", "mid50"] {
            cql(N, &node, &LOGIN, &format!("SELECT id FROM ledger.{table}"))?;
        }
    }
    let ledger = ledger::stop(N)?;
    ensure!(ledger.is_right(), "{ledger:?}");
    values_have_arrived()?;
    let standard = cql(N, "ring", &Login::Plain("cassandra", "cassandra"), "SELECT key FROM system.local");
    ensure!(standard.is_err(), "cassandra/cassandra can log in");
    remove_namespace(N)?;
    ensure!(news == 0, "{news} warnings on the Cassandra");
    Ok(format!(
        "Successful, 0 warnings; counter {} of {} acknowledged and {} unknown; {} granted, {} twice; {} rows, {} not in view",
        ledger.counter,
        ledger.counted,
        ledger.unknown,
        ledger.granted,
        ledger.granted_twice,
        ledger.rows,
        ledger.not_in_view
    ))
}

/// The settings with the value false or an older name have taken effect.
fn values_have_arrived() -> Result<()> {
    let expected = [
        ("auto_snapshot", "false"),
        ("rpc_keepalive", "false"),
        ("materialized_views_enabled", "true"),
        ("sasi_indexes_enabled", "true"),
        ("commitlog_segment_size", "16MiB"),
        ("compaction_throughput", "32MiB/s"),
        ("key_cache_size", "8MiB"),
        ("permissions_validity", "3000ms"),
        ("internode_socket_send_buffer_size", "262144B"),
        ("internode_timeout", "true"),
    ];
    for (name, value) in expected {
        let question = format!("SELECT value FROM system_views.settings WHERE name = '{name}'");
        let found = cql(N, "ring", &LOGIN, &question)?;
        let found = found.first().map(|row| text(row, "/value")).unwrap_or_default();
        println!("    {name} = {found}");
        ensure!(found == value, "{name} is {found}, not {value}");
    }
    Ok(())
}
