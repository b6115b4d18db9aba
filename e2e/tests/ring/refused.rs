//! Updates that must not happen.

use anyhow::Result;
use e2e::client::{Login, cql};
use e2e::kubectl::{apply, condition, kubectl, patch, phase, text};
use e2e::manifests::{update, version};

use serde_json::{Value, json};

use crate::{CASSANDRA, NAMESPACE, fingerprint};

/// A release that cannot follow 4.1: two majors on.
const TOO_FAR: &str = "6.0.0";

pub fn nothing_is_touched() -> Result<()> {
    let before = fingerprint()?;
    apply(&version(TOO_FAR, "localhost/cassandra:6.0.0").to_string())?;
    for (request, target, reason, message) in [
        (
            "unknown",
            "9.9.9",
            "VersionNotFound",
            "spec.updateVersion.targetVersion: there is no CassandraVersion 9.9.9; kubectl get casversion lists them. Nothing was touched",
        ),
        (
            "identical",
            "4.1.9",
            "IdenticalVersion",
            "spec.updateVersion.targetVersion: it has version 4.1.9 already. Nothing was touched",
        ),
        (
            "downgrade",
            "4.1.8",
            "Downgrade",
            "spec.updateVersion.targetVersion: 4.1.8 is older than 4.1.9: Cassandra does not support a downgrade. Nothing was touched",
        ),
        (
            "too-far",
            TOO_FAR,
            "UnsupportedPath",
            "spec.updateVersion.targetVersion: 6.0.0 cannot follow 4.1.9: Cassandra is updated to the same or the next major version only. Nothing was touched",
        ),
    ] {
        apply(&update(NAMESPACE, request, "ring", target).to_string())?;
        let denied = phase(NAMESPACE, &format!("casops/{request}"), &["Denied"], 30)?;
        let why = condition(&denied, "Denied").cloned().unwrap_or_default();
        assert_eq!((text(&why, "/reason"), text(&why, "/message")), (reason.to_owned(), message.to_owned()));
    }
    kubectl(&["delete", "casversion", TOO_FAR])?;
    assert_eq!(fingerprint()?, before);
    Ok(())
}

/// A table that 5.0 cannot open, and a setting that it does not load: both are named together with the remedy, and once they
/// are gone nothing is refused any more. The setting takes effect when a node starts, so it is removed before one does.
pub fn what_the_target_does_not_know_is_named() -> Result<()> {
    let run = |statement: &str| cql(NAMESPACE, "ring", &Login::Secret("ring-auth"), statement);
    run("CREATE KEYSPACE old WITH replication = {'class': 'NetworkTopologyStrategy', 'dc1': 3}")?;
    run("CREATE TABLE old.orders (id int PRIMARY KEY) \
         WITH compaction = {'class': 'DateTieredCompactionStrategy'}")?;
    let before = fingerprint()?;
    let said = unknown("old-table")?;
    let help = "ALTER TABLE old.orders WITH compaction = {'class': 'TimeWindowCompactionStrategy'}";
    assert!(said.contains("table old.orders: DateTieredCompactionStrategy was removed in 5.0"), "{said}");
    assert!(said.contains(help) && said.ends_with("Nothing was touched"), "{said}");
    assert_eq!(fingerprint()?, before);
    run(help)?;

    let settings =
        |inline: Value| patch(NAMESPACE, CASSANDRA, &json!({ "spec": { "configuration": inline } }));
    settings(json!({ "inline": { "cassandra.yaml": "concurrent_replicates: 16" } }))?;
    let said = unknown("old-setting")?;
    assert!(
        said.contains("spec.configuration.inline: setting concurrent_replicates: it was removed in 5.0"),
        "{said}"
    );
    settings(Value::Null)?;
    run("DROP KEYSPACE old").map(drop)
}

/// Requests 5.0; returns why that is refused.
fn unknown(request: &str) -> Result<String> {
    phase(NAMESPACE, CASSANDRA, &["Ready"], 60)?;
    apply(&update(NAMESPACE, request, "ring", "5.0.6").to_string())?;
    let denied = phase(NAMESPACE, &format!("casops/{request}"), &["Denied"], 60)?;
    let why = condition(&denied, "Denied").cloned().unwrap_or_default();
    assert_eq!(text(&why, "/reason"), "UnknownToTarget", "{:#}", denied["status"]);
    Ok(text(&why, "/message"))
}
